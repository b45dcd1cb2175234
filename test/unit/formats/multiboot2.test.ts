import { describe, expect, it } from "vitest";
import { addressedLoad } from "../../../src/formats/multiboot.ts";
import { findMultiboot2 } from "../../../src/formats/multiboot2.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { kernelImage, withWords } from "../../fakes/kernel-image.ts";

const elf32 = kernelImage("multiboot2-elf32");
const flat = kernelImage("multiboot2-flat");

/** A tag as words; type and flags are in the first, the second is its size. Padded to 8 bytes. */
function tag(type: number, flags: number, ...words: readonly number[]): number[] {
  const padding = words.length % 2 === 0 ? [] : [0];
  return [type + flags * 0x10000, 8 + words.length * 4, ...words, ...padding];
}

const end = tag(0, 0);

/** A header at `offset` with the given tags, by section 3.1 of the specification. */
function header(tags: readonly number[], own: { offset?: number; architecture?: number; length?: number } = {}) {
  const { offset = 0, architecture = 0, length = 16 + tags.length * 4 } = own;
  const words = [0xe85250d6, architecture, length, -(0xe85250d6 + architecture + length) >>> 0, ...tags];
  const bytes = new Uint8Array(offset + words.length * 4);
  return withWords(bytes, ...words.map((word, index) => [offset + index * 4, word] as const));
}

const none = {
  architecture: "i386",
  requests: [],
  addresses: null,
  entry: null,
  entryEfi64: null,
  entryEfi32: null,
  consoleFlags: null,
  framebuffer: null,
  pageAlignModules: false,
  keepBootServices: false,
  relocatable: null,
  unknownRequired: [],
};

describe("images of an assembler (grub-file takes them; test/data/kernel-image/README.md)", () => {
  const everything = {
    offset: 0x1008,
    bytes: 192,
    architecture: "i386",
    requests: [
      { type: 4, required: true },
      { type: 6, required: true },
      { type: 8, required: true },
      { type: 15, required: false },
    ],
    addresses: null,
    entry: 0x300001,
    entryEfi64: 0x300009,
    entryEfi32: 0x300008,
    consoleFlags: 3,
    framebuffer: { width: 1024, height: 768, depth: 32, required: false },
    pageAlignModules: true,
    keepBootServices: true,
    relocatable: { min: 0x200000, max: 0x3fffffff, align: 0x200000, preference: "high" },
    unknownRequired: [],
  };
  it("every tag", () => {
    expect(findMultiboot2(elf32)).toEqual(everything);
    expect(findMultiboot2(kernelImage("multiboot2-elf64"))).toEqual(everything);
  });
  // load_addr is -1: the file from its first byte on.
  it("with addresses of its own", () => {
    const found = findMultiboot2(flat);
    expect(found).toEqual({
      ...none,
      offset: 8,
      bytes: 64,
      addresses: { header: 0x400008, load: 0x400000, loadEnd: 0, bssEnd: 0x400088 },
      entry: 0x400000,
    });
    if (found?.addresses == null) throw new Error("addresses expected");
    expect(addressedLoad(found.offset, found.addresses, flat.length)).toEqual({
      offset: 0,
      fileBytes: 72,
      physical: 0x400000,
      memoryBytes: 0x88,
    });
  });
});

describe("the search", () => {
  it("finds the first header at a multiple of 8 within 32768 bytes", () => {
    expect(findMultiboot2(header(end))).toEqual({ ...none, offset: 0, bytes: 24 });
    expect(findMultiboot2(header(end, { offset: 32_768 - 24 }))).toMatchObject({ offset: 32_744 });
    expect(findMultiboot2(header(end, { offset: 32_760 }))).toBeNull();
    expect(findMultiboot2(header(end, { offset: 4 }))).toBeNull();
    expect(findMultiboot2(withWords(header(end), [12, 1]))).toBeNull();
    expect(findMultiboot2(new Uint8Array(0))).toBeNull();
  });
  it("tells other architectures", () => {
    expect(findMultiboot2(header(end, { architecture: 4 }))?.architecture).toBe("mips");
    expect(findMultiboot2(header(end, { architecture: 7 }))?.architecture).toBe(7);
  });
});

it("tags that nobody knows are told when they are required", () => {
  const tags = [...tag(11, 0), ...tag(12, 1, 1, 2, 3), ...tag(0xffff, 0, 5), ...end];
  expect(findMultiboot2(header(tags))?.unknownRequired).toEqual([11, 0xffff]);
});

it("requests of several tags add up, words that are cut do not count", () => {
  const tags = [...tag(1, 0, 3), ...tag(1, 1), 0x10001, 15, 9, 0, ...end];
  expect(findMultiboot2(header(tags))?.requests).toEqual([
    { type: 3, required: true },
    { type: 9, required: false },
  ]);
});

describe("contradictions", () => {
  it.each([
    [
      "longer than the file",
      header(end, { length: 32 }),
      "offset 8, header_length: 32 bytes from 0 leave the first 24",
    ],
    ["no end", header(tag(6, 0)), "offset 0, tags: a tag of type 0 expected within 24 bytes"],
    ["no tags", header([], { length: 0 }), "offset 0, tags: a tag of type 0 expected within 0 bytes"],
    ["a tag without size", header([6, 0, ...end]), "offset 20, size: at least 8 expected, not 0"],
    ["a tag too long", header([6, 0xffffffff, ...end]), "offset 20, size: 4294967295 bytes leave the header"],
    ["a short entry tag", header([3, 8, ...end]), "offset 20, size: at least 12 expected, not 8"],
    [
      "two entries",
      header([...tag(3, 0, 1), ...tag(3, 0, 2), ...end]),
      "offset 32, type: one tag of type 3 expected, not a second",
    ],
    [
      "addresses without an entry",
      header([...tag(2, 0, 0, 0, 0, 0), ...end]),
      "offset 16, tags: an entry address tag expected beside the address tag",
    ],
    [
      "the first byte below 0",
      header([...tag(2, 0, 7, 0xffffffff, 0, 0), ...tag(3, 0, 8), ...end], { offset: 8 }),
      "offset 32, header_addr: at least 8 expected, where the header stands, not 7",
    ],
    [
      "load above header",
      header([...tag(2, 0, 0x1000, 0x2000, 0, 0), ...tag(3, 0, 0x2000), ...end]),
      "offset 0, load_addr: at most header_addr, 0x1000, expected, not 0x2000",
    ],
    [
      "nowhere to go",
      header([...tag(10, 0, 2, 1, 4096, 0), ...end]),
      "offset 28, max_addr: at least 2 expected, not 1",
    ],
    ["odd alignment", header([...tag(10, 0, 1, 2, 3, 0), ...end]), "offset 32, align: a power of two expected, not 3"],
    ["no alignment", header([...tag(10, 0, 1, 2, 0, 0), ...end]), "offset 32, align: a power of two expected, not 0"],
    [
      "unknown preference",
      header([...tag(10, 0, 1, 2, 0x80000000, 3), ...end]),
      "offset 36, preference: 0, 1 or 2 expected, not 3",
    ],
  ])("%s", (_, bytes, message) => {
    expect(formatErrorOf(() => findMultiboot2(bytes))).toBe(`multiboot2: ${message}`);
  });
});

it("only FormatError, cut or changed", () => {
  // The magic fields stay, so that the tags are reached.
  const parse = (bytes: Uint8Array): void => {
    const found = findMultiboot2(bytes);
    if (found?.addresses != null) addressedLoad(found.offset, found.addresses, bytes.length);
  };
  const image = elf32.slice(0x1008, 0x1008 + 192);
  tortureParser({ bytes: image, parse, rounds: 2000, seed: 31 });
  const keep = (bytes: Uint8Array): void => {
    const copy = bytes.slice();
    copy.set(image.subarray(0, Math.min(16, copy.length)));
    parse(copy);
  };
  tortureParser({ bytes: image, parse: keep, rounds: 5000, seed: 32 });
  tortureParser({ bytes: flat, parse, rounds: 2000, seed: 33 });
});
