import { type Glob, globMatches, parseGlob } from "./glob.ts";

/** Aliases that agree so far and are tried one by one; more are grouped by what comes next. */
const linearMax = 32;

/** Longest device alias that is looked up, in characters. The kernel gives at most a page. */
export const modaliasCharactersMax = 4096;

interface Alias {
  readonly order: number;
  readonly module: string;
  /** Normalised. */
  readonly pattern: string;
  /** For patterns with more than stars; null otherwise. */
  readonly glob: Glob | null;
}

/**
 * Finds the modules whose alias patterns match a device's alias, quickly among tens of thousands of patterns.
 *
 * Most patterns begin with plain text that few others share (`pci:v00008086d0000100E`), so they are grouped by it.
 * Those of a device tree all begin alike (`of:N*T*Cvendor,part`), so a group that is large is grouped again by the plain
 * text after its next star, and so on: cost grows with the device's alias, hardly with the number of patterns.
 */
export class AliasIndex {
  readonly #aliases: Alias[] = [];
  #level: Level | null = null;

  /**
   * Adds a pattern as fnmatch(3) takes it; `-` and `_` are equal outside of sets, as for modprobe.
   *
   * @throws FormatError for a set that is not closed and the like.
   */
  add(pattern: string, module: string): void {
    const normalised = normaliseAlias(pattern);
    const glob = /[?[\\]/.test(normalised) ? parseGlob(normalised) : null;
    this.#aliases.push({ order: this.#aliases.length, module, pattern: normalised, glob });
    this.#level = null;
  }

  /** Names of the modules in the order in which their patterns were added, each once. */
  find(modalias: string): string[] {
    if (modalias.length > modaliasCharactersMax) return [];
    this.#level ??= new Level(this.#aliases, 0);
    const found: Alias[] = [];
    this.#level.find(modalias.replaceAll("-", "_"), 0, found);
    found.sort((a, b) => a.order - b.order);
    return [...new Set(found.map((alias) => alias.module))];
  }
}

/** `-` becomes `_`, except in sets, where it makes ranges. */
function normaliseAlias(pattern: string): string {
  let depth = 0;
  let text = "";
  for (const character of pattern) {
    if (character === "[") depth++;
    else if (character === "]" && depth > 0) depth--;
    text += character === "-" && depth === 0 ? "_" : character;
  }
  return text;
}

/** Patterns whose first `depth` runs of plain text are the same. */
class Level {
  readonly #aliases: readonly Alias[];
  readonly #depth: number;
  #groups: Groups | null = null;

  constructor(aliases: readonly Alias[], depth: number) {
    this.#aliases = aliases;
    this.#depth = depth;
  }

  /** @param from where the next run may begin at the earliest; the leftmost place is always as good as any later. */
  find(text: string, from: number, found: Alias[]): void {
    if (this.#depth > 0 && this.#aliases.length <= linearMax) {
      for (const alias of this.#aliases) if (aliasMatches(alias, text)) found.push(alias);
      return;
    }
    this.#groups ??= makeGroups(this.#aliases, this.#depth);
    const { lasts, nexts, others } = this.#groups;
    for (const alias of others) if (aliasMatches(alias, text)) found.push(alias);
    for (const length of lasts.lengths) {
      const fits = this.#depth === 0 ? length === text.length : length <= text.length - from;
      if (fits) found.push(...(lasts.byText.get(text.slice(text.length - length)) ?? []));
    }
    const seen = new Set<Level>();
    const lastStart = this.#depth === 0 ? 0 : text.length;
    for (let at = from; at <= lastStart; at++) {
      for (const length of nexts.lengths) {
        const level = at + length <= text.length ? nexts.byText.get(text.slice(at, at + length)) : undefined;
        if (level === undefined || seen.has(level)) continue;
        seen.add(level);
        level.find(text, at + length, found);
      }
    }
  }
}

interface ByText<T> {
  readonly byText: ReadonlyMap<string, T>;
  /** Lengths of the texts, each once. */
  readonly lengths: readonly number[];
}

interface Groups {
  /** By the run that ends the pattern. */
  readonly lasts: ByText<readonly Alias[]>;
  /** By the run that a star follows. */
  readonly nexts: ByText<Level>;
  /** Those that cannot be split into runs from here on. */
  readonly others: readonly Alias[];
}

function makeGroups(aliases: readonly Alias[], depth: number): Groups {
  const lasts = new Map<string, Alias[]>();
  const nexts = new Map<string, Alias[]>();
  const others: Alias[] = [];
  for (const alias of aliases) {
    const runs = alias.pattern.split(/\*+/);
    const run = runs[depth];
    if (alias.glob !== null && depth === 0) put(nexts, /^[^*?[\\]*/.exec(alias.pattern)?.[0] ?? "", alias);
    else if (alias.glob !== null || run === undefined) others.push(alias);
    else put(depth === runs.length - 1 ? lasts : nexts, run, alias);
  }
  const levels = [...nexts].map(([text, group]): [string, Level] => [text, new Level(group, depth + 1)]);
  return { lasts: byText(lasts), nexts: byText(new Map(levels)), others };
}

function put(groups: Map<string, Alias[]>, text: string, alias: Alias): void {
  const group = groups.get(text);
  if (group === undefined) groups.set(text, [alias]);
  else group.push(alias);
}

function byText<T>(map: ReadonlyMap<string, T>): ByText<T> {
  return { byText: map, lengths: [...new Set([...map.keys()].map((text) => text.length))] };
}

function aliasMatches(alias: Alias, text: string): boolean {
  return alias.glob === null ? runsMatch(alias.pattern.split(/\*+/), text) : globMatches(alias.glob, text);
}

/** Whether runs of plain text with stars between them match the whole text. */
function runsMatch(runs: readonly string[], text: string): boolean {
  const first = runs[0] ?? "";
  if (runs.length === 1) return text === first;
  const last = runs.at(-1) ?? "";
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const run of runs.slice(1, -1)) {
    const found = text.indexOf(run, at);
    if (found < 0) return false;
    at = found + run.length;
  }
  return text.length - at >= last.length && text.endsWith(last);
}
