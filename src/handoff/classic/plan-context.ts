import { FormatError } from "../../formats/format-error.ts";
import type { ReadRange } from "../../formats/ranges.ts";
import type { SetupDataItem } from "../../formats/setup-data.ts";
import type { FileRange } from "../../linux/system.ts";
import type { CrashFacts, Platform } from "../../machine/platform.ts";
import { type PlacementBounds, PlanError, type PurgatoryConsole } from "./plan.ts";

/** What a plan is made of besides the files: what the machine is, and what the operator wants. */
export interface PlanContext {
  readonly platform: Platform;
  readonly bounds: PlacementBounds;
  /** Not null: the target goes into the crash region, to be started by a panic. */
  readonly crash: { readonly facts: CrashFacts } | null;
  readonly commandLine: string;
  /** A flattened device tree for a Linux kernel (`--dtb`); null: none. */
  readonly devicetree: Uint8Array | null;
  readonly console: PurgatoryConsole;
  /** 32 bytes that nobody knows, for the target's random number generator. */
  readonly randomSeed: Uint8Array;
  /** Further records of setup data for a Linux kernel, to keep and to show. */
  readonly setupData: readonly SetupDataItem[];
  /** Nothing is said of EFI runtime services (`--noefi`). */
  readonly noEfi: boolean;
  readonly reuseVideoType: boolean;
  /** The target can come back to the running kernel (`--load-preserve-context`). */
  readonly preserveContext: boolean;
  readonly elf32CoreHeaders: boolean;
  /** The capture kernel's memory goes onto its command line as well (`--pass-memmap-cmdline`). */
  readonly passMemmapCommandLine: boolean;
  /** The running kernel keeps the crash headers up to date (`--hotplug`). */
  readonly hotplug: boolean;
  /** Physical address to jump to in place of the purgatory (`--entry`); null: the purgatory. */
  readonly entryOverride: number | null;
}

/** The kernel's file, unwrapped, and how to look into it: `read` counts from the range's start. */
export interface KernelPart {
  readonly range: FileRange;
  readonly read: ReadRange;
}

/** Runs a planner; what a file's format is wrong by becomes a {@link PlanError}. */
export function planning<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof FormatError) throw new PlanError(error.message, { cause: error });
    throw error;
  }
}
