import { readFileSync } from "node:fs";
import type { ReadRange } from "../../../../src/formats/ranges.ts";
import { rangesOf } from "../../../../src/formats/ranges.ts";

/** A file of test/data/compression; its README tells what each is. */
export function data(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../../../data/compression/${name}`, import.meta.url)));
}

type Unpacker = (read: ReadRange, size: number, outputBytesMax: number) => Iterable<Uint8Array>;

/** All output at once. */
export function unpackAll(unpacker: Unpacker, bytes: Uint8Array, outputBytesMax = 1 << 16): Uint8Array {
  return concat([...copies(unpacker(rangesOf(bytes), bytes.length, outputBytesMax))]);
}

/** The views are valid for one step only. */
export function* copies(chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const chunk of chunks) yield chunk.slice();
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A copy in which `values` stand from `offset` on. */
export function changed(bytes: Uint8Array, ...changes: readonly (readonly [number, readonly number[]])[]): Uint8Array {
  const copy = bytes.slice();
  for (const [offset, values] of changes) copy.set(values, offset);
  return copy;
}
