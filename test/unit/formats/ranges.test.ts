import { describe, expect, it } from "vitest";
import { findOverlap, rangesOf, readExactly } from "../../../src/formats/ranges.ts";
import { formatErrorOf } from "../../fakes/hostile-input.ts";

const bytes = Uint8Array.from({ length: 16 }, (_, index) => index);

describe("readExactly", () => {
  it("is as long as asked for, also of a reader that gives more", () => {
    const generous = readExactly((offset) => bytes.subarray(offset), { offset: 4, length: 3 }, "test", "part");
    expect([...generous.bytes]).toEqual([4, 5, 6]);
  });
  it("says what is missing where, in offsets of the file", () => {
    const read = (offset: number, length: number) => readExactly(rangesOf(bytes), { offset, length }, "test", "part");
    expect(formatErrorOf(() => read(14, 3))).toBe("test: offset 14, part: 3 byte(s) expected, 2 found");
    expect(formatErrorOf(() => read(2 ** 53, 1))).toBe(`test: part: ${2 ** 53}: an offset below 2^53 expected`);
    expect(formatErrorOf(() => read(8, 4).u32le(1, "word"))).toBe(
      "test: offset 9, word: 4 byte(s) expected, the input ends at 12",
    );
  });
});

describe("findOverlap", () => {
  it.each([
    [[], null],
    [
      [
        [5, 5],
        [0, 5],
        [10, 1],
      ],
      null,
    ],
    [
      [
        [5, 5],
        [9, 1],
      ],
      [5, 9],
    ],
    [
      [
        [5, 5],
        [0, 6],
      ],
      [0, 5],
    ],
    [
      [
        [3, 2],
        [3, 2],
      ],
      [3, 3],
    ],
  ])("%j", (ranges, overlap) => {
    expect(findOverlap(ranges.map(([offset = 0, length = 0]) => ({ offset, length })))).toEqual(overlap);
  });
});
