/** Table of the byte-wise algorithm for a reflected polynomial. */
function crcTable(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, index) => {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value;
  });
}

const ieeeTable = crcTable(0xedb88320);
const castagnoliTable = crcTable(0x82f63b78);

function crc(table: Uint32Array, bytes: Uint8Array, previous: number): number {
  let state = ~previous;
  for (const byte of bytes) state = (state >>> 8) ^ (table[(state ^ byte) & 0xff] ?? 0);
  return ~state >>> 0;
}

/**
 * CRC-32 of ISO 3309 (zlib, gzip, GPT): initial and final value inverted. `previous` continues an earlier result.
 * A format that keeps the plain register (LVM2, F2FS) passes its seed inverted and inverts the result.
 */
export function crc32(bytes: Uint8Array, previous = 0): number {
  return crc(ieeeTable, bytes, previous);
}

/** CRC-32C (Castagnoli; RFC 3720, section 12.1), otherwise as {@link crc32}. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  return crc(castagnoliTable, bytes, previous);
}
