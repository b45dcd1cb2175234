import type { SyslinuxConfigFile, SyslinuxPlace } from "./config.ts";
import type { SyslinuxLocation } from "./host.ts";

/** A file that an entry loads. */
export interface SyslinuxFileUse {
  /** As the configuration wrote it. */
  readonly written: string;
  readonly location: SyslinuxLocation;
}

/** A file that becomes the only one of an archive (`initrdfile=` of linux.c32). */
export interface SyslinuxMember {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** Whether the archive has the directories above it. */
  readonly withDirectories: boolean;
}

export interface SyslinuxInitrd extends SyslinuxFileUse {
  readonly member: SyslinuxMember | null;
}

/** A kernel with all that goes with it. */
export interface SyslinuxLoad {
  /** The multiboot kernel where there are modules. */
  readonly kernel: SyslinuxFileUse;
  /** A FIT image's configuration (`#conf-1`), for U-Boot; null: its default. */
  readonly part: string | null;
  /** In the order in which they are laid behind one another. */
  readonly initrds: readonly SyslinuxInitrd[];
  /** Of a multiboot kernel, each with its string. */
  readonly modules: readonly { readonly file: SyslinuxFileUse; readonly options: string }[];
  /** As the program hands them over, without the word of `bootImage`. */
  readonly options: string;
  /** The word that the program puts before the options; null where it puts none. */
  readonly bootImage: string | null;
  readonly devicetree: SyslinuxFileUse | null;
  /** Names that a device tree may have, the first that is there counts; none of them has to be there. */
  readonly devicetreeNames: readonly SyslinuxFileUse[];
  /** Applied to the device tree; those that are not there are left out. */
  readonly overlays: readonly SyslinuxFileUse[];
}

export type SyslinuxOutcome =
  | { readonly kind: "boot"; readonly load: SyslinuxLoad }
  | { readonly kind: "refused"; readonly reason: string };

export interface SyslinuxEntry {
  /** What it is called by at the prompt: a label, or a kernel with options. Unique in its configuration. */
  readonly label: string;
  /** The configuration whose entry it is, which may have it from a file that it includes. */
  readonly config: SyslinuxLocation;
  readonly title: string;
  /** Titles of the sub-menus above it, outermost first. */
  readonly submenu: readonly string[];
  readonly place: SyslinuxPlace;
  readonly outcome: SyslinuxOutcome;
  /** Whether its command stands in ldlinux.sys, for the next boot alone. */
  readonly isRemembered: boolean;
  /** Every configuration file that may have shaped it. */
  readonly configs: readonly SyslinuxConfigFile[];
}

/** What is booted when nobody touches a key, or when that fails. */
export interface SyslinuxChoice {
  /** Null where it is nothing that can be booted. */
  readonly entry: SyslinuxEntry | null;
  readonly reason: string;
}

export interface SyslinuxMenu {
  /** In menu order; what stands in no menu comes last. */
  readonly entries: readonly SyslinuxEntry[];
  /** In the order in which they are tried. */
  readonly choices: readonly SyslinuxChoice[];
  /** Seconds before the first choice is booted; null where the program waits for ever. */
  readonly timeoutSeconds: number | null;
}

/** The first choice that is offered. */
export function chooseSyslinuxDefault(
  { choices }: SyslinuxMenu,
  isOffered: (entry: SyslinuxEntry) => boolean,
): SyslinuxChoice {
  const remarks: string[] = [];
  for (const { entry, reason } of choices) {
    if (entry !== null && isOffered(entry)) return { entry, reason: [reason, ...remarks].join("; ") };
    remarks.push(entry === null ? reason : `${reason}, which is not offered`);
  }
  return { entry: null, reason: remarks.join("; ") };
}
