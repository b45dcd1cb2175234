import { describe, expect, test } from "vitest";
import { bzip2StreamsMax, unpackBzip2 } from "../../../../src/formats/compression/bzip2.ts";
import { FormatError, type FormatPlace } from "../../../../src/formats/format-error.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";
import { changed, concat, data, unpackAll } from "./fixture.ts";

const small = data("small.original");
const text = data("text.original");
const smallFile = data("small.bz2");

const unpack = (bytes: Uint8Array, outputBytesMax?: number): Uint8Array =>
  unpackAll(unpackBzip2, bytes, outputBytesMax);

function expectError(bytes: Uint8Array, detail: string, place: FormatPlace, outputBytesMax?: number): void {
  expect(() => unpack(bytes, outputBytesMax)).toThrow(new FormatError("bzip2", detail, place));
}

/** Bits in groups, `[value, how many]`, padded with zeroes to a whole byte. */
function bits(...groups: readonly (readonly [value: number, count: number])[]): Uint8Array {
  const text = groups.map(([value, count]) => value.toString(2).padStart(count, "0")).join("");
  return Uint8Array.from({ length: Math.ceil(text.length / 8) }, (_, i) =>
    Number.parseInt(text.slice(i * 8, i * 8 + 8).padEnd(8, "0"), 2),
  );
}

/** What a block of level 9 begins with, up to the bit that says whether it is randomised. */
const blockStart = [
  [0x425a6839, 32],
  [0x314159, 24],
  [0x265359, 24],
  [0, 32],
] as const;
/** Byte 0x61 is the only one used. */
const map = [
  [0x0200, 16],
  [0x4000, 16],
] as const;

describe("files of bzip2", () => {
  test.each([
    ["small.bz2", small],
    ["text.bz2", text],
    ["thrice.bz2", concat([text, text, text])],
    ["random.bz2", data("random.original")],
    ["streams.bz2", concat([small, text])],
    ["empty.bz2", new Uint8Array(0)],
  ] as const)("%s", (file, original) => expect(unpack(data(file), 1 << 17)).toEqual(original));

  test("zeroes, in steps", () => {
    const output = unpack(data("zeroes.bz2"), 1 << 24);
    expect(output.length).toBe(1 << 24);
    expect(output.every((byte) => byte === 0)).toBe(true);
  });
  test("zeroes behind", () => expect(unpack(concat([smallFile, new Uint8Array(200_000)]))).toEqual(small));
});

describe("limits", () => {
  test("output: exactly the limit is taken", () => expect(unpack(smallFile, 900)).toEqual(small));
  test("output: one byte less", () => {
    expect(formatErrorOf(() => unpack(smallFile, 899))).toMatch(
      /^bzip2: offset \d+: at most 899 bytes of output are taken$/,
    );
  });
  test("streams", () => {
    const empty = data("empty.bz2");
    const bytes = new Uint8Array(empty.length * (bzip2StreamsMax + 1));
    for (let at = 0; at < bytes.length; at += empty.length) bytes.set(empty, at);
    expectError(bytes, "at most 65536 streams are taken", { offset: empty.length * bzip2StreamsMax });
  });
});

describe("files that are refused", () => {
  test.each<readonly [string, Uint8Array, string, FormatPlace]>([
    ["another magic", text, '"BZh" expected, not 0x6c6f61', { offset: 0, field: "magic" }],
    ["no level", changed(smallFile, [3, [0x30]]), '"1" to "9" expected, not 0x30', { offset: 3, field: "block size" }],
    [
      "no block",
      changed(smallFile, [4, [0x32]]),
      "the magic of a block or of the end expected, not 0x324159265359",
      { offset: 4, field: "block" },
    ],
    [
      "a randomised block",
      bits(...blockStart, [1, 1], [0, 7]),
      "a block that is not randomised expected; only bzip2 before 0.9.5 made such",
      { offset: 15, field: "randomised" },
    ],
    [
      "no byte used",
      bits(...blockStart, [0, 1], [0, 24], [0, 16]),
      "a byte that is used expected",
      { offset: 20, field: "symbol map" },
    ],
    [
      "one table",
      bits(...blockStart, [0, 1], [0, 24], ...map, [1, 3]),
      "2 to 6 expected, not 1",
      { offset: 22, field: "number of tables" },
    ],
    [
      "no selector",
      bits(...blockStart, [0, 1], [0, 24], ...map, [2, 3], [0, 15]),
      "at least 1 expected",
      { offset: 24, field: "number of selectors" },
    ],
    [
      "a selector without table",
      bits(...blockStart, [0, 1], [0, 24], ...map, [2, 3], [1, 15], [3, 2]),
      "at most 1 expected",
      { offset: 24, field: "selector" },
    ],
    [
      "a code of 21 bits",
      bits(...blockStart, [0, 1], [0, 24], ...map, [2, 3], [1, 15], [0, 1], [21, 5]),
      "1 to 20 expected, not 21",
      { offset: 25, field: "code length" },
    ],
    [
      "three codes of 1 bit",
      bits(...blockStart, [0, 1], [0, 24], ...map, [2, 3], [1, 15], [0, 1], [1, 5], [0, 3]),
      "codes of which none is the start of another expected",
      { offset: 25, field: "code length" },
    ],
    [
      "something behind",
      concat([smallFile, Uint8Array.of(0, 0, 7)]),
      "a stream, zeroes or the end of the file expected",
      { offset: smallFile.length + 2 },
    ],
  ])("%s", (_name, bytes, detail, place) => expectError(bytes, detail, place));

  test("wrong checksums", () => {
    expect(formatErrorOf(() => unpack(changed(smallFile, [10, [1, 2, 3, 4]])))).toMatch(
      /^bzip2: offset \d+, checksum of the block: 0x[0-9a-f]{8} expected, not 0x01020304$/,
    );
    expect(formatErrorOf(() => unpack(changed(data("empty.bz2"), [10, [1, 2, 3, 4]])))).toBe(
      "bzip2: offset 14, checksum of the stream: 0x00000000 expected, not 0x01020304",
    );
  });

  /** Two tables alike, for "a run", "a longer run" and "the end", in codes 0, 10 and 11. */
  const tables = [...map, [2, 3], [1, 15], [0, 1]] as const;
  const code = [
    [1, 5],
    [0, 1],
    [2, 2],
    [0, 1],
    [0, 1],
  ] as const;
  test("a block by hand", () => {
    // 3 is "11" in bijective numbers of base 2. bzip2 gives "aaa" this checksum.
    const file = bits(...blockStart, [0, 1], [0, 24], ...tables, ...code, ...code, [0, 1], [0, 1], [3, 2]);
    expect(formatErrorOf(() => unpack(file))).toMatch(/checksum of the block: 0x1fe5dfce expected, not 0x00000000$/);
  });
  test("an origin beyond the block", () => {
    const file = bits(...blockStart, [0, 1], [3, 24], ...tables, ...code, ...code, [0, 1], [0, 1], [3, 2]);
    expect(formatErrorOf(() => unpack(file))).toMatch(/origin pointer: less than 3 expected, not 3$/);
  });
  test("a block of no bytes", () => {
    const file = bits(...blockStart, [0, 1], [0, 24], ...tables, ...code, ...code, [3, 2]);
    expect(formatErrorOf(() => unpack(file))).toMatch(/origin pointer: less than 0 expected, not 0$/);
  });
  test("a run longer than the block", () => {
    const digits = Array.from({ length: 20 }, () => [2, 2] as const);
    const file = bits(...blockStart, [0, 1], [0, 24], ...tables, ...code, ...code, ...digits, [3, 2]);
    expect(formatErrorOf(() => unpack(file, 1 << 24))).toMatch(/block: at most 900000 bytes expected$/);
  });
  test("more symbols than selectors", () => {
    // One selector is good for 50 symbols. Two bytes are used; four codes of 2 bits; 10 is the second byte of the two.
    const twoBytes = [
      [0x0200, 16],
      [0x6000, 16],
      [2, 3],
      [1, 15],
      [0, 1],
    ] as const;
    const fourCodes = [
      [2, 5],
      [0, 4],
    ] as const;
    const symbols = Array.from({ length: 51 }, () => [2, 2] as const);
    const file = bits(...blockStart, [0, 1], [0, 24], ...twoBytes, ...fourCodes, ...fourCodes, ...symbols, [0, 8]);
    expect(formatErrorOf(() => unpack(file))).toMatch(/block: the end of the block expected, the selectors end$/);
  });
});

describe("hostile files", () => {
  test.each(["small.bz2", "empty.bz2"])("%s cut at every length", (file) => {
    const bytes = data(file);
    for (let length = 0; length < bytes.length; length++) {
      expect(formatErrorOf(() => unpack(bytes.subarray(0, length)))).toMatch(/^bzip2: offset \d+.*the input ends/);
    }
  });

  test.each(["small.bz2", "text.bz2", "streams.bz2"])("%s with a few bytes changed", (file) => {
    const bytes = data(file);
    const random = randomNumbers(bytes.length);
    for (let round = 0; round < 150; round++) {
      const mutated = bytes.slice();
      for (let change = 0; change <= round % 3; change++) mutated[random() % bytes.length] = random() >>> 5;
      formatErrorOf(() => expect(unpack(mutated, 50_000).length).toBeLessThanOrEqual(50_000));
    }
  });
});
