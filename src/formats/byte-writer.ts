import { FormatError } from "./format-error.ts";

/**
 * A little-endian writer over zeroed bytes of a fixed length. Nothing is cut: a value that its field cannot hold, or a
 * field that leaves the bytes, is a {@link FormatError} with the field's name.
 */
export class ByteWriter {
  readonly bytes: Uint8Array;
  readonly format: string;
  readonly #view: DataView;

  /** @param bytes how many, or the bytes to write over */
  constructor(bytes: number | Uint8Array, format: string) {
    this.bytes = typeof bytes === "number" ? new Uint8Array(bytes) : bytes;
    this.format = format;
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  }

  u8(offset: number, value: number, field: string): void {
    this.#view.setUint8(this.#room(offset, 1, field), this.#whole(value, 0xff, offset, field));
  }
  u16(offset: number, value: number, field: string): void {
    this.#view.setUint16(this.#room(offset, 2, field), this.#whole(value, 0xffff, offset, field), true);
  }
  u32(offset: number, value: number, field: string): void {
    this.#view.setUint32(this.#room(offset, 4, field), this.#whole(value, 0xffff_ffff, offset, field), true);
  }
  u64(offset: number, value: number | bigint, field: string): void {
    const wide = typeof value === "bigint" ? value : BigInt(this.#whole(value, Number.MAX_SAFE_INTEGER, offset, field));
    if (wide < 0n || wide > 0xffff_ffff_ffff_ffffn) {
      this.fail(`0x${wide.toString(16)}: 64 bits without a sign expected`, offset, field);
    }
    this.#view.setBigUint64(this.#room(offset, 8, field), wide, true);
  }

  set(offset: number, content: Uint8Array, field: string): void {
    this.bytes.set(content, this.#room(offset, content.length, field));
  }

  fail(detail: string, offset: number, field: string): never {
    throw new FormatError(this.format, detail, { offset, field });
  }

  #room(offset: number, length: number, field: string): number {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + length > this.bytes.length) {
      this.fail(`${length} byte(s) do not fit into ${this.bytes.length}`, offset, field);
    }
    return offset;
  }

  #whole(value: number, max: number, offset: number, field: string): number {
    if (!Number.isSafeInteger(value) || value < 0 || value > max) {
      this.fail(`${hexOrText(value)}: a whole number up to 0x${max.toString(16)} expected`, offset, field);
    }
    return value;
  }
}

function hexOrText(value: number): string {
  return Number.isSafeInteger(value) && value >= 0 ? `0x${value.toString(16)}` : String(value);
}

/** The next multiple of `unit` (a power of two or any other whole number) from `value` on. */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** UTF-8 with a NUL behind. A NUL inside, which would end the text early, is a {@link FormatError}. */
export function cString(text: string, format: string, field: string): Uint8Array {
  if (text.includes("\0")) throw new FormatError(format, "text without NUL expected", { field });
  return new TextEncoder().encode(`${text}\0`);
}
