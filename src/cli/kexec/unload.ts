import { explainUnloadError } from "../../handoff/kexec-errors.ts";
import { SyscallError } from "../../linux/errno.ts";
import type { KexecState } from "../../machine/kexec-state.ts";
import { exitFailed } from "./exit-codes.ts";
import type { Settings } from "./settings.ts";
import type { KexecSide } from "./side.ts";

type Call = "file" | "classic";

/** Unloads the kernel that is meant; one that is not loaded is no failure. */
export async function unload(side: KexecSide, settings: Settings): Promise<number> {
  const onCrash = settings.target === "crash";
  const state = side.readState();
  const errors: SyscallError[] = [];
  for (const call of callsFor(settings, state)) {
    try {
      await unloadBy(side, call, onCrash);
      return 0;
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      errors.push(error);
      if (!["EPERM", "EACCES", "ENOSYS"].includes(error.code)) break;
    }
  }
  // That the other call is not built in is not why it failed.
  const reason = errors.find(({ code }) => code !== "ENOSYS") ?? errors[0];
  side.err(`${explainUnloadError(reason, state, onCrash).message}\n`);
  return exitFailed;
}

/** The calls to try, in order. A kernel that is locked down, or whose files are appraised, lets only the file call unload. */
function callsFor({ call }: Settings, state: KexecState): readonly Call[] {
  if (call === "file" || call === "classic") return [call];
  const isGuarded = state.appraised === true || (state.lockdown !== null && state.lockdown !== "none");
  return isGuarded ? ["file", "classic"] : ["classic", "file"];
}

function unloadBy(side: KexecSide, call: Call, onCrash: boolean): Promise<void> {
  const system = side.system();
  return call === "file" ? system.kexecFileUnload(onCrash) : system.kexecLoad({ entry: 0, segments: [], onCrash });
}
