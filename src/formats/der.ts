import { ByteReader, latin1, utf8 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";

/*
 * The distinguished encoding rules of ASN.1: one byte of tag, lengths that are definite and as short as they can be,
 * one form of each value. Source: ITU-T X.690, sections 8, 10 and 11.
 */

/** Longest element that is taken, bytes with its header: lengths of up to 3 bytes. */
export const derBytesMax = 0xff_ffff;
/** Deepest nesting that is read. */
export const derDepthMax = 24;
/** Most elements that one SEQUENCE or SET may hold. */
export const derElementsMax = 4096;
/** Longest object identifier, bytes. */
export const oidBytesMax = 64;

/** Identifier octets: class, form and number. */
export const derTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The identifier octet of `[number]`. */
export function contextTag(number: number, form: "constructed" | "primitive"): number {
  return 0x80 | number | (form === "constructed" ? 0x20 : 0);
}

/** One element: its identifier octet, and where it stands. */
export interface DerElement {
  readonly tag: number;
  /** With its header; a view. */
  readonly der: Uint8Array;
  readonly content: Uint8Array;
  /** Of the content, from the start of the whole input. */
  readonly offset: number;
  /** How deep it lies: 0 on top. */
  readonly depth: number;
  readonly format: string;
}

/** Reads elements one after the other. All errors are {@link FormatError} with the offset in the whole input. */
export class DerReader {
  readonly #reader: ByteReader;
  readonly #depth: number;
  #at = 0;
  #count = 0;

  /** @param base where `bytes` start in the whole input */
  constructor(bytes: Uint8Array, format: string, base = 0, depth = 0) {
    this.#reader = new ByteReader(bytes, format, base);
    this.#depth = depth;
    if (depth > derDepthMax) this.#reader.fail(`nested deeper than ${derDepthMax}`, 0);
  }

  get done(): boolean {
    return this.#at >= this.#reader.length;
  }

  /** The identifier octet of the next element; null at the end. */
  peek(): number | null {
    return this.#reader.bytes[this.#at] ?? null;
  }

  /** The next element, whatever it is. */
  any(field: string): DerElement {
    this.#count++;
    if (this.#count > derElementsMax) this.fail(`at most ${derElementsMax} elements are taken`, field);
    const reader = this.#reader;
    const start = this.#at;
    const tag = reader.u8(start, field);
    if ((tag & 0x1f) === 0x1f) this.fail("a tag of one byte expected", field);
    const first = reader.u8(start + 1, field);
    let length = first;
    let header = 2;
    if (first >= 0x80) {
      const bytes = first & 0x7f;
      if (bytes === 0) this.fail("a definite length expected", field);
      if (bytes > 3) this.fail(`a length of at most 3 bytes expected, not ${bytes}`, field);
      length = 0;
      for (let i = 0; i < bytes; i++) length = length * 256 + reader.u8(start + 2 + i, field);
      header += bytes;
      if (length < 0x80 || length < 2 ** (8 * (bytes - 1)))
        this.fail("the shortest form of the length expected", field);
    }
    const der = reader.slice(start, header + length, field);
    this.#at = start + header + length;
    return {
      tag,
      der,
      content: der.subarray(header),
      offset: reader.base + start + header,
      depth: this.#depth,
      format: reader.format,
    };
  }

  /** The next element, which has to have this identifier octet. */
  take(tag: number, field: string): DerElement {
    const found = this.peek();
    if (found !== null && found !== tag) this.fail(`tag ${tagText(tag)} expected, not ${tagText(found)}`, field);
    return this.any(field);
  }

  /** The next element if it has this identifier octet, else null. */
  optional(tag: number, field: string): DerElement | null {
    return this.peek() === tag ? this.any(field) : null;
  }

  /** Inside the next element, which has to have this identifier octet. */
  enter(tag: number, field: string): DerReader {
    return derInside(this.take(tag, field));
  }

  sequence(field: string): DerReader {
    return this.enter(derTag.sequence, field);
  }

  /** Nothing may follow. */
  end(field: string): void {
    if (!this.done) this.fail("nothing more expected", field);
  }

  fail(detail: string, field: string): never {
    this.#reader.fail(detail, this.#at, field);
  }
}

function tagText(tag: number): string {
  return `0x${tag.toString(16).padStart(2, "0")}`;
}

/** What a constructed element holds. */
export function derInside(element: DerElement): DerReader {
  return new DerReader(element.content, element.format, element.offset, element.depth + 1);
}

/** Reads one element that takes up the whole input. */
export function derWhole(bytes: Uint8Array, tag: number, format: string, field: string): DerElement {
  const reader = new DerReader(bytes, format);
  const element = reader.take(tag, field);
  reader.end(field);
  return element;
}

function fail(element: DerElement, detail: string, field: string): never {
  throw new FormatError(element.format, detail, { offset: element.offset, field });
}

/** BOOLEAN: 0 or 255 (X.690, section 11.1). */
export function derBoolean(element: DerElement, field: string): boolean {
  const [value, more] = element.content;
  if (more !== undefined || (value !== 0 && value !== 0xff)) fail(element, "a BOOLEAN of 0 or 255 expected", field);
  return value === 0xff;
}

/** INTEGER: its bytes, big-endian, two's complement, as few as can be (X.690, section 8.3). */
export function derInteger(element: DerElement, field: string): Uint8Array {
  const [first, second] = element.content;
  if (first === undefined) fail(element, "an INTEGER of at least one byte expected", field);
  if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
    fail(element, "the shortest form of the INTEGER expected", field);
  }
  return element.content;
}

/** An INTEGER from 0 to 2^31 - 1. */
export function derSmallInteger(element: DerElement, field: string): number {
  const bytes = derInteger(element, field);
  if (bytes.length > 4 || (bytes[0] ?? 0) >= 0x80) fail(element, "a whole number below 2^31 expected", field);
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

/** OBJECT IDENTIFIER as dotted numbers (X.690, section 8.19). */
export function derOid(element: DerElement, field: string): string {
  const { content } = element;
  if (content.length === 0 || content.length > oidBytesMax) {
    fail(element, `an object identifier of 1 to ${oidBytesMax} bytes expected`, field);
  }
  const arcs: bigint[] = [];
  let arc = 0n;
  let starts = true;
  for (const byte of content) {
    if (starts && byte === 0x80) fail(element, "the shortest form of the object identifier expected", field);
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    starts = byte < 0x80;
    if (!starts) continue;
    if (arcs.length === 0) {
      const root = arc < 80n ? arc / 40n : 2n;
      arcs.push(root, arc - root * 40n);
    } else arcs.push(arc);
    arc = 0n;
  }
  if (!starts) fail(element, "the object identifier ends inside a number", field);
  return arcs.join(".");
}

export interface BitString {
  readonly bytes: Uint8Array;
  /** Bits of the last byte that are no part of it; they are 0. */
  readonly unusedBits: number;
}

/** BIT STRING (X.690, sections 8.6 and 11.2). */
function derBitString(element: DerElement, field: string): BitString {
  const unusedBits = element.content[0];
  const bytes = element.content.subarray(1);
  const last = bytes.at(-1);
  if (unusedBits === undefined || unusedBits > 7 || (last === undefined && unusedBits > 0)) {
    fail(element, "a BIT STRING expected", field);
  }
  if (((last ?? 0) & ((1 << unusedBits) - 1)) !== 0) fail(element, "unused bits of 0 expected", field);
  return { bytes, unusedBits };
}

/** A BIT STRING of whole bytes: keys and signatures. */
export function derBitStringBytes(element: DerElement, field: string): Uint8Array {
  const { bytes, unusedBits } = derBitString(element, field);
  if (unusedBits !== 0) fail(element, "a BIT STRING of whole bytes expected", field);
  return bytes;
}

/** The numbers of the bits that are set in a BIT STRING of named bits; bit 0 is the first. */
export function derNamedBits(element: DerElement, field: string): ReadonlySet<number> {
  const { bytes } = derBitString(element, field);
  if (bytes.length > 4) fail(element, "at most 32 named bits expected", field);
  const bits = new Set<number>();
  for (const [index, byte] of bytes.entries()) {
    for (let bit = 0; bit < 8; bit++) if ((byte & (0x80 >> bit)) !== 0) bits.add(index * 8 + bit);
  }
  return bits;
}

/**
 * UTCTime `YYMMDDhhmmssZ` (years 1950 to 2049) or GeneralizedTime `YYYYMMDDhhmmssZ` without fractions (RFC 5280,
 * section 4.1.2.5), milliseconds since 1970.
 */
export function derTime(element: DerElement, field: string): number {
  const text = latin1(element.content.subarray(0, 20));
  const long = element.tag === derTag.generalizedTime;
  if (!long && element.tag !== derTag.utcTime) fail(element, "a UTCTime or a GeneralizedTime expected", field);
  const parts = (long ? /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/).exec(
    text,
  );
  const wrong = (): never =>
    fail(element, `a time as "${long ? "2026" : "26"}1120093000Z" expected, not ${quote(text)}`, field);
  if (parts === null) return wrong();
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1).map(Number);
  const time = new Date(0);
  time.setUTCFullYear(long ? year : year < 50 ? 2000 + year : 1900 + year, month - 1, day);
  time.setUTCHours(hour, minute, second);
  const isReal =
    time.getUTCMonth() === month - 1 && time.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  return isReal ? time.getTime() : wrong();
}

/** Text of any of ASN.1's string types; null when the element is none, or not what its type says. */
export function derText(element: DerElement): string | null {
  const { content } = element;
  switch (element.tag) {
    case derTag.utf8String:
      try {
        return utf8(content, element.format);
      } catch {
        return null;
      }
    case derTag.printableString:
    case derTag.ia5String:
    case derTag.numericString:
    case derTag.visibleString:
    case derTag.teletexString:
      return latin1(content);
    case derTag.bmpString:
      if (content.length % 2 !== 0) return null;
      return new TextDecoder("utf-16be").decode(content);
    default:
      return null;
  }
}
