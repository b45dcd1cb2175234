import { parseEntryFileName } from "../formats/bls.ts";
import { messageOf } from "../formats/error-text.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import { fileKey, type GrubFile } from "../formats/grub/ast.ts";
import { evaluateGrubConfig, type GrubEvaluation } from "../formats/grub/evaluate.ts";
import type { EnvironmentInput } from "../formats/grub/inputs.ts";
import { defaultGrubLimits, type GrubLimits } from "../formats/grub/limits.ts";
import { loaderCommandLine } from "../formats/grub/loader-command-line.ts";
import {
  chooseDefault,
  type GrubBlsIdentity,
  type GrubConfig,
  type GrubEntry,
  type GrubFileUse,
  type GrubInitrd,
  type GrubLoad,
  type GrubMenu,
  type UsedVariable,
} from "../formats/grub/menu.ts";
import { asciiLower } from "../formats/loader-conf.ts";
import {
  type BootEntry,
  type BootModule,
  type ConfigText,
  type EntryVariable,
  emptyMenu,
  type FileRef,
  type FoundMenu,
  type InitrdRef,
  type SkippedEntry,
  type SourcePlace,
  type UnsignedInput,
} from "./entry.ts";
import type { Finder, FinderContext } from "./finder.ts";
import { GrubVolumes } from "./grub-devices.ts";
import type { FileSource } from "./source.ts";

/** Where distributions put the configuration, the first that is there being the volume's own. */
const configPaths = ["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/grub/grub.cfg", "/grub2/grub.cfg"] as const;

/** The same on a btrfs volume whose system is in the subvolume `@`, as the volume's top shows it. */
const subvolumePaths = ["/@/boot/grub/grub.cfg", "/@/boot/grub2/grub.cfg"] as const;

/** Directories of loaders on an EFI system partition; further ones are not looked at. */
export const loaderDirectoriesMax = 20;

/**
 * Finds the menu entries of GRUB configurations, which are programs and are run (see {@link evaluateGrubConfig}). A
 * configuration that only leads to another volume's (as those on EFI system partitions do) gives that volume's menu:
 * each entry belongs to the file whose menu it is in, so that the same menu found twice has the same ids.
 *
 * Entries that `blscfg` makes of Boot Loader Specification files have the format and the ids of those.
 *
 * Ids are `VOLUME:grub:1>0`; entries of a configuration that is not its volume's own are `VOLUME:grub:/its/path:1>0`; what
 * `boot` starts outside of every entry is `VOLUME:grub:boot`.
 */
export const grubFinder: Finder = {
  format: "grub",
  find: (context) => findGrubMenus(context, new GrubAllowance()),
};

/** As the finder, with an allowance that is shared with other searches. */
export async function findGrubMenus(context: FinderContext, allowance: GrubAllowance): Promise<readonly FoundMenu[]> {
  const volumes = new GrubVolumes(context.sources, context.architecture, context.images);
  const device = volumes.nameOf(context.source);
  if (device === null) return [];
  const found: FoundMenu[] = [];
  const { paths, skipped } = await configsOf(context.source);
  if (skipped.length > 0) found.push(emptyMenu(context.source.volume.name, "grub", skipped));
  const left = limitsOf(context);
  for (const [index, path] of paths.entries()) {
    const refusal = allowance.refusal();
    if (refusal !== null) {
      const source = { volume: context.source.volume.name, path, line: 1 };
      found.push(emptyMenu(context.source.volume.name, "grub", [{ source, title: null, reason: refusal }]));
      break;
    }
    const evaluation = await evaluateGrubConfig(volumes, { device, path }, { ...left, ...allowance.limits() });
    allowance.charge(evaluation);
    left.entriesMax -= evaluation.entriesMade;
    left.allConfigsBytesMax -= evaluation.textBytes;
    const { menu } = evaluation;
    const own = await ownConfigs(volumes, menu);
    // What the volume's own configuration leads to on the same volume is the volume's own menu.
    if (index === 0 && menu?.config.device === device) own.set(context.source.volume.name, menu.config.path);
    const result = new MenuResult(context, volumes, evaluation, own).menu(context.source);
    if (result !== null) found.push(result);
  }
  return found;
}

/** Configurations of the most work that one may be: so many are run in one search. */
const fullEvaluationsMax = 2;

/** The work that the configurations of one search may be together: a hostile volume may hold two dozen, or many images. */
export class GrubAllowance {
  #steps = defaultGrubLimits.stepsMax * fullEvaluationsMax;
  #entrySteps = defaultGrubLimits.allEntriesStepsMax * fullEvaluationsMax;
  #hashedBytes = defaultGrubLimits.hashedBytesMax * fullEvaluationsMax;
  #optionCharacters = defaultGrubLimits.allOptionsCharactersMax * fullEvaluationsMax;

  /** Why nothing further is run; null where something may be. */
  refusal(): string | null {
    if (this.#steps > 0 && this.#entrySteps > 0) return null;
    const { stepsMax, allEntriesStepsMax } = defaultGrubLimits;
    const most = (stepsMax + allEntriesStepsMax) * fullEvaluationsMax;
    return `not run, like what follows: the configurations before took the ${most} steps that all may take`;
  }

  /** What the next configuration may take. */
  limits(): Pick<GrubLimits, "stepsMax" | "allEntriesStepsMax" | "hashedBytesMax" | "allOptionsCharactersMax"> {
    const { stepsMax, allEntriesStepsMax, hashedBytesMax, allOptionsCharactersMax } = defaultGrubLimits;
    return {
      stepsMax: Math.min(stepsMax, this.#steps),
      allEntriesStepsMax: Math.min(allEntriesStepsMax, this.#entrySteps),
      hashedBytesMax: Math.max(0, Math.min(hashedBytesMax, this.#hashedBytes)),
      allOptionsCharactersMax: Math.max(0, Math.min(allOptionsCharactersMax, this.#optionCharacters)),
    };
  }

  charge({ steps, entrySteps, hashedBytes, optionCharacters }: GrubEvaluation): void {
    this.#optionCharacters -= optionCharacters;
    this.#steps -= steps;
    this.#entrySteps -= entrySteps;
    this.#hashedBytes -= hashedBytes;
  }
}

/** The volumes that menus are of → the path of each one's own configuration. */
async function ownConfigs(volumes: GrubVolumes, menu: GrubMenu | null): Promise<Map<string, string>> {
  const own = new Map<string, string>();
  for (const device of menu === null ? [] : devicesOf(menu)) {
    const source = volumes.source(device);
    if (source !== null) own.set(source.volume.name, (await configsOf(source)).paths[0] ?? "");
  }
  return own;
}

/** The devices of a menu's configuration and of those below it. */
function devicesOf(menu: GrubMenu): Set<string> {
  const devices = new Set([menu.config.device]);
  for (const { outcome } of menu.entries) {
    if (outcome.kind === "menu") for (const device of devicesOf(outcome.menu)) devices.add(device);
  }
  return devices;
}

/** What all configurations of a volume may cost together; a hostile one may hold two dozen. */
function limitsOf({ limits }: FinderContext): {
  readonly configBytesMax: number;
  entriesMax: number;
  allConfigsBytesMax: number;
} {
  const { allConfigsBytesMax } = defaultGrubLimits;
  return {
    configBytesMax: limits.configBytesMax,
    entriesMax: limits.entriesMax,
    // One file of the operator's largest size is always taken.
    allConfigsBytesMax: Math.max(allConfigsBytesMax, limits.configBytesMax),
  };
}

/** The configurations of a volume, each file once (`/boot/grub2` may be a link to `/boot/grub`). */
async function configsOf(source: FileSource): Promise<{ paths: readonly string[]; skipped: readonly SkippedEntry[] }> {
  const paths: string[] = [];
  const skipped: SkippedEntry[] = [];
  const seen = new Set<string>();
  const volume = source.volume.name;
  const look = async (path: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const reason = messageOf(error);
      skipped.push({ source: { volume, path, line: 1 }, title: null, reason });
    }
  };
  const isBtrfs = source.volume.fstype === "btrfs";
  const candidates: string[] = [...configPaths, ...(isBtrfs ? subvolumePaths : [])];
  await look("/EFI", async () => {
    const names = await source.list("/EFI");
    candidates.push(...names.slice(0, loaderDirectoriesMax).map((name) => `/EFI/${name}/grub.cfg`));
  });
  for (const path of candidates) {
    await look(path, async () => {
      if ((await source.stat(path))?.type !== "file") return;
      const real = (await source.realPath(path)) ?? path;
      if (!seen.has(real)) paths.push(path);
      seen.add(real);
    });
  }
  return { paths, skipped };
}

/** Permission bits of a file that `newc:` wraps, and of its directories (loader/linux.c, `grub_initrd_load`). */
const archiveMode = 0o777;

/** What an entry is called, and what its name tells. */
type EntryIdentity = Pick<BootEntry, "id" | "format" | "architecture" | "version" | "tries"> & {
  readonly names: readonly string[];
};

/** Null where the counters are none that can be read. */
function readFileName(fileName: string): ReturnType<typeof parseEntryFileName> {
  try {
    return parseEntryFileName(fileName, ".conf");
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

function asciiLowerOrNull(text: string | null): string | null {
  return text === null ? null : asciiLower(text);
}

/** Turns an evaluated menu into entries. */
class MenuResult {
  readonly #context: FinderContext;
  readonly #volumes: GrubVolumes;
  readonly #evaluation: GrubEvaluation;
  /** Volume → path of its own configuration. */
  readonly #own: ReadonlyMap<string, string>;
  readonly #environments: ReadonlyMap<string, ConfigText>;
  readonly #entries: BootEntry[] = [];
  readonly #skipped: SkippedEntry[] = [];
  /** Only entries that are offered. */
  readonly #ids = new Map<GrubEntry, string>();
  readonly #taken = new Set<string>();

  constructor(
    context: FinderContext,
    volumes: GrubVolumes,
    evaluation: GrubEvaluation,
    own: ReadonlyMap<string, string>,
  ) {
    this.#context = context;
    this.#volumes = volumes;
    this.#evaluation = evaluation;
    this.#own = own;
    this.#environments = new Map(evaluation.environments.map((block) => [fileKey(block.file), this.#config(block)]));
  }

  /** Null where the configuration makes no menu and nothing is wrong with it. */
  menu(source: FileSource): FoundMenu | null {
    for (const { file, line, text } of this.#evaluation.problems) this.#skip({ file, line }, null, text);
    const { menu } = this.#evaluation;
    if (menu === null) return this.#skipped.length === 0 ? null : emptyMenu(source.volume.name, "grub", this.#skipped);
    this.#add(menu);
    const choice = chooseDefault(menu, (entry) => this.#ids.has(entry));
    return {
      volume: this.#ref(menu.config).volume,
      format: "grub",
      entries: this.#entries,
      skipped: this.#skipped,
      defaultId: choice.entry === null ? null : (this.#ids.get(choice.entry) ?? null),
      defaultReason: `${choice.reason} (${[menu.config.path, ...choice.inputs.map(inputText)].join("; ")})`,
      timeoutSeconds: menu.timeoutSeconds,
    };
  }

  #add(menu: GrubMenu): void {
    if (menu.direct?.outcome.kind === "boot") this.#addBoot(menu, menu.direct, menu.direct.outcome.load);
    for (const entry of menu.entries) {
      const { outcome } = entry;
      if (outcome.kind === "menu") this.#add(outcome.menu);
      else if (outcome.kind === "refused") this.#skip(outcome.place, entry.title, outcome.reason);
      else this.#addBoot(menu, entry, outcome.load);
    }
  }

  #addBoot(menu: GrubMenu, entry: GrubEntry, load: GrubLoad): void {
    const reason = this.#whyNot(entry, load);
    const linux = this.#used(load.kernel);
    const initrd = load.initrds.map((use) => this.#initrd(use)).filter((ref) => ref !== null);
    const modules: BootModule[] = load.modules.flatMap(({ use, options }) => {
      const file = this.#used(use);
      return file === null ? [] : [{ file, options }];
    });
    if (reason !== null || linux === null) {
      this.#skip(entry.place, entry.title, reason ?? "loads no kernel");
      return;
    }
    const identity = entry.bls === null ? this.#ownIdentity(menu, entry) : this.#blsIdentity(entry.bls);
    const { id } = identity;
    const names = [...identity.names, ...(entry.id === null ? [] : [entry.id]), entry.title, ...entry.paths];
    this.#ids.set(entry, id);
    this.#entries.push({
      id,
      title: entry.title,
      submenu: entry.submenu,
      format: identity.format,
      source: this.#place(entry.place),
      linux,
      part: null,
      initrd,
      modules,
      options: load.options,
      embedded: false,
      addons: [],
      // GRUB leaves the device in front of the path. Its numbers are another loader's here, so they are left out.
      // A multiboot kernel gets its words alone.
      bootImage: load.protocol === "linux" ? `BOOT_IMAGE=${loaderCommandLine([load.kernel.writtenPath])}` : null,
      devicetree: load.devicetree === null ? null : this.#used(load.devicetree),
      overlays: [],
      architecture: identity.architecture,
      version: identity.version,
      tries: identity.tries,
      aliases: [...new Set(names)],
      configs: entry.configs.map((config) => this.#config(config)),
      unsignedInputs: entry.inputs.map((input) => this.#input(input)),
      variables: load.variables.map((variable) => this.#variable(variable)),
    });
  }

  #ownIdentity(menu: GrubMenu, entry: GrubEntry): EntryIdentity {
    const { volume, path } = this.#ref(menu.config);
    const qualifier = this.#own.get(volume) === path ? "" : `${path}:`;
    const id = this.#unique(`${volume}:grub:${qualifier}${entry.number}`);
    return { id, format: "grub", names: [], architecture: null, version: null, tries: null };
  }

  /** As the finder of entry files names them, without counters where that is unique. */
  #blsIdentity({ file, fileName, version, architecture }: GrubBlsIdentity): EntryIdentity {
    const { volume, path } = this.#ref(file);
    const parsed = readFileName(fileName);
    const stem = fileName.replace(/\.conf$/, "");
    const name = [parsed?.name ?? stem, stem].find((each) => !this.#taken.has(`${volume}:bls1:${each}`)) ?? path;
    const id = this.#unique(`${volume}:bls1:${name}`);
    const names = [parsed?.name ?? stem, `${parsed?.name ?? stem}.conf`, fileName];
    return {
      id,
      format: "bls1",
      names,
      architecture: asciiLowerOrNull(architecture),
      version,
      tries: parsed?.tries ?? null,
    };
  }

  /** An entry file can be in several menus. */
  #unique(id: string): string {
    let unique = id;
    for (let count = 2; this.#taken.has(unique); count++) unique = `${id}#${count}`;
    this.#taken.add(unique);
    return unique;
  }

  #initrd(use: GrubInitrd): InitrdRef | null {
    const ref = this.#used(use);
    if (ref === null || use.archivePath === null) return ref;
    const member = { path: use.archivePath, mode: archiveMode, directories: Number.POSITIVE_INFINITY };
    return { ...ref, archive: { ...member, directoryMode: archiveMode } };
  }

  #variable({ name, value, place }: UsedVariable): EntryVariable {
    return { name, value, place: place === null ? null : this.#place(place) };
  }

  /** Why an entry that loads a kernel cannot be offered. */
  #whyNot(
    { problems }: GrubEntry,
    { protocol, kernel, initrds, modules, devicetree, options }: GrubLoad,
  ): string | null {
    // Behind a file that is missing there often stands a volume that was not found.
    const because = problems[0] === undefined ? "" : ` (${problems[0].text})`;
    for (const [what, use] of [
      [protocol, kernel],
      ...initrds.map((use) => ["initrd", use] as const),
      ...modules.map(({ use }) => ["module", use] as const),
      ["devicetree", devicetree],
    ] as const) {
      if (use !== null && use.problem !== null) return `${what}: ${use.problem}${because}`;
    }
    const bytes = new TextEncoder().encode(options).length;
    const { optionsBytesMax } = this.#context.limits;
    return bytes > optionsBytesMax ? `options: ${bytes} bytes, at most ${optionsBytesMax} are taken` : null;
  }

  #skip(place: { readonly file: GrubFile; readonly line: number }, title: string | null, reason: string): void {
    this.#skipped.push({ source: this.#place(place), title, reason });
  }

  #place({ file, line }: { readonly file: GrubFile; readonly line: number }): SourcePlace {
    return { ...this.#ref(file), line };
  }

  #ref({ device, path }: GrubFile): FileRef {
    return { volume: this.#volumes.source(device)?.volume.name ?? device, path };
  }

  #used(use: GrubFileUse): FileRef | null {
    return use.path === null ? null : this.#ref({ device: use.device, path: use.path });
  }

  #config({ file, bytes }: GrubConfig): ConfigText {
    return { ref: this.#ref(file), bytes };
  }

  #input({ variable, file }: EnvironmentInput): UnsignedInput {
    const config = this.#environments.get(fileKey(file)) ?? this.#config({ file, bytes: new Uint8Array() });
    return { config, what: `variable ${quote(variable)}` };
  }
}

function inputText({ variable, file }: EnvironmentInput): string {
  return `${variable} of ${file.path}`;
}
