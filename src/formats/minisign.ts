import { utf8 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";
import { type NumberedLine, numberedLines } from "./lines.ts";

/** Longest key or signature file, in bytes: room for both comments at their longest. */
export const minisignFileBytesMax = 16_384;

/** Longest untrusted comment with its prefix, in UTF-8 bytes; minisign's own limit. */
export const untrustedCommentBytesMax = 1024;

/** Longest trusted comment with its prefix, in UTF-8 bytes; minisign's own limit. */
export const trustedCommentBytesMax = 8192;

export interface MinisignPublicKey {
  /** Of the file's first line, which nothing signs; null when the key came as one line of base64. */
  readonly untrustedComment: string | null;
  /** As minisign prints it: 16 upper-case hexadecimal digits of the little-endian 64-bit number. */
  readonly keyId: string;
  /** Ed25519 public key, 32 bytes. */
  readonly key: Uint8Array;
}

export interface MinisignSignature {
  /** Nothing signs this. */
  readonly untrustedComment: string;
  /** `ED`: over the BLAKE2b-512 of the file; `Ed` (legacy): over the file itself. */
  readonly algorithm: "prehashed" | "legacy";
  readonly keyId: string;
  /** Ed25519 signature of the file, 64 bytes. */
  readonly signature: Uint8Array;
  /** To be trusted only once the global signature has been verified. */
  readonly trustedComment: string;
  /** Ed25519 signature over `globalMessage`, 64 bytes. */
  readonly globalSignature: Uint8Array;
  /** The file's signature followed by the trusted comment's bytes: what the global signature signs. */
  readonly globalMessage: Uint8Array;
}

const untrustedPrefix = "untrusted comment: ";
const trustedPrefix = "trusted comment: ";

/**
 * Parses a public key file (minisign, "Public key format"): an untrusted comment line, then base64 of `Ed`, the key id (8
 * bytes) and the Ed25519 public key (32 bytes). Throws {@link FormatError} with the line; anything more is refused.
 */
export function parseMinisignPublicKey(bytes: Uint8Array): MinisignPublicKey {
  const lines = readLines(bytes, "minisign public key", 2);
  const untrustedComment = comment(lines, 0, untrustedPrefix, untrustedCommentBytesMax, "minisign public key");
  return { ...keyFields(lineAt(lines, 1, "minisign public key")), untrustedComment };
}

/** Parses the one-line form of a public key, as `minisign -P` takes it. Throws {@link FormatError}. */
export function parseMinisignPublicKeyLine(base64: string): MinisignPublicKey {
  return { ...keyFields({ number: 1, text: base64 }), untrustedComment: null };
}

function keyFields(line: NumberedLine): Pick<MinisignPublicKey, "keyId" | "key"> {
  const format = "minisign public key";
  const data = decodeBase64(line, 42, format);
  const algorithm = String.fromCharCode(data[0] ?? 0, data[1] ?? 0);
  if (algorithm !== "Ed") {
    throw new FormatError(format, `algorithm "Ed" expected, not ${quote(algorithm)}`, { line: line.number });
  }
  return { keyId: keyIdText(data.subarray(2, 10)), key: data.slice(10, 42) };
}

/**
 * Parses a signature file (minisign, "Signature format"): untrusted comment, base64 of algorithm, key id (8 bytes) and
 * signature (64 bytes), trusted comment, base64 of the global signature (64 bytes). Throws {@link FormatError} with the
 * line; anything more is refused. Nothing is verified here.
 */
export function parseMinisignSignature(bytes: Uint8Array): MinisignSignature {
  const format = "minisign signature";
  const lines = readLines(bytes, format, 4);
  const untrustedComment = comment(lines, 0, untrustedPrefix, untrustedCommentBytesMax, format);
  const signatureLine = lineAt(lines, 1, format);
  const data = decodeBase64(signatureLine, 74, format);
  const letters = String.fromCharCode(data[0] ?? 0, data[1] ?? 0);
  if (letters !== "Ed" && letters !== "ED") {
    const detail = `algorithm "ED" or "Ed" expected, not ${quote(letters)}`;
    throw new FormatError(format, detail, { line: signatureLine.number });
  }
  const trustedComment = comment(lines, 2, trustedPrefix, trustedCommentBytesMax, format);
  const signature = data.slice(10, 74);
  return {
    untrustedComment,
    algorithm: letters === "ED" ? "prehashed" : "legacy",
    keyId: keyIdText(data.subarray(2, 10)),
    signature,
    trustedComment,
    globalSignature: decodeBase64(lineAt(lines, 3, format), 64, format),
    globalMessage: Uint8Array.of(...signature, ...new TextEncoder().encode(trustedComment)),
  };
}

function readLines(bytes: Uint8Array, format: string, count: number): NumberedLine[] {
  if (bytes.length > minisignFileBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${minisignFileBytesMax} are taken`);
  }
  // Decoding would drop a byte order mark silently, and with it the file would no longer be the bytes that were looked at.
  if (bytes[0] === 0xef) throw new FormatError(format, `"${untrustedPrefix}" expected`, { line: 1 });
  const lines = numberedLines(utf8(bytes, format), format);
  const extra = lines[count];
  if (extra !== undefined) throw new FormatError(format, `end expected after line ${count}`, { line: extra.number });
  return lines;
}

function lineAt(lines: readonly NumberedLine[], index: number, format: string): NumberedLine {
  const line = lines[index];
  if (line === undefined) throw new FormatError(format, "the file ends before this line", { line: index + 1 });
  return line;
}

function comment(lines: readonly NumberedLine[], index: number, prefix: string, max: number, format: string): string {
  const { text, number: line } = lineAt(lines, index, format);
  if (!text.startsWith(prefix)) throw new FormatError(format, `"${prefix}" expected, not ${quote(text)}`, { line });
  // minisign cuts its comment at a carriage return or NUL: what is signed must be what is read here.
  if (/[\0\r]/.test(text)) throw new FormatError(format, "NUL or carriage return inside the comment", { line });
  const length = new TextEncoder().encode(text).length;
  if (length > max) throw new FormatError(format, `comment of ${length} bytes, at most ${max} are taken`, { line });
  return text.slice(prefix.length);
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Canonical base64 (RFC 4648, section 4) of exactly `length` bytes: padded, and the bits that no byte uses are zero. */
function decodeBase64(line: NumberedLine, length: number, format: string): Uint8Array {
  const place = { line: line.number };
  const expected = Math.ceil(length / 3) * 4;
  if (line.text.length !== expected) {
    throw new FormatError(format, `${expected} characters of base64 expected, not ${line.text.length}`, place);
  }
  const padding = expected - Math.ceil((length * 4) / 3);
  const digits = line.text.slice(0, expected - padding);
  if (line.text.slice(digits.length) !== "=".repeat(padding)) {
    throw new FormatError(format, `base64 that ends in ${padding} "=" expected`, place);
  }
  const bytes = new Uint8Array(length);
  let bits = 0;
  let bitCount = 0;
  let at = 0;
  for (const digit of digits) {
    const value = base64Alphabet.indexOf(digit);
    if (value < 0) throw new FormatError(format, `base64 expected, not ${quote(digit)}`, place);
    bits = ((bits << 6) | value) & 0xfff;
    bitCount += 6;
    if (bitCount < 8) continue;
    bitCount -= 8;
    bytes[at++] = (bits >> bitCount) & 0xff;
  }
  if ((bits & ((1 << bitCount) - 1)) !== 0) throw new FormatError(format, "unused bits of base64 are not zero", place);
  return bytes;
}

function keyIdText(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text = byte.toString(16).padStart(2, "0") + text;
  return text.toUpperCase();
}
