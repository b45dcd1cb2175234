import { ByteReader, latin1, sameBytes, utf8 } from "./bytes.ts";

import { FormatError, quote } from "./format-error.ts";
import { type ByteRange, findOverlap, type ReadRange, readExactly } from "./ranges.ts";

/*
 * ZIP archives of plain files. Source: PKWARE's APPNOTE.TXT 6.3.10 (".ZIP File Format Specification"); the sections named
 * below are its. All numbers are little-endian.
 */

const format = "zip";

/** Members of one archive, directories among them. */
export const zipMembersMax = 256;
/** Longest name of a member, in bytes. */
export const zipNameBytesMax = 256;
/** Extra fields of one header, in bytes. */
export const zipExtraBytesMax = 1024;
/** Comment of one member, in bytes. */
export const zipMemberCommentBytesMax = 1024;
/** The central directory, in bytes. */
export const zipDirectoryBytesMax: number = 1 << 18;
/** Deflate makes at most so many bytes of one (RFC 1951: a match of 258 bytes takes two bits). */
export const zipDeflateRatioMax = 1032;

export type ZipMethod = "stored" | "deflate";

/** A file of an archive. */
export interface ZipMember {
  /** Relative, of parts that are neither empty nor `.` nor `..`, apart by `/`. */
  readonly name: string;
  readonly method: ZipMethod;
  /** Of the unpacked bytes (ISO 3309). */
  readonly crc32: number;
  /** Bytes, unpacked. */
  readonly size: number;
  /** Its bytes in the archive, packed. */
  readonly data: ByteRange;
}

export interface ZipArchive {
  /** In the order of the central directory; directories are left out. */
  readonly members: readonly ZipMember[];
}

/** The member with this name; null when there is none. */
export function findZipMember(archive: ZipArchive, name: string): ZipMember | null {
  return archive.members.find((member) => member.name === name) ?? null;
}

const endBytes = 22;
const endSignature = 0x06054b50;
const locatorBytes = 20;
const locatorSignature = 0x07064b50;
const centralBytes = 46;
const centralSignature = 0x02014b50;
const localBytes = 30;
const localSignature = 0x04034b50;
const descriptorSignature = 0x08074b50;
const commentBytesMax = 0xffff;

/** Section 4.4.4. Bits 1 and 2 tell how hard deflate tried. */
const flagBits = {
  encrypted: 1,
  level: 6,
  descriptor: 8,
  patched: 0x20,
  strong: 0x40,
  utf8: 0x800,
  masked: 0x2000,
} as const;
const knownFlags = flagBits.level | flagBits.descriptor | flagBits.utf8;

/** Section 4.4.5. */
const methods: ReadonlyMap<number, ZipMethod> = new Map([
  [0, "stored"],
  [8, "deflate"],
]);
const refusedMethods: Readonly<Record<number, string>> = {
  1: "Shrink",
  6: "Implode",
  9: "Deflate64",
  12: "bzip2",
  14: "LZMA",
  93: "Zstandard",
  95: "XZ",
  99: "AES encryption",
};

/** Section 4.5.3: sizes and offsets of 64 bits. */
const zip64ExtraId = 1;

/**
 * Reads the directory of an archive of `size` bytes and holds every member's own header against it. Taken are stored and
 * deflated files; refused are archives of several parts, ZIP64, encryption, other methods, links, names that are absolute,
 * lead upwards or stand twice, and members that overlap. The members' bytes are not looked at: whoever unpacks them has to
 * check size and CRC-32.
 *
 * Throws FormatError with the offset in the archive.
 */
export function readZip(read: ReadRange, size: number): ZipArchive {
  const end = readEnd(read, size);
  const directory = readExactly(
    read,
    { offset: end.directory, length: end.directoryBytes },
    format,
    "central directory",
  );
  const found: (CentralHeader & { readonly range: ByteRange; readonly data: ByteRange })[] = [];
  const names = new Set<string>();
  let at = 0;
  for (let index = 0; index < end.entries; index++) {
    const header = readCentralHeader(directory, at);
    const key = header.name.replace(/\/$/, "");
    if (names.has(key)) directory.fail(`${quote(key)} stands twice`, at);
    names.add(key);
    found.push({ ...header, ...readLocalHeader(read, header, end.directory) });
    at += header.bytes;
  }
  if (at !== directory.length)
    directory.fail(`the end of the central directory expected behind ${end.entries} entries`, at);
  refuseFilesAsDirectories(found, names);
  const overlap = findOverlap(found.map(({ range }) => range));
  if (overlap !== null) {
    throw new FormatError(format, `the members at ${overlap[0]} and ${overlap[1]} overlap`, { offset: overlap[1] });
  }
  const members = found.filter(({ isDirectory }) => !isDirectory);
  return { members: members.map(({ name, method, crc32, size, data }) => ({ name, method, crc32, size, data })) };
}

interface End {
  /** Where the central directory starts. */
  readonly directory: number;
  readonly directoryBytes: number;
  readonly entries: number;
}

/** Section 4.3.16: the record at the very end, behind which only its own comment may stand. */
function readEnd(read: ReadRange, size: number): End {
  const length = Math.min(size, endBytes + commentBytesMax);
  const tail = readExactly(read, { offset: size - length, length }, format, "end of central directory");
  const at = findEnd(tail);
  if (at >= locatorBytes && tail.u32le(at - locatorBytes, "locator") === locatorSignature) {
    tail.fail("an archive without ZIP64 expected", at - locatorBytes);
  }
  const disks = [tail.u16le(at + 4, "number of this disk"), tail.u16le(at + 6, "disk of the central directory")];
  const entriesHere = tail.u16le(at + 8, "entries on this disk");
  const entries = tail.u16le(at + 10, "entries");
  const directoryBytes = tail.u32le(at + 12, "size of the central directory");
  const directory = tail.u32le(at + 16, "offset of the central directory");
  if (disks.some((disk) => disk !== 0) || entriesHere !== entries) {
    tail.fail("an archive in one part expected, not one of several disks", at + 4);
  }
  if (entries === 0xffff || directoryBytes === 0xffffffff || directory === 0xffffffff) {
    tail.fail("an archive without ZIP64 expected", at + 8);
  }
  if (entries > zipMembersMax) tail.fail(`${entries} members, at most ${zipMembersMax} are taken`, at + 10);
  if (directoryBytes > zipDirectoryBytesMax) {
    tail.fail(`${directoryBytes} bytes of central directory, at most ${zipDirectoryBytesMax} are taken`, at + 12);
  }
  if (directory + directoryBytes !== tail.base + at) {
    const place = `offset ${directory} with ${directoryBytes} bytes`;
    tail.fail(`a central directory that ends where this record starts expected, not ${place}`, at + 16);
  }
  return { directory, directoryBytes, entries };
}

/** Where the only record stands whose comment ends with the archive: two would be two archives, for two readers. */
function findEnd(tail: ByteReader): number {
  const found: number[] = [];
  for (let at = tail.length - endBytes; at >= 0; at--) {
    if (tail.u32le(at, "signature") !== endSignature) continue;
    if (at + endBytes + tail.u16le(at + 20, "length of the comment") === tail.length) found.push(at);
  }
  const [at, other] = found;
  if (at === undefined) tail.fail("the end of a central directory expected at the end of the file");
  if (other !== undefined) tail.fail("one end of a central directory expected, found two", other);
  return at;
}

interface CentralHeader {
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly isDirectory: boolean;
  readonly flags: number;
  readonly method: ZipMethod;
  readonly crc32: number;
  readonly size: number;
  readonly packedBytes: number;
  /** Where the member's own header stands. */
  readonly offset: number;
  /** Of this header. */
  readonly bytes: number;
}

/** Section 4.3.12. */
function readCentralHeader(r: ByteReader, at: number): CentralHeader {
  if (r.u32le(at, "signature") !== centralSignature) r.fail("an entry of the central directory expected", at);
  const nameLength = r.u16le(at + 28, "length of the name");
  const extraLength = r.u16le(at + 30, "length of the extra fields");
  const commentLength = r.u16le(at + 32, "length of the comment");
  if (nameLength > zipNameBytesMax)
    r.fail(`a name of ${nameLength} bytes, at most ${zipNameBytesMax} are taken`, at + 28);
  if (commentLength > zipMemberCommentBytesMax) {
    r.fail(`a comment of ${commentLength} bytes, at most ${zipMemberCommentBytesMax} are taken`, at + 32);
  }
  const nameBytes = r.slice(at + centralBytes, nameLength, "name");
  const flags = r.u16le(at + 8, "flags");
  const name = readName(r, at, nameBytes, flags);
  checkFlags(r, at + 8, name, flags);
  const method = readMethod(r, at + 10, name);
  checkExtra(r, at + centralBytes + nameLength, extraLength, name);
  r.slice(at + centralBytes + nameLength + extraLength, commentLength, "comment");
  const packedBytes = r.u32le(at + 20, "packed size");
  const size = r.u32le(at + 24, "size");
  const offset = r.u32le(at + 42, "offset of the header");
  if ([packedBytes, size, offset].includes(0xffffffff)) r.fail(`${quote(name)}: a member without ZIP64 expected`, at);
  if (r.u16le(at + 34, "disk") !== 0) r.fail(`${quote(name)}: an archive in one part expected`, at + 34);
  const isDirectory = name.endsWith("/");
  refuseSpecialFiles(r, at, name, isDirectory);
  if (isDirectory && size !== 0) r.fail(`${quote(name)}: a directory without content expected`, at + 24);
  if (method === "stored" && size !== packedBytes) {
    r.fail(`${quote(name)}: ${size} bytes expected as they are, not ${packedBytes}`, at + 20);
  }
  if (size > packedBytes * zipDeflateRatioMax) {
    const most = `at most ${zipDeflateRatioMax} of one are possible`;
    r.fail(`${quote(name)}: ${size} bytes of ${packedBytes}, ${most}`, at + 24);
  }
  const bytes = centralBytes + nameLength + extraLength + commentLength;
  const crc32 = r.u32le(at + 16, "CRC-32");
  return { name, nameBytes, isDirectory, flags, method, crc32, size, packedBytes, offset, bytes };
}

function readName(r: ByteReader, at: number, bytes: Uint8Array, flags: number): string {
  const isAscii = bytes.every((byte) => byte < 0x80);
  if (!isAscii && (flags & flagBits.utf8) === 0) {
    r.fail(`${quote(latin1(bytes))}: a name in ASCII, or one that is marked as UTF-8, expected`, at + centralBytes);
  }
  const name = isAscii ? latin1(bytes) : utf8(bytes, format);
  const isRelative = name
    .replace(/\/$/, "")
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== "..");
  // A backslash is a separator for some readers.
  if (isRelative && !/[\u0000-\u001f\u007f\\]/.test(name)) return name;
  return r.fail(`${quote(name)}: a relative path expected, without "." and ".."`, at + centralBytes);
}

function checkFlags(r: ByteReader, at: number, name: string, flags: number): void {
  if ((flags & (flagBits.encrypted | flagBits.strong | flagBits.masked)) !== 0) {
    r.fail(`${quote(name)} is encrypted`, at);
  }
  if ((flags & flagBits.patched) !== 0) r.fail(`${quote(name)} is a patch of another file`, at);
  const unknown = flags & ~knownFlags;
  if (unknown !== 0) r.fail(`${quote(name)}: flags 0x${unknown.toString(16)} are not known`, at);
}

function readMethod(r: ByteReader, at: number, name: string): ZipMethod {
  const number = r.u16le(at, "method");
  const method = methods.get(number);
  if (method !== undefined) return method;
  const said = refusedMethods[number] === undefined ? "" : ` (${refusedMethods[number]})`;
  return r.fail(`${quote(name)}: method 0 (stored) or 8 (deflate) expected, not ${number}${said}`, at);
}

/** Section 4.5: records of an id, a length and so many bytes. */
function checkExtra(r: ByteReader, start: number, length: number, name: string): void {
  if (length > zipExtraBytesMax) {
    r.fail(`${quote(name)}: ${length} bytes of extra fields, at most ${zipExtraBytesMax} are taken`, start);
  }
  const end = start + length;
  r.slice(start, length, "extra fields");
  for (let at = start; at < end; ) {
    if (end - at < 4) r.fail(`${quote(name)}: an extra field expected, ${end - at} byte(s) found`, at);
    if (r.u16le(at, "extra field") === zip64ExtraId) r.fail(`${quote(name)}: a member without ZIP64 expected`, at);
    at += 4 + r.u16le(at + 2, "length of an extra field");
    if (at > end) r.fail(`${quote(name)}: an extra field passes the end of them all`, end);
  }
}

/** Sections 4.4.2 and 4.4.15: where the archive was made on Unix, the upper half of the attributes is the file's mode. */
function refuseSpecialFiles(r: ByteReader, at: number, name: string, isDirectory: boolean): void {
  const madeOnUnix = r.u8(at + 5, "system") === 3;
  const type = madeOnUnix ? (r.u32le(at + 38, "attributes") >>> 28) & 0xf : 0;
  // S_IFREG, S_IFDIR; none where the writer did not say.
  if (type !== 0 && type !== (isDirectory ? 4 : 8)) {
    r.fail(
      `${quote(name)}: a ${isDirectory ? "directory" : "regular file"} expected, not one of type ${type}`,
      at + 38,
    );
  }
}

/** Section 4.3.7, and 4.3.9 for what stands behind the data where the writer did not know its size before. */
function readLocalHeader(
  read: ReadRange,
  central: CentralHeader,
  directory: number,
): { readonly range: ByteRange; readonly data: ByteRange } {
  const { offset, name, nameBytes, packedBytes } = central;
  const fixed = readExactly(read, { offset, length: localBytes }, format, `header of ${quote(name)}`);
  if (fixed.u32le(0, "signature") !== localSignature) fixed.fail(`the header of ${quote(name)} expected`, 0);
  const nameLength = fixed.u16le(26, "length of the name");
  const extraLength = fixed.u16le(28, "length of the extra fields");
  if (nameLength !== nameBytes.length) fixed.fail(`the name ${quote(name)} of the central directory expected`, 26);
  if (extraLength > zipExtraBytesMax) {
    fixed.fail(`${quote(name)}: ${extraLength} bytes of extra fields, at most ${zipExtraBytesMax} are taken`, 28);
  }
  const length = localBytes + nameLength + extraLength;
  const r = readExactly(read, { offset, length }, format, `header of ${quote(name)}`);
  if (!sameBytes(r.slice(localBytes, nameLength, "name"), nameBytes)) {
    r.fail(`the name ${quote(name)} of the central directory expected`, localBytes);
  }
  checkExtra(r, localBytes + nameLength, extraLength, name);
  const isLate = (central.flags & flagBits.descriptor) !== 0;
  checkAgreement(r, central, isLate);
  const data = { offset: offset + length, length: packedBytes };
  const trailer = isLate ? descriptorBytes(read, central, data.offset + packedBytes) : 0;
  const range = { offset, length: length + packedBytes + trailer };
  if (offset + range.length > directory) r.fail(`${quote(name)} passes the start of the central directory`, 0);
  return { range, data };
}

function checkAgreement(r: ByteReader, central: CentralHeader, isLate: boolean): void {
  const { name, flags, method, crc32, packedBytes, size } = central;
  const expectSame = (what: string, at: number, own: number, expected: number): void => {
    if (own === expected || (isLate && at >= 14 && own === 0)) return;
    r.fail(`${quote(name)}: ${what} ${expected} of the central directory expected, not ${own}`, at);
  };
  expectSame("flags", 6, r.u16le(6, "flags"), flags);
  expectSame("method", 8, r.u16le(8, "method"), method === "stored" ? 0 : 8);
  expectSame("CRC-32", 14, r.u32le(14, "CRC-32"), crc32);
  expectSame("packed size", 18, r.u32le(18, "packed size"), packedBytes);
  expectSame("size", 22, r.u32le(22, "size"), size);
}

/** Length of the record behind the data, which may begin with a signature. */
function descriptorBytes(read: ReadRange, central: CentralHeader, offset: number): number {
  const { name, crc32, packedBytes, size } = central;
  const bytes = read(offset, 16);
  const r = new ByteReader(bytes.subarray(0, 16), format, offset);
  const says = (at: number): boolean =>
    r.has(at, 12) &&
    r.u32le(at, "CRC-32") === crc32 &&
    r.u32le(at + 4, "packed size") === packedBytes &&
    r.u32le(at + 8, "size") === size;
  if (r.has(0, 4) && r.u32le(0, "signature") === descriptorSignature && says(4)) return 16;
  if (says(0)) return 12;
  return r.fail(`${quote(name)}: CRC-32 and sizes of the central directory expected behind the data`, 0);
}

function refuseFilesAsDirectories(found: readonly CentralHeader[], names: ReadonlySet<string>): void {
  const files = new Set(found.filter(({ isDirectory }) => !isDirectory).map(({ name }) => name));
  for (const name of names) {
    for (let slash = name.indexOf("/"); slash >= 0; slash = name.indexOf("/", slash + 1)) {
      const above = name.slice(0, slash);
      if (files.has(above))
        throw new FormatError(format, `${quote(above)} is a file and the directory of ${quote(name)}`);
    }
  }
}
