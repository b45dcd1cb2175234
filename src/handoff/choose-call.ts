import type { KexecState } from "../machine/kexec-state.ts";
import type { ClassicOptions, LoadRequest } from "./load-request.ts";

export type KexecCall = "file" | "classic";

/** The name of the system call. */
export function callName(call: KexecCall): string {
  return call === "file" ? "kexec_file_load" : "kexec_load";
}

export interface CallChoice {
  readonly call: KexecCall;
  /** Why; a clause. */
  readonly reason: string;
  /** What to try when the running kernel does not take the first; null when only one will do. */
  readonly fallback: KexecCall | null;
}

/** A request that contradicts itself or that this kernel is known to refuse. */
export class ChoiceError extends Error {
  override readonly name = "ChoiceError";
}

const optionWords: readonly (readonly [(options: ClassicOptions) => boolean, string])[] = [
  [(o) => o.memoryMin !== null, "--mem-min"],
  [(o) => o.memoryMax !== null, "--mem-max"],
  [(o) => o.entry !== null, "--entry"],
  [(o) => o.preserveContext, "--load-preserve-context"],
  [(o) => o.resetVga, "--reset-vga"],
  [(o) => o.consoleVga, "--console-vga"],
  [(o) => o.serial !== null, "--console-serial"],
  [(o) => o.noEfi, "--noefi"],
  [(o) => o.reuseVideoType, "--reuse-video-type"],
  [(o) => o.passMemmapCommandLine, "--pass-memmap-cmdline"],
  [(o) => o.elf32CoreHeaders, "--elf32-core-headers"],
];

/** What in a request only the classic call can do, each as its option. */
export function classicOnly(request: LoadRequest): string[] {
  const words = optionWords.filter(([isSet]) => isSet(request.classic)).map(([, word]) => word);
  if (request.entryMode === "32-bit") words.push("--entry-32bit");
  if (request.entryMode === "16-bit") words.push("--real-mode");
  if (request.elfArguments !== "linux") words.push(`--args-${request.elfArguments}`);
  if (request.modules.length > 0) words.push("--module");
  if (request.devicetree !== null) words.push("--dtb");
  return words;
}

/** Chooses the system call. Pure. Throws {@link ChoiceError} for what cannot be, with the reason. */
export function chooseCall(request: LoadRequest, state: KexecState): CallChoice {
  refuseHopeless(request, state);
  const classic = classicOnly(request);
  const { imageKind } = request.kernel;
  const isFileKind = imageKind === "bzImage64";
  if (request.call === "file") {
    if (classic.length > 0) {
      throw new ChoiceError(`kexec_file_load takes no ${classic.join(", ")}: leave out -s, or the option`);
    }
    if (!isFileKind) {
      throw new ChoiceError(
        `kexec_file_load takes bzImages with a 64-bit entry; ${request.kernel.name} is ${imageKind}`,
      );
    }
    return { call: "file", reason: "-s asks for kexec_file_load", fallback: null };
  }
  const locked = lockReason(state);
  if (request.call === "classic") return { call: "classic", reason: "-c asks for kexec_load", fallback: null };
  if (locked !== null) {
    if (classic.length > 0) throw new ChoiceError(`${classic.join(", ")}: only kexec_load can do this, and ${locked}`);
    if (!isFileKind) throw new ChoiceError(`${imageKind}: only kexec_load can start this, and ${locked}`);
    return { call: "file", reason: locked, fallback: null };
  }
  if (!isFileKind) {
    return { call: "classic", reason: `kexec_file_load does not take ${imageKind}`, fallback: null };
  }
  if (classic.length > 0) {
    return { call: "classic", reason: `only kexec_load can do ${classic.join(", ")}`, fallback: null };
  }
  if (state.handover) {
    return { call: "file", reason: "kexec handover (kho=on) goes through kexec_file_load only", fallback: null };
  }
  if (request.onCrash) {
    const reason = "for a crash the running kernel makes the dump's headers itself";
    return { call: "file", reason, fallback: "classic" };
  }
  const reason =
    request.digest === "sha256" || request.digest === "crc32"
      ? "quicker, for its digest covers the files and not the memory around them"
      : request.digest === "verified"
        ? "quicker, and the bytes were read into sealed memory an instant ago"
        : "quicker without a digest";
  return { call: "classic", reason, fallback: "file" };
}

function lockReason(state: KexecState): string | null {
  if (state.lockdown !== null && state.lockdown !== "none") {
    return `the running kernel is locked down (${state.lockdown}) and refuses kexec_load`;
  }
  if (state.appraised === true) {
    return "the integrity subsystem (IMA) appraises kernels, which it can only do for kexec_file_load";
  }
  return null;
}

/** The words of the error come first: scripts look for them. */
function refuseHopeless(request: LoadRequest, state: KexecState): void {
  const refuse = (why: string): never => {
    throw new ChoiceError(
      `${callName(request.call === "file" ? "file" : "classic")} failed: Operation not permitted: ${why}`,
    );
  };
  if (state.permitted === false) refuse("this process lacks CAP_SYS_BOOT; run it as root");
  if (state.disabled === true) {
    refuse("kernel.kexec_load_disabled is 1, so the running kernel loads no kernel any more until it is rebooted");
  }
  const [limit, name] = request.onCrash
    ? [state.limitPanic, "kexec_load_limit_panic"]
    : [state.limitReboot, "kexec_load_limit_reboot"];
  if (limit === 0) refuse(`kernel.${name} is 0: as many kernels were loaded as the administrator allows`);
}
