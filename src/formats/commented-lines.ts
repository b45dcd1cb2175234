import { decodeBase64 } from "./base64.ts";
import { utf8 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";
import { type NumberedLine, numberedLines } from "./lines.ts";

/** Longest key or signature file of minisign and signify, bytes: room for both comments at their longest. */
export const minisignFileBytesMax = 16_384;

/** Longest untrusted comment with its prefix, in UTF-8 bytes; minisign's own limit. */
export const untrustedCommentBytesMax = 1024;

export const untrustedPrefix = "untrusted comment: ";

/** The lines of a file as minisign and signify write them: comments and base64. Throws {@link FormatError}. */
export function commentedLines(bytes: Uint8Array, format: string, count: number): NumberedLine[] {
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

export function lineAt(lines: readonly NumberedLine[], index: number, format: string): NumberedLine {
  const line = lines[index];
  if (line === undefined) throw new FormatError(format, "the file ends before this line", { line: index + 1 });
  return line;
}

/** A comment without its prefix. `max`: UTF-8 bytes, prefix included. Throws {@link FormatError}. */
export function commentAt(
  lines: readonly NumberedLine[],
  index: number,
  prefix: string,
  max: number,
  format: string,
): string {
  const { text, number: line } = lineAt(lines, index, format);
  if (!text.startsWith(prefix)) throw new FormatError(format, `"${prefix}" expected, not ${quote(text)}`, { line });
  // minisign cuts its comment at a carriage return or NUL: what is signed must be what is read here.
  if (/[\0\r]/.test(text)) throw new FormatError(format, "NUL or carriage return inside the comment", { line });
  const length = new TextEncoder().encode(text).length;
  if (length > max) throw new FormatError(format, `comment of ${length} bytes, at most ${max} are taken`, { line });
  return text.slice(prefix.length);
}

/** A line of canonical base64 of exactly `length` bytes. Throws {@link FormatError}. */
export function decodeLine(line: NumberedLine, length: number, format: string): Uint8Array {
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
  if (digits.includes("=")) throw new FormatError(format, `base64 expected, not "="`, place);
  return decodeBase64(line.text, format, place);
}
