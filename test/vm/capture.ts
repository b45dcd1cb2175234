import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { expect } from "vitest";
import { type CoreHead, iomemPieces, type MemoryPiece, parseCoreHead, without } from "./core-file.ts";
import { type Guest, type GuestOptions, guestCommands, liveGuest } from "./guest.ts";
import type { Kernel } from "./kernels.ts";
import { commandMilliseconds, guestKernel, guestWords, quickWords, succeed } from "./second-kernel.ts";

// Crashes of a guest, and what the capture kernel has to find. It starts in the crash region, with the guest's own
// initrd: so it changes over to the disk of the crashed system and takes commands there, makedumpfile among them.

/**
 * The command line of a capture kernel: one processor, devices that are in the middle of something, and no memory but
 * its own.
 */
export const captureWords = `${guestWords} nr_cpus=1 reset_devices acpi_no_memhotplug`;

/** Where a real-mode trampoline may lie, and so the one memory that both kernels use. */
const lowMemoryEnd = 2 ** 20;

/** A guest with a region for a capture kernel. */
export function startCrashGuest({ append = "crashkernel=256M", ...options }: GuestOptions): Promise<Guest> {
  return liveGuest({ ...options, append: `${append} ${quickWords}` });
}

/** What the capture kernel was told, and what it finds of the crashed one. */
export interface Captured {
  /** Of the crashed kernel, right before. */
  readonly iomem: string;
  readonly commandLine: string;
  readonly core: CoreHead;
}

/**
 * Loads, crashes, and comes back when the capture kernel has told of the dump, in which makedumpfile has to find the
 * kernel's last words.
 *
 * @param words what follows `kexec -p` besides the kernel and its initrd
 * @param meanwhile done between the load and the crash
 */
export async function crash(
  guest: Guest,
  words: string,
  meanwhile: (guest: Guest) => Promise<void> = async () => {},
): Promise<Captured> {
  const { crashLoaded, stderr } = await succeed(guest, `${guestCommands.slipway} -p ${guestKernel} ${words}`);
  expect({ crashLoaded, stderr }).toEqual({ crashLoaded: true, stderr: "" });
  await meanwhile(guest);
  const marker = `marker ${Math.random()}`;
  const { stdout: iomem } = await succeed(guest, `echo ${marker} > /dev/kmsg; cat /proc/iomem`);
  guest.start("echo c > /proc/sysrq-trigger");
  await guest.ready(commandMilliseconds);
  const { stdout: commandLine } = await succeed(guest, "cat /proc/cmdline");
  const { stdout: head } = await succeed(guest, "head -c 32768 /proc/vmcore | gzip | base64");
  await succeed(guest, "makedumpfile --dump-dmesg /proc/vmcore /tmp/log");
  const { stdout: log } = await succeed(guest, "cat /tmp/log");
  expect(log).toContain(marker);
  expect(log).toContain("Kernel panic - not syncing: sysrq triggered crash");
  const core = parseCoreHead(gunzipSync(Buffer.from(head, "base64")));
  return { iomem, commandLine: commandLine.trimEnd(), core };
}

/** What every dump has to hold. */
export interface DumpOf {
  readonly kernel: Kernel;
  readonly processors: number;
  /** Whether the first MiB is in it: the running kernel leaves it out of the headers that it makes itself. */
  readonly lowMemory: boolean;
}

/** The notes of all processors, and exactly the memory of the crashed kernel. */
export function expectDump({ iomem, core }: Captured, { kernel, processors, lowMemory }: DumpOf): void {
  expect(core.processors).toHaveLength(processors);
  // All were in the kernel, one of them for the process that crashed the machine.
  expect(core.processors.filter(({ rip }) => rip >= kernelText)).toEqual(core.processors);
  expect(core.processors.map(({ pid }) => pid !== 0)).toContain(true);
  expect(core.vmcoreinfo).toEqual([expect.stringMatching(`^OSRELEASE=${RegExp.escape(kernel.version)}\n`)]);
  const [text, ...memory] = core.loads;
  const [code] = iomemPieces(iomem, "Kernel code");
  const [bss] = iomemPieces(iomem, "Kernel bss");
  expect(text?.start).toBe(code?.start);
  expect(text?.end).toBeGreaterThanOrEqual(bss?.end ?? Number.NaN);
  const left = [...iomemPieces(iomem, "Crash kernel"), ...(lowMemory ? [] : [{ start: 0, end: lowMemoryEnd }])];
  expect(memory.map(({ start, end }) => ({ start, end }))).toEqual(without(iomemPieces(iomem, "System RAM"), left));
  if (core.bits === 32) return;
  expect(text?.virtual).toBeGreaterThanOrEqual(kernelText);
  // The direct map has all memory at one distance.
  expect(new Set(memory.map(({ start, virtual }) => virtual - BigInt(start))).size).toBe(1);
}

/** Documentation/arch/x86/x86_64/mm.rst: the lowest place of the kernel's text. */
const kernelText = 0xffff_ffff_8000_0000n;

/** Writes the dump as kdump scripts do, and looks whether it is whole: it is read again. */
export async function expectMakedumpfile(guest: Guest): Promise<void> {
  await succeed(guest, "makedumpfile -c -d 31 /proc/vmcore /dump");
  const { stdout } = await succeed(
    guest,
    "head -c 8 /dump; makedumpfile --dump-dmesg /dump /tmp/again && cmp /tmp/log /tmp/again",
  );
  expect(stdout).toContain("KDUMP   ");
}

/** The machine's physical memory from outside. */
export async function physicalMemory(guest: Guest, { start, end }: MemoryPiece): Promise<Buffer> {
  const directory = await mkdtemp(path.join(tmpdir(), "slipway-memory-"));
  try {
    const file = path.join(directory, "memory");
    await guest.vm.qmp("pmemsave", { val: start, size: end - start, filename: file });
    return await readFile(file);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
