import { libraryText, SyscallError } from "../linux/errno.ts";
import type { System } from "../linux/system.ts";

export interface LeaveOptions {
  /** Waits until what was written is on its medium. */
  readonly sync: boolean;
  /** Network interfaces down, so that no packet arrives in memory that the target owns. */
  readonly interfacesDown: boolean;
}

/** Leaves a running system for the loaded kernel, now. Returns only by rejecting: `kexec failed: …`. */
export async function leave(system: System, options: LeaveOptions): Promise<never> {
  if (options.sync) await system.sync();
  if (options.interfacesDown) {
    try {
      system.interfacesDown();
    } catch (error) {
      // An interface that stays up is no reason to stay.
      if (!(error instanceof SyscallError)) throw error;
    }
  }
  try {
    system.reboot("kexec");
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    const why = error.code === "EINVAL" ? ": no kernel is loaded" : "";
    throw new Error(`kexec failed: ${libraryText(error.code)}${why}`, { cause: error });
  }
  throw new Error("kexec failed: reboot(2) returned");
}
