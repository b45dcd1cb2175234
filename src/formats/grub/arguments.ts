import { quote } from "../format-error.ts";
import { type Inputs, joinInputs, type Tainted } from "./inputs.ts";

/** An option of a command (GRUB: `struct grub_arg_option`). */
export interface OptionDefinition {
  /** Without the dashes. */
  readonly long: string;
  readonly short?: string;
  /** `optional`: a value may follow, but not one that begins with `-`. */
  readonly value: "none" | "required" | "optional";
}

export interface ArgumentStyle {
  /** `GRUB_COMMAND_ACCEPT_DASH`: an unknown option is an argument. */
  readonly acceptDash?: boolean;
  /** `GRUB_COMMAND_OPTIONS_AT_START`: behind the first argument nothing is an option. */
  readonly optionsAtStart?: boolean;
}

/** The options given, by long name, each with its values in order (null: given without one), and the arguments. */
export interface ParsedArguments {
  readonly options: ReadonlyMap<string, readonly (Tainted | null)[]>;
  readonly operands: readonly Tainted[];
}

/** Options and arguments of an extended command (grub-core/lib/arg.c, `grub_arg_parse`); a text where they are refused. */
export function parseArguments(
  words: readonly Tainted[],
  definitions: readonly OptionDefinition[],
  style: ArgumentStyle = {},
): ParsedArguments | string {
  const options = new Map<string, (Tainted | null)[]>();
  const operands: Tainted[] = [];
  const give = (definition: OptionDefinition, value: Tainted | null): void => {
    options.set(definition.long, [...(options.get(definition.long) ?? []), value]);
  };
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (word === undefined) break;
    const { text } = word;
    if (text === "--") {
      operands.push(...words.slice(i + 1));
      break;
    }
    if ((style.optionsAtStart === true && operands.length > 0) || !text.startsWith("-") || text.length === 1) {
      operands.push(word);
      continue;
    }
    const next = words[i + 1];
    const read = text.startsWith("--") ? longOption(word, next, definitions) : shortOptions(word, next, definitions);
    if (read.unknown !== null) {
      if (style.acceptDash !== true) return `unknown argument ${quote(read.unknown)}`;
      operands.push(word);
      continue;
    }
    if (read.usesNext) i++;
    for (const { definition, value } of read.given) {
      if (value === null && definition.value === "required") return `--${definition.long} needs a value`;
      if (value !== null && definition.value === "none") return `--${definition.long} takes no value`;
      give(definition, value);
    }
  }
  return { options, operands };
}

interface ReadOption {
  readonly unknown: string | null;
  readonly usesNext: boolean;
  readonly given: readonly { readonly definition: OptionDefinition; readonly value: Tainted | null }[];
}

function unknownOption(text: string): ReadOption {
  return { unknown: text, usesNext: false, given: [] };
}

function longOption(word: Tainted, next: Tainted | undefined, definitions: readonly OptionDefinition[]): ReadOption {
  const equals = word.text.indexOf("=");
  const name = word.text.slice(2, equals < 0 ? undefined : equals);
  const definition = definitions.find(({ long }) => long === name);
  if (definition === undefined) return unknownOption(word.text);
  if (equals >= 0) {
    const value = { text: word.text.slice(equals + 1), inputs: word.inputs };
    return { unknown: null, usesNext: false, given: [{ definition, value }] };
  }
  const usesNext = definition.value !== "none" && next !== undefined && !next.text.startsWith("-");
  return { unknown: null, usesNext, given: [{ definition, value: usesNext ? next : null }] };
}

function shortOptions(word: Tainted, next: Tainted | undefined, definitions: readonly OptionDefinition[]): ReadOption {
  const letters = [...word.text.slice(1)];
  const found = letters.map((letter) => definitions.find(({ short }) => short === letter));
  const given: { definition: OptionDefinition; value: Tainted | null }[] = [];
  let usesNext = false;
  for (const [index, definition] of found.entries()) {
    if (definition === undefined) return unknownOption(word.text);
    let value: Tainted | null = null;
    if (index === found.length - 1 && definition.value !== "none" && next !== undefined) {
      if (definition.value === "required" || next.text.length < 2 || !next.text.startsWith("-")) {
        value = next;
        usesNext = true;
      }
    }
    given.push({ definition, value });
  }
  return { unknown: null, usesNext, given };
}

/** The last value of an option, or null where it was not given or given without one. */
export function optionValue(parsed: ParsedArguments, long: string): Tainted | null {
  return parsed.options.get(long)?.at(-1) ?? null;
}

/** All unsigned inputs of some words. */
export function inputsOf(words: readonly Tainted[]): Inputs {
  return joinInputs(...words.map(({ inputs }) => inputs));
}
