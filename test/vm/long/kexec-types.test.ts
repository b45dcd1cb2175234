import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DiskFiles } from "../disk.ts";
import type { Guest } from "../guest.ts";
import { unifiedKernel, vmlinuxOf, wrappedKernel } from "../guest-kernels.ts";
import { distributionKernel, type Kernel } from "../kernels.ts";
import {
  jumpFiles,
  jumpGuest,
  jumpToLinux,
  jumpToPayload,
  type LinuxJump,
  targetWords,
  tellingInitrd,
} from "../kexec-jumps.ts";
import { type PayloadName, payload } from "../payload.ts";

/** Every type of kernel and every way to enter it, on both kernels; kexec-live.test.ts has those that matter most. */

const { kernel: running, first, second, third } = jumpFiles;
const plainTarget = `--initrd=${first} --append='${targetWords}'`;
const containerWords = `${targetWords} from=container`;

const payloadNames = [
  ...["multiboot1", "multiboot1-flat", "multiboot2", "multiboot2-relocatable"],
  ...["elf32", "elf64", "nbi16", "nbi32"],
] as const satisfies readonly PayloadName[];

async function filesFor(kernel: Kernel): Promise<DiskFiles> {
  const linux = await readFile(kernel.vmlinuz);
  const container = { linux, initrd: await tellingInitrd("container"), commandLine: containerWords };
  const payloads: DiskFiles = {};
  for (const name of payloadNames) payloads[`/files/${name}`] = { copyOf: await payload(name) };
  return {
    ...payloads,
    "/files/lzma": { copyOf: await wrappedKernel(linux, "lzma") },
    "/files/vmlinux": { copyOf: await vmlinuxOf(kernel) },
    "/files/uki": { copyOf: await unifiedKernel({ ...container, version: kernel.version }) },
    "/files/beoboot": beobootImage(container),
  };
}

/** `struct beoboot_header` of BProc's beoboot (boot.h), the command line, the kernel, the initrd. */
function beobootImage(parts: {
  readonly linux: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
}): Uint8Array {
  const commandLine = Buffer.from(`${parts.commandLine}\0`);
  const header = Buffer.alloc(16);
  header.write("BeoB");
  // i386; there is an initrd
  header.set([1, 1], 4);
  header.writeUInt16LE(commandLine.length, 6);
  header.writeUInt32LE(parts.linux.length, 8);
  header.writeUInt32LE(parts.initrd.length, 12);
  return Buffer.concat([header, commandLine, parts.linux, parts.initrd]);
}

const mode = (bits: number): string => `then the kernel in ${bits}-bit mode`;
const fileCall = "call         kexec_file_load";
const classicCall = "call         kexec_load";

type Row = Omit<LinuxJump, "version">;

const plainReport = { commandLine: targetWords, markers: ["first"] };
const containerReport = { commandLine: containerWords, markers: ["container"] };

const rows: readonly Row[] = [
  { words: `-c -i -t bzImage64 ${running} ${plainTarget}`, plan: [classicCall, "digest       none"], ...plainReport },
  { words: `-s -t bzImage64 ${running} ${plainTarget}`, plan: [fileCall], ...plainReport },
  { words: `-t bzImage ${running} ${plainTarget}`, plan: [mode(32)], ...plainReport },
  { words: `--entry-32bit ${running} ${plainTarget}`, plan: [mode(32)], ...plainReport },
  {
    // Without that the BIOS waits for ever for the disk that it has no working driver for any more.
    words: `--real-mode ${running} --initrd=${first} --append='edd=skipmbr ${targetWords}'`,
    plan: ["Starting the kernel in real mode", mode(16)],
    ...{ commandLine: `edd=skipmbr ${targetWords}`, markers: ["first"] },
  },
  {
    words: `--mem-min=0x10000000 --mem-max=0x1fffffff ${running} ${plainTarget}`,
    plan: [`${mode(64)} at 0x1c`],
    ...plainReport,
  },
  { words: `/files/lzma ${plainTarget}`, plan: ["unwrapped from lzma"], ...plainReport },
  { words: `-s /files/lzma ${plainTarget}`, plan: [fileCall, "unwrapped from lzma"], ...plainReport },
  { words: `-t elf-x86_64 /files/vmlinux ${plainTarget}`, plan: [mode(64)], ...plainReport },
  { words: "-t uki /files/uki", plan: ["bzImage64 in a uki"], ...containerReport },
  { words: "-s -t uki /files/uki", plan: [fileCall], ...containerReport },
  {
    words: `/files/uki --append='${targetWords} mine' --initrd=${first} --initrd=${second} --initrd=${third}`,
    plan: ["bzImage64 in a uki"],
    ...{ commandLine: `${targetWords} mine`, markers: ["container", "first", "second", "third"] },
  },
  {
    words: `--entry-32bit /files/uki --initrd=${third}`,
    plan: [mode(32)],
    ...{ ...containerReport, markers: ["container", "third"] },
  },
  { words: "-t beoboot-x86 /files/beoboot", plan: ["bzImage64 in a beoboot-x86"], ...containerReport },
  {
    words: `/files/beoboot --append='${targetWords} mine' --initrd=${second}`,
    plan: ["bzImage64 in a beoboot-x86"],
    ...{ commandLine: `${targetWords} mine`, markers: ["container", "second"] },
  },
];

interface PayloadRow {
  readonly words: string;
  readonly plan: readonly string[];
  /** Lines that it says, or begins of them. */
  readonly says: readonly string[];
}

const intact = "PAYLOAD memory data=good bss=zero";
const zeroes32 = "0x00000000";
const zeroes64 = `0x${"0".repeat(16)}`;

const payloadRows: readonly PayloadRow[] = [
  {
    words: "-t multiboot-x86 /files/multiboot1-flat --append='for  all'",
    plan: [mode(32)],
    says: ["PAYLOAD multiboot magic=0x2badb002", intact],
  },
  {
    words: "-t multiboot2-x86 /files/multiboot2 --reuse-cmdline",
    plan: [mode(32)],
    says: ["PAYLOAD multiboot2 magic=0x36d76289", `PAYLOAD cmdline text="console=ttyS0 `, intact],
  },
  {
    words: "-t multiboot2-x86 /files/multiboot2-relocatable --module=/files/third.cpio",
    plan: [`${mode(32)} at 0x2f`],
    says: ["PAYLOAD multiboot2 magic=0x36d76289", "PAYLOAD base address=0x2f", "PAYLOAD module", intact],
  },
  {
    words: "-t elf-x86 /files/elf32 --args-none",
    plan: [mode(32)],
    says: [`PAYLOAD elf argument=${zeroes32}`, intact, `PAYLOAD registers eax=${zeroes32} ebx=${zeroes32} `],
  },
  {
    words: `-t elf-x86 /files/elf32 --args-linux --initrd=${first} --append=x`,
    plan: [mode(32)],
    says: [`PAYLOAD elf argument=${zeroes32}`, "PAYLOAD boot_params loader=0xd0 initrd=0x", intact],
  },
  {
    words: "-t elf-x86_64 /files/elf64 --args-none",
    plan: [mode(64)],
    says: [`PAYLOAD elf argument=${zeroes64}`, intact, `PAYLOAD registers rax=${zeroes64} rbx=${zeroes64} `],
  },
  {
    words: "-t elf-x86_64 /files/elf64 --args-elf --append=x",
    plan: [mode(64)],
    says: ['PAYLOAD note type=0x00000004 bytes=0x00000002 text="x"', intact],
  },
  {
    words: "-t elf-x86_64 /files/elf64 --args-linux --append=x",
    plan: [mode(64)],
    says: ["PAYLOAD boot_params loader=0xd0 initrd=0x00000000 initrdbytes=0x00000000 ", intact],
  },
  {
    words: "-t nbi-x86 /files/nbi16",
    plan: [mode(16)],
    says: ['PAYLOAD nbi second="the second segment"', intact, "PAYLOAD bios kilobytes=0x027f clock=ticks"],
  },
  {
    words: "-t nbi-x86 /files/nbi32",
    plan: [mode(32)],
    says: ['PAYLOAD nbi second="the second segment"', intact],
  },
];

describe.each([
  ["older", await distributionKernel("cloud")],
  ["younger", await distributionKernel("cloud-6.12")],
] as const)("on the %s kernel", (_age, kernel) => {
  let guest: Guest;
  beforeAll(async () => {
    guest = await jumpGuest(kernel, await filesFor(kernel));
  });
  afterAll(() => guest[Symbol.asyncDispose]());

  test.each(rows.map((row) => [row.words, row] as const))("kexec -f %s", (_words, row) =>
    jumpToLinux(guest, { ...row, version: kernel.version }),
  );

  test.each(payloadRows.map((row) => [row.words, row] as const))("kexec -f %s", async (_words, row) => {
    const lines = await jumpToPayload(guest, row);
    for (const begin of row.says) expect(lines.join("\n")).toMatch(RegExp(`^${begin}`, "m"));
  });
});
