import { describe, expect, it } from "vitest";
import { type PeImage, peMachine, readPe } from "../../../src/formats/pe.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { kernelImage, withWords } from "../../fakes/kernel-image.ts";

const readAll = (bytes: Uint8Array): PeImage => readPe(rangesOf(bytes), bytes.length);

const bzImage = kernelImage("bzimage-pe-head");
/** Length of the file that `bzimage-pe-head` is the head of. */
const bzImageBytes = 14_186_432;
const uki = kernelImage("uki");
const pe32 = kernelImage("pe32");
const empty = { address: 0, bytes: 0 };

describe("images, as objdump sees them (test/data/kernel-image/README.md)", () => {
  it("a signed bzImage", () => {
    expect(readPe(rangesOf(bzImage), bzImageBytes)).toEqual({
      bits: 64,
      machine: peMachine.x86_64,
      headerOffset: 0x40,
      characteristics: 0x206,
      entryAddress: 0xd7d8b7,
      imageBase: 0n,
      sectionAlignment: 0x1000,
      fileAlignment: 0x200,
      imageVersion: { major: 1, minor: 0 },
      imageBytes: 0xdcc000,
      headerBytes: 0x1000,
      checksum: 0xd8d44c,
      // PE format, "Optional Header": offset 64 behind signature and COFF header.
      checksumOffset: 0x40 + 24 + 64,
      subsystem: 10,
      dllCharacteristics: 0x100,
      directories: [empty, empty, empty, empty, { address: 0xd87200, bytes: 0x5c0 }, empty],
      // The fifth directory of an image that is PE32+: offset 144.
      certificateDirectoryOffset: 0x40 + 24 + 144,
      certificates: { offset: 0xd87200, length: 0x5c0 },
      sections: [
        [".setup", 0x1000, 0x3000, 0x1000, 0x3000, 0x42000040],
        [".compat", 0x4000, 0x1000, 0x4000, 0x1000, 0x42000040],
        [".text", 0x5000, 0xd81000, 0x5000, 0xd81000, 0x60000020],
        [".data", 0xd86000, 0x46000, 0xd86000, 0x1200, 0xc0000040],
      ].map(([name, virtualAddress, virtualBytes, offset, length, characteristics]) => ({
        name,
        virtualAddress,
        virtualBytes,
        raw: { offset, length },
        characteristics,
      })),
    });
  });
  it("PE32", () => {
    expect(readAll(pe32)).toMatchObject({
      bits: 32,
      machine: peMachine.i386,
      headerOffset: 0x80,
      entryAddress: 0x1000,
      imageBytes: 0x4000,
      headerBytes: 0x200,
      checksum: 0x997d,
      checksumOffset: 0x80 + 24 + 64,
      subsystem: 10,
      certificateDirectoryOffset: 0x80 + 24 + 128,
      certificates: null,
      sections: [
        { name: ".text", virtualAddress: 0x1000, virtualBytes: 1, raw: { offset: 0x200, length: 0x200 } },
        { name: ".data", virtualAddress: 0x3000, virtualBytes: 4, raw: { offset: 0x400, length: 0x200 } },
      ],
    });
    expect(readAll(pe32).directories.length).toBe(16);
  });
  it("systemd's stub", () => {
    const image = readAll(uki);
    expect([image.entryAddress, image.headerBytes, image.checksum]).toEqual([0x4000, 0x400, 0x2132b]);
    expect(image.directories[5]).toEqual({ address: 0x10000, bytes: 0xc });
    expect(image.sections.map((section) => [section.name, section.raw.offset, section.virtualBytes])).toEqual([
      [".text", 0x400, 0xbff0],
      [".reloc", 0xc400, 0xc],
      [".data", 0xc600, 0x34b8],
      [".dynamic", 0xfc00, 0x100],
      [".rela", 0xfe00, 0xf30],
      [".dynsym", 0x10e00, 0x18],
      [".sbat", 0x11000, 0xe2],
      [".sdmagic", 0x11200, 0x34],
      [".osrel", 0x11400, 0x37],
      [".cmdline", 0x11600, 0x24],
      [".uname", 0x11800, 0xf],
      [".ucode", 0x11a00, 0x9],
      [".initrd", 0x11c00, 0x17],
      [".linux", 0x11e00, 0x16],
    ]);
  });
});

/** pe32's headers: COFF header at 0x80, optional header of 0xe0 bytes at 0x98, section table at 0x178. */
const [coff, optional, table] = [0x80, 0x98, 0x178];

describe("images that are refused", () => {
  const size = pe32.length;
  it.each([
    ["nothing", new Uint8Array(0), 'offset 0, e_magic: "MZ" expected'],
    [
      "a DOS program that is cut",
      pe32.subarray(0, 63),
      "offset 60, e_lfanew: 4 byte(s) expected, the input ends at 63",
    ],
    ["headers upon the DOS header", withWords(pe32, [60, 63]), "offset 60, e_lfanew: at least 64 expected, not 63"],
    [
      "headers behind the end",
      withWords(pe32, [60, 0xfffffff0]),
      "offset 4294967280, Signature: 4 byte(s) expected, 0 found",
    ],
    ["a DOS program", withWords(pe32, [coff, 0x454e]), 'offset 128, Signature: "PE" and two zeroes expected'],
    [
      "another optional header",
      withWords(pe32, [optional, 0x107]),
      "offset 152, Magic: 0x10b or 0x20b expected, not 0x107",
    ],
    [
      "no optional header",
      withWords(pe32, [coff + 20, 0]),
      "offset 152, Magic: 2 byte(s) expected, the input ends at 152",
    ],
    [
      "more sections than are taken",
      withWords(pe32, [coff + 4, 0xffff014c]),
      "offset 134, NumberOfSections: 65535: at most 4096 are taken",
    ],
    [
      "more directories than there are",
      withWords(pe32, [optional + 92, 17]),
      "offset 244, NumberOfRvaAndSizes: 17: at most 16 expected",
    ],
    [
      "more directories than there is room for",
      withWords(pe32, [coff + 20, 96 + 15 * 8]),
      "offset 244, NumberOfRvaAndSizes: 16: at most 15 expected",
    ],
    [
      "headers that end before the section table",
      withWords(pe32, [optional + 60, table + 79]),
      `offset 212, SizeOfHeaders: 455: from 456 to ${size} expected`,
    ],
    [
      "headers longer than the file",
      withWords(pe32, [optional + 60, size + 1]),
      `offset 212, SizeOfHeaders: ${size + 1}: from 456 to ${size} expected`,
    ],
    [
      "a section upon the headers",
      withWords(pe32, [table + 20, 0x1ff]),
      `offset 376, PointerToRawData: bytes 511 to 1023 leave what is behind the headers, 512 to ${size}`,
    ],
    [
      "a section behind the end",
      withWords(pe32, [table + 40 + 16, size]),
      `offset 416, PointerToRawData: bytes 1024 to ${1024 + size} leave what is behind the headers, 512 to ${size}`,
    ],
    [
      "certificates behind the end",
      withWords(pe32, [optional + 128, size - 8], [optional + 132, 9]),
      `offset 280, Certificate Table: bytes ${size - 8} to ${size + 1} leave what is behind the headers, 512 to ${size}`,
    ],
  ])("%s", (_, bytes, message) => {
    expect(formatErrorOf(() => readAll(bytes))).toBe(`pe: ${message}`);
  });
});

it("a section without bytes in the file may point anywhere", () => {
  const image = readAll(withWords(pe32, [table + 16, 0], [table + 20, 0xffffffff]));
  expect(image.sections[0]?.raw).toEqual({ offset: 0, length: 0 });
});

it("images without directories or sections", () => {
  const image = readAll(withWords(pe32, [optional + 92, 4], [coff + 4, 0x14c]));
  expect([image.certificateDirectoryOffset, image.certificates, image.sections]).toEqual([null, null, []]);
});

it("a name of eight bytes has no NUL", () => {
  const name = new DataView(new TextEncoder().encode("abcdefgh").buffer);
  const image = readAll(withWords(pe32, [table, name.getUint32(0, true)], [table + 4, name.getUint32(4, true)]));
  expect(image.sections[0]?.name).toBe("abcdefgh");
});

it("only FormatError, cut or changed", () => {
  const within = (bytes: Uint8Array, size: number) => {
    const image = readPe(rangesOf(bytes), size);
    for (const { raw } of image.sections) expect(raw.offset + raw.length).toBeLessThanOrEqual(size);
  };
  const parse = (bytes: Uint8Array): void => within(bytes, bytes.length);
  tortureParser({ bytes: pe32, parse, rounds: 4000, seed: 61, within: table + 80 });
  tortureParser({
    bytes: bzImage,
    parse: (bytes) => within(bytes, bzImageBytes),
    rounds: 4000,
    seed: 62,
    within: 0x200,
  });
});
