import { FormatError, quote } from "../format-error.ts";
import { inputsOf, type OptionDefinition, optionValue, type ParsedArguments, parseArguments } from "./arguments.ts";
import { fileKey } from "./ast.ts";
import { parseEnvironment } from "./environment.ts";
import { isHarmlessText } from "./harmless-text.ts";
import type { GrubDevice } from "./host.ts";
import { type EnvironmentInput, type Inputs, joinInputs, noInputs, type Tainted } from "./inputs.ts";
import type { CommandCall, Machine } from "./machine.ts";
import { grubStatus } from "./status.ts";

const searchOptions: readonly OptionDefinition[] = [
  { long: "file", short: "f", value: "none" },
  { long: "label", short: "l", value: "none" },
  { long: "fs-uuid", short: "u", value: "none" },
  { long: "set", short: "s", value: "optional" },
  { long: "no-floppy", short: "n", value: "none" },
  { long: "efidisk-only", value: "none" },
  { long: "root-dev-only", short: "r", value: "none" },
  { long: "hint", short: "h", value: "required" },
  { long: "hint-ieee1275", value: "required" },
  { long: "hint-bios", value: "required" },
  { long: "hint-baremetal", value: "required" },
  { long: "hint-efi", value: "required" },
  { long: "hint-arc", value: "required" },
];

type SearchKind = "file" | "label" | "fs-uuid";

/** `search` (commands/search_wrap.c). Floppies and non-EFI disks are not known here; hints only say what to try first. */
export async function search(machine: Machine, { words }: CommandCall): Promise<number> {
  const parsed = parseArguments(words, searchOptions, { acceptDash: true });
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `search: ${parsed}`);
  const kind = (["label", "fs-uuid", "file"] as const).find((name) => parsed.options.has(name));
  const set = parsed.options.has("set");
  let variable = set ? (optionValue(parsed, "set")?.text ?? "root") : null;
  // Hints for platforms that do not exist yet.
  let key = parsed.operands.find(({ text }) => !text.startsWith("--hint-"));
  if (key === undefined && set) {
    key = optionValue(parsed, "set") ?? undefined;
    variable = "root";
  }
  if (key === undefined) return machine.fail(grubStatus.badArgument, "search: one argument expected");
  if (kind === undefined) {
    return machine.fail(grubStatus.invalidCommand, "search: --file, --label or --fs-uuid expected");
  }
  if (parsed.options.has("root-dev-only")) {
    machine.refuse("search --root-dev-only: the device that GRUB was started from is not known");
    return grubStatus.notImplemented;
  }
  return find(machine, kind, key, variable, hintsOf(machine, parsed), inputsOf(words));
}

/** `search.file`, `search.fs_label`, `search.fs_uuid`: NAME [VARIABLE [HINT…]] (commands/search.c). */
export async function searchShort(machine: Machine, { name, words }: CommandCall): Promise<number> {
  const [key, variable, ...hints] = words;
  if (key === undefined) return machine.fail(grubStatus.badArgument, `${name}: one argument expected`);
  const kind = name === "search.file" ? "file" : name === "search.fs_label" ? "label" : "fs-uuid";
  return find(machine, kind, key, variable?.text ?? null, hints, inputsOf(words));
}

function hintsOf(machine: Machine, parsed: ParsedArguments): Tainted[] {
  const ofPlatform = new Map([
    ["ieee1275", "hint-ieee1275"],
    ["efi", "hint-efi"],
    ["pc", "hint-bios"],
    ["arc", "hint-arc"],
  ]).get(machine.host.platform);
  return ["hint", ofPlatform ?? "hint", "hint-baremetal"]
    .flatMap((name, index) => (index === 1 && name === "hint" ? [] : (parsed.options.get(name) ?? [])))
    .filter((hint) => hint !== null);
}

async function find(
  machine: Machine,
  kind: SearchKind,
  key: Tainted,
  variable: string | null,
  hints: readonly Tainted[],
  inputs: Inputs,
): Promise<number> {
  const give = (device: GrubDevice): number => {
    if (variable === null) machine.print(` ${device.name}`);
    else machine.assign(variable, device.name, inputs);
    return grubStatus.none;
  };
  const tried = new Set<string>();
  for (const device of [...hints.flatMap(({ text }) => hintedDevices(machine, text)), ...machine.host.devices]) {
    if (tried.has(device.name)) continue;
    tried.add(device.name);
    if (await isSearched(machine, kind, key.text, device)) return give(device);
  }
  // Its files were looked at; its label and its UUID can be any.
  if (kind !== "file" && machine.host.unknown !== null) return give(machine.host.unknown);
  return machine.fail(grubStatus.fileNotFound, `search: no device with ${kind} ${quote(key.text)}`);
}

/** The device, or with a comma behind it the device and its partitions. */
function hintedDevices(machine: Machine, hint: string): GrubDevice[] {
  const name = hint.endsWith(",") ? hint.slice(0, -1) : hint;
  const device = machine.host.device(name);
  const partitions = hint.endsWith(",") ? machine.host.devices.filter((other) => other.name.startsWith(hint)) : [];
  return device === null ? partitions : [device, ...partitions];
}

async function isSearched(machine: Machine, kind: SearchKind, key: string, device: GrubDevice): Promise<boolean> {
  machine.budget.spend(1);
  if (kind === "fs-uuid") return device.fsUuid !== null && device.fsUuid.toLowerCase() === key.toLowerCase();
  if (kind === "label") return device.label === key;
  const { found } = await machine.locate({ text: `(${device.name})${key}`, inputs: noInputs });
  return found !== null && found.type === "file";
}

const probeOptions: readonly OptionDefinition[] = [
  { long: "set", short: "s", value: "required" },
  { long: "driver", short: "d", value: "none" },
  { long: "partmap", short: "p", value: "none" },
  { long: "fs", short: "f", value: "none" },
  { long: "fs-uuid", short: "u", value: "none" },
  { long: "label", short: "l", value: "none" },
  { long: "part-uuid", value: "none" },
];

/** `probe [--set NAME] WHAT DEVICE` (commands/probe.c). */
export function probe(machine: Machine, { words }: CommandCall): number {
  const parsed = parseArguments(words, probeOptions);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `probe: ${parsed}`);
  const [word] = parsed.operands;
  if (word === undefined) return machine.fail(grubStatus.badArgument, "probe: a device expected");
  const { text } = word;
  const device = machine.host.device(text.startsWith("(") && text.endsWith(")") ? text.slice(1, -1) : text);
  if (device === null) return machine.fail(grubStatus.unknownDevice, `probe: no device ${quote(text)} is known`);
  if (parsed.options.has("driver")) {
    machine.refuse("probe --driver: there are no GRUB drivers here");
    return grubStatus.notImplemented;
  }
  const answer = probeAnswer(parsed, device);
  if (answer === undefined) return machine.fail(grubStatus.badArgument, "probe: what to tell of the device expected");
  if (answer === null)
    return machine.fail(grubStatus.notImplemented, `probe: (${device.name}) has none or it is not known`);
  const variable = optionValue(parsed, "set");
  if (!isHarmlessText(answer)) {
    return machine.fail(
      grubStatus.notImplemented,
      `probe: ${quote(answer)} of (${device.name}): text without white space and quotes expected`,
    );
  }
  if (variable === null) machine.print(answer);
  else machine.assign(variable.text, answer, inputsOf(words));
  return grubStatus.none;
}

/** Undefined: nothing was asked for; null: the device has none. */
function probeAnswer(parsed: ParsedArguments, device: GrubDevice): string | null | undefined {
  if (parsed.options.has("partmap")) return device.partitionMap ?? "none";
  if (parsed.options.has("part-uuid")) return device.partUuid ?? "none";
  if (parsed.options.has("fs")) return device.filesystem;
  if (parsed.options.has("fs-uuid")) return device.fsUuid;
  if (parsed.options.has("label")) return device.label;
  return undefined;
}

const environmentOptions: readonly OptionDefinition[] = [
  { long: "file", short: "f", value: "required" },
  { long: "skip-sig", short: "s", value: "none" },
];

/**
 * `load_env [--file FILE] [--skip-sig] [NAME…]` (commands/loadenv.c). With names, only these are set. The block is never
 * signed, so each variable is marked as an unsigned input.
 */
export async function loadEnvironment(machine: Machine, { words }: CommandCall): Promise<number> {
  const parsed = parseArguments(words, environmentOptions);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `load_env: ${parsed}`);
  const prefix = machine.variables.get("prefix");
  const word = optionValue(parsed, "file") ?? {
    text: `${prefix?.text ?? ""}/grubenv`,
    inputs: prefix?.inputs ?? noInputs,
  };
  const { use, device, found, inputs } = await machine.locate(word);
  if (device === null || found === null) {
    return machine.fail(grubStatus.fileNotFound, `load_env: ${use.problem ?? "not found"}`);
  }
  const asked = await machine.ask(() => machine.readText(device, use, found, machine.limits.environmentBytesMax));
  if ("error" in asked) return machine.fail(grubStatus.fileReadError, `load_env: ${asked.error}`);
  const file = { device: device.name, path: found.path };
  machine.session.environments.set(fileKey(file), { file, bytes: asked.answer });
  const wanted = new Set(parsed.operands.map(({ text }) => text));
  try {
    for (const { name, value } of parseEnvironment(asked.answer)) {
      if (wanted.size > 0 && !wanted.has(name)) continue;
      machine.budget.spend(1);
      machine.assign(name, value, joinInputs(inputs, new Set([environmentInput(machine, file, name)])));
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return machine.fail(grubStatus.badFileType, `load_env ${quote(use.written)}: ${error.detail}`);
  }
  return grubStatus.none;
}

function environmentInput(machine: Machine, file: EnvironmentInput["file"], variable: string): EnvironmentInput {
  const key = `${fileKey(file)}\n${variable}`;
  const known = machine.session.environmentInputs.get(key) ?? { variable, file };
  machine.session.environmentInputs.set(key, known);
  return known;
}

export function saveEnvironment(machine: Machine, { words }: CommandCall): number {
  const parsed = parseArguments(words, environmentOptions);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `save_env: ${parsed}`);
  if (parsed.operands.length === 0) return machine.fail(grubStatus.badArgument, "save_env: a variable expected");
  const names = parsed.operands.map(({ text }) => text).join(" ");
  machine.note(`save_env ${names}: not carried out, nothing on a disk changes`);
  return grubStatus.none;
}

/** `cpuid [--long-mode|--pae]`: an x86_64 machine has both; of another one it is not known. */
export function cpuid(machine: Machine, { words }: CommandCall): number {
  const parsed = parseArguments(words, [
    { long: "long-mode", short: "l", value: "none" },
    { long: "pae", short: "p", value: "none" },
  ]);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `cpuid: ${parsed}`);
  return machine.host.cpu === "x86_64" ? grubStatus.none : grubStatus.testFailure;
}

/** Ubuntu's `hwmatch FILE CLASS` (its gfx-payload list): no device is on the list. */
export function matchHardware(machine: Machine): number {
  machine.assign("match", "0");
  return grubStatus.none;
}

/** `fwsetup [--is-supported]`: the firmware's set-up is not entered from here. */
export function firmwareSetup(machine: Machine, { words }: CommandCall): number {
  if (words[0]?.text === "--is-supported") return grubStatus.testFailure;
  machine.refuse("fwsetup: enters the firmware's settings, not a Linux kernel");
  return grubStatus.notImplemented;
}
