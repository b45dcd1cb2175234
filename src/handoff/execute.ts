import type { System } from "../linux/system.ts";
import { withDeadline } from "../machine/deadline.ts";
import type { LoadedKernel } from "./load.ts";

/** Somebody else's dirty pages on a dead medium must not hold up the jump; nothing of ours is ever dirty. */
const syncSecondsMax = 5;

/** Jumps into the loaded kernel. Returns only by rejecting. */
export async function execute(system: System, kernel: LoadedKernel): Promise<never> {
  await withDeadline(system.sync(), syncSecondsMax, "sync").catch(() => {});
  system.reboot("kexec");
  throw new Error(
    `reboot(LINUX_REBOOT_CMD_KEXEC) returned; the command line was ${JSON.stringify(kernel.commandLine)}`,
  );
}
