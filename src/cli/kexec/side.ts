import type { carryOut } from "../../handoff/carry-out.ts";
import type { readKernelFile } from "../../handoff/kernel-file.ts";
import type { planLoad } from "../../handoff/plan-load.ts";
import type { System } from "../../linux/system.ts";
import type { KexecState } from "../../machine/kexec-state.ts";
import type { MachineFacts } from "../../machine/machine-facts.ts";

/** The rooms below that a load needs; looked up only then, because most calls of kexec(8) load nothing. */
export interface Loader {
  readonly readKernelFile: typeof readKernelFile;
  readonly planLoad: typeof planLoad;
  readonly carryOut: typeof carryOut;
}

/** Everything that the verb touches. */
export interface KexecSide {
  /** Standard output. */
  readonly out: (text: string) => void;
  /** Standard error: whole lines, or where it is a terminal, a line that is written again and again. */
  readonly err: (text: string) => void;
  /** Whether somebody watches standard error. */
  readonly isTerminal: boolean;
  /** Milliseconds since some moment. */
  readonly now: () => number;
  readonly system: () => System;
  readonly readState: () => KexecState;
  readonly readMachine: () => MachineFacts;
  /** Where proc and sysfs are. */
  readonly proc: string;
  readonly sysfs: string;
  readonly loader: () => Promise<Loader>;
  /**
   * Runs the first of these programs that exists, on this terminal; resolves with its exit code, or with null when none
   * exists.
   */
  readonly runProgram: (paths: readonly string[], args: readonly string[]) => Promise<number | null>;
}
