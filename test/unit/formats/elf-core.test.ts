import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  type CoreLoad,
  type ElfCoreRequest,
  elfCoreHeadersMax,
  readCoreSegments,
  writeElfCoreHeader,
} from "../../../src/formats/elf-core.ts";
import { FormatError } from "../../../src/formats/format-error.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { kernelTree } from "../../fakes/kernel-tree.ts";
import { randomNumbers } from "../../fakes/random-numbers.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "slipway-core-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** The facts of test/data/platform/bios.tree, with a backup of low memory. */
const request: ElfCoreRequest = {
  bits: 64,
  machine: 62,
  notes: [
    { address: 0x1_bac3_9600, bytes: 368 },
    { address: 0x1_bad3_9600, bytes: 368 },
  ],
  vmcoreinfo: { address: 0x1_bacc_c000, bytes: 0x1024 },
  loads: [
    { physical: 0x1_9de0_0000, bytes: 0x283_0000, virtual: 0xffff_ffff_8360_0000n },
    { physical: 0x1000, bytes: 0x9_e000, virtual: 0xff3f_72dd_0000_1000n, content: 0x7ef0_0000 },
    { physical: 0x1_0000_0000, bytes: 0xc000_0000, virtual: 0xff3f_72de_0000_0000n },
  ],
  bytesMin: 0,
  align: 1024,
};

/** Header lines and program headers as readelf shows them, blanks squeezed. */
function readelf(bytes: Uint8Array): string[] {
  const file = path.join(scratch, "core");
  writeFileSync(file, bytes);
  const output = execFileSync("readelf", ["-hlW", file], { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });
  return output
    .split("\n")
    .map((line) => line.trim().replaceAll(/\s+/g, " "))
    .filter((line) =>
      /^(NOTE|LOAD|Class|Data|Type|Machine|Start of program|Number of program|Size of program)/.test(line),
    );
}

describe("written", () => {
  test("64 bits, as readelf sees it", () => {
    const bytes = writeElfCoreHeader(request);
    expect(bytes).toHaveLength(1024);
    expect(readelf(bytes)).toEqual([
      "Class: ELF64",
      "Data: 2's complement, little endian",
      "Type: CORE (Core file)",
      "Machine: Advanced Micro Devices X86-64",
      "Start of program headers: 64 (bytes into file)",
      "Size of program headers: 56 (bytes)",
      "Number of program headers: 6",
      "Type Offset VirtAddr PhysAddr FileSiz MemSiz Flg Align",
      "NOTE 0x1bac39600 0x0000000000000000 0x00000001bac39600 0x000170 0x000170 0",
      "NOTE 0x1bad39600 0x0000000000000000 0x00000001bad39600 0x000170 0x000170 0",
      "NOTE 0x1baccc000 0x0000000000000000 0x00000001baccc000 0x001024 0x001024 0",
      "LOAD 0x19de00000 0xffffffff83600000 0x000000019de00000 0x2830000 0x2830000 RWE 0",
      "LOAD 0x7ef00000 0xff3f72dd00001000 0x0000000000001000 0x09e000 0x09e000 RWE 0",
      "LOAD 0x100000000 0xff3f72de00000000 0x0000000100000000 0xc0000000 0xc0000000 RWE 0",
    ]);
  });
  test("32 bits, as readelf sees it: what is mapped higher is mapped nowhere", () => {
    const bytes = writeElfCoreHeader({
      ...request,
      bits: 32,
      machine: 3,
      notes: [{ address: 0x3ac3_9600, bytes: 368 }],
      vmcoreinfo: null,
      loads: [
        { physical: 0x100_0000, bytes: 0x20_0000, virtual: 0xc100_0000n },
        { physical: 0xffff_0000, bytes: 0x1_0000, virtual: 0xffff_8880_ffff_0000n },
      ],
    });
    expect(readelf(bytes)).toEqual([
      "Class: ELF32",
      "Data: 2's complement, little endian",
      "Type: CORE (Core file)",
      "Machine: Intel 80386",
      "Start of program headers: 52 (bytes into file)",
      "Size of program headers: 32 (bytes)",
      "Number of program headers: 3",
      "Type Offset VirtAddr PhysAddr FileSiz MemSiz Flg Align",
      "NOTE 0x3ac39600 0x00000000 0x3ac39600 0x00170 0x00170 0",
      "LOAD 0x1000000 0xc1000000 0x01000000 0x200000 0x200000 RWE 0",
      "LOAD 0xffff0000 0xffffffff 0xffff0000 0x10000 0x10000 RWE 0",
    ]);
  });
  test("lengths", () => {
    expect(writeElfCoreHeader({ ...request, bytesMin: 16_384 })).toHaveLength(16_384);
    expect(writeElfCoreHeader({ ...request, bytesMin: 917_616 })).toHaveLength(918_528);
    expect(writeElfCoreHeader({ ...request, align: 4096 })).toHaveLength(4096);
  });
  test("refuses memory from 4 GiB on with 32 bits, and too many headers", () => {
    const at = (physical: number, bytes: number): ElfCoreRequest => ({
      ...request,
      bits: 32,
      notes: [],
      vmcoreinfo: null,
      loads: [{ physical, bytes, virtual: 0n }],
    });
    expect(() => writeElfCoreHeader(at(0xffff_0000, 0x1_0001))).toThrow(
      new FormatError("elf core", "memory up to 0x100000001: 32-bit core headers end at 4 GiB", {
        offset: 52,
        field: "p_paddr",
      }),
    );
    expect(() => writeElfCoreHeader({ ...request, bits: 32 })).toThrow(FormatError);
    const notes = Array.from({ length: elfCoreHeadersMax }, () => ({ address: 4096, bytes: 1 }));
    expect(() => writeElfCoreHeader({ ...request, notes })).toThrow("65538 program headers, at most 65534 are taken");
  });
});

/** Whatever comes of it, nothing else than a FormatError is thrown. */
function expectFormatError(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
  }
}

describe("read", () => {
  const kcore = kernelTree("bios").get("proc/kcore") ?? new Uint8Array();

  test("/proc/kcore of a guest, as readelf sees it", () => {
    expect(readCoreSegments(rangesOf(kcore))).toEqual([
      { virtual: 0xffff_ffff_8360_0000n, physical: 0x1_9de0_0000n, bytes: 0x283_0000n },
      { virtual: 0xff6b_5bd1_0000_0000n, physical: 0xffff_ffff_ffff_ffffn, bytes: 0x31_ffff_ffff_ffffn },
      { virtual: 0xffff_ffff_c000_0000n, physical: 0xffff_ffff_ffff_ffffn, bytes: 0x3f00_0000n },
      { virtual: 0xff3f_72dd_0000_1000n, physical: 0x1000n, bytes: 0x9_e000n },
      { virtual: 0xffda_9b0b_8000_0000n, physical: 0xffff_ffff_ffff_ffffn, bytes: 0x3000n },
      { virtual: 0xff3f_72dd_0010_0000n, physical: 0x10_0000n, bytes: 0x7fed_c000n },
      { virtual: 0xffda_9b0b_8000_4000n, physical: 0xffff_ffff_ffff_ffffn, bytes: 0x1ff_c000n },
      { virtual: 0xff3f_72de_0000_0000n, physical: 0x1_0000_0000n, bytes: 0xc000_0000n },
      { virtual: 0xffda_9b0b_8400_0000n, physical: 0xffff_ffff_ffff_ffffn, bytes: 0x300_0000n },
    ]);
  });
  test("what is written comes out", () => {
    const random = randomNumbers(4);
    for (let round = 0; round < 100; round++) {
      const loads = Array.from(
        { length: random() % 20 },
        (): CoreLoad => ({ physical: random() * 4096, bytes: random(), virtual: BigInt(random()) << 33n }),
      );
      const found = readCoreSegments(rangesOf(writeElfCoreHeader({ ...request, loads })));
      expect(found).toEqual(
        loads.map(({ physical, bytes, virtual }) => ({ physical: BigInt(physical), bytes: BigInt(bytes), virtual })),
      );
    }
  });
  test("cut off anywhere", () => {
    for (let length = 0; length < kcore.length; length++) {
      expect(() => readCoreSegments(rangesOf(kcore.subarray(0, length)))).toThrow(FormatError);
    }
  });
  const broken: readonly (readonly [string, number, number[], string])[] = [
    ["32 bits", 4, [1], "elf core: offset 0, e_ident: a 64-bit little-endian ELF file expected"],
    ["a program", 16, [2], "elf core: offset 16, e_type: 2: a core file (4) expected"],
    ["other entries", 54, [32], "elf core: offset 54, e_phentsize: 32: 56 expected"],
    ["too many", 56, [0xff, 0xff], "elf core: offset 56, e_phnum: 65535: at most 65534 are taken"],
    ["far away", 38, [0x20], "elf core: offset 32, e_phoff: 9007199254741056: below 2^53 expected"],
  ];
  test.each(broken)("%s", (_, at, values, message) => {
    const bytes = kcore.slice();
    bytes.set(values, at);
    expect(() => readCoreSegments(rangesOf(bytes))).toThrow(FormatError);
    expect(() => readCoreSegments(rangesOf(bytes))).toThrow(expect.objectContaining({ message }));
  });
  test("changed bytes give segments or a FormatError", () => {
    const random = randomNumbers(8);
    for (let round = 0; round < 500; round++) {
      const bytes = kcore.slice();
      for (let i = 0; i < 4; i++) bytes[random() % 128] = random() % 256;
      expectFormatError(() => readCoreSegments(rangesOf(bytes)));
    }
  });
});
