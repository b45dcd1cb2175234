import { FormatError, quote } from "./format-error.ts";
import { numberedLines } from "./lines.ts";
import { asciiLower } from "./loader-conf.ts";
import { compareVersions } from "./version-order.ts";

/** Longest entry file, in characters. */
export const blsCharactersMax = 1 << 20;

/** Most key lines in one entry. */
export const blsKeysMax = 4096;

/** Keys of which the last line counts. */
const singleKeys = [
  "title",
  "version",
  "machine-id",
  "sort-key",
  "linux",
  "efi",
  "uki",
  "uki-url",
  "devicetree",
  "devicetree-overlay",
  "architecture",
  "profile",
  "grub_hotkey",
  "grub_users",
] as const;

/** Keys of which every line counts, in order. */
const repeatableKeys = ["initrd", "options", "extra", "grub_class", "grub_arg"] as const;

type SingleKey = (typeof singleKeys)[number];
type RepeatableKey = (typeof repeatableKeys)[number];
export type BlsKey = SingleKey | RepeatableKey;

/** A line that did not become part of the entry. */
export interface BlsLeftOut {
  /** Counts from 1. */
  readonly line: number;
  readonly key: string;
  readonly value: string;
  readonly why: "unknown key" | "no value" | "replaced by a later line";
}

/** One type 1 entry. Values are the literal rest of their lines: no quotes are taken away and nothing is expanded. */
export interface BlsEntry {
  readonly title: string | null;
  readonly version: string | null;
  readonly machineId: string | null;
  readonly sortKey: string | null;
  readonly linux: string | null;
  readonly initrd: readonly string[];
  readonly efi: string | null;
  readonly uki: string | null;
  readonly ukiUrl: string | null;
  /** All `options` lines joined by single spaces; empty when there is none. */
  readonly options: string;
  readonly devicetree: string | null;
  /** The words of `devicetree-overlay`. */
  readonly devicetreeOverlay: readonly string[];
  readonly architecture: string | null;
  readonly profile: string | null;
  readonly extra: readonly string[];
  readonly grubHotkey: string | null;
  readonly grubUsers: string | null;
  readonly grubClass: readonly string[];
  readonly grubArg: readonly string[];
  /** Line numbers of the values that count: one for a single key, one a value for a repeatable one. */
  readonly lines: ReadonlyMap<BlsKey, readonly number[]>;
  readonly leftOut: readonly BlsLeftOut[];
}

/**
 * Parses the text of a type 1 entry (UAPI.1 Boot Loader Specification, "Type #1 Boot Loader Entry Keys"): lines of key,
 * white space and the literal rest; `#` starts a comment line; LF or CRLF ends a line; white space around is dropped. Keys
 * that repeat accumulate, of the others the last line counts (as in systemd). A key without a value is as if absent, and
 * so is an unknown key; both are told in `leftOut`.
 *
 * Throws {@link FormatError} with the line for NUL, for a carriage return inside a line (a line end to some loaders and
 * not to others), for a line over lineCharactersMax, and for a text over {@link blsCharactersMax} or {@link blsKeysMax}.
 * That an entry has something to start is not judged here.
 */
export function parseBls(text: string): BlsEntry {
  if (text.length > blsCharactersMax) {
    throw new FormatError("bls", `${text.length} characters, at most ${blsCharactersMax} are taken`);
  }
  const values = new Map<string, { value: string; line: number }[]>();
  const leftOut: BlsLeftOut[] = [];
  let keys = 0;
  for (const { number: line, text: raw } of numberedLines(text, "bls")) {
    const content = trimBlank(raw);
    if (content.includes("\0")) throw new FormatError("bls", "text expected, NUL found", { line });
    if (content.includes("\r")) throw new FormatError("bls", "carriage return inside the line", { line });
    if (content === "" || content.startsWith("#")) continue;
    if (++keys > blsKeysMax) throw new FormatError("bls", `at most ${blsKeysMax} key lines are taken`, { line });
    const { key, value } = splitKey(content);
    const known = values.get(key);
    if (!isKnownKey(key)) leftOut.push({ line, key, value, why: "unknown key" });
    else if (value === "") leftOut.push({ line, key, value, why: "no value" });
    else if (known === undefined) values.set(key, [{ value, line }]);
    else if (isRepeatable(key)) known.push({ value, line });
    else {
      for (const old of known) leftOut.push({ ...old, key, why: "replaced by a later line" });
      values.set(key, [{ value, line }]);
    }
  }
  return buildEntry(values, leftOut);
}

function buildEntry(values: ReadonlyMap<string, { value: string; line: number }[]>, leftOut: BlsLeftOut[]): BlsEntry {
  const all = (key: RepeatableKey): string[] => (values.get(key) ?? []).map((v) => v.value);
  const one = (key: SingleKey): string | null => values.get(key)?.[0]?.value ?? null;
  const lines = new Map<BlsKey, number[]>();
  for (const [key, found] of values) {
    if (isKnownKey(key)) {
      lines.set(
        key,
        found.map((v) => v.line),
      );
    }
  }
  return {
    title: one("title"),
    version: one("version"),
    machineId: one("machine-id"),
    sortKey: one("sort-key"),
    linux: one("linux"),
    initrd: all("initrd"),
    efi: one("efi"),
    uki: one("uki"),
    ukiUrl: one("uki-url"),
    options: all("options").join(" "),
    devicetree: one("devicetree"),
    devicetreeOverlay: (one("devicetree-overlay") ?? "").split(/[ \t]+/).filter((path) => path !== ""),
    architecture: one("architecture"),
    profile: one("profile"),
    extra: all("extra"),
    grubHotkey: one("grub_hotkey"),
    grubUsers: one("grub_users"),
    grubClass: all("grub_class"),
    grubArg: all("grub_arg"),
    lines,
    leftOut: leftOut.sort((a, b) => a.line - b.line),
  };
}

function splitKey(content: string): { key: string; value: string } {
  const blank = content.search(/[ \t]/);
  if (blank < 0) return { key: content, value: "" };
  return { key: content.slice(0, blank), value: trimBlank(content.slice(blank)) };
}

/** Without blanks on both sides and carriage returns at the end; written out so that time stays linear. */
function trimBlank(text: string): string {
  let start = 0;
  let end = text.length;
  while (end > 0 && " \t\r".includes(text[end - 1] ?? "")) end--;
  while (start < end && " \t".includes(text[start] ?? "")) start++;
  return text.slice(start, end);
}

function isRepeatable(key: string): key is RepeatableKey {
  return repeatableKeys.some((known) => known === key);
}

function isKnownKey(key: string): key is BlsKey {
  return isRepeatable(key) || singleKeys.some((known) => known === key);
}

/** How often an entry may still be tried, and how often it was. */
export interface BootTries {
  readonly left: number;
  readonly done: number;
}

/** The name of an entry file taken apart. */
export interface EntryFileName {
  /** Without counters and suffix: what identifies the entry. */
  readonly name: string;
  /** Null when the entry is not counted. */
  readonly tries: BootTries | null;
  /** Digits of each counter as written, which a rename keeps; `done` is 0 when it is not written. */
  readonly width: { readonly left: number; readonly done: number };
  /** As written: `.conf`, `.CONF`. */
  readonly suffix: string;
}

/** Highest value of a counter: systemd refuses more. */
export const bootTriesMax = 2_147_483_647;

/**
 * Takes `NAME+LEFT[-DONE]SUFFIX` apart (UAPI.1, "Boot counting"); the last `+` counts. The suffix is compared without regard
 * to ASCII case. Null when the file does not have the suffix. Throws {@link FormatError} for a counter over
 * {@link bootTriesMax}.
 */
export function parseEntryFileName(fileName: string, suffix: ".conf" | ".efi"): EntryFileName | null {
  const stem = fileName.slice(0, Math.max(0, fileName.length - suffix.length));
  const ending = fileName.slice(stem.length);
  if (ending.toLowerCase() !== suffix) return null;
  const plus = stem.lastIndexOf("+");
  const counters = plus < 0 ? null : /^([0-9]+)(?:-([0-9]+))?$/.exec(stem.slice(plus + 1));
  if (counters === null) return { name: stem, tries: null, width: { left: 0, done: 0 }, suffix: ending };
  const left = counters[1] ?? "";
  const done = counters[2] ?? "";
  const tries = { left: Number(left), done: Number(done) };
  if (tries.left > bootTriesMax || tries.done > bootTriesMax) {
    throw new FormatError("bls", `counters of ${quote(fileName)}: at most ${bootTriesMax} expected`, { field: "name" });
  }
  return { name: stem.slice(0, plus), tries, width: { left: left.length, done: done.length }, suffix: ending };
}

/**
 * The file name that says that the entry is tried once more: LEFT goes down to 0 at least, DONE goes up, and each keeps its
 * width (`a+10.conf` → `a+09-1.conf`, `a+3-09.conf` → `a+2-10.conf`). Null for an entry that is not counted.
 */
export function triedEntryFileName(parsed: EntryFileName): string | null {
  if (parsed.tries === null) return null;
  const left = String(Math.max(0, parsed.tries.left - 1)).padStart(parsed.width.left, "0");
  const done = String(Math.min(bootTriesMax, parsed.tries.done + 1)).padStart(parsed.width.done, "0");
  return `${parsed.name}+${left}-${done}${parsed.suffix}`;
}

/** The file name of an entry that has proved good: without counters. */
export function goodEntryFileName(parsed: EntryFileName): string {
  return `${parsed.name}${parsed.suffix}`;
}

/** What the order of entries looks at; unified kernel images have the same from their os-release. */
export interface BlsSortData {
  /** File name without counters and suffix. */
  readonly name: string;
  readonly tries: BootTries | null;
  readonly sortKey: string | null;
  readonly machineId: string | null;
  readonly version: string | null;
  /** `.conf` where it is not said. */
  readonly suffix?: ".conf" | ".efi";
  /** The number of an image's profile, from 0. */
  readonly profile?: number;
}

/**
 * The order of the menu (UAPI.1, "Sorting"): exhausted entries last; an entry with a sort key before one without; sort key
 * and machine id ascending, version descending; then the name, descending by version.
 *
 * The text would have the name compared without its suffix, which puts `linux-fallback` before `linux`. systemd-boot and
 * bootctl compare it with the suffix, and have `linux` first; what boots must not depend on the loader: this follows them,
 * and, as FAT has no case, systemd-boot in not regarding it. What the text leaves open goes as systemd does too: profiles of
 * an image by their numbers; of one entry in several stages the one with more tries left, then the one less often tried, is
 * first; and one that is not counted, thus known as good, is before both.
 */
export function compareBlsEntries(a: BlsSortData, b: BlsSortData): number {
  const exhausted = Number(a.tries?.left === 0) - Number(b.tries?.left === 0);
  if (exhausted !== 0) return exhausted;
  const keyless = Number(!a.sortKey) - Number(!b.sortKey);
  if (keyless !== 0) return keyless;
  if (a.sortKey && b.sortKey) {
    const order =
      compareText(a.sortKey, b.sortKey) ||
      compareText(a.machineId ?? "", b.machineId ?? "") ||
      -compareVersions(a.version ?? "", b.version ?? "");
    if (order !== 0) return order;
  }
  const byName = -compareVersions(comparedName(a), comparedName(b)) || (a.profile ?? 0) - (b.profile ?? 0);
  if (byName !== 0) return byName;
  const counted = Number(a.tries !== null) - Number(b.tries !== null);
  if (counted !== 0) return counted;
  return (b.tries?.left ?? 0) - (a.tries?.left ?? 0) || (a.tries?.done ?? 0) - (b.tries?.done ?? 0);
}

function comparedName({ name, suffix = ".conf" }: BlsSortData): string {
  return `${asciiLower(name)}${suffix}`;
}

/** strcmp(3) on the UTF-8 representations, which orders as code points do ("Alphanumerical Order"). */
function compareText(a: string, b: string): number {
  const x = [...a];
  const y = [...b];
  for (let i = 0; i < x.length && i < y.length; i++) {
    const order = (x[i]?.codePointAt(0) ?? 0) - (y[i]?.codePointAt(0) ?? 0);
    if (order !== 0) return order;
  }
  return x.length - y.length;
}
