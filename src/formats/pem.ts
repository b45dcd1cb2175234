import { decodeBase64 } from "./base64.ts";
import { utf8 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";
import { type NumberedLine, numberedLines } from "./lines.ts";

/*
 * Text around base64: `-----BEGIN CERTIFICATE-----`. Source: RFC 7468, sections 2 and 3. Lines may have any
 * length, and spaces may stand in the base64 and at the ends of lines; headers, which RFC 7468 does not know, are not taken.
 */

const format = "pem";

/** Longest text, bytes. */
export const pemBytesMax = 1_048_576;
export const pemBlocksMax = 512;

export interface PemBlock {
  /** `CERTIFICATE` */
  readonly label: string;
  readonly bytes: Uint8Array;
  /** Of the BEGIN line. */
  readonly line: number;
}

export interface PemText {
  /** In the order of the text; there may be none. */
  readonly blocks: readonly PemBlock[];
  /** The first line outside of the blocks that is not blank: explanatory text; null without. */
  readonly textLine: number | null;
}

/**
 * Every block of a text.
 *
 * @throws FormatError with the line for a block that is not ended or not base64, and for what is no text.
 */
export function parsePem(bytes: Uint8Array): PemText {
  if (bytes.length > pemBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${pemBytesMax} are taken`);
  }
  const blocks: PemBlock[] = [];
  let textLine: number | null = null;
  let open: OpenBlock | null = null;
  for (const line of numberedLines(utf8(bytes, format), format)) {
    const boundary = readBoundary(line);
    if (open === null) {
      if (boundary?.kind === "BEGIN") open = { label: boundary.label, line: line.number, lines: [] };
      else if (boundary !== null) throw new FormatError(format, "a BEGIN line expected", { line: line.number });
      else if (line.text.trim() !== "") textLine ??= line.number;
    } else if (boundary === null) open.lines.push(line);
    else {
      if (boundary.kind !== "END" || boundary.label !== open.label) {
        throw new FormatError(format, `"-----END ${open.label}-----" expected`, { line: line.number });
      }
      if (blocks.length === pemBlocksMax) {
        throw new FormatError(format, `at most ${pemBlocksMax} blocks are taken`, { line: line.number });
      }
      blocks.push({ label: open.label, bytes: decode(open), line: open.line });
      open = null;
    }
  }
  if (open !== null) {
    throw new FormatError(format, `"-----END ${open.label}-----" expected before the end`, { line: open.line });
  }
  return { blocks, textLine };
}

interface OpenBlock {
  readonly label: string;
  readonly line: number;
  readonly lines: NumberedLine[];
}

function readBoundary({ text, number }: NumberedLine): { readonly kind: string; readonly label: string } | null {
  if (!text.startsWith("-----")) return null;
  const [, kind, label] = /^-----(BEGIN|END) ([ -,.-~][ -~]{0,62}[ -,.-~])-----[ \t]*$/.exec(text) ?? [];
  if (kind === undefined || label === undefined) {
    throw new FormatError(format, `a BEGIN or an END line expected, not ${quote(text)}`, { line: number });
  }
  return { kind, label };
}

function decode({ lines, line: begin }: OpenBlock): Uint8Array {
  const header = lines.find(({ text }) => text.includes(":"));
  if (header !== undefined) {
    throw new FormatError(format, `base64 expected, not the header ${quote(header.text)}`, { line: header.number });
  }
  const text = lines.map((line) => line.text.replace(/[ \t]+/g, "")).join("");
  if (text === "") throw new FormatError(format, "base64 expected, the block is empty", { line: begin });
  return decodeBase64(text, format, { line: begin });
}
