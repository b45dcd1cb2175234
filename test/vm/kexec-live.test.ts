import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DiskFiles } from "./disk.ts";
import { type Guest, guestCommands } from "./guest.ts";
import { unifiedKernel, vmlinuxOf, wrappedKernel } from "./guest-kernels.ts";
import { distributionKernel, type Kernel } from "./kernels.ts";
import {
  expectReport,
  jumpFiles,
  jumpGuest,
  jumpMilliseconds,
  jumpToLinux,
  jumpToPayload,
  keptWords,
  type LinuxJump,
  targetWords,
  tellingInitrd,
} from "./kexec-jumps.ts";
import { payload } from "./payload.ts";

/** Loads and jumps in a guest: what is started last tells what it was given. More of them are in long/. */

const kexec = guestCommands.slipway;
const { kernel: running, first, second, third } = jumpFiles;
const older = await distributionKernel("cloud");
const younger = await distributionKernel("cloud-6.12");

/** A target with nothing else on its command line, and its only initrd. */
const plainTarget = `--initrd=${first} --append='${targetWords}'`;
const plainReport = { commandLine: targetWords, markers: ["first"] };
/** What the classic call's plan tells of the way into the kernel. */
const mode = (bits: number): string => `then the kernel in ${bits}-bit mode at 0x`;

const moduleText = "content of a module\n";

async function youngerFiles(): Promise<DiskFiles> {
  const image = await readFile(younger.vmlinuz);
  const container = {
    linux: image,
    version: younger.version,
    initrd: await tellingInitrd("container"),
    commandLine: `${targetWords} from=container`,
  };
  return {
    "/files/gzip": { copyOf: await wrappedKernel(image, "gzip") },
    "/files/xz": { copyOf: await wrappedKernel(image, "xz") },
    "/files/zstd": { copyOf: await wrappedKernel(await readFile(older.vmlinuz), "zstd") },
    "/files/vmlinux": { copyOf: await vmlinuxOf(younger) },
    "/files/uki": { copyOf: await unifiedKernel(container) },
    "/files/multiboot1": { copyOf: await payload("multiboot1") },
    "/files/multiboot2": { copyOf: await payload("multiboot2") },
    "/files/elf32": { copyOf: await payload("elf32") },
    "/files/nbi32": { copyOf: await payload("nbi32") },
    "/files/module": moduleText,
  };
}

/** A guest for all tests of a block, which one of them has to put back before it begins. */
function sharedGuest(kernel: Kernel, files: () => Promise<DiskFiles>): () => Guest {
  let guest: Guest;
  beforeAll(async () => {
    guest = await jumpGuest(kernel, await files());
  });
  afterAll(() => guest[Symbol.asyncDispose]());
  return () => guest;
}

describe("on the younger kernel", () => {
  const guest = sharedGuest(younger, youngerFiles);

  test("what is loaded is told, kept and unloaded", async () => {
    await guest().restore();
    const run = async (words: string) => {
      const { code, loaded, stdout, stderr } = await guest().run(`${kexec} ${words}`);
      return { code, loaded, said: `${stdout}${stderr}` };
    };
    const silently = (code: number, loaded: boolean) => ({ code, loaded, said: "" });
    expect(await run("-S -l")).toEqual(silently(0, false));
    expect(await run(`-l ${running} ${plainTarget}`)).toEqual(silently(0, true));
    expect(await run("-S -l")).toEqual(silently(1, true));
    expect(await run("-S")).toEqual(silently(0, true));
    expect(await run(`-l --dry-run /files/gzip ${plainTarget}`)).toMatchObject({
      ...{ code: 0, loaded: true, said: expect.stringContaining("nothing was loaded") },
    });
    expect(await run("-u")).toEqual(silently(0, false));
    expect(await run("-e")).toEqual({ code: 1, loaded: false, said: "Nothing has been loaded!\n" });
  });

  test("-l and -e, with the running kernel's command line and three initrds", async () => {
    await guest().restore();
    const initrds = `--initrd=${first} --ramdisk ${second} --initrd=${third}`;
    const load = `${kexec} -l ${running} --reuse-cmdline --append='appended="a  b" c' ${initrds}`;
    expect(await guest().run(load)).toMatchObject({ code: 0, loaded: true, stderr: "" });
    guest().start(`${kexec} -e`);
    const [said] = await guest().vm.expect(/[\s\S]*?TARGET-DONE/, jumpMilliseconds);
    expectReport(said, {
      commandLine: `${keptWords} appended="a  b" c`,
      version: younger.version,
      markers: ["first", "second", "third"],
    });
  });

  const linux: readonly LinuxJump[] = [
    {
      words: `-s /files/gzip ${plainTarget}`,
      plan: ["call         kexec_file_load", "unwrapped from gzip"],
      ...{ ...plainReport, version: younger.version },
    },
    {
      words: `-t bzImage64 /files/xz ${plainTarget} --console-serial`,
      plan: ["call         kexec_load", "unwrapped from xz", mode(64), "I'm in purgatory"],
      ...{ ...plainReport, version: younger.version },
    },
    {
      words: `-t bzImage /files/zstd ${plainTarget}`,
      plan: ["unwrapped from zstd", mode(32)],
      ...{ ...plainReport, version: older.version },
    },
    {
      words: `--entry-32bit ${running} ${plainTarget}`,
      plan: [mode(32)],
      ...{ ...plainReport, version: younger.version },
    },
    {
      words: `-t elf-x86_64 /files/vmlinux --initrd=${first} --initrd=${third} --append='${targetWords} x'`,
      plan: [mode(64)],
      ...{ commandLine: `${targetWords} x`, version: younger.version, markers: ["first", "third"] },
    },
    {
      words: `-t uki /files/uki --initrd=${second}`,
      plan: ["bzImage64 in a uki", mode(64)],
      ...{ commandLine: `${targetWords} from=container`, version: younger.version, markers: ["container", "second"] },
    },
  ];
  test.each(linux.map((row) => [row.words, row] as const))("kexec -f %s", (_words, row) => jumpToLinux(guest(), row));

  const modules = "--module='/files/module one  two' --module=/files/third.cpio --append='for  all'";
  const firstModule = `string="/files/module one  two" bytes=${hex(moduleText.slice(0, 16))} sum=${sum(moduleText)}`;
  const secondModule = `string="/files/third.cpio" bytes=${hex("0707010000000100")}`;

  test("-t multiboot-x86", async () => {
    const lines = await jumpToPayload(guest(), {
      words: `-t multiboot-x86 /files/multiboot1 ${modules}`,
      plan: [mode(32)],
    });
    expect(lines[0]).toMatch(/^PAYLOAD multiboot magic=0x2badb002 /);
    expect(lines[0]).toContain('cmdline="for  all" loader="slipway" mods=0x00000002');
    expect(lines[1]).toContain(firstModule);
    expect(lines[2]).toContain(secondModule);
    expect(lines).toContain("PAYLOAD memory data=good bss=zero");
  });

  test("-t multiboot2-x86", async () => {
    const lines = await jumpToPayload(guest(), {
      words: `-t multiboot2-x86 /files/multiboot2 ${modules}`,
      plan: [mode(32)],
    });
    expect(lines[0]).toMatch(/^PAYLOAD multiboot2 magic=0x36d76289 /);
    expect(lines).toContain('PAYLOAD cmdline text="for  all"');
    expect(lines).toContain('PAYLOAD loader text="slipway"');
    const told = lines.filter((line) => line.startsWith("PAYLOAD module"));
    expect(told).toEqual([expect.stringContaining(firstModule), expect.stringContaining(secondModule)]);
    expect(lines).toContain("PAYLOAD memory data=good bss=zero");
  });

  test("-t elf-x86: boot notes", async () => {
    const lines = await jumpToPayload(guest(), {
      words: "-t elf-x86 /files/elf32 --append='for  all'",
      plan: [mode(32)],
    });
    expect(lines).toContain('PAYLOAD note type=0x00000004 bytes=0x00000009 text="for  all"');
    expect(lines).toContain("PAYLOAD memory data=good bss=zero");
  });

  test("-t nbi-x86", async () => {
    const lines = await jumpToPayload(guest(), { words: "-t nbi-x86 /files/nbi32", plan: [mode(32)] });
    expect(lines.slice(0, 2)).toEqual(['PAYLOAD nbi second="the second segment"', "PAYLOAD memory data=good bss=zero"]);
  });
});

function hex(text: string): string {
  return Buffer.from(text).toString("hex");
}

/** As payloads print the sum of all bytes. */
function sum(text: string): string {
  const total = Buffer.from(text).reduce((soFar, byte) => soFar + byte, 0);
  return `0x${total.toString(16).padStart(8, "0")}`;
}

describe("on the older kernel", () => {
  const guest = sharedGuest(older, async () => ({ "/files/younger": { copyOf: younger.vmlinuz } }));

  const linux: readonly LinuxJump[] = [
    {
      words: `-c ${running} ${plainTarget}`,
      plan: ["call         kexec_load", mode(64)],
      ...{ ...plainReport, version: older.version },
    },
    {
      words: `-s ${running} --reuse-cmdline --initrd=${first} --initrd=${second}`,
      plan: ["call         kexec_file_load"],
      ...{ commandLine: keptWords, version: older.version, markers: ["first", "second"] },
    },
    {
      words: `/files/younger ${plainTarget}`,
      plan: ["call         kexec_load", mode(64)],
      ...{ ...plainReport, version: younger.version },
    },
  ];
  test.each(linux.map((row) => [row.words, row] as const))("kexec -f %s", (_words, row) => jumpToLinux(guest(), row));
});
