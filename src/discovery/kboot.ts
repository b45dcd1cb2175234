import { utf8 } from "../formats/bytes.ts";
import { messageOf } from "../formats/error-text.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import { type KbootConf, type KbootEntry, type KbootFile, parseKboot } from "../formats/kboot.ts";
import type { BootEntry, FileRef, FoundMenu, SkippedEntry } from "./entry.ts";
import type { Finder, FinderContext } from "./finder.ts";
import type { FileSource, VolumeFacts } from "./source.ts";

/** Where petitboot looks, in its order; the first that is there counts. */
const lowerPaths = ["/kboot.conf", "/kboot.cnf", "/etc/kboot.conf", "/etc/kboot.cnf"] as const;
const configPaths = [...lowerPaths, ...lowerPaths.map((path) => path.toUpperCase())];

/**
 * Finds the labels of kboot.conf (see {@link parseKboot}). Ids are `VOLUME:kboot:LABEL`.
 *
 * Its `timeout` is not told: programs read it in seconds or in tenths, and its specification calls it a hint.
 */
export const kbootFinder: Finder = {
  format: "kboot",
  async find(context) {
    for (const path of configPaths) {
      try {
        if ((await context.source.stat(path))?.type !== "file") continue;
        return [await readMenu(context, path)];
      } catch (error) {
        const place = error instanceof FormatError ? error.place.line : undefined;
        const reason = error instanceof FormatError ? error.detail : messageOf(error);
        const source = { volume: context.source.volume.name, path, line: place ?? 1 };
        const none = { entries: [], defaultId: null, defaultReason: "", timeoutSeconds: null };
        return [{ volume: source.volume, format: "kboot", skipped: [{ source, title: null, reason }], ...none }];
      }
    }
    return [];
  },
};

async function readMenu(context: FinderContext, path: string): Promise<FoundMenu> {
  const { source, limits } = context;
  const volume = source.volume.name;
  const bytes = await source.readFile(path, limits.configBytesMax);
  const conf = parseKboot(utf8(bytes, "kboot"));
  const skipped: SkippedEntry[] = conf.problems.map(({ line, label, text }) => ({
    source: { volume, path, line },
    title: label,
    reason: text,
  }));
  const entries: BootEntry[] = [];
  const taken = new Set<string>();
  const defaults: string[] = [];
  for (const entry of conf.entries) {
    const plain = `${volume}:kboot:${entry.label}`;
    let id = plain;
    for (let count = 2; taken.has(id); count++) id = `${plain}#${count}`;
    taken.add(id);
    try {
      if (entries.length >= limits.entriesMax) throw new Error(`at most ${limits.entriesMax} entries are taken`);
      entries.push(await makeEntry(context, entry, id, { ref: { volume, path }, bytes }));
      if (entry.label === conf.default) defaults.push(id);
    } catch (error) {
      skipped.push({ source: { volume, path, line: entry.line }, title: entry.label, reason: messageOf(error) });
    }
  }
  return { volume, format: "kboot", entries, skipped, ...chooseDefault(conf, defaults, path), timeoutSeconds: null };
}

function chooseDefault(
  conf: KbootConf,
  ids: readonly string[],
  path: string,
): Pick<FoundMenu, "defaultId" | "defaultReason"> {
  if (conf.default === null) return { defaultId: null, defaultReason: `no default in ${path}` };
  const said = `default ${quote(conf.default)} in ${path}`;
  const [first] = ids;
  if (first !== undefined) return { defaultId: first, defaultReason: said };
  const known = conf.entries.some(({ label }) => label === conf.default);
  return { defaultId: null, defaultReason: `${said}${known ? ", which is not offered" : " is no label"}` };
}

/** Throws an error whose message is the reason where the entry cannot be offered. */
async function makeEntry(
  context: FinderContext,
  { label, line, kernel, initrd, options }: KbootEntry,
  id: string,
  config: BootEntry["configs"][number],
): Promise<BootEntry> {
  const bytes = new TextEncoder().encode(options).length;
  const { optionsBytesMax } = context.limits;
  if (bytes > optionsBytesMax) throw new Error(`options: ${bytes} bytes, at most ${optionsBytesMax} are taken`);
  return {
    id,
    title: label,
    submenu: [],
    format: "kboot",
    source: { ...config.ref, line },
    linux: await locate(context, "kernel", kernel),
    part: null,
    initrd: initrd === null ? [] : [await locate(context, "initrd", initrd)],
    modules: [],
    options,
    embedded: false,
    addons: [],
    bootImage: null,
    devicetree: null,
    overlays: [],
    architecture: null,
    version: null,
    tries: null,
    aliases: [label],
    configs: [config],
    unsignedInputs: [],
    variables: [],
  };
}

async function locate(context: FinderContext, what: string, { device, path }: KbootFile): Promise<FileRef> {
  const source = device === null ? context.source : findVolume(context.sources, device);
  if (source === null) throw new Error(`${what}: no volume is ${quote(device ?? "")}`);
  const stat = await source.stat(path);
  if (stat === null) throw new Error(`${what} ${quote(path)} is missing on ${source.volume.name}`);
  if (stat.type !== "file") throw new Error(`${what} ${quote(path)}: a regular file expected`);
  return { volume: source.volume.name, path };
}

/**
 * The volume that a device's name means: the kernel's (`/dev/sda1`, `sda1`), `UUID=`, `LABEL=`, `PARTUUID=`, `PARTLABEL=`.
 * What no volume answers to is the one directory of which nothing is known, where there is just one. Null where there is none.
 */
function findVolume(sources: readonly FileSource[], device: string): FileSource | null {
  const equals = device.indexOf("=");
  const tag = equals < 0 ? "" : device.slice(0, equals).toUpperCase();
  const value = device.slice(equals + 1).toLowerCase();
  const has = (text: string | null): boolean => text?.toLowerCase() === value;
  const tests: Readonly<Record<string, (volume: VolumeFacts) => boolean>> = {
    "": ({ name }) => name === device.replace(/^\/dev\//, ""),
    UUID: ({ uuid }) => has(uuid),
    LABEL: ({ label }) => label === device.slice(equals + 1),
    PARTUUID: ({ partuuid }) => has(partuuid),
    PARTLABEL: ({ partlabel }) => partlabel === device.slice(equals + 1),
  };
  const test = tests[tag];
  if (test === undefined) return null;
  const known = sources.find(({ volume }) => test(volume));
  if (known !== undefined) return known;
  const unknown = sources.filter(({ volume }) => isUnknown(volume));
  return unknown.length === 1 ? (unknown[0] ?? null) : null;
}

/** A volume of the machine itself has a filesystem at least. */
function isUnknown({ fstype, uuid, label, partuuid, disk }: VolumeFacts): boolean {
  return [fstype, uuid, label, partuuid, disk].every((fact) => fact === null);
}
