import type { OnlyFile } from "../formats/cpio.ts";

/** A file on a volume; `path` is absolute from the volume's root, normalised, with no `.`, `..` or doubled slash. */
export interface FileRef {
  readonly volume: string;
  readonly path: string;
}

/** The configurations that Slipway understands. */
export type EntryFormat = "bls1" | "uki" | "grub" | "syslinux" | "pxelinux" | "ipxe" | "loopback" | "kboot" | "ospkg";

/** A place in a configuration file; `line` counts from 1. */
export interface SourcePlace extends FileRef {
  readonly line: number;
}

/** A configuration file with the very bytes that were parsed: what is verified later is what was understood here. */
export interface ConfigText {
  readonly ref: FileRef;
  readonly bytes: Uint8Array;
}

/** Something that shaped an entry's title, files or options without standing in one of its configuration files. */
export interface UnsignedInput {
  /** The file it came from, e.g. GRUB's environment block. */
  readonly config: ConfigText;
  /** For a message: `variable "kernelopts"`. */
  readonly what: string;
}

/** A place inside a cpio archive that a file is wrapped into before it is handed over as an initrd; `path` is absolute. */
export type ArchiveMember = OnlyFile;

/** An initrd: an archive as it is, or a file that becomes the only one of an archive. */
export interface InitrdRef extends FileRef {
  readonly archive?: ArchiveMember;
}

/** A multiboot module with its string. */
export interface BootModule {
  readonly file: FileRef;
  readonly options: string;
}

/** A variable of a configuration that shaped an entry's files or options. */
export interface EntryVariable {
  readonly name: string;
  readonly value: string;
  /** Where it was set last; null: the loader's own. */
  readonly place: SourcePlace | null;
}

/** One thing that can be booted. Plain data: paths and text, no handles. */
export interface BootEntry {
  /** Unique and stable: volume, format and the name or the menu path in the format's own notation: `vda1:grub:1>0`. */
  readonly id: string;
  readonly title: string;
  /** Titles of the sub-menus above it, outermost first. */
  readonly submenu: readonly string[];
  readonly format: EntryFormat;
  readonly source: SourcePlace;
  /** The kernel; the hypervisor where `modules` are not empty. */
  readonly linux: FileRef;
  /**
   * What to take of a kernel file that holds several: a unified kernel image's profile (`@1`), a FIT image's configuration
   * (`#conf-1`). Null: what the file itself boots by default.
   */
  readonly part: string | null;
  readonly initrd: readonly InitrdRef[];
  /** What a multiboot kernel gets, in order. */
  readonly modules: readonly BootModule[];
  /** As the config's own loader hands them over, without `BOOT_IMAGE=`. */
  readonly options: string;
  /** Whether the options stand inside the kernel's file and its add-ons, which then authenticate them. */
  readonly embedded: boolean;
  /** Add-ons of a unified kernel image, in the order in which they are applied. */
  readonly addons: readonly FileRef[];
  /** The word that the config's own loader puts before the options (`BOOT_IMAGE=/vmlinuz`), or null where it puts none. */
  readonly bootImage: string | null;
  readonly devicetree: FileRef | null;
  /** Applied to the device tree, in order. */
  readonly overlays: readonly FileRef[];
  readonly architecture: string | null;
  readonly version: string | null;
  readonly tries: { readonly left: number; readonly done: number } | null;
  /** Other names by which configuration may choose this entry: GRUB `--id`, title path, BLS file name. */
  readonly aliases: readonly string[];
  /** Every configuration file whose text made this entry; all must be authenticated for the options to be. */
  readonly configs: readonly ConfigText[];
  readonly unsignedInputs: readonly UnsignedInput[];
  /** Words that somebody at a console put behind the options; nobody signed them. */
  readonly addedOptions?: string;
  /** For people; nothing is decided by them. */
  readonly variables: readonly EntryVariable[];
}

/** Something that was found and is not offered, with the reason for a person to read. */
export interface SkippedEntry {
  readonly source: SourcePlace;
  readonly title: string | null;
  readonly reason: string;
}

/** What one finder found on one volume, in menu order. */
export interface FoundMenu {
  readonly volume: string;
  readonly format: EntryFormat;
  readonly entries: readonly BootEntry[];
  readonly skipped: readonly SkippedEntry[];
  /** The id that the configuration itself would boot unattended; null when it names none or one that is not offered. */
  readonly defaultId: string | null;
  /** Why that is the default: `default="0" in /boot/grub/grub.cfg`. */
  readonly defaultReason: string;
  /** Seconds that the configuration would show its menu; null: it does not say, or it waits for ever. */
  readonly timeoutSeconds: number | null;
}

/** A menu without entries: all that there is to tell is what was left out. */
export function emptyMenu(volume: string, format: EntryFormat, skipped: readonly SkippedEntry[]): FoundMenu {
  return { volume, format, entries: [], skipped, defaultId: null, defaultReason: "", timeoutSeconds: null };
}
