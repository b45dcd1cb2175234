import { describe, expect, test } from "vitest";
import { checkZstdFrames } from "../../../../src/formats/compression/zstd-frames.ts";
import { FormatError, type FormatPlace } from "../../../../src/formats/format-error.ts";
import { rangesOf } from "../../../../src/formats/ranges.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";
import { concat, data } from "./fixture.ts";

const check = (bytes: Uint8Array): number => checkZstdFrames(rangesOf(bytes), bytes.length);

function expectError(bytes: Uint8Array, detail: string, place: FormatPlace): void {
  expect(() => check(bytes)).toThrow(new FormatError("zstd", detail, place));
}

const magic = [0x28, 0xb5, 0x2f, 0xfd];
const lastEmptyBlock = [1, 0, 0];
const frame = (...bytes: readonly number[]): Uint8Array => Uint8Array.of(...magic, ...bytes);

describe("files of zstd", () => {
  test.each(["small.zst", "text.zst", "random.zst", "frames.zst"])("%s", (file) => {
    const bytes = data(file);
    expect(check(bytes)).toBe(bytes.length);
    expect(check(concat([bytes, new Uint8Array(200_000)]))).toBe(bytes.length);
  });
});

// RFC 8878, section 3.1.1.
describe("frames by hand", () => {
  const content = [0x19, 0, 0, 0x61, 0x62, 0x63];
  test.each([
    ["single segment, one byte of size", frame(0x20, 3, ...content)],
    ["a window, no size", frame(0x00, 0x00, ...content)],
    ["a window and two bytes of size", frame(0x40, 0x00, 0, 0, ...content)],
    ["eight bytes of size and a checksum", frame(0xe4, 3, 0, 0, 0, 0, 0, 0, 0, ...content, 1, 2, 3, 4)],
    ["dictionary 0", frame(0x23, 0, 0, 0, 0, 3, ...content)],
    ["a window of 128 MiB", frame(0x00, 0x88, ...lastEmptyBlock)],
    ["a block of one repeated byte, two blocks", frame(0x20, 6, 0x1a, 0, 0, 0x61, ...content)],
    ["a skippable frame alone", Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9)],
  ])("%s", (_name, bytes) => {
    expect(check(bytes)).toBe(bytes.length);
    for (let length = 0; length < bytes.length; length++) {
      expect(formatErrorOf(() => check(bytes.subarray(0, length)))).toMatch(
        /^zstd: offset \d+, .* the input ends after \d+$/,
      );
    }
  });

  test.each([
    [
      "no frame",
      Uint8Array.of(1, 2, 3, 4),
      "0xfd2fb528 or a skippable frame expected, not 0x4030201",
      { offset: 0, field: "magic" },
    ],
    [
      "something behind",
      concat([frame(0, 0, ...lastEmptyBlock), Uint8Array.of(7, 7, 7, 7)]),
      "0xfd2fb528 or a skippable frame expected, not 0x7070707",
      { offset: 9, field: "magic" },
    ],
    [
      "something behind zeroes",
      concat([frame(0, 0, ...lastEmptyBlock), Uint8Array.of(0, 0, 7)]),
      "a frame, zeroes or the end of the file expected",
      { offset: 11 },
    ],
    [
      "the reserved bit",
      frame(0x08, 0, ...lastEmptyBlock),
      "reserved bit 3 clear expected",
      { offset: 4, field: "frame header" },
    ],
    [
      "a window over 128 MiB",
      frame(0x00, 0x89, ...lastEmptyBlock),
      "at most 134217728 bytes are taken, not 150994944",
      { offset: 5, field: "window" },
    ],
    [
      "a single segment over 128 MiB",
      frame(0xa0, 1, 0, 0, 8, ...lastEmptyBlock),
      "at most 134217728 bytes are taken, not 134217729",
      { offset: 5, field: "window" },
    ],
    [
      "a dictionary",
      frame(0x01, 0, 7, ...lastEmptyBlock),
      "a frame that needs no dictionary expected",
      { offset: 6, field: "dictionary" },
    ],
    [
      "the reserved block type",
      frame(0x00, 0, 7, 0, 0),
      "a block type up to 2 expected, not 3",
      { offset: 6, field: "block header" },
    ],
    [
      "a block that is cut",
      frame(0x00, 0, 0x19, 0, 0, 1),
      "3 byte(s) expected, the input ends after 1",
      { offset: 9, field: "block" },
    ],
  ] as const)("%s", (_name, bytes, detail, where) => expectError(bytes, detail, where));
});

describe("hostile files", () => {
  test("too many frames", () => {
    const empty = frame(0, 0, ...lastEmptyBlock);
    expectError(concat(new Array(65_537).fill(empty)), "at most 65536 frames are taken", { offset: 65_536 * 9 });
  });
  test("too many blocks", () => {
    const blocks = (1 << 22) + 1;
    const bytes = concat([frame(0, 0), new Uint8Array(3 * blocks)]);
    expectError(bytes, "at most 4194304 blocks are taken", { offset: 6 + 3 * (1 << 22) });
  });
  test.each(["small.zst", "random.zst"])("%s cut at every length", (file) => {
    const bytes = data(file);
    for (let length = 0; length < bytes.length; length++) {
      expect(formatErrorOf(() => check(bytes.subarray(0, length)))).toMatch(/the input ends after \d+$/);
    }
  });
  test("frames.zst with a few bytes changed", () => {
    const bytes = data("frames.zst");
    const random = randomNumbers(8878);
    for (let round = 0; round < 1000; round++) {
      const mutated = bytes.slice();
      for (let change = 0; change <= round % 3; change++) mutated[random() % bytes.length] = random() >>> 5;
      formatErrorOf(() => expect(check(mutated)).toBeLessThanOrEqual(bytes.length));
    }
  });
});
