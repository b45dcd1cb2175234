import { expect } from "vitest";
import type { DiskFiles } from "./disk.ts";
import { type CommandResult, type Guest, guestBoot, guestCommands, guestInitrd } from "./guest.ts";
import type { Kernel } from "./kernels.ts";

// Jumps from one system of a guest into the next by the classic call, and what the next has to find there.

/** What a command takes on a machine that several others share. */
export const commandMilliseconds = 240_000;

/** Words of every command line: what costs time in an emulator and changes nothing here is off. */
export const quickWords = "init_on_alloc=0 mitigations=off";
/** What a system of the guest needs to be heard. */
export const guestWords = `console=ttyS0 quiet panic=-1 ${quickWords}`;

const otherBoot = { kernel: "/boot/other", initrd: "/boot/other-initrd" } as const;

/** A kernel with its initrd, as words for `kexec -l`: the one that runs at first, and {@link otherFiles}. */
export const guestKernel = `${guestBoot.kernel} --initrd=${guestBoot.initrd}`;
export const otherKernel = `${otherBoot.kernel} --initrd=${otherBoot.initrd}`;

/** Another kernel for a guest, and an initrd that starts the guest with it. */
export async function otherFiles(kernel: Kernel): Promise<DiskFiles> {
  return { [otherBoot.kernel]: { copyOf: kernel.vmlinuz }, [otherBoot.initrd]: await guestInitrd(kernel) };
}

/** Runs a command that has to succeed. */
export async function succeed(guest: Guest, command: string): Promise<CommandResult> {
  const result = await guest.run(command, commandMilliseconds);
  expect(result.code, `${command}\n${result.stdout}${result.stderr}`).toBe(0);
  return result;
}

/** What `--dry-run --json` tells of a load. */
export interface ToldPlan {
  readonly call: string;
  readonly segments: readonly { readonly name: string; readonly address: number; readonly memoryBytes: number }[];
}

export async function planOf(guest: Guest, words: string): Promise<ToldPlan> {
  const { stdout, loaded } = await succeed(guest, `${guestCommands.slipway} -l -c --dry-run --json ${words}`);
  expect(loaded).toBe(false);
  return JSON.parse(stdout);
}

/** Loads by the classic call and jumps; comes back when the next system takes commands. */
export async function jump(guest: Guest, words: string): Promise<void> {
  const { loaded, stderr } = await succeed(guest, `${guestCommands.slipway} -l -c ${words}`);
  expect({ loaded, stderr }).toEqual({ loaded: true, stderr: "" });
  guest.start(`${guestCommands.slipway} -e`);
  await guest.ready(commandMilliseconds);
}

/** What a running system tells of its machine and of how it was started. */
export interface SystemFacts {
  /** As `uname -r` prints it. */
  readonly version: string;
  readonly commandLine: string;
  /** That were brought up. */
  readonly processors: number;
  /** Whether page tables have five levels. */
  readonly la57: boolean;
  /** KiB. */
  readonly memTotal: number;
  /** KiB. */
  readonly memAvailable: number;
  /** Physical address and bytes, as the kernel's log has it. */
  readonly initrd: { readonly address: number; readonly bytes: number } | null;
  /** Physical address of the ACPI root pointer, as the kernel's log has it. */
  readonly rsdp: number | null;
  /** Names of the ACPI tables, ascending. */
  readonly acpiTables: readonly string[];
}

/** KiB that a program could have: what /proc/meminfo says, and the free pages that processors keep for themselves. */
const availableMemory =
  "awk '/MemAvailable/ { sum += $2 } / count:/ { sum += 4 * $2 } END { print sum }' /proc/meminfo /proc/zoneinfo";

const factCommands = [
  "uname -r",
  "cat /proc/cmdline",
  "nproc",
  "echo $(grep -c ' la57' /proc/cpuinfo)",
  "awk '/MemTotal/ { print $2 }' /proc/meminfo",
  availableMemory,
  "echo $(ls /sys/firmware/acpi/tables)",
  "dmesg | grep -E 'RAMDISK: |ACPI: RSDP '",
];

export async function systemFacts(guest: Guest): Promise<SystemFacts> {
  const { stdout } = await guest.run(factCommands.join("; "), commandMilliseconds);
  const [version = "", commandLine = "", processors, la57, memTotal, memAvailable, tables = "", ...log] =
    stdout.split("\n");
  const range = /RAMDISK: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]/.exec(log.join("\n"));
  const rsdp = /ACPI: RSDP (0x[0-9A-F]+)/.exec(log.join("\n"));
  const address = Number(range?.[1]);
  return {
    version,
    commandLine,
    processors: Number(processors),
    la57: la57 !== "0",
    memTotal: Number(memTotal),
    memAvailable: Number(memAvailable),
    initrd: range === null ? null : { address, bytes: Number(range[2]) + 1 - address },
    rsdp: rsdp === null ? null : Number(rsdp[1]),
    // Beside the tables there are directories.
    acpiTables: tables.split(" ").filter((name) => /^[A-Z0-9]{4}$/.test(name)),
  };
}

/** What does not depend on when a system was started, or by whom. */
export function machineOf({ processors, acpiTables, rsdp }: SystemFacts): Partial<SystemFacts> {
  return { processors, acpiTables, rsdp };
}

/** What EFI runtime services tell: the variables' names and the boot order, sorted by name. */
export async function efiVariables(guest: Guest): Promise<string> {
  const { stdout } = await succeed(guest, "efivar -l | sort && efibootmgr -v");
  return stdout;
}

/** Changes a variable to a value that it does not have yet, and finds it changed. */
export async function expectEfiWrites(guest: Guest, seconds: number): Promise<void> {
  const { stdout } = await succeed(guest, `efibootmgr -q -t ${seconds} && efibootmgr`);
  expect(stdout).toContain(`Timeout: ${seconds} seconds\n`);
}

/** Powers off; a kernel without ACPI would stop with the machine on. */
export async function expectPowerOff(guest: Guest): Promise<void> {
  guest.start("poweroff -f");
  expect((await guest.vm.waitForExit(commandMilliseconds)).errors).toBe("");
}

/** KiB, with nothing cached that could be read again. */
export interface SettledMemory {
  readonly available: number;
  /** What the running kernel's own objects take, as the sum over /proc/slabinfo. */
  readonly slab: number;
}

/** Loads and unloads so often; resolves with the memory before and after. */
export async function loadOften(guest: Guest, times: number): Promise<readonly [SettledMemory, SettledMemory]> {
  const { slipway } = guestCommands;
  const once = `${slipway} -l -c ${guestKernel} --append=x && ${slipway} -u`;
  // What is used for the first time is made then.
  await succeed(guest, once);
  const before = await settledMemory(guest);
  const result = await guest.run(`for i in $(seq ${times}); do ${once} || exit 1; done`, times * commandMilliseconds);
  expect(result).toMatchObject({ code: 0, stdout: "", stderr: "", loaded: false });
  return [before, await settledMemory(guest)];
}

async function settledMemory(guest: Guest): Promise<SettledMemory> {
  const commands = [
    "sync; echo 3 > /proc/sys/vm/drop_caches",
    availableMemory,
    // name, active objects, objects, bytes of each
    "awk 'NR > 2 { sum += $3 * $4 } END { print int(sum / 1024) }' /proc/slabinfo",
  ];
  const { stdout } = await succeed(guest, commands.join("; "));
  const [available, slab] = stdout.split("\n").map(Number);
  return { available: available ?? 0, slab: slab ?? 0 };
}
