import { SyscallError } from "../linux/errno.ts";
import type { System } from "../linux/system.ts";
import type { KexecCall } from "./choose-call.ts";
import { explainKexecError } from "./kexec-errors.ts";
import { type LoadPlan, planFallback } from "./plan-load.ts";

/** A load that was carried out. */
export interface Carried {
  /** The plan that succeeded: the first one, or that of the other call. */
  readonly plan: LoadPlan;
  /** Why the first one did not; null when it did. */
  readonly fellBack: string | null;
}

export interface CarryHooks {
  /** Runs before kexec_file_load(2), whose cost is the running kernel's digest: time to load a quick one. */
  readonly beforeFileCall?: () => Promise<void>;
}

/**
 * Loads as planned. When the running kernel does not know the call or does not understand the request, and the plan allows
 * it, the other call is tried; a refusal for want of a signature is never worked around.
 */
export async function carryOut(system: System, plan: LoadPlan, hooks: CarryHooks = {}): Promise<Carried> {
  try {
    await loadBy(system, plan, hooks);
    return { plan, fellBack: null };
  } catch (error) {
    const next = plan.choice.fallback;
    if (next === null || !isWorthFallback(error, next)) throw explainKexecError(error, plan);
    const reason = explainKexecError(error, plan).message;
    const other = await planFallback(system, plan, next, reason);
    try {
      await loadBy(system, other, hooks);
    } catch (second) {
      throw explainKexecError(second, other);
    }
    return { plan: other, fellBack: reason };
  }
}

async function loadBy(system: System, plan: LoadPlan, hooks: CarryHooks): Promise<void> {
  const { request } = plan;
  if (plan.call === "file") {
    const { fileOf } = await import("./whole-file.ts");
    await hooks.beforeFileCall?.();
    using kernel = fileOf(system, request.kernel.image);
    using initrd = request.initrd === null ? null : fileOf(system, request.initrd);
    await system.kexecFileLoad({
      kernelFd: kernel.fd,
      initrdFd: initrd?.fd ?? null,
      commandLine: request.commandLine,
      onCrash: request.onCrash,
      debug: request.debug,
      noCma: request.noCma,
      forceDtb: request.forceDtb,
    });
    return;
  }
  const { loadClassic } = await import("./classic/load-classic.ts");
  await loadClassic(system, plan.plan, plan.digest, {
    onCrash: request.onCrash,
    preserveContext: request.classic.preserveContext,
    updateElfCoreHeader: request.onCrash && request.classic.hotplug,
    debug: false,
  });
}

/**
 * The file call is the stricter one: whatever stopped the classic call, it may be asked. The classic call is asked only
 * when the kernel lacks the file call or does not understand the image.
 */
function isWorthFallback(error: unknown, next: KexecCall): boolean {
  if (!(error instanceof SyscallError)) return false;
  if (next === "file") return ["ENOSYS", "EPERM", "EACCES", "EINVAL", "EADDRNOTAVAIL"].includes(error.code);
  return ["ENOSYS", "EINVAL", "ENOEXEC", "EOPNOTSUPP", "ENOTSUP"].includes(error.code);
}
