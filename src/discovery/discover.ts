import type { BootEntry, FoundMenu, SkippedEntry } from "./entry.ts";
import type { DiscoveryLimits } from "./finder.ts";
import { finders } from "./finders.ts";
import type { FileSource } from "./source.ts";

export interface Discovered {
  /** In device order, and for one volume in the order of the finders' table; entries found twice stand where they were found first. */
  readonly menus: readonly FoundMenu[];
  readonly entries: readonly BootEntry[];
  readonly skipped: readonly SkippedEntry[];
}

/** Searches all volumes side by side for entries of every format. A volume that fails costs itself alone. */
export async function discover(
  sources: readonly FileSource[],
  architecture: string,
  limits: DiscoveryLimits,
): Promise<Discovered> {
  const found = await Promise.all(
    sources.flatMap((source) =>
      finders.map((finder) =>
        finder
          .find({ source, sources, architecture, limits })
          .catch((error: unknown): FoundMenu[] => [failedMenu(source.volume.name, finder.format, error)]),
      ),
    ),
  );
  const seen = new Set<string>();
  const menus = found.flat().map((menu): FoundMenu => {
    const entries = menu.entries.filter((entry) => !seen.has(entry.id));
    for (const entry of entries) seen.add(entry.id);
    return { ...menu, entries };
  });
  return {
    menus,
    entries: menus.flatMap((menu) => menu.entries),
    skipped: uniqueSkipped(menus.flatMap((menu) => menu.skipped)),
  };
}

/** A finder that failed as a whole is reported in place of what it would have found. */
function failedMenu(volume: string, format: FoundMenu["format"], error: unknown): FoundMenu {
  const reason = error instanceof Error ? error.message : String(error);
  return {
    volume,
    format,
    entries: [],
    skipped: [{ source: { volume, path: "/", line: 1 }, title: null, reason: `search for ${format}: ${reason}` }],
    defaultId: null,
    defaultReason: "",
    timeoutSeconds: null,
  };
}

function uniqueSkipped(skipped: readonly SkippedEntry[]): SkippedEntry[] {
  const key = (s: SkippedEntry): string => JSON.stringify([s.source.volume, s.source.path, s.source.line, s.reason]);
  return [...new Map(skipped.map((s) => [key(s), s])).values()];
}
