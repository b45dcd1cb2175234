import { closeSync, openSync, readdirSync, readSync } from "node:fs";

/*
 * The kernel's own files are memory: reading them in place is quicker than a trip to a thread, and cannot hang.
 */

/** Where the running kernel shows itself. */
export interface KernelPlaces {
  readonly sysfs: string;
  readonly proc: string;
  readonly dev: string;
}

export const kernelPlaces: KernelPlaces = { sysfs: "/sys", proc: "/proc", dev: "/dev" };

/** What one text file of the kernel may hold, in bytes. The longest is /proc/iomem. */
const textBytesMax = 4 * 1024 * 1024;

/** Most attributes fit into one piece. */
const pieceBytes = 4096;

/** Up to `length` bytes at `offset`; fewer where the file ends. Throws when it cannot be read. */
export function readPart(path: string, offset: number, length: number): Uint8Array {
  const fd = openSync(path, "r");
  try {
    return readFrom(fd, offset, length);
  } finally {
    closeSync(fd);
  }
}

function readFrom(fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const count = readSync(fd, bytes, filled, length - filled, offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

/** As {@link readPart}; null when there is no such file. */
export function readPartIfThere(path: string, offset: number, length: number): Uint8Array | null {
  try {
    return readPart(path, offset, length);
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

/** The names in a directory; none when there is no such directory. */
export function listKernelDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/**
 * A file as bytes, whatever length it says it has; null when there is none. Throws when it cannot be read or is longer
 * than `bytesMax`.
 */
export function readKernelBytes(path: string, bytesMax: number): Uint8Array | null {
  const fd = openIfThere(path);
  if (fd === null) return null;
  try {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const piece = readFrom(fd, length, pieceBytes);
      pieces.push(piece);
      length += piece.length;
      if (length > bytesMax) throw new Error(`read ${path}: at most ${bytesMax} bytes expected`);
      if (piece.length < pieceBytes) return joined(pieces, length);
    }
  } finally {
    closeSync(fd);
  }
}

/** A descriptor to read from, which the caller closes; null when there is no such file. */
export function openIfThere(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** A file as text without white space at its end; null when there is none. */
export function readKernelText(path: string): string | null {
  const bytes = readKernelBytes(path, textBytesMax);
  return bytes === null ? null : new TextDecoder().decode(bytes).trimEnd();
}

/** Whether a failure means that there is no such thing. */
export function isAbsent(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : null;
  return code === "ENOENT" || code === "ENOTDIR" || code === "ENODEV" || code === "ENXIO";
}

/** Collects what could not be read, as sentences, where the work goes on without it. */
export class Remarks {
  readonly sentences: string[] = [];

  /** What `read` gives; when it fails, null, and a remark that begins with `what`. */
  attempt<T>(what: string, read: () => T): T | null {
    try {
      return read();
    } catch (error) {
      this.sentences.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  }
}
