import { compareBlsEntries } from "../formats/bls.ts";
import { utf8 } from "../formats/bytes.ts";
import { type LoaderConf, parseLoaderConf } from "../formats/loader-conf.ts";
import type { Candidate, Place } from "./bls/candidate.ts";
import { chooseDefault, menuTimeoutSeconds } from "./bls/choose.ts";
import { ImageReader, imagesBytesMax } from "./bls/image-reader.ts";
import { readImageEntries } from "./bls/images.ts";
import { Refusal, reasonOf, type Skip } from "./bls/refusal.ts";
import { readTextEntries } from "./bls/text-entries.ts";
import type { BootEntry, FoundMenu, SkippedEntry } from "./entry.ts";
import type { Finder, FinderContext } from "./finder.ts";
import type { FileSource } from "./source.ts";

/** Where entries live on a volume: at its root, or below the mount point of a live system's boot volume. */
const places: readonly Place[] = [
  { loader: "/loader", images: "/EFI/Linux", base: "" },
  { loader: "/boot/loader", images: "/boot/EFI/Linux", base: "/boot" },
];

/** GPT types of the volumes whose entries one menu holds (UAPI.1, "The Partitions"), and their MBR counterparts. */
const espTypes: readonly string[] = ["c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef"];
const xbootldrTypes: readonly string[] = ["bc13c2ff-59e6-4262-a352-b275fd6f7172", "0xea"];

/**
 * Finds the entries of the Boot Loader Specification (UAPI.1), one menu for each place, in the specification's order: type 1,
 * `/loader/entries/*.conf`, and type 2, the unified kernel images `/EFI/Linux/*.efi`; and the same below `/boot`. A directory
 * that several paths lead to is searched once.
 *
 * The ESP and the extended boot loader partition of a disk are one menu, found with the ESP: `loader.conf` is the ESP's.
 */
export const blsFinder: Finder = {
  format: "bls1",
  async find(context: FinderContext) {
    const menus: FoundMenu[] = [];
    const searched = new Set<string>();
    const takenIds = new Set<string>();
    for (const place of places) {
      const [esp, ...further] = place.base === "" ? menuSources(context) : [context.source];
      if (esp !== context.source) continue;
      const menu = await findMenu(context, place, [esp, ...further], searched, takenIds);
      if (menu !== null) menus.push(menu);
    }
    return menus;
  },
};

/** The volumes of the menu that this volume belongs to, the one that the menu is found with first. */
function menuSources(context: FinderContext): [FileSource, ...FileSource[]] {
  const { source } = context;
  const { disk } = source.volume;
  const hasType = (types: readonly string[]) => (each: FileSource) => types.includes(each.volume.parttype ?? "");
  if (disk === null || !hasType([...espTypes, ...xbootldrTypes])(source)) return [source];
  const siblings = context.sources.filter((each) => each.volume.disk === disk);
  const esp = siblings.find(hasType(espTypes));
  if (esp === undefined || (source !== esp && hasType(espTypes)(source))) return [source];
  return [esp, ...siblings.filter(hasType(xbootldrTypes))];
}

async function findMenu(
  context: FinderContext,
  place: Place,
  sources: readonly [FileSource, ...FileSource[]],
  searched: Set<string>,
  takenIds: Set<string>,
): Promise<FoundMenu | null> {
  const skipped: SkippedEntry[] = [];
  const skipOn =
    (source: FileSource): Skip =>
    (path, title, error) => {
      const { reason, line } = reasonOf(error);
      skipped.push({ source: { volume: source.volume.name, path, line }, title, reason });
    };
  const usable: Candidate[] = [];
  const budget = { bytesLeft: imagesBytesMax };
  let found = false;
  for (const source of sources) {
    const own = { ...context, source };
    const reader = new ImageReader(own, place.base, skipOn(source), budget);
    for (const read of [readTextEntries, readImageEntries]) {
      const entries = await read(own, place, searched, reader, skipOn(source));
      if (entries === null) continue;
      found = true;
      usable.push(...entries);
    }
  }
  if (!found) return null;
  const [first] = sources;
  const { conf, path: confPath } = await readLoaderConf({ ...context, source: first }, place, skipOn(first));
  const entries = offer(usable, context, takenIds, (candidate, left) => {
    const source = sources.find(({ volume }) => volume.name === candidate.boot.source.volume) ?? first;
    skipOn(source)(candidate.path, candidate.title, new Refusal(left));
  });
  return {
    volume: first.volume.name,
    format: "bls1",
    entries,
    skipped,
    ...chooseDefault(entries, conf, confPath, context.lastBooted ?? null),
    timeoutSeconds: menuTimeoutSeconds(conf),
  };
}

/** The entries in the menu's order, no more than may be, with ids and titles that are unique. */
function offer(
  usable: readonly Candidate[],
  { limits: { entriesMax } }: FinderContext,
  takenIds: Set<string>,
  leaveOut: (candidate: Candidate, reason: string) => void,
): BootEntry[] {
  const all = usable.toSorted(
    (a, b) => compareBlsEntries(a.sort, b.sort) || (a.path < b.path ? -1 : Number(a.path > b.path)),
  );
  const sorted = all.slice(0, entriesMax);
  const tooMany = all[entriesMax];
  if (tooMany !== undefined) {
    leaveOut(tooMany, `${all.length - entriesMax} more entries, at most ${entriesMax} are offered`);
  }
  const ids = sorted.map((candidate) => uniqueId(candidate, takenIds));
  const titles = uniqueTitles(sorted, ids);
  return sorted.map((candidate, index) => {
    const { boot, fileName, aliases } = candidate;
    return {
      id: `${boot.source.volume}:${boot.format}:${ids[index]}`,
      title: titles[index] ?? fileName.name,
      aliases: [...new Set(aliases)],
      ...boot,
    };
  });
}

/** The name; names are unique but for entries that stand there in two stages, or below both directories. */
function uniqueId({ path, fileName, idSuffix, boot }: Candidate, takenIds: Set<string>): string {
  const file = path.slice(path.lastIndexOf("/") + 1);
  const stem = file.slice(0, -fileName.suffix.length);
  const key = (name: string): string => `${boot.source.volume}:${boot.format}:${name}${idSuffix}`;
  const name = [fileName.name, stem].find((each) => !takenIds.has(key(each))) ?? path;
  takenIds.add(key(name));
  return `${name}${idSuffix}`;
}

/** As systemd-boot does it: to titles that stand more than once it adds the version, then the machine id, then the id. */
function uniqueTitles(usable: readonly Candidate[], ids: readonly string[]): string[] {
  const titles = usable.map(({ title, fileName }) => title ?? fileName.name);
  const additions = [
    (index: number) => usable[index]?.boot.version,
    (index: number) => usable[index]?.machineId?.slice(0, 8),
    (index: number) => ids[index],
  ];
  for (const addition of additions) {
    const counts = new Map<string, number>();
    for (const title of titles) counts.set(title, (counts.get(title) ?? 0) + 1);
    for (const [index, title] of titles.entries()) {
      const added = addition(index);
      if ((counts.get(title) ?? 0) > 1 && added) titles[index] = `${title} (${added})`;
    }
  }
  return titles;
}

async function readLoaderConf(
  context: FinderContext,
  place: Place,
  skip: Skip,
): Promise<{ conf: LoaderConf | null; path: string }> {
  const path = `${place.loader}/loader.conf`;
  try {
    if ((await context.source.stat(path)) === null) return { conf: null, path };
    const bytes = await context.source.readFile(path, context.limits.configBytesMax);
    const conf = parseLoaderConf(utf8(bytes, "loader.conf"));
    for (const { line, text } of conf.problems) skip(path, null, new Refusal(text, line));
    return { conf, path };
  } catch (error) {
    skip(path, null, error);
    return { conf: null, path };
  }
}
