import { FormatError, quote } from "../formats/format-error.ts";
import {
  type OsPackageManifest,
  osPackageArchivePath,
  osPackageDescriptorBytesMax,
  osPackageFiles,
  parseOsPackageDescriptor,
  parseOsPackageManifest,
  readOsPackageArchive,
} from "../formats/os-package.ts";
import { readExactly } from "../formats/ranges.ts";
import { compareVersions } from "../formats/version-order.ts";
import { optionsProblem } from "./bls/candidate.ts";
import { RangeFile } from "./bls/range-file.ts";
import { Refusal, reasonOf } from "./bls/refusal.ts";
import { type BootEntry, emptyMenu, type FoundMenu, type SkippedEntry } from "./entry.ts";
import type { Finder, FinderContext } from "./finder.ts";
import { unpackZipMember } from "./zip-member.ts";

/** Where packages lie: stboot has them in `/ospkg` of its initramfs; the other is a boot volume mounted by a live system. */
const directories = ["/ospkg", "/boot/ospkg"] as const;

/** What is read of one package at most, in bytes: directory, headers and manifest of its archive. */
export const osPackageBytesMax: number = 1 << 20;
/** The same of all packages of a volume. */
export const osPackagesBytesMax: number = 32 << 20;

/**
 * Finds OS packages of System Transparency: a descriptor `NAME.json` with its archive `NAME.zip` beside it. Ids are
 * `VOLUME:ospkg:NAME`; a name that was found before is told by its path. The newest by name comes first, and is the default:
 * stboot is told by its own configuration which one to take, which none of these directories holds.
 *
 * What `os_pkg_url` names is not fetched. The descriptor makes nothing of the entry, so it is no configuration of it: title
 * and options stand in the archive, which the descriptor's signatures, or others, authenticate as a whole.
 */
export const osPackageFinder: Finder = {
  format: "ospkg",
  async find(context) {
    const menus: FoundMenu[] = [];
    const searched = new Set<string>();
    const takenIds = new Set<string>();
    const budget = { bytesLeft: osPackagesBytesMax };
    for (const directory of directories) {
      const menu = await findMenu(context, directory, searched, takenIds, budget);
      if (menu !== null) menus.push(menu);
    }
    return menus;
  },
};

async function findMenu(
  context: FinderContext,
  directory: string,
  searched: Set<string>,
  takenIds: Set<string>,
  budget: { bytesLeft: number },
): Promise<FoundMenu | null> {
  const { source, limits } = context;
  const volume = source.volume.name;
  const entries: BootEntry[] = [];
  const skipped: SkippedEntry[] = [];
  const skip = (path: string, title: string | null, error: unknown): void => {
    // The message names the file of the package that is wrong, and the field.
    const reason = error instanceof FormatError ? error.message : reasonOf(error).reason;
    skipped.push({ source: { volume, path, line: 1 }, title, reason });
  };
  try {
    const real = await source.realPath(directory);
    if (real === null || searched.has(real)) return null;
    searched.add(real);
    const names = (await source.list(directory)).filter((name) => !name.startsWith(".") && name.endsWith(".json"));
    if (names.length === 0) return null;
    const newestFirst = names.toSorted((a, b) => -compareVersions(stem(a), stem(b)));
    if (names.length > limits.entriesMax) {
      const more = names.length - limits.entriesMax;
      skip(directory, null, new Refusal(`${more} more packages, at most ${limits.entriesMax} are read`));
    }
    for (const name of newestFirst.slice(0, limits.entriesMax)) {
      const path = `${directory}/${name}`;
      try {
        const plainId = `${volume}:ospkg:${stem(name)}`;
        const id = takenIds.has(plainId) ? `${volume}:ospkg:${path}` : plainId;
        entries.push(await makeEntry(context, path, stem(name), id, budget));
        takenIds.add(id);
      } catch (error) {
        skip(path, null, error);
      }
    }
  } catch (error) {
    skip(directory, null, error);
  }
  const [first] = entries;
  if (first === undefined) return emptyMenu(volume, "ospkg", skipped);
  const defaultReason = `newest name in ${directory}`;
  return { volume, format: "ospkg", entries, skipped, defaultId: first.id, defaultReason, timeoutSeconds: null };
}

function stem(name: string): string {
  return name.slice(0, -".json".length);
}

async function makeEntry(
  context: FinderContext,
  path: string,
  name: string,
  id: string,
  budget: { bytesLeft: number },
): Promise<BootEntry> {
  const { source, limits } = context;
  // Ids go into logs and onto command lines.
  if (!/^[ -~]+$/.test(name)) throw new Refusal(`printable ASCII expected in the file name ${quote(name)}`);
  const bytesMax = Math.min(limits.configBytesMax, osPackageDescriptorBytesMax);
  const { packageUrl } = parseOsPackageDescriptor(await source.readFile(path, bytesMax));
  const archivePath = await findArchive(context, path, packageUrl);
  const manifest = await readArchive(context, archivePath, budget);
  const options = manifest.commandLine;
  const problem = optionsProblem(options, context);
  if (problem !== null) throw new Refusal(problem);
  const volume = source.volume.name;
  return {
    id,
    title: manifest.label ?? name,
    submenu: [],
    format: "ospkg",
    source: { volume, path, line: 1 },
    linux: { volume, path: archivePath },
    part: null,
    initrd: [],
    modules: [],
    options,
    embedded: true,
    addons: [],
    bootImage: null,
    devicetree: null,
    overlays: [],
    architecture: null,
    version: null,
    tries: null,
    aliases: [name, `${name}.json`, `${name}.zip`],
    configs: [],
    unsignedInputs: [],
    variables: [],
  };
}

async function findArchive({ source }: FinderContext, path: string, packageUrl: string | null): Promise<string> {
  const archivePath = osPackageArchivePath(path);
  if (archivePath === null) throw new Refusal(`a file name that ends in ".json" expected`);
  const stat = await source.stat(archivePath);
  if (stat?.type === "file") return archivePath;
  if (stat !== null) throw new Refusal(`the archive ${quote(archivePath)}: a regular file expected`);
  const url = packageUrl === null ? "" : `; os_pkg_url ${quote(packageUrl)} is not fetched`;
  throw new Refusal(`the archive ${quote(archivePath)} is missing${url}`);
}

async function readArchive(
  { source }: FinderContext,
  path: string,
  budget: { bytesLeft: number },
): Promise<OsPackageManifest> {
  if (budget.bytesLeft <= 0) throw new Refusal(`more than ${osPackagesBytesMax} bytes of directories and manifests`);
  await using file = await source.open(path);
  const ranges = new RangeFile(file, osPackageBytesMax);
  try {
    const { archive, manifest: member } = await ranges.parse(readOsPackageArchive);
    const packed = await ranges.parse((read) => readExactly(read, member.data, "zip", member.name).bytes);
    const pieces: Uint8Array[] = [];
    for await (const piece of unpackZipMember([packed], member)) pieces.push(piece);
    const manifest = parseOsPackageManifest(Buffer.concat(pieces));
    osPackageFiles(archive, manifest);
    return manifest;
  } catch (error) {
    if (error instanceof FormatError) throw new Refusal(`the archive ${quote(path)}: ${error.message}`);
    throw error;
  } finally {
    budget.bytesLeft -= ranges.bytesRead;
  }
}
