import { isAndroidBoot, parseAndroidBoot } from "./android-boot.ts";
import { parseBeoboot } from "./beoboot.ts";
import { ByteReader } from "./bytes.ts";
import { bzImageHeadBytesMax, parseBzImage } from "./bzimage.ts";
import { elfMachine } from "./elf-file.ts";
import { type ElfImage, readElfImage } from "./elf-image.ts";
import { isFdt } from "./fdt.ts";
import { isFit } from "./fit.ts";
import { FormatError } from "./format-error.ts";
import { findMultiboot, multibootHeadBytesMax } from "./multiboot.ts";
import { findMultiboot2, multiboot2HeadBytesMax } from "./multiboot2.ts";
import { parseNbi } from "./nbi.ts";
import { peMachine, readPe } from "./pe.ts";
import type { ReadRange } from "./ranges.ts";
import { isUki } from "./uki.ts";
import { isZboot } from "./zboot.ts";

/*
 * What a kernel file is, by its content alone. The names and the order of x86's kinds up to `uki` are those of kexec(8),
 * option -t.
 */

/** In the order in which they are asked for; the first that a file is counts. */
export const kernelKinds = [
  "multiboot2-x86",
  "elf-x86_64",
  "multiboot-x86",
  "elf-x86",
  "bzImage64",
  "bzImage",
  "beoboot-x86",
  "nbi-x86",
  "uki",
  "arm64-image",
  "riscv-image",
  "loongarch-image",
  "fit",
  "android-boot",
] as const;
export type KernelKind = (typeof kernelKinds)[number];

/**
 * What a file of `size` bytes is; null when it is none of {@link kernelKinds}. It may be others besides, which {@link kernelKindProblem} tells. A recognized file may still be cut or
 * ask for what its loader does not have: that is the loader's to say.
 *
 * A file that is no ELF file counts as a multiboot kernel only when it is nothing else: iPXE's bzImages have a
 * multiboot header besides, and kexec(8) starts them as bzImages.
 */
export function recognizeKernel(read: ReadRange, size: number): KernelKind | null {
  const kernel = openKernel(read, size);
  const isElf = typeof kernel.elf !== "string";
  const last = kernelKinds.filter((kind) => !isElf && isMultiboot(kind));
  const order = [...kernelKinds.filter((kind) => !last.includes(kind)), ...last];
  return order.find((kind) => judges[kind](kernel) === null) ?? null;
}

function isMultiboot(kind: KernelKind): boolean {
  return kind === "multiboot2-x86" || kind === "multiboot-x86";
}

/** Why a file of `size` bytes is not of a kind; null when it is. A file can be of several. */
export function kernelKindProblem(read: ReadRange, size: number, kind: KernelKind): string | null {
  return judges[kind](openKernel(read, size));
}

interface Kernel {
  readonly read: ReadRange;
  readonly size: number;
  /** First bytes, as many as the formats that look at them only want. */
  readonly head: Uint8Array;
  /** Or why it is no ELF file that can be loaded. */
  readonly elf: ElfImage | string;
}

const headBytes = Math.max(multibootHeadBytesMax, multiboot2HeadBytesMax, bzImageHeadBytesMax);

function openKernel(read: ReadRange, size: number): Kernel {
  return { read, size, head: read(0, headBytes).subarray(0, headBytes), elf: tryTo(() => readElfImage(read, size)) };
}

/** What `parse` returns, or the text of the FormatError that it throws. */
function tryTo<T>(parse: () => T): T | string {
  try {
    return parse();
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
}

/** Each says why a file is not of its kind; null: it is. */
const judges: Readonly<Record<KernelKind, (kernel: Kernel) => string | null>> = {
  "multiboot2-x86": judgeMultiboot2,
  "elf-x86_64": ({ elf }) => judgeElf(elf, 64, elfMachine.x86_64),
  "multiboot-x86": judgeMultiboot,
  "elf-x86": ({ elf }) => judgeElf(elf, 32, elfMachine.i386),
  bzImage64: judgeBzImage64,
  bzImage: ({ head }) => parseProblem(() => parseBzImage(head)),
  "beoboot-x86": ({ read, size }) => parseProblem(() => parseBeoboot(read, size)),
  "nbi-x86": ({ read, size }) => parseProblem(() => parseNbi(read, size)),
  uki: judgeUki,
  "arm64-image": judgeArm64Image,
  "riscv-image": judgeRiscvImage,
  "loongarch-image": judgeLoongarchImage,
  fit: judgeFit,
  "android-boot": ({ head, read, size }) =>
    isAndroidBoot(head) ? parseProblem(() => parseAndroidBoot(read, size)) : '"ANDROID!" expected at the start',
};

function parseProblem(parse: () => unknown): string | null {
  const result = tryTo(parse);
  return typeof result === "string" ? result : null;
}

function judgeMultiboot2({ head, elf }: Kernel): string | null {
  const header = tryTo(() => findMultiboot2(head));
  if (typeof header === "string") return header;
  if (header === null) return `no Multiboot2 header in the first ${multiboot2HeadBytesMax} bytes`;
  if (header.architecture !== "i386") return `a Multiboot2 header for i386 expected, not for ${header.architecture}`;
  if (header.addresses !== null) return null;
  if (typeof elf === "string") return elf;
  return judgeElf(elf, 64, elfMachine.x86_64) === null ? null : judgeElf(elf, 32, elfMachine.i386);
}

function judgeMultiboot({ head, elf }: Kernel): string | null {
  const header = tryTo(() => findMultiboot(head));
  if (typeof header === "string") return header;
  if (header === null) return `no multiboot header in the first ${multibootHeadBytesMax} bytes`;
  return header.addresses !== null ? null : judgeElf(elf, 32, elfMachine.i386);
}

function judgeElf(elf: ElfImage | string, bits: 32 | 64, machine: number): string | null {
  if (typeof elf === "string") return elf;
  if (elf.bits !== bits) return `an ELF file of ${bits} bits expected, not of ${elf.bits}`;
  if (!elf.littleEndian) return "a little-endian ELF file expected, not a big-endian one";
  if (elf.machine !== machine) return `an ELF file for machine ${machine} expected, not for ${elf.machine}`;
  if (elf.type === "executable" || elf.type === "shared") return null;
  return `an executable ELF file expected, not one of type ${elf.type}`;
}

/** Protocol 2.12 is the first that tells of a 64-bit entry point. */
function judgeBzImage64({ head }: Kernel): string | null {
  const image = tryTo(() => parseBzImage(head));
  if (typeof image === "string") return image;
  if (image.protocol < 0x20c) return `boot protocol 2.12 expected, not ${versionText(image.protocol)}`;
  if (!image.kernel64) return "a kernel with a 64-bit entry point (XLF_KERNEL_64) expected";
  if (!image.canBeLoadedAbove4G) {
    return "a kernel that can be loaded above 4 GiB (XLF_CAN_BE_LOADED_ABOVE_4G) expected";
  }
  return image.relocatable ? null : "a relocatable kernel expected";
}

function versionText(protocol: number): string {
  return `${protocol >> 8}.${String(protocol & 0xff).padStart(2, "0")}`;
}

function judgeUki({ read, size }: Kernel): string | null {
  const image = tryTo(() => readPe(read, size));
  if (typeof image === "string") return image;
  return isUki(image) ? null : "a PE image with a section .linux expected";
}

/** Linux, Documentation/arch/arm64/booting.rst, "Call the kernel image". */
function judgeArm64Image({ head }: Kernel): string | null {
  const r = new ByteReader(head, "arm64-image");
  return r.has(0, 64) && r.hasMagic(0x38, "ARM\x64") ? null : "the magic of an arm64 Image expected at byte 56";
}

/** Linux, Documentation/arch/riscv/boot-image-header.rst. */
function judgeRiscvImage({ head }: Kernel): string | null {
  const r = new ByteReader(head, "riscv-image");
  const isImage = r.has(0, 64) && r.hasMagic(0x38, "RSC\x05");
  return isImage ? null : "the magic of a RISC-V Image expected at byte 56";
}

/** IMAGE_FILE_MACHINE_LOONGARCH64. */
const loongarchPeMachine = 0x6264;
/** LINUX_PE_MAGIC: an image that holds the kernel itself. */
const linuxPeMagic = 0x818223cd;

/** Linux, arch/loongarch/kernel/head.S. */
function judgeLoongarchImage({ read, size, head }: Kernel): string | null {
  const r = new ByteReader(head, "loongarch-image");
  if (!r.has(0, 64) || r.u32le(0x38, "magic") !== linuxPeMagic || isZboot(head)) {
    return "the magic of a LoongArch Image expected at byte 56";
  }
  const image = tryTo(() => readPe(read, size));
  if (typeof image === "string") return image;
  if (image.machine === loongarchPeMachine) return null;
  return `a PE image for machine 0x${loongarchPeMachine.toString(16)} expected, not for 0x${image.machine.toString(16)}`;
}

function judgeFit({ read, size, head }: Kernel): string | null {
  if (!isFdt(head)) return "the magic of a flattened device tree expected at the start";
  const isImage = tryTo(() => (isFit(read, size) ? null : "a device tree with images and configurations expected"));
  return typeof isImage === "string" ? isImage : null;
}

/** Linux's names of other machines than x86, by `e_machine` of ELF files. */
const elfArchitectures: Readonly<Record<number, string>> = {
  2: "sparc",
  8: "mips",
  15: "parisc",
  20: "powerpc",
  21: "powerpc64",
  22: "s390",
  [elfMachine.arm]: "arm",
  42: "sh",
  43: "sparc64",
  [elfMachine.aarch64]: "arm64",
  [elfMachine.riscv]: "riscv",
  258: "loongarch",
};
const peArchitectures: Readonly<Record<number, string>> = {
  [peMachine.arm]: "arm",
  [peMachine.aarch64]: "arm64",
  [peMachine.riscv64]: "riscv",
  [loongarchPeMachine]: "loongarch",
};
const imageArchitectures: Partial<Readonly<Record<KernelKind, string>>> = {
  "arm64-image": "arm64",
  "riscv-image": "riscv",
  "loongarch-image": "loongarch",
};

/** Linux, arch/arm/boot/compressed/head.S: where the magic of a zImage stands, and what it is. */
const armMagic = { offset: 0x24, value: 0x016f2818 } as const;

/**
 * Linux's name of the architecture (`arm64`, `riscv`) that a file of `size` bytes has a kernel for, when that is another one
 * than x86; null when it is a kernel for x86, or none.
 */
export function foreignArchitecture(read: ReadRange, size: number): string | null {
  const kernel = openKernel(read, size);
  const kind = (Object.keys(imageArchitectures) as KernelKind[]).find((each) => judges[each](kernel) === null);
  if (kind !== undefined) return imageArchitectures[kind] ?? null;
  const { elf, head } = kernel;
  if (typeof elf !== "string") {
    const isX86 = elf.machine === elfMachine.x86_64 || elf.machine === elfMachine.i386;
    const isProgram = elf.type === "executable" || elf.type === "shared";
    return isX86 || !isProgram ? null : (elfArchitectures[elf.machine] ?? `ELF machine ${elf.machine}`);
  }
  const r = new ByteReader(head, "zImage");
  return r.has(armMagic.offset, 4) && r.u32le(armMagic.offset, "magic") === armMagic.value ? "arm" : null;
}

/** The same of a PE image's `Machine`; null for x86 and for machines that Linux does not run on. */
export function foreignPeArchitecture(machine: number): string | null {
  return peArchitectures[machine] ?? null;
}

export type Wrapping = "gzip" | "zstd" | "xz" | "lzma" | "lz4" | "bzip2" | "lzo" | "zboot";

/** Bytes from the start of a file that {@link recognizeWrapping} looks at. */
export const wrappingHeadBytes = 16;

const magics: readonly (readonly [wrapping: Wrapping, magic: readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b, 8]], // RFC 1952, section 2.3.1: deflate is the only method
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]], // RFC 8878, section 3.1.1
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]], // The .xz File Format 1.1.0, section 2.1.1.1
  ["lz4", [0x04, 0x22, 0x4d, 0x18]], // LZ4 Frame Format 1.6.4, "General Structure of LZ4 Frame format"
  ["lz4", [0x02, 0x21, 0x4c, 0x18]], // the same, "Legacy frame": what Linux's build makes
  ["lzo", [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a]], // lzop
];

/** How a file is compressed, by its first bytes; null when it is not, or in a way that nobody wraps kernels in. */
export function recognizeWrapping(head: Uint8Array): Wrapping | null {
  const found = magics.find(([, magic]) => magic.every((byte, index) => head[index] === byte));
  if (found !== undefined) return found[0];
  if (isZboot(head)) return "zboot";
  if (isBzip2(head)) return "bzip2";
  return isLzma(head) ? "lzma" : null;
}

/** `BZh`, the block size in units of 100 kB, and the magic of a block. */
function isBzip2(head: Uint8Array): boolean {
  const level = head[3] ?? 0;
  const block = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
  return (
    new ByteReader(head, "bzip2").hasMagic(0, "BZh") &&
    level >= 0x31 &&
    level <= 0x39 &&
    block.every((byte, index) => head[4 + index] === byte)
  );
}

const lzmaPropertiesMax = 224;
const lzmaBytesMax = 2n ** 38n;

/**
 * The header of an .lzma file (LZMA SDK, lzma-specification.txt, "lzma file format") has no magic. As xz(1) does, this
 * takes properties that can be, a dictionary of 2^n or 2^n + 2^(n-1) bytes, and a size that is unknown or below 256
 * GiB; and the first byte of the range coder is 0.
 */
function isLzma(head: Uint8Array): boolean {
  const r = new ByteReader(head, "lzma");
  if (!r.has(0, 14) || r.u8(0, "properties") > lzmaPropertiesMax || r.u8(13, "range coder") !== 0) return false;
  const size = r.u64le(5, "uncompressed size");
  return isDictionarySize(r.u32le(1, "dictionary size")) && (size === 2n ** 64n - 1n || size < lzmaBytesMax);
}

function isDictionarySize(bytes: number): boolean {
  if (bytes === 0xffffffff) return true;
  const highest = 2 ** Math.floor(Math.log2(bytes));
  return bytes > 0 && (bytes === highest || bytes === highest + highest / 2);
}
