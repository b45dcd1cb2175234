import { readdir } from "node:fs/promises";
import path from "node:path";
import { cached, sharedDirectory } from "./cache.ts";
import { runAsRoot, runCommand } from "./command.ts";

/** A package of the host's distribution in the version that apt would install. */
export interface PackageVersion {
  readonly name: string;
  readonly version: string;
  /** First alternative of each dependency. */
  readonly depends: readonly string[];
}

/**
 * The first of the packages that the distribution has. Asks apt's own lists, which are fetched anew if they know none.
 */
export async function findPackage(...names: readonly string[]): Promise<PackageVersion> {
  let found = await lookUpFirst(names);
  if (found === null) {
    await runAsRoot("apt-get", ["update", "-q"]);
    found = await lookUpFirst(names);
  }
  if (found === null) throw new Error(`find package ${names.join(" or ")}: apt does not know it`);
  return found;
}

async function lookUpFirst(names: readonly string[]): Promise<PackageVersion | null> {
  for (const name of names) {
    const found = await lookUp(name);
    if (found !== null) return found;
  }
  return null;
}

async function lookUp(name: string): Promise<PackageVersion | null> {
  const text = await runCommand("apt-cache", ["show", "--no-all-versions", name]).catch(() => "");
  return describePackage(name, text);
}

/** Several packages by one question to apt; one that it does not know is an error. */
export async function findPackages(names: readonly string[]): Promise<PackageVersion[]> {
  const text = await runCommand("apt-cache", ["show", "--no-all-versions", ...names]).catch(() => "");
  const records = new Map(text.split(/\n\n+/).map((record) => [/^Package: (.+)$/m.exec(record)?.[1], record]));
  // What is not there yet is there when apt's lists were fetched.
  return Promise.all(names.map(async (name) => describePackage(name, records.get(name) ?? "") ?? findPackage(name)));
}

/** @param record of apt's list, empty when it has none of that name */
function describePackage(name: string, record: string): PackageVersion | null {
  const version = /^Version: (.+)$/m.exec(record)?.[1];
  if (version === undefined) return null;
  const depends = /^Depends: (.+)$/m.exec(record)?.[1] ?? "";
  const names = depends.split(",").map((clause) => /^\s*([a-z0-9][a-z0-9+.-]+)/.exec(clause)?.[1] ?? "");
  return { name, version, depends: names.filter((word) => word !== "") };
}

/** Downloads a package and unpacks it without installing it; resolves with the directory. */
export function unpackPackage(found: PackageVersion): Promise<string> {
  const version = found.version.replaceAll(/[^A-Za-z0-9.+~-]/g, "_");
  return cached(sharedDirectory, `packages/${found.name}_${version}`, async (directory) => {
    await addPackage(found, directory);
  });
}

/** Unpacks a package into a directory that is being filled. */
export async function addPackage(found: PackageVersion, directory: string): Promise<void> {
  const download = path.join(directory, "download");
  await runCommand("mkdir", ["-p", download]);
  // The download is unpacked by this user, so apt need not hand it to a user of its own.
  const options = ["-q", "-o", "APT::Sandbox::User=root"];
  await runCommand("apt-get", [...options, "download", `${found.name}=${found.version}`], { cwd: download });
  const [file] = await readdir(download);
  if (file === undefined) throw new Error(`download package "${found.name}": apt-get left no file`);
  await runCommand("dpkg-deb", ["-x", path.join(download, file), directory]);
  await runCommand("rm", ["-r", download]);
}

/** A statically linked busybox. The package is unpacked, not installed: it would replace the host's own busybox. */
export async function busyboxPath(): Promise<string> {
  const directory = await unpackPackage(await findPackage("busybox-static"));
  for (const place of ["bin/busybox", "usr/bin/busybox"]) {
    const file = path.join(directory, place);
    if (
      await runCommand("test", ["-x", file]).then(
        () => true,
        () => false,
      )
    )
      return file;
  }
  throw new Error(`busybox-static: no busybox in "${directory}"`);
}
