import { FormatError, quote } from "./format-error.ts";
import { numberedLines } from "./lines.ts";
import { AliasIndex } from "./modalias.ts";

/*
 * The text files that depmod(8) writes beside a kernel's modules.
 * Sources: modules.dep(5), modprobe.d(5) ("softdep"), depmod(8); names and aliases as modprobe(8) resolves them.
 */

/** Modules of one kernel; large distributions have about 7000. */
export const modulesMax = 50_000;
/** Aliases of one kernel; large distributions have about 40,000. */
export const moduleAliasesMax = 500_000;
/** Hard dependencies of one module as modules.dep lists them, and soft ones of one line. */
export const moduleDependenciesMax = 1000;
/** One of the files, characters. */
export const moduleTextCharactersMax = 64 << 20;

/** Contents of the files named `modules.dep`, `modules.alias`… */
export interface ModuleTexts {
  readonly dep: string;
  readonly alias: string;
  readonly softdep: string;
  readonly builtin: string;
}

/** What {@link ModuleIndex.parse} takes; files that a kernel lacks are left out. */
export interface ModuleSources extends Partial<ModuleTexts> {
  readonly dep: string;
  /** `modules.builtin.modinfo`: records that end with NUL; only the aliases of built-in modules are taken from it. */
  readonly builtinModinfo?: string;
}

/** One module to load. */
export interface ModuleStep {
  /** Normalised, as /proc/modules shows it. */
  readonly name: string;
  /** Relative to the directory of modules.dep. */
  readonly path: string;
  /** False for a soft dependency and what only it needs: its failure does not matter to what was asked for. */
  readonly required: boolean;
}

interface Module {
  readonly name: string;
  readonly path: string;
  readonly dependencies: readonly string[];
}

interface SoftDependency {
  readonly pre: readonly string[];
  readonly post: readonly string[];
}

interface AliasLine {
  readonly pattern: string;
  readonly module: string;
}

/** The kernel's own name of a module: the file name without directory and suffixes, with `_` for `-`. */
export function moduleName(pathOrName: string): string {
  const file = pathOrName.slice(pathOrName.lastIndexOf("/") + 1);
  return file.replace(/\.ko(\.(xz|zst|gz))?$/, "").replaceAll("-", "_");
}

/**
 * What modules there are, which device needs which, and in what order they are loaded. Names with `-` and with `_` are
 * the same.
 */
export class ModuleIndex {
  /** Aliases that were left out, each with its reason: one bad pattern costs only itself. */
  readonly problems: readonly FormatError[];
  readonly #modules: ReadonlyMap<string, Module>;
  readonly #aliasLines: readonly AliasLine[];
  readonly #aliases: AliasIndex;
  readonly #softDependencies: ReadonlyMap<string, SoftDependency>;
  readonly #builtin: ReadonlySet<string>;
  readonly #builtinAliases: AliasIndex;
  readonly #builtinText: string;

  private constructor(texts: ModuleTexts, builtinModinfo: string) {
    this.#modules = parseModulesDep(texts.dep);
    const aliases = parseModulesAlias(texts.alias);
    this.#aliasLines = aliases.lines;
    this.#aliases = aliases.index;
    this.#softDependencies = parseModulesSoftdep(texts.softdep);
    this.#builtin = new Set(contentLines(texts.builtin, "modules.builtin").map((line) => moduleName(line.text)));
    const builtin = parseBuiltinModinfo(builtinModinfo);
    this.#builtinAliases = builtin.index;
    this.#builtinText = texts.builtin;
    this.problems = [...aliases.problems, ...builtin.problems];
  }

  /** @throws FormatError with the file's name as its format, and the line. */
  static parse(sources: ModuleSources): ModuleIndex {
    const { builtinModinfo = "", ...texts } = sources;
    return new ModuleIndex({ alias: "", softdep: "", builtin: "", ...texts }, builtinModinfo);
  }

  /** Whether there is a module file of that name. */
  has(name: string): boolean {
    return this.#modules.has(moduleName(name));
  }

  /** Whether the kernel itself contains the module of that name, or one of that alias. */
  isBuiltin(word: string): boolean {
    return this.#builtin.has(moduleName(word)) || this.#builtinAliases.find(word).length > 0;
  }

  /** Path of a module's file relative to the directory of modules.dep; null when there is none. */
  path(name: string): string | null {
    return this.#modules.get(moduleName(name))?.path ?? null;
  }

  /** Names of all modules, in the order of modules.dep. */
  names(): readonly string[] {
    return [...this.#modules.keys()];
  }

  /** Names of the modules for a device's or a feature's alias (`pci:v00001AF4d…`, `fs-ext4`), each once, in file order. */
  modulesFor(modalias: string): string[] {
    return this.#aliases.find(modalias).filter((name) => this.#modules.has(name));
  }

  /** What a word means to modprobe: a module of that name, else the modules of that alias. */
  resolve(word: string): string[] {
    const name = moduleName(word);
    return this.#modules.has(name) ? [name] : this.modulesFor(word);
  }

  /** Paths of all that must be loaded for a name, an alias or several, in order; see {@link loadPlan}. */
  loadOrder(words: string | readonly string[]): readonly string[] {
    return this.loadPlan(words).map((step) => step.path);
  }

  /**
   * What to load for a name, an alias or several of them: hard dependencies first, then soft ones marked `pre`, the module
   * itself, soft ones marked `post`; each module once. Dependencies in a circle are loaded in the order in which they are
   * met. Words that mean no module (built in, unknown) add nothing.
   */
  loadPlan(words: string | readonly string[]): readonly ModuleStep[] {
    const wanted = (typeof words === "string" ? [words] : words).flatMap((word) => this.resolve(word));
    const required = this.#hardClosure(wanted);
    const steps: ModuleStep[] = [];
    const entered = new Set<string>();
    // Depth first with a stack of its own: a chain as long as the file must not overflow the machine's.
    const stack: { readonly name: string; readonly ready: boolean }[] = [];
    const push = (names: readonly string[]): void => {
      for (const name of names.toReversed()) stack.push({ name, ready: false });
    };
    push(wanted);
    for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
      const module = this.#modules.get(item.name);
      if (module === undefined) continue;
      if (item.ready) steps.push({ name: module.name, path: module.path, required: required.has(module.name) });
      if (item.ready || entered.has(module.name)) continue;
      entered.add(module.name);
      const soft = this.#softDependencies.get(module.name);
      push((soft?.post ?? []).flatMap((word) => this.resolve(word)));
      stack.push({ name: module.name, ready: true });
      push((soft?.pre ?? []).flatMap((word) => this.resolve(word)));
      // modules.dep lists what is needed first last.
      push(module.dependencies.toReversed());
    }
    return steps;
  }

  /**
   * The four files for a subset of the modules. All that the kept ones depend on must be kept too ({@link loadPlan}).
   *
   * @param names what to keep
   * @param rename gives the path of a module in its new place
   */
  filtered(names: Iterable<string>, rename: (path: string) => string = (path) => path): ModuleTexts {
    const kept = new Set([...names].map(moduleName));
    const path = (name: string): string => rename(this.#modules.get(name)?.path ?? name);
    const modules = [...this.#modules.values()].filter((module) => kept.has(module.name));
    const soft = [...this.#softDependencies].filter(([name]) => kept.has(name));
    const words = (kind: string, names: readonly string[]): string =>
      names.length > 0 ? ` ${kind}: ${names.join(" ")}` : "";
    return {
      dep: lines(modules.map((module) => [`${path(module.name)}:`, ...module.dependencies.map(path)].join(" "))),
      alias: lines(
        this.#aliasLines
          .filter((alias) => kept.has(alias.module))
          .map((alias) => `alias ${alias.pattern} ${alias.module}`),
      ),
      softdep: lines(soft.map(([name, { pre, post }]) => `softdep ${name}${words("pre", pre)}${words("post", post)}`)),
      builtin: this.#builtinText,
    };
  }

  #hardClosure(names: readonly string[]): ReadonlySet<string> {
    const closure = new Set<string>();
    const waiting = [...names];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      if (closure.has(name)) continue;
      closure.add(name);
      waiting.push(...(this.#modules.get(name)?.dependencies ?? []));
    }
    return closure;
  }
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join("");
}

/** Lines that say something: no comments, none that are blank. */
function contentLines(text: string, format: string): { readonly number: number; readonly text: string }[] {
  if (text.length > moduleTextCharactersMax) {
    throw new FormatError(format, `${text.length} characters, at most ${moduleTextCharactersMax} are taken`);
  }
  return numberedLines(text, format)
    .map(({ number, text }) => ({ number, text: text.trim() }))
    .filter((line) => line.text !== "" && !line.text.startsWith("#"));
}

/** `kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko` */
function parseModulesDep(text: string): Map<string, Module> {
  const format = "modules.dep";
  const paths = new Map<string, string>();
  const found: Module[] = [];
  for (const { number: line, text: content } of contentLines(text, format)) {
    const colon = content.indexOf(":");
    if (colon <= 0) throw new FormatError(format, `${quote(content)}: PATH: [PATH]… expected`, { line });
    const path = content.slice(0, colon);
    const dependencies = splitWords(content.slice(colon + 1), format, line);
    for (const each of [path, ...dependencies]) {
      checkPath(each, line);
      const name = moduleName(each);
      // Where two files have one name, the line that comes first counts.
      if (!paths.has(name)) paths.set(name, each);
    }
    found.push({ name: moduleName(path), path, dependencies: dependencies.map(moduleName) });
    if (found.length > modulesMax) throw new FormatError(format, `more than ${modulesMax} modules`, { line });
  }
  const modules = new Map<string, Module>();
  for (const module of found) if (!modules.has(module.name)) modules.set(module.name, module);
  // A dependency without a line of its own has none itself.
  for (const [name, path] of paths) if (!modules.has(name)) modules.set(name, { name, path, dependencies: [] });
  return modules;
}

function checkPath(path: string, line: number): void {
  const parts = path.split("/");
  const inside = !parts.some((part) => part === "" || part === "." || part === "..") && !path.includes("\0");
  if (inside && /\.ko(\.(xz|zst|gz))?$/.test(path)) return;
  const expected = `a path of a .ko file (or .ko.xz, .ko.zst, .ko.gz) below the directory of modules.dep expected`;
  throw new FormatError("modules.dep", `${quote(path)}: ${expected}`, { line });
}

/** Returns what is wrong with the pattern, or null. */
function addAlias(index: AliasIndex, pattern: string, module: string): FormatError | null {
  try {
    index.add(pattern, moduleName(module));
    return null;
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}

/** `alias PATTERN MODULE` */
function parseModulesAlias(text: string): { lines: AliasLine[]; index: AliasIndex; problems: FormatError[] } {
  const format = "modules.alias";
  const lines: AliasLine[] = [];
  const problems: FormatError[] = [];
  const index = new AliasIndex();
  for (const { number: line, text: content } of contentLines(text, format)) {
    const [keyword, pattern, module, ...rest] = content.split(/\s+/);
    if (keyword !== "alias" || pattern === undefined || module === undefined || rest.length > 0) {
      throw new FormatError(format, `${quote(content)}: alias PATTERN MODULE expected`, { line });
    }
    if (lines.length === moduleAliasesMax)
      throw new FormatError(format, `more than ${moduleAliasesMax} aliases`, { line });
    const problem = addAlias(index, pattern, module);
    if (problem === null) lines.push({ pattern, module: moduleName(module) });
    else problems.push(new FormatError(format, problem.detail, { line }));
  }
  return { lines, index, problems };
}

/** `ext4.alias=fs-ext4` and other records, each ended by NUL (Documentation/kbuild/kbuild.rst of Linux). */
function parseBuiltinModinfo(text: string): { index: AliasIndex; problems: FormatError[] } {
  const format = "modules.builtin.modinfo";
  const index = new AliasIndex();
  const problems: FormatError[] = [];
  if (text.length > moduleTextCharactersMax) {
    throw new FormatError(format, `${text.length} characters, at most ${moduleTextCharactersMax} are taken`);
  }
  for (const record of text.split("\0")) {
    const [, module, pattern] = /^([^.=]+)\.alias=(.+)$/.exec(record) ?? [];
    if (module === undefined || pattern === undefined) continue;
    const problem = addAlias(index, pattern, module);
    if (problem !== null) problems.push(new FormatError(format, problem.detail));
  }
  return { index, problems };
}

/**
 * `softdep NAME pre: A B post: C`; several lines of one name add up (kmod's modprobe takes only the first
 * of them); words before `pre:` and `post:` mean nothing.
 */
function parseModulesSoftdep(text: string): Map<string, SoftDependency> {
  const format = "modules.softdep";
  const found = new Map<string, { pre: string[]; post: string[] }>();
  for (const { number: line, text: content } of contentLines(text, format)) {
    const [keyword, name, ...words] = splitWords(content, format, line);
    if (keyword !== "softdep" || name === undefined) {
      throw new FormatError(format, `${quote(content)}: softdep NAME pre: NAME… post: NAME… expected`, { line });
    }
    const soft = found.get(moduleName(name)) ?? { pre: [], post: [] };
    let list: string[] | null = null;
    for (const word of words) {
      if (word === "pre:") list = soft.pre;
      else if (word === "post:") list = soft.post;
      else list?.push(word);
    }
    if (soft.pre.length + soft.post.length > moduleDependenciesMax) {
      throw new FormatError(format, `more than ${moduleDependenciesMax} names for ${quote(name)}`, { line });
    }
    if (soft.pre.length + soft.post.length > 0) found.set(moduleName(name), soft);
  }
  return found;
}

function splitWords(text: string, format: string, line: number): string[] {
  const words = text.split(/\s+/).filter((word) => word !== "");
  if (words.length > moduleDependenciesMax) {
    throw new FormatError(format, `${words.length} words, at most ${moduleDependenciesMax} are taken`, { line });
  }
  return words;
}
