import type { BootEntry, FoundMenu } from "../discovery/entry.ts";
import { FormatError } from "../formats/format-error.ts";
import { type Glob, globMatches, parseGlob } from "../formats/glob.ts";
import { asciiLower } from "../formats/loader-conf.ts";
import { type EfiChoices, noEfiChoices } from "../machine/efi-variables.ts";

export interface RankedEntry {
  readonly entry: BootEntry;
  /** Why it stands where it stands. */
  readonly reason: string;
}

export interface Ranking {
  /** Every entry, in the order in which they are tried unattended. */
  readonly order: readonly RankedEntry[];
  /** What boots unattended; null when there is no entry. */
  readonly defaultId: string | null;
  readonly defaultReason: string;
  /** Seconds that the winning configuration would show its menu; null when it does not say. */
  readonly timeoutSeconds: number | null;
}

/**
 * The order in which entries are tried:
 *
 * 1. what the operator's configuration names;
 * 2. what EFI variables name, once only first, then preferred, then default;
 * 3. menu by menu in the order of the devices, and on one volume in the order of the finders: in each first what its own
 *    configuration makes the default (GRUB's `default`, `saved_entry` and `fallback`, loader.conf, a `menu default`), then the
 *    others in menu order (that of the Boot Loader Specification, or of the file); menus inside images after all others;
 * 4. what has no tries left.
 *
 * @param wanted the configuration's `entry`; null where it names none
 */
export function rank(menus: readonly FoundMenu[], wanted: string | null, efi: EfiChoices = noEfiChoices): Ranking {
  // What lies inside an image is there for somebody to choose.
  const inOrder = menus.toSorted((a, b) => Number(isInImages(a)) - Number(isInImages(b)));
  const ranked = inOrder.flatMap((menu, index) => rankMenu(menu, inOrder.slice(0, index)));
  const order: RankedEntry[] = [];
  const missing: string[] = [];
  const placed = new Set<BootEntry>();
  const put = (entry: BootEntry, reason: string): void => {
    if (placed.has(entry)) return;
    placed.add(entry);
    order.push({ entry, reason });
  };
  if (wanted !== null) {
    const isChosen = matcherOf(wanted);
    const chosen = ranked.filter(({ entry }) => isChosen(entry));
    for (const { entry } of chosen) put(entry, `the configuration's entry ${JSON.stringify(wanted)} names it`);
    if (chosen.length === 0) missing.push(`entry ${JSON.stringify(wanted)} was not found`);
  }
  for (const { variable, name, onlyGood } of efiNames(efi)) {
    const said = `the EFI variable ${variable} says ${JSON.stringify(name)}`;
    const named = ranked.filter(({ entry }) => isNamedByEfi(entry, name));
    const chosen = named.find(({ entry }) => !onlyGood || !isExhausted(entry));
    if (chosen !== undefined) put(chosen.entry, said);
    else missing.push(`${said}, which ${named.length === 0 ? "is not offered" : "has no tries left"}`);
  }
  for (const { entry, reason } of ranked) if (!isExhausted(entry)) put(entry, reason);
  for (const { entry, reason } of ranked) put(entry, `${reason}; no tries left, so it comes after all others`);
  const first = order[0];
  const winner = first === undefined ? null : menus.find((menu) => menu.entries.includes(first.entry));
  return {
    order,
    defaultId: first?.entry.id ?? null,
    defaultReason: [...missing, first?.reason ?? "no boot entry was found"].join("; "),
    timeoutSeconds: timeoutOf(winner ?? null, efi),
  };
}

function isExhausted({ tries }: BootEntry): boolean {
  return tries?.left === 0;
}

function isInImages({ format }: FoundMenu): boolean {
  return format === "loopback";
}

interface EfiName {
  readonly variable: string;
  readonly name: string;
  /** An entry that has no tries left is passed over: with nobody there the machine would try it for ever. */
  readonly onlyGood: boolean;
}

function efiNames(efi: EfiChoices): EfiName[] {
  const names: EfiName[] = [];
  const add = (variable: string, value: string | null, onlyGood: boolean): void => {
    if (value === null) return;
    if (value !== "@saved") names.push({ variable, name: value, onlyGood });
    else if (efi.lastBooted !== null) {
      names.push({ variable: `LoaderEntryLastBooted (${variable}: @saved)`, name: efi.lastBooted, onlyGood });
    }
  };
  add("LoaderEntryOneShot", efi.oneShot, false);
  add("LoaderEntryPreferred", efi.preferred, true);
  add("LoaderEntryDefault", efi.default, true);
  return names;
}

/** Ids of the Boot Loader Interface are file names of entries, with or without suffix; case does not matter. */
function isNamedByEfi(entry: BootEntry, name: string): boolean {
  if (entry.format !== "bls1" && entry.format !== "uki") return false;
  const pattern = readPattern(asciiLower(name));
  return entry.aliases.some((alias) => {
    const lower = asciiLower(alias);
    return lower === asciiLower(name) || (pattern !== null && globMatches(pattern, lower));
  });
}

function timeoutOf(winner: FoundMenu | null, efi: EfiChoices): number | null {
  if (winner === null) return null;
  return efi.timeoutVariable === null || winner.format !== "bls1" ? winner.timeoutSeconds : efi.timeoutSeconds;
}

/** @param before the menus that come before this one */
function rankMenu(menu: FoundMenu, before: readonly FoundMenu[]): RankedEntry[] {
  const where = `on ${menu.volume}`;
  const ahead = before.find(({ entries }) => entries.length > 0);
  const lost = ahead === undefined ? "" : `, behind ${menuText(ahead, menu)}`;
  const preferred = menu.entries.filter((entry) => entry.id === menu.defaultId);
  // Why the default of the configuration is not the one that boots is told by the entry in its place.
  const instead = preferred.length === 0 && menu.defaultReason !== "" ? `${menu.defaultReason}; ` : "";
  return [
    ...preferred.map((entry) => ({ entry, reason: `${menu.defaultReason}, ${where}${lost}` })),
    ...menu.entries
      .filter((entry) => entry.id !== menu.defaultId)
      .map((entry, index) => ({
        entry,
        reason: `${index === 0 ? instead : ""}next in the ${menu.format} menu ${where}`,
      })),
  ];
}

/** Why a menu lost to one before it. */
function menuText(ahead: FoundMenu, menu: FoundMenu): string {
  if (isInImages(menu) && !isInImages(ahead)) return `the ${ahead.format} menu on ${ahead.volume}: images come last`;
  if (ahead.volume !== menu.volume)
    return `the ${ahead.format} menu on ${ahead.volume}, which comes first in the order of devices`;
  return `the ${ahead.format} menu on the same volume, which is preferred`;
}

/** Whether a name or pattern of the configuration means this entry. */
export function isWanted(entry: BootEntry, wanted: string): boolean {
  return matcherOf(wanted)(entry);
}

function matcherOf(wanted: string): (entry: BootEntry) => boolean {
  const isMeant = nameMatcher(wanted);
  return ({ id, title, aliases }) => isMeant([id, title, ...aliases]);
}

/** Whether a word is one of some names, or a pattern that one of them matches. */
export function nameMatcher(wanted: string): (names: readonly string[]) => boolean {
  const pattern = readPattern(wanted);
  return (names) => names.includes(wanted) || (pattern !== null && names.some((name) => globMatches(pattern, name)));
}

/** A name that is no valid pattern (a title with a lone "[") is only compared as it is. */
function readPattern(wanted: string): Glob | null {
  try {
    return parseGlob(wanted);
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}
