import type { ForwardInput } from "./forward-input.ts";

/** Bytes that {@link ForwardInput.take} gives at once. */
const takeBytes = 1 << 16;
/** Output is handed on when there is so much of it, or at the end. */
const stepBytes = 1 << 20;

/**
 * Reads whole compressed blocks into one piece of memory, which grows with the largest block.
 */
export class BlockReader {
  readonly #input: ForwardInput;
  #buffer = new Uint8Array(0);

  constructor(input: ForwardInput) {
    this.#input = input;
  }

  /**
   * The next `length` bytes: a view that is valid until the next read.
   *
   * @throws FormatError when the input ends before; then nothing was allocated.
   */
  read(length: number, field: string): Uint8Array {
    const input = this.#input;
    if (input.remaining < length) {
      input.fail(`${length} byte(s) expected, the input ends after ${input.remaining}`, field);
    }
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const bytes = input.take(Math.min(takeBytes, length - done), field);
      this.#buffer.set(bytes, done);
      done += bytes.length;
    }
    return this.#buffer.subarray(0, length);
  }
}

/**
 * Output of blocks, in one piece of memory that slides: what was written last stays in reach of the next block's matches.
 * Whatever the size of the blocks, moving costs less than writing.
 */
export class BlockOutput {
  /** The next byte goes to {@link position}. */
  readonly bytes: Uint8Array;
  position = 0;
  /** Most bytes of one block. */
  readonly blockBytesMax: number;
  readonly #historyBytes: number;
  #taken = 0;

  /** @param historyBytes how far a block's matches may reach back beyond its start */
  constructor(historyBytes: number, blockBytesMax: number) {
    this.#historyBytes = historyBytes;
    this.blockBytesMax = blockBytesMax;
    this.bytes = new Uint8Array(historyBytes + blockBytesMax + Math.max(blockBytesMax, historyBytes));
  }

  /** Makes room for a block. Yields what has to leave for that: a view that is valid until the next call. */
  *makeRoom(): Generator<Uint8Array, void, undefined> {
    const isFull = this.bytes.length - this.position < this.blockBytesMax;
    if (isFull || this.position - this.#taken >= stepBytes) yield* this.takeAll();
    if (!isFull) return;
    const kept = Math.min(this.#historyBytes, this.position);
    this.bytes.copyWithin(0, this.position - kept, this.position);
    this.position = kept;
    this.#taken = kept;
  }

  /** Yields what was written and not yet taken. */
  *takeAll(): Generator<Uint8Array, void, undefined> {
    const output = this.bytes.subarray(this.#taken, this.position);
    this.#taken = this.position;
    if (output.length > 0) yield output;
  }
}

/**
 * Repeats `length` bytes from `distance` before `to`: where both overlap, what was just written is repeated.
 */
export function repeatBytes(bytes: Uint8Array, to: number, distance: number, length: number): void {
  if (distance >= length && length > 64) {
    bytes.copyWithin(to, to - distance, to - distance + length);
    return;
  }
  let from = to - distance;
  const end = to + length;
  for (let at = to; at < end; at++) bytes[at] = bytes[from++] ?? 0;
}

/** Copies `length` bytes from one piece of memory to another; both have them. */
export function copyBytes(from: Uint8Array, start: number, bytes: Uint8Array, to: number, length: number): void {
  if (length > 64) {
    bytes.set(from.subarray(start, start + length), to);
    return;
  }
  for (let i = 0; i < length; i++) bytes[to + i] = from[start + i] ?? 0;
}
