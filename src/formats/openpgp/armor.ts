import { decodeBase64 } from "../base64.ts";
import { latin1 } from "../bytes.ts";
import { FormatError, quote } from "../format-error.ts";
import { type NumberedLine, numberedLines } from "../lines.ts";

/** Largest text with armored blocks, bytes. */
export const armorBytesMax = 6_291_456;

/** Most blocks of one text. */
export const armorBlocksMax = 256;

/** Most header lines of a block. */
export const armorHeadersMax = 64;

/** `SIGNATURE`, `PUBLIC KEY BLOCK`, … (RFC 9580, section 6.2.1). */
export interface ArmorBlock {
  readonly kind: string;
  /** Of its first line, counting from 1. */
  readonly line: number;
  readonly data: Uint8Array;
}

const beginning = /^-----BEGIN PGP ([A-Z0-9 ,/]{1,40})-----$/;
/** Characters that are looked at to tell what a file is. */
const glanceBytes = 256;

/** What the first line says that the text is, `SIGNATURE`; null when it is no armored text. */
export function armorKind(bytes: Uint8Array): string | null {
  const [first = ""] = latin1(bytes.subarray(0, glanceBytes)).trimStart().split("\n", 1);
  return beginning.exec(first.trimEnd())?.[1] ?? null;
}

/**
 * Reads armored text (RFC 9580, section 6): blocks with empty lines between them and nothing else. The headers are passed
 * over, nothing signs them. The checksum may be missing; where it is there, it has to be right. Throws {@link FormatError}.
 */
export function readArmor(bytes: Uint8Array, format: string): readonly ArmorBlock[] {
  if (bytes.length > armorBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${armorBytesMax} are taken`);
  }
  const lines = new LineCursor(latin1(bytes), format);
  const blocks: ArmorBlock[] = [];
  for (lines.skipEmpty(); !lines.atEnd; lines.skipEmpty()) {
    if (blocks.length === armorBlocksMax) lines.fail(`at most ${armorBlocksMax} armored blocks are taken`);
    blocks.push(readBlock(lines, format));
  }
  return blocks;
}

function readBlock(lines: LineCursor, format: string): ArmorBlock {
  const line = lines.number;
  const kind = beginning.exec(lines.text)?.[1];
  if (kind === undefined) return lines.fail(`"-----BEGIN PGP …-----" expected, not ${quote(lines.text)}`);
  lines.next();
  skipHeaders(lines);
  const digits: string[] = [];
  while (!lines.text.startsWith("-") && !lines.text.startsWith("=")) digits.push(lines.take());
  const data = decodeBase64(digits.join(""), format, { line });
  if (lines.text.startsWith("=")) checkChecksum(lines, format, data);
  if (lines.text !== `-----END PGP ${kind}-----`) {
    return lines.fail(`"-----END PGP ${kind}-----" expected, not ${quote(lines.text)}`);
  }
  lines.next();
  return { kind, line, data };
}

/** `Key: value` lines, ended by an empty line (section 6.2.2). */
function skipHeaders(lines: LineCursor): void {
  for (let count = 0; lines.text !== ""; count++) {
    if (count === armorHeadersMax) lines.fail(`at most ${armorHeadersMax} header lines are taken`);
    if (!/^[A-Za-z0-9-]+:/.test(lines.text)) lines.fail(`a header or an empty line expected, not ${quote(lines.text)}`);
    lines.next();
  }
  lines.next();
}

function checkChecksum(lines: LineCursor, format: string, data: Uint8Array): void {
  const { number } = lines;
  const bytes = decodeBase64(lines.take().slice(1), format, { line: number });
  const expected = crc24(data);
  const actual = bytes.length === 3 ? ((bytes[0] ?? 0) << 16) | ((bytes[1] ?? 0) << 8) | (bytes[2] ?? 0) : null;
  if (actual !== expected) throw new FormatError(format, "the checksum (CRC-24) is wrong", { line: number });
}

/** RFC 9580, section 6.1.1 */
function crc24(bytes: Uint8Array): number {
  let crc = 0xb704ce;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit++) {
      crc <<= 1;
      if ((crc & 0x1000000) !== 0) crc ^= 0x1864cfb;
    }
  }
  return crc;
}

/** Goes through the lines; white space at their ends does not count. */
class LineCursor {
  readonly #lines: readonly NumberedLine[];
  readonly #format: string;
  #at = 0;

  constructor(text: string, format: string) {
    this.#lines = numberedLines(text, format);
    this.#format = format;
  }

  get atEnd(): boolean {
    return this.#at >= this.#lines.length;
  }
  get number(): number {
    return this.#at + 1;
  }
  /** The line; a {@link FormatError} at the end. */
  get text(): string {
    const line = this.#lines[this.#at];
    if (line === undefined) return this.fail("the armored text ends before its last line");
    return line.text.replace(/[ \t\r]+$/, "");
  }
  next(): void {
    this.#at++;
  }
  take(): string {
    const { text } = this;
    this.next();
    return text;
  }
  skipEmpty(): void {
    while (!this.atEnd && this.text === "") this.next();
  }
  fail(detail: string): never {
    throw new FormatError(this.#format, detail, { line: this.number });
  }
}
