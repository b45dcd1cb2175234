import { ByteReader } from "./bytes.ts";
import { derBytesMax, derDepthMax, derTag } from "./der.ts";

/*
 * The basic encoding rules of ASN.1 as programs that write before they know the length use them: indefinite lengths, strings
 * in pieces. Source: ITU-T X.690, sections 8.1.3, 8.1.5 and 8.7.3.
 */

/** Most elements that are taken, on all levels. */
export const berElementsMax = 65_536;

const constructedOctetString = derTag.octetString | 0x20;

/** An element in DER, and where the input goes on. */
interface Converted {
  readonly der: Uint8Array;
  readonly end: number;
}

/**
 * One element in BER that takes up the whole input, with lengths that are definite and short, and OCTET STRINGs in one
 * piece. Values are not changed otherwise: what reads the result finds what is no DER.
 *
 * @throws FormatError with the offset; trailing data is an error.
 */
export function derOfBer(bytes: Uint8Array, format: string): Uint8Array {
  const reader = new ByteReader(bytes, format);
  if (bytes.length > derBytesMax) reader.fail(`${bytes.length} bytes, at most ${derBytesMax} are taken`);
  const left = { elements: berElementsMax };
  const { der, end } = convert(reader, 0, bytes.length, 0, left);
  if (end !== bytes.length) reader.fail("nothing more expected", end);
  return der;
}

function convert(
  reader: ByteReader,
  start: number,
  limit: number,
  depth: number,
  left: { elements: number },
): Converted {
  if (depth > derDepthMax) reader.fail(`nested deeper than ${derDepthMax}`, start);
  if (left.elements-- === 0) reader.fail(`at most ${berElementsMax} elements are taken`, start);
  const tag = reader.u8(start, "tag");
  if ((tag & 0x1f) === 0x1f) reader.fail("a tag of one byte expected", start);
  const { length, at } = readLength(reader, start + 1);
  const constructed = (tag & 0x20) !== 0;
  if (length === null && !constructed) reader.fail("a definite length expected", start);
  const end = length === null ? limit : at + length;
  if (end > limit) reader.fail(`${length} byte(s) expected, the element around ends at ${limit}`, start);
  if (!constructed) return { der: element(tag, [reader.slice(at, end - at, "value")]), end };
  const parts: Uint8Array[] = [];
  let next = at;
  while (length === null ? !isEnd(reader, next, limit) : next < end) {
    const inner = convert(reader, next, end, depth + 1, left);
    if (tag === constructedOctetString) parts.push(stringPiece(reader, inner.der, next));
    else parts.push(inner.der);
    next = inner.end;
  }
  const outTag = tag === constructedOctetString ? derTag.octetString : tag;
  return { der: element(outTag, parts), end: length === null ? next + 2 : end };
}

/** Null: indefinite. */
function readLength(reader: ByteReader, offset: number): { readonly length: number | null; readonly at: number } {
  const first = reader.u8(offset, "length");
  if (first < 0x80) return { length: first, at: offset + 1 };
  if (first === 0x80) return { length: null, at: offset + 1 };
  const count = first & 0x7f;
  if (count > 4) reader.fail(`a length of at most 4 bytes expected, not ${count}`, offset);
  let length = 0;
  for (let i = 1; i <= count; i++) length = length * 256 + reader.u8(offset + i, "length");
  return { length, at: offset + 1 + count };
}

/** The two bytes of 0 that end an element of indefinite length. */
function isEnd(reader: ByteReader, offset: number, limit: number): boolean {
  if (offset + 2 > limit) reader.fail("the end of the element expected", offset);
  if (reader.u8(offset, "end") !== 0) return false;
  if (reader.u8(offset + 1, "end") !== 0) reader.fail("the end of the element expected", offset);
  return true;
}

/** What a piece of a string adds: it is an OCTET STRING in DER by now. */
function stringPiece(reader: ByteReader, der: Uint8Array, offset: number): Uint8Array {
  if (der[0] !== derTag.octetString) reader.fail("a piece of an OCTET STRING expected", offset);
  const first = der[1] ?? 0;
  return der.subarray(first < 0x80 ? 2 : 2 + (first & 0x7f));
}

function element(tag: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const header = [tag, ...lengthBytes(length)];
  const der = new Uint8Array(header.length + length);
  der.set(header);
  let at = header.length;
  for (const part of parts) {
    der.set(part, at);
    at += part.length;
  }
  return der;
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}
