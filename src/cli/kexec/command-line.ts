import { removeParameter } from "../../formats/cmdline.ts";

export interface CommandLineParts {
  /** The text of /proc/cmdline with `--reuse-cmdline`; null without. */
  readonly running: string | null;
  /** `--append`; null: not given. */
  readonly append: string | null;
  /** What a container (a UKI, a BeoBoot image) brings; null: nothing. */
  readonly enclosed: string | null;
  readonly onCrash: boolean;
}

/** What a boot loader or an earlier kexec has put there, and what would be wrong for the next kernel. */
const staleParameters = ["BOOT_IMAGE", "kexec_jump_back_entry", "elfcorehdr"];

/**
 * The new kernel's command line: the running one and a space before what is appended; with neither, the one that the image
 * brings. Throws FormatError for a running line that cannot be split as the kernel splits it.
 */
export function composeCommandLine({ running, append, enclosed, onCrash }: CommandLineParts): string {
  if (running === null) return append ?? enclosed ?? "";
  // The memory that it would reserve again is all that the capture kernel has.
  const stale = onCrash ? [...staleParameters, "crashkernel"] : staleParameters;
  const kept = stale.reduce(removeParameter, running.trim());
  return [kept, append ?? ""].filter((part) => part !== "").join(" ");
}
