import { FormatError } from "./format-error.ts";

/**
 * A bounded reader over bytes. Every access is checked: a read that would pass the end throws {@link FormatError} with
 * the offset and the name of the field, and a sub-range is exactly as long as asked for.
 */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly format: string;
  /** Where the bytes start in the whole input: errors give offsets in that. */
  readonly base: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, format: string, base = 0) {
    this.bytes = bytes;
    this.format = format;
    this.base = base;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.byteLength;
  }

  /** Whether `length` bytes from `offset` lie inside the input. */
  has(offset: number, length: number): boolean {
    return Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= this.length;
  }

  u8(offset: number, field: string): number {
    return this.#view.getUint8(this.#check(offset, 1, field));
  }
  u16le(offset: number, field: string): number {
    return this.#view.getUint16(this.#check(offset, 2, field), true);
  }
  u16be(offset: number, field: string): number {
    return this.#view.getUint16(this.#check(offset, 2, field), false);
  }
  u32le(offset: number, field: string): number {
    return this.#view.getUint32(this.#check(offset, 4, field), true);
  }
  u32be(offset: number, field: string): number {
    return this.#view.getUint32(this.#check(offset, 4, field), false);
  }
  u64le(offset: number, field: string): bigint {
    return this.#view.getBigUint64(this.#check(offset, 8, field), true);
  }
  u64be(offset: number, field: string): bigint {
    return this.#view.getBigUint64(this.#check(offset, 8, field), false);
  }

  /** A view (not a copy) of exactly `length` bytes. */
  slice(offset: number, length: number, field: string): Uint8Array {
    this.#check(offset, length, field);
    return this.bytes.subarray(offset, offset + length);
  }

  /** Bytes as text, one character a byte (Latin-1), up to the first NUL. */
  latin1(offset: number, length: number, field: string): string {
    const bytes = this.slice(offset, length, field);
    const end = bytes.indexOf(0);
    return latin1(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** Whether the ASCII text `magic` stands at `offset`; false, not an error, when the input ends before. */
  hasMagic(offset: number, magic: string): boolean {
    if (!this.has(offset, magic.length)) return false;
    for (let i = 0; i < magic.length; i++) if (this.bytes[offset + i] !== magic.charCodeAt(i)) return false;
    return true;
  }

  fail(detail: string, offset?: number, field?: string): never {
    throw new FormatError(this.format, detail, {
      ...(offset === undefined ? {} : { offset: this.base + offset }),
      ...(field === undefined ? {} : { field }),
    });
  }

  #check(offset: number, length: number, field: string): number {
    if (!this.has(offset, length)) {
      this.fail(`${length} byte(s) expected, the input ends at ${this.base + this.length}`, offset, field);
    }
    return offset;
  }
}

const latin1ChunkBytes = 8192;

/** One character a byte. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += latin1ChunkBytes) {
    text += String.fromCharCode(...bytes.subarray(i, i + latin1ChunkBytes));
  }
  return text;
}

/** Strict UTF-8; a byte sequence that is not UTF-8 is a {@link FormatError}. A leading byte order mark is dropped. */
export function utf8(bytes: Uint8Array, format: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new FormatError(format, "text in UTF-8 expected");
  }
}

/** Lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** 16 bytes in big-endian (RFC 9562) order as `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`. */
export function uuidText(bytes: Uint8Array): string {
  const text = hex(bytes);
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20, 32)].join("-");
}

/** 16 bytes of an EFI GUID (first three fields little-endian; UEFI 2.10, Appendix A) in lower case. */
export function guidText(bytes: Uint8Array): string {
  const b = (i: number): number => bytes[i] ?? 0;
  return uuidText(Uint8Array.of(b(3), b(2), b(1), b(0), b(5), b(4), b(7), b(6), ...bytes.subarray(8, 16)));
}

/** Bytes one after the other, in one array. */
export function joinBytes(pieces: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

/** Whether two byte strings are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
