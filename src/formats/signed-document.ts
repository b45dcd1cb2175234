import { latin1 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";

const format = "signed document";

/** Largest document with its signatures, bytes. */
export const signedDocumentBytesMax = 4 << 20;
export const signatureBlocksMax = 32;
/** Largest signature block, bytes. */
export const signatureBlockBytesMax = 65_536;

/** The line between what is signed and the signatures. */
const signaturesLine = "--- signatures ---";

/** A document with its signatures behind it. Nothing is verified, and nothing in the payload was looked at. */
export interface SignedDocument {
  /** What the signatures sign: every byte before the separator line. A view. */
  readonly payload: Uint8Array;
  /** Each as the tool that made it wrote it, with the line ends. Views. */
  readonly blocks: readonly Uint8Array[];
}

const armorLabels = ["SSH SIGNATURE", "PGP SIGNATURE", "CMS", "PKCS7"];
const commentPrefix = "untrusted comment: ";
const trustedPrefix = "trusted comment: ";

/**
 * Takes a document and its signatures apart (docs/trust.md, "Signed documents"). A document without the separator line has
 * no signatures. Throws {@link FormatError} with the line; lines count from the start of the document.
 */
export function splitSignedDocument(bytes: Uint8Array): SignedDocument {
  if (bytes.length > signedDocumentBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${signedDocumentBytesMax} are taken`);
  }
  const separator = findSeparator(bytes);
  if (separator === null) return { payload: bytes, blocks: [] };
  return { payload: bytes.subarray(0, separator.start), blocks: splitBlocks(bytes, separator) };
}

/** Whether a file has the separator line, so that what is behind it signs what is before it. */
export function isSignedDocument(bytes: Uint8Array): boolean {
  if (bytes.length > signedDocumentBytesMax) return false;
  for (const line of linesFrom(bytes, 0, 1)) if (textOf(bytes, line).trimEnd() === signaturesLine) return true;
  return false;
}

interface Line {
  /** From 1. */
  readonly number: number;
  readonly start: number;
  /** Behind the line feed. */
  readonly end: number;
}

function findSeparator(bytes: Uint8Array): Line | null {
  for (const line of linesFrom(bytes, 0, 1)) {
    const length = line.end - line.start;
    if (length < signaturesLine.length || length > signaturesLine.length + 2) continue;
    const text = textOf(bytes, line);
    if (text === signaturesLine) return line;
    if (text === `${signaturesLine}\r`) {
      throw new FormatError(format, `${quote(text)}, a line feed alone expected at its end`, { line: line.number });
    }
  }
  return null;
}

function* linesFrom(bytes: Uint8Array, offset: number, number: number): Generator<Line> {
  let count = number;
  for (let start = offset; start < bytes.length; count++) {
    const feed = bytes.indexOf(0x0a, start);
    const end = feed < 0 ? bytes.length : feed + 1;
    yield { number: count, start, end };
    start = end;
  }
}

/** Without the line feed. */
function textOf(bytes: Uint8Array, { start, end }: Line): string {
  return latin1(bytes.subarray(start, bytes[end - 1] === 0x0a ? end - 1 : end));
}

/** What of a block has been read. */
interface OpenBlock {
  readonly line: number;
  readonly start: number;
  /** For armor, the line that ends it; null for lines with comments. */
  readonly endLine: string | null;
  lines: number;
}

function splitBlocks(bytes: Uint8Array, separator: Line): Uint8Array[] {
  const blocks: Uint8Array[] = [];
  let open: OpenBlock | null = null;
  const close = (end: number): void => {
    if (open === null) return;
    const length = end - open.start;
    if (length > signatureBlockBytesMax) {
      throw new FormatError(format, `a signature of ${length} bytes, at most ${signatureBlockBytesMax} are taken`, {
        line: open.line,
      });
    }
    if (blocks.length === signatureBlocksMax) {
      throw new FormatError(format, `more than ${signatureBlocksMax} signatures`, { line: open.line });
    }
    blocks.push(bytes.subarray(open.start, end));
    open = null;
  };
  for (const line of linesFrom(bytes, separator.end, separator.number + 1)) {
    const text = textOf(bytes, line);
    if (text.trimEnd() === signaturesLine) {
      throw new FormatError(format, `a second ${quote(signaturesLine)}`, { line: line.number });
    }
    if (open !== null && continues(open, text)) {
      open.lines++;
      if (text.trimEnd() === open.endLine) close(line.end);
      continue;
    }
    close(line.start);
    if (text.trimEnd() !== "") open = begin(text, line);
  }
  if (open?.endLine !== undefined && open.endLine !== null) {
    throw new FormatError(format, `the document ends before ${quote(open.endLine)}`, { line: open.line });
  }
  close(bytes.length);
  return blocks;
}

function begin(text: string, line: Line): OpenBlock {
  if (text.startsWith(commentPrefix)) return { line: line.number, start: line.start, endLine: null, lines: 1 };
  const label = armorLabels.find((name) => text.trimEnd() === `-----BEGIN ${name}-----`);
  if (label !== undefined) {
    return { line: line.number, start: line.start, endLine: `-----END ${label}-----`, lines: 1 };
  }
  throw new FormatError(
    format,
    `${quote(text)}, a signature expected: "untrusted comment: " or "-----BEGIN " and one of ${armorLabels.join(", ")}`,
    { line: line.number },
  );
}

/** Armor goes on to its end line; behind a comment stand the signature and, in minisign's form, two lines more. */
function continues(block: OpenBlock, text: string): boolean {
  if (block.endLine !== null) return true;
  if (block.lines === 1)
    return !text.startsWith(commentPrefix) && !text.startsWith("-----BEGIN ") && text.trim() !== "";
  if (block.lines === 2) return text.startsWith(trustedPrefix);
  return block.lines === 3 && text.trim() !== "" && !text.startsWith(commentPrefix);
}

/**
 * Puts a document and its signatures together. Throws {@link FormatError} where {@link splitSignedDocument} would not give
 * the same back: a payload that does not end in a line feed or holds the separator line, something that is no signature.
 */
export function joinSignedDocument(payload: Uint8Array, blocks: readonly Uint8Array[]): Uint8Array {
  if (payload.length > 0 && payload.at(-1) !== 0x0a) {
    throw new FormatError(format, "the text to sign does not end in a line feed");
  }
  const own = findSeparator(payload);
  if (own !== null) {
    throw new FormatError(format, `the text to sign holds the line ${quote(signaturesLine)}`, { line: own.number });
  }
  const feed = Uint8Array.of(0x0a);
  const encoder = new TextEncoder();
  const parts = [payload, encoder.encode(`${signaturesLine}\n`)];
  for (const block of blocks) parts.push(block, ...(block.at(-1) === 0x0a ? [] : [feed]));
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  const count = splitSignedDocument(whole).blocks.length;
  if (count !== blocks.length) throw new FormatError(format, `${blocks.length} signatures read as ${count}`);
  return whole;
}
