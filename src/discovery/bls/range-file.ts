import type { ByteRange, ReadRange } from "../../formats/ranges.ts";
import type { OpenFile } from "../source.ts";
import { Refusal } from "./refusal.ts";

/** Read at once when a file is first looked at, in bytes: the headers of most images. */
export const headBytes = 4096;

/** A parser asked for bytes that were not read yet. */
class MissingRange extends Error {
  readonly range: ByteRange;
  constructor(range: ByteRange) {
    super("bytes that were not read yet");
    this.range = range;
  }
}

/**
 * A file that parsers read ranges of, although reading it takes time: what a parser asks for and is not there yet is read,
 * and the parser runs again. Only what was asked for is in memory.
 */
export class RangeFile {
  readonly #file: OpenFile;
  readonly #bytesMax: number;
  readonly #pieces = new Map<number, Uint8Array>();
  #bytesRead = 0;

  /** @param bytesMax what may be read of the file altogether; parsers that want more are refused */
  constructor(file: OpenFile, bytesMax: number) {
    this.#file = file;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#file.size;
  }

  /** Bytes read so far. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Reads ranges, so that a parser that asks for just these runs once. */
  async load(ranges: readonly ByteRange[]): Promise<void> {
    for (const range of ranges) if (this.#find(range) === null) await this.#fetch(range);
  }

  /** What `parse` returns; what it throws is thrown on. Rejects with Refusal or SourceError where reading fails. */
  async parse<T>(parse: (read: ReadRange, size: number) => T): Promise<T> {
    for (;;) {
      try {
        return parse((offset, length) => this.#read(offset, length), this.size);
      } catch (error) {
        if (!(error instanceof MissingRange)) throw error;
        await this.#fetch(error.range);
      }
    }
  }

  #read(offset: number, length: number): Uint8Array {
    const range = { offset, length: Math.max(0, Math.min(length, this.size - offset)) };
    const found = this.#find(range);
    if (found === null) throw new MissingRange(range);
    return found;
  }

  #find({ offset, length }: ByteRange): Uint8Array | null {
    if (length === 0) return new Uint8Array(0);
    const own = this.#pieces.get(offset);
    if (own !== undefined && own.length >= length) return own.subarray(0, length);
    const head = this.#pieces.get(0);
    return head !== undefined && head.length >= offset + length ? head.subarray(offset, offset + length) : null;
  }

  /** Every call adds a piece that was missing, so that the bytes that may be read bound the number of calls too. */
  async #fetch(range: ByteRange): Promise<void> {
    const wanted = range.offset + range.length <= headBytes ? { offset: 0, length: headBytes } : range;
    const length = Math.max(0, Math.min(wanted.length, this.size - wanted.offset));
    this.#bytesRead += length;
    if (this.#bytesRead > this.#bytesMax) {
      throw new Refusal(`headers and texts of more than ${this.#bytesMax} bytes`);
    }
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const count = await this.#file.read(bytes.subarray(done), wanted.offset + done);
      if (count === 0) throw new Refusal(`it ended after ${wanted.offset + done} of ${this.size} bytes`);
      done += count;
    }
    this.#pieces.set(wanted.offset, bytes);
  }
}
