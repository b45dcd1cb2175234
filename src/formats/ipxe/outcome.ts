/** A line of a script. */
export interface IpxePlace<H> {
  /** The file that the script is in. */
  readonly script: H;
  /** Counts from 1. */
  readonly line: number;
}

/** A file that is booted, with the arguments that it was given. */
export interface IpxeBootFile<H> {
  readonly file: H;
  /** As the script has it: `vmlinuz`. */
  readonly name: string;
}

/** A file that becomes part of the initrd. */
export interface IpxeInitrd<H> extends IpxeBootFile<H> {
  /** Where it stands in an archive of its own; null: it is an archive already. */
  readonly archive: IpxeArchive | null;
}

/** A multiboot module with its string. */
export interface IpxeModule<H> extends IpxeBootFile<H> {
  readonly options: string;
}

/** How a file is wrapped in a cpio archive (core/cpio.c). */
export interface IpxeArchive {
  /** As written: with or without a slash in front. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** How many directories above it the archive has, from the innermost; Infinity: all. */
  readonly directories: number;
}

export type IpxeOutcome<H> =
  /** A kernel was started. */
  | {
      readonly kind: "boot";
      readonly place: IpxePlace<H>;
      readonly kernel: IpxeBootFile<H>;
      /** Byte text, as all text here. */
      readonly options: string;
      /** Of a multiboot kernel, in order; empty for any other. */
      readonly modules: readonly IpxeModule<H>[];
      /** In order. */
      readonly initrds: readonly IpxeInitrd<H>[];
      readonly devicetree: IpxeBootFile<H> | null;
    }
  /** The script came to its end, or a command failed, and nothing was started. */
  | { readonly kind: "ended"; readonly place: IpxePlace<H>; readonly reason: string }
  /** A command that is not carried out here, or a limit. */
  | { readonly kind: "refused"; readonly place: IpxePlace<H>; readonly reason: string }
  /** It waits for a person, for ever. */
  | { readonly kind: "waits"; readonly place: IpxePlace<H>; readonly reason: string };

/** A command that failed. */
export interface IpxeProblem<H> {
  readonly place: IpxePlace<H>;
  readonly text: string;
}

/** A script that was run, with the very bytes that were read. */
export interface IpxeScriptUse<H> {
  readonly script: H;
  readonly bytes: Uint8Array;
}

/** A setting that a script stored. */
export interface IpxeVariable<H> {
  readonly name: string;
  readonly value: string;
  readonly place: IpxePlace<H>;
}

export interface IpxeRun<H> {
  readonly outcome: IpxeOutcome<H>;
  /** Every script that was run, each once, in order. */
  readonly scripts: readonly IpxeScriptUse<H>[];
  readonly problems: readonly IpxeProblem<H>[];
  /** What `echo` and `show` printed; byte text. */
  readonly output: string;
  /** What it cost, in steps. */
  readonly steps: number;
  /** What was set in the end, in the order in which it was set last. */
  readonly variables: readonly IpxeVariable<H>[];
}
