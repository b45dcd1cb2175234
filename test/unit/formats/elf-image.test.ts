import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type ElfImage, physicalEntry, readElfImage } from "../../../src/formats/elf-image.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { kernelImage, withWords } from "../../fakes/kernel-image.ts";

const readAll = (bytes: Uint8Array): ElfImage => readElfImage(rangesOf(bytes), bytes.length);
const vmlinux = kernelImage("vmlinux");
const multiboot = kernelImage("multiboot-elf32");

describe("files of a linker, as readelf sees them (test/data/kernel-image/README.md)", () => {
  it("vmlinux: high virtual addresses, a segment at 0, zeroed memory", () => {
    expect(readAll(vmlinux)).toEqual({
      bits: 64,
      littleEndian: true,
      machine: 62,
      type: "executable",
      entry: 0x1000000n,
      loads: [
        {
          offset: 0x1000,
          fileBytes: 0x40,
          physical: 0x1000000,
          virtual: 0xffffffff81000000n,
          memoryBytes: 0x40,
          executable: true,
        },
        {
          offset: 0x2000,
          fileBytes: 8,
          physical: 0x1200000,
          virtual: 0xffffffff81200000n,
          memoryBytes: 0x4000,
          executable: false,
        },
        { offset: 0x3000, fileBytes: 8, physical: 0x1400000, virtual: 0n, memoryBytes: 8, executable: false },
      ],
    });
  });
  it("32 bits, with a segment that has no bytes in the file", () => {
    expect(readAll(multiboot)).toMatchObject({
      bits: 32,
      machine: 3,
      entry: 0x100000n,
      loads: [
        { offset: 0, fileBytes: 0x94, physical: 0xff000, memoryBytes: 0x94, executable: false },
        { offset: 0x1000, fileBytes: 0x34, physical: 0x100000, virtual: 0x100000n, executable: true },
        { offset: 0, fileBytes: 0, physical: 0x101000, memoryBytes: 0x1234, executable: false },
      ],
    });
  });
  it("entry points, physical and virtual", () => {
    expect(physicalEntry(readAll(vmlinux))).toBe(0x1000000);
    expect(readAll(kernelImage("vmlinux-virtual-entry")).entry).toBe(0xffffffff81000020n);
    expect(physicalEntry(readAll(kernelImage("vmlinux-virtual-entry")))).toBe(0x1000020);
  });
});

/** A big-endian file of 32 bits, laid out by hand from the gABI: two segments, the second in front of the first. */
function bigEndian(): Uint8Array {
  const bytes = new Uint8Array(0x100);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 2, 1]);
  view.setUint16(16, 2); // e_type ET_EXEC
  view.setUint16(18, 20); // e_machine EM_PPC
  view.setUint32(24, 0xc0002004); // e_entry
  view.setUint32(28, 52); // e_phoff
  view.setUint16(42, 32); // e_phentsize
  view.setUint16(44, 2); // e_phnum
  const segments = [
    [1, 0xc0, 0xc0002000, 0x2000, 0x20, 0x1000, 5],
    [1, 0xe0, 0xc0001000, 0x1000, 0x20, 0x1000, 6],
  ];
  for (const [index, fields] of segments.entries()) {
    for (const [field, value] of fields.entries()) view.setUint32(52 + index * 32 + field * 4, value);
  }
  return bytes;
}

it("another machine's byte order is data", () => {
  const image = readAll(bigEndian());
  expect(image).toMatchObject({ bits: 32, littleEndian: false, machine: 20, entry: 0xc0002004n });
  expect(image.loads.map((load) => load.physical)).toEqual([0x2000, 0x1000]);
  expect(physicalEntry(image)).toBe(0x2004);
});

describe("files that are refused", () => {
  // Program headers of 56 bytes from 64: p_flags 4, p_offset 8, p_vaddr 16, p_paddr 24, p_filesz 32, p_memsz 40.
  const [first, second] = [64, 120];
  it.each([
    ["no ELF file", new TextEncoder().encode("#!/bin/sh\n"), "elf: offset 0, e_ident: an ELF file expected"],
    [
      "bytes behind the file's end",
      withWords(vmlinux, [second + 8, vmlinux.length - 7]),
      `elf: offset 120, p_offset: bytes ${vmlinux.length - 7} to ${vmlinux.length + 1} expected, the file ends at ${vmlinux.length}`,
    ],
    [
      "more file than memory",
      withWords(vmlinux, [first + 40, 0x3f]),
      "elf: offset 64, p_filesz: 64 bytes of file in 63 bytes of memory",
    ],
    [
      "beyond physical memory",
      withWords(vmlinux, [first + 28, 0x100000]),
      "elf: offset 64, p_paddr: end 0x10000001000040 beyond physical memory",
    ],
    [
      "beyond the numbers",
      withWords(vmlinux, [first + 28, 0xffffffff]),
      "elf: offset 88, p_paddr: 18446744069431361536: less than 2^53 expected",
    ],
    [
      "memory that never ends",
      withWords(vmlinux, [second + 44, 0x1fffff]),
      "elf: offset 120, p_paddr: end 0x1fffff01204000 beyond physical memory",
    ],
    [
      "segments upon each other",
      withWords(vmlinux, [second + 24, 0x1000000 - 0x3fff]),
      "elf: PT_LOAD: segments at 0xffc001 and 0x1000000 overlap",
    ],
    [
      "32 bits beyond 4 GiB",
      withWords(multiboot, [52 + 2 * 32 + 12, 0xfffff000]),
      "elf: offset 116, p_paddr: end 0x100000234 beyond physical memory",
    ],
    ["a program", readFileSync(process.execPath).subarray(0, 4096), /PT_INTERP: a kernel expected, not a program that/],
    [
      "no segment at all",
      withWords(vmlinux, [first, 4], [second, 4], [176, 4]),
      "elf: PT_LOAD: a segment to load expected in a file of type executable",
    ],
  ])("%s", (_, bytes, message) => {
    const found = formatErrorOf(() => readAll(bytes));
    if (message instanceof RegExp) expect(found).toMatch(message);
    else expect(found).toBe(message);
  });
  it("entry point in no segment", () => {
    const image = readAll(withWords(vmlinux, [24, 0x5000000]));
    expect(formatErrorOf(() => physicalEntry(image))).toBe("elf: e_entry: 0x5000000 is in no loaded segment");
  });
});

it("what touches does not overlap", () => {
  expect(readAll(withWords(vmlinux, [120 + 24, 0x1000040])).loads[1]?.physical).toBe(0x1000040);
});

it("only FormatError, cut or changed", () => {
  const parse = (bytes: Uint8Array): void => {
    const image = readAll(bytes);
    const end = image.bits === 64 ? 2 ** 52 : 2 ** 32;
    for (const load of image.loads) {
      expect(load.physical + load.memoryBytes <= end && load.fileBytes <= load.memoryBytes).toBe(true);
    }
    physicalEntry(image);
  };
  tortureParser({ bytes: vmlinux, parse, rounds: 4000, seed: 11, within: 0x140 });
  tortureParser({ bytes: multiboot, parse, rounds: 4000, seed: 12, within: 0x100 });
  tortureParser({ bytes: bigEndian(), parse, rounds: 2000, seed: 13 });
});
