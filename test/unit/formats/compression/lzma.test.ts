import { describe, expect, test } from "vitest";
import { unpackLzma } from "../../../../src/formats/compression/lzma.ts";
import { FormatError, type FormatPlace } from "../../../../src/formats/format-error.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";
import { changed, concat, data, unpackAll } from "./fixture.ts";

const marked = data("small.lzma");
const sized = data("small.size.lzma");
const original = data("small.original");

const unpack = (bytes: Uint8Array, outputBytesMax?: number): Uint8Array => unpackAll(unpackLzma, bytes, outputBytesMax);

function expectError(bytes: Uint8Array, detail: string, place: FormatPlace, outputBytesMax?: number): void {
  expect(() => unpack(bytes, outputBytesMax)).toThrow(new FormatError("lzma", detail, place));
}

/** With another size in the header. */
function announcing(bytes: Uint8Array, size: number): Uint8Array {
  return changed(bytes, [5, [size & 0xff, size >> 8, 0, 0, 0, 0, 0, 0]]);
}

describe("files of XZ Utils", () => {
  test.each([
    ["small.lzma", "small"],
    ["small.both.lzma", "small"],
    ["small.size.lzma", "small"],
    ["text.lzma", "text"],
    ["text.window.lzma", "text"],
    ["empty.lzma", "empty"],
  ])("%s", (file, name) => expect(unpack(data(file))).toEqual(data(`${name}.original`)));

  test("zeroes behind", () => {
    for (const bytes of [marked, sized]) expect(unpack(concat([bytes, new Uint8Array(5)]))).toEqual(original);
  });
  test("a size of nothing", () => {
    // The range decoder's first bytes, all zero, are the end at once.
    expect(unpack(concat([announcing(sized, 0).subarray(0, 13), new Uint8Array(5)]))).toEqual(new Uint8Array(0));
  });
});

describe("limits", () => {
  test("output: exactly the limit is taken", () => {
    for (const bytes of [marked, sized]) expect(unpack(bytes, 900)).toEqual(original);
  });
  test("output: a size that is announced", () => {
    expectError(sized, "at most 899 bytes of output are taken, not 900", { offset: 5, field: "size" }, 899);
  });
  test("output: a size that is not", () => {
    expect(formatErrorOf(() => unpack(marked, 899))).toMatch(
      /^lzma: offset 3\d\d: at most 899 bytes of output are taken$/,
    );
  });
  test("dictionary", () => {
    const detail = "at most 134217728 bytes are taken, not 201326592";
    expectError(data("dictionary.lzma"), detail, { offset: 1, field: "dictionary size" });
  });
});

describe("files that are refused", () => {
  const properties = "(pb * 5 + lp) * 9 + lc with pb up to 4 and lc + lp up to 4";
  test.each([
    ["properties", changed(marked, [0, [0xff]]), `${properties} expected, not 255`, { offset: 0, field: "properties" }],
    [
      "too many literal bits",
      changed(marked, [0, [8]]),
      `${properties} expected, not 8`,
      { offset: 0, field: "properties" },
    ],
    ["the range's first byte", changed(marked, [13, [9]]), "0 expected, not 9", { offset: 13, field: "range" }],
    [
      "something behind",
      concat([sized, Uint8Array.of(0, 7, 0)]),
      "the end of the file or zeroes expected, 2 byte(s) follow",
      { offset: 320 },
    ],
    [
      "a marker before the announced size",
      announcing(data("small.both.lzma"), 901),
      "901 bytes of output expected, the data ends after 900",
      { offset: 324 },
    ],
    [
      "no more data for the announced size",
      announcing(sized, 901),
      "more data expected, the input ends",
      { offset: 319 },
    ],
  ] as const)("%s", (_name, bytes, detail, where) => expectError(bytes, detail, where));

  test("more data than announced", () => {
    const errors = new Set<string>();
    for (let size = 0; size < 900; size++) {
      errors.add(formatErrorOf(() => unpack(announcing(sized, size)))?.replace(/\d+/g, "N") ?? "none");
    }
    expect([...errors].sort()).toEqual([
      "lzma: offset N: a match ends N byte(s) beyond the announced size",
      "lzma: offset N: the data goes on beyond the announced size",
    ]);
  });
});

describe("hostile files", () => {
  test.each(["small.lzma", "small.both.lzma", "small.size.lzma", "empty.lzma"])("%s cut at every length", (file) => {
    const bytes = data(file);
    for (let length = 0; length < bytes.length; length++) {
      expect(formatErrorOf(() => unpack(bytes.subarray(0, length)))).toMatch(/^lzma: offset \d+.*the input ends/);
    }
  });

  // Without a checksum, anything may come out, but not more than allowed.
  test.each(["small.lzma", "small.size.lzma", "text.window.lzma"])("%s with a few bytes changed", (file) => {
    const bytes = data(file);
    const random = randomNumbers(bytes.length);
    const rounds = Math.ceil(2_000_000 / (bytes.length + 5000));
    for (let round = 0; round < rounds; round++) {
      const mutated = bytes.slice();
      for (let change = 0; change <= round % 3; change++) mutated[random() % bytes.length] = random() >>> 5;
      formatErrorOf(() => expect(unpack(mutated, 50_000).length).toBeLessThanOrEqual(50_000));
    }
  });

  test("any data behind any properties", () => {
    const random = randomNumbers(0x17a);
    for (let round = 0; round < 400; round++) {
      const header = [random() % 225, 0, 0x10, 0, 0, ...new Array(8).fill(0xff), 0];
      const noise = Uint8Array.from({ length: 600 }, () => random() >>> 5);
      formatErrorOf(() => expect(unpack(concat([Uint8Array.from(header), noise])).length).toBeLessThanOrEqual(1 << 16));
    }
  });
});
