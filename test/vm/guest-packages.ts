import { readdir, readlink } from "node:fs/promises";
import path from "node:path";
import { cached, contentKey, exists, sharedDirectory } from "./cache.ts";
import type { DiskFiles } from "./disk.ts";
import { addPackage, findPackages, type PackageVersion } from "./packages.ts";

/** Programs out of packages and the shared libraries they need, unpacked and not installed, in one directory. */
export interface GuestPackages {
  /** All files of all packages, each below the path that it is installed to. */
  readonly directory: string;
  /** The dynamic linker and all shared libraries, at their places in a guest. */
  readonly libraries: DiskFiles;
}

/** Unpacks the packages and, followed through what they depend on, those of their shared libraries. */
export async function guestPackages(names: readonly string[]): Promise<GuestPackages> {
  const packages = await withLibraries(names);
  const key = contentKey(...packages.map(({ name, version }) => `${name}=${version}`));
  const directory = await cached(sharedDirectory, `guest-packages/${key}`, async (target) => {
    for (const found of packages) await addPackage(found, target);
  });
  return { directory, libraries: await librariesOf(directory) };
}

async function withLibraries(names: readonly string[]): Promise<PackageVersion[]> {
  const found = new Map<string, PackageVersion>();
  for (let wanted = [...names]; wanted.length > 0; ) {
    const level = await findPackages(wanted);
    for (const one of level) found.set(one.name, one);
    wanted = [...new Set(level.flatMap(({ depends }) => depends.filter(isLibrary)))].filter((name) => !found.has(name));
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function isLibrary(name: string): boolean {
  return /^(lib.*|zlib1g)$/.test(name) && !name.endsWith("-perl");
}

/** Where a distribution for x86_64 keeps its libraries, merged into /usr or not. */
const libraryDirectories = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
const guestLibraries = "/lib/x86_64-linux-gnu";
const linker = "ld-linux-x86-64.so.2";

async function librariesOf(directory: string): Promise<DiskFiles> {
  const libraries: DiskFiles = { [`/lib64/${linker}`]: { link: `${guestLibraries}/${linker}` } };
  for (const place of libraryDirectories) {
    const entries = await readdir(path.join(directory, place), { withFileTypes: true }).catch(() => []);
    for (const entry of entries.filter(({ name }) => /\.so(\.[0-9.]+)?$/.test(name))) {
      const file = path.join(directory, place, entry.name);
      // A link leads from the name that programs ask for to a file beside it.
      const isLink = entry.isSymbolicLink();
      const content = isLink ? { link: path.basename(await readlink(file)) } : { copyOf: file };
      libraries[`${guestLibraries}/${entry.name}`] = content;
    }
  }
  if (libraries[`${guestLibraries}/${linker}`] === undefined) {
    throw new Error(`look for "${linker}" in "${directory}": it is not there`);
  }
  return libraries;
}

/** The first of the places, as paths from the packages' root, that there is. */
export async function packagedFile(packages: GuestPackages, ...places: readonly string[]): Promise<string> {
  for (const place of places) {
    const file = path.join(packages.directory, place);
    if (await exists(file)) return file;
  }
  throw new Error(`look for ${places.join(" or ")} in "${packages.directory}": it is not there`);
}
