import { messageOf } from "../formats/error-text.ts";
import { quote } from "../formats/format-error.ts";
import { fromByteText, shownText } from "../formats/ipxe/byte-text.ts";
import type { IpxeMachine, IpxeMenu } from "../formats/ipxe/host.ts";
import { defaultIpxeLimits } from "../formats/ipxe/limits.ts";
import { isUnknownSetting, machineBlocks } from "../formats/ipxe/machine-settings.ts";
import type { IpxeOutcome, IpxePlace, IpxeRun } from "../formats/ipxe/outcome.ts";
import { runIpxeScript } from "../formats/ipxe/run.ts";
import { type MachineDescription, unknownMachineDescription } from "../machine/machine-description.ts";
import {
  type ArchiveMember,
  type BootEntry,
  emptyMenu,
  type FileRef,
  type FoundMenu,
  type SkippedEntry,
  type SourcePlace,
} from "./entry.ts";
import type { Finder, FinderContext } from "./finder.ts";
import { IpxeDiskHost } from "./ipxe-host.ts";
import type { FileSource } from "./source.ts";

/** Directories of loaders on an EFI system partition; further ones are not looked at. */
export const ipxeDirectoriesMax = 20;
/** How often one script is run: once unattended, and once for each further item of its menus. */
export const ipxeRunsMax = 32;

/** Work of all runs of all scripts of a volume together, in the interpreter's steps. */
export const ipxeAllStepsMax = 1_000_000;

const scriptName = "autoexec.ipxe";
/** Where an iPXE may stand besides the directories of `/EFI`; it looks beside itself first, then at the root. */
const directories = ["/boot/ipxe", "/ipxe", "/boot", ""] as const;

/**
 * Finds iPXE scripts: each `autoexec.ipxe` that an iPXE on the volume would run (interface/efi/efi_autoexec.c). Ids are
 * `VOLUME:ipxe:/path`, with menus `VOLUME:ipxe:/path:LABEL`, the labels of menus that lead to it with `>` between them.
 */
export const ipxeFinder: Finder = {
  format: "ipxe",
  async find(context) {
    const { paths, skipped } = await scriptsOf(context.source);
    const found: FoundMenu[] = skipped.length === 0 ? [] : [emptyMenu(context.source.volume.name, "ipxe", skipped)];
    const budget = { steps: ipxeAllStepsMax };
    if (paths.length === 0) return found;
    const machine = machineOf(context.architecture, context.machine?.() ?? unknownMachineDescription);
    for (const path of paths) found.push(await new ScriptSearch(context, path, machine, budget).menu());
    return found;
  },
};

/** The scripts of a volume, each file once. */
async function scriptsOf(source: FileSource): Promise<{ paths: readonly string[]; skipped: readonly SkippedEntry[] }> {
  const paths: string[] = [];
  const skipped: SkippedEntry[] = [];
  const seen = new Set<string>();
  const look = async (path: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const place = { volume: source.volume.name, path, line: 1 };
      skipped.push({ source: place, title: null, reason: messageOf(error) });
    }
  };
  const candidates: string[] = [];
  await look("/EFI", async () => {
    const names = await source.list("/EFI");
    candidates.push(...names.slice(0, ipxeDirectoriesMax).map((name) => `/EFI/${name}`));
  });
  for (const directory of [...candidates, ...directories]) {
    const path = `${directory}/${scriptName}`;
    await look(path, async () => {
      if ((await source.stat(path))?.type !== "file") return;
      const real = (await source.realPath(path)) ?? path;
      if (!seen.has(real)) paths.push(path);
      seen.add(real);
    });
  }
  return { paths, skipped };
}

/** What an EFI build of iPXE says of the machine; every x86_64 processor has the features that are told. */
function machineOf(architecture: string, { smbios, network }: MachineDescription): IpxeMachine {
  const facts = { ...smbios, ...network };
  const is64 = architecture === "x86_64";
  const names: Readonly<Record<string, string>> = { aarch64: "arm64", i686: "i386", i586: "i386" };
  return {
    platform: "efi",
    buildArchitecture: names[architecture] ?? architecture,
    version: "1.21.1",
    blocks: machineBlocks(facts),
    isUnknown: (name) => isUnknownSetting(facts, name),
    pciDevices: [],
    cpuFeature: (leaf, register, bit) => {
      if (!is64 || register !== "edx") return null;
      const bits = leaf === 1 ? baselineFeatures : longModeFeatures;
      return bits.includes(bit) ? true : null;
    },
  };
}

/** x86-64 psABI, section 3.1.1, table "Micro-Architecture Levels": CPUID leaf 1, EDX. */
const baselineFeatures: readonly number[] = [0, 5, 6, 8, 15, 23, 24, 25, 26];
/** CPUID leaf 0x80000001, EDX: SYSCALL and long mode. */
const longModeFeatures: readonly number[] = [11, 29];

/** A menu that a run showed, with the item that was taken; null: nobody took one. */
interface ShownMenu {
  readonly menu: IpxeMenu;
  readonly taken: number | null;
}

interface Visit {
  readonly run: IpxeRun<FileRef>;
  readonly shown: readonly ShownMenu[];
}

/** Runs one script again and again, until every item of its menus was chosen once. */
class ScriptSearch {
  readonly #context: FinderContext;
  readonly #path: string;
  readonly #host: IpxeDiskHost;
  /** What is left of {@link ipxeAllStepsMax}. */
  readonly #budget: { steps: number };
  /** Menus by what they show, each with the labels of items that a run has taken, or will take. */
  readonly #seen = new Map<string, Set<string>>();
  /** Indexes of the items to be taken. */
  readonly #queue: (readonly number[])[] = [[]];
  /** Items that are tried no more. */
  #left = 0;
  readonly #visits: Visit[] = [];

  constructor(context: FinderContext, path: string, machine: IpxeMachine, budget: { steps: number }) {
    this.#context = context;
    this.#budget = budget;
    this.#path = path;
    this.#host = new IpxeDiskHost(context, path, machine);
  }

  get #volume(): string {
    return this.#context.source.volume.name;
  }

  async menu(): Promise<FoundMenu> {
    const first = { volume: this.#volume, path: this.#path };
    let bytes: Uint8Array;
    try {
      bytes = await this.#context.source.readFile(this.#path, this.#context.limits.configBytesMax);
    } catch (error) {
      const skipped = { source: { ...first, line: 1 }, title: null, reason: messageOf(error) };
      return emptyMenu(this.#context.source.volume.name, "ipxe", [skipped]);
    }
    if (this.#budget.steps <= 0) {
      const reason = `not run: the scripts of a volume take ${ipxeAllStepsMax} steps at most`;
      return emptyMenu(this.#context.source.volume.name, "ipxe", [
        { source: { ...first, line: 1 }, title: null, reason },
      ]);
    }
    for (let runs = 0; runs < ipxeRunsMax && this.#budget.steps > 0; runs++) {
      const taken = this.#queue.shift();
      if (taken === undefined) break;
      await this.#visit(taken, bytes);
    }
    return this.#result();
  }

  async #visit(taken: readonly number[], bytes: Uint8Array): Promise<void> {
    const shown: ShownMenu[] = [];
    const host = this.#host.answering((menu) => {
      const index = taken[shown.length] ?? (menu.timeoutMs > 0 ? menu.selected : null);
      shown.push({ menu, taken: index });
      return taken[shown.length - 1] ?? null;
    });
    const start = { file: this.#host.first, uri: this.#host.firstUri, bytes };
    const { configBytesMax } = this.#context.limits;
    const scriptBytesMax = Math.max(defaultIpxeLimits.scriptBytesMax, configBytesMax);
    const allScriptsBytesMax = Math.max(defaultIpxeLimits.allScriptsBytesMax, configBytesMax);
    const stepsMax = Math.min(defaultIpxeLimits.stepsMax, this.#budget.steps);
    const run = await runIpxeScript(host, start, { scriptBytesMax, allScriptsBytesMax, stepsMax });
    this.#budget.steps -= run.steps;
    let isNew = true;
    for (const [depth, { menu, taken: index }] of shown.entries()) {
      if (depth < taken.length) continue;
      const claimed = this.#claimed(menu);
      // A menu whose default was tried already: the item leads back to it.
      if (index !== null && !claim(claimed, menu, index)) isNew = false;
      const before = shown.slice(0, depth).map((each) => each.taken ?? 0);
      for (const other of menu.items.keys()) {
        if (other === index || !claim(claimed, menu, other)) continue;
        if (this.#queue.length < ipxeRunsMax) this.#queue.push([...before, other]);
        else this.#left++;
      }
    }
    if (isNew || this.#visits.length === 0) this.#visits.push({ run, shown });
  }

  #claimed({ title, items }: IpxeMenu): Set<string> {
    const key = JSON.stringify([title, items.map(({ label, text }) => [label, text])]);
    const known = this.#seen.get(key) ?? new Set();
    this.#seen.set(key, known);
    return known;
  }

  #result(): FoundMenu {
    const entries: BootEntry[] = [];
    const skipped: SkippedEntry[] = [];
    const [unattended] = this.#visits;
    let defaultId: string | null = null;
    const order = [...this.#visits].sort((a, b) => compareChoices(a.shown, b.shown));
    for (const visit of order) {
      const { outcome } = visit.run;
      if (outcome.kind !== "boot") {
        // Its items were tried one by one.
        if (visit.shown.at(-1)?.taken !== null) skipped.push(this.#skip(visit, outcome.place, outcome.reason));
        continue;
      }
      const entry = this.#entry(visit, outcome);
      if (typeof entry === "string") skipped.push(this.#skip(visit, outcome.place, entry));
      else if (entries.length < this.#context.limits.entriesMax) {
        entries.push(entry);
        if (visit === unattended) defaultId = entry.id;
      }
    }
    const left = this.#queue.length + this.#left;
    if (left > 0) {
      const place = { script: this.#host.first, line: 1 };
      const bound =
        this.#budget.steps > 0 ? `a script is run ${ipxeRunsMax} times` : `${ipxeAllStepsMax} steps are taken`;
      const reason = `${left} more items of menus: ${bound} at most`;
      skipped.push({ source: this.#place(place), title: null, reason });
    }
    const timeoutMs = unattended?.shown[0]?.menu.timeoutMs ?? 0;
    return {
      volume: this.#volume,
      format: "ipxe",
      entries,
      skipped,
      defaultId,
      defaultReason: `${unattended === undefined ? "" : reasonOf(unattended)} (${this.#path})`,
      timeoutSeconds: timeoutMs === 0 ? null : Math.ceil(timeoutMs / 1000),
    };
  }

  #skip(visit: Visit, place: IpxePlace<FileRef>, reason: string): SkippedEntry {
    return { source: this.#place(place), title: chosenTitle(visit.shown), reason };
  }

  #place({ script, line }: IpxePlace<FileRef>): SourcePlace {
    return { volume: script.volume, path: script.path, line };
  }

  /** The entry of a run that started a kernel, or why it cannot be offered. */
  #entry({ run, shown }: Visit, outcome: Extract<IpxeOutcome<FileRef>, { kind: "boot" }>): BootEntry | string {
    const options = fromByteText(outcome.options);
    if (options === null) return "options: UTF-8 expected";
    const bytes = outcome.options.length;
    const { optionsBytesMax } = this.#context.limits;
    if (bytes > optionsBytesMax) return `options: ${bytes} bytes, at most ${optionsBytesMax} are taken`;
    const initrd: BootEntry["initrd"][number][] = [];
    for (const { file, name, archive } of outcome.initrds) {
      if (archive === null) {
        initrd.push(file);
        continue;
      }
      const path = fromByteText(archive.path);
      if (path === null) return `initrd ${quote(name)}: UTF-8 expected for its place in the archive`;
      const member: ArchiveMember = { ...archive, path: memberPath(path) };
      initrd.push({ ...file, archive: member });
    }
    const modules: { file: FileRef; options: string }[] = [];
    for (const module of outcome.modules) {
      const text = fromByteText(module.options);
      if (text === null) return `module ${quote(module.name)}: UTF-8 expected`;
      modules.push({ file: module.file, options: text });
    }
    const labels = shown.map(({ menu, taken }) => shownText(menu.items[taken ?? 0]?.label ?? ""));
    const id = `${this.#volume}:ipxe:${this.#path}`;
    return {
      id: labels.length === 0 ? id : `${id}:${labels.join(">")}`,
      title: chosenTitle(shown) ?? `iPXE script ${this.#path}`,
      submenu: shown.map(({ menu }) => plainText(menu.title)).filter((title) => title !== ""),
      format: "ipxe",
      source: this.#place(outcome.place),
      linux: outcome.kernel.file,
      part: null,
      initrd,
      modules,
      options,
      embedded: false,
      addons: [],
      bootImage: null,
      devicetree: outcome.devicetree?.file ?? null,
      overlays: [],
      architecture: null,
      version: null,
      tries: null,
      aliases: labels.length === 0 ? [] : [labels.join(">"), ...labels.slice(-1)].filter(isFirst),
      configs: run.scripts.map(({ script, bytes: text }) => ({ ref: script, bytes: text })),
      unsignedInputs: [],
      variables: run.variables.map(({ name, value, place }) => ({ name, value, place: this.#place(place) })),
    };
  }
}

/** Whether an item can be chosen and no run has taken one with its label in such a menu. */
function claim(claimed: Set<string>, { items }: IpxeMenu, index: number): boolean {
  const label = items[index]?.label ?? null;
  if (label === null || claimed.has(label)) return false;
  claimed.add(label);
  return true;
}

function isFirst<T>(value: T, index: number, all: readonly T[]): boolean {
  return all.indexOf(value) === index;
}

/** A place in an archive, absolute and without empty parts. */
function memberPath(path: string): string {
  return `/${path
    .split("/")
    .filter((part) => part !== "")
    .join("/")}`;
}

/** Without the colours that scripts put in (ECMA-48, section 5.4), and the space around. */
function plainText(text: string): string {
  return shownText(text)
    .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "")
    .trim();
}

/** The text of the item that was taken last; null where there was no menu. */
function chosenTitle(shown: readonly ShownMenu[]): string | null {
  const last = shown.at(-1);
  const item = last?.menu.items[last.taken ?? -1];
  if (item === undefined) return null;
  const text = plainText(item.text);
  return text === "" ? shownText(item.label ?? "") : text;
}

/** Menu order: that of the items taken, menu by menu. */
function compareChoices(a: readonly ShownMenu[], b: readonly ShownMenu[]): number {
  for (let depth = 0; depth < Math.max(a.length, b.length); depth++) {
    const difference = (a[depth]?.taken ?? -1) - (b[depth]?.taken ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** What decides when nobody is there. */
function reasonOf({ run, shown }: Visit): string {
  if (run.outcome.kind !== "boot") return run.outcome.reason;
  if (shown.length === 0) return "the script starts it";
  const steps = shown.map(({ menu, taken }) => {
    const label = quote(shownText(menu.items[taken ?? 0]?.label ?? ""));
    return `the menu ${quote(shownText(menu.title))} takes ${label} after ${menu.timeoutMs / 1000} s`;
  });
  return steps.join(", ");
}
