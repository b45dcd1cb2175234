import { deflateSync, gunzipSync, crc32 as zlibCrc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { adler32 } from "../../../../src/formats/compression/adler32.ts";
import { lzoMembersMax, unpackLzo } from "../../../../src/formats/compression/lzo.ts";
import { FormatError, type FormatPlace } from "../../../../src/formats/format-error.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";
import { changed, concat, data, unpackAll } from "./fixture.ts";

const small = data("small.original");
const text = data("text.original");
const random = data("random.original");
const smallFile = data("small.lzo");

const unpack = (bytes: Uint8Array, outputBytesMax?: number): Uint8Array => unpackAll(unpackLzo, bytes, outputBytesMax);

function expectError(bytes: Uint8Array, detail: string, place: FormatPlace, outputBytesMax?: number): void {
  expect(() => unpack(bytes, outputBytesMax)).toThrow(new FormatError("lzo", detail, place));
}

const u32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];

/** A header without a name. What zlib computes is its checksum. */
function header({ version = 0x1040, method = 1, flags = 0 }): number[] {
  const fields = [version >> 8, version & 0xff, 0x20, 0xa0, 0x09, 0x40, method, 5, ...u32(flags)];
  const rest = new Array(13).fill(0);
  const bytes = Buffer.from([...fields, ...rest]);
  const check = (flags & 0x1000) === 0 ? [...deflateSync(bytes).subarray(-4)] : u32(zlibCrc32(bytes));
  return [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a, ...bytes, ...check];
}

/** A file with one block, without checksums of data. */
function file(block: readonly number[], outputBytes: number): Uint8Array {
  return Uint8Array.of(...header({}), ...u32(outputBytes), ...u32(block.length), ...block, 0, 0, 0, 0);
}
/** Where the block's data begins. */
const blockOffset = header({}).length + 8;

describe("files of lzop", () => {
  test.each([
    ["small.lzo", small],
    ["text.lzo", text],
    ["text.fast.lzo", text],
    ["text.crc32.lzo", text],
    ["text.checks.lzo", text],
    ["sevenfold.lzo", concat(Array.from({ length: 7 }, () => text))],
    ["random.lzo", random],
    ["random.checks.lzo", random],
    ["members.lzo", concat([small, text])],
    ["empty.lzo", new Uint8Array(0)],
  ] as const)("%s", (name, original) => expect(unpack(data(name), 1 << 19)).toEqual(original));

  test("zeroes, in steps", () => {
    const output = unpack(gunzipSync(data("zeroes.lzo.gz")), 1 << 24);
    expect(output.length).toBe(1 << 24);
    expect(output.every((byte) => byte === 0)).toBe(true);
  });
  test("zeroes behind", () => expect(unpack(concat([smallFile, new Uint8Array(200_000)]))).toEqual(small));
});

// Linux, Documentation/staging/lzo.rst, "Byte sequences", written by hand.
describe("instructions", () => {
  const end = [0x11, 0, 0];
  const letters = (count: number): string => "abcdefghijklmnopqrstuvwxyz".repeat(100).slice(0, count);
  const codes = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
  test.each<readonly [string, readonly number[], string]>([
    ["3 literals first", [20, 0x61, 0x62, 0x63, ...end], "abc"],
    ["4 literals first", [21, 0x61, 0x62, 0x63, 0x64, ...end], "abcd"],
    ["4 literals by an instruction", [1, 0x61, 0x62, 0x63, 0x64, ...end], "abcd"],
    ["18 + 300 literals", [0, 0, 48, ...codes(letters(321)), ...end], letters(321)],
    ["2 bytes from within 1 KiB, and a literal", [20, ...codes("abc"), 0b1001, 0, 0x7a, ...end], "abcabz"],
    [
      "3 bytes from behind 2 KiB",
      [0, ...new Array(8).fill(0), 10, ...codes(letters(2068)), 0b1000, 0, ...end],
      `${letters(2068)}${letters(2068).slice(2068 - 2051, 2068 - 2048)}`,
    ],
    ["4 bytes from within 2 KiB", [21, ...codes("abcd"), 0b01101100, 0, ...end], "abcdabcd"],
    ["8 bytes from within 2 KiB", [21, ...codes("abcd"), 0b11101100, 0, ...end], "abcdabcdabcd"],
    ["40 bytes from within 16 KiB", [21, ...codes("abcd"), 0b00100000, 7, 3 << 2, 0, ...end], letters(4).repeat(11)],
    ["2 literals behind a match", [21, ...codes("abcd"), 0b00100001, (3 << 2) | 2, 0, 0x79, 0x7a, ...end], "abcdabcyz"],
  ])("%s", (_name, block, output) => {
    const padded = output.length > block.length ? file(block, output.length) : null;
    // A block is never larger than its output: the rest is a long match.
    if (padded !== null) expect(Buffer.from(unpack(padded)).toString()).toBe(output);
    else expect(Buffer.from(unpack(longer(block, output))).toString()).toBe(output + output.slice(-1).repeat(100));
  });

  /** The same, and 100 times the last byte. */
  function longer(block: readonly number[], output: string): Uint8Array {
    return file([...block.slice(0, -3), 0b00100000, 100 - 33, 0, 0, ...end], output.length + 100);
  }

  test("from 16 to 48 KiB behind", () => {
    const far = data("text.original").subarray(0, 40_000);
    const [zeroes, last] = [Math.floor((far.length - 18 - 1) / 255), ((far.length - 18 - 1) % 255) + 1];
    // 9 bytes from 16384 + 16384 + 100.
    const block = [0, ...new Array(zeroes).fill(0), last, ...far, 0b00011111, (100 << 2) & 0xff, (100 << 2) >> 8];
    const more = [0b00100000, 200, 0, 0, ...end];
    const output = unpack(file([...block, ...more], far.length + 9 + 233));
    expect(output.subarray(40_000, 40_009)).toEqual(far.subarray(40_000 - 32_868, 40_000 - 32_868 + 9));
  });

  test.each<readonly [string, readonly number[], string, number]>([
    ["no end", [21, ...codes("abcd")], "more data expected, the block ends", 5],
    ["fewer literals than announced", [30, ...codes("abcd")], "13 literal(s) expected, the block ends", 1],
    [
      "a distance before the start",
      [21, ...codes("abcd"), 0b01110000, 0, ...end],
      "a distance of at most 4 expected, not 5",
      7,
    ],
    ["a match first", [16, 1, 0, 4, ...end], "a distance of at most 0 expected, not 16640", 4],
    [
      "more literals than output",
      [21, ...codes("abcd"), 0b00100000, 0, 14, 0, 0, 7, ...codes("0123456789"), ...end],
      "at most 310 bytes of output expected",
      11,
    ],
    [
      "a longer match than output",
      [21, ...codes("abcd"), 0b00100000, 0, 255, 0, 0],
      "at most 310 bytes of output expected",
      10,
    ],
    ["less output", [21, ...codes("abcd"), ...end], "310 bytes of output expected, the block has 4", 8],
    [
      "something behind the end",
      [21, ...codes("abcd"), ...end, 7],
      "the end of the block expected, 1 byte(s) follow",
      8,
    ],
  ])("%s: refused", (_name, block, detail, at) => {
    expectError(file(block, 310), detail, { offset: blockOffset + at, field: "block" });
  });
});

describe("limits", () => {
  test("output: exactly the limit is taken", () => expect(unpack(smallFile, 900)).toEqual(small));
  test("output: one byte less", () => {
    expect(formatErrorOf(() => unpack(smallFile, 899))).toMatch(
      /^lzo: offset \d+: at most 899 bytes of output are taken$/,
    );
  });
  test("a block", () => {
    const bytes = Uint8Array.of(...header({}), ...u32((1 << 20) + 1), ...u32(100));
    const place = { offset: header({}).length, field: "block size" };
    expectError(bytes, "at most 1048576 bytes are taken, not 1048577", place, 1 << 30);
  });
  test("members", () => {
    const member = Uint8Array.of(...header({}), 0, 0, 0, 0);
    const bytes = new Uint8Array(member.length * (lzoMembersMax + 1));
    for (let at = 0; at < bytes.length; at += member.length) bytes.set(member, at);
    expectError(bytes, "at most 65536 members are taken", { offset: member.length * lzoMembersMax });
  });
  test("an extra field", () => {
    const bytes = Uint8Array.of(...header({ flags: 0x40 }), ...u32(65_537));
    const place = { offset: header({}).length, field: "extra field size" };
    expectError(bytes, "at most 65536 bytes are taken, not 65537", place);
  });
});

describe("files that are refused", () => {
  const whole = (options: Parameters<typeof header>[0]): Uint8Array => Uint8Array.of(...header(options), 0, 0, 0, 0);
  test("a header of these tests is taken", () => {
    expect(unpack(whole({}))).toEqual(new Uint8Array(0));
    expect(unpack(whole({ flags: 0x03001000 }))).toEqual(new Uint8Array(0));
  });
  test.each<readonly [string, Uint8Array, string, FormatPlace]>([
    ["another magic", text, "the magic of lzop expected", { offset: 0, field: "magic" }],
    [
      "an old version",
      whole({ version: 0x093f }),
      "0x0940 or later expected, not 0x093f",
      { offset: 9, field: "version" },
    ],
    ["zlib", whole({ method: 128 }), "1, 2 or 3 (LZO1X) expected, not 128", { offset: 15, field: "method" }],
    [
      "a reserved flag",
      whole({ flags: 0x4000 }),
      "reserved bits clear expected in 0x00004000",
      { offset: 17, field: "flags" },
    ],
    [
      "an archive in parts",
      whole({ flags: 0x400 }),
      "a whole archive expected, not one in parts",
      { offset: 17, field: "flags" },
    ],
    ["a filter", whole({ flags: 0x800 }), "data without a filter expected", { offset: 17, field: "flags" }],
    [
      "no compressed bytes",
      Uint8Array.of(...header({}), ...u32(5), ...u32(0)),
      "1 to 5 expected, not 0",
      { offset: header({}).length + 4, field: "compressed size" },
    ],
    [
      "more compressed bytes than others",
      Uint8Array.of(...header({}), ...u32(5), ...u32(6)),
      "1 to 5 expected, not 6",
      { offset: header({}).length + 4, field: "compressed size" },
    ],
    [
      "something behind",
      concat([smallFile, Uint8Array.of(0, 0, 7)]),
      "a member, zeroes or the end of the file expected",
      { offset: smallFile.length + 2 },
    ],
  ])("%s", (_name, bytes, detail, place) => expectError(bytes, detail, place));

  // Header: 39 bytes with the name "input", then its checksum; the first block's sizes, its checksums.
  test.each([
    ["the header", "text.checks.lzo", 39, "checksum of the header"],
    ["the extra field", "text.checks.lzo", 52, "checksum of the extra field"],
    ["a block, Adler-32", "text.lzo", 51, "Adler-32 of the block"],
    ["a block, CRC-32", "text.crc32.lzo", 51, "CRC-32 of the block"],
    ["a block, CRC-32 of both", "text.checks.lzo", 68, "CRC-32 of the block"],
    ["a compressed block, Adler-32", "text.checks.lzo", 72, "Adler-32 of the compressed block"],
    ["a compressed block, CRC-32", "text.checks.lzo", 76, "CRC-32 of the compressed block"],
    ["a block that is stored", "random.lzo", 51, "Adler-32 of the block"],
  ] as const)("a wrong checksum of %s", (_name, name, offset, field) => {
    const error = formatErrorOf(() => unpack(changed(data(name), [offset, [1, 2, 3, 4]])));
    expect(error?.replace(/0x[0-9a-f]{8} expected/, "N expected")).toBe(
      `lzo: offset ${offset}, ${field}: N expected, not 0x01020304`,
    );
  });
});

describe("hostile files", () => {
  test.each(["small.lzo", "empty.lzo"])("%s cut at every length", (name) => {
    const bytes = data(name);
    for (let length = 0; length < bytes.length; length++) {
      expect(formatErrorOf(() => unpack(bytes.subarray(0, length)))).toMatch(/^lzo: offset \d+.*the input ends/);
    }
  });

  test.each(["small.lzo", "text.fast.lzo", "text.checks.lzo"])("%s with a few bytes changed", (name) => {
    const bytes = data(name);
    const next = randomNumbers(bytes.length);
    for (let round = 0; round < 300; round++) {
      const mutated = bytes.slice();
      for (let change = 0; change <= round % 3; change++) mutated[next() % bytes.length] = next() >>> 5;
      formatErrorOf(() => expect(unpack(mutated, 50_000).length).toBeLessThanOrEqual(50_000));
    }
  });

  test("any data in a block", () => {
    const next = randomNumbers(0x1020);
    for (let round = 0; round < 3000; round++) {
      const noise = Array.from({ length: 60 }, () => (next() % 3 === 0 ? next() % 24 : next() >>> 5));
      formatErrorOf(() => expect(unpack(file(noise, 2000)).length).toBeLessThanOrEqual(2000));
    }
  });
});

describe("Adler-32", () => {
  test("as zlib has it", () => {
    for (const bytes of [new Uint8Array(0), small, text, random, new Uint8Array(20_000).fill(255)]) {
      expect(adler32(bytes)).toBe(deflateSync(bytes).readUInt32BE(deflateSync(bytes).length - 4));
    }
  });
  test("in pieces", () => {
    expect(adler32(text.subarray(7000), adler32(text.subarray(0, 7000)))).toBe(adler32(text));
  });
});
