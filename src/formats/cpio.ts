import { ByteReader, joinBytes, utf8 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";

/*
 * The "new ASCII" cpio archive that the kernel unpacks into its root file system.
 * Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux. All numbers are 8 hexadecimal digits.
 */

const format = "cpio";

const headerBytes = 110;
/** The header's fields after the six characters of the magic, in order. */
const fieldNames = [
  "c_ino",
  "c_mode",
  "c_uid",
  "c_gid",
  "c_nlink",
  "c_mtime",
  "c_filesize",
  "c_maj",
  "c_min",
  "c_rmaj",
  "c_rmin",
  "c_namesize",
  "c_chksum",
] as const;
type FieldName = (typeof fieldNames)[number];

const trailerName = "TRAILER!!!";

/** Longest name with its NUL: PATH_MAX, over which the kernel ignores the entry. */
export const cpioNameBytesMax = 4096;
/** Largest content of a file: the field has 32 bits. */
export const cpioFileBytesMax = 0xffff_ffff;
/** Entries that the reader takes from one archive. */
export const cpioEntriesMax = 1_000_000;
/** Archives are padded to a multiple of this, as cpio(1) does. */
const archiveBlockBytes = 512;

/** Values of the type bits in a mode (stat(2), `S_IFMT`). */
const typeMask = 0o170000;
const typeBits = { directory: 0o040000, file: 0o100000, symlink: 0o120000, character: 0o020000 } as const;

/** One thing to write; `name` is relative to the root: `dev/console`. */
export type CpioNode =
  | { readonly type: "directory"; readonly name: string; readonly permissions: number }
  | { readonly type: "file"; readonly name: string; readonly permissions: number; readonly sizeBytes: number }
  /** The content that must follow is the target's text; see {@link symlinkContent}. */
  | { readonly type: "symlink"; readonly name: string; readonly target: string }
  | {
      readonly type: "character";
      readonly name: string;
      readonly permissions: number;
      readonly major: number;
      readonly minor: number;
    };

/** Zero bytes that follow `length` bytes up to the next multiple of four. */
export function cpioPadding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}

/** The content of a symbolic link. */
export function symlinkContent(target: string): Uint8Array {
  return new TextEncoder().encode(target);
}

/**
 * Encodes the headers of one archive. The same sequence of nodes gives the same bytes: owner 0:0, time 0, device 0,
 * inode numbers 1, 2, 3…
 *
 * After {@link entry} the caller writes the content (a symbolic link's is its target) and {@link cpioPadding} of its
 * length; after the last entry {@link end}.
 */
export class CpioEncoder {
  /** Whether directories may be missing, because an archive unpacked earlier has them. */
  readonly #partial: boolean;
  #inode = 0;
  #archiveBytes = 0;
  readonly #types = new Map<string, CpioNode["type"]>();

  constructor({ partial = false } = {}) {
    this.#partial = partial;
  }

  /** Header, name and padding. Throws {@link FormatError} for a bad name, a repeated one, or one before its directory. */
  entry(node: CpioNode): Uint8Array {
    checkName(node.name);
    this.#checkPlace(node.name);
    this.#types.set(node.name, node.type);
    this.#inode++;
    const sizeBytes = contentBytes(node);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > cpioFileBytesMax) {
      throw new FormatError(format, `${quote(node.name)}: ${sizeBytes} bytes, at most ${cpioFileBytesMax} fit`);
    }
    const permissions = node.type === "symlink" ? 0o777 : node.permissions & 0o7777;
    const header = encodeHeader(node.name, {
      c_ino: this.#inode,
      c_mode: typeBits[node.type] | permissions,
      c_nlink: node.type === "directory" ? 2 : 1,
      c_filesize: sizeBytes,
      ...(node.type === "character" ? { c_rmaj: node.major, c_rmin: node.minor } : {}),
    });
    this.#archiveBytes += header.length + sizeBytes + cpioPadding(sizeBytes).length;
    return header;
  }

  /** The trailer and the padding of the whole archive. */
  end(): Uint8Array {
    const trailer = encodeHeader(trailerName, { c_nlink: 1 });
    const length = this.#archiveBytes + trailer.length;
    const bytes = new Uint8Array(
      trailer.length + ((archiveBlockBytes - (length % archiveBlockBytes)) % archiveBlockBytes),
    );
    bytes.set(trailer);
    return bytes;
  }

  #checkPlace(name: string): void {
    if (this.#types.has(name)) throw new FormatError(format, `${quote(name)}: the name was written already`);
    const slash = name.lastIndexOf("/");
    if (slash < 0 || this.#partial) return;
    const parent = name.slice(0, slash);
    if (this.#types.get(parent) !== "directory") {
      throw new FormatError(format, `${quote(name)}: its directory ${quote(parent)} was expected before it`);
    }
  }
}

function contentBytes(node: CpioNode): number {
  if (node.type === "file") return node.sizeBytes;
  return node.type === "symlink" ? symlinkContent(node.target).length : 0;
}

function checkName(name: string): void {
  const bytes = new TextEncoder().encode(name).length + 1;
  if (bytes > cpioNameBytesMax) {
    throw new FormatError(format, `${quote(name)}: ${bytes} bytes with NUL, at most ${cpioNameBytesMax} are taken`);
  }
  const parts = name.split("/");
  if (
    name.includes("\0") ||
    name === trailerName ||
    parts.some((part) => part === "" || part === "." || part === "..")
  ) {
    throw new FormatError(format, `${quote(name)}: a relative path without ".", ".." and NUL expected`);
  }
}

function encodeHeader(name: string, values: Partial<Record<FieldName, number>>): Uint8Array {
  const nameBytes = new TextEncoder().encode(name);
  const fields = fieldNames.map((field) => {
    const value = field === "c_namesize" ? nameBytes.length + 1 : (values[field] ?? 0);
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw new FormatError(format, `${quote(name)}: ${value}, a number of 32 bits expected`, { field });
    }
    return value.toString(16).toUpperCase().padStart(8, "0");
  });
  const unpadded = headerBytes + nameBytes.length + 1;
  const bytes = new Uint8Array(unpadded + cpioPadding(unpadded).length);
  bytes.set(new TextEncoder().encode(`070701${fields.join("")}`));
  bytes.set(nameBytes, headerBytes);
  return bytes;
}

/** Where the only file of an archive stands in it. */
export interface OnlyFile {
  /** A slash in front is left out. */
  readonly path: string;
  /** Permission bits of the file. */
  readonly mode: number;
  /** How many of the directories above it the archive has, from the innermost: 0 for none, Infinity for all. */
  readonly directories: number;
  /** Permission bits of these directories; {@link defaultDirectoryMode} where nothing is said. */
  readonly directoryMode?: number;
}

export const defaultDirectoryMode = 0o755;

/** What stands before and behind a file's bytes in an archive that has nothing else. Throws {@link FormatError} for a bad name. */
export function archiveAround(
  { path, mode, directories, directoryMode = defaultDirectoryMode }: OnlyFile,
  sizeBytes: number,
): { readonly before: Uint8Array; readonly after: Uint8Array } {
  const name = path.replace(/^\/+/, "");
  const parts = name.split("/");
  const encoder = new CpioEncoder({ partial: true });
  const first = Math.max(1, parts.length - Math.min(directories, parts.length));
  const above = parts.slice(0, -1).map((_, index) => parts.slice(0, index + 1).join("/"));
  const nodes = above
    .filter((_, index) => index + 1 >= first)
    .map((directory) => encoder.entry({ type: "directory", name: directory, permissions: directoryMode }));
  const file = encoder.entry({ type: "file", name, permissions: mode, sizeBytes });
  return { before: joinBytes([...nodes, file]), after: joinBytes([cpioPadding(sizeBytes), encoder.end()]) };
}

/** One entry as it was read. The name is as it stands in the archive: whoever unpacks it must check it. */
export interface CpioEntry {
  readonly name: string;
  readonly type: "directory" | "file" | "symlink" | "character" | "block" | "fifo" | "socket";
  /** Without the type bits. */
  readonly permissions: number;
  readonly inode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly mtimeSeconds: number;
  /** Of a device node; 0 otherwise. */
  readonly major: number;
  readonly minor: number;
  /** A view into the input: a file's bytes or a symbolic link's target. */
  readonly content: Uint8Array;
}

export interface CpioArchive {
  /** In archive order, without the trailer. */
  readonly entries: readonly CpioEntry[];
  /** Offset after the trailer: padding and further archives may follow. */
  readonly endOffset: number;
}

const entryTypes: ReadonlyMap<number, CpioEntry["type"]> = new Map([
  [0o040000, "directory"],
  [0o100000, "file"],
  [0o120000, "symlink"],
  [0o020000, "character"],
  [0o060000, "block"],
  [0o010000, "fifo"],
  [0o140000, "socket"],
]);

/**
 * Reads one archive (magic 070701, or 070702 with checksums, which are checked) from the start of `bytes`.
 *
 * @throws FormatError with the offset and the field; names that are not UTF-8 are refused.
 */
export function readCpio(bytes: Uint8Array): CpioArchive {
  const reader = new ByteReader(bytes, format);
  const entries: CpioEntry[] = [];
  let offset = 0;
  for (;;) {
    const { entry, endOffset } = readEntry(reader, offset);
    offset = endOffset;
    if (entry === null) return { entries, endOffset };
    if (entries.length === cpioEntriesMax) reader.fail(`more than ${cpioEntriesMax} entries`, offset);
    entries.push(entry);
  }
}

function readEntry(reader: ByteReader, offset: number): { entry: CpioEntry | null; endOffset: number } {
  const checked = reader.hasMagic(offset, "070702");
  if (!checked && !reader.hasMagic(offset, "070701")) {
    reader.fail(`"070701" or "070702" expected`, offset, "c_magic");
  }
  const fields = readFields(reader, offset);
  const name = readName(reader, offset + headerBytes, fields.c_namesize);
  const start = align(offset + headerBytes + fields.c_namesize);
  const content = reader.slice(start, fields.c_filesize, "content");
  const end = start + fields.c_filesize;
  if (name === trailerName) return { entry: null, endOffset: end };
  const type = entryTypes.get(fields.c_mode & typeMask);
  if (type === undefined) reader.fail(`0${fields.c_mode.toString(8)}: an unknown type of file`, offset, "c_mode");
  if (checked && type === "file" && byteSum(content) !== fields.c_chksum) {
    reader.fail(`${quote(name)}: the content's sum is ${byteSum(content)}, not ${fields.c_chksum}`, offset, "c_chksum");
  }
  const entry: CpioEntry = {
    name,
    type,
    permissions: fields.c_mode & 0o7777,
    inode: fields.c_ino,
    uid: fields.c_uid,
    gid: fields.c_gid,
    links: fields.c_nlink,
    mtimeSeconds: fields.c_mtime,
    major: fields.c_rmaj,
    minor: fields.c_rmin,
    content,
  };
  // The last padding may be missing where the input ends with the content; the next header then fails, not this one.
  return { entry, endOffset: align(end) };
}

function readFields(reader: ByteReader, offset: number): Record<FieldName, number> {
  const values: Record<string, number> = {};
  fieldNames.forEach((field, index) => {
    const at = offset + 6 + index * 8;
    const digits = reader.latin1(at, 8, field);
    if (!/^[0-9a-fA-F]{8}$/.test(digits)) reader.fail(`${quote(digits)}: 8 hexadecimal digits expected`, at, field);
    values[field] = Number.parseInt(digits, 16);
  });
  return values as Record<FieldName, number>;
}

function readName(reader: ByteReader, offset: number, length: number): string {
  if (length < 2 || length > cpioNameBytesMax) {
    reader.fail(`${length}: 2 to ${cpioNameBytesMax} bytes expected`, offset, "c_namesize");
  }
  const bytes = reader.slice(offset, length, "name");
  if (bytes.indexOf(0) !== length - 1) reader.fail("one NUL, at the name's end, expected", offset, "name");
  return utf8(bytes.subarray(0, -1), format);
}

/** Sum of all bytes modulo 2^32, as `c_chksum` has it. */
function byteSum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum = (sum + byte) >>> 0;
  return sum;
}

function align(offset: number): number {
  return offset + ((4 - (offset % 4)) % 4);
}
