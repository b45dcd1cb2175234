import { FormatError, quote } from "../format-error.ts";
import { inputsOf, type OptionDefinition, optionValue, type ParsedArguments, parseArguments } from "./arguments.ts";
import { fileKey, type GrubFile } from "./ast.ts";
import { type EnvironmentLine, parseEnvironment } from "./environment.ts";
import { isHarmlessText } from "./harmless-text.ts";
import type { GrubDevice } from "./host.ts";
import { type EnvironmentInput, type Inputs, joinInputs, noInputs, type Tainted } from "./inputs.ts";
import { type CommandCall, type Machine, unknownDevice } from "./machine.ts";
import { LimitError } from "./problem.ts";
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
  const disk = parsed.options.has("root-dev-only") ? diskOf(machine.variables.text("root")) : null;
  return find(machine, kind, key, variable, hintsOf(machine, parsed), inputsOf(words), disk);
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
  /** The one whose volumes are looked at; null: all. */
  disk: string | null = null,
): Promise<number> {
  const cached = `${kind} ${disk ?? ""} ${key.text}`;
  const give = (name: string): number => {
    const { searches } = machine.globals;
    if (searches.has(cached) || searches.size < machine.limits.searchesMax) {
      machine.globals.searches = new Map(searches).set(cached, name);
    }
    if (variable === null) machine.print(` ${name}`);
    else machine.assign(variable, name, joinInputs(inputs, machine.inputsOfDevice(name)));
    return grubStatus.none;
  };
  // What the same search has found before is asked first, whatever the hints (commands/search.c, `cache`).
  const before = machine.globals.searches.get(cached);
  const known = before === undefined ? null : machine.device(before);
  if (before !== undefined && known !== null && (await isSearched(machine, kind, key.text, before, known))) {
    return give(before);
  }
  const tried = new Set<string>();
  const hinted = hints.flatMap(({ text }) => hintedDevices(machine, text));
  for (const { name, device } of [...hinted, ...machine.devices]) {
    if (tried.has(name) || (disk !== null && diskOf(name) !== disk)) continue;
    tried.add(name);
    if (await isSearched(machine, kind, key.text, name, device)) return give(name);
  }
  // Its files were looked at; its label and its UUID can be any.
  if (kind !== "file" && machine.host.unknown !== null) return give(machine.host.unknown.name);
  return machine.fail(grubStatus.fileNotFound, `search: no device with ${kind} ${quote(key.text)}`);
}

/** The name of a device's disk. */
function diskOf(device: string): string {
  return device.split(",")[0] ?? "";
}

/** The device, or with a comma behind it the device and its partitions. */
function hintedDevices(machine: Machine, hint: string): { readonly name: string; readonly device: GrubDevice }[] {
  const written = hint.endsWith(",") ? hint.slice(0, -1) : hint;
  const device = machine.device(written);
  // Those of a hinted disk are taken from the first on.
  const partitions = hint.endsWith(",") ? machine.devices.filter(({ name }) => name.startsWith(hint)).toReversed() : [];
  if (device === null) return partitions;
  // GRUB goes on with the name that the hint gave.
  return [{ name: written, device }, ...partitions];
}

async function isSearched(
  machine: Machine,
  kind: SearchKind,
  key: string,
  name: string,
  device: GrubDevice,
): Promise<boolean> {
  machine.budget.spend(1);
  if (kind === "fs-uuid") return device.fsUuid !== null && device.fsUuid.toLowerCase() === key.toLowerCase();
  if (kind === "label") return device.label === key;
  const { found } = await machine.locate({ text: `(${name})${key}`, inputs: noInputs });
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
  const name = text.startsWith("(") && text.endsWith(")") ? text.slice(1, -1) : text;
  const device = machine.device(name);
  if (device === null) return machine.fail(grubStatus.badDevice, `probe: no device ${unknownDevice(name)}`);
  if (parsed.options.has("driver")) {
    machine.refuse("probe --driver: there are no GRUB drivers here");
    return grubStatus.notImplemented;
  }
  const answer = probeAnswer(parsed, device);
  if (answer === undefined) return machine.fail(grubStatus.badArgument, "probe: what to tell of the device expected");
  if (answer === null) return machine.fail(grubStatus.notImplemented, `probe: (${name}) has none or it is not known`);
  const variable = optionValue(parsed, "set");
  if (!isHarmlessText(answer)) {
    return machine.fail(
      grubStatus.notImplemented,
      `probe: ${quote(answer)} of (${name}): text without white space and quotes expected`,
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
  const block = await readBlock(machine, "load_env", parsed);
  if (typeof block === "number") return block;
  const { file, inputs } = block;
  const saved = machine.globals.saved.get(fileKey(file)) ?? new Map();
  const wanted = new Set(parsed.operands.map(({ text }) => text));
  const isWanted = (name: string): boolean => wanted.size === 0 || wanted.has(name);
  for (const { name, value, line } of block.variables) {
    if (!isWanted(name) || saved.has(name)) continue;
    machine.budget.spend(1);
    const read = joinInputs(inputs, new Set([environmentInput(machine, file, name)]), machine.ambient);
    machine.variables.set(name, value, read, { file, line });
  }
  // What save_env would have put into the block before.
  for (const [name, value] of saved) {
    if (value === null || !isWanted(name)) continue;
    machine.budget.spend(1);
    machine.assign(name, value.text, joinInputs(inputs, value.inputs));
  }
  return grubStatus.none;
}

interface ReadBlock {
  readonly file: GrubFile;
  readonly inputs: Inputs;
  readonly variables: readonly EnvironmentLine[];
}

/** The environment block that a command means; a status where it cannot be read. */
async function readBlock(machine: Machine, command: string, parsed: ParsedArguments): Promise<ReadBlock | number> {
  const prefix = machine.variables.get("prefix");
  const word = optionValue(parsed, "file") ?? {
    text: `${prefix?.text ?? ""}/grubenv`,
    inputs: prefix?.inputs ?? noInputs,
  };
  const { use, device, found, inputs } = await machine.locate(word);
  if (device === null || found === null) {
    return machine.fail(grubStatus.fileNotFound, `${command}: ${use.problem ?? "not found"}`);
  }
  const asked = await machine.ask(() => machine.readText(device, use, found, machine.limits.environmentBytesMax));
  if ("error" in asked) return machine.fail(grubStatus.fileReadError, `${command}: ${asked.error}`);
  const file = { device: device.name, path: found.path };
  const { environments } = machine.session;
  const { environmentsMax } = machine.limits;
  if (!environments.has(fileKey(file)) && environments.size >= environmentsMax) {
    throw new LimitError(`${command} ${quote(use.written)}: more than ${environmentsMax} environment blocks are read`);
  }
  environments.set(fileKey(file), { file, bytes: asked.answer });
  try {
    return { file, inputs, variables: parseEnvironment(asked.answer) };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return machine.fail(grubStatus.badFileType, `${command} ${quote(use.written)}: ${error.detail}`);
  }
}

function environmentInput(machine: Machine, file: EnvironmentInput["file"], variable: string): EnvironmentInput {
  const key = `${fileKey(file)}\n${variable}`;
  const known = machine.session.environmentInputs.get(key) ?? { variable, file };
  machine.session.environmentInputs.set(key, known);
  return known;
}

/** `save_env [--file FILE] NAME…`: nothing is written, but what is loaded from the block later has the values. */
export async function saveEnvironment(machine: Machine, { words }: CommandCall): Promise<number> {
  const parsed = parseArguments(words, environmentOptions);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `save_env: ${parsed}`);
  if (parsed.operands.length === 0) return machine.fail(grubStatus.badArgument, "save_env: a variable expected");
  const block = await readBlock(machine, "save_env", parsed);
  if (typeof block === "number") return block;
  const key = fileKey(block.file);
  const values = new Map(machine.globals.saved.get(key) ?? []);
  for (const { text } of parsed.operands) values.set(text, machine.variables.get(text));
  machine.globals.saved = new Map(machine.globals.saved).set(key, values);
  const names = parsed.operands.map(({ text }) => text).join(" ");
  machine.note(`save_env ${names}: not carried out, nothing on a disk changes`);
  return grubStatus.none;
}

const loopbackOptions: readonly OptionDefinition[] = [
  { long: "delete", short: "d", value: "none" },
  { long: "decompress", short: "D", value: "none" },
];

/** `loopback NAME FILE` and `loopback -d NAME` (disk/loopback.c): a file's filesystem becomes a device. */
export async function loopback(machine: Machine, { words }: CommandCall): Promise<number> {
  const parsed = parseArguments(words, loopbackOptions);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `loopback: ${parsed}`);
  const [name, file] = parsed.operands;
  if (name === undefined) return machine.fail(grubStatus.badArgument, "loopback: a name expected");
  const { images } = machine.globals;
  if (parsed.options.has("delete")) {
    if (!images.has(name.text)) return machine.fail(grubStatus.badDevice, `loopback: no image ${quote(name.text)}`);
    machine.globals.images = new Map([...images].filter(([known]) => known !== name.text));
    return grubStatus.none;
  }
  if (file === undefined) return machine.fail(grubStatus.badArgument, "loopback: a file expected");
  if (images.has(name.text)) {
    return machine.fail(grubStatus.badArgument, `loopback: an image ${quote(name.text)} is open already`);
  }
  if (images.size >= machine.limits.imagesMax) {
    machine.refuse(`loopback ${quote(name.text)}: at most ${machine.limits.imagesMax} images are opened`);
    return grubStatus.outOfRange;
  }
  const { use, device, found, inputs } = await machine.locate(file);
  if (device === null || found === null) {
    return machine.fail(grubStatus.fileNotFound, `loopback: ${use.problem ?? "not found"}`);
  }
  const asked = await machine.ask(() => machine.host.openImage(device, use.writtenPath));
  if ("error" in asked) return machine.fail(grubStatus.badDevice, `loopback: ${asked.error}`);
  const image = { device: asked.answer, inputs: joinInputs(name.inputs, inputs) };
  machine.globals.images = new Map([[name.text, image], ...images]);
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
