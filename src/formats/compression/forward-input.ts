import { FormatError } from "../format-error.ts";
import type { ReadRange } from "../ranges.ts";

/** Most bytes that {@link ForwardInput.require} makes available at once. */
const windowBytes = 1 << 17;

/**
 * Readable bytes behind the last one of the input: a decoder may look this far ahead of what it has checked, and finds
 * zeroes. More than one LZMA symbol needs (20 bytes: 22 modelled bits of at most log2(2048 / 31) bits each, and 26 direct
 * ones).
 */
export const spareBytes = 32;

/**
 * Reads a compressed file from its start to its end through a small window. Running out of input is a
 * {@link FormatError} with the offset in the file.
 */
export class ForwardInput {
  readonly format: string;
  /** The window; `position` and `end` are places in it. Everything from `end` on is zero, at least {@link spareBytes}. */
  readonly window = new Uint8Array(windowBytes + spareBytes);
  /** The next byte. A decoder that works on the window itself moves it. */
  position = 0;
  end = 0;
  readonly #read: ReadRange;
  readonly #size: number;
  /** Of the window's first byte in the file. */
  #windowOffset = 0;

  /** @param size bytes of the file */
  constructor(read: ReadRange, size: number, format: string) {
    this.#read = read;
    this.#size = size;
    this.format = format;
  }

  /** Of the next byte in the file. */
  get offset(): number {
    return this.#windowOffset + this.position;
  }

  /** Bytes of the file that are not yet consumed. */
  get remaining(): number {
    return this.#size - this.offset;
  }

  /** Whether the window reaches to the end of the file. */
  get isComplete(): boolean {
    return this.#windowOffset + this.end === this.#size;
  }

  /** Fills the window, so that as much of what is left as it can hold is in it. */
  fill(): void {
    this.window.copyWithin(0, this.position, this.end);
    this.#windowOffset += this.position;
    this.end -= this.position;
    this.position = 0;
    while (this.end < windowBytes && !this.isComplete) {
      const wanted = Math.min(windowBytes - this.end, this.#size - this.#windowOffset - this.end);
      const bytes = this.#read(this.#windowOffset + this.end, wanted);
      if (bytes.length === 0 || bytes.length > wanted) {
        this.position = this.end;
        this.fail(`${wanted} byte(s) expected, ${bytes.length} read`);
      }
      this.window.set(bytes, this.end);
      this.end += bytes.length;
    }
    this.window.fill(0, this.end);
  }

  /** Has `length` bytes in the window, at most 128 KiB. */
  require(length: number, field: string): void {
    if (this.end - this.position >= length) return;
    if (this.remaining < length) {
      this.fail(`${length} byte(s) expected, the input ends after ${this.remaining}`, field);
    }
    this.fill();
  }

  /** The next byte, which stays. */
  peek(field: string): number {
    this.require(1, field);
    return this.window[this.position] ?? 0;
  }

  u8(field: string): number {
    this.require(1, field);
    return this.window[this.position++] ?? 0;
  }

  u32le(field: string): number {
    const bytes = this.take(4, field);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  }

  u16be(field: string): number {
    this.require(2, field);
    const high = this.window[this.position++] ?? 0;
    return (high << 8) | (this.window[this.position++] ?? 0);
  }

  /** The next `length` bytes, at most 128 KiB: a view that is valid until the next read. */
  take(length: number, field: string): Uint8Array {
    this.require(length, field);
    this.position += length;
    return this.window.subarray(this.position - length, this.position);
  }

  /** Goes on `length` bytes further, without reading those between. */
  skip(length: number, field: string): void {
    if (length > this.remaining) {
      this.fail(`${length} byte(s) expected, the input ends after ${this.remaining}`, field);
    }
    this.position += length;
    if (this.position <= this.end) return;
    this.#windowOffset += this.position;
    this.position = 0;
    this.end = 0;
  }

  /** Skips zeroes up to the next other byte or the end of the file. Returns how many. */
  skipZeroes(): number {
    const start = this.offset;
    while (this.remaining > 0) {
      this.require(1, "padding");
      while (this.position < this.end && this.window[this.position] === 0) this.position++;
      if (this.position < this.end) break;
    }
    return this.offset - start;
  }

  /** @param offset where in the file it is wrong, when that is not the next byte */
  fail(detail: string, field?: string, offset = this.offset): never {
    throw new FormatError(this.format, detail, { offset, ...(field === undefined ? {} : { field }) });
  }
}
