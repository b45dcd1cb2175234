import { UsageError } from "../verb.ts";

/** An option as getopt_long(3) knows it. */
export interface OptionWords {
  /** Names behind `--`, all of them the same option. */
  readonly long: readonly string[];
  /** One letter behind `-`; null: none. */
  readonly short: string | null;
  /** What its argument is called in the help; null: it takes none. */
  readonly argument: string | null;
  /** False: the long name has to be written in full, so that it does not make abbreviations of others ambiguous. */
  readonly abbreviates: boolean;
}

/** A word of the command line, read. */
export type ReadWord<O extends OptionWords> =
  | {
      readonly kind: "option";
      readonly option: O;
      /** The long name in full, `--append`, or the letter, `-t`. */
      readonly name: string;
      /** Empty for an option that takes none. */
      readonly argument: string;
    }
  | { readonly kind: "word"; readonly word: string };

/**
 * Reads a command line as getopt_long(3) of the GNU C library does: letters may be bundled, an argument may be in the same
 * word or be the next one (whatever that looks like), long names may be abbreviated while that is unambiguous, options may
 * stand behind words, and `--` ends them. Throws {@link UsageError} in that function's words, but not before everything
 * in front of the mistake was handed out.
 *
 * @param program the name that error messages begin with
 */
export function* readOptions<O extends OptionWords>(
  program: string,
  table: readonly O[],
  args: readonly string[],
): Generator<ReadWord<O>, void> {
  const fail = (problem: string): never => {
    throw new UsageError(`${program}: ${problem}`);
  };
  const words = args[Symbol.iterator]();
  for (const word of words) {
    if (word === "--") break;
    if (word.startsWith("--")) yield readLong(table, word, words, fail);
    else if (word.startsWith("-") && word !== "-") yield* readShort(table, word.slice(1), words, fail);
    else yield { kind: "word", word };
  }
  for (const word of words) yield { kind: "word", word };
}

type Fail = (problem: string) => never;

function readLong<O extends OptionWords>(
  table: readonly O[],
  word: string,
  words: Iterator<string>,
  fail: Fail,
): ReadWord<O> {
  const equals = word.indexOf("=");
  const typed = word.slice(2, equals < 0 ? undefined : equals);
  const found = findLong(table, typed, word, fail);
  const { option } = found;
  const name = `--${found.name}`;
  if (option.argument === null) {
    if (equals >= 0) fail(`option '${name}' doesn't allow an argument`);
    return { kind: "option", option, name, argument: "" };
  }
  if (equals >= 0) return { kind: "option", option, name, argument: word.slice(equals + 1) };
  const next = words.next();
  if (next.done === true) return fail(`option '${name}' requires an argument`);
  return { kind: "option", option, name, argument: next.value };
}

/** An exact name, else the only option that has a name which begins so. */
function findLong<O extends OptionWords>(
  table: readonly O[],
  typed: string,
  word: string,
  fail: Fail,
): { readonly option: O; readonly name: string } {
  const names = table.flatMap((option) => option.long.map((name) => ({ option, name })));
  const exact = names.find(({ name }) => name === typed);
  if (exact !== undefined) return exact;
  const candidates = names.filter(({ option, name }) => option.abbreviates && name.startsWith(typed));
  const [first] = candidates;
  if (first === undefined) return fail(`unrecognized option '${word}'`);
  if (candidates.some(({ option }) => option !== first.option)) {
    const possible = candidates.map(({ name }) => `'--${name}'`).join(" ");
    fail(`option '${word}' is ambiguous; possibilities: ${possible}`);
  }
  return first;
}

function* readShort<O extends OptionWords>(
  table: readonly O[],
  letters: string,
  words: Iterator<string>,
  fail: Fail,
): Generator<ReadWord<O>, void> {
  const all = [...letters];
  for (const [index, letter] of all.entries()) {
    const option = table.find(({ short }) => short === letter);
    if (option === undefined) return fail(`invalid option -- '${letter}'`);
    const name = `-${letter}`;
    if (option.argument === null) {
      yield { kind: "option", option, name, argument: "" };
      continue;
    }
    const rest = all.slice(index + 1).join("");
    const next = rest === "" ? words.next() : { done: false, value: rest };
    if (next.done === true) return fail(`option requires an argument -- '${letter}'`);
    return yield { kind: "option", option, name, argument: next.value };
  }
}
