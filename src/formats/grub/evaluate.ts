import { quote } from "../format-error.ts";
import { fileKey, type GrubFile } from "./ast.ts";
import { findCommand } from "./commands.ts";
import type { GrubHost } from "./host.ts";
import { joinInputs, noInputs, type Tainted, untainted } from "./inputs.ts";
import { defaultGrubLimits, type GrubLimits } from "./limits.ts";
import { Machine, type MenuDraft, type MenuItem, type Session } from "./machine.ts";
import {
  defaultRemainder,
  escapePathName,
  type GrubConfig,
  type GrubEntry,
  type GrubLoad,
  type GrubMenu,
  type GrubOutcome,
  type UsedVariable,
} from "./menu.ts";
import { leadingNumber } from "./number.ts";
import { Budget, BudgetError, type GrubMessage, LimitError } from "./problem.ts";

export interface GrubEvaluation {
  /** The menu that GRUB would show; null where the configuration makes none. */
  readonly menu: GrubMenu | null;
  /** What could not be carried out outside of entries. */
  readonly problems: readonly GrubMessage[];
  /** What was left out on purpose. */
  readonly notes: readonly GrubMessage[];
  /** What `echo` and other commands printed before the menu. */
  readonly output: string;
  /** The environment blocks that were loaded. */
  readonly environments: readonly GrubConfig[];
  /** Of all files that were read as configuration or as environment block. */
  readonly textBytes: number;
  /** Entries and sub-menus that were made. */
  readonly entriesMade: number;
  /** Work of everything before the menu, and of all entries: against {@link GrubLimits.stepsMax} and `allEntriesStepsMax`. */
  readonly steps: number;
  readonly entrySteps: number;
  /** What hash commands have read, bytes. */
  readonly hashedBytes: number;
  /** Options of all kernels that were loaded, characters. */
  readonly optionCharacters: number;
  /** `$?` at the end: only of use to tests of the language. */
  readonly status: string;
}

/** `feature_*` as GRUB 2.06 and later set them to `y` (normal/main.c). */
const features = [
  "chainloader_bpb",
  "ntldr",
  "platform_search_hint",
  "default_font_path",
  "all_video_module",
  "menuentry_id",
  "menuentry_options",
  "200_final",
  "nativedisk_cmd",
  "timeout_style",
] as const;

/**
 * The variables that GRUB itself sets before the first line of a configuration (all exported):
 *
 * | variable | value here |
 * |---|---|
 * | `root` | the device of the configuration |
 * | `prefix`, `cmdpath` | `(device)` with the directory of the configuration |
 * | `grub_platform`, `grub_cpu` | as the host says |
 * | `feature_…` | `y`, all that GRUB 2.06 has |
 * | `color_normal`, `color_highlight`, `pager` | GRUB's own defaults |
 * | `config_file`, `config_directory` | while a file is run, that file |
 *
 * `lang`, `locale_dir`, `gfxmode` and the like begin empty, `net_…`, `fw_path` and `debug` are not set.
 */
function setPlatformVariables(machine: Machine, config: GrubFile): void {
  const directory = config.path.slice(0, Math.max(0, config.path.lastIndexOf("/")));
  const values: readonly (readonly [string, string])[] = [
    ["root", config.device],
    ["prefix", `(${config.device})${directory}`],
    ["cmdpath", `(${config.device})${directory}`],
    ["grub_platform", machine.host.platform],
    ["grub_cpu", machine.host.cpu],
    ...features.map((feature) => [`feature_${feature}`, "y"] as const),
    ["color_normal", "light-gray/black"],
    ["color_highlight", "black/light-gray"],
    ["pager", ""],
    // openSUSE's, which hands it down to the menus of snapshots.
    ["btrfs_subvol", ""],
  ];
  for (const [name, value] of values) {
    machine.variables.set(name, value);
    machine.variables.export(name);
  }
}

/**
 * Evaluates a GRUB configuration: runs it, and then the commands of each entry of its menu, every entry with a copy of
 * the variables as they are when the menu is shown (GRUB runs an entry's commands when it is chosen). Sub-menus are run
 * in a context of their own, which starts with the exported variables.
 *
 * Does not reject: what is wrong is told in `problems` and by the entries, with file and line. Nothing is written.
 *
 * Source: GRUB manual, "Writing full configuration files directly"; grub-core/script, grub-core/normal.
 */
export async function evaluateGrubConfig(
  host: GrubHost,
  config: GrubFile,
  limits: Partial<GrubLimits> = {},
): Promise<GrubEvaluation> {
  const session: Session = {
    host,
    findCommand,
    limits: { ...defaultGrubLimits, ...limits },
    notes: [],
    output: "",
    entries: 0,
    configReads: 0,
    limitInputs: noInputs,
    texts: new Map(),
    lines: new Map(),
    textBytes: 0,
    environmentInputs: new Map(),
    environments: new Map(),
    optionCharacters: 0,
    hashedBytes: 0,
    usesBls: false,
  };
  const draft: MenuDraft = { config, items: [] };
  const budget = new Budget("the configuration", session.limits.stepsMax);
  const machine = new Machine(session, budget, { file: config, line: 1 }, draft, null);
  await untilBudgetEnds(machine, async () => {
    setPlatformVariables(machine, config);
    await machine.runConfig(untainted(`(${config.device})${config.path}`), "configfile");
  });
  const whole = new Budget("all entries", session.limits.allEntriesStepsMax);
  const shown = machine.menu;
  const status = machine.variables.text("?");
  const place = { numbers: "", titles: [], ids: [], depth: 0, openMenus: [] };
  const isMenu = shown !== null && (shown.items.length > 0 || machine.booted);
  const { kernel } = machine.load;
  if (!isMenu && kernel !== null) {
    const text = `the kernel ${quote(kernel.written)} is not booted: there is no menu, so GRUB opens its command line`;
    machine.report(text, machine.lastLoad);
  }
  const menu = isMenu ? await finishMenu(machine, shown, place, whole) : null;
  return {
    menu,
    problems: machine.problems,
    notes: session.notes,
    output: session.output,
    environments: [...session.environments.values()],
    textBytes: session.textBytes,
    entriesMade: session.entries,
    steps: budget.steps,
    entrySteps: whole.steps,
    hashedBytes: session.hashedBytes,
    optionCharacters: session.optionCharacters,
    status,
  };
}

/** Runs a script; a limit that ends it is told at the statement where it was passed. */
async function untilBudgetEnds(machine: Machine, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof LimitError)) throw error;
    const text = error instanceof BudgetError ? `${error.message} The rest is not run.` : error.message;
    machine.limitPassed(text);
    machine.stopped = true;
  }
}

/** Where in the tree of menus a menu stands. */
interface MenuPlace {
  /** `1>` for the menu of entry 1. */
  readonly numbers: string;
  readonly titles: readonly string[];
  readonly ids: readonly string[];
  readonly depth: number;
  /** Configurations whose menus are open, by {@link fileKey}. */
  readonly openMenus: readonly string[];
}

async function finishMenu(machine: Machine, draft: MenuDraft, place: MenuPlace, whole: Budget): Promise<GrubMenu> {
  const inside: MenuPlace = { ...place, openMenus: [...place.openMenus, fileKey(draft.config)] };
  const entries: GrubEntry[] = [];
  for (const [index, item] of draft.items.entries()) {
    entries.push(await finishEntry(machine, draft, item, index, inside, whole));
  }
  const timeout = machine.variables.get("timeout");
  const seconds = timeout === null ? null : (leadingNumber(timeout.text)?.value ?? null);
  const style = machine.variables.text("timeout_style");
  // A kernel booted inside an entry is that entry's.
  const direct = machine.booted && !machine.entry ? directEntry(machine, draft) : null;
  return {
    config: draft.config,
    entries,
    direct,
    choice: machine.session.usesBls ? "blscfg" : "grub",
    default: machine.variables.get("default"),
    fallback: machine.variables.get("fallback"),
    timeoutSeconds: seconds,
    // Without a timeout GRUB shows its menu whatever the style (`run_menu`).
    timeoutStyle: seconds !== null && (style === "countdown" || style === "hidden") ? style : "menu",
  };
}

/** What `boot` outside of every entry starts: GRUB never gets to a menu. */
function directEntry(machine: Machine, draft: MenuDraft): GrubEntry | null {
  const load = finishedLoad(machine, []);
  if (load === null) return null;
  const { kernelSources, initrdSources, devicetreeSources } = machine.load;
  return {
    number: "boot",
    title: load.kernel.writtenPath,
    id: null,
    submenu: [],
    paths: [],
    classes: [],
    hotkey: null,
    place: machine.lastLoad ?? { file: draft.config, line: 1 },
    outcome: { kind: "boot", load },
    problems: [],
    inputs: [
      ...joinInputs(machine.session.limitInputs, kernelSources.inputs, initrdSources.inputs, devicetreeSources.inputs),
    ],
    configs: [...machine.configs.values()],
    bls: null,
  };
}

/** Null where no kernel is loaded; each variable stands once, as it was used last. */
function finishedLoad(machine: Machine, around: readonly UsedVariable[]): GrubLoad | null {
  const { protocol, kernel, options, initrds, modules, devicetree } = machine.load;
  if (kernel === null) return null;
  const { kernelSources, initrdSources, devicetreeSources } = machine.load;
  const sources = [around, kernelSources.variables, initrdSources.variables, devicetreeSources.variables];
  const variables = new Map(sources.flat().map((variable) => [variable.name, variable]));
  const kept = [...variables.values()].slice(0, machine.limits.entryVariablesMax);
  return { protocol, kernel, options, initrds, modules, devicetree, variables: kept };
}

async function finishEntry(
  outer: Machine,
  menu: MenuDraft,
  item: MenuItem,
  index: number,
  place: MenuPlace,
  whole: Budget,
): Promise<GrubEntry> {
  const budget = new Budget("the entry", outer.limits.entryStepsMax, whole);
  const around = { machine: outer, openMenus: place.openMenus };
  const draft: MenuDraft | null = item.submenu ? { config: menu.config, items: [] } : null;
  const machine = new Machine(outer.session, budget, item.place, draft, around);
  const id = item.id?.text ?? item.title.text;
  await untilBudgetEnds(machine, async () => {
    if (item.submenu) machine.variables = outer.variables.exported();
    setEntryVariables(machine, outer, item.id ?? item.title);
    machine.parameters = item.parameters;
    const password = item.barred ?? passwordNeeded(machine, item);
    if (password === null) await machine.within(item.ambient, () => machine.runText(item.body, false));
    else machine.refusal = { ...item.place, text: password };
  });
  const inner: MenuPlace = {
    numbers: `${place.numbers}${index}>`,
    titles: [...place.titles, item.title.text],
    ids: [...place.ids, id],
    depth: place.depth + 1,
    openMenus: place.openMenus,
  };
  const outcome = await finishOutcome(machine, item, inner, whole);
  const path = (names: readonly string[]): string => names.map(escapePathName).join(">");
  const { load } = machine;
  const sources = [load.kernelSources, load.initrdSources, load.devicetreeSources];
  const used = outcome.kind === "boot" ? sources.map(({ inputs }) => inputs) : [];
  const configs = [...machine.configs.values()];
  return {
    number: `${place.numbers}${index}`,
    title: item.title.text,
    id: item.id?.text ?? null,
    submenu: place.titles,
    paths: [...new Set([path(inner.ids), path(inner.titles)])],
    classes: item.classes,
    hotkey: item.hotkey,
    place: item.place,
    outcome,
    problems: machine.problems,
    inputs: [...joinInputs(item.inputs, item.ambient, machine.session.limitInputs, ...used)],
    configs: item.bls === null ? configs : [item.bls.config, ...configs],
    bls: item.bls?.identity ?? null,
  };
}

/** What GRUB sets before it runs an entry (normal/menu.c, `grub_menu_execute_entry`). */
function setEntryVariables(machine: Machine, outer: Machine, id: Tainted): void {
  const { variables } = machine;
  const chosen = outer.variables.get("chosen");
  const name = escapePathName(id.text);
  const inputs = joinInputs(chosen?.inputs ?? noInputs, id.inputs);
  variables.set("chosen", chosen === null ? name : `${chosen.text}>${name}`, inputs);
  variables.export("chosen");
  const before = outer.variables.get("default");
  const remainder = before === null ? null : defaultRemainder(before.text);
  if (remainder === null) variables.unset("default");
  else variables.set("default", remainder, before?.inputs);
}

/** Where `superusers` is set, GRUB asks for a password before every entry that is not `--unrestricted` (normal/auth.c). */
function passwordNeeded(machine: Machine, item: MenuItem): string | null {
  const superusers = machine.variables.get("superusers");
  if (!item.restricted || superusers === null) return null;
  return `GRUB asks for a password here (superusers=${quote(superusers.text)}), which is not done`;
}

async function finishOutcome(machine: Machine, item: MenuItem, inner: MenuPlace, whole: Budget): Promise<GrubOutcome> {
  const refuse = (reason: string, place = item.place): GrubOutcome => ({ kind: "refused", place, reason });
  const { refusal, load, menu } = machine;
  if (refusal !== null) return refuse(refusal.text, { file: refusal.file, line: refusal.line });
  if (menu !== null && menu.items.length > 0 && (machine.shown || load.kernel === null)) {
    if (inner.depth > machine.limits.menuDepthMax) {
      return refuse(`menus are taken up to ${machine.limits.menuDepthMax} deep`);
    }
    const place = machine.shown ? { ...inner, numbers: "", titles: [], ids: [] } : inner;
    return { kind: "menu", menu: await finishMenu(machine, menu, place, whole), own: machine.shown };
  }
  const finished = finishedLoad(machine, item.bls?.variables ?? []);
  if (finished !== null) return { kind: "boot", load: finished };
  const last = machine.problems.at(-1);
  const because = last === undefined ? "" : ` (${last.text})`;
  return refuse(`${item.submenu ? "the sub-menu holds no entry" : "loads no kernel"}${because}`);
}
