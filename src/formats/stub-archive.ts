import { cpioFileBytesMax, cpioPadding } from "./cpio.ts";
import { FormatError, quote } from "./format-error.ts";

/*
 * The cpio archive that systemd-stub makes of the files beside an image, byte for byte: it measures the archive, so that a
 * digest of it can be known only by who makes the same.
 * Source: systemd-stub(7), "Companion Files" and "initrd Resources"; what it writes was read off stubs 252 to 258.
 */

const format = "stub archive";

/** Longest name of a file, bytes: what Linux takes. */
export const stubFileNameBytesMax = 255;

/** A file that stands beside an image. */
export interface StubFile {
  /** ASCII, without a slash. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Where such files end up. */
export interface StubDirectory {
  /** Relative to the root: `.extra/credentials`. */
  readonly path: string;
  /** Permission bits of the innermost directory; those above it have 0555. */
  readonly directoryMode: number;
  /** Permission bits of the files. */
  readonly mode: number;
}

/** Type bits of a mode (stat(2)). */
const typeBits = { directory: 0o040000, file: 0o100000 } as const;

/**
 * The archive in pieces; a file's bytes are a piece of their own. Inode numbers count from 1, times and owners are zero, the
 * files stand in the order of their names.
 *
 * @throws FormatError for a name that the stub does not take, and a file that is too large
 */
export function* stubArchive(directory: StubDirectory, files: readonly StubFile[]): Generator<Uint8Array> {
  let inode = 1;
  const parts = directory.path.split("/");
  for (let depth = 1; depth <= parts.length; depth++) {
    const mode = depth === parts.length ? directory.directoryMode : 0o555;
    yield header(parts.slice(0, depth).join("/"), inode++, typeBits.directory | mode, 0);
  }
  for (const { name, bytes } of files.toSorted(byName)) {
    checkFile(name, bytes.length);
    yield header(`${directory.path}/${name}`, inode++, typeBits.file | directory.mode, bytes.length);
    yield bytes;
    yield cpioPadding(bytes.length);
  }
  // Its trailer alone has digits in upper case, and four NULs behind the name.
  const trailer = `070701${"0".repeat(32)}00000001${"0".repeat(48)}0000000B00000000TRAILER!!!\0\0\0\0`;
  yield new TextEncoder().encode(trailer);
}

function byName(a: StubFile, b: StubFile): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function checkFile(name: string, sizeBytes: number): void {
  if (!/^[ -.0-~]+$/.test(name) || name.length > stubFileNameBytesMax) {
    throw new FormatError(
      format,
      `${quote(name)}: a name of at most ${stubFileNameBytesMax} ASCII characters expected`,
    );
  }
  if (sizeBytes > cpioFileBytesMax) {
    throw new FormatError(format, `${quote(name)}: ${sizeBytes} bytes, at most ${cpioFileBytesMax} fit`);
  }
}

function header(path: string, inode: number, mode: number, sizeBytes: number): Uint8Array {
  // ino, mode, uid, gid, nlink, mtime, filesize, major, minor, rmajor, rminor, namesize, check.
  const fields = [inode, mode, 0, 0, 1, 0, sizeBytes, 0, 0, 0, 0, path.length + 1, 0];
  const text = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${path}\0`;
  return new TextEncoder().encode(text + "\0".repeat(cpioPadding(text.length).length));
}
