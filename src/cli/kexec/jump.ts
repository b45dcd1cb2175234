import { messageOf } from "../../formats/error-text.ts";
import { leave } from "../../handoff/leave.ts";
import { libraryText, SyscallError } from "../../linux/errno.ts";
import { exitFailed } from "./exit-codes.ts";
import type { Settings } from "./settings.ts";
import type { KexecSide } from "./side.ts";

/** When somebody who watches is told what takes so long, milliseconds. */
const patienceMilliseconds = 5000;

/** Waits until everything written is on its medium; there is no end to it while a medium does not answer. */
export async function syncAll(side: KexecSide): Promise<void> {
  const notice = setTimeout(() => {
    if (side.isTerminal) side.err("kexec: waiting until the disks have everything (sync); -y does not wait\n");
  }, patienceMilliseconds);
  try {
    await side.system().sync();
  } finally {
    clearTimeout(notice);
  }
}

/** Jumps into the loaded kernel; returns only when that failed. */
export async function jump(side: KexecSide, settings: Settings): Promise<number> {
  try {
    return await leave(side.system(), { sync: false, interfacesDown: settings.interfacesDown });
  } catch (error) {
    side.err(`${messageOf(error)}\n`);
    return exitFailed;
  }
}

/** Where kexec-tools looks for it. */
const shutdownPrograms = ["/sbin/shutdown", "/etc/shutdown", "/bin/shutdown"];

/** Has the system shut down; its last step then is `kexec -e`. */
export async function shutdown(side: KexecSide): Promise<number> {
  const code = await side.runProgram(shutdownPrograms, ["-r", "now"]);
  if (code === null) side.err(`shutdown: ${libraryText("ENOENT")}: ${shutdownPrograms.join(", ")} expected\n`);
  return code ?? exitFailed;
}

/** Loads the way back to the kernel that this one was started from (`--load-preserve-context`). */
export async function loadJumpBack(side: KexecSide, settings: Settings): Promise<number> {
  if (side.readState().loaded !== false) {
    side.err("There is kexec kernel loaded, make sure you are in kexeced kernel.\n");
    return exitFailed;
  }
  if (settings.entry === null) {
    side.err("Please specify jump back entry in command line\n");
    return exitFailed;
  }
  try {
    await side.system().kexecLoad({
      entry: settings.entry,
      segments: [{ content: null, address: 0, memoryBytes: 0 }],
      preserveContext: true,
    });
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    side.err(`load jump back kernel failed: ${libraryText(error.code)}\n`);
    return exitFailed;
  }
  if (settings.sync) await syncAll(side);
  return 0;
}
