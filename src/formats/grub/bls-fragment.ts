import type { Inputs } from "./inputs.ts";
import type { GrubConfig } from "./menu.ts";

/** A line of an entry file: a key and the rest behind white space. */
export interface BlsLine {
  readonly key: string;
  readonly value: string;
  /** Counts from 1. */
  readonly line: number;
}

/** An entry file as GRUB's `blscfg` keeps it. */
export interface BlsFragment {
  /** The file's name without `.conf`; boot counters are part of it. */
  readonly name: string;
  readonly config: GrubConfig;
  readonly lines: readonly BlsLine[];
  /** Unsigned values that chose the file. */
  readonly inputs: Inputs;
  /** The line at which GRUB stops although others follow; null: it reads all. */
  readonly endsAt: number | null;
}

/** Key lines of one entry file that are kept. */
export const blsFragmentLinesMax = 4096;

/**
 * Reads an entry file as `blscfg` does (rhboot/grub2, commands/blscfg.c, `read_entry`). Not as the Boot Loader
 * Specification has it: a key ends at the first space of its line and only where there is none at a tab, and a line
 * without a value, an empty one too, ends the file.
 */
export function parseBlsFragment(text: string): Pick<BlsFragment, "lines" | "endsAt"> {
  const lines: BlsLine[] = [];
  const all = text.split("\n");
  if (all.at(-1) === "") all.pop();
  for (const [index, raw] of all.entries()) {
    const content = raw.replaceAll("\r", "").replace(/^[ \t]+/, "");
    if (content.startsWith("#")) continue;
    const space = content.indexOf(" ");
    const separator = space < 0 ? content.indexOf("\t") : space;
    if (separator < 0 || separator + 1 === content.length || lines.length >= blsFragmentLinesMax) {
      const more = all.slice(index + 1).some((line) => /^[ \t\r]*[^# \t\r]/.test(line));
      return { lines, endsAt: more ? index + 1 : null };
    }
    const value = content.slice(separator + 1).replace(/^[ \t]+/, "");
    lines.push({ key: content.slice(0, separator), value, line: index + 1 });
  }
  return { lines, endsAt: null };
}

/** The first line of a key; GRUB takes no other where it wants one value. */
export function firstLine({ lines }: BlsFragment, key: string): BlsLine | null {
  return lines.find((line) => line.key === key) ?? null;
}

/**
 * The order of two entry files, above 0 where the first is newer: by name, version and release, which the last two dashes of the
 * file's name divide, each compared as RPM compares versions (blscfg.c, `split_cmp`).
 */
export function compareFragmentNames(a: string, b: string): number {
  const [x, y] = [splitName(a), splitName(b)];
  for (const index of [0, 1, 2] as const) {
    const order = compareRpmVersions(x[index], y[index]);
    if (order !== 0) return order;
  }
  return 0;
}

/** Name, version, release; what has fewer dashes has a name, or a name and a version. */
function splitName(text: string): readonly [string, string, string] {
  const last = text.lastIndexOf("-");
  if (last < 0) return [text, "", ""];
  const before = text.lastIndexOf("-", last - 1);
  if (before < 0 || last === 0) return [text.slice(0, last), text.slice(last + 1), ""];
  return [text.slice(0, before), text.slice(before + 1, last), text.slice(last + 1)];
}

/**
 * RPM's comparison of versions (`rpmvercmp`) as `blscfg` has it: runs of digits and of letters one after another, `~` before
 * everything and `+` behind the end; the one that goes on is newer.
 */
export function compareRpmVersions(a: string, b: string): -1 | 0 | 1 {
  if (a === b) return 0;
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    while (i < a.length && !/[A-Za-z0-9~+]/.test(a.charAt(i))) i++;
    while (j < b.length && !/[A-Za-z0-9~+]/.test(b.charAt(j))) j++;
    const [one, two] = [a.charAt(i), b.charAt(j)];
    if (one === "~" || two === "~") {
      if (one !== "~") return 1;
      if (two !== "~") return -1;
      i++;
      j++;
      continue;
    }
    if (one === "+" || two === "+") {
      if (one === "") return -1;
      if (two === "") return 1;
      if (one !== "+") return 1;
      if (two !== "+") return -1;
      i++;
      j++;
      continue;
    }
    if (one === "" || two === "") break;
    const isNumber = /[0-9]/.test(one);
    const [first, second] = [runOf(a, i, isNumber), runOf(b, j, isNumber)];
    // A number is newer than letters.
    if (second === "") return isNumber ? 1 : -1;
    const order = compareRuns(first, second, isNumber);
    if (order !== 0) return order;
    i += first.length;
    j += second.length;
  }
  if (i >= a.length && j >= b.length) return 0;
  return i >= a.length ? -1 : 1;
}

function runOf(text: string, start: number, isNumber: boolean): string {
  let end = start;
  while (end < text.length && (isNumber ? /[0-9]/ : /[A-Za-z]/).test(text.charAt(end))) end++;
  return text.slice(start, end);
}

function compareRuns(a: string, b: string, isNumber: boolean): -1 | 0 | 1 {
  const [x, y] = isNumber ? [a.replace(/^0+/, ""), b.replace(/^0+/, "")] : [a, b];
  if (isNumber && x.length !== y.length) return x.length > y.length ? 1 : -1;
  return x === y ? 0 : x < y ? -1 : 1;
}

/** Where a value stands for a variable, and what it is. */
type Lookup = (name: string) => string | null;

/**
 * Puts variables into a value (blscfg.c, `expand_val`): `$name` only, and behind each value a space for the one that it
 * swallows. Null where nothing comes of it. A piece of a single character is lost, as it is there, and so is everything
 * where a variable that is not set stands first and another follows at once.
 */
export function expandBlsValue(value: string, lookup: Lookup): string | null {
  let result: string | null = null;
  let start = 0;
  let end = 0;
  let inName = false;
  const append = (): void => {
    const piece = value.slice(start, end + 1);
    const text = inName ? lookup(piece) : piece;
    if (text !== null) result = `${result ?? ""}${text}${inName ? " " : ""}`;
  };
  for (let at = 0; at < value.length; end = at, at++) {
    const character = value.charAt(at);
    if (character === "$") {
      if (start !== end) {
        append();
        if (result === null) return null;
      }
      inName = true;
      start = at + 1;
    } else if (inName && !/[A-Za-z0-9_]/.test(character)) {
      append();
      inName = false;
      start = character === " " ? at + 1 : at;
    }
  }
  if (start !== end) append();
  return result;
}
