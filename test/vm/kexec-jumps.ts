import { gzipSync } from "node:zlib";
import { expect } from "vitest";
import type { DiskFiles } from "./disk.ts";
import { type Guest, guestBoot, guestCommands, liveGuest } from "./guest.ts";
import type { Kernel } from "./kernels.ts";
import { cpioArchive, targetInitrd } from "./target.ts";

// Jumps out of a saved guest into kernels of every kind, each of which tells over the serial port what it was given.

/** What costs time and changes nothing here, switched off. */
const quickWords = "init_on_alloc=0 mitigations=off";
/** What a target needs to be heard, and to come to an end. */
export const targetWords = `console=ttyS0 quiet panic=-1 ${quickWords}`;

/** The running kernel's command line without what a boot loader has put there. */
export const keptWords = `${targetWords} running="two words"`;
const runningWords = `BOOT_IMAGE=/boot/vmlinuz ${quickWords} "BOOT_IMAGE=(hd0)/a b" running="two words"`;

/** What every guest has: the kernel that runs, and initrds, each with a marker in it. */
export const jumpFiles = {
  kernel: guestBoot.kernel,
  /** A target that tells of all markers. */
  first: "/files/first.cpio",
  /** Compressed, of odd length. */
  second: "/files/second.cpio.gz",
  third: "/files/third.cpio",
} as const;

const markers = "/markers";

/** A guest that runs `kernel`, saved before any jump. */
export async function jumpGuest(kernel: Kernel, files: DiskFiles): Promise<Guest> {
  const initrds = {
    [jumpFiles.first]: await tellingInitrd("first"),
    [jumpFiles.second]: withOddLength(gzipSync(markerArchive("second"))),
    [jumpFiles.third]: markerArchive("third"),
  };
  const guest = await liveGuest({
    kernel,
    append: runningWords,
    memoryMiB: 768,
    restorable: true,
    files: { ...initrds, ...files },
  });
  // What every command has to read is in memory from then on.
  await guest.run(`${guestCommands.slipway} --dry-run -l ${jumpFiles.kernel} --initrd=${jumpFiles.first}`);
  await guest.save();
  return guest;
}

/** A target that tells its kernel's version and every marker that it finds, its own among them. */
export function tellingInitrd(name: string): Promise<Buffer> {
  return targetInitrd({
    files: { [`${markers}/${name}`]: markerText(name) },
    commands: [
      'echo "TARGET-KERNEL:$(uname -r):END"',
      `for file in ${markers}/*; do echo "TARGET-MARKER:$(cat $file):END"; done`,
      // Nothing of it is left when the kernel says that it powers off.
      "stty sane",
      "echo TARGET-DONE",
    ],
  });
}

function markerArchive(name: string): Buffer {
  return cpioArchive([
    { name: markers, mode: 0o040755, content: new Uint8Array() },
    { name: `${markers}/${name}`, mode: 0o100644, content: Buffer.from(markerText(name)) },
  ]);
}

function markerText(name: string): string {
  return `the marker in ${name}`;
}

/** Zeroes between the parts of an initrd mean nothing, so one more does no harm. */
function withOddLength(bytes: Uint8Array): Uint8Array {
  return bytes.length % 2 === 1 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)]);
}

/** A load and a jump in one command. */
export interface Jump {
  /** What follows `kexec -f`. */
  readonly words: string;
  /** Said of the load before the jump (`-d`), among other things. */
  readonly plan: readonly string[];
}

export interface LinuxJump extends Jump {
  /** What the second kernel reports. */
  readonly commandLine: string;
  readonly version: string;
  /** Which of the initrds were in its one. */
  readonly markers: readonly string[];
}

/** What a command takes, with the second system's start; four machines may share a processor. */
export const jumpMilliseconds = 240_000;

/** Puts the guest back and jumps; resolves with what was said until `end`. */
async function jump(guest: Guest, { words, plan }: Jump, end: string): Promise<string> {
  await guest.restore();
  guest.start(`${guestCommands.slipway} -f -d ${words} > /dev/console 2>&1`);
  // A command that comes back did not jump.
  const [said] = await guest.vm.expect(RegExp(`[\\s\\S]*?^(${end}\n|guest: end \\d+ .*\n)`, "m"), jumpMilliseconds);
  for (const line of plan) expect(said).toContain(line);
  return said;
}

/** Jumps into a Linux kernel, which has to report what is expected. */
export async function jumpToLinux(guest: Guest, wanted: LinuxJump): Promise<void> {
  const said = await jump(guest, wanted, "TARGET-DONE");
  expectReport(said, wanted);
}

/** What a target said of itself. */
export function expectReport(said: string, wanted: Omit<LinuxJump, keyof Jump>): void {
  const told = (what: string): string[] => [...said.matchAll(RegExp(`^TARGET-${what}:(.*):END$`, "gm"))].map(second);
  expect(
    { commandLine: told("CMDLINE"), version: told("KERNEL"), markers: told("MARKER") },
    `the target has said:\n${said}`,
  ).toEqual({
    commandLine: [wanted.commandLine],
    version: [wanted.version],
    markers: wanted.markers.map(markerText),
  });
}

function second([, text = ""]: RegExpMatchArray): string {
  return text;
}

/** Jumps into a payload; resolves with the lines that it said. */
export async function jumpToPayload(guest: Guest, wanted: Jump): Promise<string[]> {
  const said = await jump(guest, wanted, "PAYLOAD end");
  const lines = said.split("\n");
  const start = lines.findIndex((line) => line.startsWith("PAYLOAD"));
  expect(start, `the payload has said:\n${said}`).not.toBe(-1);
  return lines.slice(start);
}
