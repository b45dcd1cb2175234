import { setImmediate } from "node:timers/promises";
import type { BootEntry } from "../discovery/entry.ts";
import { unpackZipMember } from "../discovery/zip-member.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import {
  osPackageFiles,
  osPackageManifestBytesMax,
  parseOsPackageManifest,
  readOsPackageArchive,
} from "../formats/os-package.ts";
import type { ZipMember } from "../formats/zip.ts";
import type { FileRange, System } from "../linux/system.ts";
import { readRangeOf } from "../machine/file-range.ts";
import { MemoryFile } from "../trust/memory-file.ts";
import type { KernelFile } from "./kernel-file.ts";
import { KernelFileError } from "./kernel-file-error.ts";
import { PreflightError } from "./preflight.ts";

/** Most bytes that the files of a package may unfold to. */
export interface OsPackageLimits {
  readonly kernelBytesMax: number;
  readonly initrdBytesMax: number;
}

/** An OS package, unpacked from its sealed archive. */
export interface OsPackageContents {
  /** Of the kernel, for messages: `/ospkg/a.zip (boot/vmlinuz)`. */
  readonly kernelName: string;
  /** The kernel, perhaps wrapped. */
  readonly kernel: FileRange;
  readonly initramfs: FileRange;
  readonly commandLine: string;
}

/**
 * Unpacks an OS package: what is deflated goes into sealed memory, what is stored is used where it is. Size and CRC-32 of
 * both files are checked. The archive has to stay open as long as the contents are used, and so has what `keeper` gets.
 *
 * @param archive in sealed memory
 * @param name of the archive, for messages
 * @throws KernelFileError for what is no OS package, is broken, or becomes too large
 */
export async function openOsPackage(
  system: System,
  keeper: DisposableStack,
  archive: FileRange,
  name: string,
  limits: OsPackageLimits,
): Promise<OsPackageContents> {
  try {
    const { archive: directory, manifest: member } = readOsPackageArchive(readRangeOf(archive), archive.length);
    const manifestFile = await unpack(system, keeper, archive, member, osPackageManifestBytesMax);
    const manifest = parseOsPackageManifest(readRangeOf(manifestFile)(0, manifestFile.length));
    const { kernel, initramfs } = osPackageFiles(directory, manifest);
    return {
      kernelName: `${name} (${kernel.name})`,
      kernel: await unpack(system, keeper, archive, kernel, limits.kernelBytesMax),
      initramfs: await unpack(system, keeper, archive, initramfs, limits.initrdBytesMax),
      commandLine: manifest.commandLine,
    };
  } catch (error) {
    if (error instanceof FormatError) throw new KernelFileError(`${name}: ${error.message}`, { cause: error });
    throw error;
  }
}

/**
 * What a package hands over besides its kernel. The options have to be those that were listed, which are what was shown and
 * judged.
 *
 * @param kernel what was found in {@link OsPackageContents.kernel}
 * @throws PreflightError where it is not as it was listed, or brings files of its own
 */
export function osPackageHandover(
  entry: Pick<BootEntry, "options">,
  { kind, name, enclosed }: Pick<KernelFile, "kind" | "name" | "enclosed">,
  { commandLine, initramfs }: Pick<OsPackageContents, "commandLine" | "initramfs">,
): { readonly initrds: readonly FileRange[]; readonly options: string } {
  // Its initrd and its options would be there besides the package's, and which ones count nobody says.
  if (enclosed !== null) throw new PreflightError(`${name}: a kernel alone expected in the OS package, found ${kind}`);
  if (commandLine !== entry.options) {
    throw new PreflightError(`${name} changed since it was listed: its options are ${quote(commandLine)}`);
  }
  return { initrds: [initramfs], options: commandLine };
}

async function unpack(
  system: System,
  keeper: DisposableStack,
  archive: FileRange,
  member: ZipMember,
  bytesMax: number,
): Promise<FileRange> {
  const { name, size, method, data } = member;
  if (size > bytesMax) {
    throw new FormatError("zip", `${quote(name)} has ${size} bytes, at most ${bytesMax} are taken`, data);
  }
  const packed = { fd: archive.fd, offset: archive.offset + data.offset, length: data.length };
  const memory = method === "stored" ? null : keeper.use(new MemoryFile(system, "OS package file"));
  for await (const bytes of unpackZipMember(piecesOf(packed), member)) {
    memory?.append(bytes);
    await setImmediate();
  }
  if (memory === null) return packed;
  memory.seal();
  return { fd: memory.fd, offset: 0, length: memory.size };
}

const pieceBytes = 1 << 18;

/** Pieces of memory of their own, as a stream holds on to them. */
function* piecesOf(range: FileRange): Generator<Uint8Array, void, undefined> {
  const read = readRangeOf(range);
  for (let offset = 0; ; ) {
    const bytes = read(offset, pieceBytes);
    if (bytes.length === 0) return;
    yield bytes;
    offset += bytes.length;
  }
}
