import {
  type BlsEntry,
  type BlsKey,
  type BlsSortData,
  compareBlsEntries,
  type EntryFileName,
  parseBls,
  parseEntryFileName,
} from "../formats/bls.ts";
import { latin1, utf8 } from "../formats/bytes.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import { globMatches } from "../formats/glob.ts";
import { asciiLower, type LoaderChoice, type LoaderConf, parseLoaderConf } from "../formats/loader-conf.ts";
import { compareVersions } from "../formats/version-order.ts";
import type { BootEntry, FileRef, FoundMenu, SkippedEntry } from "./entry.ts";
import type { Finder, FinderContext } from "./finder.ts";
import { type FileSource, SourceError } from "./source.ts";

/** All entry files of one directory together, bytes: they are kept until the boot, to be verified. */
export const entryFilesBytesMax = 16 << 20;

/** GRUB variables that a reason names. */
const variablesNamedMax = 4;

/** Where entries live on a volume: at its root, or below the mount point of a live system's boot volume. */
const places = [
  { loader: "/loader", mount: null },
  { loader: "/boot/loader", mount: "/boot" },
] as const;

type Place = (typeof places)[number];

/** GPT types of the volumes whose entries one menu holds (UAPI.1, "The Partitions"), and their MBR counterparts. */
const espTypes: readonly string[] = ["c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef"];
const xbootldrTypes: readonly string[] = ["bc13c2ff-59e6-4262-a352-b275fd6f7172", "0xea"];

/**
 * Finds type 1 entries of the Boot Loader Specification (UAPI.1): `/loader/entries/*.conf` and `/boot/loader/entries/*.conf`,
 * one menu for each directory, in the specification's order. A directory that both paths lead to is searched once.
 *
 * The ESP and the extended boot loader partition of a disk are one menu, found with the ESP: `loader.conf` is the ESP's.
 */
export const blsFinder: Finder = {
  format: "bls1",
  async find(context) {
    const menus: FoundMenu[] = [];
    const searched = new Set<string>();
    const takenIds = new Set<string>();
    for (const place of places) {
      const [esp, ...further] = place.mount === null ? menuSources(context) : [context.source];
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

/** Why something is not offered; caught where the skipped entry is made. */
class Refusal extends Error {
  readonly line: number;
  constructor(reason: string, line = 1) {
    super(reason);
    this.line = line;
  }
}

function reasonOf(error: unknown): { reason: string; line: number } {
  if (error instanceof Refusal) return { reason: error.message, line: error.line };
  if (error instanceof FormatError) return { reason: error.detail, line: error.place.line ?? 1 };
  if (error instanceof SourceError) return { reason: error.message, line: 1 };
  throw error;
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
  const usable: Usable[] = [];
  let found = false;
  for (const source of sources) {
    const read = await readDirectory({ ...context, source }, place, searched, skipOn(source));
    if (read === null) continue;
    found = true;
    usable.push(...read);
  }
  if (!found) return null;
  const [first] = sources;
  const { conf, path: confPath } = await readLoaderConf({ ...context, source: first }, place, skipOn(first));
  const entries = offer(`${place.loader}/entries`, usable, takenIds);
  return {
    volume: first.volume.name,
    format: "bls1",
    entries,
    skipped,
    ...chooseDefault(entries, conf, confPath),
    timeoutSeconds: timeoutSeconds(conf),
  };
}

/** The usable entries of one directory; null where there is no such directory or it holds none. */
async function readDirectory(
  context: FinderContext,
  place: Place,
  searched: Set<string>,
  skip: Skip,
): Promise<Usable[] | null> {
  const { source } = context;
  const directory = `${place.loader}/entries`;
  let at = directory;
  try {
    const real = await source.realPath(directory);
    const key = `${source.volume.name}:${real}`;
    if (real === null || searched.has(key)) return null;
    searched.add(key);
    const names = (await source.list(directory)).filter(isEntryFileName);
    if (names.length === 0) return null;
    at = `${place.loader}/entries.srel`;
    await checkMarker(source, at);
    at = directory;
    return await readEntries(context, place, real, names, skip);
  } catch (error) {
    skip(at, null, error);
    return [];
  }
}

type Skip = (path: string, title: string | null, error: unknown) => void;

/** `*.conf` as a shell takes it, which leaves hidden files out; FAT has no case. */
function isEntryFileName(name: string): boolean {
  return !name.startsWith(".") && asciiLower(name).endsWith(".conf");
}

/** `entries.srel` beside the directory says whose format the files have ("Standard-conformance Marker File"). */
async function checkMarker(source: FileSource, path: string): Promise<void> {
  if ((await source.stat(path)) === null) return;
  const content = latin1(await source.readFile(path, 64)).trim();
  if (content !== "type1") {
    throw new Refusal(
      `"type1" expected, not ${quote(content)}: the entries do not follow the Boot Loader Specification`,
    );
  }
}

/** An entry that can be offered, before ids and titles are made unique. */
interface Usable {
  readonly volume: string;
  readonly path: string;
  readonly fileName: EntryFileName;
  readonly bytes: Uint8Array;
  readonly entry: BlsEntry;
  readonly linux: FileRef;
  readonly initrd: readonly FileRef[];
  readonly devicetree: FileRef | null;
}

async function readEntries(
  context: FinderContext,
  place: Place,
  realDirectory: string,
  names: readonly string[],
  skip: Skip,
): Promise<Usable[]> {
  const directory = `${place.loader}/entries`;
  // Where there are too many, the newest are the ones to keep.
  const newestFirst = [...names].sort((a, b) => -compareVersions(a, b));
  const { entriesMax } = context.limits;
  if (names.length > entriesMax) {
    skip(directory, null, new Refusal(`${names.length - entriesMax} more entry files, at most ${entriesMax} are read`));
  }
  const usable: Usable[] = [];
  let bytesLeft = entryFilesBytesMax;
  for (const name of newestFirst.slice(0, entriesMax)) {
    const path = `${directory}/${name}`;
    let title: string | null = null;
    try {
      const fileName = checkFileName(name);
      await refuseLink(context.source, path, `${realDirectory}/${name}`);
      if (bytesLeft <= 0) throw new Refusal(`more than ${entryFilesBytesMax} bytes in the files of ${directory}`);
      const bytes = await context.source.readFile(path, context.limits.configBytesMax);
      bytesLeft -= bytes.length;
      const entry = parseBls(utf8(bytes, "bls"));
      title = entry.title;
      checkSupported(entry, context);
      const files = await locateFiles(context.source, place, entry);
      usable.push({ volume: context.source.volume.name, path, fileName, bytes, entry, ...files });
    } catch (error) {
      skip(path, title, error);
    }
  }
  return usable;
}

function checkFileName(name: string): EntryFileName {
  // The specification allows fewer; ids go into logs and onto command lines, where these are harmless.
  if (!/^[ -~]+$/.test(name)) throw new Refusal(`printable ASCII expected in the file name ${quote(name)}`);
  if (asciiLower(name).startsWith("auto-")) {
    throw new Refusal(`file names that begin with "auto-" belong to a loader's own entries`);
  }
  const parsed = parseEntryFileName(name, ".conf");
  if (parsed === null || parsed.name === "") throw new Refusal(`a name expected before the counters of ${quote(name)}`);
  return parsed;
}

/** Entry files are not followed through symbolic links (UAPI.1, "The Partitions"); the directory itself may be one (OSTree). */
async function refuseLink(source: FileSource, path: string, expected: string): Promise<void> {
  const real = await source.realPath(path);
  if (real === null) throw new Refusal("a file expected, not a symbolic link that leads nowhere");
  if (real !== expected) throw new Refusal(`a file expected, not a symbolic link (to ${quote(real)})`);
}

/** Refuses what would boot something else than the entry says, and what is for another machine. */
function checkSupported(entry: BlsEntry, context: FinderContext): void {
  const line = (key: BlsKey): number => entry.lines.get(key)?.[0] ?? 1;
  if (entry.architecture !== null) {
    const own = efiArchitecture(context.architecture);
    if (asciiLower(entry.architecture) !== own) {
      const machine = own === null ? `${quote(context.architecture)}, which has no EFI name` : `"${own}"`;
      throw new Refusal(`architecture ${quote(entry.architecture)}: this machine is ${machine}`, line("architecture"));
    }
  }
  for (const { key, value, reason } of unsupported(entry)) {
    if (value !== null && value !== undefined) throw new Refusal(`"${key}" ${quote(value)} ${reason}`, line(key));
  }
  if (entry.linux === null) throw new Refusal(`no "linux" key: nothing to start`);
  refuseVariables("linux", [entry.linux], entry);
  refuseVariables("initrd", entry.initrd, entry);
  refuseVariables("devicetree", entry.devicetree === null ? [] : [entry.devicetree], entry);
  refuseVariables("options", [entry.options], entry);
  const optionsBytes = new TextEncoder().encode(entry.options).length;
  const { optionsBytesMax } = context.limits;
  if (optionsBytes > optionsBytesMax) {
    throw new Refusal(`options of ${optionsBytes} bytes, at most ${optionsBytesMax} are taken`, line("options"));
  }
}

function unsupported(entry: BlsEntry): { key: BlsKey; value: string | null | undefined; reason: string }[] {
  const efi = "starts an EFI program, which the firmware would have to run";
  return [
    { key: "efi", value: entry.efi, reason: efi },
    { key: "uki", value: entry.uki, reason: `${efi}; unified kernel images are found in /EFI/Linux` },
    { key: "uki-url", value: entry.ukiUrl, reason: `${efi}; type 1 entries start no image from the network here` },
    { key: "profile", value: entry.profile, reason: `chooses a profile of a unified kernel image, not of "linux"` },
    {
      key: "devicetree-overlay",
      value: entry.devicetreeOverlay[0],
      reason: "would have to be applied, which is not supported",
    },
    { key: "extra", value: entry.extra[0], reason: "would have to be handed to the system, which is not supported" },
  ];
}

/** `$name` and `${name}`; `$` before anything else is text (`memmap=64K$0x18690000`). */
function refuseVariables(key: BlsKey, values: readonly string[], entry: BlsEntry): void {
  for (const [index, value] of values.entries()) {
    const names = new Set(value.match(/\$(?:\{[^}]*\}?|[A-Za-z_][A-Za-z0-9_]*)/g) ?? []);
    if (names.size === 0) continue;
    const named = [...names].slice(0, variablesNamedMax).map(quote).join(", ");
    const rest = names.size > variablesNamedMax ? ` and ${names.size - variablesNamedMax} more` : "";
    throw new Refusal(
      `"${key}" uses ${named}${rest}: GRUB variables, which only GRUB's environment gives`,
      entry.lines.get(key)?.[index] ?? 1,
    );
  }
}

/** The word of the EFI specification for what `uname -m` says; null where there is none. */
function efiArchitecture(machine: string): string | null {
  if (/^i[3-6]86$/.test(machine)) return "ia32";
  if (/^arm(v[4-8].*)?$/.test(machine)) return "arm";
  if (machine === "x86_64") return "x64";
  if (machine === "aarch64") return "aa64";
  return ["ia64", "riscv32", "riscv64", "loongarch32", "loongarch64"].find((name) => name === machine) ?? null;
}

type Files = Pick<Usable, "linux" | "initrd" | "devicetree">;

/**
 * The entry's files. Paths start at the volume's root; on a volume that holds the entries below a mount point, all files
 * may stand below it instead, as the boot volume sees them: the kernel decides for all.
 */
async function locateFiles(source: FileSource, place: Place, entry: BlsEntry): Promise<Files> {
  const line = (key: BlsKey, index = 0): number => entry.lines.get(key)?.[index] ?? 1;
  const kernel = normalise(entry.linux ?? "", line("linux"));
  let base = "";
  if (place.mount !== null && (await source.stat(kernel)) === null) {
    if ((await source.stat(place.mount + kernel)) === null) {
      throw new Refusal(`linux ${quote(kernel)} is missing, below ${place.mount} too`, line("linux"));
    }
    base = place.mount;
  }
  const file = async (key: BlsKey, value: string, index = 0): Promise<FileRef> => {
    const path = base + normalise(value, line(key, index));
    const stat = await source.stat(path);
    if (stat === null) throw new Refusal(`${key} ${quote(path)} is missing`, line(key, index));
    if (stat.type !== "file") throw new Refusal(`${key} ${quote(path)}: a regular file expected`, line(key, index));
    return { volume: source.volume.name, path };
  };
  const linux = await file("linux", kernel);
  const initrd: FileRef[] = [];
  for (const [index, value] of entry.initrd.entries()) initrd.push(await file("initrd", value, index));
  const devicetree = entry.devicetree === null ? null : await file("devicetree", entry.devicetree);
  return { linux, initrd, devicetree };
}

/** Absolute from the volume's root, with or without the slash in front, as the specification has it. */
function normalise(value: string, line: number): string {
  const parts: string[] = [];
  for (const part of value.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) throw new Refusal(`path ${quote(value)} leaves the volume`, line);
  }
  return `/${parts.join("/")}`;
}

function offer(directory: string, usable: readonly Usable[], takenIds: Set<string>): BootEntry[] {
  const sorted = [...usable].sort(
    (a, b) => compareBlsEntries(sortData(a), sortData(b)) || (a.path < b.path ? -1 : Number(a.path > b.path)),
  );
  const ids = sorted.map(({ volume, fileName, path }) => {
    // Names are unique but for entries that stand there in two stages, or below both directories.
    const file = path.slice(directory.length + 1);
    const stem = file.slice(0, -fileName.suffix.length);
    const name = [fileName.name, stem].find((each) => !takenIds.has(`${volume}:${each}`)) ?? path;
    takenIds.add(`${volume}:${name}`);
    return name;
  });
  const titles = uniqueTitles(sorted, ids);
  return sorted.map(({ volume, path, fileName, bytes, entry, linux, initrd, devicetree }, index) => ({
    id: `${volume}:bls1:${ids[index]}`,
    title: titles[index] ?? fileName.name,
    submenu: [],
    format: "bls1",
    source: { volume, path, line: 1 },
    linux,
    part: null,
    initrd,
    modules: [],
    options: entry.options,
    embedded: false,
    addons: [],
    bootImage: null,
    devicetree,
    overlays: [],
    architecture: entry.architecture === null ? null : asciiLower(entry.architecture),
    version: entry.version,
    tries: fileName.tries,
    aliases: [...new Set([fileName.name, `${fileName.name}.conf`, path.slice(directory.length + 1)])],
    configs: [{ ref: { volume, path }, bytes }],
    unsignedInputs: [],
    variables: [],
  }));
}

function sortData({ fileName, entry }: Usable): BlsSortData {
  const { sortKey, machineId, version } = entry;
  return { name: fileName.name, tries: fileName.tries, sortKey, machineId, version };
}

/** As systemd-boot does it: to titles that stand more than once it adds the version, then the machine id, then the id. */
function uniqueTitles(usable: readonly Usable[], ids: readonly string[]): string[] {
  const titles = usable.map(({ entry, fileName }) => entry.title ?? fileName.name);
  const additions = [
    (index: number) => usable[index]?.entry.version,
    (index: number) => usable[index]?.entry.machineId?.slice(0, 8),
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

/**
 * `preferred`, then `default`, then the first entry. An entry without tries left is chosen only where no other is there:
 * systemd-boot's `default` would take it for ever, and with nobody there the machine would never come back.
 */
function chooseDefault(
  entries: readonly BootEntry[],
  conf: LoaderConf | null,
  path: string,
): Pick<FoundMenu, "defaultId" | "defaultReason"> {
  const good = entries.filter((entry) => entry.tries?.left !== 0);
  const candidates = good.length > 0 ? good : entries;
  const exhausted = good.length > 0 || entries.length === 0 ? [] : ["no entry has tries left"];
  const remarks: string[] = [];
  for (const key of ["preferred", "default"] as const) {
    const choice = conf?.[key] ?? null;
    if (choice === null) continue;
    if (choice.kind === "saved") {
      remarks.push(`${key} @saved in ${path}, but no saved entry is known`);
      continue;
    }
    const said = `${key} ${quote(choice.pattern)} in ${path}`;
    const chosen = candidates.find((entry) => isChosen(entry, choice));
    if (chosen !== undefined)
      return { defaultId: chosen.id, defaultReason: [said, ...remarks, ...exhausted].join("; ") };
    const some = entries.some((entry) => isChosen(entry, choice));
    remarks.push(`${said} matches ${some ? "only entries with no tries left" : "no entry that is offered"}`);
  }
  const first = candidates[0];
  if (first === undefined) return { defaultId: null, defaultReason: ["no entry is offered", ...remarks].join("; ") };
  const reason = ["first in Boot Loader Specification order", ...remarks, ...exhausted].join("; ");
  return { defaultId: first.id, defaultReason: reason };
}

/** The id is the file name without counters; it is matched with and without `.conf`. */
function isChosen(entry: BootEntry, choice: LoaderChoice): boolean {
  if (choice.kind !== "pattern") return false;
  return entry.aliases.slice(0, 2).some((alias) => globMatches(choice.glob, asciiLower(alias)));
}

function timeoutSeconds(conf: LoaderConf | null): number | null {
  const timeout = conf?.timeout ?? null;
  if (timeout === null || timeout.kind === "menu-force") return null;
  return timeout.kind === "seconds" ? timeout.seconds : 0;
}
