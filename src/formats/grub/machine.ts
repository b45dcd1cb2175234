import { messageOf } from "../error-text.ts";
import { quote } from "../format-error.ts";
import {
  type BlockNode,
  type FunctionNode,
  fileKey,
  type GrubFile,
  type GrubPlace,
  type SourceLine,
  type SourceText,
  type StatementNode,
  type WordNode,
} from "./ast.ts";
import type { BlsFragment } from "./bls-fragment.ts";
import { expandWords } from "./expand.ts";
import { isHarmlessText } from "./harmless-text.ts";
import type { GrubDevice, GrubFound, GrubHost } from "./host.ts";
import { type EnvironmentInput, type Inputs, joinInputs, noInputs, type Tainted } from "./inputs.ts";
import { configLines, LineReader } from "./lex.ts";
import { charactersPerStep, type GrubLimits, lookupSteps } from "./limits.ts";
import type {
  GrubBlsIdentity,
  GrubConfig,
  GrubFileUse,
  GrubInitrd,
  GrubModule,
  GrubProtocol,
  UsedVariable,
} from "./menu.ts";
import { parseUnit } from "./parse.ts";
import { type Budget, BudgetError, type GrubMessage, LimitError } from "./problem.ts";
import { grubStatus } from "./status.ts";
import { Variables, type VariableValue } from "./variables.ts";

const newline = 0x0a;

/** An entry as `menuentry` or `submenu` made it; its commands run when the menu is complete. */
export interface MenuItem {
  readonly title: Tainted;
  readonly id: Tainted | null;
  /** The title and further words: `$1`, `$2` … of its commands. */
  readonly parameters: readonly Tainted[];
  readonly classes: readonly string[];
  readonly hotkey: string | null;
  /** Not `--unrestricted`. */
  readonly restricted: boolean;
  readonly submenu: boolean;
  readonly body: SourceText;
  readonly place: GrubPlace;
  /** Of the words that made the entry. */
  readonly inputs: Inputs;
  /** Of the text that the entry stands in. */
  readonly ambient: Inputs;
  /** Why GRUB cannot run its commands; null for all but the entries of a menu that an extractor shows. */
  readonly barred: string | null;
  /** Of an entry that `blscfg` made. */
  readonly bls: BlsItem | null;
}

/** What `blscfg` knows of an entry beside its commands. */
export interface BlsItem {
  readonly identity: GrubBlsIdentity;
  readonly config: GrubConfig;
  /** Variables that were put into its commands. */
  readonly variables: readonly UsedVariable[];
}

/** A function and the unsigned inputs of the text that defined it. */
export interface DefinedFunction {
  readonly node: FunctionNode;
  readonly inputs: Inputs;
}

export interface MenuDraft {
  config: GrubFile;
  readonly items: MenuItem[];
}

/** What stands behind one part of a load: the unsigned values and the variables that its words were made from. */
export interface LoadSources {
  readonly inputs: Inputs;
  readonly variables: readonly UsedVariable[];
}

const noSources: LoadSources = { inputs: noInputs, variables: [] };

/** What `linux`, `initrd`, `multiboot`, `module` and `devicetree` have set up so far. */
export interface LoadDraft {
  protocol: GrubProtocol;
  kernel: GrubFileUse | null;
  options: string;
  initrds: readonly GrubInitrd[];
  modules: readonly GrubModule[];
  devicetree: GrubFileUse | null;
  kernelSources: LoadSources;
  /** Of the initrds or the modules. */
  initrdSources: LoadSources;
  devicetreeSources: LoadSources;
}

function emptyLoad(): LoadDraft {
  return {
    protocol: "linux",
    kernel: null,
    options: "",
    initrds: [],
    modules: [],
    devicetree: null,
    kernelSources: noSources,
    initrdSources: noSources,
    devicetreeSources: noSources,
  };
}

export interface CommandCall {
  readonly name: string;
  /** Without the name; a block behind them is not among them. */
  readonly words: readonly Tainted[];
  readonly block: BlockNode | null;
  readonly place: GrubPlace;
  /** Variables that the words were made from. */
  readonly variables: readonly UsedVariable[];
}

/** Returns the command's status, {@link grubStatus}. */
export type CommandRun = (machine: Machine, call: CommandCall) => number | Promise<number>;

export interface GrubCommand {
  readonly names: readonly string[];
  /** A `{ … }` behind the command is its own and not a word. */
  readonly block?: true;
  /** Runs where only entries are taken from a configuration (`GRUB_COMMAND_FLAG_EXTRACTOR`). */
  readonly extractor?: true;
  readonly run: CommandRun;
}

/** What one evaluation shares among its menus and entries. */
export interface Session {
  readonly host: GrubHost;
  readonly findCommand: (name: string) => GrubCommand | undefined;
  readonly limits: GrubLimits;
  readonly notes: GrubMessage[];
  output: string;
  entries: number;
  configReads: number;
  /** What may be why a limit was passed outside of entries: what was left out then, each entry may lack. */
  limitInputs: Inputs;
  /** Every configuration file and environment block that was read, by {@link fileKey}: none is read a second time. */
  readonly texts: Map<string, Uint8Array>;
  /** Bytes in {@link texts}. */
  textBytes: number;
  /** The lines of configuration files, by {@link fileKey}: a file that runs itself stands in memory once. */
  readonly lines: Map<string, readonly SourceLine[]>;
  /** One object for each variable of each environment block. */
  readonly environmentInputs: Map<string, EnvironmentInput>;
  /** The environment blocks that were loaded, by {@link fileKey}. */
  readonly environments: Map<string, GrubConfig>;
  /** Characters of the options of all kernels that were loaded. */
  optionCharacters: number;
  /** Bytes that hash commands have read. */
  hashedBytes: number;
  /** Whether `blscfg` was carried out: then the loader is one that has it, and chooses as that one does. */
  usesBls: boolean;
}

/** Variables that `save_env` would have written, by {@link fileKey} of the block; null: taken out of it. */
export type SavedVariables = ReadonlyMap<string, VariableValue | null>;

/** An image that `loopback` has opened, and what its name and its file's were made from. */
interface OpenedImage {
  readonly device: GrubDevice;
  readonly inputs: Inputs;
}

/** What GRUB keeps outside of its contexts: an entry begins with a copy. */
interface GlobalState {
  /** Images by the name that `loopback` gave them, the newest first. */
  images: ReadonlyMap<string, OpenedImage>;
  /** Entry files that `blscfg` has read, in its order. */
  fragments: readonly BlsFragment[];
  /** Names of fragments that are in a menu. */
  shownFragments: ReadonlySet<string>;
  saved: ReadonlyMap<string, SavedVariables>;
  /** The device that each search has found, by its kind and key. */
  searches: ReadonlyMap<string, string>;
  /** What `legacy_kernel` has recognised. */
  legacyKernel: "linux" | "multiboot" | null;
}

/** A file that a script names, looked up. */
export interface Located {
  readonly use: GrubFileUse;
  readonly device: GrubDevice | null;
  readonly found: GrubFound | null;
  /** Of the path's text, and of `$root` where the path names no device. */
  readonly inputs: Inputs;
  /** `root` where the path names no device. */
  readonly variables: readonly UsedVariable[];
}

export function usedVariable(name: string, { text, place }: VariableValue): UsedVariable {
  return { name, value: text, place };
}

/** How a device that is not there is told; encrypted ones are not opened. */
export function unknownDevice(name: string): string {
  const encrypted = /^crypto(?:uuid\/|[0-9])/.test(name);
  return `"${name}" is known${encrypted ? ": encrypted volumes are not opened" : ""}`;
}

/**
 * Runs scripts as GRUB does (grub-core/script/execute.c): one machine for the configuration, and one, with a copy of the
 * variables, for each entry.
 */
export class Machine {
  readonly session: Session;
  readonly budget: Budget;
  variables: Variables;
  readonly functions: Map<string, DefinedFunction>;
  /** Files read as configuration in the evaluations around this machine, and in itself. */
  readonly configs: Map<string, GrubConfig>;
  readonly problems: GrubMessage[] = [];
  /** Files whose text is being run, outermost first, by {@link fileKey}. */
  readonly chain: string[] = [];
  /** Configurations whose menus are open around this entry, by {@link fileKey}. */
  readonly openMenus: readonly string[];
  /** Null inside an entry that is no sub-menu. */
  menu: MenuDraft | null;
  parameters: readonly Tainted[] | null = null;
  readonly load: LoadDraft;
  readonly globals: GlobalState;
  /** Whether a statement that cannot be carried out costs an entry. */
  readonly entry: boolean;
  /** The first reason why the entry is not offered. */
  refusal: GrubMessage | null = null;
  /** Nothing further is run: a kernel is booted or another menu is shown. */
  stopped = false;
  /** `boot` has started a kernel. */
  booted = false;
  /** Where the kernel at hand was loaded. */
  lastLoad: GrubPlace | undefined;
  /** `configfile` or `normal` has shown a menu: {@link menu} is that one, {@link variables} are its context's. */
  shown = false;
  place: GrubPlace;
  /** What text that is itself made of unsigned values is being run. */
  #ambient: Inputs = noInputs;
  /** Variables of the commands that a function or an evaluated text is run by. */
  #around: readonly UsedVariable[] = [];
  /** Extractors around what is run. */
  #extractors = 0;
  #depth = 0;
  #activeLoops = 0;
  #activeBreaks = 0;
  #continuing = false;
  #returning = false;

  constructor(
    session: Session,
    budget: Budget,
    place: GrubPlace,
    menu: MenuDraft | null,
    around: { readonly machine: Machine; readonly openMenus: readonly string[] } | null,
  ) {
    this.session = session;
    this.budget = budget;
    this.place = place;
    this.menu = menu;
    this.entry = around !== null;
    this.variables = around?.machine.variables.copy() ?? new Variables(session.limits);
    this.functions = new Map(around?.machine.functions ?? []);
    this.configs = new Map(around?.machine.configs ?? []);
    this.openMenus = around?.openMenus ?? [];
    this.load = { ...(around?.machine.load ?? emptyLoad()) };
    this.globals = {
      ...(around?.machine.globals ?? {
        images: new Map(),
        fragments: [],
        shownFragments: new Set(),
        saved: new Map(),
        searches: new Map(),
        legacyKernel: null,
      }),
    };
  }

  get host(): GrubHost {
    return this.session.host;
  }
  get limits(): GrubLimits {
    return this.session.limits;
  }
  /** Unsigned inputs of the text that is being run. */
  get ambient(): Inputs {
    return this.#ambient;
  }

  /** Sets a variable; what shaped the value is kept with it. */
  assign(name: string, value: string, inputs: Inputs = noInputs): void {
    this.variables.set(name, value, joinInputs(inputs, this.#ambient), this.place);
  }

  /** The device that a name means: an image that `loopback` has opened, or one of the host's. */
  device(name: string): GrubDevice | null {
    return this.globals.images.get(name)?.device ?? this.host.device(name);
  }

  /** What a device's name, and what is behind it, was made from. */
  inputsOfDevice(name: string): Inputs {
    return this.globals.images.get(name)?.inputs ?? noInputs;
  }

  /** All devices with their names in scripts, in GRUB's order: drivers that were loaded later come first. */
  get devices(): readonly { readonly name: string; readonly device: GrubDevice }[] {
    const images = [...this.globals.images].map(([name, { device }]) => ({ name, device }));
    return [...images, ...this.host.devices.map((device) => ({ name: device.name, device }))];
  }

  /** What a command's words and the calls around it were made from. */
  sourcesOf(call: CommandCall, ...inputs: readonly Inputs[]): LoadSources {
    const all = [...this.#around, ...call.variables];
    return { inputs: joinInputs(...inputs, ...call.words.map((word) => word.inputs), this.#ambient), variables: all };
  }

  /** Forgets the kernel that is loaded (`grub_loader_unset`). */
  unload(): void {
    Object.assign(this.load, emptyLoad(), {
      devicetree: this.load.devicetree,
      devicetreeSources: this.load.devicetreeSources,
    });
  }

  /** Runs `work` with further variables around it, which are those of what it loads, too. */
  async around<Result>(variables: readonly UsedVariable[], work: () => Promise<Result>): Promise<Result> {
    const before = this.#around;
    this.#around = [...before, ...variables].slice(0, this.limits.entryVariablesMax);
    try {
      return await work();
    } finally {
      this.#around = before;
    }
  }

  /** Runs `work` where only entries are taken: commands that make none are not run. */
  async extracting<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#extractors++;
    try {
      return await work();
    } finally {
      this.#extractors--;
    }
  }

  report(text: string, place: GrubPlace = this.place): void {
    if (this.problems.length < this.limits.messagesMax) this.problems.push({ ...place, text });
  }

  note(text: string): void {
    if (this.session.notes.length < this.limits.messagesMax) this.session.notes.push({ ...this.place, text });
  }

  print(text: string): void {
    const room = this.limits.outputCharactersMax - this.session.output.length;
    this.session.output += text.slice(0, Math.max(0, room));
  }

  /** An error as GRUB prints it: it is told, and the command's status is returned. */
  fail(status: number, text: string): number {
    this.report(text);
    return status;
  }

  /** A statement that is not carried out here: inside an entry it costs the entry. */
  refuse(text: string): void {
    if (this.entry && this.menu === null) {
      this.refusal ??= { ...this.place, text };
      this.stopped = true;
    } else this.report(text);
  }

  /**
   * A statement, or the rest of a script, that a limit ended. Outside of entries GRUB would have set or defined something
   * there that entries use; an environment block can bring that about, one variable of each stands for it.
   */
  limitPassed(text: string): void {
    this.refuse(text);
    // An entry that is refused has lost nothing that others use.
    if (this.refusal !== null) return;
    const inputs = [...this.session.environmentInputs.values()];
    const ofEachFile = new Map(inputs.map((input) => [fileKey(input.file), input]));
    this.session.limitInputs = joinInputs(this.session.limitInputs, new Set(ofEachFile.values()));
  }

  /**
   * A configuration file or an environment block, read once in an evaluation: what is verified must be what was run.
   * Rejects where it cannot be read, and where all such files together are too large.
   */
  async readText(device: GrubDevice, use: GrubFileUse, found: GrubFound, bytesMax: number): Promise<Uint8Array> {
    const { session } = this;
    const key = fileKey({ device: device.name, path: found.path });
    const known = session.texts.get(key);
    if (known !== undefined && known.length <= bytesMax) return known;
    const bytes = await session.host.readFile(device, use.writtenPath, bytesMax);
    if (session.textBytes + bytes.length > session.limits.allConfigsBytesMax) {
      throw new Error(
        `read ${quote(use.written)}: more than ${session.limits.allConfigsBytesMax} bytes in all configuration files`,
      );
    }
    session.textBytes += bytes.length;
    session.texts.set(key, bytes);
    return bytes;
  }

  /** Null where all configuration files together have too many. */
  #linesOf(key: string, bytes: Uint8Array): readonly SourceLine[] | null {
    const { lines: known } = this.session;
    const old = known.get(key);
    if (old !== undefined) return old;
    const left = [...known.values()].reduce((sum, { length }) => sum - length, this.limits.allLinesMax);
    if (bytes.reduce((sum, byte) => sum + Number(byte === newline), 0) > left) return null;
    const lines = configLines(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
    known.set(key, lines);
    return lines;
  }

  /** Runs `work` with further unsigned inputs around it. */
  async within<Result>(inputs: Inputs, work: () => Promise<Result>): Promise<Result> {
    const before = this.#ambient;
    this.#ambient = joinInputs(before, inputs);
    try {
      return await work();
    } finally {
      this.#ambient = before;
    }
  }

  /** Adds an entry to the menu at hand. */
  addItem(command: string, item: Omit<MenuItem, "barred">): number {
    if (this.menu === null) return this.fail(grubStatus.menu, `${command} inside an entry that is no sub-menu`);
    if (this.session.entries >= this.limits.entriesMax) {
      this.refuse(`${command} ${quote(item.title.text)}: at most ${this.limits.entriesMax} entries are taken`);
      return grubStatus.outOfRange;
    }
    this.session.entries++;
    this.menu.items.push({ ...item, barred: null });
    return grubStatus.none;
  }

  /** A question to the host: its work is counted, and a failure is told as text. */
  async ask<Result>(
    question: () => Promise<Result>,
  ): Promise<{ readonly answer: Result } | { readonly error: string }> {
    this.budget.spend(lookupSteps);
    try {
      return { answer: await question() };
    } catch (error) {
      return { error: messageOf(error) };
    }
  }

  /** Looks up a file as GRUB opens one (kern/file.c): `(device)/path`, or `/path` on `$root`. */
  async locate(word: Tainted): Promise<Located> {
    const { text } = word;
    const end = text.startsWith("(") ? text.indexOf(")") : -1;
    const root = this.variables.get("root");
    const name = end >= 0 ? text.slice(1, end) : (root?.text ?? "");
    const writtenPath = end >= 0 ? text.slice(end + 1) : text;
    const ofRoot = end >= 0 ? noInputs : (root?.inputs ?? noInputs);
    const inputs = joinInputs(word.inputs, ofRoot, this.inputsOfDevice(name), this.#ambient);
    const device = this.device(name);
    const variables: readonly UsedVariable[] = end < 0 && root !== null ? [usedVariable("root", root)] : [];
    const missing = (problem: string): Located => ({
      use: { written: text, writtenPath, device: device?.name ?? name, path: null, problem },
      device,
      found: null,
      inputs,
      variables,
    });
    if (name === "") return missing(`${quote(text)}: no device, and root is not set`);
    if (device === null) return missing(`${quote(text)}: no device ${unknownDevice(name)}`);
    if (!writtenPath.startsWith("/")) return missing(`${quote(text)}: a path from "/" expected, not a list of blocks`);
    const subvolume = this.#subvolumePath(device, writtenPath);
    const inSubvolume = subvolume === null ? null : await this.ask(() => this.host.find(device, subvolume));
    const asked =
      inSubvolume !== null && "answer" in inSubvolume && inSubvolume.answer !== null
        ? inSubvolume
        : await this.ask(() => this.host.find(device, writtenPath));
    if ("error" in asked) return missing(asked.error);
    if (asked.answer === null)
      return missing(`${quote(writtenPath)} is missing on (${this.globals.images.has(name) ? name : device.name})`);
    const { path } = asked.answer;
    const use = { written: text, writtenPath, device: device.name, path, problem: null };
    return { use, device, found: asked.answer, inputs, variables };
  }

  /**
   * Where openSUSE's GRUB looks for a path of a btrfs filesystem: `btrfs_relative_path` has paths start from the subvolume
   * that `btrfs_subvol` names (`@/.snapshots/7/snapshot`), which lies at the same place below the root's own `@`.
   */
  #subvolumePath(device: GrubDevice, path: string): string | null {
    const relative = this.variables.text("btrfs_relative_path");
    const subvolume = this.variables.text("btrfs_subvol").replace(/^\/?@?\/*/, "");
    if (device.filesystem !== "btrfs" || subvolume === "" || relative === "" || relative.startsWith("n")) return null;
    return `/${subvolume}${path}`;
  }

  /** Runs a text line by line; `config` lines go on behind a syntax error, others end there (`execute_sourcecode`). */
  async runText(source: SourceText, config: boolean): Promise<number> {
    const reader = new LineReader(source);
    let status: number = grubStatus.none;
    while (!reader.atEnd && !this.stopped) {
      const parsed = parseUnit(reader, this.limits.nestingMax);
      this.budget.spend(parsed.tokens);
      for (const node of parsed.ok ? parsed.unit.functions : parsed.functions) this.#define(node);
      if (!parsed.ok) {
        this.report(parsed.message, { file: source.file, line: parsed.line });
        if (config) continue;
        return status;
      }
      if (parsed.unit.statements.length > 0) status = await this.#list(parsed.unit.statements);
    }
    return status;
  }

  #define(node: FunctionNode): void {
    if (!this.functions.has(node.name) && this.functions.size >= this.limits.variablesMax) {
      this.report(`function ${quote(node.name)}: at most ${this.limits.variablesMax} functions are taken`);
    } else this.functions.set(node.name, { node, inputs: this.#ambient });
  }

  async #list(statements: readonly StatementNode[]): Promise<number> {
    let status: number = grubStatus.none;
    for (const statement of statements) {
      if (this.#activeBreaks > 0 || this.stopped) break;
      status = await this.#statement(statement);
      if (this.#returning) break;
    }
    this.variables.set("?", String(status));
    return status;
  }

  async #statement(statement: StatementNode): Promise<number> {
    const outer = this.place;
    this.place = statement.place;
    this.budget.spend(1);
    this.#depth++;
    let status: number;
    try {
      if (this.#depth > this.limits.callDepthMax) {
        throw new LimitError(`commands run ${this.#depth} deep, at most ${this.limits.callDepthMax} are taken`);
      }
      status = await this.#execute(statement);
    } catch (error) {
      if (!(error instanceof LimitError) || error instanceof BudgetError) throw error;
      this.limitPassed(error.message);
      status = grubStatus.outOfRange;
    }
    this.#depth--;
    this.place = outer;
    this.variables.set("?", String(status));
    return status;
  }

  async #execute(statement: StatementNode): Promise<number> {
    switch (statement.kind) {
      case "command":
        return this.#command(statement);
      case "if":
        for (const clause of statement.clauses) {
          const status = await this.#list(clause.condition);
          if (this.#returning || this.stopped) return status;
          if (status === grubStatus.none) return this.#list(clause.commands);
        }
        return statement.otherwise === null ? grubStatus.none : this.#list(statement.otherwise);
      case "for":
        return this.#for(statement);
      case "while":
        return this.#while(statement);
    }
  }

  async #for(statement: StatementNode & { kind: "for" }): Promise<number> {
    const words = await this.#expand(statement.words);
    let status: number = grubStatus.none;
    this.#activeLoops++;
    for (const word of words) {
      if (this.#continuing && this.#activeBreaks === 1) this.#activeBreaks = 0;
      if (this.#activeBreaks > 0 || this.stopped) break;
      this.assign(statement.variable, word.text, word.inputs);
      status = await this.#list(statement.body);
      if (this.#returning) break;
    }
    if (this.#activeBreaks > 0) this.#activeBreaks--;
    this.#activeLoops--;
    return status;
  }

  async #while(statement: StatementNode & { kind: "while" }): Promise<number> {
    let status: number = grubStatus.none;
    this.#activeLoops++;
    while (!this.stopped) {
      status = await this.#list(statement.condition);
      if (this.#returning || this.stopped) break;
      if ((status === grubStatus.none) === statement.until) break;
      status = await this.#list(statement.body);
      if (this.#returning) break;
      if (this.#activeBreaks === 1 && this.#continuing) this.#activeBreaks = 0;
      if (this.#activeBreaks > 0) break;
    }
    if (this.#activeBreaks > 0) this.#activeBreaks--;
    this.#activeLoops--;
    return status;
  }

  async #expand(nodes: readonly WordNode[], used: UsedVariable[] = []): Promise<Tainted[]> {
    const words = await expandWords(nodes, {
      variable: (name) => {
        const value = this.variables.get(name);
        if (value !== null && name !== "?" && used.length < this.limits.entryVariablesMax) {
          used.push(usedVariable(name, value));
        }
        return value;
      },
      parameters: this.parameters,
      wordsMax: this.limits.wordsMax,
      commandCharactersMax: this.limits.commandCharactersMax,
      devices: this.#wildcardDevices(),
      list: (directory) => this.#wildcardNames(directory),
    });
    const characters = words.reduce((sum, { text }) => sum + text.length, 0);
    this.budget.spend(words.length + Math.floor(characters / charactersPerStep));
    return words;
  }

  /** The names in a directory; none where there is no such directory. */
  async names(directory: Tainted): Promise<readonly string[]> {
    const { device, use } = await this.locate(directory);
    if (device === null || !use.writtenPath.startsWith("/")) return [];
    const asked = await this.ask(() => this.host.list(device, use.writtenPath));
    if ("error" in asked) {
      this.report(asked.error);
      return [];
    }
    this.budget.spend(asked.answer.length);
    return asked.answer;
  }

  /** Disks stand before their partitions. */
  #wildcardDevices(): readonly string[] {
    const names = new Set<string>();
    for (const { name } of this.devices) {
      // A wildcard's words are nobody's but the script's.
      if (this.inputsOfDevice(name).size > 0) continue;
      const comma = name.indexOf(",");
      if (comma >= 0) names.add(name.slice(0, comma));
      names.add(name);
    }
    return [...names];
  }

  async #wildcardNames(directory: string): Promise<readonly string[]> {
    const all = await this.names({ text: directory, inputs: noInputs });
    const names = all.filter(isHarmlessText);
    const others = all.length - names.length;
    if (others > 0)
      this.note(`${quote(directory)}: ${others} names with white space, quotes or the like match no wildcard`);
    return names;
  }

  async #command(statement: StatementNode & { kind: "command" }): Promise<number> {
    const variables: UsedVariable[] = [];
    const words = await this.#expand(statement.words, variables);
    const invert = words[0]?.text === "!";
    const [name, ...rest] = invert ? words.slice(1) : words;
    if (name === undefined) {
      return invert ? this.fail(grubStatus.badArgument, '"!" is not followed by a command') : grubStatus.none;
    }
    const { block, place } = statement;
    const found = this.session.findCommand(name.text) ?? this.functions.get(name.text);
    if (found === undefined) return this.#assignment(name);
    // Only `menuentry` and `submenu` take a block; to every other command it is one more word.
    const own = "run" in found && found.block === true;
    const all = block === null || own ? rest : [...rest, blockWord(block)];
    const call: CommandCall = { name: name.text, words: all, block, place, variables };
    const status = await this.within(name.inputs, async () => this.#run(found, call));
    if (!invert) return status;
    return status === grubStatus.none ? grubStatus.testFailure : grubStatus.none;
  }

  #run(found: GrubCommand | DefinedFunction, call: CommandCall): number | Promise<number> {
    if (!("run" in found)) return this.around(call.variables, () => this.#callFunction(found, call.words));
    // GRUB complains of every such command; taking entries alone is what was asked for.
    if (this.#extractors > 0 && found.extractor !== true) return grubStatus.extractor;
    return found.run(this, call);
  }

  /** Runs a command as another one's argument does (`time`, `legacy_kernel`). */
  async runCommand(call: CommandCall): Promise<number> {
    const found = this.session.findCommand(call.name);
    if (found === undefined) {
      this.refuse(`unknown command ${quote(call.name)}`);
      return grubStatus.unknownCommand;
    }
    this.budget.spend(1);
    return this.#run(found, call);
  }

  /** `NAME=VALUE`; else the command is unknown: GRUB says so and goes on with `$?` at 0, also behind a `!`. */
  #assignment(word: Tainted): number {
    const equals = word.text.indexOf("=");
    const variable = word.text.slice(0, Math.max(0, equals));
    if (equals < 0) this.refuse(`unknown command ${quote(word.text)}`);
    else if (/^(?:[0-9].*|[#*@])$/s.test(variable)) this.report(`${quote(variable)} is no name of a variable`);
    else this.assign(variable, word.text.slice(equals + 1), word.inputs);
    return grubStatus.none;
  }

  async #callFunction({ node, inputs }: DefinedFunction, words: readonly Tainted[]): Promise<number> {
    const { parameters } = this;
    const loops = this.#activeLoops;
    this.parameters = words;
    this.#activeLoops = 0;
    try {
      return await this.within(inputs, () => this.#list(node.body));
    } finally {
      this.#returning = false;
      this.#activeLoops = loops;
      this.parameters = parameters;
    }
  }

  /** `break` and `continue`: of `count` loops, at most those that there are. */
  leaveLoops(count: number, continuing: boolean): void {
    this.#continuing = continuing;
    this.#activeBreaks = Math.min(count, this.#activeLoops);
  }

  /** `return`: GRUB leaves the list of commands at hand, up to the function. */
  leaveFunction(): void {
    this.#returning = true;
  }

  /**
   * Runs a configuration file (normal/main.c, `read_config_file`): `config_file` and `config_directory` name it meanwhile.
   * A file that is not there costs nothing but a message, as in GRUB. `onRun` is told of the file
   * before its first line runs.
   */
  async runConfig(word: Tainted, command: string, onRun?: (file: GrubFile) => void): Promise<void> {
    const read = await this.readConfig(word, command);
    if (read === null) return;
    const { file, bytes, inputs } = read;
    const key = fileKey(file);
    const lines = this.#linesOf(key, bytes);
    if (lines === null) {
      return this.refuse(
        `${command} ${quote(word.text)}: more than ${this.limits.allLinesMax} lines in all configuration files`,
      );
    }
    onRun?.(file);
    const outer = (["config_file", "config_directory"] as const).map((name) => ({
      name,
      old: this.variables.get(name),
    }));
    const full = word.text.startsWith("(") ? word.text : `(${this.variables.text("root")})${word.text}`;
    this.variables.set("config_file", full, inputs);
    this.variables.set("config_directory", full.slice(0, Math.max(0, full.lastIndexOf("/"))), inputs);
    this.variables.export("config_file");
    this.variables.export("config_directory");
    this.chain.push(key);
    const { variables } = this;
    await this.within(inputs, () => this.runText({ file, lines }, true));
    this.chain.pop();
    // A menu that was shown keeps its context; nothing of this file runs any more.
    if (this.variables !== variables || this.shown) return;
    for (const { name, old } of outer) {
      if (old === null) this.variables.unset(name);
      else this.variables.set(name, old.text, old.inputs, old.place);
    }
  }

  /** A configuration file that is to be run; null where it is not, which has been told. */
  async readConfig(
    word: Tainted,
    command: string,
  ): Promise<{ readonly file: GrubFile; readonly bytes: Uint8Array; readonly inputs: Inputs } | null> {
    const { use, device, found, inputs } = await this.locate(word);
    const refuse = (text: string): null => {
      this.refuse(text);
      return null;
    };
    if (device === null || found === null) {
      this.report(`${command}: ${use.problem ?? "not found"}`);
      return null;
    }
    const file: GrubFile = { device: device.name, path: found.path };
    const key = fileKey(file);
    if (command !== "source" && (this.chain.includes(key) || this.openMenus.includes(key))) {
      return refuse(`${command} ${quote(word.text)}: leads back to a menu that is already open`);
    }
    if (this.chain.length >= this.limits.sourceDepthMax) {
      return refuse(`${command} ${quote(word.text)}: files are taken ${this.limits.sourceDepthMax} deep`);
    }
    if (++this.session.configReads > this.limits.configReadsMax) {
      return refuse(`${command} ${quote(word.text)}: more than ${this.limits.configReadsMax} files are read`);
    }
    const bytesMax = this.limits.configBytesMax;
    const asked = await this.ask(() => this.readText(device, use, found, bytesMax));
    if ("error" in asked) return refuse(asked.error);
    this.configs.set(key, { file, bytes: asked.answer });
    return { file, bytes: asked.answer, inputs };
  }
}

function blockWord(block: BlockNode): Tainted {
  const lines = block.source().lines.map(({ text }) => text);
  return { text: `{${lines.join("\n")}}`, inputs: noInputs };
}
