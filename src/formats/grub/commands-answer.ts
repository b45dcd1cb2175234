import { inputsOf, optionValue, parseArguments } from "./arguments.ts";
import type { CommandCall, CommandRun, Machine } from "./machine.ts";
import { grubStatus } from "./status.ts";

/** A question that is not answered here: the command fails, as it does in GRUB where there is no answer. */
export function unanswered(reason: string, status: number): CommandRun {
  return (machine, { name }) => machine.fail(status, `${name}: ${reason}`);
}

/** `tr [--set=NAME] SET1 SET2 TEXT`, `tr --upcase TEXT`, `tr --downcase TEXT` (commands/tr.c). */
export function translate(machine: Machine, { words }: CommandCall): number {
  const parsed = parseArguments(words, [
    { long: "set", short: "s", value: "required" },
    { long: "upcase", short: "U", value: "none" },
    { long: "downcase", short: "D", value: "none" },
  ]);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `tr: ${parsed}`);
  const texts = parsed.operands.map(({ text }) => text);
  const lower = "abcdefghijklmnopqrstuvwxyz";
  const upper = lower.toUpperCase();
  const [text] = texts;
  let sets: readonly string[] = texts.slice(0, 2);
  let source = texts[2];
  if (parsed.options.has("upcase") || parsed.options.has("downcase")) {
    sets = parsed.options.has("upcase") ? [lower, upper] : [upper, lower];
    source = text;
  }
  const [from, to] = sets;
  if (from === undefined || to === undefined || source === undefined) {
    return machine.fail(grubStatus.badArgument, "tr: two sets and a text expected");
  }
  if (from.length !== to.length) return machine.fail(grubStatus.badArgument, "tr: two sets of one length expected");
  const translated = [...source].map((character) => to[from.indexOf(character)] ?? character).join("");
  const variable = optionValue(parsed, "set");
  if (variable === null) machine.print(`${translated}\n`);
  else machine.assign(variable.text, translated, inputsOf(words));
  return grubStatus.none;
}

/** `time COMMAND WORD…`: runs the command. */
export async function time(machine: Machine, call: CommandCall): Promise<number> {
  const [name, ...words] = call.words;
  if (name === undefined) return machine.fail(grubStatus.badArgument, "time: a command expected");
  return machine.runCommand({ ...call, name: name.text, words });
}

/** `date` shows the time; `date WHEN` sets the machine's clock. */
export function date(machine: Machine, { words }: CommandCall): number {
  if (words.length > 0) machine.refuse("date: sets the machine's clock");
  return words.length > 0 ? grubStatus.notImplemented : grubStatus.none;
}

/** `hiddenentry` of openSUSE's GRUB: an entry that only its key opens, and that no number counts. */
export function hiddenEntry(machine: Machine, { words }: CommandCall): number {
  machine.note(`hiddenentry ${words[0]?.text ?? ""}: not offered, a key opens it`);
  return grubStatus.none;
}
