import { closeSync, fstatSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from "node:fs";
import path from "node:path";
import type { ReadRange } from "../formats/elf.ts";
import { ImageError, imageError } from "./image-error.ts";

/** Links followed for one path, as many as Linux follows. */
const linksMax = 40;

/** A directory that is a link. */
export interface HostLink {
  /** Absolute; its directory is no link. */
  readonly path: string;
  readonly target: string;
}

export interface ResolvedPath {
  /** Absolute, without links. */
  readonly path: string;
  /** The links that were followed on the way, in that order. */
  readonly links: readonly HostLink[];
}

/**
 * The files of the building machine, or of a directory that stands for a machine: all paths are absolute from its root,
 * and absolute links stay inside of it. Links are followed here, so that they can be rebuilt in the image.
 */
export class HostFiles {
  readonly root: string;

  constructor(root = "/") {
    this.root = path.resolve(root);
  }

  /** The path by which this process reaches `inside`. */
  outside(inside: string): string {
    return path.join(this.root, inside);
  }

  /** Follows all links; null when there is no such file. Throws {@link ImageError} for a circle of links. */
  resolve(wanted: string): ResolvedPath | null {
    const links: HostLink[] = [];
    let done = "/";
    let rest = splitPath(wanted);
    for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
      if (part === "..") {
        done = path.dirname(done);
        continue;
      }
      const next = path.join(done, part);
      const stat = lstatSync(this.outside(next), { throwIfNoEntry: false });
      if (stat === undefined) return null;
      if (!stat.isSymbolicLink()) {
        done = next;
        continue;
      }
      if (links.length === linksMax) throw new ImageError(`follow "${wanted}": more than ${linksMax} links`);
      const target = readlinkSync(this.outside(next));
      links.push({ path: next, target });
      if (target.startsWith("/")) done = "/";
      rest = [...splitPath(target), ...rest];
    }
    return { path: done, links };
  }

  /** Text of a small file; null when there is none. */
  readText(inside: string): string | null {
    const found = this.resolve(inside);
    if (found === null) return null;
    try {
      return readFileSync(this.outside(found.path), "utf8");
    } catch (error) {
      throw imageError("read", inside, error);
    }
  }

  /** Names in a directory, sorted; empty when there is no such directory. */
  list(inside: string): readonly string[] {
    const found = this.resolve(inside);
    if (found === null || !lstatSync(this.outside(found.path)).isDirectory()) return [];
    return readdirSync(this.outside(found.path)).sort();
  }

  /** Whether there is a regular file, after following links. */
  isFile(inside: string): boolean {
    const found = this.resolve(inside);
    return found !== null && lstatSync(this.outside(found.path)).isFile();
  }
}

/** Opens a regular file, lets `use` read ranges of it, and closes it. `outside` is a path of this process. */
export function withRanges<T>(outside: string, use: (read: ReadRange) => T): T {
  const fd = openSync(outside, "r");
  try {
    const { size } = fstatSync(fd);
    return use((offset, length) => {
      // A hostile length must not become an allocation larger than the file.
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      let done = 0;
      while (done < bytes.length) {
        const count = readSync(fd, bytes, done, bytes.length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
      return bytes.subarray(0, done);
    });
  } finally {
    closeSync(fd);
  }
}

function splitPath(text: string): string[] {
  return text.split("/").filter((part) => part !== "" && part !== ".");
}
