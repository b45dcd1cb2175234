import { messageOf } from "../formats/error-text.ts";
import { type MachineDescription, unknownMachineDescription } from "../machine/machine-description.ts";
import { ConfigBudget } from "./config-budget.ts";
import { diskKey } from "./disk-key.ts";
import { type BootEntry, emptyMenu, type FileRef, type FoundMenu, type SkippedEntry } from "./entry.ts";
import type { DiscoveryLimits, ImageVolumes } from "./finder.ts";
import { finders } from "./finders.ts";
import { OpenedImages } from "./image-volumes.ts";
import type { FileSource } from "./source.ts";

export interface Discovered {
  /** In device order, and for one volume in the order of the finders' table; entries found twice stand where they were found first, as their own volume's search finds them. */
  readonly menus: readonly FoundMenu[];
  readonly entries: readonly BootEntry[];
  readonly skipped: readonly SkippedEntry[];
  /** Volumes inside files of others, which entries may refer to. */
  readonly images: readonly FileSource[];
}

/** Searches all volumes side by side for entries of every format. A volume that fails costs itself alone. */
export async function discover(
  sources: readonly FileSource[],
  architecture: string,
  limits: DiscoveryLimits,
  lastBooted: string | null = null,
  machine: () => MachineDescription = () => unknownMachineDescription,
): Promise<Discovered> {
  const opened = new OpenedImages();
  const views = new Map<string, { readonly charged: readonly FileSource[]; readonly images: ImageVolumes }>();
  const found = await Promise.all(
    sources.flatMap(({ volume }, index) => {
      const { name, disk } = volume;
      const key = diskKey(volume);
      let view = views.get(key);
      if (view === undefined) {
        const budget = new ConfigBudget();
        view = { charged: sources.map((each) => budget.charge(each)), images: budget.chargeImages(opened) };
        views.set(key, view);
      }
      const { charged, images } = view;
      const source = charged[index];
      if (source === undefined) return [];
      return finders.map(async (finder): Promise<SearchedMenu[]> => {
        const menus = await finder
          .find({ source, sources: charged, architecture, images, limits, lastBooted, machine })
          .catch((error: unknown) => [failedMenu(name, finder.format, error)]);
        return menus.map((menu) => ({ menu, foundOn: name, disk: disk ?? name }));
      });
    }),
  );
  const menus = uniqueEntries(preferPrograms(found.flat()));
  return {
    menus,
    entries: menus.flatMap((menu) => menu.entries),
    skipped: uniqueSkipped(menus.flatMap((menu) => menu.skipped)),
    images: opened.opened,
  };
}

/** A menu and the volume that was searched for it: a configuration there may lead to another volume's menu. */
interface SearchedMenu {
  readonly menu: FoundMenu;
  readonly foundOn: string;
  /** The disk that was searched; the volume where it is on none that is known. */
  readonly disk: string;
}

/**
 * A GRUB configuration may list a volume's Boot Loader Specification entries by itself (`blscfg`), with its own variables,
 * order and default. Then it is what that volume boots: such entries stand in its menu alone, and what is left of the
 * plain menu comes behind it.
 */
function preferPrograms(found: readonly SearchedMenu[]): SearchedMenu[] {
  const programs = found.filter(({ menu }) => menu.format === "grub");
  const menus: SearchedMenu[] = [];
  const later = new Map<SearchedMenu, SearchedMenu[]>();
  for (const searched of found) {
    const places = searched.menu.format === "bls1" ? new Set(placesOf(searched.menu)) : null;
    const program = places === null ? undefined : programs.find((each) => lists(each, searched, places));
    if (program === undefined) menus.push(searched);
    else later.set(program, [...(later.get(program) ?? []), without(searched, program.menu)]);
  }
  return menus.flatMap((searched) => [searched, ...(later.get(searched) ?? [])]);
}

/** Whether a GRUB menu that was found on the same disk has entries of a Boot Loader Specification menu. */
function lists(program: SearchedMenu, plain: SearchedMenu, places: ReadonlySet<string>): boolean {
  if (program.disk !== plain.disk) return false;
  return program.menu.entries.some((entry) => entry.format === "bls1" && places.has(placeKey(entry.source)));
}

/** The files that a menu speaks of, whether it offers them or not. */
function placesOf({ entries, skipped }: FoundMenu): string[] {
  return [...entries, ...skipped].map(({ source }) => placeKey(source));
}

function placeKey({ volume, path }: FileRef): string {
  return `${volume}:${path}`;
}

function without({ menu, ...where }: SearchedMenu, program: FoundMenu): SearchedMenu {
  const taken = new Set(placesOf(program));
  const left = ({ source }: { readonly source: FileRef }): boolean => !taken.has(placeKey(source));
  const entries = menu.entries.filter(left);
  const hasDefault = entries.some(({ id }) => id === menu.defaultId);
  const chosen = hasDefault ? {} : { defaultId: null, defaultReason: "" };
  return { ...where, menu: { ...menu, entries, skipped: menu.skipped.filter(left), ...chosen } };
}

/**
 * The menus with every id once. What a volume's own search finds has its id, whoever else leads to it: with the detour's
 * files in the way, an unsigned one on a strange disk would have the entry refused. An entry that the detour changed
 * stands beside it as `ID@VOLUME`.
 */
function uniqueEntries(found: readonly SearchedMenu[]): FoundMenu[] {
  const owners = new Map<string, BootEntry>();
  for (const { menu, foundOn } of found) {
    if (menu.volume !== foundOn) continue;
    for (const entry of menu.entries) if (!owners.has(entry.id)) owners.set(entry.id, entry);
  }
  const taken = new Map<string, BootEntry>();
  return found.map(({ menu, foundOn }) => {
    let { defaultId } = menu;
    const entries: BootEntry[] = [];
    for (const entry of menu.entries) {
      const owner = owners.get(entry.id);
      const first = owner ?? taken.get(entry.id);
      const isCopy =
        first === undefined ||
        menu.volume === foundOn ||
        bootKey(entry, owner === undefined) === bootKey(first, owner === undefined);
      const id = isCopy ? entry.id : `${entry.id}@${foundOn}`;
      if (!isCopy && entry.id === menu.defaultId) defaultId = id;
      if (taken.has(id)) continue;
      const kept = isCopy ? (first ?? entry) : { ...entry, id };
      taken.set(id, kept);
      entries.push(kept);
    }
    return { ...menu, entries, defaultId };
  });
}

/** What an entry boots and shows, and on request the files that have to be signed for it. */
function bootKey(entry: BootEntry, withFiles: boolean): string {
  const { title, submenu, linux, part, initrd, modules, options, bootImage, addons, devicetree, overlays } = entry;
  const files = withFiles ? [...entry.configs, ...entry.unsignedInputs.map(({ config }) => config)] : [];
  const loaded = [linux, part, initrd, modules, options, bootImage, addons, devicetree, overlays];
  return JSON.stringify([title, submenu, loaded, files.map(({ ref }) => ref)]);
}

/** A finder that failed as a whole is reported in place of what it would have found. */
function failedMenu(volume: string, format: FoundMenu["format"], error: unknown): FoundMenu {
  const reason = `search for ${format}: ${messageOf(error)}`;
  return emptyMenu(volume, format, [{ source: { volume, path: "/", line: 1 }, title: null, reason }]);
}

function uniqueSkipped(skipped: readonly SkippedEntry[]): SkippedEntry[] {
  const key = (s: SkippedEntry): string => JSON.stringify([s.source.volume, s.source.path, s.source.line, s.reason]);
  return [...new Map(skipped.map((s) => [key(s), s])).values()];
}
