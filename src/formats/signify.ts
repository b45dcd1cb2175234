import { latin1 } from "./bytes.ts";
import {
  commentAt,
  commentedLines,
  decodeLine,
  lineAt,
  untrustedCommentBytesMax,
  untrustedPrefix,
} from "./commented-lines.ts";
import { FormatError, quote } from "./format-error.ts";
import { keyIdText } from "./minisign.ts";

const format = "signify signature";

export interface SignifySignature {
  /** Nothing signs this. */
  readonly untrustedComment: string;
  /** As minisign would print it; signify itself shows none. */
  readonly keyId: string;
  /** Ed25519 over the file itself, 64 bytes. */
  readonly signature: Uint8Array;
}

/** Whether something is a gzip archive with a signature in its comment field (RFC 1952, section 2.3), as `signify -z` makes it. */
export function isSignifyArchive(bytes: Uint8Array): boolean {
  const hasComment = bytes[0] === 0x1f && bytes[1] === 0x8b && ((bytes[3] ?? 0) & 0x10) !== 0;
  return hasComment && latin1(bytes.subarray(10, 10 + untrustedPrefix.length)) === untrustedPrefix;
}

/**
 * Parses a signature file (signify(1)): an untrusted comment line, then base64 of `Ed`, the key's number (8 bytes) and the
 * signature (64 bytes). Throws {@link FormatError} with the line; the forms that hold the message too (`-e`, `-z`) are
 * refused by name. Nothing is verified here.
 */
export function parseSignifySignature(bytes: Uint8Array): SignifySignature {
  if (isSignifyArchive(bytes)) {
    throw new FormatError(format, `an archive with its signature inside ("signify -z"), a detached signature expected`);
  }
  const head = bytes.subarray(0, endOfLine(bytes, 2));
  const lines = commentedLines(head, format, 2);
  const untrustedComment = commentAt(lines, 0, untrustedPrefix, untrustedCommentBytesMax, format);
  const line = lineAt(lines, 1, format);
  const data = decodeLine(line, 74, format);
  const letters = latin1(data.subarray(0, 2));
  if (letters !== "Ed") {
    throw new FormatError(format, `algorithm "Ed" expected, not ${quote(letters)}`, { line: line.number });
  }
  if (head.length < bytes.length) {
    const detail = `a message behind its signature ("signify -e") or another signature, a detached signature expected`;
    throw new FormatError(format, detail, { line: 3 });
  }
  return { untrustedComment, keyId: keyIdText(data.subarray(2, 10)), signature: data.slice(10, 74) };
}

/** Offset behind so many line feeds, or the length. */
function endOfLine(bytes: Uint8Array, count: number): number {
  let end = 0;
  for (let line = 0; line < count; line++) {
    const feed = bytes.indexOf(0x0a, end);
    if (feed < 0) return bytes.length;
    end = feed + 1;
  }
  return end;
}
