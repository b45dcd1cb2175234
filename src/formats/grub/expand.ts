import type { WordNode, WordPart } from "./ast.ts";
import { type Inputs, joinInputs, noInputs, type Tainted } from "./inputs.ts";
import { LimitError } from "./problem.ts";
import { expandWildcard, type WildcardWorld } from "./wildcard.ts";

/** What words are expanded with. */
export interface ExpansionWorld extends WildcardWorld {
  variable(name: string): Tainted | null;
  /** `$1`, `$2` …; null outside functions and menu entries. */
  readonly parameters: readonly Tainted[] | null;
  readonly wordsMax: number;
  readonly commandCharactersMax: number;
}

/**
 * Expands the words of a command (grub-core/script/execute.c, `grub_script_arglist_to_argv`): variables, the splitting of
 * unquoted values at white space, wildcards, and last the removal of backslashes.
 */
export async function expandWords(nodes: readonly WordNode[], world: ExpansionWorld): Promise<Tainted[]> {
  const drafts = new Drafts(world);
  for (const node of nodes) {
    drafts.next();
    for (const part of node.parts) addPart(drafts, part, world);
  }
  const words: Tainted[] = [];
  for (const { text, inputs } of drafts.finished()) {
    const paths = /^[/(*]/.test(text) ? await expandWildcard(text, world) : null;
    if (paths === null) words.push({ text: unescapeWord(text), inputs });
    else words.push(...paths.map((path) => ({ text: path, inputs })));
    if (words.length > world.wordsMax) throw new LimitError(`more than ${world.wordsMax} words in one command`);
  }
  return words;
}

/** Words in the making. A word that no part has given a text, not even an empty one, is not there: the next takes its place. */
class Drafts {
  readonly #world: ExpansionWorld;
  readonly #words: { text: string | null; inputs: Inputs }[] = [];
  #characters = 0;

  constructor(world: ExpansionWorld) {
    this.#world = world;
  }

  next(): void {
    if (this.#words.at(-1)?.text === null) return;
    if (this.#words.length >= this.#world.wordsMax) {
      throw new LimitError(`more than ${this.#world.wordsMax} words in one command`);
    }
    this.#words.push({ text: null, inputs: noInputs });
  }

  append(text: string, inputs: Inputs = noInputs): void {
    const word = this.#words.at(-1);
    if (word === undefined) return;
    this.#characters += text.length;
    if (this.#characters > this.#world.commandCharactersMax) {
      throw new LimitError(`more than ${this.#world.commandCharactersMax} characters in one command`);
    }
    word.text = (word.text ?? "") + text;
    this.taint(inputs);
  }

  taint(inputs: Inputs): void {
    const word = this.#words.at(-1);
    if (word !== undefined) word.inputs = joinInputs(word.inputs, inputs);
  }

  /** Only the last word can be without a text; that an unsigned value left it out is told by the word before it. */
  finished(): Tainted[] {
    const words: Tainted[] = [];
    for (const { text, inputs } of this.#words) {
      const before = words.at(-1);
      if (text !== null) words.push({ text, inputs });
      else if (before !== undefined) words[words.length - 1] = { ...before, inputs: joinInputs(before.inputs, inputs) };
    }
    return words;
  }
}

function addPart(drafts: Drafts, part: WordPart, world: ExpansionWorld): void {
  switch (part.kind) {
    case "text":
      drafts.append(part.text);
      break;
    case "quoted":
      drafts.append(guardAll(part.text));
      break;
    case "translated":
      addTranslated(drafts, part.text, world);
      break;
    case "variable": {
      // Parameters of `$@` and `$*` begin words of their own; in double quotes `$*` is one word.
      const values = variableValues(part.name, world);
      for (const [index, value] of values.entries()) {
        if (index > 0 && !(part.quoted && part.name === "*")) drafts.next();
        else if (index > 0) drafts.append(" ");
        if (part.quoted) drafts.append(guardAll(value.text), value.inputs);
        else addSplit(drafts, value);
      }
      break;
    }
  }
}

/** The values that a name stands for: several only for `$@` and `$*`; a variable without a value gives none. */
function variableValues(name: string, world: ExpansionWorld): readonly Tainted[] {
  const { parameters } = world;
  if (name === "@" || name === "*") return parameters ?? [];
  if (name === "#") return parameters === null ? [] : [{ text: String(parameters.length), inputs: noInputs }];
  if (/^[0-9]/.test(name)) {
    const parameter = parameters?.[Number(name) - 1];
    return parameter === undefined ? [] : [parameter];
  }
  const value = world.variable(name);
  if (value === null) return [];
  return [value];
}

function addSplit(drafts: Drafts, value: Tainted): void {
  const fields = value.text.split(/[ \t\n\r]+/).filter((field) => field !== "");
  drafts.taint(value.inputs);
  for (const [index, field] of fields.entries()) {
    if (index > 0) drafts.next();
    drafts.append(guardBackslashes(field), value.inputs);
  }
}

/** No catalogue of translations is known, so `$"…"` gives its own text with the variables put in. */
function addTranslated(drafts: Drafts, text: string, world: ExpansionWorld): void {
  const pattern = /\\\\|\\\$|\$(?:\{([^}]*)(?:\}|$)|([0-9]+)|([A-Za-z_][A-Za-z0-9_]*)|([?#]))/g;
  drafts.append("");
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    drafts.append(guardAll(text.slice(at, match.index)));
    at = match.index + match[0].length;
    // GRUB drops a `${` that is not closed, with all behind it.
    if (match[0].startsWith("${") && !match[0].endsWith("}")) continue;
    const name = match[1] ?? match[2] ?? match[3] ?? match[4];
    if (name === undefined) drafts.append(guardAll(match[0].slice(1)));
    else if (name === "#") drafts.append(world.parameters === null ? "" : String(world.parameters.length));
    else {
      const value = world.variable(name);
      if (value !== null) drafts.append(guardAll(value.text), value.inputs);
    }
  }
  drafts.append(guardAll(text.slice(at)));
}

/** Quoted text holds no wildcards. */
function guardAll(text: string): string {
  return text.replace(/[*?\\]/g, "\\$&");
}

/** In an unquoted value `*` and `?` stay wildcards, and a backslash is only itself. */
function guardBackslashes(text: string): string {
  return text.replace(/\\([*?]?)/g, (_, wildcard: string) => (wildcard === "" ? "\\\\" : `\\\\\\${wildcard}`));
}

function unescapeWord(text: string): string {
  return text.replace(/\\(.?)/gs, "$1");
}
