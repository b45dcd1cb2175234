import { ByteReader, latin1, sameBytes } from "./bytes.ts";
import { FormatError } from "./format-error.ts";
import type { ReadAt } from "./read-at.ts";
import { type RockRidge, readRockRidge, systemUseSkip } from "./rock-ridge.ts";

/** One directory, bytes. */
export const directoryBytesMax = 16 << 20;
/** Records of one directory. */
export const directoryRecordsMax = 100_000;
/** Continuation areas of all records of one directory together. */
export const directoryContinuationsMax = 20_000;
/** Sections of one file; Linux takes as many. A section has less than 4 GiB. */
export const fileSectionsMax = 100;

const format = "iso9660";

/** Logical sector (ECMA-119, 6.1.2): volume descriptors are one each, and directory records do not cross its end. */
const sectorBytes = 2048;
/** Volume descriptors begin in sector 16 (6.2.1); Linux looks at those before sector 100. */
const descriptorSectorFirst = 16;
const descriptorSectorsMax = 84;

const typePrimary = 1;
const typeSupplementary = 2;
const typeTerminator = 255;
/** UCS-2 in the levels 1 to 3 (Joliet specification, "Escape Sequences Field"). */
const jolietEscapes = ["%/@", "%/C", "%/E"];

/** File flags (ECMA-119, 9.1.6). */
const flagDirectory = 0x02;
const flagAssociated = 0x04;
const flagNotFinal = 0x80;

/** `S_IFMT` and the types that Rock Ridge gives (RRIP 1.12, 4.1.1). */
const modeType = 0o170000;
const modeFile = 0o100000;
const modeDirectory = 0o040000;
const modeLink = 0o120000;

/** Bytes that lie together. */
export interface Iso9660Extent {
  /** From the start of the image. */
  readonly offset: number;
  readonly length: number;
}

/** A file or directory of the image. */
export interface Iso9660Node {
  readonly name: string;
  readonly type: "file" | "directory" | "link" | "other";
  /** Bytes. */
  readonly size: number;
  /** Where its bytes are, in order. */
  readonly extents: readonly Iso9660Extent[];
  /** Of a symbolic link. */
  readonly target: string | null;
  /** Why its content cannot be read; null where it can. */
  readonly refusal: string | null;
}

/** What is needed to read an image's directories. Plain data. */
export interface Iso9660Layout {
  /** Where the names come from. */
  readonly names: "rock-ridge" | "joliet" | "plain";
  /** Whether names are compared without regard to case: only Rock Ridge keeps it. */
  readonly ignoresCase: boolean;
  /** Logical block, bytes. */
  readonly blockBytes: number;
  /** Bytes before the first system use entry of a record. */
  readonly systemUseSkip: number;
  /** The whole image, bytes. */
  readonly imageBytes: number;
  readonly root: Iso9660Node;
}

/**
 * Reads the volume descriptors of an ISO 9660 image and decides where names come from, as Linux does: Rock Ridge, else
 * Joliet, else the plain names; Joliet also where a Rock Ridge image's own root directory is empty.
 *
 * Source: ECMA-119 (ISO 9660), sections 6.8, 8 and 9; Joliet specification; fs/isofs/inode.c for the choice.
 *
 * @param imageBytes size of the image
 * @throws {FormatError} it holds no ISO 9660 filesystem, or a damaged one. What `read` rejects with passes through.
 */
export async function readIso9660(read: ReadAt, imageBytes: bigint): Promise<Iso9660Layout> {
  if (imageBytes > BigInt(Number.MAX_SAFE_INTEGER)) throw new FormatError(format, `${imageBytes} bytes are too many`);
  const { primary, joliet } = await readDescriptors(read);
  const size = Number(imageBytes);
  const layoutOf = (names: Iso9660Layout["names"], descriptor: ByteReader, skip: number): Iso9660Layout => {
    const blockBytes = descriptor.u16le(128, "block size");
    if (![512, 1024, 2048].includes(blockBytes)) {
      descriptor.fail(`${blockBytes}, 512, 1024 or 2048 expected`, 128, "block size");
    }
    const record = parseRecord(descriptor, 156, 190);
    if (record === null || (record.flags & flagDirectory) === 0) {
      descriptor.fail("a directory expected", 156, "root directory");
    }
    const root: Iso9660Node = {
      name: "",
      type: "directory",
      size: record.size,
      extents: [{ offset: (record.block + record.attributeBlocks) * blockBytes, length: record.size }],
      target: null,
      refusal: null,
    };
    return { names, ignoresCase: names !== "rock-ridge", blockBytes, systemUseSkip: skip, imageBytes: size, root };
  };
  const plain = layoutOf("plain", primary, 0);
  const { skip, empty } = await readOwnRecord(read, plain);
  if (joliet !== null && (skip === null || empty)) return layoutOf("joliet", joliet, 0);
  return skip === null ? plain : layoutOf("rock-ridge", primary, skip);
}

interface Descriptors {
  readonly primary: ByteReader;
  readonly joliet: ByteReader | null;
}

async function readDescriptors(read: ReadAt): Promise<Descriptors> {
  const start = descriptorSectorFirst * sectorBytes;
  const bytes = await read(BigInt(start), descriptorSectorsMax * sectorBytes);
  let primary: ByteReader | null = null;
  let joliet: ByteReader | null = null;
  for (let at = 0; at + sectorBytes <= bytes.length; at += sectorBytes) {
    const descriptor = new ByteReader(bytes.subarray(at, at + sectorBytes), format, start + at);
    if (!descriptor.hasMagic(1, "CD001")) break;
    const type = descriptor.u8(0, "descriptor type");
    if (type === typeTerminator) break;
    if (type === typePrimary) primary ??= descriptor;
    if (type === typeSupplementary && jolietEscapes.some((sequence) => descriptor.hasMagic(88, sequence))) {
      joliet ??= descriptor;
    }
  }
  if (primary === null) throw new FormatError(format, "no primary volume descriptor", { offset: start });
  return { primary, joliet };
}

/** Looks at the root directory: its own record says whether there are system use entries. */
async function readOwnRecord(
  read: ReadAt,
  layout: Iso9660Layout,
): Promise<{ readonly skip: number | null; readonly empty: boolean }> {
  const [extent] = layout.root.extents;
  if (extent === undefined || extent.length === 0) return { skip: null, empty: true };
  const head = await read(BigInt(extent.offset), Math.min(extent.length, sectorBytes));
  const sector = new ByteReader(head, format, extent.offset);
  const own = parseRecord(sector, 0, head.length);
  if (own === null) return { skip: null, empty: true };
  let entries = 0;
  for (let at = 0; at < head.length && entries < 3; entries++) {
    const record = parseRecord(sector, at, head.length);
    if (record === null) break;
    at += record.length;
  }
  return { skip: systemUseSkip(own.systemUse), empty: entries < 3 };
}

/**
 * The files of a directory in the image's order, without its own record and that of its parent. Associated files and the
 * stand-ins of moved directories are left out, as Linux leaves them out; a directory that was moved stands where it
 * belongs. A record whose Rock Ridge entries are damaged, or whose bytes lie outside of the image, says so in `refusal`.
 *
 * @throws {FormatError} the directory itself is damaged or passes a limit. What `read` rejects with passes through.
 */
export async function readIso9660Directory(
  read: ReadAt,
  layout: Iso9660Layout,
  directory: Iso9660Node,
): Promise<readonly Iso9660Node[]> {
  const [extent] = directory.extents;
  if (extent === undefined) throw new FormatError(format, "a directory expected");
  if (extent.length > directoryBytesMax) {
    throw new FormatError(format, `${extent.length} bytes of a directory, at most ${directoryBytesMax} are taken`, {
      offset: extent.offset,
    });
  }
  const bytes = await readWhole(read, extent);
  const continuations = continuationReader(read, layout);
  const nodes: Iso9660Node[] = [];
  for (const sections of fileSections(new ByteReader(bytes, format, extent.offset))) {
    const node = await readNode(read, layout, sections, continuations);
    if (node !== null && isName(node.name)) nodes.push(node);
  }
  return nodes;
}

async function readWhole(read: ReadAt, { offset, length }: Iso9660Extent): Promise<Uint8Array> {
  const bytes = await read(BigInt(offset), length);
  if (bytes.length < length) {
    throw new FormatError(format, `${length} bytes expected, the image ends after ${bytes.length}`, { offset });
  }
  return bytes.subarray(0, length);
}

/** What can be a name; anything else would be another path. */
function isName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name);
}

interface DirectoryRecord {
  /** Bytes of the record. */
  readonly length: number;
  readonly attributeBlocks: number;
  readonly block: number;
  readonly size: number;
  readonly flags: number;
  readonly interleaved: boolean;
  readonly identifier: Uint8Array;
  readonly systemUse: Uint8Array;
}

const recordHeadBytes = 33;

/** A directory record (ECMA-119, 9.1) that ends before `end`; null where a zero stands in place of its length. */
function parseRecord(bytes: ByteReader, at: number, end: number): DirectoryRecord | null {
  const length = bytes.u8(at, "record length");
  if (length === 0) return null;
  const identifierBytes = bytes.u8(at + 32, "identifier length");
  if (length < recordHeadBytes + identifierBytes || at + length > end) {
    bytes.fail(`${length} bytes, its identifier alone has ${identifierBytes}`, at, "directory record");
  }
  // A padding byte follows an identifier of even length.
  const systemUseAt = recordHeadBytes + identifierBytes + (identifierBytes % 2 === 0 ? 1 : 0);
  return {
    length,
    attributeBlocks: bytes.u8(at + 1, "extended attribute length"),
    block: bytes.u32le(at + 2, "location"),
    size: bytes.u32le(at + 10, "data length"),
    flags: bytes.u8(at + 25, "file flags"),
    interleaved: bytes.u8(at + 26, "file unit size") !== 0 || bytes.u8(at + 27, "gap size") !== 0,
    identifier: bytes.slice(at + recordHeadBytes, identifierBytes, "identifier"),
    systemUse: bytes.slice(at + systemUseAt, Math.max(0, length - systemUseAt), "system use"),
  };
}

/** The records of a directory, those that are sections of one file together (ECMA-119, 6.5.1). */
function* fileSections(directory: ByteReader): Generator<readonly [DirectoryRecord, ...DirectoryRecord[]]> {
  let open: [DirectoryRecord, ...DirectoryRecord[]] | null = null;
  let records = 0;
  for (let at = 0; at < directory.length; ) {
    const sectorEnd = Math.min(directory.length, at - (at % sectorBytes) + sectorBytes);
    const record = parseRecord(directory, at, sectorEnd);
    if (record === null) {
      at = sectorEnd;
      continue;
    }
    if (++records > directoryRecordsMax) directory.fail(`more than ${directoryRecordsMax} records in a directory`, at);
    at += record.length;
    if (open !== null && sameBytes(open[0].identifier, record.identifier)) open.push(record);
    else {
      if (open !== null) yield open;
      open = [record];
    }
    if ((record.flags & flagNotFinal) === 0) {
      yield open;
      open = null;
    }
  }
  if (open !== null) yield open;
}

type AreaReader = (block: number, offset: number, length: number) => Promise<Uint8Array>;

/** Continuation areas stand close together: what is read for one serves the next. */
const windowBytes = 8 << 10;

function continuationReader(read: ReadAt, { blockBytes, imageBytes }: Iso9660Layout): AreaReader {
  let start = 0;
  let window = new Uint8Array();
  let areas = 0;
  return async (block, offset, length) => {
    const place = block * blockBytes + offset;
    // An area ends in the sector in which it begins (SUSP 1.12, 5.1, as Linux holds it).
    if (offset + length > sectorBytes || place + length > imageBytes) {
      throw new FormatError(format, `${length} bytes at ${place}, an area within one sector of the image expected`, {
        field: "continuation area",
      });
    }
    if (++areas > directoryContinuationsMax) {
      throw new FormatError(format, `more than ${directoryContinuationsMax} continuation areas in a directory`);
    }
    if (place < start || place + length > start + window.length) {
      start = place - (place % sectorBytes);
      window = new Uint8Array(await read(BigInt(start), Math.min(windowBytes, imageBytes - start)));
    }
    const area = window.subarray(place - start, place - start + length);
    if (area.length < length) throw new FormatError(format, "the image ends inside it", { field: "continuation area" });
    return area;
  };
}

/** The file that these sections are; null where none is shown. */
async function readNode(
  read: ReadAt,
  layout: Iso9660Layout,
  sections: readonly [DirectoryRecord, ...DirectoryRecord[]],
  continuations: AreaReader,
): Promise<Iso9660Node | null> {
  const [first] = sections;
  const [only] = first.identifier;
  // The directory itself and its parent (ECMA-119, 6.8.2.2).
  if (first.identifier.length === 1 && (only === 0 || only === 1)) return null;
  if ((first.flags & flagAssociated) !== 0) return null;
  const node = plainNode(layout, sections);
  if (layout.names !== "rock-ridge") return node;
  try {
    const facts = await readRockRidge(first.systemUse.subarray(layout.systemUseSkip), continuations);
    if (facts.relocated) return null;
    return facts.childBlock === null
      ? rockRidgeNode(node, facts)
      : await movedDirectory(read, layout, facts.name ?? node.name, facts.childBlock);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { ...node, type: "other", refusal: error.message };
  }
}

function plainNode(layout: Iso9660Layout, sections: readonly [DirectoryRecord, ...DirectoryRecord[]]): Iso9660Node {
  const [first] = sections;
  const extents = sections.map(({ block, attributeBlocks, size }) => ({
    offset: (block + attributeBlocks) * layout.blockBytes,
    length: size,
  }));
  return {
    name: layout.names === "joliet" ? jolietName(first.identifier) : plainName(first.identifier),
    type: (first.flags & flagDirectory) === 0 ? "file" : "directory",
    size: extents.reduce((sum, { length }) => sum + length, 0),
    extents,
    target: null,
    refusal: refusalOf(layout, sections, extents),
  };
}

function refusalOf(
  layout: Iso9660Layout,
  sections: readonly DirectoryRecord[],
  extents: readonly Iso9660Extent[],
): string | null {
  if (sections.length > fileSectionsMax) return `${sections.length} sections, at most ${fileSectionsMax} are taken`;
  if (sections.some(({ interleaved }) => interleaved)) return "interleaved files are not read";
  const beyond = extents.find(({ offset, length }) => length > 0 && offset + length > layout.imageBytes);
  return beyond === undefined
    ? null
    : `its ${beyond.length} bytes at ${beyond.offset} lie outside of the image, which has ${layout.imageBytes}`;
}

function rockRidgeNode(node: Iso9660Node, facts: RockRidge): Iso9660Node {
  const named = { ...node, name: facts.name ?? node.name };
  const type = facts.mode === null ? null : facts.mode & modeType;
  if (type === modeLink) return { ...named, type: "link", size: 0, extents: [], target: facts.target ?? "" };
  if (node.type === "directory") return type === null || type === modeDirectory ? named : { ...named, type: "other" };
  if (type !== null && type !== modeFile) return { ...named, type: "other" };
  if (facts.plainBytes === null) return named;
  return { ...named, size: facts.plainBytes, refusal: named.refusal ?? "compressed by zisofs, which is not unpacked" };
}

/** The directory at a block, whose size only its own first record says. */
async function movedDirectory(read: ReadAt, layout: Iso9660Layout, name: string, block: number): Promise<Iso9660Node> {
  const offset = block * layout.blockBytes;
  const length = Math.max(0, Math.min(sectorBytes, layout.imageBytes - offset));
  const head = new ByteReader(await readWhole(read, { offset, length }), format, offset);
  const own = parseRecord(head, 0, length);
  if (own === null || (own.flags & flagDirectory) === 0) return head.fail("a directory expected", 0, "CL location");
  const extents = [{ offset, length: own.size }];
  return { name, type: "directory", size: own.size, extents, target: null, refusal: null };
}

/**
 * A plain name as Linux shows it (fs/isofs/dir.c, `map=normal`): lower case, without the version 1 and the period before
 * it; another `;` and a `/` become periods.
 */
function plainName(identifier: Uint8Array): string {
  return latin1(identifier)
    .replace(/\0.*$/s, "")
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replace(/\.?;1$/, "")
    .replace(/[;/]/g, ".");
}

/** A Joliet name (UCS-2, big-endian) without the version 1 and without periods at its end, as Linux shows it. */
function jolietName(identifier: Uint8Array): string {
  const swapped = Uint8Array.from(identifier.subarray(0, identifier.length & ~1), (_, i) => identifier[i ^ 1] ?? 0);
  const text = new TextDecoder("utf-16le", { ignoreBOM: true }).decode(swapped);
  return text.replace(/(?<=.);1$/s, "").replace(/(?<=.)\.+$/s, "");
}
