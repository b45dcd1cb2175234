import type { FileRange } from "../linux/system.ts";
import type { KernelFile } from "./kernel-file.ts";

/** Which system call is to load the kernel. `auto`: whichever this kernel, this machine and this request ask for. */
export type CallWish = "file" | "classic" | "auto";

/** A multiboot module, or a further file that goes with the kernel. */
export interface ModulePart {
  readonly range: FileRange;
  /** Its string: name and arguments. */
  readonly commandLine: string;
}

/** What is to be loaded, and how; nothing of it is decided by how it was found. */
export interface LoadRequest {
  readonly kernel: KernelFile;
  /** All initrds as one; null: none. */
  readonly initrd: FileRange | null;
  readonly modules: readonly ModulePart[];
  /** A flattened device tree for the kernel; null: none. */
  readonly devicetree: Uint8Array | null;
  readonly commandLine: string;
  readonly call: CallWish;
  /** Into the crash region, to be started by a panic. */
  readonly onCrash: boolean;
  /**
   * What the purgatory compares the loaded bytes with before it jumps: their SHA-256, or their CRC-32. `verified`: it
   * need not, because the bytes were verified an instant before. `never`: the operator forbids it (`--no-checks`).
   */
  readonly digest: "sha256" | "crc32" | "verified" | "never";
  /** The kernel's entry point to use; null: the best one that the image has. */
  readonly entryMode: "64-bit" | "32-bit" | "16-bit" | null;
  /** What an ELF kernel is given: Linux boot parameters, ELF boot notes, or nothing. */
  readonly elfArguments: "linux" | "elf" | "none";
  /** Everything else that only the classic call can do; null: nothing of it was asked for. */
  readonly classic: ClassicOptions;
  /** Tell in the kernel's log what is done. */
  readonly debug: boolean;
  /** Flags of the file call that the kernel itself explains. */
  readonly noCma: boolean;
  readonly forceDtb: boolean;
}

/** Options of the classic call. The defaults are in {@link noClassicOptions}. */
export interface ClassicOptions {
  readonly memoryMin: number | null;
  readonly memoryMax: number | null;
  /** Jump here in place of the purgatory (`--entry`). */
  readonly entry: number | null;
  readonly preserveContext: boolean;
  readonly resetVga: boolean;
  readonly consoleVga: boolean;
  readonly serial: { readonly port: number; readonly baud: number } | null;
  readonly noEfi: boolean;
  readonly reuseVideoType: boolean;
  readonly passMemmapCommandLine: boolean;
  readonly elf32CoreHeaders: boolean;
  /** The running kernel keeps the crash headers up to date. */
  readonly hotplug: boolean;
}

export const noClassicOptions: ClassicOptions = {
  memoryMin: null,
  memoryMax: null,
  entry: null,
  preserveContext: false,
  resetVga: false,
  consoleVga: false,
  serial: null,
  noEfi: false,
  reuseVideoType: false,
  passMemmapCommandLine: false,
  elf32CoreHeaders: false,
  hotplug: false,
};

/** A request for an ordinary boot: auto call, with a digest. */
export const plainRequest: Omit<LoadRequest, "kernel" | "commandLine"> = {
  initrd: null,
  modules: [],
  devicetree: null,
  call: "auto",
  onCrash: false,
  digest: "sha256",
  entryMode: null,
  elfArguments: "linux",
  classic: noClassicOptions,
  debug: false,
  noCma: false,
  forceDtb: false,
};
