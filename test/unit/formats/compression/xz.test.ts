import { describe, expect, test } from "vitest";
import { unpackXz } from "../../../../src/formats/compression/xz.ts";
import { crc32 } from "../../../../src/formats/crc32.ts";
import { FormatError, type FormatPlace } from "../../../../src/formats/format-error.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";
import { changed, concat, copies, data, unpackAll } from "./fixture.ts";

const small = data("small.xz");
const original = data("small.original");

const unpack = (bytes: Uint8Array, outputBytesMax?: number): Uint8Array => unpackAll(unpackXz, bytes, outputBytesMax);

function expectError(bytes: Uint8Array, detail: string, place: FormatPlace, outputBytesMax?: number): void {
  expect(() => unpack(bytes, outputBytesMax)).toThrow(new FormatError("xz", detail, place));
}

function crcBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(Uint32Array.of(crc32(bytes)).buffer);
}

// small.xz, as `xz -lvv` and sections 2 to 4 of the format have it: stream header 0, block header 12, LZMA2 24, its end
// marker 336, padding 337, CRC-64 340, index 348, footer 360.
const place = { flags: 6, block: 12, chunk: 24, end: 336, check: 340, index: 348, footer: 360 };

/** small.xz with another block header. */
function withHeader(...fields: readonly number[]): Uint8Array {
  const padding = -(1 + fields.length) & 3;
  const bytes = 1 + fields.length + padding + 4;
  const header = Uint8Array.of(bytes / 4 - 1, ...fields, ...new Uint8Array(padding));
  return concat([small.subarray(0, place.block), header, crcBytes(header), small.subarray(place.chunk)]);
}

describe("files of XZ Utils", () => {
  test.each([
    ["small.xz", "small"],
    ["text.crc32.xz", "text"],
    ["text.none.xz", "text"],
    ["text.sha256.xz", "text"],
    ["text.blocks.xz", "text"],
    ["text.literals.xz", "text"],
    ["text.window.xz", "text"],
    ["delta.xz", "text"],
    ["x86.xz", "x86"],
    ["x86.start.xz", "x86"],
    ["filters.xz", "x86"],
    ["arm64.xz", "arm64"],
    ["random.xz", "random"],
    ["empty.xz", "empty"],
  ])("%s", (file, name) => expect(unpack(data(file))).toEqual(data(`${name}.original`)));

  test("two streams with padding", () => {
    expect(unpack(data("streams.xz"))).toEqual(concat([original, data("text.original")]));
  });

  test("read a few bytes at a time", () => {
    const bytes = data("text.blocks.xz");
    const chunks = unpackXz(
      (offset, length) => bytes.subarray(offset, offset + Math.min(length, 7)),
      bytes.length,
      1 << 16,
    );
    expect(concat([...copies(chunks)])).toEqual(data("text.original"));
  });

  test("16 MiB of zeroes, in pieces of 2 MiB at most", () => {
    const bytes = data("zeroes.xz");
    let length = 0;
    for (const chunk of unpackXz((offset, wanted) => bytes.subarray(offset, offset + wanted), bytes.length, 1 << 24)) {
      expect(chunk.length).toBeLessThanOrEqual(1 << 21);
      length += chunk.length;
    }
    expect(length).toBe(1 << 24);
  });
});

describe("limits", () => {
  test("output: exactly the limit is taken", () => expect(unpack(small, original.length)).toEqual(original));
  test("output: one byte more is not", () => {
    expectError(small, "at most 899 bytes of output are taken", { offset: 335 }, 899);
  });
  test("output: what a header announces is believed before it comes", () => {
    expectError(data("text.blocks.xz"), "at most 6999 bytes of output are taken", { offset: 28 }, 6999);
  });
  test("output: a bomb is stopped where it passes the limit", () => {
    const bytes = data("zeroes.xz");
    let furthest = 0;
    const read = (offset: number, length: number): Uint8Array => bytes.subarray(offset, offset + length);
    const unpacking = unpackXz(read, bytes.length, 1 << 22);
    expect(() => {
      for (const chunk of unpacking) furthest += chunk.length;
    }).toThrow("at most 4194304 bytes of output are taken");
    expect(furthest).toBeLessThanOrEqual(1 << 22);
  });
  test("dictionary", () => {
    expectError(data("dictionary.xz"), "at most 134217728 bytes are taken, not 201326592", {
      offset: 16,
      field: "dictionary size",
    });
  });
  test("blocks", () => {
    const block = Uint8Array.of(0x02, 0, 0x21, 1, 0, 0, 0, 0);
    const empty = concat([block, crcBytes(block), new Uint8Array(4)]);
    const count = 65_537;
    const bytes = concat([streamHeader(0), ...Array.from({ length: count }, () => empty)]);
    expectError(bytes, "at most 65536 blocks are taken", { offset: 12 + 65_536 * 16 });
  });
  test("streams", () => {
    const empty = data("empty.xz");
    const bytes = concat(Array.from({ length: 65_537 }, () => empty));
    expectError(bytes, "at most 65536 streams are taken", { offset: 65_536 * empty.length });
  });
});

function streamHeader(check: number): Uint8Array {
  const flags = Uint8Array.of(0, check);
  return concat([small.subarray(0, 6), flags, crcBytes(flags)]);
}

describe("stream header and footer (section 2.1)", () => {
  const checks = "0000 (none), 0001 (CRC-32), 0004 (CRC-64), 000a (SHA-256)";
  test.each([
    ["magic", changed(small, [5, [1]]), "fd377a585a00 expected, not fd377a585a01", { offset: 0, field: "magic" }],
    ["empty", new Uint8Array(0), "6 byte(s) expected, the input ends after 0", { offset: 0, field: "magic" }],
    [
      "CRC of the flags",
      changed(small, [8, [0]]),
      "e6d6b446 expected, not 00d6b446",
      { offset: 8, field: "CRC-32 of the stream flags" },
    ],
    [
      "a check that is not known",
      concat([streamHeader(2), small.subarray(12)]),
      `one of ${checks} expected, not 0002`,
      { offset: place.flags, field: "stream flags" },
    ],
    [
      "reserved flags",
      concat([streamHeader(0x14), small.subarray(12)]),
      `one of ${checks} expected, not 0014`,
      { offset: place.flags, field: "stream flags" },
    ],
    [
      "another check than the file has",
      concat([streamHeader(1), small.subarray(12)]),
      "fe4e6580 expected, not 952be7cc",
      { offset: place.check, field: "CRC-32 of the block" },
    ],
    ["footer magic", changed(small, [371, [0]]), "595a expected, not 5900", { offset: 370, field: "footer magic" }],
  ] as const)("%s", (_name, bytes, detail, where) => expectError(bytes, detail, where));

  test("CRC, backward size and flags of the footer", () => {
    const footer = (backward: number, check: number): Uint8Array => {
      const fields = Uint8Array.of(backward, 0, 0, 0, 0, check);
      return concat([small.subarray(0, place.footer), crcBytes(fields), fields, small.subarray(370)]);
    };
    expect(unpack(footer(2, 4))).toEqual(original);
    expect(formatErrorOf(() => unpack(footer(3, 4)))).toMatch(/^xz: offset 360, CRC-32 of the footer: /);
    expect(formatErrorOf(() => unpack(footer(2, 1)))).toMatch(/^xz: offset 360, CRC-32 of the footer: /);
    expect(formatErrorOf(() => unpack(changed(small, [364, [3]])))).toBe(
      "xz: offset 364, backward size and stream flags: 020000000004 expected, not 030000000004",
    );
  });

  test("padding (section 2.2)", () => {
    const padded = (bytes: number): Uint8Array => concat([small, new Uint8Array(bytes)]);
    expect(unpack(padded(300_000))).toEqual(original);
    expectError(padded(6), "a multiple of 4 zeroes expected, not 6", { offset: 378, field: "stream padding" });
    expectError(concat([padded(4), Uint8Array.of(1)]), "6 byte(s) expected, the input ends after 1", {
      offset: 376,
      field: "magic",
    });
  });
});

describe("block header (section 3.1)", () => {
  const lzma2 = [0x21, 1, 0x16];
  // 0x138 bytes from the chunk up to and with the end marker, 900 of output.
  const compressed = [0xb9, 0x02];
  const uncompressed = [0x84, 0x07];

  test("sizes that are right", () => {
    const bytes = withHeader(0xc0, ...compressed, ...uncompressed, ...lzma2);
    // Only the index, which knows the header's length, differs.
    expect(formatErrorOf(() => unpack(bytes))).toMatch(/^xz: offset 352, index: /);
  });

  test.each([
    [
      "compressed size",
      withHeader(0x40, 5, ...lzma2),
      "the header announces 5 byte(s), the block has 313",
      { offset: 337, field: "compressed size" },
    ],
    [
      "uncompressed size",
      withHeader(0x80, 0x85, 0x07, ...lzma2),
      "the header announces 901 byte(s), the block has 900",
      { offset: 337, field: "uncompressed size" },
    ],
    [
      "reserved flags",
      withHeader(0x04, ...lzma2),
      "bits 2 to 5 clear expected, not 0x4",
      { offset: 13, field: "block flags" },
    ],
    ["padding", withHeader(0, ...lzma2, 0, 1), "000000 expected, not 000100", { offset: 17, field: "header padding" }],
    [
      "a number in more bytes than it needs",
      withHeader(0x80, 0x80, 0, ...lzma2),
      "a shorter form expected",
      { offset: 14, field: "uncompressed size" },
    ],
    [
      "a number of too many bytes",
      withHeader(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, ...lzma2),
      "a number of at most 9 bytes expected",
      { offset: 14, field: "uncompressed size" },
    ],
    [
      "a number over 2^53",
      withHeader(0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, ...lzma2),
      "at most 9007199254740991 is taken",
      { offset: 14, field: "uncompressed size" },
    ],
    [
      "fields that leave the header",
      withHeader(0x03),
      "one of 0x3 (delta), 0x4 (x86), 0xa (ARM64) expected before LZMA2, not 0x0",
      { offset: 14, field: "filter" },
    ],
    [
      "LZMA2 before the last",
      withHeader(0x01, ...lzma2, ...lzma2),
      "one of 0x3 (delta), 0x4 (x86), 0xa (ARM64) expected before LZMA2, not 0x21",
      { offset: 14, field: "filter" },
    ],
    [
      "a last filter that is not LZMA2",
      withHeader(0x00, 0x04, 0),
      "LZMA2 (0x21) as the last filter expected, not 0x4",
      { offset: 14, field: "filter" },
    ],
    [
      "properties of LZMA2",
      withHeader(0x00, 0x21, 2, 0, 0),
      "1 expected, not 2",
      { offset: 16, field: "filter properties size" },
    ],
    [
      "properties of x86",
      withHeader(0x01, 0x04, 1, 0, ...lzma2),
      "0 or 4 expected, not 1",
      { offset: 16, field: "filter properties size" },
    ],
    [
      "properties of delta",
      withHeader(0x01, 0x03, 0, ...lzma2),
      "1 expected, not 0",
      { offset: 16, field: "filter properties size" },
    ],
    [
      "a start within an instruction",
      withHeader(0x01, 0x0a, 4, 2, 0, 0, 0x80, ...lzma2),
      "a multiple of 4 expected, not 2147483650",
      { offset: 16, field: "filter start" },
    ],
    [
      "a dictionary size that is none",
      withHeader(0x00, 0x21, 1, 41),
      "at most 40 expected, not 41",
      { offset: 16, field: "dictionary size" },
    ],
    [
      "the largest dictionary",
      withHeader(0x00, 0x21, 1, 40),
      "at most 134217728 bytes are taken, not 4294967295",
      { offset: 16, field: "dictionary size" },
    ],
    [
      "a filter that is not undone here",
      data("arm.xz"),
      "one of 0x3 (delta), 0x4 (x86), 0xa (ARM64) expected before LZMA2, not 0x7",
      { offset: 14, field: "filter" },
    ],
  ] as const)("%s", (_name, bytes, detail, where) => expectError(bytes, detail, where));

  test("its CRC", () => {
    expect(formatErrorOf(() => unpack(changed(small, [16, [0x15]])))).toMatch(
      /^xz: offset 20, CRC-32 of the block header: [0-9a-f]{8} expected, not [0-9a-f]{8}$/,
    );
  });
  test("a cut header", () => {
    expectError(small.subarray(0, 20), "12 byte(s) expected, the input ends after 8", {
      offset: 12,
      field: "block header",
    });
  });
});

describe("LZMA2 chunks", () => {
  const control = { offset: place.chunk, field: "LZMA2 control" };
  const chunk = { offset: place.end, field: "LZMA2 chunk" };
  test.each([
    ["no dictionary yet", changed(small, [24, [0xc0]]), "0, 1 or 0xe0 to 0xff expected, not 0xc0", control],
    ["stored without a dictionary", changed(small, [24, [0x02]]), "0, 1 or 0xe0 to 0xff expected, not 0x2", control],
    ["no such control", changed(small, [24, [0x7f]]), "0, 1 or 0xe0 to 0xff expected, not 0x7f", control],
    [
      "no such control later",
      changed(small, [336, [0x03]]),
      "0, 1, 2 or 0x80 to 0xff expected, not 0x3",
      { offset: 336, field: "LZMA2 control" },
    ],
    [
      "no properties yet",
      changed(small, [24, [0x01, 0, 0, 0xaa, 0x80]]),
      "a chunk with properties (0xc0 to 0xff) expected",
      { offset: 28, field: "LZMA2 control" },
    ],
    [
      "properties",
      changed(small, [29, [225]]),
      "(pb * 5 + lp) * 9 + lc with pb up to 4 and lc + lp up to 4 expected, not 225",
      { offset: 29, field: "properties" },
    ],
    [
      "too many literal bits",
      changed(small, [29, [13]]),
      "(pb * 5 + lp) * 9 + lc with pb up to 4 and lc + lp up to 4 expected, not 13",
      { offset: 29, field: "properties" },
    ],
    ["the range's first byte", changed(small, [30, [1]]), "0 expected, not 1", { offset: 30, field: "range" }],
    [
      "less data than the range begins with",
      changed(small, [27, [0, 3]]),
      "at least 5 bytes expected, not 4",
      { offset: 30, field: "LZMA2 compressed size" },
    ],
    ["a longer output", changed(small, [25, [0x04]]), "more data expected, the chunk ends here", chunk],
    [
      "stored bytes in place of the end",
      changed(small, [336, [0x01]]),
      "a chunk with properties (0xc0 to 0xff) expected",
      { offset: 340, field: "LZMA2 control" },
    ],
  ] as const)("%s", (_name, bytes, detail, where) => expectError(bytes, detail, where));

  test("other bytes", () => {
    expect(formatErrorOf(() => unpack(changed(small, [300, [0]])))).toMatch(
      /^xz: offset \d+, (LZMA2 chunk|match|CRC-64 of the block): /,
    );
  });
  test("a shorter output", () => {
    // 899 bytes in place of 900.
    expect(formatErrorOf(() => unpack(changed(small, [26, [0x82]])))).toMatch(
      /^xz: offset 33\d, LZMA2 chunk: the end of the chunk's data expected$/,
    );
  });
});

describe("what is verified at the end", () => {
  test.each([
    [
      "block padding",
      changed(small, [337, [1]]),
      "000000 expected, not 010000",
      { offset: 337, field: "block padding" },
    ],
    [
      "check",
      changed(small, [340, [0]]),
      "952be7ccd85d1424 expected, not 002be7ccd85d1424",
      { offset: 340, field: "CRC-64 of the block" },
    ],
  ] as const)("%s", (_name, bytes, detail, where) => expectError(bytes, detail, where));

  test("index", () => {
    for (let offset = place.index + 1; offset < place.footer; offset++) {
      const error = formatErrorOf(() => unpack(changed(small, [offset, [(small[offset] ?? 0) ^ 1]])));
      expect(error).toMatch(/^xz: offset 348, index: [0-9a-f]{24} expected, not [0-9a-f]{24}$/);
    }
  });
});

describe("hostile files", () => {
  test.each(["small.xz", "empty.xz", "random.xz"])("%s cut at every length", (file) => {
    const bytes = data(file);
    for (let length = 0; length < bytes.length; length++) {
      expect(formatErrorOf(() => unpack(bytes.subarray(0, length)))).toMatch(
        /^xz: offset \d+, .*the (input|chunk) ends/,
      );
    }
  });

  // Everything is behind a check: what is taken is the original.
  test.each([
    ["small.xz", "small"],
    ["filters.xz", "x86"],
    ["text.blocks.xz", "text"],
  ])("%s with a few bytes changed", (file, name) => {
    const bytes = data(file);
    const expected = data(`${name}.original`);
    const random = randomNumbers(bytes.length);
    let refused = 0;
    const rounds = Math.ceil(2_000_000 / (bytes.length + 5000));
    for (let round = 0; round < rounds; round++) {
      const mutated = bytes.slice();
      for (let change = 0; change <= round % 3; change++) mutated[random() % bytes.length] = random() >>> 5;
      const error = formatErrorOf(() => expect(unpack(mutated)).toEqual(expected));
      if (error !== null) refused++;
    }
    expect(refused).toBeGreaterThan(rounds * 0.8);
  });
});
