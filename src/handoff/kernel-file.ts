import type { ReadRange } from "../formats/elf.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import {
  foreignArchitecture,
  type KernelKind,
  kernelKindProblem,
  recognizeKernel,
  recognizeWrapping,
  type Wrapping,
} from "../formats/kernel-kind.ts";
import { isZboot, parseZboot, zbootCompression, zbootHeadBytes } from "../formats/zboot.ts";
import type { FileRange, System } from "../linux/system.ts";
import { machineArchitecture } from "../machine/architecture.ts";
import { readRangeOf } from "../machine/file-range.ts";
import type { MemoryFile } from "../trust/memory-file.ts";
import type { Compression } from "./decompress.ts";
import type { Enclosed } from "./kernel-container.ts";
import { KernelFileError } from "./kernel-file-error.ts";

export type { Enclosed } from "./kernel-container.ts";
export { KernelFileError } from "./kernel-file-error.ts";

/** A kernel, recognized by content and unwrapped. */
export interface KernelFile extends Disposable {
  /** For messages. */
  readonly name: string;
  /** What the file is. */
  readonly kind: KernelKind;
  /** What the kernel itself is: `kind`, or for a container what is in it. */
  readonly imageKind: KernelKind;
  readonly image: FileRange;
  readonly read: ReadRange;
  /** The file itself, unwrapped: for a container all of it. */
  readonly container: FileRange;
  /** How the file was compressed; `zboot` stands for itself and the compression inside. */
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
  /**
   * What to take of a file that holds several: `@1`, a profile of a unified kernel image; `#conf-1`, a configuration of a FIT
   * image. Null: what the file boots by default.
   */
  readonly part?: string | null;
  /** Files that belong to the kernel's: an Android vendor boot image. */
  readonly companions?: readonly FileRange[];
  /** The machine's architecture in the words of `uname -m`; this machine's by default. */
  readonly architecture?: string;
  readonly progress?: (done: number, total: number) => void;
}

/**
 * Finds out what a file is, by its content, and unwraps it, and the kernel inside when it is a container. The descriptor
 * stays the caller's and has to stay open as long as the result is used. Throws {@link KernelFileError}, or what unwrapping
 * throws.
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
    if (found === null) throw new KernelFileError(foreign(read, range.length, name, options) ?? unknown(name));
    const inner = await openInner(system, keeper, found, range, name, options);
    const image = inner?.image ?? range;
    const problem = inner === null ? foreign(read, range.length, name, options) : null;
    if (problem !== null) throw new KernelFileError(problem);
    return {
      name,
      kind: found,
      imageKind: inner?.imageKind ?? found,
      image,
      container: range,
      read: inner === null ? read : readRangeOf(image),
      wrapping,
      enclosed: inner?.enclosed ?? null,
      problemWith: (kind) => kernelKindProblem(read, range.length, kind),
      remarks: [...wrappingRemarks(name, wrapping), ...(inner?.remarks ?? [])],
      [Symbol.dispose]: () => keeper.dispose(),
    };
  } catch (error) {
    keeper.dispose();
    throw error;
  }
}

function unknown(name: string): string {
  return `Cannot determine the file type of ${name}`;
}

function wrappingRemarks(name: string, wrapping: Wrapping | null): string[] {
  if (wrapping === null) return [];
  return [
    `${name} was unwrapped from ${wrapping}: the running kernel does not see the file's attributes (security.ima)`,
  ];
}

/** Linux's names of the architectures that `uname -m` calls otherwise. */
const linuxNames: Readonly<Record<string, string>> = {
  aarch64: "arm64",
  riscv64: "riscv",
  loongarch64: "loongarch",
  ppc64le: "powerpc64",
  ppc64: "powerpc64",
  s390x: "s390",
};

/** Why a kernel is not for this machine; null when it may be. */
function foreign(read: ReadRange, size: number, name: string, options: KernelFileOptions): string | null {
  return foreignProblem(foreignArchitecture(read, size), name, options);
}

function foreignProblem(architecture: string | null, name: string, options: KernelFileOptions): string | null {
  const machine = options.architecture ?? machineArchitecture();
  if (architecture === null || architecture === machine || architecture === linuxNames[machine]) return null;
  return `${name} is a kernel for ${architecture}, this machine is ${machine}`;
}

const headBytes = 64;

interface Unwrapped {
  readonly range: FileRange;
  /** The outermost. */
  readonly wrapping: Wrapping | null;
  /** What was undone at last. */
  readonly compression: Compression | null;
}

/** Undoes one compression, or a zboot image and the one inside: nobody makes more, and more is a mistake. */
async function unwrap(
  system: System,
  keeper: DisposableStack,
  file: FileRange,
  name: string,
  options: KernelFileOptions,
): Promise<Unwrapped> {
  const zboot = openZboot(file, name);
  const range = zboot?.payload ?? file;
  const next = wrappingOf(range);
  if (zboot !== null && next !== zboot.compression) {
    throw new KernelFileError(
      `${name}: ${zboot.compression} expected in the zboot image, found ${next ?? "something else"}`,
    );
  }
  if (next === null) return { range, wrapping: null, compression: null };
  if (next === "zboot") throw new KernelFileError(`${name}: zboot inside zboot expected to be a kernel`);
  const { decompress } = await import("./decompress.ts");
  const memory: MemoryFile = keeper.use(await decompress(system, range, next, name, options));
  const unwrapped = { fd: memory.fd, offset: 0, length: memory.size };
  const more = wrappingOf(unwrapped);
  if (more !== null) throw new KernelFileError(`${name}: ${more} inside ${next} expected to be a kernel`);
  return { range: unwrapped, wrapping: zboot === null ? next : "zboot", compression: next };
}

function wrappingOf(range: FileRange): Wrapping | null {
  return recognizeWrapping(readRangeOf(range)(0, headBytes));
}

/** The compressed kernel in a zboot image; null when it is none. */
function openZboot(
  file: FileRange,
  name: string,
): { readonly payload: FileRange; readonly compression: Compression } | null {
  const head = readRangeOf(file)(0, zbootHeadBytes);
  if (!isZboot(head)) return null;
  try {
    const image = parseZboot(head, file.length);
    const { offset, length } = image.payload;
    return { payload: { fd: file.fd, offset: file.offset + offset, length }, compression: zbootCompression(image) };
  } catch (error) {
    if (error instanceof FormatError) throw new KernelFileError(`${name}: ${error.message}`, { cause: error });
    throw error;
  }
}

interface Inner {
  readonly imageKind: KernelKind;
  readonly image: FileRange;
  readonly enclosed: Enclosed;
  readonly remarks: readonly string[];
}

/** Kinds of files that hold a kernel and what belongs to it. */
const containerKinds: readonly KernelKind[] = ["uki", "beoboot-x86", "fit", "android-boot"];
/** What containers hold; of other machines than x86, too. */
const innerKinds: readonly KernelKind[] = ["bzImage64", "bzImage", "arm64-image", "riscv-image", "loongarch-image"];

/** The kernel in a container, unwrapped; null when the file is a kernel itself. */
async function openInner(
  system: System,
  keeper: DisposableStack,
  kind: KernelKind,
  range: FileRange,
  name: string,
  options: KernelFileOptions,
): Promise<Inner | null> {
  const { part = null, companions = [] } = options;
  if (!containerKinds.includes(kind)) {
    if (part === null) return null;
    throw new KernelFileError(`${name} is a ${kind}, which has no part ${quote(part)}`);
  }
  const { openContainer } = await import("./kernel-container.ts");
  const contents = await openContainer(kind, { system, keeper, range, name, part, companions });
  const announced = foreignProblem(contents.foreignArchitecture, name, options);
  if (announced !== null) throw new KernelFileError(announced);
  const { range: image, wrapping, compression } = await unwrap(system, keeper, contents.kernel, name, options);
  if (contents.compression !== null && contents.compression !== "none" && contents.compression !== compression) {
    const found = compression === null ? "a kernel that is not compressed" : compression;
    throw new KernelFileError(`${name}: ${contents.compression} expected in the ${kind}, found ${found}`);
  }
  const read = readRangeOf(image);
  const problem = foreign(read, image.length, name, options);
  if (problem !== null) throw new KernelFileError(problem);
  const inner = recognizeKernel(read, image.length);
  if (inner === null || !innerKinds.includes(inner)) {
    throw new KernelFileError(`${name}: a bzImage expected in the ${kind}, found ${inner ?? "no kernel"}`);
  }
  const unwrapped = wrapping === null ? "" : `, unwrapped from ${wrapping}`;
  const taken = `the kernel was taken out of ${name} (${kind})${unwrapped}: the running kernel does not see the container's signature`;
  return { imageKind: inner, image, enclosed: contents.enclosed, remarks: [taken, ...contents.remarks] };
}
