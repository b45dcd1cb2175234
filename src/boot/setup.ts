import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { messageOf } from "../formats/error-text.ts";
import { errno, SyscallError } from "../linux/errno.ts";
import type { MountFlag, System } from "../linux/system.ts";

interface EarlyMount {
  readonly type: string;
  readonly target: string;
  readonly flags: readonly MountFlag[];
  readonly data: string;
  /** Without an essential one there is no boot; the others are mounted where the kernel offers them. */
  readonly essential: boolean;
}

const harmless: readonly MountFlag[] = ["nosuid", "nodev", "noexec"];

/** In this order: later ones lie in earlier ones. */
const earlyMounts: readonly EarlyMount[] = [
  { type: "proc", target: "/proc", flags: harmless, data: "", essential: true },
  { type: "sysfs", target: "/sys", flags: harmless, data: "", essential: true },
  { type: "devtmpfs", target: "/dev", flags: ["nosuid"], data: "mode=0755", essential: true },
  { type: "devpts", target: "/dev/pts", flags: ["nosuid", "noexec"], data: "mode=0620", essential: false },
  { type: "tmpfs", target: "/run", flags: ["nosuid", "nodev"], data: "mode=0755", essential: false },
];

/** Below /sys; the kernel makes their directories where it supports them. */
const kernelMounts: readonly EarlyMount[] = [
  { type: "securityfs", target: "/sys/kernel/security", flags: harmless, data: "", essential: false },
  { type: "efivarfs", target: "/sys/firmware/efi/efivars", flags: ["ro", ...harmless], data: "", essential: false },
];

/** Mounts the kernel's filesystems. Throws when an essential one fails; returns what else failed. */
export function mountEarly(system: System): string[] {
  const problems = earlyMounts.flatMap((request) => {
    mkdirSync(request.target, { recursive: true });
    return mountOne(system, request);
  });
  allowKernelLog();
  return problems;
}

/** Mounts what the kernel offers, and may have a module for. Returns what failed. */
export async function mountKernelFilesystems(
  system: System,
  load: (module: string) => Promise<void>,
): Promise<string[]> {
  const offered = kernelMounts.filter((request) => existsSync(request.target));
  await Promise.all(offered.map((request) => load(request.type)));
  return offered.flatMap((request) => mountOne(system, request));
}

function mountOne(system: System, request: EarlyMount): string[] {
  try {
    system.mount({
      source: request.type,
      target: request.target,
      type: request.type,
      flags: request.flags,
      data: request.data,
    });
    return [];
  } catch (error) {
    if (error instanceof SyscallError && error.errno === errno.EBUSY) return [];
    if (request.essential) throw error;
    return [messageOf(error)];
  }
}

/** By default the kernel drops all but ten lines in five seconds of what a program writes to its log. */
function allowKernelLog(): void {
  try {
    writeFileSync("/proc/sys/kernel/printk_devkmsg", "on\n");
  } catch {
    // `printk.devkmsg=` on the kernel command line has decided; some marks may be dropped.
  }
}
