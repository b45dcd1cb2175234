import type { System } from "../linux/system.ts";
import type { LoadedKernel } from "./load.ts";

/** Jumps into the loaded kernel. Returns only by throwing. */
export function execute(system: System, kernel: LoadedKernel): never {
  system.sync();
  system.reboot("kexec");
  throw new Error(
    `reboot(LINUX_REBOOT_CMD_KEXEC) returned; the command line was ${JSON.stringify(kernel.commandLine)}`,
  );
}
