import { existsSync, readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { machineArchitecture } from "./architecture.ts";

/** What is quick to know of the machine, for checks before a jump. */
export interface MachineFacts {
  /** `uname -m` */
  readonly architecture: string;
  /** All RAM, bytes; null where the kernel does not say. */
  readonly memoryBytes: number | null;
  /** The name of the first frame buffer's driver; null without one. */
  readonly display: string | null;
  /** Whether the machine was started by UEFI. */
  readonly isEfi: boolean;
}

export function readMachineFacts(sysfs = "/sys", proc = "/proc"): MachineFacts {
  return {
    architecture: machineArchitecture(),
    memoryBytes: totalmem() || null,
    display: firstDisplay(proc),
    isEfi: existsSync(`${sysfs}/firmware/efi`),
  };
}

/** Sample: `0 EFI VGA` */
function firstDisplay(proc: string): string | null {
  try {
    return /^0 (.+)$/m.exec(readFileSync(`${proc}/fb`, "utf8"))?.[1] ?? null;
  } catch {
    return null;
  }
}
