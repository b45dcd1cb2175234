import { FormatError, quote } from "../format-error.ts";
import { inputsOf, type OptionDefinition, optionValue, parseArguments } from "./arguments.ts";
import type { GrubFile, SourceText } from "./ast.ts";
import { type Inputs, joinInputs, type Tainted } from "./inputs.ts";
import { textLines } from "./lex.ts";
import type { CommandCall, Machine, MenuDraft } from "./machine.ts";
import { leadingNumber } from "./number.ts";
import { compileRegularExpression } from "./regular-expression.ts";
import { grubStatus } from "./status.ts";
import { evaluateTest } from "./test-expression.ts";

/** `set NAME=VALUE`; without an argument GRUB lists the variables. Only the first argument counts. */
export function set(machine: Machine, { words }: CommandCall): number {
  const [word] = words;
  if (word === undefined) return grubStatus.none;
  const equals = word.text.indexOf("=");
  if (equals < 0) return machine.fail(grubStatus.badArgument, `set ${quote(word.text)}: NAME=VALUE expected`);
  machine.assign(word.text.slice(0, equals), word.text.slice(equals + 1), word.inputs);
  return grubStatus.none;
}

export function unset(machine: Machine, { words }: CommandCall): number {
  const [word] = words;
  if (word === undefined) return machine.fail(grubStatus.badArgument, "unset: one argument expected");
  unsetVariable(machine, word.text, word.inputs);
  return grubStatus.none;
}

/** A variable that an unsigned value took away is kept as an empty one, which knows why. */
function unsetVariable(machine: Machine, name: string, shaped: Inputs): void {
  const inputs = joinInputs(shaped, machine.ambient);
  if (inputs.size > 0) machine.assign(name, "", inputs);
  else machine.variables.unset(name);
}

export function exportVariables(machine: Machine, { words }: CommandCall): number {
  if (words.length === 0) return machine.fail(grubStatus.badArgument, "export: one argument expected");
  for (const { text } of words) machine.variables.export(text);
  return grubStatus.none;
}

export function setParameters(machine: Machine, { words }: CommandCall): number {
  if (machine.parameters === null) return grubStatus.invalidCommand;
  machine.parameters = words;
  return grubStatus.none;
}

export function shift(machine: Machine, { words }: CommandCall): number {
  const { parameters } = machine;
  if (parameters === null) return grubStatus.none;
  const count = words.length === 0 ? 1 : wholeNumber(words[0]);
  if (words.length > 1 || count === null || count > parameters.length) return grubStatus.badArgument;
  machine.parameters = parameters.slice(count);
  return grubStatus.none;
}

/** `break [N]` and `continue [N]`. */
export function leaveLoops(machine: Machine, { name, words }: CommandCall): number {
  const count = words.length === 0 ? 1 : wholeNumber(words[0]);
  if (words.length > 1 || count === null || count === 0) {
    return machine.fail(grubStatus.badArgument, `${name}: a number of loops expected`);
  }
  machine.leaveLoops(count, name === "continue");
  return grubStatus.none;
}

export function leaveFunction(machine: Machine, { words }: CommandCall): number {
  if (machine.parameters === null || words.length > 1) {
    return machine.fail(grubStatus.badArgument, "return: not in a function");
  }
  const status = words.length === 0 ? (leadingNumber(machine.variables.text("?"))?.value ?? 0) : wholeNumber(words[0]);
  if (status === null) return machine.fail(grubStatus.badArgument, "return: a number expected");
  machine.leaveFunction();
  return status;
}

function wholeNumber(word: Tainted | undefined): number | null {
  const number = leadingNumber(word?.text ?? "", 10);
  return number === null || number.rest !== "" ? null : number.value;
}

/** `eval WORD…`: the words are joined by spaces and run as a script. */
export function evaluateText(machine: Machine, { words, place, variables }: CommandCall): Promise<number> {
  const text = words.map((word) => word.text).join(" ");
  const source: SourceText = { file: place.file, lines: textLines(text, place.line) };
  return machine.within(inputsOf(words), () => machine.around(variables, () => machine.runText(source, false)));
}

/** `echo [-n] [-e] WORD…` (commands/echo.c). */
export function echo(machine: Machine, { words }: CommandCall): number {
  const options: OptionDefinition[] = [
    { long: "n", short: "n", value: "none" },
    { long: "e", short: "e", value: "none" },
  ];
  const parsed = parseArguments(words, options, { acceptDash: true, optionsAtStart: true });
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `echo: ${parsed}`);
  const text = parsed.operands.map((word) => word.text).join(" ");
  const shown = parsed.options.has("e")
    ? text.replace(/\\(.?)/gs, (_, letter: string) => echoEscapes.get(letter) ?? "")
    : text;
  machine.print(parsed.options.has("n") ? shown : `${shown}\n`);
  return grubStatus.none;
}

const echoEscapes: ReadonlyMap<string, string> = new Map([
  ["\\", "\\"],
  ["a", "\x07"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
]);

export async function test(machine: Machine, { words }: CommandCall): Promise<number> {
  const value = await evaluateTest(words, {
    async file(path) {
      const { device } = await machine.locate(path);
      if (device === null) return null;
      // commands/test.c, `get_fileinfo`: what stands behind the last parenthesis, without slashes at its end. Nothing is the
      // whole device, a name alone stands in its root, and a path that does not begin there is none.
      const written = path.text.slice(path.text.lastIndexOf(")") + 1).replace(/\/+$/, "");
      if (written === "") return { directory: true, size: 0 };
      if (written.includes("/") && !written.startsWith("/")) return null;
      const asked = await machine.ask(() =>
        machine.host.entry(device, written.startsWith("/") ? written : `/${written}`),
      );
      return "error" in asked ? null : asked.answer;
    },
    unanswered: (reason) => machine.report(`test ${reason}`),
  });
  return value ? grubStatus.none : grubStatus.testFailure;
}

/** `regexp [--set [NUMBER:]NAME]… REGEXP STRING` (commands/regexp.c). */
export function regexp(machine: Machine, { words }: CommandCall): number {
  const parsed = parseArguments(words, [{ long: "set", short: "s", value: "required" }]);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `regexp: ${parsed}`);
  const [pattern, text, ...more] = parsed.operands;
  if (pattern === undefined || text === undefined || more.length > 0) {
    return machine.fail(grubStatus.badArgument, "regexp: two arguments expected");
  }
  let groups: readonly (string | null)[] | null;
  try {
    groups = compileRegularExpression(pattern.text).match(text.text, (steps) => machine.budget.spend(steps));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    machine.refuse(error.message);
    return grubStatus.testFailure;
  }
  if (groups === null) return grubStatus.testFailure;
  for (const name of parsed.options.get("set") ?? []) {
    if (name === null) continue;
    const status = setMatch(machine, name.text, groups, inputsOf([pattern, text, name]));
    if (status !== grubStatus.none) return status;
  }
  return grubStatus.none;
}

function setMatch(machine: Machine, name: string, groups: readonly (string | null)[], inputs: Inputs): number {
  const colon = name.indexOf(":");
  const number = colon < 0 ? 1 : wholeNumber({ text: name.slice(0, colon), inputs });
  if (number === null) return machine.fail(grubStatus.badArgument, `regexp --set ${quote(name)}: NUMBER:NAME expected`);
  const group = groups[number] ?? null;
  if (group === null) unsetVariable(machine, name.slice(colon + 1), inputs);
  else machine.assign(name.slice(colon + 1), group, inputs);
  return grubStatus.none;
}

/** `source FILE`, `. FILE`: in the context at hand. GRUB returns 0 whether or not there is such a file. */
export async function source(machine: Machine, { words }: CommandCall): Promise<number> {
  const [file] = words;
  if (file === undefined || words.length > 1) return machine.fail(grubStatus.badArgument, "source: one file expected");
  await machine.runConfig(file, "source");
  return grubStatus.none;
}

/**
 * `configfile FILE`: in a context of its own, which starts with the exported variables (normal/context.c). A menu that
 * the file makes is shown at once, so nothing behind the command runs before somebody leaves that menu.
 */
export async function configFile(machine: Machine, { words }: CommandCall): Promise<number> {
  const [file] = words;
  if (file === undefined || words.length > 1)
    return machine.fail(grubStatus.badArgument, "configfile: one file expected");
  await inContextOfItsOwn(machine, (open) => machine.runConfig(file, "configfile", open));
  return grubStatus.none;
}

/** Runs a file in a new context, which `open` begins; the menu that it makes is shown at once. */
export async function inContextOfItsOwn(
  machine: Machine,
  run: (open: (config: GrubFile) => void) => Promise<void>,
): Promise<void> {
  const { variables, menu } = machine;
  const draft: MenuDraft = { config: machine.place.file, items: [] };
  await run((config) => {
    draft.config = config;
    machine.variables = variables.exported();
    machine.menu = draft;
  });
  if (machine.menu === draft && draft.items.length > 0) {
    machine.shown = true;
    machine.stopped = true;
  } else if (!machine.stopped) {
    machine.variables = variables;
    machine.menu = menu;
  }
}

const barred = "GRUB runs no command of an entry in a menu that an extractor shows";

/**
 * `extract_entries_source FILE` and `extract_entries_configfile FILE` (commands/configfile.c): of a file's commands only those run
 * that make entries. The first adds these to the menu at hand; variables are those of a copy of the context. The second
 * shows them as a menu of their own, in which no command runs, so that none of its entries boots.
 */
export async function extractEntries(machine: Machine, { name, words }: CommandCall): Promise<number> {
  const [file] = words;
  if (file === undefined || words.length > 1) return machine.fail(grubStatus.badArgument, `${name}: one file expected`);
  await extractFrom(machine, name, (open) => machine.runConfig(file, name, open));
  return grubStatus.none;
}

/** `name` says by its ending where the entries go: `…source` or `…configfile`. */
export async function extractFrom(
  machine: Machine,
  name: string,
  run: (open: (config: GrubFile) => void) => Promise<void>,
): Promise<void> {
  if (name.endsWith("configfile")) {
    await inContextOfItsOwn(machine, (open) => machine.extracting(() => run(open)));
    if (machine.shown && machine.menu !== null) {
      machine.menu.items.splice(0, Infinity, ...machine.menu.items.map((item) => ({ ...item, barred })));
    }
    return;
  }
  const { variables, menu } = machine;
  const draft: MenuDraft = { config: machine.place.file, items: [] };
  await machine.extracting(() =>
    run(() => {
      machine.variables = variables.copy();
      machine.menu = draft;
    }),
  );
  machine.variables = variables;
  machine.menu = menu;
  if (menu !== null) menu.items.push(...draft.items);
  else if (draft.items.length > 0) machine.fail(grubStatus.menu, `${name} inside an entry that is no sub-menu`);
}

/** `normal [FILE]`: the file's entries join the menu at hand, which is then shown; GRUB does not come back from it. */
export async function normal(machine: Machine, { words }: CommandCall): Promise<number> {
  const prefix = machine.variables.get("prefix") ?? { text: "", inputs: new Set() };
  const file = words[0] ?? { text: `${prefix.text}/grub.cfg`, inputs: joinInputs(prefix.inputs) };
  const draft = machine.menu ?? { config: machine.place.file, items: [] };
  const before = draft.items.length;
  await machine.runConfig(file, "normal", (config) => {
    if (before === 0) draft.config = config;
    machine.menu = draft;
  });
  if (machine.shown) return grubStatus.none;
  if (draft.items.length > 0) machine.shown = true;
  else machine.refuse("normal: there is no menu, so GRUB would open its command line");
  machine.stopped = true;
  return grubStatus.none;
}

const entryOptions: readonly OptionDefinition[] = [
  { long: "class", value: "required" },
  { long: "users", value: "optional" },
  { long: "hotkey", value: "required" },
  { long: "source", value: "required" },
  { long: "id", value: "required" },
  { long: "unrestricted", value: "none" },
];

/** `menuentry` and `submenu` (commands/menuentry.c). */
export function menuEntry(machine: Machine, { name, words, block, place }: CommandCall): number {
  const parsed = parseArguments(words, entryOptions, { acceptDash: true });
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `${name}: ${parsed}`);
  const text = optionValue(parsed, "source");
  const [title] = parsed.operands;
  if (text !== null && block !== null) return machine.fail(grubStatus.badArgument, `${name}: commands given twice`);
  const body =
    text === null ? (block?.source() ?? null) : { file: place.file, lines: textLines(text.text, place.line) };
  if (body === null) return machine.fail(grubStatus.badArgument, `${name}: no commands in braces`);
  if (title === undefined) return machine.fail(grubStatus.menu, `${name}: the title is missing`);
  const users = parsed.options.get("users")?.at(-1) ?? null;
  return machine.addItem(name, {
    title,
    id: optionValue(parsed, "id"),
    parameters: parsed.operands,
    classes: (parsed.options.get("class") ?? []).map((word) => word?.text ?? ""),
    hotkey: optionValue(parsed, "hotkey")?.text ?? null,
    restricted: users !== null || !parsed.options.has("unrestricted"),
    submenu: name === "submenu",
    body,
    place,
    inputs: inputsOf(words),
    ambient: machine.ambient,
    bls: null,
  });
}
