import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { brotliCompressSync, deflateRawSync, gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import {
  foreignArchitecture,
  foreignPeArchitecture,
  type KernelKind,
  kernelKindProblem,
  recognizeKernel,
  recognizeWrapping,
  wrappingHeadBytes,
} from "../../../src/formats/kernel-kind.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { bzImageHead } from "../../fakes/bzimage-head.ts";
import { tortureParser } from "../../fakes/hostile-input.ts";
import { kernelImage, withWords } from "../../fakes/kernel-image.ts";
import { testData } from "../../fakes/tree-data.ts";

const recognize = (bytes: Uint8Array) => recognizeKernel(rangesOf(bytes), bytes.length);
const problem = (bytes: Uint8Array, kind: KernelKind) => kernelKindProblem(rangesOf(bytes), bytes.length, kind);

const vmlinux = kernelImage("vmlinux");
const bzImage64 = bzImageHead();
/** The same kernel behind the header of BProc: no command line, no initrd. */
const beoboot = new Uint8Array(Buffer.concat([Buffer.from("BeoB\u0001\0\0\0\0\u000a\0\0\0\0\0\0"), bzImage64]));
/** A header block to 1000:0000 and one segment of no bytes at 1 MiB. */
const nbi = withWords(
  new Uint8Array(512),
  [0, 0x1b031336],
  [4, 4],
  [8, 0x10000000],
  [16, 0x04000004],
  [20, 0x100000],
  [28, 16],
);
const arm64 = withWords(new Uint8Array(64), [0x38, 0x644d5241]);
/** Linux, Documentation/arch/riscv/boot-image-header.rst: magic "RISCV", magic2 "RSC\x05". */
const riscv = withWords(new Uint8Array(64), [0x30, 0x43534952], [0x34, 0x56], [0x38, 0x05435352]);
/** LINUX_PE_MAGIC in a PE image for LoongArch. */
const loongarch = (() => {
  const image = withWords(kernelImage("pe32"), [0x38, 0x818223cd]);
  const header = new DataView(image.buffer).getUint32(60, true);
  new DataView(image.buffer).setUint16(header + 4, 0x6264, true);
  return image;
})();

/** A multiboot header with addresses, in a file that is something else, too. */
function withMultiboot(bytes: Uint8Array): Uint8Array {
  const at = 0x400;
  const words = [0x1badb002, 0x10000, -(0x1badb002 + 0x10000) >>> 0, 0x100400, 0x100000, 0, 0, 0x100000];
  return withWords(bytes, ...words.map((word, index) => [at + index * 4, word] as const));
}

describe("kinds of kernels, as kexec(8) names them", () => {
  it.each<readonly [string, Uint8Array, KernelKind]>([
    ["Multiboot2 in an ELF file of 32 bits", kernelImage("multiboot2-elf32"), "multiboot2-x86"],
    ["Multiboot2 in an ELF file of 64 bits", kernelImage("multiboot2-elf64"), "multiboot2-x86"],
    ["Multiboot2 by itself", kernelImage("multiboot2-flat"), "multiboot2-x86"],
    ["vmlinux", vmlinux, "elf-x86_64"],
    ["multiboot in an ELF file of 32 bits", kernelImage("multiboot-elf32"), "multiboot-x86"],
    ["multiboot by itself", kernelImage("multiboot-flat"), "multiboot-x86"],
    ["ELF of 32 bits, without its multiboot header", withWords(kernelImage("multiboot-elf32"), [0x1004, 0]), "elf-x86"],
    ["a kernel of 64 bits", bzImage64, "bzImage64"],
    ["a signed one that is a PE image, too", kernelImage("bzimage-pe-head"), "bzImage64"],
    ["one before protocol 2.12", bzImageHead({ protocol: 0x20b }), "bzImage"],
    ["one without a 64-bit entry", bzImageHead({ xloadFlags: 2 }), "bzImage"],
    ["one that has to lie below 4 GiB", bzImageHead({ xloadFlags: 1 }), "bzImage"],
    ["a kernel for BProc", beoboot, "beoboot-x86"],
    ["a net boot image", nbi, "nbi-x86"],
    ["a unified kernel image", kernelImage("uki"), "uki"],
    ["an arm64 Image", arm64, "arm64-image"],
    ["a RISC-V Image", riscv, "riscv-image"],
    ["a LoongArch Image", loongarch, "loongarch-image"],
    ["a FIT image", testData("fit/inside.itb.gz"), "fit"],
    ["an Android boot image", testData("android/v2.img.gz"), "android-boot"],
    ["a newer one", testData("android/v4.img.gz"), "android-boot"],
    ["iPXE: a bzImage with a multiboot header", withMultiboot(bzImage64), "bzImage64"],
    ["ELF of 64 bits with a multiboot header", withMultiboot(vmlinux), "elf-x86_64"],
  ])("%s", (_, bytes, kind) => {
    const found = recognize(bytes);
    expect(found).toBe(kind);
    expect(problem(bytes, kind)).toBeNull();
  });
  it("none", () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(4096), new TextEncoder().encode("#!/bin/sh\n")]) {
      expect(recognize(bytes)).toBeNull();
    }
    expect(recognize(kernelImage("pe32"))).toBeNull();
    expect(recognize(testData("fdt/base.dtb"))).toBeNull();
    expect(recognize(testData("android/vendor-v4.img.gz"))).toBeNull();
    expect(recognize(readFileSync(process.execPath).subarray(0, 1 << 16))).toBeNull();
  });
  it("a file can be of several kinds", () => {
    const both = kernelImage("multiboot-elf32");
    expect(problem(both, "elf-x86")).toBeNull();
    expect(problem(withMultiboot(bzImage64), "multiboot-x86")).toBeNull();
    expect(problem(bzImage64, "bzImage")).toBeNull();
  });
});

describe("the reason against a kind", () => {
  const notRelocatable = bzImageHead();
  notRelocatable[0x234] = 0;
  const mips = withWords(kernelImage("multiboot2-elf32"), [0x100c, 4], [0x1014, -(0xe85250d6 + 4 + 192) >>> 0]);
  it.each<readonly [KernelKind, Uint8Array, string]>([
    ["multiboot2-x86", vmlinux, "no Multiboot2 header in the first 32768 bytes"],
    ["multiboot2-x86", mips, "a Multiboot2 header for i386 expected, not for mips"],
    [
      "multiboot2-x86",
      withWords(kernelImage("multiboot2-elf64"), [16, 0x00b70002]),
      "an ELF file of 32 bits expected, not of 64",
    ],
    ["elf-x86_64", kernelImage("multiboot-elf32"), "an ELF file of 64 bits expected, not of 32"],
    ["elf-x86_64", withWords(vmlinux, [16, 0x00b70002]), "an ELF file for machine 62 expected, not for 183"],
    [
      "elf-x86_64",
      withWords(vmlinux, [16, 0x003e0001]),
      "an executable ELF file expected, not one of type relocatable",
    ],
    [
      "elf-x86_64",
      vmlinux.subarray(0, 0x1020),
      "elf: offset 64, p_offset: bytes 4096 to 4160 expected, the file ends at 4128",
    ],
    ["multiboot-x86", withMultiboot(vmlinux).fill(0, 0x400, 0x404), "no multiboot header in the first 8192 bytes"],
    ["elf-x86", vmlinux, "an ELF file of 32 bits expected, not of 64"],
    ["bzImage64", bzImageHead({ protocol: 0x20b }), "boot protocol 2.12 expected, not 2.11"],
    ["bzImage64", bzImageHead({ xloadFlags: 2 }), "a kernel with a 64-bit entry point (XLF_KERNEL_64) expected"],
    [
      "bzImage64",
      bzImageHead({ xloadFlags: 1 }),
      "a kernel that can be loaded above 4 GiB (XLF_CAN_BE_LOADED_ABOVE_4G) expected",
    ],
    ["bzImage64", notRelocatable, "a relocatable kernel expected"],
    [
      "bzImage",
      bzImageHead({ loadFlags: 0 }),
      "bzimage: offset 529, loadflags: LOADED_HIGH expected: this is a zImage, not a bzImage",
    ],
    ["beoboot-x86", bzImage64, 'beoboot: offset 0, magic: "BeoB" expected'],
    ["nbi-x86", bzImage64, "nbi: offset 0, magic: the magic 36 13 03 1b expected"],
    ["uki", vmlinux, 'pe: offset 0, e_magic: "MZ" expected'],
    ["uki", kernelImage("pe32"), "a PE image with a section .linux expected"],
    ["arm64-image", bzImage64, "the magic of an arm64 Image expected at byte 56"],
    ["riscv-image", bzImage64, "the magic of a RISC-V Image expected at byte 56"],
    ["loongarch-image", bzImage64, "the magic of a LoongArch Image expected at byte 56"],
    [
      "loongarch-image",
      withWords(kernelImage("pe32"), [0x38, 0x818223cd]),
      "a PE image for machine 0x6264 expected, not for 0x14c",
    ],
    ["fit", bzImage64, "the magic of a flattened device tree expected at the start"],
    ["fit", testData("fdt/base.dtb"), "a device tree with images and configurations expected"],
    ["android-boot", bzImage64, '"ANDROID!" expected at the start'],
    [
      "android-boot",
      testData("android/v4.img.gz").subarray(0, 5000),
      "android-boot: offset 8, kernel_size: bytes 4096 to 6672 expected, the file ends at 5000",
    ],
  ])("%s", (kind, bytes, reason) => expect(problem(bytes, kind)).toBe(reason));
});

describe("kernels of other machines", () => {
  const foreign = (bytes: Uint8Array) => foreignArchitecture(rangesOf(bytes), bytes.length);
  const elf = (machine: number) => withWords(vmlinux, [16, 2 | (machine << 16)]);
  it.each<readonly [string, Uint8Array, string | null]>([
    ["an arm64 Image", arm64, "arm64"],
    ["a RISC-V Image", riscv, "riscv"],
    ["a LoongArch Image", loongarch, "loongarch"],
    ["ELF for arm64", elf(183), "arm64"],
    ["ELF for s390", elf(22), "s390"],
    ["ELF for a machine that Linux does not run on", elf(4711), "ELF machine 4711"],
    ["an arm zImage", withWords(new Uint8Array(64), [0x24, 0x016f2818]), "arm"],
    ["an ELF file that is no program", withWords(vmlinux, [16, 0x00b70001]), null],
    ["a vmlinux", vmlinux, null],
    ["ELF of 32 bits", kernelImage("multiboot-elf32"), null],
    ["a bzImage", bzImage64, null],
    ["a unified kernel image", kernelImage("uki"), null],
    ["nothing", new Uint8Array(0), null],
  ])("%s", (_, bytes, architecture) => expect(foreign(bytes)).toBe(architecture));
  it("a program of another system is none", () => {
    expect(foreign(readFileSync(process.execPath).subarray(0, 1 << 16))).toBeNull();
  });
  it("PE images", () => {
    expect([0xaa64, 0x5064, 0x6264, 0x1c2, 0x8664, 0x14c, 0].map((machine) => foreignPeArchitecture(machine))).toEqual([
      ...["arm64", "riscv", "loongarch", "arm"],
      ...[null, null, null],
    ]);
  });
});

describe("how a kernel is wrapped", () => {
  const text = readFileSync(new URL(import.meta.url));
  it.each([
    ["gzip", gzipSync(text)],
    ["zstd", zstdCompressSync(text)],
    [null, brotliCompressSync(text)],
    [null, deflateRawSync(text)],
    [null, bzImage64],
    [null, kernelImage("uki")],
    [null, vmlinux],
    [null, nbi],
    [null, text],
    [null, new Uint8Array(64)],
    [null, new Uint8Array(64).fill(0xff)],
    [null, new Uint8Array(0)],
    ["zboot", new TextEncoder().encode("MZ\0\0zimg")],
    // The magics of the formats' specifications.
    ["xz", Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4)],
    ["lz4", Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60)],
    ["lz4", Uint8Array.of(0x02, 0x21, 0x4c, 0x18, 0)],
    ["lzo", Uint8Array.of(0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d, 0x0a, 0x1a, 0x0a)],
    ["bzip2", Uint8Array.of(0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59)],
    [null, Uint8Array.of(0x42, 0x5a, 0x68, 0x30, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59)],
    // .lzma files: properties, dictionary, size, range coder.
    ["lzma", lzma(0x5d, 0x800000, [0xffffffff, 0xffffffff], 0)],
    ["lzma", lzma(0x5d, 0xffffffff, [1000, 0], 0)],
    ["lzma", lzma(0, 0xc00000, [0, 0x3f], 0)],
    [null, lzma(225, 0x800000, [1000, 0], 0)],
    [null, lzma(0x5d, 0x800001, [1000, 0], 0)],
    [null, lzma(0x5d, 0, [1000, 0], 0)],
    [null, lzma(0x5d, 0x800000, [1000, 0x40], 0)],
    [null, lzma(0x5d, 0x800000, [1000, 0], 1)],
  ])("%s", (wrapping, bytes) => {
    expect(recognizeWrapping(bytes)).toBe(wrapping);
    expect(recognizeWrapping(bytes.subarray(0, wrappingHeadBytes))).toBe(wrapping);
  });
  it.each(["gzip", "xz", "lzma", "zstd", "bzip2", "lz4"])("what %s makes, where it is installed", (wrapping) => {
    const tool = ["/usr/bin", "/bin"].map((folder) => `${folder}/${wrapping}`).find((file) => existsSync(file));
    if (tool === undefined) return;
    expect(recognizeWrapping(execFileSync(tool, ["-c"], { input: text, stdio: "pipe" }))).toBe(wrapping);
  });
});

function lzma(properties: number, dictionary: number, size: readonly [number, number], coder: number): Uint8Array {
  const bytes = withWords(new Uint8Array(32), [1, dictionary], [5, size[0]], [9, size[1]]);
  bytes[0] = properties;
  bytes[13] = coder;
  return bytes;
}

it("hostile files are a kind or none", () => {
  const parse = (bytes: Uint8Array): void => {
    recognize(bytes);
    foreignArchitecture(rangesOf(bytes), bytes.length);
    recognizeWrapping(bytes);
  };
  const images = [
    beoboot,
    nbi,
    arm64,
    loongarch,
    testData("android/v4.img.gz"),
    kernelImage("multiboot2-flat"),
    withMultiboot(bzImage64),
  ];
  for (const [index, bytes] of images.entries()) {
    tortureParser({ bytes, parse, rounds: 300, seed: 90 + index, within: 0x300 });
  }
});
