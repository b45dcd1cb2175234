import { describe, expect, it } from "vitest";
import { type NbiImage, parseNbi } from "../../../src/formats/nbi.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { withWords } from "../../fakes/kernel-image.ts";

const readAll = (bytes: Uint8Array): NbiImage => parseNbi(rangesOf(bytes), bytes.length);

interface Record {
  /** 0 absolute, 1 after the previous, 2 below the end of memory, 3 before the previous; 4 added: the last. */
  readonly flags: number;
  readonly address: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
  readonly vendorWords?: number;
}

interface Header {
  /** Header and vendor words, flags. */
  readonly flags?: number;
  readonly entry?: number;
  readonly records: readonly Record[];
}

/** A header block that loads itself to 9000:0200, laid out from the proposal, and `data` bytes behind it. */
function image({ flags = 4, entry = 0, records }: Header, data: number): Uint8Array {
  const words: [number, number][] = [
    [0, 0x1b031336],
    [4, flags],
    [8, 0x90000200],
    [12, entry],
  ];
  let at = ((flags & 0xf) + ((flags >> 4) & 0xf)) * 4;
  for (const { flags, address, fileBytes, memoryBytes, vendorWords = 0 } of records) {
    words.push([at, 4 + vendorWords * 16 + flags * 0x1000000], [at + 4, address]);
    words.push([at + 8, fileBytes], [at + 12, memoryBytes]);
    at += (4 + vendorWords) * 4;
  }
  return withWords(new Uint8Array(512 + data), ...words);
}

describe("images", () => {
  it("entered in real mode, with every way to say an address", () => {
    const records = [
      { flags: 0, address: 0x10000, fileBytes: 100, memoryBytes: 0x200 },
      { flags: 1, address: 0x30, fileBytes: 20, memoryBytes: 32, vendorWords: 3 },
      { flags: 3, address: 0x1000, fileBytes: 3, memoryBytes: 4 },
      { flags: 0, address: 0, fileBytes: 0, memoryBytes: 0 },
      { flags: 4, address: 0x100000, fileBytes: 0, memoryBytes: 0x1000 },
    ];
    expect(readAll(image({ flags: 0x24, entry: 0x12345678, records }, 123))).toEqual({
      headerAddress: 0x90200,
      entry: { mode: "16-bit", cs: 0x1234, ip: 0x5678 },
      segments: [
        { offset: 512, fileBytes: 100, address: 0x10000, memoryBytes: 0x200 },
        { offset: 612, fileBytes: 20, address: 0x10230, memoryBytes: 32 },
        { offset: 632, fileBytes: 3, address: 0xf230, memoryBytes: 4 },
        { offset: 635, fileBytes: 0, address: 0x100000, memoryBytes: 0x1000 },
      ],
    });
  });
  it("entered in 32 bits; the first segment follows the header block", () => {
    const records = [{ flags: 5, address: 0, fileBytes: 8, memoryBytes: 8 }];
    expect(readAll(image({ flags: 0x80000004, entry: 0xfff00010, records }, 8))).toEqual({
      headerAddress: 0x90200,
      entry: { mode: "32-bit", address: 0xfff00010 },
      segments: [{ offset: 512, fileBytes: 8, address: 0x90400, memoryBytes: 8 }],
    });
  });
});

describe("what is refused", () => {
  const one = { flags: 4, address: 0x100000, fileBytes: 16, memoryBytes: 16 };
  const records = [one];
  it.each([
    ["no image", new Uint8Array(600), "offset 0, magic: the magic 36 13 03 1b expected"],
    ["nothing", new Uint8Array(0), "offset 0, magic: the magic 36 13 03 1b expected"],
    [
      "cut in the header",
      image({ records }, 16).subarray(0, 511),
      "offset 0, header: 512 bytes expected, the file ends at 511",
    ],
    ["another header length", image({ flags: 5, records }, 16), "offset 4, flags: a header of 4 words expected, not 5"],
    [
      "reserved bits",
      image({ flags: 0x204, records }, 16),
      "offset 4, flags: reserved bits expected to be 0, not 0x204",
    ],
    [
      "one that returns",
      image({ flags: 0x104, records }, 16),
      "offset 4, flags: an image expected that does not return to its loader",
    ],
    [
      "a segment cut off",
      image({ records }, 15),
      "offset 16, segment record: bytes 512 to 528 expected, the file ends at 527",
    ],
    [
      "a record of another length",
      withWords(image({ records }, 16), [16, 0x04000003]),
      "offset 16, segment record: a record of 4 words expected, not 3",
    ],
    [
      "reserved flags",
      image({ records: [{ ...one, flags: 0x0c }] }, 16),
      "offset 19, segment flags: reserved bits expected to be 0, not 0xc",
    ],
    [
      "the end of memory",
      image({ records: [{ ...one, flags: 6 }] }, 16),
      "offset 19, segment flags: an address that does not count from the end of memory expected",
    ],
    [
      "more file than memory",
      image({ records: [{ ...one, memoryBytes: 15 }] }, 16),
      "offset 16, segment record: 16 bytes of file in 15 bytes of memory",
    ],
    [
      "beyond 4 GiB",
      image({ records: [{ ...one, address: 0xfffffff8 }] }, 16),
      "offset 16, segment record: 16 bytes at 0xfffffff8 leave the first 4 GiB",
    ],
    [
      "below 0",
      image({ records: [{ ...one, flags: 7, address: 0x90201 }] }, 16),
      "offset 16, segment record: 16 bytes at -0x1 leave the first 4 GiB",
    ],
    [
      "on top of the header block",
      image({ records: [{ ...one, address: 0x903ff }] }, 16),
      "segment record: what is loaded at 0x90200 and 0x903ff overlaps",
    ],
    [
      "no last record",
      image({ records: Array.from({ length: 31 }, () => ({ flags: 0, address: 0, fileBytes: 0, memoryBytes: 0 })) }, 0),
      "offset 512, segment record: 1 byte(s) expected, the input ends at 512",
    ],
  ])("%s", (_, bytes, message) => {
    expect(formatErrorOf(() => readAll(bytes))).toBe(`nbi: ${message}`);
  });
});

it("only FormatError, cut or changed", () => {
  const bytes = image(
    {
      records: [
        { flags: 0, address: 0x10000, fileBytes: 30, memoryBytes: 40 },
        { flags: 1, address: 4, fileBytes: 10, memoryBytes: 50 },
        { flags: 7, address: 0x100, fileBytes: 10, memoryBytes: 10 },
      ],
    },
    50,
  );
  const parse = (input: Uint8Array): void => {
    for (const { address, memoryBytes, offset, fileBytes } of readAll(input).segments) {
      expect(address >= 0 && address + memoryBytes <= 2 ** 32 && offset + fileBytes <= input.length).toBe(true);
    }
  };
  tortureParser({ bytes, parse, rounds: 0, seed: 40 });
  tortureParser({ bytes, parse, rounds: 6000, seed: 41, within: 64 });
});
