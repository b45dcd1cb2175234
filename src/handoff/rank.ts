import type { BootEntry, FoundMenu } from "../discovery/entry.ts";
import { FormatError } from "../formats/format-error.ts";
import { type Glob, globMatches, parseGlob } from "../formats/glob.ts";

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
 * The order in which entries are tried: first those that the operator's configuration names, then menu by menu in device
 * order, each with its own default first and the others in menu order.
 *
 * @param wanted the configuration's `entry`; null where it names none
 */
export function rank(menus: readonly FoundMenu[], wanted: string | null): Ranking {
  const ranked = menus.flatMap((menu) => rankMenu(menu));
  const chosen = wanted === null ? [] : ranked.filter(({ entry }) => isWanted(entry, wanted));
  const order = [
    ...chosen.map(({ entry }) => ({ entry, reason: `the configuration's entry ${JSON.stringify(wanted)} names it` })),
    ...ranked.filter((item) => !chosen.includes(item)),
  ];
  const first = order[0];
  const winner = first === undefined ? null : menus.find((menu) => menu.entries.includes(first.entry));
  const missing = wanted !== null && chosen.length === 0 ? `entry ${JSON.stringify(wanted)} was not found; ` : "";
  return {
    order,
    defaultId: first?.entry.id ?? null,
    defaultReason: first === undefined ? `${missing}no boot entry was found` : `${missing}${first.reason}`,
    timeoutSeconds: winner?.timeoutSeconds ?? null,
  };
}

function rankMenu(menu: FoundMenu): RankedEntry[] {
  const where = `on ${menu.volume}`;
  const preferred = menu.entries.filter((entry) => entry.id === menu.defaultId);
  // Why the default of the configuration is not the one that boots is told by the entry in its place.
  const instead = preferred.length === 0 && menu.defaultReason !== "" ? `${menu.defaultReason}; ` : "";
  return [
    ...preferred.map((entry) => ({ entry, reason: `${menu.defaultReason}, ${where}` })),
    ...menu.entries
      .filter((entry) => entry.id !== menu.defaultId)
      .map((entry, index) => ({
        entry,
        reason: `${index === 0 ? instead : ""}next in the ${menu.format} menu ${where}`,
      })),
  ];
}

/** Whether a name or pattern of the configuration means this entry. */
export function isWanted(entry: BootEntry, wanted: string): boolean {
  const names = [entry.id, entry.title, ...entry.aliases];
  if (names.includes(wanted)) return true;
  const pattern = readPattern(wanted);
  return pattern !== null && names.some((name) => globMatches(pattern, name));
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
