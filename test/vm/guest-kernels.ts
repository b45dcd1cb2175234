import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { buildDirectory, cached, contentKey } from "./cache.ts";
import { runCommand } from "./command.ts";
import type { Kernel } from "./kernels.ts";
import { findPackage, unpackPackage } from "./packages.ts";

// A kernel in the other forms in which it can be met, each made by the program that is known for it.

const wrappers = {
  gzip: ["gzip", "-n1c"],
  xz: ["xz", "-0c"],
  lzma: ["xz", "--format=lzma", "-0c"],
  zstd: ["zstd", "-q1c"],
} as const;

export type Wrapper = keyof typeof wrappers;
export const wrapperNames: readonly Wrapper[] = ["gzip", "xz", "lzma", "zstd"];

/** Compresses an image; resolves with the file's path. */
export async function wrappedKernel(image: Uint8Array, wrapper: Wrapper): Promise<string> {
  const words = wrappers[wrapper];
  const directory = await cached(buildDirectory, `kernel-forms/${contentKey(image, ...words)}`, async (target) => {
    await writeFile(path.join(target, "plain"), image);
    await runCommand("sh", ["-c", '"$@" < "$0/plain" > "$0/wrapped"', target, ...words]);
    await rm(path.join(target, "plain"));
  });
  return path.join(directory, "wrapped");
}

/** First bytes of a payload → the program that unpacks it. */
const payloadPrograms: readonly (readonly [string, readonly string[]])[] = [
  ["1f8b", ["gzip", "-dc"]],
  ["28b52ffd", ["zstd", "-qdc"]],
  ["02214c18", ["lz4", "-qdc"]],
  ["fd377a58", ["xz", "-dc"]],
];

/**
 * The ELF file that a bzImage carries, as the kernel's own decompressor gets it; resolves with its path. Offsets: Linux,
 * Documentation/arch/x86/boot.rst.
 */
export async function vmlinuxOf(kernel: Kernel): Promise<string> {
  const image = await readFile(kernel.vmlinuz);
  const directory = await cached(buildDirectory, `kernel-forms/${contentKey("vmlinux", image)}`, async (target) => {
    const systemOffset = (image.readUInt8(0x1f1) + 1) * 512;
    const begin = systemOffset + image.readUInt32LE(0x248);
    // The last four bytes are the length of what comes out.
    const payload = image.subarray(begin, begin + image.readUInt32LE(0x24c) - 4);
    const magic = payload.toString("hex", 0, 4);
    const [, program] = payloadPrograms.find(([start]) => magic.startsWith(start)) ?? [];
    if (program === undefined) throw new Error(`unpack the payload of "${kernel.vmlinuz}": it begins with ${magic}`);
    await writeFile(path.join(target, "payload"), payload);
    await runCommand("sh", ["-c", '"$@" < "$0/payload" > "$0/vmlinux"', target, ...program]);
    await rm(path.join(target, "payload"));
  });
  return path.join(directory, "vmlinux");
}

/** Of the protected-mode part, and where its payload begins. */
const shortKernelBytes = 0x1_0000;
const shortPayloadOffset = 0x1000;

/**
 * A kernel cut behind its first 64 KiB, with a header that says so: loaded like the whole one by whoever goes by the
 * header, in a fraction of the time. It cannot be started. Offsets: Linux, Documentation/arch/x86/boot.rst.
 */
export async function shortKernel(kernel: Kernel): Promise<Buffer> {
  const image = await readFile(kernel.vmlinuz);
  const short = Buffer.from(image.subarray(0, (image.readUInt8(0x1f1) + 1) * 512 + shortKernelBytes));
  for (const [offset, value] of [
    // syssize, in paragraphs
    [0x1f4, shortKernelBytes / 16],
    // payload_offset, payload_length
    [0x248, shortPayloadOffset],
    [0x24c, shortKernelBytes - shortPayloadOffset],
    // init_size: all memory that it needs until it knows its own
    [0x260, 1 << 20],
  ] as const) {
    short.writeUInt32LE(value, offset);
  }
  return short;
}

export interface UkiParts {
  readonly linux: Uint8Array;
  /** As `uname -r` prints it. */
  readonly version: string;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
}

/** A unified kernel image with systemd's stub; resolves with its path. */
export async function unifiedKernel(parts: UkiParts): Promise<string> {
  const package_ = await unpackPackage(await findPackage("systemd-boot-efi"));
  const stub = path.join(package_, "usr/lib/systemd/boot/efi/linuxx64.efi.stub");
  const sections: readonly (readonly [string, string | Uint8Array])[] = [
    [".osrel", 'ID=slipway-test\nNAME="Slipway test"\nPRETTY_NAME="Slipway test"\nVERSION_ID=1\n'],
    [".uname", parts.version],
    [".cmdline", parts.commandLine],
    [".initrd", parts.initrd],
    // Last: a kernel may need room behind itself.
    [".linux", parts.linux],
  ];
  const key = contentKey(stub, ...sections.flat());
  const directory = await cached(buildDirectory, `kernel-forms/${key}`, async (target) => {
    const output = path.join(target, "uki.efi");
    await addSections(stub, sections, output);
  });
  return path.join(directory, "uki.efi");
}

const sectionAlignment = 0x1000;

/** As ukify does it: sections laid out behind those of the stub. */
async function addSections(
  stub: string,
  sections: readonly (readonly [string, string | Uint8Array])[],
  output: string,
): Promise<void> {
  const words: string[] = [];
  let address = await endOfSections(stub);
  for (const [name, content] of sections) {
    await writeFile(`${output}${name}`, content);
    words.push("--add-section", `${name}=${output}${name}`);
    words.push("--change-section-vma", `${name}=0x${address.toString(16)}`);
    address = alignUp(address + content.length);
  }
  await runCommand("objcopy", [...words, stub, output]);
  for (const [name] of sections) await rm(`${output}${name}`);
}

/** Lines of `objdump -h`: index, name, size, address and more. */
async function endOfSections(file: string): Promise<number> {
  const lines = (await runCommand("objdump", ["-h", file])).matchAll(/^ +\d+ \S+ +([0-9a-f]+) +([0-9a-f]+) /gm);
  const ends = [...lines].map(
    ([, size = "", address = ""]) => Number.parseInt(size, 16) + Number.parseInt(address, 16),
  );
  if (ends.length === 0) throw new Error(`list the sections of "${file}": objdump shows none`);
  return alignUp(Math.max(...ends));
}

function alignUp(address: number): number {
  return Math.ceil(address / sectionAlignment) * sectionAlignment;
}
