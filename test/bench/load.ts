import { readFile } from "node:fs/promises";
import { type Guest, guestCommands, liveGuest } from "../vm/guest.ts";
import { distributionKernel } from "../vm/kernels.ts";
import { targetInitrd } from "../vm/target.ts";
import { virtualTime } from "./virtual-time.ts";

/** One way to load a kernel. */
export interface LoadRow {
  readonly what: string;
  readonly command: string;
  /** Virtual seconds of the whole program, the median of the runs. */
  readonly seconds: number;
}

export interface LoadResult {
  readonly kernelVersion: string;
  readonly kernelBytes: number;
  readonly initrdBytes: number;
  readonly rows: readonly LoadRow[];
}

/** The initrd that everybody loads: a little system, and bytes that no compression makes smaller. */
const initrdBytes = 2 << 20;
const runs = 3;

const { slipway, kexecTools } = guestCommands;
const variants: readonly (readonly [what: string, words: string])[] = [
  ["slipway, as it chooses", slipway],
  ["slipway, no digest (`-i`)", `${slipway} -i`],
  ["slipway, kexec_load (`-c`)", `${slipway} -c`],
  ["slipway, kexec_file_load (`-s`)", `${slipway} -s`],
  ["kexec-tools, kexec_file_load (`-s`)", `${kexecTools} -s`],
  ["kexec-tools, kexec_load (`-c`)", `${kexecTools} -c`],
  ["kexec-tools, kexec_load without a digest (`-c -i`)", `${kexecTools} -c -i`],
];

/** How long each way to load the same kernel and initrd takes in one guest, counted in instructions. */
export async function benchLoad(say: (line: string) => void): Promise<LoadResult> {
  const kernel = await distributionKernel("cloud");
  // Of the two, the one that is packed well, as a kernel in flash would be.
  const vmlinuz = await readFile((await distributionKernel("generic")).vmlinuz);
  const small = await targetInitrd();
  const initrd = Buffer.concat([small, noise(initrdBytes - small.length)]);
  const files = { "/boot/vmlinuz": vmlinuz, "/boot/initrd": initrd };
  await using guest = await liveGuest({ kernel, files, memoryMiB: 2048, vm: { qemuArguments: virtualTime } });
  const rows: LoadRow[] = [];
  for (const [what, words] of variants) {
    const command = `${words} -l /boot/vmlinuz --initrd=/boot/initrd --append=quiet`;
    // The first run brings the program and the files into memory.
    await timed(guest, command);
    const times: number[] = [];
    for (let run = 0; run < runs; run++) times.push(await timed(guest, command));
    const seconds = times.toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? 0;
    say(`${seconds.toFixed(2)} s  ${what}`);
    rows.push({ what, command: words, seconds });
  }
  return { kernelVersion: kernel.version, kernelBytes: vmlinuz.length, initrdBytes: initrd.length, rows };
}

/** Virtual seconds between two lines that the guest writes to its kernel's log. */
async function timed(guest: Guest, command: string): Promise<number> {
  const run = `echo bench-begin > /dev/kmsg; ${command}; code=$?; echo bench-end > /dev/kmsg; dmesg | grep bench- | tail -n 2; exit $code`;
  const { code, stdout, stderr, loaded } = await guest.run(run, 600_000);
  if (code !== 0 || !loaded) throw new Error(`${command}: exit code ${code}\n${stderr}`);
  const [begin, end] = [...stdout.matchAll(/^\[ *(\d+\.\d+)\] bench-/gm)].map((match) => Number(match[1]));
  if (begin === undefined || end === undefined) throw new Error(`${command}: no times in the guest's log:\n${stdout}`);
  const { code: unloaded } = await guest.run(`${kexecTools} -u`);
  if (unloaded !== 0) throw new Error(`${kexecTools} -u: exit code ${unloaded}`);
  return end - begin;
}

/** Bytes that look random and are always the same (xorshift32). */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(Math.max(0, length));
  let state = 0x9e3779b9;
  for (let at = 0; at < bytes.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state & 0xff;
  }
  return bytes;
}
