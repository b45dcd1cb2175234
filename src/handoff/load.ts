import { SyscallError } from "../linux/errno.ts";
import type { System } from "../linux/system.ts";
import type { VerifiedBoot } from "../trust/verify.ts";
import { targetCommandLine } from "./command-line.ts";
import { preflight } from "./preflight.ts";

declare const loaded: unique symbol;

/** A kernel that waits for the jump. Only {@link load} makes one. */
export interface LoadedKernel {
  readonly [loaded]: true;
  readonly commandLine: string;
}

export interface LoadOptions {
  /** Whether `BOOT_IMAGE=…` is put first for formats whose loaders do so. */
  readonly bootImage: boolean;
  /** `uname -m` of this machine. */
  readonly architecture: string;
}

/** Loads a verified entry with kexec_file_load(2). Rejects with a message that tells what the refusal means. */
export async function load(system: System, boot: VerifiedBoot, options: LoadOptions): Promise<LoadedKernel> {
  const commandLine = targetCommandLine(boot.entry, options.bootImage);
  preflight(system, boot, commandLine, options.architecture);
  try {
    // The kernel takes no empty file for an initrd.
    const initrd = boot.initrd !== null && boot.initrd.size > 0 ? boot.initrd : null;
    await system.kexecFileLoad({ kernelFd: boot.kernel.fd, initrdFd: initrd?.fd ?? null, commandLine });
  } catch (error) {
    throw explain(error);
  }
  const kernel = { commandLine };
  // The brand exists in the type only; this is the one place that gives it.
  return kernel as typeof kernel & Pick<LoadedKernel, typeof loaded>;
}

/** What kexec_file_load's errors mean (kernel/kexec_file.c, arch/x86/kernel/kexec-bzimage64.c, security/). */
const meanings: readonly (readonly [code: string, meaning: string])[] = [
  [
    "EPERM",
    "no permission: CAP_SYS_BOOT is missing, kexec_load_disabled or kexec_load_limit_reboot is set, or lockdown refuses the kernel's signature",
  ],
  ["EACCES", "the integrity subsystem (IMA) cannot appraise the kernel"],
  ["ENOEXEC", "this kernel does not recognise the image: an uncompressed bzImage, not wrapped as a UKI, is expected"],
  ["EINVAL", "the image or the command line is not acceptable, or kernel and initrd need more than half of the memory"],
  ["ENODATA", "the running kernel wants a signature and the image has none"],
  ["ENOKEY", "the image is signed with a key that is not in the running kernel's keyrings"],
  ["EKEYREJECTED", "the image's own signature is bad, or it has none and the running kernel wants one"],
  ["ELIBBAD", "the image's PE structure is malformed"],
  ["EBADMSG", "the image's signature is malformed"],
  ["ENOPKG", "the running kernel lacks an algorithm that the image's signature needs"],
  ["EMSGSIZE", "the digest in the image's signature has the wrong size"],
  ["ENOTSUPP", "the image's signature has a wrapper that the running kernel does not know"],
  ["ETXTBSY", "the kernel file is open for writing somewhere"],
  ["EFBIG", "the kernel or the initrd is larger than the running kernel takes"],
  ["EADDRNOTAVAIL", "there is no free range of memory to place it in"],
  ["EBUSY", "another kexec load is going on"],
  ["ENOMEM", "there is not enough memory"],
  ["ENOSYS", "the running kernel was built without CONFIG_KEXEC_FILE"],
];

function explain(error: unknown): Error {
  if (!(error instanceof SyscallError)) return error instanceof Error ? error : new Error(String(error));
  const meaning = meanings.find(([code]) => code === error.code);
  return new Error(`kexec_file_load failed: ${error.code}${meaning === undefined ? "" : `: ${meaning[1]}`}`, {
    cause: error,
  });
}
