import { close, closeSync, constants, fstatSync } from "node:fs";
import { type FileHandle, lstat, open, opendir, readlink } from "node:fs/promises";
import { promisify } from "node:util";
import { errorCode } from "../formats/error-text.ts";
import { errno, SyscallError } from "../linux/errno.ts";
import type { System } from "../linux/system.ts";
import { DeadlineError, withDeadline } from "../machine/deadline.ts";
import { type FileSource, type FileStat, type OpenFile, SourceError, type VolumeFacts } from "./source.ts";

const closeDescriptor = promisify(close);

/** Links followed for one path, as many as Linux follows (MAXSYMLINKS). */
const linksMax = 40;
/** PATH_MAX of Linux, bytes. */
const pathBytesMax = 4096;
/** Names in one directory that are looked at. */
const namesMax = 100_000;

/**
 * A directory as a volume: a mounted filesystem, or a directory given with `--root`. Links are resolved here, name by
 * name, so that an absolute link stays inside the volume and one that would leave it is refused; the file is then opened
 * by a path without links, which the kernel checks again (openat2 with RESOLVE_BENEATH).
 */
export class DirectorySource implements FileSource {
  readonly volume: VolumeFacts;
  readonly #system: System;
  readonly #rootFd: number;
  readonly #timeoutSeconds: number;
  /** Directories known to be no links. */
  readonly #directories = new Set<string>();
  /** Whether a request was not answered in time: then nothing more is asked, each question would cost as much again. */
  #silent = false;
  #closed = false;

  /**
   * @param rootFd the root directory; closed with the source
   * @param timeoutSeconds how long one request may take before it fails
   */
  constructor(system: System, rootFd: number, volume: VolumeFacts, timeoutSeconds: number) {
    this.#system = system;
    this.#rootFd = rootFd;
    this.volume = volume;
    this.#timeoutSeconds = timeoutSeconds;
  }

  async stat(path: string): Promise<FileStat | null> {
    const real = await this.realPath(path);
    if (real === null) return null;
    const facts = await this.#ask("stat", path, () => lstat(this.#fullPath(real)));
    return { type: facts.isFile() ? "file" : facts.isDirectory() ? "directory" : "other", size: facts.size };
  }

  async readFile(path: string, bytesMax: number): Promise<Uint8Array> {
    await using file = await this.open(path);
    if (file.size > bytesMax) throw this.#error("read", path, `${file.size} bytes, at most ${bytesMax} are taken`);
    const bytes = new Uint8Array(file.size);
    let done = 0;
    while (done < bytes.length) {
      const length = await file.read(bytes.subarray(done), done);
      if (length === 0) throw this.#error("read", path, `it ended after ${done} of ${bytes.length} bytes`);
      done += length;
    }
    return bytes;
  }

  async list(path: string): Promise<readonly string[]> {
    const real = await this.realPath(path);
    if (real === null) return [];
    const names = await this.#ask("list", path, () => readNames(this.#fullPath(real)));
    if (names.length > namesMax) throw this.#error("list", path, `more than ${namesMax} names`);
    return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  async open(path: string): Promise<OpenFile> {
    const real = await this.realPath(path);
    if (real === null) throw this.#error("open", path, "no such file");
    const relative = real === "/" ? "." : real.slice(1);
    const rawFd = await this.#ask("open", path, () => this.#system.openBeneath(this.#rootFd, relative), closeSync);
    try {
      if (!fstatSync(rawFd).isFile()) throw this.#error("open", path, "a regular file expected");
      // Node's file object of the same open file; the kernel has checked the path.
      const reopen = (): Promise<FileHandle> =>
        open(`/proc/self/fd/${rawFd}`, constants.O_RDONLY | constants.O_NONBLOCK);
      return this.#openFile(path, await this.#ask("open", path, reopen, (late) => void late.close()));
    } finally {
      closeSync(rawFd);
    }
  }

  #openFile(path: string, file: FileHandle): OpenFile {
    return {
      size: fstatSync(file.fd).size,
      read: async (into, position) =>
        (await this.#ask("read", path, () => file.read(into, 0, into.length, position))).bytesRead,
      // Closing waits for the reads that are under way, and one from a dead disk never ends.
      [Symbol.asyncDispose]: () => withDeadline(file.close(), this.#timeoutSeconds, "close").catch(() => {}),
    };
  }

  async realPath(path: string): Promise<string | null> {
    if (this.#closed) throw this.#error("open", path, "the volume is closed");
    if (Buffer.byteLength(path) > pathBytesMax || path.includes("\0")) {
      throw this.#error("open", path, `a path of at most ${pathBytesMax} bytes without NUL expected`);
    }
    const resolved: string[] = [];
    let rest = components(path);
    for (let links = 0; rest.length > 0; ) {
      const name = rest.shift() ?? "";
      if (name === "..") {
        if (resolved.pop() === undefined) throw this.#error("open", path, "the path leaves the volume");
        continue;
      }
      const here = `/${[...resolved, name].join("/")}`;
      const kind = await this.#kind(here, path);
      if (kind === null) return null;
      if (kind.link === null) {
        resolved.push(name);
        if (rest.length > 0 && !kind.directory) return null;
        continue;
      }
      if (++links > linksMax) throw this.#error("open", path, `more than ${linksMax} symbolic links`);
      if (kind.link.startsWith("/")) resolved.length = 0;
      rest = [...components(kind.link), ...rest];
      if (rest.length > pathBytesMax) throw this.#error("open", path, "its symbolic links make the path too long");
    }
    return `/${resolved.join("/")}`;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // Unmounting waits for what is under way on a device that may be dead.
    await withDeadline(closeDescriptor(this.#rootFd), this.#timeoutSeconds, "close").catch(() => {});
  }

  /** What stands at a path whose parent is known to hold no links; null when nothing does. */
  async #kind(here: string, path: string): Promise<{ directory: boolean; link: string | null } | null> {
    if (this.#directories.has(here)) return { directory: true, link: null };
    try {
      const full = this.#fullPath(here);
      const facts = await this.#answer(() => lstat(full));
      if (facts.isSymbolicLink()) return { directory: false, link: await this.#answer(() => readlink(full)) };
      if (facts.isDirectory()) this.#directories.add(here);
      return { directory: facts.isDirectory(), link: null };
    } catch (error) {
      const code = errorCode(error);
      if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") return null;
      throw this.#error("open", path, reason(error), error);
    }
  }

  #fullPath(real: string): string {
    return `/proc/self/fd/${this.#rootFd}${real}`;
  }

  async #ask<T>(action: string, path: string, work: () => Promise<T>, release?: (late: T) => void): Promise<T> {
    try {
      return await this.#answer(work, release);
    } catch (error) {
      throw this.#error(action, path, reason(error), error);
    }
  }

  /**
   * Does `work` within the time that a request may take.
   *
   * @param release gives back what arrives after the deadline
   */
  async #answer<T>(work: () => Promise<T>, release?: (late: T) => void): Promise<T> {
    if (this.#silent) throw new DeadlineError("the volume has stopped answering");
    try {
      return await withDeadline(work(), this.#timeoutSeconds, "wait", release);
    } catch (error) {
      if (error instanceof DeadlineError) this.#silent = true;
      throw error;
    }
  }

  #error(action: string, path: string, detail: string, cause?: unknown): SourceError {
    return new SourceError(`${action} ${JSON.stringify(path)} on ${this.volume.name}: ${detail}`, { cause });
  }
}

/** The names in a directory, one more than the limit at most: a hostile directory is not read to its end. */
async function readNames(directory: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of await opendir(directory)) {
    names.push(name);
    if (names.length > namesMax) break;
  }
  return names;
}

function components(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function reason(error: unknown): string {
  if (error instanceof SyscallError && (error.errno === errno.EXDEV || error.errno === errno.ELOOP)) {
    return "the path leaves the volume";
  }
  // Node's message repeats the call and the descriptor's path, which tell a person nothing.
  if (error instanceof Error) return error.message.replace(/, \w+ '.*$/, "");
  return String(error);
}
