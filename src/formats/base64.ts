import { FormatError, type FormatPlace, quote } from "./format-error.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const digitValues: ReadonlyMap<string, number> = new Map([...alphabet].map((digit, value) => [digit, value]));

/**
 * Canonical base64 (RFC 4648, section 4): padded, without white space, and the bits that no byte uses are zero, so that the
 * same bytes have one form only. Throws {@link FormatError} at `place`.
 */
export function decodeBase64(text: string, format: string, place: FormatPlace): Uint8Array {
  if (text.length % 4 !== 0) {
    throw new FormatError(format, `base64 in groups of 4 characters expected, not ${text.length} characters`, place);
  }
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let bitCount = 0;
  let at = 0;
  for (let index = 0; index < text.length - padding; index++) {
    const digit = text.charAt(index);
    const value = digitValues.get(digit);
    if (value === undefined) throw new FormatError(format, `base64 expected, not ${quote(digit)}`, place);
    bits = ((bits << 6) | value) & 0xfff;
    bitCount += 6;
    if (bitCount < 8) continue;
    bitCount -= 8;
    bytes[at++] = (bits >> bitCount) & 0xff;
  }
  if ((bits & ((1 << bitCount) - 1)) !== 0) throw new FormatError(format, "unused bits of base64 are not zero", place);
  return bytes;
}

/** Base64 (RFC 4648, section 4), padded. */
export function encodeBase64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const [a = 0, b = 0, c = 0] = bytes.subarray(i, i + 3);
    const bits = (a << 16) | (b << 8) | c;
    const digits = [18, 12, 6, 0].map((shift) => alphabet.charAt((bits >> shift) & 63)).join("");
    const left = bytes.length - i;
    text += left >= 3 ? digits : digits.slice(0, left + 1).padEnd(4, "=");
  }
  return text;
}
