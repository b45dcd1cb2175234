import { quote } from "../format-error.ts";
import { shownText } from "./byte-text.ts";
import { type Failure, failure } from "./failure.ts";
import { parseInteger } from "./number.ts";

/** What an option takes: nothing, text, an unsigned number, milliseconds, or a key (one character, or its number). */
export type OptionKind = "flag" | "text" | "number" | "milliseconds" | "key";

/** `name: [letter, kind]`. */
export type OptionTable = Readonly<Record<string, readonly [letter: string, kind: OptionKind]>>;

export interface CommandGrammar {
  readonly options: OptionTable;
  readonly wordsMin: number;
  readonly wordsMax: number;
}

/** The options and words of a command; byte text. */
export interface ParsedOptions {
  readonly flags: ReadonlySet<string>;
  readonly texts: ReadonlyMap<string, string>;
  /** Numbers, times in milliseconds, and keys. */
  readonly numbers: ReadonlyMap<string, number>;
  readonly words: readonly string[];
}

/**
 * Reads a command's words as iPXE does (core/getopt.c, core/parseopt.c): options stand before the first other word, `--`
 * ends them, a long one is written in full, and a word that begins with `-` is never an option's value.
 *
 * @param words those behind the command's name
 */
export function parseOptions(words: readonly string[], grammar: CommandGrammar): ParsedOptions | Failure {
  const parsed = { flags: new Set<string>(), texts: new Map<string, string>(), numbers: new Map<string, number>() };
  const rows = [...Object.entries(grammar.options), ["help", ["h", "flag"]] as const];
  let at = 0;
  let inside = "";
  while (inside !== "" || words[at]?.startsWith("-") === true) {
    const word = words[at] ?? "";
    if (inside === "" && word === "--") {
      at++;
      break;
    }
    const isLong = inside === "" && word.startsWith("--");
    const text = isLong ? word.slice(2) : inside === "" ? word.slice(1) : inside;
    const equals = text.indexOf("=");
    const name = equals === -1 ? text : text.slice(0, equals);
    const found = rows.find(([long, [letter]]) => (isLong ? long === name : text.startsWith(letter)));
    if (found === undefined) {
      return failure("invalid", `there is no option ${quote(isLong ? `--${name}` : `-${text.slice(0, 1)}`)}`);
    }
    const [long, [, kind]] = found;
    let value = isLong ? (equals === -1 ? null : text.slice(equals + 1)) : text.length > 1 ? text.slice(1) : null;
    inside = "";
    if (kind === "flag") {
      if (isLong && value !== null) return failure("invalid", `option ${quote(long)} takes no value`);
      if (!isLong && value !== null) inside = value;
      else at++;
      if (long === "help") return failure("cancelled", "only its help was asked for");
      parsed.flags.add(long);
      continue;
    }
    at++;
    const next = words[at];
    if (value === null && next !== undefined && !next.startsWith("-")) {
      value = next;
      at++;
    }
    if (value === null) return failure("invalid", `option ${quote(long)} needs a value`);
    if (kind === "text") {
      parsed.texts.set(long, value);
      continue;
    }
    const number = kind === "key" && value.length === 1 ? value.charCodeAt(0) : parseInteger(value);
    if (number === null) return failure("invalid", `${quote(shownText(value))} is no number`);
    parsed.numbers.set(long, number);
  }
  const left = words.slice(at);
  const { wordsMin, wordsMax } = grammar;
  if (left.length < wordsMin || left.length > wordsMax) {
    const expected = wordsMin === wordsMax ? `${wordsMin}` : `${wordsMin} to ${wordsMax}`;
    const wanted = wordsMax === Number.POSITIVE_INFINITY ? `at least ${wordsMin}` : expected;
    return failure("range", `${left.length} words, ${wanted} expected`);
  }
  return { ...parsed, words: left };
}
