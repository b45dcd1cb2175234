import { ByteReader } from "./bytes.ts";
import { FormatError } from "./format-error.ts";

/** Bytes of a file: from `offset`, `length` of them. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** Reads up to `length` bytes at `offset`; fewer only where the file ends. A large file need not be in memory. */
export type ReadRange = (offset: number, length: number) => Uint8Array;

/** The range reader of bytes in memory. */
export function rangesOf(bytes: Uint8Array): ReadRange {
  return (offset, length) => bytes.subarray(offset, offset + length);
}

/**
 * A reader of exactly the bytes of a range, or FormatError with the offset and the field. The reader's offsets count
 * from the range's start, those in its errors from the file's.
 */
export function readExactly(read: ReadRange, range: ByteRange, format: string, field: string): ByteReader {
  const { offset, length } = range;
  // Sums of two words of a file arrive here.
  if (!Number.isSafeInteger(offset))
    throw new FormatError(format, `${offset}: an offset below 2^53 expected`, { field });
  const bytes = read(offset, length).subarray(0, length);
  if (bytes.length < length) {
    throw new FormatError(format, `${length} byte(s) expected, ${bytes.length} found`, { offset, field });
  }
  return new ByteReader(bytes, format, offset);
}

/** Where two ranges start that have a byte in common; null when no two have. Of a file, or of memory. */
export function findOverlap(ranges: readonly ByteRange[]): readonly [number, number] | null {
  const sorted = ranges.toSorted((a, b) => a.offset - b.offset);
  for (const [index, range] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next !== undefined && next.offset < range.offset + range.length) return [range.offset, next.offset];
  }
  return null;
}
