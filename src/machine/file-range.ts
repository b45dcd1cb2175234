import { readSync } from "node:fs";
import type { ReadRange } from "../formats/ranges.ts";
import type { FileRange } from "../linux/system.ts";

/**
 * The range reader of bytes of an open file, for the parsers; offsets count from the start of the range. It blocks while it
 * reads. Reads never leave the range: there are fewer bytes at its end, or where the file ends before. Throws what the
 * read throws.
 */
export function readRangeOf(range: FileRange): ReadRange {
  return (offset, length) => {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, range.length - offset)));
    let done = 0;
    while (done < bytes.length) {
      const read = readSync(range.fd, bytes, done, bytes.length - done, range.offset + offset + done);
      if (read === 0) break;
      done += read;
    }
    return bytes.subarray(0, done);
  };
}

const chunkBytes = 1 << 20;

/**
 * The bytes of a range, a piece at a time; each piece is good until the next one is asked for. Throws when the file has
 * become shorter.
 */
export function* chunksOf({ fd, offset, length }: FileRange): Generator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(chunkBytes, length));
  for (let done = 0; done < length; ) {
    const count = readSync(fd, buffer, 0, Math.min(buffer.length, length - done), offset + done);
    if (count === 0) throw new Error(`a file became shorter: ${length} bytes expected, ${done} found`);
    yield buffer.subarray(0, count);
    done += count;
  }
}
