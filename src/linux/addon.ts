import { closeSync, constants, openSync, unlinkSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { getRawAsset, isSea } from "node:sea";
import type koffi from "koffi";
import { messageOf } from "../formats/error-text.ts";

/** The subset of koffi that the native addon itself offers; the package's JavaScript only finds and loads it. */
export type Koffi = typeof koffi;

const assetName = "koffi.node";

/**
 * Loads koffi. In the packaged executable the addon is an asset: it goes into a nameless temporary file in memory and is
 * loaded from there, so nothing is left on a disk. Elsewhere (tests) it is loaded from the installed package.
 */
export function loadKoffi(): Koffi {
  return isSea() ? loadEmbedded(new Uint8Array(getRawAsset(assetName))) : dlopen(installedAddonPath());
}

function installedAddonPath(): string {
  const require = createRequire(join(process.cwd(), "package.json"));
  const packageFile = require.resolve(`@koromix/koffi-linux-${process.arch}/package.json`);
  return join(dirname(packageFile), `linux_${process.arch}`, assetName);
}

function dlopen(path: string): Koffi {
  const module: { exports: unknown } = { exports: {} };
  process.dlopen(module, path);
  // The addon's own exports are koffi's interface.
  return module.exports as Koffi;
}

/**
 * Directories that a nameless file may live in for an instant, in order: those that are commonly in memory first. `/dev`
 * is what is left to root at the end of a shutdown, when disks are read-only and the memory before it is `noexec`.
 */
const temporaryDirectories = ["/dev/shm", "/run", "/dev", "/tmp", "/var/tmp", dirname(process.execPath)];
/** asm-generic/fcntl.h: O_TMPFILE, which Node does not name. */
const openTemporary = 0o20000000 | constants.O_DIRECTORY;

function loadEmbedded(bytes: Uint8Array): Koffi {
  const failures: string[] = [];
  for (const directory of temporaryDirectories) {
    try {
      return loadNameless(directory, bytes);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  // Before /proc is mounted a nameless file has no path: PID 1's root is memory, so a name there for an instant is harmless.
  if (process.pid === 1) return loadNamed(`/.${assetName}`, bytes);
  throw new Error(
    `load the native addon: a writable directory without noexec expected, none of these is one (${failures.join("; ")})`,
  );
}

function loadNameless(directory: string, bytes: Uint8Array): Koffi {
  const fd = openSync(directory, openTemporary | constants.O_RDWR, 0o700);
  try {
    writeAll(fd, bytes);
    return dlopen(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

function loadNamed(path: string, bytes: Uint8Array): Koffi {
  const fd = openSync(path, "wx", 0o700);
  try {
    writeAll(fd, bytes);
    return dlopen(path);
  } finally {
    closeSync(fd);
    unlinkSync(path);
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}
