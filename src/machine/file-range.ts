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
