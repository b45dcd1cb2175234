import { FormatError, quote } from "./format-error.ts";
import { type Glob, parseGlob } from "./glob.ts";
import { lineCharactersMax } from "./lines.ts";

/** Longest loader.conf, in characters. */
export const loaderConfCharactersMax = 1 << 20;
/** Lines that mean nothing, bad ones among them, up to which a file is read. */
export const loaderConfRemarksMax = 500;

/** Longest menu timeout, in seconds: systemd-boot keeps it in 32 bits and uses the highest values for itself. */
export const loaderTimeoutSecondsMax = 4_294_967_291;

/** What `default` and `preferred` choose: `@saved`, or every entry whose id matches the pattern. */
export type LoaderChoice =
  | { readonly kind: "saved"; readonly line: number }
  | { readonly kind: "pattern"; readonly pattern: string; readonly glob: Glob; readonly line: number };

export type LoaderTimeout =
  | { readonly kind: "seconds"; readonly seconds: number }
  /** The menu is shown until somebody chooses. */
  | { readonly kind: "menu-force" }
  /** No menu unless a key is held: zero seconds. */
  | { readonly kind: "menu-hidden" }
  /** No menu, and no key brings it. */
  | { readonly kind: "menu-disabled" };

export interface LoaderConfRemark {
  /** Counts from 1. */
  readonly line: number;
  readonly text: string;
}

export interface LoaderConf {
  readonly default: LoaderChoice | null;
  /** Goes before `default` in systemd-boot, for entries that have tries left. */
  readonly preferred: LoaderChoice | null;
  readonly timeout: LoaderTimeout | null;
  /** Whether a person may edit the options of an entry; null when the file does not say. */
  readonly editor: boolean | null;
  /** Lines that mean nothing to Slipway, with the reason. */
  readonly notes: readonly LoaderConfRemark[];
  /** Lines that are wrong and were left out. */
  readonly problems: readonly LoaderConfRemark[];
}

/** Keys of loader.conf(5) that speak of systemd-boot's own screen and of the firmware under it. */
const firmwareKeys: ReadonlySet<string> = new Set([
  "auto-entries",
  "auto-firmware",
  "auto-poweroff",
  "auto-reboot",
  "beep",
  "console-mode",
  "log-level",
  "random-seed-mode",
  "reboot-for-bitlocker",
  "reboot-on-error",
  "secure-boot-enroll",
  "secure-boot-enroll-action",
  "secure-boot-enroll-timeout-sec",
]);

/**
 * Parses loader.conf (loader.conf(5) of systemd): lines of key, white space, value; `#` starts a comment line; of a key
 * that stands more than once the last good line counts.
 *
 * A bad line costs itself alone and is told in `problems`; behind {@link loaderConfRemarksMax} of them nothing is read.
 * Throws {@link FormatError} only when the whole text is over {@link loaderConfCharactersMax}.
 */
export function parseLoaderConf(text: string): LoaderConf {
  if (text.length > loaderConfCharactersMax) {
    throw new FormatError("loader.conf", `${text.length} characters, at most ${loaderConfCharactersMax} are taken`);
  }
  const settings: Settings = { default: null, preferred: null, timeout: null, editor: null };
  const notes: LoaderConfRemark[] = [];
  const problems: LoaderConfRemark[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const line = index + 1;
    if (notes.length + problems.length >= loaderConfRemarksMax) {
      problems.push({ line, text: `${loaderConfRemarksMax} lines before mean nothing, what follows is not read` });
      break;
    }
    try {
      const note = parseLine(raw, line, settings);
      if (note !== null) notes.push({ line, text: note });
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      problems.push({ line, text: error.detail });
    }
  }
  return { ...settings, notes, problems };
}

interface Settings {
  default: LoaderChoice | null;
  preferred: LoaderChoice | null;
  timeout: LoaderTimeout | null;
  editor: boolean | null;
}

/** Returns a note when the line means nothing here. */
function parseLine(raw: string, line: number, settings: Settings): string | null {
  if (raw.length > lineCharactersMax) fail(`${raw.length} characters, at most ${lineCharactersMax} are taken`);
  const content = trim(raw);
  if (content === "" || content.startsWith("#")) return null;
  if (/[\0\r]/.test(content)) fail("NUL or carriage return inside the line");
  const space = content.search(/[ \t]/);
  if (space < 0) fail(`a value expected after ${quote(content)}`);
  const key = content.slice(0, space);
  const value = trim(content.slice(space));
  switch (key) {
    case "default":
    case "preferred":
      settings[key] = parseChoice(value, line);
      return null;
    case "timeout":
      settings.timeout = parseLoaderTimeout(value);
      return null;
    case "editor":
      settings.editor = parseBoolean(value);
      return null;
    default:
      if (firmwareKeys.has(key)) return `"${key}" is for systemd-boot and its firmware alone`;
      return fail(`${quote(key)} is not a key of loader.conf`);
  }
}

function trim(text: string): string {
  let end = text.length;
  while (end > 0 && " \t\r".includes(text[end - 1] ?? "")) end--;
  return text.slice(0, end).replace(/^[ \t]+/, "");
}

/** What chooses an entry, in loader.conf or in an EFI variable (line 0). Throws {@link FormatError} for a bad pattern. */
export function parseChoice(value: string, line: number): LoaderChoice {
  if (!value.startsWith("@")) return { kind: "pattern", pattern: value, glob: parseGlob(asciiLower(value)), line };
  if (asciiLower(value) !== "@saved") fail(`"@saved" or a pattern expected, not ${quote(value)}`);
  return { kind: "saved", line };
}

/** Entry ids and patterns are compared without regard to ASCII case, as systemd-boot does: FAT has none. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** A timeout as loader.conf and the loader's EFI variables write it. Throws {@link FormatError} for anything else. */
export function parseLoaderTimeout(value: string): LoaderTimeout {
  if (value === "menu-force" || value === "menu-hidden" || value === "menu-disabled") return { kind: value };
  const seconds = /^[0-9]+$/.test(value) ? Number(value) : Number.NaN;
  if (!(seconds <= loaderTimeoutSecondsMax)) {
    fail(
      `timeout ${quote(value)}: seconds up to ${loaderTimeoutSecondsMax}, "menu-force", "menu-hidden" or "menu-disabled" expected`,
    );
  }
  return { kind: "seconds", seconds };
}

function parseBoolean(value: string): boolean {
  if (["1", "yes", "y", "true", "t", "on"].includes(value)) return true;
  if (["0", "no", "n", "false", "f", "off"].includes(value)) return false;
  return fail(`"yes" or "no" expected, not ${quote(value)}`);
}

function fail(detail: string): never {
  throw new FormatError("loader.conf", detail);
}
