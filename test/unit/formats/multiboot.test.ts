import { describe, expect, it } from "vitest";
import { addressedLoad, findMultiboot } from "../../../src/formats/multiboot.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { kernelImage, withWords } from "../../fakes/kernel-image.ts";

const elf = kernelImage("multiboot-elf32");
const flat = kernelImage("multiboot-flat");

/** A header at `offset`, laid out from section 3.1.1 of the specification. */
function header(flags: number, offset = 0, words: readonly number[] = []): Uint8Array {
  const bytes = new Uint8Array(offset + 12 + words.length * 4);
  const all = [0x1badb002, flags, -(0x1badb002 + flags) >>> 0, ...words];
  return withWords(bytes, ...all.map((word, index) => [offset + index * 4, word] as const));
}

const none = { pageAlignModules: false, wantsMemory: false, video: null, addresses: null, unsupported: 0 };

describe("images of an assembler (grub-file takes them; test/data/kernel-image/README.md)", () => {
  it("in an ELF file", () => {
    expect(findMultiboot(elf)).toEqual({
      offset: 0x1004,
      pageAlignModules: true,
      wantsMemory: true,
      video: { mode: 0, width: 1024, height: 768, depth: 32 },
      addresses: null,
      unsupported: 0,
    });
  });
  // Addresses as nm has them.
  it("with addresses of its own", () => {
    const found = findMultiboot(flat);
    expect(found).toEqual({
      ...none,
      offset: 0x20,
      pageAlignModules: true,
      addresses: { header: 0x200020, load: 0x20000c, loadEnd: 0x200050, bssEnd: 0x200550, entry: 0x200040 },
    });
    if (found?.addresses == null) throw new Error("addresses expected");
    expect(addressedLoad(found.offset, found.addresses, flat.length)).toEqual({
      offset: 12,
      fileBytes: 0x44,
      physical: 0x20000c,
      memoryBytes: 0x544,
    });
    expect([flat[12], flat[12 + 0x43], flat[12 + 0x44]]).toEqual([0, 0x90, "n".charCodeAt(0)]);
  });
});

describe("the search", () => {
  it("finds the first header at a multiple of 4 within 8192 bytes", () => {
    expect(findMultiboot(header(0))).toEqual({ ...none, offset: 0 });
    expect(findMultiboot(header(2, 8192 - 12))).toEqual({ ...none, wantsMemory: true, offset: 8180 });
    expect(findMultiboot(header(0, 8184))).toBeNull();
    expect(findMultiboot(header(0, 2))).toBeNull();
    expect(findMultiboot(new Uint8Array(0))).toBeNull();
  });
  it("passes what has a wrong checksum", () => {
    expect(findMultiboot(withWords(header(0), [8, 5]))).toBeNull();
    expect(findMultiboot(withWords(header(1, 12), [0, 0x1badb002]))).toMatchObject({ offset: 12 });
  });
});

it("required bits that nobody knows are told", () => {
  expect(findMultiboot(header(0x8008))).toEqual({ ...none, offset: 0, unsupported: 0x8008 });
  expect(findMultiboot(header(0xfffe0000))).toEqual({ ...none, offset: 0 });
});

describe("contradictions", () => {
  // header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr
  const addressed = (...words: number[]): Uint8Array => header(0x10000, 16, words);
  it.each([
    ["cut addresses", addressed(1, 2), "offset 36, load_end_addr: 4 byte(s) expected, the input ends at 36"],
    ["cut video mode", header(4), "offset 32, mode_type: 4 byte(s) expected, the input ends at 12"],
    [
      "load above header",
      addressed(0x1000, 0x1001, 0, 0, 0x1001),
      "offset 16, load_addr: at most header_addr, 0x1000, expected, not 0x1001",
    ],
    [
      "load before the file",
      addressed(0x1000, 0x1000 - 17, 0, 0, 0x1000),
      "offset 16, load_addr: header_addr is 17 bytes above it, the header 16 bytes into the file",
    ],
    [
      "data end before the header",
      addressed(0x1000, 0x1000, 0x1000, 0, 0x1000),
      "offset 16, load_end_addr: more than header_addr, 0x1000, expected, not 0x1000",
    ],
    [
      "bss end within the data",
      addressed(0x1000, 0x1000, 0x2000, 0x1fff, 0x1000),
      "offset 16, bss_end_addr: at least 0x2000 expected, not 0x1fff",
    ],
    [
      "entry before",
      addressed(0x1000, 0x1000, 0x2000, 0, 0xfff),
      "offset 16, entry_addr: 0x1000 up to 0x2000 expected, not 0xfff",
    ],
    [
      "entry behind",
      addressed(0x1000, 0x1000, 0x2000, 0x3000, 0x3000),
      "offset 16, entry_addr: 0x1000 up to 0x3000 expected, not 0x3000",
    ],
  ])("%s", (_, bytes, message) => {
    expect(formatErrorOf(() => findMultiboot(bytes))).toBe(`multiboot: ${message}`);
  });
});

describe("addressedLoad", () => {
  const addresses = { header: 0x1010, load: 0x1000, loadEnd: 0, bssEnd: 0 };
  it("takes the whole file when no end is given", () => {
    expect(addressedLoad(16, addresses, 100)).toEqual({
      offset: 0,
      fileBytes: 100,
      physical: 0x1000,
      memoryBytes: 100,
    });
  });
  it.each([
    ["a cut file", { ...addresses, loadEnd: 0x1100 }, "load_end_addr: bytes 0 to 256 expected, the file ends at 100"],
    [
      "less memory than file",
      { ...addresses, bssEnd: 0x1020 },
      "bss_end_addr: 100 bytes of file in 32 bytes of memory",
    ],
    ["beyond 4 GiB", { ...addresses, header: 0xfffffff0, load: 0xffffffe0 }, "load_addr: end 0x100000044 beyond 4 GiB"],
  ])("refuses %s", (_, own, message) => {
    expect(formatErrorOf(() => addressedLoad(16, own, 100))).toBe(`multiboot: offset 16, ${message}`);
  });
});

it("only FormatError, cut or changed", () => {
  const parse = (bytes: Uint8Array): void => {
    const found = findMultiboot(bytes);
    if (found?.addresses == null) return;
    const load = addressedLoad(found.offset, found.addresses, bytes.length);
    expect(load.offset >= 0 && load.offset + load.fileBytes <= bytes.length).toBe(true);
    expect(load.fileBytes <= load.memoryBytes && load.physical + load.memoryBytes <= 2 ** 32).toBe(true);
  };
  tortureParser({ bytes: flat, parse, rounds: 1000, seed: 21 });
  // The magic fields stay, so that the addresses are reached.
  const keep = (bytes: Uint8Array): void => {
    const copy = bytes.slice();
    if (copy.length >= 44) copy.set(flat.subarray(32, 44), 32);
    parse(copy);
  };
  tortureParser({ bytes: flat, parse: keep, rounds: 4000, seed: 22 });
  const anyAddresses = header(
    0x10004,
    0,
    Array.from({ length: 9 }, () => 0x1000),
  );
  for (let word = 0; word < 9; word++) {
    for (const value of [0, 1, 0xfff, 0x1001, 0x7fffffff, 0xffffffff]) {
      formatErrorOf(() => parse(withWords(anyAddresses, [12 + word * 4, value])));
    }
  }
});
