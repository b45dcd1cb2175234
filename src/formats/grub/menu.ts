import type { GrubFile, GrubPlace } from "./ast.ts";
import type { EnvironmentInput, Tainted } from "./inputs.ts";
import { type LeadingNumber, leadingNumber } from "./number.ts";
import type { GrubMessage } from "./problem.ts";

/** A configuration file with the bytes that were evaluated. */
export interface GrubConfig {
  readonly file: GrubFile;
  readonly bytes: Uint8Array;
}

/** A file that an entry loads. */
export interface GrubFileUse {
  /** As the script wrote it, after expansion: `(hd0,gpt2)/vmlinuz`. */
  readonly written: string;
  /** The part of `written` behind the device. */
  readonly writtenPath: string;
  /** The device's name as the host knows it; where it knows none, as the script named it. */
  readonly device: string;
  /** Absolute and normalised; null where the file was not found. */
  readonly path: string | null;
  /** Why it was not found; null where it was. */
  readonly problem: string | null;
}

/** An initrd; with `newc:PATH:FILE`, the path that the file has in an archive that is made around it. */
export interface GrubInitrd extends GrubFileUse {
  readonly archivePath: string | null;
}

/** A multiboot module with its string. */
export interface GrubModule {
  readonly use: GrubFileUse;
  readonly options: string;
}

export type GrubProtocol = "linux" | "multiboot" | "multiboot2";

/** A variable whose value went into an entry. */
export interface UsedVariable {
  readonly name: string;
  readonly value: string;
  /** Where it was set last; null: GRUB's own. */
  readonly place: GrubPlace | null;
}

/** A kernel with all that goes with it. */
export interface GrubLoad {
  readonly protocol: GrubProtocol;
  readonly kernel: GrubFileUse;
  /** In the order in which they are laid behind one another. */
  readonly initrds: readonly GrubInitrd[];
  /** Of a multiboot kernel. */
  readonly modules: readonly GrubModule[];
  readonly devicetree: GrubFileUse | null;
  /** The words behind the kernel's path, joined as GRUB hands them over, without `BOOT_IMAGE=`. */
  readonly options: string;
  /** What the files and options were made from, each variable once. */
  readonly variables: readonly UsedVariable[];
}

/** What a Boot Loader Specification file says that `blscfg` made an entry of. */
export interface GrubBlsIdentity {
  readonly file: GrubFile;
  /** The file's name with counters and suffix. */
  readonly fileName: string;
  readonly version: string | null;
  readonly architecture: string | null;
}

export type GrubOutcome =
  | { readonly kind: "boot"; readonly load: GrubLoad }
  /** A sub-menu, or (`configfile`) a menu of its own whose numbers start anew. */
  | { readonly kind: "menu"; readonly menu: GrubMenu; readonly own: boolean }
  | { readonly kind: "refused"; readonly place: GrubPlace; readonly reason: string };

export interface GrubEntry {
  /** GRUB's numeric path: `1>0`; sub-menus count as entries. */
  readonly number: string;
  readonly title: string;
  /** `--id`; null where none was given (GRUB then takes the title). */
  readonly id: string | null;
  /** Titles of the sub-menus above it, outermost first. */
  readonly submenu: readonly string[];
  /** Paths through sub-menus by which `default` may name it, `>` in a name doubled; one by ids, one by titles. */
  readonly paths: readonly string[];
  readonly classes: readonly string[];
  readonly hotkey: string | null;
  readonly place: GrubPlace;
  readonly outcome: GrubOutcome;
  /** What went wrong in its commands without costing it. */
  readonly problems: readonly GrubMessage[];
  /** Unsigned values in its title, files or options. */
  readonly inputs: readonly EnvironmentInput[];
  /** Every configuration file that may have shaped it. */
  readonly configs: readonly GrubConfig[];
  /** Of an entry that `blscfg` made. */
  readonly bls: GrubBlsIdentity | null;
}

export interface GrubMenu {
  /** The file whose menu this is. */
  readonly config: GrubFile;
  readonly entries: readonly GrubEntry[];
  /** `$default`, `$fallback`, `$timeout` and `$timeout_style` when the menu is shown. */
  readonly default: Tainted | null;
  readonly fallback: Tainted | null;
  /** Seconds; null where GRUB waits for ever. */
  readonly timeoutSeconds: number | null;
  readonly timeoutStyle: "menu" | "countdown" | "hidden";
  /** What `boot` outside of every entry starts before a menu could be shown. */
  readonly direct: GrubEntry | null;
  /** How `default` is read: by GRUB itself, or by the one that has `blscfg`. */
  readonly choice: "grub" | "blscfg";
}

/** What GRUB would boot unattended. */
export interface GrubChoice {
  /** Null where nothing that the menu names is offered. */
  readonly entry: GrubEntry | null;
  /** `default="1>2"`, `fallback="3", because default="0" is not offered`. */
  readonly reason: string;
  /** The variable of the environment block that named it, if one did. */
  readonly inputs: readonly EnvironmentInput[];
}

/** An entry's name as it stands in a path: GRUB doubles `>`. */
export function escapePathName(name: string): string {
  return name.replaceAll(">", ">>");
}

/**
 * The entry that GRUB boots when nobody touches a key (normal/menu.c, `run_menu` and `get_entry_number`): `default` is a
 * number, else a title or an id, up to a single `>`; what names no entry means the first one. A sub-menu is entered, and
 * its own `default` (what stands behind the `>`) holds there. Where an entry cannot be booted, the numbers in `fallback`
 * are tried.
 */
export function chooseDefault(menu: GrubMenu, isOffered: (entry: GrubEntry) => boolean): GrubChoice {
  if (menu.direct !== null && isOffered(menu.direct)) {
    const { line } = menu.direct.place;
    return { entry: menu.direct, reason: `"boot" of the kernel in line ${line}, before any menu`, inputs: [] };
  }
  const { index, reason } = defaultIndex(menu);
  const inputs = [...(menu.default?.inputs ?? [])];
  const first = choose(menu.entries[index], reason, isOffered);
  if (first.entry !== null) return { ...first, inputs: [...inputs, ...first.inputs] };
  // A sub-menu's own choice says so itself.
  const isSubmenu = menu.entries[index]?.outcome.kind === "menu";
  let rest = menu.fallback?.text ?? "";
  for (;;) {
    const number = fallbackEntry(menu, rest);
    if (number === null) {
      return { entry: null, reason: isSubmenu ? first.reason : `${first.reason}, which is not offered`, inputs };
    }
    rest = number.rest.trimStart();
    const because = `fallback="${menu.fallback?.text ?? ""}", because ${first.reason}${isSubmenu ? "" : " is not offered"}`;
    const next = choose(menu.entries[number.value], because, isOffered);
    if (next.entry !== null) return { ...next, inputs: [...inputs, ...(menu.fallback?.inputs ?? []), ...next.inputs] };
  }
}

function choose(entry: GrubEntry | undefined, reason: string, isOffered: (entry: GrubEntry) => boolean): GrubChoice {
  if (entry?.outcome.kind === "menu") {
    const inner = chooseDefault(entry.outcome.menu, isOffered);
    return { ...inner, reason: `${reason}, and in that sub-menu ${inner.reason}` };
  }
  return { entry: entry !== undefined && isOffered(entry) ? entry : null, reason, inputs: [] };
}

function defaultIndex(menu: GrubMenu): { readonly index: number; readonly reason: string } {
  const text = menu.default?.text;
  if (text === undefined) return { index: 0, reason: "default is not set, which means the first entry" };
  const reason = `default="${text}"`;
  const index = menu.choice === "blscfg" ? blscfgIndex(menu, text) : grubIndex(menu, text);
  if (index >= 0 && index < menu.entries.length) return { index, reason };
  return {
    index: 0,
    reason: text === "" ? `${reason}, which means the first entry` : `${reason} names no entry, which means the first`,
  };
}

/** A text that begins with a number is one, whatever follows. */
function grubIndex({ entries }: GrubMenu, text: string): number {
  const named = (entry: GrubEntry): boolean => namedBy(entry.title, text) || namedBy(entry.id ?? entry.title, text);
  return leadingNumber(text)?.value ?? entries.findIndex(named);
}

/**
 * The GRUB that has `blscfg` looks for an id first, then for a title, and takes a number only where nothing follows it:
 * ids of entry files begin with a machine id, and that often with a digit.
 */
function blscfgIndex({ entries }: GrubMenu, text: string): number {
  const byId = entries.findIndex((entry) => namedBy(entry.id ?? entry.title, text));
  if (byId >= 0) return byId;
  const byTitle = entries.findIndex((entry) => namedBy(entry.title, text));
  if (byTitle >= 0) return byTitle;
  const number = leadingNumber(text);
  return number !== null && /^(?:$|[\s>])/.test(number.rest) ? number.value : -1;
}

/** The first entry that `fallback` names, and the text behind it; null where it names none. */
function fallbackEntry(menu: GrubMenu, text: string): LeadingNumber | null {
  if (menu.choice === "grub") return leadingNumber(text);
  const word = /^\s*(\S+)(.*)$/s.exec(text);
  if (word === null) return null;
  const value = blscfgIndex(menu, word[1] ?? "");
  return value < 0 ? null : { value, rest: word[2] ?? "" };
}

/** Whether the first name of a path is `name`. */
function namedBy(name: string, path: string): boolean {
  const wanted = escapePathName(name);
  if (!path.startsWith(wanted)) return false;
  const rest = path.slice(wanted.length);
  return rest === "" || (rest.startsWith(">") && !rest.startsWith(">>"));
}

/** What stands behind the first single `>` of `default`; null where nothing does (`grub_menu_execute_entry`). */
export function defaultRemainder(path: string): string | null {
  for (let i = 0; i < path.length; i++) {
    if (path[i] !== ">") continue;
    if (path[i + 1] === ">") i++;
    else return path.slice(i + 1) || null;
  }
  return null;
}
