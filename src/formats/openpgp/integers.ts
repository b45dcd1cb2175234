import type { ByteReader } from "../bytes.ts";

/** Longest multi-precision integer, bits: an RSA modulus of 16384 bits. */
export const integerBitsMax = 16_384;

export interface OpenPgpInteger {
  /** Big-endian, without leading zeros; a view. */
  readonly value: Uint8Array;
  readonly bits: number;
  /** Where the next field begins. */
  readonly end: number;
}

/**
 * Reads a multi-precision integer (RFC 9580, section 3.2): a count of bits, 2 bytes, and big-endian bytes. The count has
 * to be the true one, which leaves one form for each number. Throws {@link FormatError}.
 */
export function readInteger(reader: ByteReader, offset: number, field: string): OpenPgpInteger {
  const bits = reader.u16be(offset, field);
  if (bits > integerBitsMax)
    reader.fail(`a number of ${bits} bits, at most ${integerBitsMax} are taken`, offset, field);
  const value = reader.slice(offset + 2, (bits + 7) >> 3, field);
  const actual = value.length * 8 - Math.clz32(value[0] ?? 0) + 24;
  if (value.length > 0 && actual !== bits) {
    reader.fail(`a number of ${bits} bits expected, it has ${Math.max(0, actual)}`, offset, field);
  }
  return { value, bits, end: offset + 2 + value.length };
}
