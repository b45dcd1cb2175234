/** What a wildcard is matched against. */
export interface WildcardWorld {
  /** Names of devices, without parentheses. */
  readonly devices: readonly string[];
  /** Names in a directory written as in a script, `(hd0,gpt2)/boot` or `/boot`; empty where there is none. */
  list(directory: string): Promise<readonly string[]>;
}

/** Behind this many results a wildcard is not expanded further. */
export const wildcardResultsMax = 4096;

/**
 * The paths that a word with `*` and `?` stands for (grub-core/commands/wildcard.c): only words that begin with `/`, `(`
 * or `*` are paths; a backslash guards the character after it. Null where the word stays as it is: it is no path, or
 * nothing matches. A path without wildcards gives itself, its backslashes taken off.
 */
export async function expandWildcard(word: string, world: WildcardWorld): Promise<readonly string[] | null> {
  if (!/^[/(*]/.test(word)) return null;
  let paths: string[] | null = null;
  let wild = false;
  for (let start = 0; start < word.length; ) {
    const { plainEnd, end } = splitPath(word, start);
    if (plainEnd === end) {
      const rest = unescapePath(word.slice(start, end));
      paths = paths === null ? [rest] : await withRest(paths, rest, wild, world);
    } else {
      wild = true;
      const pattern = word.slice(plainEnd, end);
      if (paths !== null) {
        const directory = unescapeWildcards(word.slice(start, plainEnd));
        const found: string[] = [];
        for (const path of paths) found.push(...(await matchingFiles(path + directory, pattern, world)));
        paths = found;
      } else if (plainEnd === start) paths = matchingDevices(pattern, word[start] !== "(", world);
      else paths = await matchingFiles(unescapeWildcards(word.slice(start, plainEnd)), pattern, world);
    }
    if (paths.length === 0) return null;
    paths.length = Math.min(paths.length, wildcardResultsMax);
    start = end;
  }
  return paths;
}

/** `end`: behind the first directory or file name with a wildcard; `plainEnd`: where that name begins. */
function splitPath(word: string, start: number): { readonly plainEnd: number; readonly end: number } {
  let wild = false;
  let split = start;
  let at = start;
  for (; at < word.length; at++) {
    const character = word[at];
    if (character === "\\" && at + 1 < word.length) at++;
    else if (character === "*" || character === "?") wild = true;
    else if (character === "/" && wild) break;
    else if (character === "/") split = at + 1;
  }
  return { plainEnd: wild ? split : at, end: at };
}

async function withRest(paths: string[], rest: string, wild: boolean, world: WildcardWorld): Promise<string[]> {
  const kept: string[] = [];
  for (const path of paths) {
    const full = path + rest;
    const slash = full.lastIndexOf("/");
    if (wild && slash >= 0 && slash + 1 < full.length) {
      const names = await world.list(full.slice(0, slash + 1));
      if (!names.includes(full.slice(slash + 1))) continue;
    }
    kept.push(full);
  }
  return kept;
}

function matchingDevices(pattern: string, disksOnly: boolean, world: WildcardWorld): string[] {
  return world.devices
    .filter((name) => !disksOnly || !name.includes(","))
    .map((name) => `(${name})`)
    .filter((name) => matches(pattern, name));
}

async function matchingFiles(directory: string, pattern: string, world: WildcardWorld): Promise<string[]> {
  const names = await world.list(directory);
  return names.filter((name) => matches(pattern, name)).map((name) => directory + name);
}

/** Whether `*`, `?` and guarded characters match the whole name; goes back to the last star only, so it ends soon. */
export function matches(pattern: string, name: string): boolean {
  const parts: (string | null)[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern.charAt(i);
    if (character === "\\" && i + 1 < pattern.length) parts.push(`=${pattern.charAt(++i)}`);
    else if (character === "*") parts.push(null);
    else parts.push(character === "?" ? "?" : `=${character}`);
  }
  let part = 0;
  let at = 0;
  let star = -1;
  let starAt = 0;
  while (at < name.length) {
    const wanted = parts[part];
    if (wanted === null) {
      star = part++;
      starAt = at;
    } else if (wanted === "?" || wanted === `=${name.charAt(at)}`) {
      part++;
      at++;
    } else if (star >= 0) {
      part = star + 1;
      at = ++starAt;
    } else return false;
  }
  while (parts[part] === null) part++;
  return part === parts.length;
}

function unescapePath(text: string): string {
  return text.replace(/\\(.?)/gs, "$1");
}

function unescapeWildcards(text: string): string {
  return text.replace(/\\([*.\\|+{}[\]?])/g, "$1");
}
