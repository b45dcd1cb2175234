import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { errorCode, messageOf } from "../../formats/error-text.ts";
import { libraryText } from "../../linux/errno.ts";
import type { FileRange, System } from "../../linux/system.ts";
import { MemoryFile } from "../../trust/memory-file.ts";

/** A file of the command line that cannot be used, in kexec-tools' words. */
export class InputError extends Error {
  override readonly name = "InputError";
  /** Whether it could not even be opened. */
  readonly isMissing: boolean;

  constructor(message: string, isMissing: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isMissing = isMissing;
  }
}

/** An input, open for reading. */
export interface InputFile extends Disposable {
  /** All of it; at least one byte. */
  readonly range: FileRange;
}

const chunkBytes = 1 << 20;
/** Most bytes that are copied from a pipe or a device; what is larger has to come as a file. */
const copiedBytesMax = 2 ** 31;

/**
 * Opens a kernel, an initrd or a module. A regular file is used where it is. A pipe, a device or a file of the kernel's,
 * which cannot be mapped or does not tell its size, is copied into sealed memory. Throws {@link InputError}.
 */
export function openInput(system: System, path: string): InputFile {
  const fd = attempt(path, true, () => openSync(path, "r"));
  try {
    const stat = attempt(path, true, () => fstatSync(fd));
    if (!stat.isFile() || stat.size === 0 || isKernelsOwn(path)) return copyOf(system, path, fd);
    return { range: { fd, offset: 0, length: stat.size }, [Symbol.dispose]: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Files of sysfs tell a size but cannot be mapped. */
function isKernelsOwn(path: string): boolean {
  return path.startsWith("/sys/") || path.startsWith("/proc/");
}

/** Takes the descriptor over. */
function copyOf(system: System, path: string, fd: number): InputFile {
  const memory = new MemoryFile(system, "kexec input");
  try {
    const buffer = new Uint8Array(chunkBytes);
    for (;;) {
      const count = attempt(path, false, () => readSync(fd, buffer));
      if (count === 0) break;
      if (memory.size + count > copiedBytesMax) {
        throw new InputError(`Cannot read ${path}: more than ${copiedBytesMax} bytes that come from no file`, false);
      }
      memory.append(buffer.subarray(0, count));
    }
    if (memory.size === 0) throw new InputError(`Cannot read ${path}: it is empty`, false);
    memory.seal();
  } catch (error) {
    memory[Symbol.dispose]();
    throw error;
  }
  closeSync(fd);
  return {
    range: { fd: memory.fd, offset: 0, length: memory.size },
    [Symbol.dispose]: () => memory[Symbol.dispose](),
  };
}

function attempt<T>(path: string, isOpening: boolean, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    const code = errorCode(cause);
    const why = code === null ? messageOf(cause) : libraryText(code);
    const message = isOpening
      ? `Cannot open \`${path}': ${why}`
      : `Read on ${path} failed: ${why}\nCannot read ${path}`;
    throw new InputError(message, isOpening, { cause });
  }
}

/** All bytes of a small input. Throws {@link InputError} for one over `bytesMax`. */
export function readInput({ range }: InputFile, path: string, bytesMax: number): Uint8Array {
  if (range.length > bytesMax) {
    throw new InputError(`Cannot read ${path}: ${range.length} bytes, at most ${bytesMax} are taken`, false);
  }
  const bytes = new Uint8Array(range.length);
  const count = attempt(path, false, () => readSync(range.fd, bytes, 0, bytes.length, range.offset));
  return bytes.subarray(0, count);
}
