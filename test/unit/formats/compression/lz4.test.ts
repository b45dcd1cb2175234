import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { lz4FramesMax, unpackLz4 } from "../../../../src/formats/compression/lz4.ts";
import { XxHash32, xxHash32 } from "../../../../src/formats/compression/xxhash32.ts";
import { FormatError, type FormatPlace } from "../../../../src/formats/format-error.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";
import { changed, concat, copies, data, unpackAll } from "./fixture.ts";

const small = data("small.original");
const text = data("text.original");
const twice = concat([text, text]);
const smallFile = data("small.lz4");
const legacy = data("small.legacy.lz4");
const sized = data("small.size.lz4");
const linked = data("twice.linked.lz4");

const unpack = (bytes: Uint8Array, outputBytesMax?: number): Uint8Array => unpackAll(unpackLz4, bytes, outputBytesMax);

function expectError(bytes: Uint8Array, detail: string, place: FormatPlace, outputBytesMax?: number): void {
  expect(() => unpack(bytes, outputBytesMax)).toThrow(new FormatError("lz4", detail, place));
}

const u32 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];

/** A frame without checksums whose blocks are independent, of 64 KiB at most. */
function frame(...blocks: readonly (readonly number[])[]): Uint8Array {
  return Uint8Array.of(
    ...u32(0x184d2204),
    0x60,
    0x40,
    0x82,
    ...blocks.flatMap((b) => [...u32(b.length), ...b]),
    0,
    0,
    0,
    0,
  );
}

describe("files of lz4", () => {
  test.each([
    ["small.lz4", small],
    ["text.lz4", text],
    ["twice.linked.lz4", twice],
    ["twice.blocks.lz4", twice],
    ["random.lz4", data("random.original")],
    ["empty.lz4", new Uint8Array(0)],
    ["small.legacy.lz4", small],
    ["small.size.lz4", small],
    ["frames.lz4", concat([small, small, text])],
  ] as const)("%s", (file, original) => expect(unpack(data(file), 1 << 17)).toEqual(original));

  test("zeroes behind", () => {
    for (const bytes of [smallFile, legacy]) {
      for (const zeroes of [1, 4, 5, 200_000]) {
        expect(unpack(concat([bytes, new Uint8Array(zeroes)]))).toEqual(small);
      }
    }
  });

  test("more than a block of a legacy frame, in steps", () => {
    const bytes = gunzipSync(data("zeroes.legacy.lz4.gz"));
    let sum = 0;
    for (const chunk of copies(unpackAllSteps(bytes, 1 << 24))) {
      expect(chunk.length).toBeLessThanOrEqual(1 << 24);
      sum += chunk.length;
    }
    expect(sum).toBe(1 << 24);
  });
});

function unpackAllSteps(bytes: Uint8Array, outputBytesMax: number): Iterable<Uint8Array> {
  return unpackLz4((offset, length) => bytes.subarray(offset, offset + length), bytes.length, outputBytesMax);
}

// LZ4 Block Format Description, written by hand.
describe("blocks", () => {
  const literals = [0x10, 0x61];
  test.each<readonly [string, readonly number[], string]>([
    ["literals", [0x30, 0x61, 0x62, 0x63], "abc"],
    ["a match that overlaps itself", [0x10, 0x61, 1, 0, ...literals], "aaaaaa"],
    ["a match of a longer period", [0x22, 0x61, 0x62, 2, 0, 0x10, 0x63], "ababababc"],
    ["no literals before a match", [0x11, 0x61, 1, 0, 0x00, 1, 0, 0x00], "aaaaaaaaaa"],
    [
      "16 literals",
      [0xf0, 1, ..."0123456789abcdef"].map((x) => (typeof x === "string" ? x.charCodeAt(0) : x)),
      "0123456789abcdef",
    ],
    ["a match of 19 + 255 + 3", [0x1f, 0x62, 1, 0, 255, 3, 0x00], "b".repeat(1 + 277)],
  ])("%s", (_name, block, output) => expect(Buffer.from(unpack(frame(block))).toString()).toBe(output));

  test.each<readonly [string, readonly number[], string, number]>([
    ["no literals at the end", [0x10, 0x61, 1, 0], "literals expected after the last match, the block ends", 15],
    ["fewer literals than announced", [0x30, 0x61, 0x62], "3 literal(s) expected, the block ends", 12],
    ["half a distance", [0x10, 0x61, 1], "a distance of 2 bytes expected, the block ends", 13],
    ["distance 0", [0x10, 0x61, 0, 0, 0], "a distance of 1 to 1 expected, not 0", 13],
    ["a distance before the start", [0x10, 0x61, 2, 0, 0], "a distance of 1 to 1 expected, not 2", 13],
    ["a length that does not end", [0x1f, 0x61, 1, 0, 255], "more bytes of a length expected, the block ends", 16],
  ])("%s is refused", (_name, block, detail, offset) => expectError(frame(block), detail, { offset, field: "block" }));

  test("more output than the block's size", () => {
    const block = [0x1f, 0x61, 1, 0, ...new Array(257).fill(255), 0, 0];
    expectError(frame(block), "at most 65536 bytes of output expected", { offset: 273, field: "block" }, 1 << 20);
  });
  test("a second block does not reach into the first when they are independent", () => {
    const error = formatErrorOf(() => unpack(frame([0x10, 0x61], [0x00, 1, 0, 0])));
    expect(error).toBe("lz4: offset 18, block: a distance of 1 to 0 expected, not 1");
  });
});

describe("limits", () => {
  test("output: exactly the limit is taken", () => {
    for (const bytes of [smallFile, legacy, sized]) expect(unpack(bytes, 900)).toEqual(small);
    expect(unpack(linked, twice.length)).toEqual(twice);
  });
  test("output: one byte less", () => {
    for (const bytes of [smallFile, legacy, sized, data("random.lz4")]) {
      const most = bytes === data("random.lz4") ? 2999 : 899;
      expect(formatErrorOf(() => unpack(bytes, most))).toMatch(
        /^lz4: offset \d+: at most \d+ bytes of output are taken$/,
      );
    }
  });
  test("output: a size that is announced", () => {
    const detail = "at most 39999 bytes of output are taken, not 40000";
    expectError(data("text.lz4"), detail, { offset: 6, field: "content size" }, 39_999);
  });
  test("frames", () => {
    const skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    const bytes = new Uint8Array(skippable.length * (lz4FramesMax + 1));
    for (let at = 0; at < bytes.length; at += skippable.length) bytes.set(skippable, at);
    expectError(bytes, "at most 65536 frames are taken", { offset: 8 * lz4FramesMax });
    expect(unpack(bytes.subarray(8))).toEqual(new Uint8Array(0));
  });
});

describe("files that are refused", () => {
  const size = smallFile.length;
  test.each<readonly [string, Uint8Array, string, FormatPlace]>([
    [
      "another magic",
      text,
      "0x184d2204, 0x184c2102 or a skippable frame expected, not 0x64616f6c",
      { offset: 0, field: "magic" },
    ],
    ["version 2", changed(smallFile, [4, [0xa4]]), "version 1 expected, not 2", { offset: 4, field: "FLG" }],
    ["a reserved bit", changed(smallFile, [4, [0x66]]), "reserved bit 1 clear expected", { offset: 4, field: "FLG" }],
    [
      "a dictionary",
      changed(smallFile, [4, [0x65]]),
      "a frame that needs no dictionary expected",
      { offset: 4, field: "FLG" },
    ],
    [
      "a block size that is not defined",
      changed(smallFile, [5, [0x30]]),
      "0x40, 0x50, 0x60 or 0x70 expected, not 0x30",
      { offset: 5, field: "BD" },
    ],
    [
      "a wrong header checksum",
      changed(smallFile, [6, [0xa8]]),
      "0xa7 expected, not 0xa8",
      { offset: 6, field: "header checksum" },
    ],
    [
      "a block of no bytes",
      changed(smallFile, [7, [0, 0, 0, 0x80]]),
      "1 to 65536 bytes expected, not 0",
      { offset: 7, field: "block size" },
    ],
    [
      "a block that is too large",
      changed(smallFile, [7, u32(65_537)]),
      "1 to 65536 bytes expected, not 65537",
      { offset: 7, field: "block size" },
    ],
    [
      "something behind",
      concat([smallFile, Uint8Array.of(0, 0, 7)]),
      "a frame, zeroes or the end of the file expected",
      { offset: size + 2 },
    ],
    [
      "a size behind that is not the output's",
      changed(sized, [sized.length - 4, u32(901)]),
      "901 byte(s) expected, the input ends after 0",
      { offset: sized.length, field: "block" },
    ],
    [
      "a block of a legacy frame that is too large",
      concat([legacy, Uint8Array.of(...u32(8_421_521), 0, 0, 0, 0)]),
      "at most 8421520 bytes expected, not 8421521",
      { offset: legacy.length, field: "block size" },
    ],
  ])("%s", (_name, bytes, detail, place) => expectError(bytes, detail, place));

  test("wrong checksums", () => {
    const frameCheck = formatErrorOf(() => unpack(changed(smallFile, [size - 4, [1, 2, 3, 4]])));
    expect(frameCheck).toMatch(/^lz4: offset 521, checksum of the frame: 0x[0-9a-f]{8} expected, not 0x04030201$/);
    const first = 7 + 4 + new DataView(linked.buffer, linked.byteOffset).getUint32(7, true);
    const blockCheck = formatErrorOf(() => unpack(changed(linked, [first, [1, 2, 3, 4]]), 1 << 17));
    expect(blockCheck).toMatch(/^lz4: offset \d+, checksum of the block: 0x[0-9a-f]{8} expected, not 0x04030201$/);
  });
  test("another size than announced", () => {
    // The header's checksum is over the fields before it: LZ4 Frame Format, "Header Checksum".
    const file = changed(data("text.lz4"), [6, [0x41]]);
    const checksum = (xxHash32(file.subarray(4, 14)) >>> 8) & 0xff;
    const error = formatErrorOf(() => unpack(changed(file, [14, [checksum]])));
    expect(error).toBe("lz4: offset 10828: 40001 bytes of output expected, the frame has 40000");
  });
});

describe("hostile files", () => {
  test.each(["small.lz4", "small.legacy.lz4", "small.size.lz4", "empty.lz4"])("%s cut at every length", (file) => {
    const bytes = data(file);
    for (let length = 0; length < bytes.length; length++) {
      // A legacy frame may end behind its magic, and behind a block.
      const isWhole =
        file.startsWith("small.") && file !== "small.lz4" && (length === 4 || length === bytes.length - 4);
      const error = formatErrorOf(() => unpack(bytes.subarray(0, length)));
      if (isWhole && error === null) continue;
      expect(error).toMatch(/^lz4: offset \d+.*the input ends/);
    }
  });

  test.each(["small.lz4", "small.legacy.lz4", "frames.lz4", "twice.linked.lz4"])(
    "%s with a few bytes changed",
    (file) => {
      const bytes = data(file);
      const random = randomNumbers(bytes.length);
      const rounds = Math.ceil(2_000_000 / (bytes.length + 20_000));
      for (let round = 0; round < rounds; round++) {
        const mutated = bytes.slice();
        for (let change = 0; change <= round % 3; change++) mutated[random() % bytes.length] = random() >>> 5;
        formatErrorOf(() => expect(unpack(mutated, 50_000).length).toBeLessThanOrEqual(50_000));
      }
    },
  );

  test("any data in a legacy block", () => {
    const random = randomNumbers(0x184c);
    for (let round = 0; round < 2000; round++) {
      const noise = Array.from({ length: 60 }, () => (random() % 4 === 0 ? random() % 4 : random() >>> 5));
      const bytes = Uint8Array.of(...u32(0x184c2102), ...u32(noise.length), ...noise);
      formatErrorOf(() => expect(unpack(bytes, 5000).length).toBeLessThanOrEqual(5000));
    }
  });

  test("many small blocks take no time", () => {
    const block = [1, 0, 0, 0x80, 0x61];
    const bytes = new Uint8Array(7 + block.length * 300_000 + 4);
    bytes.set(Uint8Array.of(...u32(0x184d2204), 0x40, 0x70, 0xdf));
    for (let i = 0; i < 300_000; i++) bytes.set(block, 7 + i * block.length);
    expect(unpack(bytes, 300_000).length).toBe(300_000);
  });
});

describe("xxHash of 32 bits", () => {
  // xxHash's own sanity checks and those of its ports.
  test.each([
    ["", 0x02cc5d05],
    ["abc", 0x32d153ff],
    ["Nobody inspects the spammish repetition", 0xe2293b2f],
  ])("%j", (input, expected) => expect(xxHash32(Buffer.from(input))).toBe(expected));

  test("in pieces", () => {
    for (const piece of [1, 3, 15, 16, 17, 31, 1000]) {
      const hash = new XxHash32();
      for (let at = 0; at < small.length; at += piece) hash.update(small.subarray(at, at + piece));
      expect(hash.digest()).toBe(xxHash32(small));
    }
  });
});
