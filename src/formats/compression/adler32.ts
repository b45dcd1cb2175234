const modulus = 65_521;
/** So many bytes can be added up before a sum of 32 bits could overflow (RFC 1950 and zlib's NMAX). */
const runBytes = 5552;

/** Adler-32 (RFC 1950, section 8.2), unsigned. `previous` continues an earlier result; lzop and zlib begin with 1. */
export function adler32(bytes: Uint8Array, previous = 1): number {
  let low = previous & 0xffff;
  let high = previous >>> 16;
  for (let start = 0; start < bytes.length; start += runBytes) {
    const end = Math.min(bytes.length, start + runBytes);
    for (let i = start; i < end; i++) {
      low += bytes[i] ?? 0;
      high += low;
    }
    low %= modulus;
    high %= modulus;
  }
  return ((high << 16) | low) >>> 0;
}
