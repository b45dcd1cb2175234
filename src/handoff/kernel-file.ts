import { parseBeoboot } from "../formats/beoboot.ts";
import type { ReadRange } from "../formats/elf.ts";
import { FormatError } from "../formats/format-error.ts";
import {
  type KernelKind,
  kernelKindProblem,
  recognizeKernel,
  recognizeWrapping,
  type Wrapping,
} from "../formats/kernel-kind.ts";
import { readUki } from "../formats/uki.ts";
import type { FileRange, System } from "../linux/system.ts";
import { readRangeOf } from "../machine/file-range.ts";
import type { MemoryFile } from "../trust/memory-file.ts";

/** A file that holds no kernel that this program can start. */
export class KernelFileError extends Error {
  override readonly name = "KernelFileError";
}

/** What a container (a UKI, a BeoBoot image) brings besides its kernel. */
export interface Enclosed {
  readonly initrds: readonly FileRange[];
  readonly commandLine: string | null;
  readonly devicetree: FileRange | null;
}

/** A kernel, recognized by content and unwrapped. */
export interface KernelFile extends Disposable {
  /** For messages. */
  readonly name: string;
  /** What the file is; a container's kernel is a bzImage. */
  readonly kind: KernelKind;
  /** What the kernel itself is: `kind`, or for a container what is in it. */
  readonly imageKind: KernelKind;
  readonly image: FileRange;
  readonly read: ReadRange;
  /** How the file was compressed. */
  readonly wrapping: Wrapping | null;
  readonly enclosed: Enclosed | null;
  /** Why the file is not of some kind; null when it is: a file may be of several. */
  readonly problemWith: (kind: KernelKind) => string | null;
  /** What people should know: that a signature is lost by unwrapping. */
  readonly remarks: readonly string[];
}

export interface KernelFileOptions {
  /** Most bytes that a compressed kernel may unfold to. */
  readonly bytesMax: number;
  readonly progress?: (done: number, total: number) => void;
}

/** Kernels inside wrappings inside wrappings: nobody makes more than one; two are a mistake. */
const wrappingsMax = 1;

/**
 * Finds out what a file is, by its content, and unwraps it. The descriptor stays the caller's and has to stay open as long
 * as the result is used. Throws {@link KernelFileError}, or what unwrapping throws.
 */
export async function readKernelFile(
  system: System,
  file: FileRange,
  name: string,
  options: KernelFileOptions,
): Promise<KernelFile> {
  const keeper = new DisposableStack();
  try {
    const { range, wrapping } = await unwrap(system, keeper, file, name, options);
    const read = readRangeOf(range);
    const found = recognizeKernel(read, range.length);
    if (found === null) throw new KernelFileError(`Cannot determine the file type of ${name}`);
    const inner = enclosedIn(found, range, read, name);
    const remarks =
      wrapping !== null
        ? [
            `${name} was unwrapped from ${wrapping}: the running kernel does not see the file's attributes (security.ima)`,
          ]
        : inner !== null
          ? [
              `the kernel was taken out of ${name} (${found}): the running kernel does not see the container's signature`,
            ]
          : [];
    return {
      name,
      kind: found,
      imageKind: inner?.imageKind ?? found,
      image: inner?.image ?? range,
      read: inner === null ? read : readRangeOf(inner.image),
      wrapping,
      enclosed: inner?.enclosed ?? null,
      problemWith: (kind) => kernelKindProblem(read, range.length, kind),
      remarks,
      [Symbol.dispose]: () => keeper.dispose(),
    };
  } catch (error) {
    keeper.dispose();
    throw error;
  }
}

const headBytes = 64;

async function unwrap(
  system: System,
  keeper: DisposableStack,
  file: FileRange,
  name: string,
  options: KernelFileOptions,
): Promise<{ readonly range: FileRange; readonly wrapping: Wrapping | null }> {
  let range = file;
  let wrapping: Wrapping | null = null;
  for (let depth = 0; ; depth++) {
    const next = recognizeWrapping(readRangeOf(range)(0, headBytes));
    if (next === null) return { range, wrapping };
    if (depth === wrappingsMax)
      throw new KernelFileError(`${name}: ${next} inside ${wrapping} expected to be a kernel`);
    if (next !== "gzip" && next !== "zstd" && next !== "xz" && next !== "lzma") {
      throw new KernelFileError(`${name} is wrapped by ${next}; gzip, zstd, xz, lzma or nothing expected`);
    }
    const { decompress } = await import("./decompress.ts");
    const memory: MemoryFile = keeper.use(await decompress(system, range, next, name, options));
    range = { fd: memory.fd, offset: 0, length: memory.size };
    wrapping = next;
  }
}

interface Inner {
  readonly imageKind: KernelKind;
  readonly image: FileRange;
  readonly enclosed: Enclosed;
}

/** What is in a container; null when the file is a kernel itself. */
function enclosedIn(kind: KernelKind, file: FileRange, read: ReadRange, name: string): Inner | null {
  const part = ({ offset, length }: { offset: number; length: number }): FileRange => ({
    fd: file.fd,
    offset: file.offset + offset,
    length,
  });
  const contents = openContainer(kind, read, file.length);
  if (contents === null) return null;
  const image = part(contents.kernel);
  const inner = recognizeKernel(readRangeOf(image), image.length);
  if (inner !== "bzImage64" && inner !== "bzImage") {
    throw new KernelFileError(`${name}: a bzImage expected in the ${kind}, found ${inner ?? "no kernel"}`);
  }
  return {
    imageKind: inner,
    image,
    enclosed: {
      initrds: contents.initrds.map(part),
      commandLine: contents.commandLine,
      devicetree: contents.devicetree === null ? null : part(contents.devicetree),
    },
  };
}

interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

interface Contents {
  readonly kernel: ByteRange;
  readonly initrds: readonly ByteRange[];
  readonly commandLine: string | null;
  readonly devicetree: ByteRange | null;
}

function openContainer(kind: KernelKind, read: ReadRange, size: number): Contents | null {
  try {
    if (kind === "uki") {
      const uki = readUki(read, size);
      // Microcode has to come first: the kernel looks for it at the very start of the initrd.
      const initrds = [uki.ucode, uki.initrd].filter((range) => range !== null);
      return { kernel: uki.linux, initrds, commandLine: uki.commandLine, devicetree: uki.devicetree };
    }
    if (kind === "beoboot-x86") {
      const image = parseBeoboot(read, size);
      const initrds = image.initrd === null ? [] : [image.initrd];
      return { kernel: image.kernel, initrds, commandLine: image.commandLine, devicetree: null };
    }
    return null;
  } catch (error) {
    if (error instanceof FormatError) throw new KernelFileError(error.message, { cause: error });
    throw error;
  }
}
