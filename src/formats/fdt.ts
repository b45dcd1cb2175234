import { latin1, utf8 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";
import { type ByteRange, type ReadRange, readExactly } from "./ranges.ts";

/*
 * Flattened device trees: descriptions of hardware, and the frame of FIT images.
 * Source: Devicetree Specification 0.4, chapter 5. All numbers are big-endian; offsets count from the tree's start.
 */

export const fdtFormat = "fdt";

/** Nodes of a tree. Large boards have some thousands. */
export const fdtNodesMax = 1 << 16;
export const fdtPropertiesMax = 1 << 18;
/** Nodes inside one another, the root among them. */
export const fdtDepthMax = 64;
/** Name of a node or a property; the specification wants 31, but labels in `/__symbols__` may be longer. */
export const fdtNameBytesMax = 256;
/** The block of the properties' names. */
export const fdtStringsBytesMax = 1 << 20;
export const fdtReservationsMax = 1024;
/** A property that is read as text or numbers. */
export const fdtValueBytesMax = 1 << 16;

const magic = 0xd00dfeed;
const headerBytes = 40;
const reservationBytes = 16;
/** Section 5.4.1. */
const token = { beginNode: 1, endNode: 2, property: 3, nop: 4, end: 9 } as const;
/** The oldest version that is read: before it, nodes had whole paths as names. */
const versionMin = 16;
/** The version whose rules are followed: trees that say that it can read them are read. */
const versionKnown = 17;

export interface FdtNode {
  /** With its unit address: `serial@1000`. The root's is empty. */
  readonly name: string;
  /** In order; the values are bytes of the file. */
  readonly properties: ReadonlyMap<string, ByteRange>;
  /** In order. */
  readonly children: ReadonlyMap<string, FdtNode>;
}

/** Memory that is not to be touched (section 5.3). */
export interface FdtReservation {
  readonly address: bigint;
  readonly bytes: bigint;
}

export interface Fdt {
  /** Bytes of the whole tree. */
  readonly bytes: number;
  readonly bootProcessor: number;
  readonly reservations: readonly FdtReservation[];
  readonly root: FdtNode;
}

/** Whether these are the first bytes of a flattened device tree. */
export function isFdt(head: Uint8Array): boolean {
  return head.length >= 4 && new DataView(head.buffer, head.byteOffset, head.byteLength).getUint32(0) === magic;
}

/**
 * Reads the tree at the start of a file of `size` bytes, without the properties' values: a file may be larger than memory.
 *
 * @throws FormatError with the offset in the file and the field: for what is no such tree or is cut, one that leaves its
 * own bounds, that has a name twice in a node, or that passes a limit.
 */
export function readFdt(read: ReadRange, size: number): Fdt {
  const header = readExactly(read, { offset: 0, length: Math.min(size, headerBytes) }, fdtFormat, "header");
  const found = header.u32be(0, "magic");
  if (found !== magic) header.fail(`0x${magic.toString(16)} expected, not 0x${found.toString(16)}`, 0, "magic");
  const bytes = header.u32be(4, "totalsize");
  if (bytes < headerBytes || bytes > size)
    header.fail(`${headerBytes} to ${size} expected, not ${bytes}`, 4, "totalsize");
  const version = header.u32be(20, "version");
  const compatible = header.u32be(24, "last_comp_version");
  if (version < versionMin || compatible > versionKnown) {
    const found = `version ${version}, readable as ${compatible}`;
    header.fail(`version ${versionMin} or later, readable as ${versionKnown} expected, not ${found}`, 20, "version");
  }
  const strings = { offset: header.u32be(12, "off_dt_strings"), length: header.u32be(32, "size_dt_strings") };
  if (strings.length > fdtStringsBytesMax) {
    header.fail(`at most ${fdtStringsBytesMax} bytes are taken, not ${strings.length}`, 32, "size_dt_strings");
  }
  const structure = { offset: header.u32be(8, "off_dt_struct"), length: 0 };
  // Version 16 does not tell the length.
  structure.length = version >= 17 ? header.u32be(36, "size_dt_struct") : Math.max(0, bytes - structure.offset);
  for (const [field, range, at] of [
    ["off_dt_strings", strings, 12],
    ["off_dt_struct", structure, 8],
  ] as const) {
    if (range.offset >= headerBytes && range.offset + range.length <= bytes) continue;
    const span = `${range.offset} to ${range.offset + range.length}`;
    header.fail(`bytes ${span} leave what is behind the header, ${headerBytes} to ${bytes}`, at, field);
  }
  if (structure.offset % 4 !== 0) header.fail(`a multiple of 4 expected, not ${structure.offset}`, 8, "off_dt_struct");
  const names = readExactly(read, strings, fdtFormat, "strings block").bytes;
  return {
    bytes,
    bootProcessor: header.u32be(28, "boot_cpuid_phys"),
    reservations: readReservations(read, header.u32be(16, "off_mem_rsvmap"), bytes),
    root: readStructure(new Window(read, structure), names),
  };
}

/** Section 5.3: up to an entry of zeroes. */
function readReservations(read: ReadRange, start: number, end: number): FdtReservation[] {
  const reservations: FdtReservation[] = [];
  for (let offset = start; ; offset += reservationBytes) {
    const place = { offset, field: "memory reservation block" };
    if (offset < headerBytes || offset + reservationBytes > end) {
      throw new FormatError(fdtFormat, `an entry of zeroes expected before ${end}`, place);
    }
    const entry = readExactly(read, { offset, length: reservationBytes }, fdtFormat, place.field);
    const reservation = { address: entry.u64be(0, "address"), bytes: entry.u64be(8, "size") };
    if (reservation.address === 0n && reservation.bytes === 0n) return reservations;
    if (reservations.length === fdtReservationsMax) {
      throw new FormatError(fdtFormat, `at most ${fdtReservationsMax} reservations are taken`, place);
    }
    reservations.push(reservation);
  }
}

interface OpenNode extends FdtNode {
  readonly properties: Map<string, ByteRange>;
  readonly children: Map<string, FdtNode>;
}

function readStructure(window: Window, names: Uint8Array): FdtNode {
  const open: OpenNode[] = [];
  let root: FdtNode | null = null;
  let nodes = 0;
  let properties = 0;
  for (;;) {
    const kind = window.u32("token");
    const node = open.at(-1);
    if (kind === token.beginNode) {
      if (root !== null && node === undefined) window.fail("the end of the tree expected, not a second root");
      if (++nodes > fdtNodesMax) window.fail(`at most ${fdtNodesMax} nodes are taken`);
      if (open.length === fdtDepthMax) window.fail(`at most ${fdtDepthMax} nodes inside one another are taken`);
      const child: OpenNode = { name: window.name(), properties: new Map(), children: new Map() };
      if (node?.children.has(child.name)) window.fail(`one node ${quote(child.name)} expected, not a second`);
      node?.children.set(child.name, child);
      root ??= child;
      open.push(child);
    } else if (kind === token.endNode) {
      if (open.pop() === undefined) window.fail("a node expected before its end");
    } else if (kind === token.property) {
      if (node === undefined) return window.fail("a property inside a node expected");
      if (++properties > fdtPropertiesMax) window.fail(`at most ${fdtPropertiesMax} properties are taken`);
      const length = window.u32("property length");
      const name = nameAt(names, window.u32("property name"), window);
      if (node.properties.has(name)) window.fail(`one property ${quote(name)} expected, not a second`);
      node.properties.set(name, window.skip(length));
    } else if (kind === token.end) {
      if (root === null || node !== undefined) return window.fail("the end of every node expected before the tree's");
      return root;
    } else if (kind !== token.nop) {
      window.fail(`a token of 1, 2, 3, 4 or 9 expected, not ${kind}`);
    }
  }
}

function nameAt(names: Uint8Array, start: number, window: Window): string {
  const bytes = names.subarray(start, start + fdtNameBytesMax + 1);
  const end = bytes.indexOf(0);
  if (end < 0) window.fail(`a name that ends within ${fdtNameBytesMax} bytes expected at ${start} of the strings`);
  return latin1(bytes.subarray(0, end));
}

const windowBytes = 1 << 14;

/** Walks the structure block through a small window; what is skipped is not read. */
class Window {
  readonly #read: ReadRange;
  readonly #end: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  /** Of the next byte in the file. */
  #offset: number;

  constructor(read: ReadRange, { offset, length }: ByteRange) {
    this.#read = read;
    this.#offset = offset;
    this.#end = offset + length;
  }

  u32(field: string): number {
    const at = this.#require(4, field);
    this.#offset += 4;
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, 4).getUint32(0);
  }

  /** Up to a NUL and the next multiple of 4. */
  name(): string {
    const length = Math.min(fdtNameBytesMax + 1, this.#end - this.#offset);
    const at = this.#require(length, "node name");
    const bytes = this.#bytes.subarray(at, at + length);
    const end = bytes.indexOf(0);
    if (end < 0) this.fail(`a name that ends within ${fdtNameBytesMax} bytes expected`, "node name");
    this.skip(end + 1);
    return latin1(bytes.subarray(0, end));
  }

  /** Goes on behind a value and what pads it. Returns where it is. */
  skip(length: number): ByteRange {
    const range = { offset: this.#offset, length };
    const padded = Math.ceil(length / 4) * 4;
    if (padded > this.#end - this.#offset) {
      this.fail(`${length} byte(s) expected, the structure block ends at ${this.#end}`);
    }
    this.#offset += padded;
    return range;
  }

  fail(detail: string, field = "structure block"): never {
    throw new FormatError(fdtFormat, detail, { offset: this.#offset, field });
  }

  /** Has bytes in the window. Returns where. */
  #require(length: number, field: string): number {
    if (length > this.#end - this.#offset) {
      this.fail(`${length} byte(s) expected, the structure block ends at ${this.#end}`, field);
    }
    const at = this.#offset - this.#start;
    if (at >= 0 && at + length <= this.#bytes.length) return at;
    const wanted = Math.min(windowBytes, this.#end - this.#offset);
    this.#bytes = readExactly(this.#read, { offset: this.#offset, length: wanted }, fdtFormat, field).bytes;
    this.#start = this.#offset;
    return 0;
  }
}

/** The part of a node's name before its unit address. */
export function fdtBaseName(name: string): string {
  const at = name.indexOf("@");
  return at < 0 ? name : name.slice(0, at);
}

/** A child by its name; one without unit address also finds the first that has one, as libfdt does. */
export function fdtChild(node: FdtNode, name: string): FdtNode | null {
  const exact = node.children.get(name);
  if (exact !== undefined || name.includes("@")) return exact ?? null;
  for (const child of node.children.values()) if (fdtBaseName(child.name) === name) return child;
  return null;
}

/** The value's bytes. @throws FormatError when there are more than {@link fdtValueBytesMax}, or fewer in the file. */
export function fdtBytes(read: ReadRange, range: ByteRange, name: string): Uint8Array {
  if (range.length > fdtValueBytesMax) {
    const place = { offset: range.offset, field: name };
    throw new FormatError(fdtFormat, `${range.length} bytes, at most ${fdtValueBytesMax} are taken`, place);
  }
  return readExactly(read, range, fdtFormat, name).bytes;
}

/** Texts that each end with NUL (section 2.2.4, `<stringlist>`). @throws FormatError also for what is not UTF-8. */
export function fdtTexts(read: ReadRange, range: ByteRange, name: string): string[] {
  const bytes = fdtBytes(read, range, name);
  if (bytes.at(-1) !== 0) {
    throw new FormatError(fdtFormat, "a text that ends with NUL expected", { offset: range.offset, field: name });
  }
  return utf8(bytes.subarray(0, -1), `${fdtFormat} ${name}`).split("\0");
}

/** The first text of a property. */
export function fdtText(read: ReadRange, range: ByteRange, name: string): string {
  return fdtTexts(read, range, name)[0] ?? "";
}

/** A number of one cell. @throws FormatError when the value has not 4 bytes. */
export function fdtNumber(read: ReadRange, range: ByteRange, name: string): number {
  if (range.length !== 4) {
    throw new FormatError(fdtFormat, `4 bytes expected, not ${range.length}`, { offset: range.offset, field: name });
  }
  return readExactly(read, range, fdtFormat, name).u32be(0, name);
}
