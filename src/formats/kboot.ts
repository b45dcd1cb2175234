import { FormatError, quote } from "./format-error.ts";
import { lineCharactersMax } from "./lines.ts";

/** Longest kboot.conf, in characters. */
export const kbootCharactersMax = 1 << 20;
/** Labels of one file. */
export const kbootLabelsMax = 1000;

/** A file of an entry: `DEVICE:/path`, or a path of the configuration's own volume. */
export interface KbootFile {
  /** `/dev/sda1`, `sda1`, `UUID=…`, `LABEL=…`; null: the volume of the configuration. */
  readonly device: string | null;
  /** Absolute, normalised. */
  readonly path: string;
}

export interface KbootEntry {
  readonly label: string;
  /** Counts from 1. */
  readonly line: number;
  readonly kernel: KbootFile;
  readonly initrd: KbootFile | null;
  /** With `root=` in front where one is known. */
  readonly options: string;
}

export interface KbootProblem {
  /** Counts from 1. */
  readonly line: number;
  readonly label: string | null;
  readonly text: string;
}

export interface KbootConf {
  readonly entries: readonly KbootEntry[];
  /** `default`: a label. */
  readonly default: string | null;
  /** Lines that are wrong and were left out. */
  readonly problems: readonly KbootProblem[];
}

/** Names that are no labels and hold for the labels below them. */
const globals: readonly string[] = ["root", "initrd"];
/** Names that are no labels and speak of the program's own screen; `video` is no option of any label's in petitboot. */
const ofTheScreen: readonly string[] = ["message", "timeout", "delay", "video"];

/**
 * Parses kboot.conf, as petitboot reads it (discover/kboot-parser.c, discover/parser-conf.c) and "Specification of minimum
 * boot loader configuration file for removable media" (2007) describes it: lines of `name=value`, quotes around a value
 * stripped; `label='DEVICE:/kernel initrd=DEVICE:/initrd options'`.
 *
 * A bad line costs itself alone and is told in `problems`. Throws {@link FormatError} only when the whole text is over
 * {@link kbootCharactersMax} or holds more than {@link kbootLabelsMax} labels.
 */
export function parseKboot(text: string): KbootConf {
  if (text.length > kbootCharactersMax) {
    throw new FormatError("kboot", `${text.length} characters, at most ${kbootCharactersMax} are taken`);
  }
  const entries: KbootEntry[] = [];
  const problems: KbootProblem[] = [];
  const values = new Map<string, string>();
  let defaultLabel: string | null = null;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = index + 1;
    const pair = raw.length > lineCharactersMax ? null : readPair(raw);
    if (raw.length > lineCharactersMax) {
      problems.push({ line, label: null, text: `${raw.length} characters, at most ${lineCharactersMax} are taken` });
    }
    if (pair === null) continue;
    const { name, value } = pair;
    if (name === "default") defaultLabel = value;
    else if (globals.includes(name)) values.set(name, value);
    else if (!ofTheScreen.includes(name)) {
      if (entries.length + problems.length >= kbootLabelsMax) {
        throw new FormatError("kboot", `more than ${kbootLabelsMax} labels, at most so many are taken`, { line });
      }
      try {
        entries.push(readLabel(name, value, line, values));
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        problems.push({ line, label: name, text: error.detail });
      }
    }
  }
  return { entries, default: defaultLabel, problems };
}

/** Null for what is none: comments, lines without a value. */
function readPair(raw: string): { readonly name: string; readonly value: string } | null {
  const line = strip(raw);
  const equals = line.indexOf("=");
  if (equals < 0 || line.startsWith("#")) return null;
  const name = strip(line.slice(0, equals));
  const value = strip(line.slice(equals + 1));
  return name === "" || value === "" || value.startsWith("#") ? null : { name, value };
}

function readLabel(label: string, value: string, line: number, values: ReadonlyMap<string, string>): KbootEntry {
  const [kernel = "", ...words] = value.split(/[ \t]+/);
  let initrd = values.get("initrd") ?? null;
  let root = values.get("root") ?? null;
  const options: string[] = [];
  for (const word of words) {
    const equals = word.indexOf("=");
    const name = strip(equals < 0 ? word : word.slice(0, equals));
    const text = equals < 0 ? null : strip(word.slice(equals + 1));
    if (name === "initrd" && text !== null) initrd = text;
    else if (name === "root" && text !== null) root = text;
    else if (text !== null) options.push(`${name}=${text}`);
    else if (name !== "") options.push(name);
  }
  return {
    label,
    line,
    kernel: readFile("kernel", kernel),
    initrd: initrd === null || initrd === "" ? null : readFile("initrd", initrd),
    options: [...(root === null ? [] : [`root=${root}`]), ...options].join(" "),
  };
}

function readFile(what: string, text: string): KbootFile {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    throw new FormatError("kboot", `${what} ${quote(text)}: a file of a volume expected, not of a server`);
  }
  const colon = text.indexOf(":");
  const path = text.slice(colon + 1);
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined)
      throw new FormatError("kboot", `${what} ${quote(text)}: the path leaves the volume`);
  }
  if (parts.length === 0) throw new FormatError("kboot", `${what} ${quote(text)}: a path expected`);
  return { device: colon <= 0 ? null : text.slice(0, colon), path: `/${parts.join("/")}` };
}

/** Without quotes and white space at both ends. */
function strip(text: string): string {
  const blank = " \t\r\v\f\"'";
  let start = 0;
  let end = text.length;
  while (start < end && blank.includes(text.charAt(start))) start++;
  while (end > start && blank.includes(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}
