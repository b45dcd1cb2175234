import type { AddressRange } from "../../formats/memory-map.ts";
import type { FileRange } from "../../linux/system.ts";

/** Why something cannot be loaded by the classic call: a sentence, with the numbers. */
export class PlanError extends Error {
  override readonly name: string = "PlanError";
}

/** What a segment holds: a range of an open file, which is never copied into this process, or bytes made here. */
export type SegmentContent =
  | { readonly kind: "file"; readonly range: FileRange }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array };

/** A piece of memory that kexec_load(2) fills. */
export interface Segment {
  /** What it is, for people: `kernel`, `initrd`, `boot_params`, `purgatory`… */
  readonly name: string;
  /** Physical, page-aligned. */
  readonly address: number;
  /** Bytes of memory, a multiple of the page; what the content does not fill is zeroed by the kernel. */
  readonly memoryBytes: number;
  readonly content: SegmentContent;
  /**
   * Bytes from `address` that nothing else of the plan may take: `memoryBytes`, or more where the target needs more free
   * and does not mind what it holds.
   */
  readonly reservedBytes: number;
  /** Whether the purgatory's digest covers it: not the purgatory itself, nor what the running kernel updates later. */
  readonly digested: boolean;
}

/** How the target is entered; the purgatory gets there from 64-bit mode. Addresses are physical. */
export type TargetEntry =
  | {
      readonly mode: "64-bit";
      readonly address: number;
      readonly rsi: number;
      /** A C function's first argument, in rdi; 0 unless told. */
      readonly argument?: number;
    }
  | {
      readonly mode: "32-bit";
      readonly address: number;
      readonly eax: number;
      readonly ebx: number;
      readonly esi: number;
      /** A C function's first argument, on the stack above a return address of 0; 0 unless told. */
      readonly argument?: number;
    }
  | {
      readonly mode: "16-bit";
      readonly cs: number;
      readonly ip: number;
      /** ds, es, fs and gs. */
      readonly ds: number;
      readonly ss: number;
      readonly sp: number;
    };

/** What the purgatory shows on its way, and where. */
export interface PurgatoryConsole {
  readonly vga: boolean;
  /** I/O port and bits per second; null: none. A baud rate of 0 leaves the port as it is set. */
  readonly serial: { readonly port: number; readonly baud: number } | null;
  readonly resetVga: boolean;
}

/** Memory that the purgatory copies before the jump: what a crashed kernel had where the capture kernel needs to be. */
export interface BackupCopy {
  readonly source: number;
  readonly destination: number;
  readonly bytes: number;
}

/** Page tables in a segment of their own. Addresses are physical. */
export interface PageTables {
  /** For CR3. */
  readonly root: number;
  /** All of them, one behind the other. */
  readonly address: number;
  readonly bytes: number;
}

/** All that kexec_load(2) is to do, decided: no memory was touched yet. */
export interface ClassicPlan {
  /** In ascending order of address, not overlapping. The purgatory is among them. */
  readonly segments: readonly Segment[];
  /** Where the running kernel jumps to: the purgatory's start. */
  readonly entry: number;
  readonly target: TargetEntry;
  readonly backup: BackupCopy | null;
  readonly console: PurgatoryConsole;
  /** Where the target's command line ends, for a jump-back entry that the purgatory appends; null without one. */
  readonly jumpBackCommandLineEnd: number | null;
  /** The page tables that a 64-bit target is entered with; null: those of the running kernel. */
  readonly pageTables: PageTables | null;
  /** As the target gets it, with what was added for a crash. */
  readonly commandLine: string;
  /** What people should know: `no frame buffer: …`. */
  readonly remarks: readonly string[];
}

/** Bounds that the operator set for placing segments (`--mem-min`, `--mem-max`). */
export type PlacementBounds = AddressRange;
