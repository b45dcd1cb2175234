import { constants, copyFile, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { buildDirectory, cached, contentKey } from "./cache.ts";
import { cloneRoot, runCommand } from "./command.ts";
import type { Kernel } from "./kernels.ts";
import type { SigningKeys } from "./sign.ts";

/** The executable under test, made by `build.mjs build`. */
export const slipwayExecutable: string = path.join(cloneRoot, "dist/slipway");

export interface ImageOptions {
  /** Content of /etc/slipway/config.json; what it leaves out has its default. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Whose signatures the image trusts: keys of different names. */
  readonly keys?: readonly SigningKeys[];
  /** The firmware kernel whose modules go in. */
  readonly kernel?: Kernel;
  /** More words for `slipway image build`. */
  readonly words?: readonly string[];
}

/** Tests want an image soon, not small. */
const quickLevel = "3";
/** An image that no run has used for so long is removed. */
const unusedHoursMax = 24;

/** A boot image made by `slipway image build`, reused while executable, configuration, keys and kernel are the same. */
export async function slipwayImage(options: ImageOptions = {}): Promise<string> {
  const base = path.join(buildDirectory, "images");
  const executable = await readFile(`${slipwayExecutable}.sha256`, "utf8");
  const config = JSON.stringify(options.config ?? {});
  const publicKeys = (options.keys ?? []).map((keys) => keys.publicKey);
  const contents = await Promise.all(publicKeys.map((file) => readFile(file)));
  const words = options.words ?? [];
  const name = contentKey(executable, config, options.kernel?.modules ?? "", ...contents, "--", ...words);
  const directory = await cached(base, name, async (target) => {
    await removeUnused(base);
    const configFile = path.join(target, "config.json");
    await writeFile(configFile, config);
    const keys = path.join(target, "keys");
    await mkdir(keys);
    for (const file of publicKeys) await copyFile(file, path.join(keys, path.basename(file)), constants.COPYFILE_EXCL);
    await runCommand(slipwayExecutable, [
      ...["image", "build", "--quiet", "--level", quickLevel],
      ...["--output", path.join(target, "slipway.cpio.zst"), "--config", configFile],
      ...(publicKeys.length === 0 ? [] : ["--keys", keys]),
      ...(options.kernel === undefined ? [] : ["--modules", options.kernel.modules]),
      ...words,
    ]);
  });
  const now = new Date();
  await utimes(directory, now, now);
  return path.join(directory, "slipway.cpio.zst");
}

async function removeUnused(base: string): Promise<void> {
  for (const name of await readdir(base)) {
    if (!/^[0-9a-f]{16}$/.test(name)) continue;
    const directory = path.join(base, name);
    const ageHours = (Date.now() - (await stat(directory)).mtimeMs) / 3_600_000;
    if (ageHours > unusedHoursMax) await rm(directory, { recursive: true, force: true });
  }
}
