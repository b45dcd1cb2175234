import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync } from "node:fs";
import { access, mkdir, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { cloneRoot } from "./command.ts";

/** What belongs to this clone: made from its sources and keys. */
export const buildDirectory: string = path.join(cloneRoot, "build");

/** What every clone may share: downloads and what is made from nothing else. */
export const sharedDirectory: string = pickSharedDirectory();

function pickSharedDirectory(): string {
  const chosen = process.env["SLIPWAY_CACHE"];
  if (chosen !== undefined && chosen !== "") return path.resolve(chosen);
  const base = process.env["XDG_CACHE_HOME"];
  try {
    const directory = path.join(base === undefined || base === "" ? path.join(homedir(), ".cache") : base, "slipway");
    mkdirSync(directory, { recursive: true });
    return directory;
  } catch {
    // A build machine's user may have no home, or none that it can write to.
    return path.join(buildDirectory, "cache");
  }
}

/**
 * Makes a directory once and resolves with its path, at once when it is there. `name` tells the content (name, version,
 * hash of the inputs): the same name is never made twice. The directory appears by a rename when `make` has filled it;
 * of several processes that want it, one makes it and the others wait.
 */
export async function cached(base: string, name: string, make: (directory: string) => Promise<void>): Promise<string> {
  const target = path.join(base, name);
  if (await exists(target)) return target;
  await using _lock = await lockFile(path.join(base, "locks", name.replaceAll("/", "_")));
  if (await exists(target)) return target;
  await mkdir(path.dirname(target), { recursive: true });
  await removeInterrupted(target);
  const directory = await mkdtemp(`${target}${making}`);
  try {
    await make(directory);
    await rename(directory, target);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return target;
}

/** In the name of a directory that is being filled. */
const making = ".making-";

/** What a killed process has left; nobody else makes the same while the lock is held. */
async function removeInterrupted(target: string): Promise<void> {
  for (const name of await readdir(path.dirname(target))) {
    if (!name.startsWith(`${path.basename(target)}${making}`)) continue;
    await rm(path.join(path.dirname(target), name), { recursive: true, force: true });
  }
}

/** flock(2) on an open file of this process, taken by the flock program; it ends with the process at the latest. */
async function lockFile(file: string): Promise<AsyncDisposable> {
  await mkdir(path.dirname(file), { recursive: true });
  const handle = await open(file, "a");
  const code = await new Promise<number | null>((resolve, reject) => {
    const child = spawn("flock", ["3"], { stdio: ["ignore", "ignore", "inherit", handle.fd] });
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0) {
    await handle.close();
    throw new Error(`flock "${file}": exit code ${code}`);
  }
  return { [Symbol.asyncDispose]: () => handle.close() };
}

export function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** 16 hexadecimal digits of the SHA-256 over the parts, for a name given to {@link cached}. */
export function contentKey(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest("hex").slice(0, 16);
}

/** SHA-256 of a file's content in hexadecimal. */
export async function fileDigest(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest("hex");
}
