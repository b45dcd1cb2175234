import { quote } from "../format-error.ts";
import { inputsOf } from "./arguments.ts";
import type { SourceLine } from "./ast.ts";
import { type BlsFragment, compareFragmentNames, expandBlsValue, firstLine, parseBlsFragment } from "./bls-fragment.ts";
import { isHarmlessText } from "./harmless-text.ts";
import { type Inputs, joinInputs, type Tainted } from "./inputs.ts";
import { type BlsItem, type CommandCall, type Located, type Machine, usedVariable } from "./machine.ts";
import type { UsedVariable } from "./menu.ts";
import { leadingNumber } from "./number.ts";
import { grubStatus } from "./status.ts";

/** Where entry files are when `$blsdir` is not set, and where they are looked for when there is no such directory. */
const defaultDirectory = "/loader/entries/";
const fallbackDirectory = "/boot/loader/entries/";

/**
 * `blscfg [default | non-default | (DEVICE)DIRECTORY | (DEVICE)FILE.conf | ID]`: the module of the GRUB that Fedora and Red Hat
 * ship (rhboot/grub2, commands/blscfg.c). It reads the entry files of `$blsdir` on `$root` and adds to the menu those that no
 * call before has added.
 */
export async function blscfg(machine: Machine, { words }: CommandCall): Promise<number> {
  machine.session.usesBls = true;
  const [word] = words.length === 1 ? words : [];
  const isPath = word?.text.startsWith("(") === true;
  const status = await readFragments(machine, isPath ? word : null);
  if (status !== grubStatus.none) return status;
  const wanted = isPath ? undefined : word;
  const chosen = machine.variables.get("default");
  for (const [index, fragment] of machine.globals.fragments.entries()) {
    if (machine.globals.shownFragments.has(fragment.name)) continue;
    const isDefault = isDefaultEntry(chosen?.text ?? null, fragment, index);
    if (wanted?.text === "default" && !isDefault) continue;
    if (wanted?.text === "non-default" && isDefault) continue;
    if (wanted !== undefined && !["default", "non-default", fragment.name].includes(wanted.text)) continue;
    machine.globals.shownFragments = new Set([...machine.globals.shownFragments, fragment.name]);
    addEntry(
      machine,
      fragment,
      joinInputs(inputsOf(words), wanted === undefined ? new Set() : (chosen?.inputs ?? new Set())),
    );
  }
  return grubStatus.none;
}

async function readFragments(machine: Machine, word: Tainted | null): Promise<number> {
  if (word?.text.endsWith(".conf") === true) {
    const located = await machine.locate(word);
    if (located.found === null) return machine.fail(grubStatus.fileNotFound, `blscfg: ${located.use.problem}`);
    await readFragment(machine, located);
    return grubStatus.none;
  }
  const root = machine.variables.get("root");
  if (word === null && root === null) return machine.fail(grubStatus.fileNotFound, "blscfg: root is not set");
  const set = machine.variables.get("blsdir");
  const first = word ?? set ?? { text: defaultDirectory, inputs: new Set() };
  const places = [first, ...(word === null ? [{ text: fallbackDirectory, inputs: new Set<never>() }] : [])];
  for (const place of places) {
    const located = await machine.locate(place);
    if (located.device === null) return machine.fail(grubStatus.unknownDevice, `blscfg: ${located.use.problem}`);
    if (located.found?.type !== "directory") continue;
    await readDirectory(machine, place);
    return grubStatus.none;
  }
  machine.report(`blscfg: no directory of entries: ${places.map(({ text }) => quote(text)).join(" nor ")}`);
  return grubStatus.none;
}

async function readDirectory(machine: Machine, directory: Tainted): Promise<void> {
  const all = (await machine.names(directory)).filter((name) => name.length > 5 && /^[^.].*\.conf$/s.test(name));
  // Nobody signs a name, and scripts see it as the entry's.
  const names = all.filter(isHarmlessText);
  const others = all.length - names.length;
  if (others > 0) machine.report(`blscfg: ${others} files whose names have white space, quotes or the like`);
  const { entriesMax } = machine.limits;
  for (const [index, name] of names.entries()) {
    if (index >= entriesMax) {
      machine.report(`blscfg: at most ${entriesMax} entry files are read`);
      return;
    }
    const path = { text: `${directory.text.replace(/\/$/, "")}/${name}`, inputs: directory.inputs };
    await readFragment(machine, await machine.locate(path));
  }
}

/** A file that cannot be read costs its entry; one whose name is like another's in all that is compared counts once. */
async function readFragment(machine: Machine, { device, found, use, inputs }: Located): Promise<void> {
  if (device === null || found === null) return machine.report(`blscfg: ${use.problem ?? "not found"}`);
  const name = found.path.slice(found.path.lastIndexOf("/") + 1).replace(/\.conf$/, "");
  const { fragments } = machine.globals;
  const at = placeOf(fragments, name);
  if (at === null) return;
  const file = { device: device.name, path: found.path };
  const asked = await machine.ask(() => machine.readText(device, use, found, machine.limits.configBytesMax));
  if ("error" in asked) return machine.report(`blscfg: ${asked.error}`);
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(asked.answer);
  const parsed = parseBlsFragment(text);
  machine.budget.spend(parsed.lines.length);
  if (parsed.endsAt !== null) {
    machine.report("a line without a value: GRUB reads no further", { file, line: parsed.endsAt });
  }
  const fragment: BlsFragment = { name, config: { file, bytes: asked.answer }, inputs, ...parsed };
  machine.globals.fragments = fragments.toSpliced(at, 0, fragment);
}

/** Where a name belongs among those that were read, the newest first; null where one of them is the same. */
function placeOf(fragments: readonly BlsFragment[], name: string): number | null {
  let [start, end] = [0, fragments.length];
  while (start < end) {
    const middle = (start + end) >> 1;
    const order = compareFragmentNames(name, fragments[middle]?.name ?? "");
    if (order === 0) return null;
    if (order > 0) end = middle;
    else start = middle + 1;
  }
  return start;
}

function isDefaultEntry(chosen: string | null, fragment: BlsFragment, index: number): boolean {
  if (chosen === null) return false;
  const title = firstLine(fragment, "title")?.value;
  return chosen === fragment.name || chosen === title || leadingNumber(chosen)?.value === index;
}

/** The variables that an entry's values are made from while it is made. */
class Expansion {
  readonly #machine: Machine;
  readonly variables: UsedVariable[] = [];
  inputs: Inputs = new Set();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  variable(name: string): string | null {
    const value = name === "" ? null : this.#machine.variables.get(name);
    if (value === null) return null;
    this.inputs = joinInputs(this.inputs, value.inputs);
    this.variables.push(usedVariable(name, value));
    return value.text;
  }

  expand(value: string | null): string | null {
    return value === null ? null : expandBlsValue(value, (name) => this.variable(name));
  }
}

/** Writes the commands of an entry as the module does; GRUB runs them when the entry is chosen. */
function addEntry(machine: Machine, fragment: BlsFragment, inputs: Inputs): void {
  const { file } = fragment.config;
  const linux = firstLine(fragment, "linux");
  if (linux === null) {
    const efi = firstLine(fragment, "efi");
    const reason =
      efi === null ? 'no "linux" key: nothing to start' : `"efi" ${quote(efi.value)} starts an EFI program`;
    machine.report(`blscfg: ${reason}`, { file, line: efi?.line ?? 1 });
    return;
  }
  const expansion = new Expansion(machine);
  const lines: SourceLine[] = [];
  const add = (text: string, number: number): number => lines.push({ text, number });
  // Both are functions of the distribution's configuration, and GRUB passes over what is not there.
  const isTold = machine.variables.text("save_default") === "true";
  for (const name of [...(isTold ? ["savedefault"] : []), "load_video"]) {
    if (machine.functions.has(name)) add(name, linux.line);
  }
  add("set gfxpayload=keep", linux.line);
  const optionsLine = firstLine(fragment, "options");
  const options =
    expansion.expand(optionsLine?.value ?? null) ?? expansion.expand(expansion.variable("default_kernelopts"));
  add(`linux ($root)${linux.value}${options === null ? "" : ` ${options}`}`, linux.line);
  const initrds = initrdWords(fragment, linux.value, expansion);
  if (initrds.length > 0) add(`initrd ${initrds.join(" ")}`, firstLine(fragment, "initrd")?.line ?? linux.line);
  const devicetree = devicetreeWord(fragment, linux.value, expansion);
  if (devicetree !== null) add(`devicetree ${devicetree}`, firstLine(fragment, "devicetree")?.line ?? linux.line);
  const users = expansion.expand(firstLine(fragment, "grub_users")?.value ?? null);
  const all = joinInputs(inputs, fragment.inputs, expansion.inputs);
  const word = (text: string): Tainted => ({ text, inputs: all });
  const values = (key: string): string[] => fragment.lines.filter((line) => line.key === key).map(({ value }) => value);
  const title = word(firstLine(fragment, "title")?.value ?? linux.value);
  const { config } = fragment;
  const bls: BlsItem = {
    identity: {
      file,
      fileName: file.path.slice(file.path.lastIndexOf("/") + 1),
      version: firstLine(fragment, "version")?.value ?? null,
      architecture: firstLine(fragment, "architecture")?.value ?? null,
    },
    config,
    variables: expansion.variables,
  };
  machine.addItem("blscfg", {
    title,
    id: word(fragment.name),
    parameters: [title, ...values("grub_arg").map(word)],
    classes: values("grub_class"),
    hotkey: firstLine(fragment, "grub_hotkey")?.value ?? null,
    restricted: users !== null,
    submenu: false,
    body: { file, lines },
    place: { file, line: 1 },
    inputs: all,
    ambient: joinInputs(machine.ambient, all),
    bls,
  });
}

/** `early_initrd` names files beside the first initrd, or beside the kernel; they come first. */
function initrdWords(fragment: BlsFragment, linux: string, expansion: Expansion): string[] {
  const own = fragment.lines.filter(({ key }) => key === "initrd").map(({ value }) => value);
  const early = expansion.variable("early_initrd");
  const beside = own[0] ?? linux;
  const directory = beside.slice(0, beside.lastIndexOf("/") + 1);
  const names = early === null ? [] : early.split(" ");
  return [...names.map((name) => `($root)${directory}${name}`), ...own.map((value) => `($root)${value}`)];
}

/** The file's `devicetree`, else the one that the variable of that name puts beside the kernel. */
function devicetreeWord(fragment: BlsFragment, linux: string, expansion: Expansion): string | null {
  const own = expansion.expand(firstLine(fragment, "devicetree")?.value ?? null);
  if (own !== null) return `($root)${own}`;
  const name = expansion.expand(expansion.variable("devicetree"));
  return name === null ? null : `($root)${linux.slice(0, linux.lastIndexOf("/") + 1)}${name}`;
}
