import { ByteReader } from "./bytes.ts";

/** Most bytes of a root pointer: 36 since ACPI 2.0, and room for what a later one adds. */
export const rsdpBytesMax = 256;

const signature = "RSD PTR ";
const format = "rsdp";
/** What revision 0 has, and what every revision's first checksum covers. */
const firstBytes = 20;
const longBytesMin = 36;
/** Root pointers of a BIOS stand at multiples of this (ACPI 6.5, section 5.2.5.1). */
const scanStep = 16;

/**
 * Checks an ACPI root system description pointer at the start of `bytes` (ACPI 6.5, section 5.2.5.3): signature,
 * checksum over its first 20 bytes and, from revision 2 on, over its whole length. Returns exactly its bytes: 20, or
 * its length field. Throws {@link FormatError}.
 */
export function parseRsdp(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes, format);
  if (!reader.hasMagic(0, signature)) reader.fail(`"${signature}" expected`, 0, "Signature");
  const short = reader.slice(0, firstBytes, "RSDP");
  if (sum(short) !== 0) reader.fail("a sum of 0 over 20 bytes expected", 8, "Checksum");
  if (reader.u8(15, "Revision") < 2) return new Uint8Array(short);
  const length = reader.u32le(20, "Length");
  if (length < longBytesMin || length > rsdpBytesMax) {
    reader.fail(`${length}: ${longBytesMin} to ${rsdpBytesMax} expected`, 20, "Length");
  }
  const whole = reader.slice(0, length, "RSDP");
  if (sum(whole) !== 0) reader.fail("a sum of 0 over the whole length expected", 32, "Extended Checksum");
  return new Uint8Array(whole);
}

/**
 * Offset of the first root pointer in a piece of BIOS memory that starts at a multiple of 16; null when there is none.
 */
export function findRsdp(bytes: Uint8Array): number | null {
  const reader = new ByteReader(bytes, format);
  for (let offset = 0; offset + firstBytes <= bytes.length; offset += scanStep) {
    if (reader.hasMagic(offset, signature) && sum(bytes.subarray(offset, offset + firstBytes)) === 0) return offset;
  }
  return null;
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
}
