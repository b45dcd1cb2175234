import { libraryText, SyscallError } from "../linux/errno.ts";
import type { KexecState, Lockdown } from "../machine/kexec-state.ts";
import { size } from "./classic/placement.ts";
import { neededBytes } from "./needed-memory.ts";
import type { LoadPlan } from "./plan-load.ts";

/** A load or an unload that the running kernel refused, with what that means. */
export class KexecError extends Error {
  override readonly name = "KexecError";
  /** `EPERM` */
  readonly code: string;
  /** The plan that was refused; null for an unload. */
  readonly plan: LoadPlan | null;

  constructor(message: string, code: string, plan: LoadPlan | null, cause: unknown) {
    super(message, { cause });
    this.code = code;
    this.plan = plan;
  }
}

/** What an error of a load means, in words of the machine that it happened on. */
export function explainKexecError(error: unknown, plan: LoadPlan): Error {
  const { request, state } = plan;
  const meaning = plan.call === "file" ? fileMeanings : classicMeanings;
  return explain(error, meaning, { state, onCrash: request.onCrash, plan });
}

/** What an error of an unload means. */
export function explainUnloadError(error: unknown, state: KexecState, onCrash: boolean): Error {
  return explain(error, classicMeanings, { state, onCrash, plan: null });
}

interface Circumstances {
  readonly state: KexecState;
  readonly onCrash: boolean;
  /** Null for an unload. */
  readonly plan: LoadPlan | null;
}

type Meaning = string | ((about: Circumstances) => string);

function explain(error: unknown, meanings: Readonly<Record<string, Meaning>>, about: Circumstances): Error {
  if (!(error instanceof SyscallError)) return error instanceof Error ? error : new Error(String(error));
  const meaning = meanings[error.code] ?? commonMeanings[error.code];
  const told = typeof meaning === "function" ? meaning(about) : meaning;
  const what = about.plan === null ? "kexec unload" : error.call;
  const words = `${what} failed: ${libraryText(error.code)}`;
  return new KexecError(told === undefined ? words : `${words}: ${told}`, error.code, about.plan, error);
}

/** kernel/kexec.c and kernel/kexec_file.c, both calls. */
const commonMeanings: Readonly<Record<string, Meaning>> = {
  EPERM: (about) => permissionReason(about),
  EBUSY: "another program is loading or unloading a kernel at this moment; try again",
  ENOMEM: "there is not enough memory for the segments and their pages",
  ENOSYS: "the running kernel was built without this system call (CONFIG_KEXEC, CONFIG_KEXEC_FILE)",
  EADDRNOTAVAIL: (about) => (about.onCrash ? crashRoom(about) : "there is no free range of memory for a part of it"),
};

/** arch/x86/kernel/kexec-bzimage64.c, kernel/kexec_file.c, security/integrity, crypto/asymmetric_keys. */
const fileMeanings: Readonly<Record<string, Meaning>> = {
  EACCES:
    "the integrity subsystem (IMA) refuses the kernel: it has no signature (security.ima) that the policy accepts",
  ENOEXEC:
    "the running kernel does not recognize the image: an uncompressed bzImage with a 64-bit entry is expected, not wrapped as a UKI",
  EINVAL: ({ state }) => {
    const reasons =
      "the running kernel does not take the image, the command line or a flag, or kernel and initrd need more than half of the memory";
    return isLockedDown(state) ? `${reasons}, or the image's signature is broken` : reasons;
  },
  ENODATA: "the running kernel wants a signature and the image has none: sign it (sbsign), or boot without lockdown",
  ENOKEY: "the image is signed with a key that the running kernel does not know: enrol its certificate (db, MOK)",
  EKEYREJECTED: "the image's signature is not valid for it, or its key was revoked (dbx), or it has none",
  ELIBBAD: "the image's PE structure, where its signature is, is malformed",
  EBADMSG: "the image's signature is malformed",
  ENOPKG: "the running kernel lacks an algorithm that the image's signature uses",
  EMSGSIZE: "the digest in the image's signature has the wrong size",
  ENOTSUPP: "the image's signature has a wrapper that the running kernel does not know",
  ETXTBSY: "the kernel or the initrd is open for writing in some program: close it there",
  EFBIG: "the kernel or the initrd is larger than the running kernel takes (2 GiB or 4 GiB)",
};

/** kernel/kexec.c. */
const classicMeanings: Readonly<Record<string, Meaning>> = {
  EACCES: "the integrity subsystem (IMA) appraises kernels, and can do that for kexec_file_load only (-s)",
  EINVAL:
    "the running kernel does not take the segments: they need more than half of the memory, or a flag is unknown to it",
  EFAULT: "a file became shorter while the running kernel read it",
};

function crashRoom({ state, plan }: Circumstances): string {
  const region = `there is no room in the crash region of ${size(state.crashBytes ?? 0)}`;
  const advice = "reserve more by crashkernel= on the running kernel's command line";
  if (plan === null) return `${region}; ${advice}`;
  const { kernel, initrd } = plan.request;
  const needed = neededBytes(kernel, initrd === null ? [] : [initrd]);
  return `${region}: kernel and initrd take at least ${size(needed)}; ${advice}`;
}

function permissionReason({ state, onCrash, plan }: Circumstances): string {
  if (state.permitted === false) return "this process lacks CAP_SYS_BOOT; run it as root";
  if (state.disabled === true) {
    return "kernel.kexec_load_disabled is 1, so the running kernel loads no kernel any more until it is rebooted";
  }
  const limit = onCrash ? state.limitPanic : state.limitReboot;
  if (limit === 0) {
    return `kernel.kexec_load_limit_${onCrash ? "panic" : "reboot"} is 0: as many kernels were loaded as the administrator allows`;
  }
  if (isLockedDown(state)) return lockdownReason(state.lockdown, plan);
  return "CAP_SYS_BOOT, kexec_load_disabled, the kexec_load_limit settings or lockdown forbid it";
}

function isLockedDown(state: KexecState): state is KexecState & { readonly lockdown: Lockdown } {
  return state.lockdown !== null && state.lockdown !== "none";
}

/** kernel/kexec_file.c: without enforced signatures, each fault of a signature is EPERM under lockdown. */
function lockdownReason(lockdown: Lockdown, plan: LoadPlan | null): string {
  const locked = `the running kernel is locked down (${lockdown})`;
  if (plan === null) return `${locked} and unloads by kexec_file_load only (-s)`;
  if (plan.call === "classic") {
    return `${locked}: it takes kernels by kexec_file_load only (-s), and signed with a key that it knows`;
  }
  return `${locked} and finds no valid signature on the image: it has to be signed (sbsign) with a key that the running kernel knows (db, MOK)`;
}
