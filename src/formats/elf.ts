import { ByteReader, latin1 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";

/*
 * What the dynamic linker needs to know of an executable or a library.
 * Source: System V ABI (gABI 4.1), chapters 4 "ELF Header" and 5 "Program Header", "Dynamic Linking".
 */

const format = "elf";

/** Program headers taken; real files have about a dozen. */
export const elfSegmentsMax = 256;
/** Entries of the dynamic section taken. */
export const elfDynamicEntriesMax = 4096;
/** Longest string taken: PATH_MAX, and long run paths. */
export const elfStringBytesMax = 16_384;

/** Values of `e_machine`. */
export const elfMachine = { i386: 3, arm: 40, x86_64: 62, aarch64: 183, riscv: 243 } as const;

export interface ElfFacts {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  /** `e_machine`; see {@link elfMachine}. */
  readonly machine: number;
  readonly type: "relocatable" | "executable" | "shared" | "core" | "other";
  /** PT_INTERP: the dynamic linker's path; null in libraries and static executables. */
  readonly interpreter: string | null;
  /** DT_NEEDED in file order. */
  readonly needed: readonly string[];
  /** DT_SONAME. */
  readonly soname: string | null;
  /** DT_RUNPATH split at colons; empty when there is none. */
  readonly runpath: readonly string[];
  /** DT_RPATH split at colons; empty when there is none. */
  readonly rpath: readonly string[];
}

/** Reads up to `length` bytes at `offset`; fewer only where the file ends. A large file need not be in memory. */
export type ReadRange = (offset: number, length: number) => Uint8Array;

/** The range reader of bytes in memory. */
export function rangesOf(bytes: Uint8Array): ReadRange {
  return (offset, length) => bytes.subarray(offset, offset + length);
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  /** `p_filesz` */
  readonly length: number;
}

const segmentType = { load: 1, dynamic: 2, interpreter: 3 } as const;
const tag = { null: 0, needed: 1, stringTable: 5, stringTableBytes: 10, soname: 14, rpath: 15, runpath: 29 } as const;
const types: readonly ElfFacts["type"][] = ["other", "relocatable", "executable", "shared", "core"];

/**
 * Reads an ELF file's needs, 32 or 64 bits, either byte order.
 *
 * @throws FormatError with the offset in the file and the field.
 */
export function readElf(read: ReadRange): ElfFacts {
  const file = openElf(read);
  const segments = readSegments(file);
  const interpreter = segments.find((segment) => segment.type === segmentType.interpreter);
  const dynamic = segments.find((segment) => segment.type === segmentType.dynamic);
  const strings = dynamic === undefined ? [] : readDynamicStrings(file, dynamic, segments);
  const all = (wanted: number): string[] => strings.filter((s) => s.tag === wanted).map((s) => s.text);
  const paths = (wanted: number): string[] => all(wanted).flatMap((text) => (text === "" ? [] : text.split(":")));
  return {
    bits: file.wide ? 64 : 32,
    littleEndian: file.littleEndian,
    machine: file.u16(file.header, 18, "e_machine"),
    type: types[file.u16(file.header, 16, "e_type")] ?? "other",
    interpreter: interpreter === undefined ? null : readInterpreter(file, interpreter),
    needed: all(tag.needed),
    soname: all(tag.soname)[0] ?? null,
    runpath: paths(tag.runpath),
    rpath: paths(tag.rpath),
  };
}

/** A file with its class and byte order settled. */
interface ElfFile {
  readonly wide: boolean;
  readonly littleEndian: boolean;
  readonly header: Range;
  /** Exactly `length` bytes, or FormatError. */
  range(offset: number, length: number, field: string): Range;
  /** As many of `length` bytes as the file has. */
  rangeUpTo(offset: number, length: number): Range;
  u16(range: Range, at: number, field: string): number;
  u32(range: Range, at: number, field: string): number;
  /** An address or offset of the file's class. */
  word(range: Range, at: number, field: string): number;
}

interface Range {
  readonly offset: number;
  readonly reader: ByteReader;
}

function openElf(read: ReadRange): ElfFile {
  const identification = new ByteReader(read(0, 16), format);
  if (!identification.hasMagic(0, "\x7fELF")) {
    throw new FormatError(format, "an ELF file expected", { offset: 0, field: "e_ident" });
  }
  const wide = pick(identification.u8(4, "EI_CLASS"), 4, "EI_CLASS") === 2;
  const littleEndian = pick(identification.u8(5, "EI_DATA"), 5, "EI_DATA") === 1;
  const rangeUpTo = (offset: number, length: number): Range => {
    // Sums of two words of the file arrive here.
    if (!Number.isSafeInteger(offset)) throw new FormatError(format, `${offset}: an offset below 2^53 expected`);
    return { offset, reader: new ByteReader(read(offset, length).subarray(0, length), format) };
  };
  const range = (offset: number, length: number, field: string): Range => {
    const found = rangeUpTo(offset, length);
    if (found.reader.length < length) {
      throw new FormatError(format, `${length} byte(s) expected, ${found.reader.length} found`, { offset, field });
    }
    return found;
  };
  const u32 = ({ reader }: Range, at: number, field: string): number =>
    littleEndian ? reader.u32le(at, field) : reader.u32be(at, field);
  return {
    wide,
    littleEndian,
    header: range(0, wide ? 64 : 52, "header"),
    range,
    rangeUpTo,
    u16: ({ reader }, at, field) => (littleEndian ? reader.u16le(at, field) : reader.u16be(at, field)),
    u32,
    word: (place, at, field) => {
      if (!wide) return u32(place, at, field);
      const value = littleEndian ? place.reader.u64le(at, field) : place.reader.u64be(at, field);
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
        throw new FormatError(format, `${value}: less than 2^53 expected`, { offset: place.offset + at, field });
      }
      return Number(value);
    },
  };
}

function pick(value: number, offset: number, field: string): number {
  if (value === 1 || value === 2) return value;
  throw new FormatError(format, `${value}: 1 or 2 expected`, { offset, field });
}

function readSegments(file: ElfFile): Segment[] {
  const { header, wide } = file;
  const offset = file.word(header, wide ? 32 : 28, "e_phoff");
  const size = file.u16(header, wide ? 54 : 42, "e_phentsize");
  const count = file.u16(header, wide ? 56 : 44, "e_phnum");
  if (count === 0) return [];
  if (count > elfSegmentsMax)
    header.reader.fail(`${count}: at most ${elfSegmentsMax} are taken`, wide ? 56 : 44, "e_phnum");
  const expected = wide ? 56 : 32;
  if (size !== expected) header.reader.fail(`${size}: ${expected} expected`, wide ? 54 : 42, "e_phentsize");
  const table = file.range(offset, count * size, "program headers");
  return Array.from({ length: count }, (_, index) => {
    const at = index * size;
    return {
      type: file.u32(table, at, "p_type"),
      offset: file.word(table, at + (wide ? 8 : 4), "p_offset"),
      address: file.word(table, at + (wide ? 16 : 8), "p_vaddr"),
      length: file.word(table, at + (wide ? 32 : 16), "p_filesz"),
    };
  });
}

function readInterpreter(file: ElfFile, segment: Segment): string {
  if (segment.length > elfStringBytesMax) {
    throw new FormatError(format, `${segment.length}: at most ${elfStringBytesMax} bytes are taken`, {
      field: "PT_INTERP",
    });
  }
  return readString(file, segment.offset, segment.length, "PT_INTERP");
}

interface DynamicString {
  readonly tag: number;
  readonly text: string;
}

const stringTags: readonly number[] = [tag.needed, tag.soname, tag.rpath, tag.runpath];

function readDynamicStrings(file: ElfFile, dynamic: Segment, segments: readonly Segment[]): DynamicString[] {
  const entries = readDynamic(file, dynamic);
  const wanted = entries.filter((entry) => stringTags.includes(entry.tag));
  if (wanted.length === 0) return [];
  const address = entries.find((entry) => entry.tag === tag.stringTable)?.value;
  const length = entries.find((entry) => entry.tag === tag.stringTableBytes)?.value;
  if (address === undefined) throw new FormatError(format, "a string table expected", { field: "DT_STRTAB" });
  if (length === undefined) throw new FormatError(format, "the string table's length expected", { field: "DT_STRSZ" });
  const table = fileOffset(segments, address, "DT_STRTAB");
  return wanted.map((entry) => {
    if (entry.value >= length) {
      throw new FormatError(format, `${entry.value}: less than ${length} expected`, { field: "string offset" });
    }
    const text = readString(file, table + entry.value, length - entry.value, "string");
    if (text === "" && entry.tag === tag.needed)
      throw new FormatError(format, "a name expected", { field: "DT_NEEDED" });
    return { tag: entry.tag, text };
  });
}

function readDynamic(file: ElfFile, segment: Segment): { tag: number; value: number }[] {
  const size = file.wide ? 16 : 8;
  const count = Math.floor(segment.length / size);
  if (count > elfDynamicEntriesMax) {
    throw new FormatError(format, `${count} entries, at most ${elfDynamicEntriesMax} are taken`, {
      field: "PT_DYNAMIC",
    });
  }
  const table = file.range(segment.offset, count * size, "PT_DYNAMIC");
  const entries: { tag: number; value: number }[] = [];
  for (let at = 0; at < count * size; at += size) {
    // Only the low half of a tag is looked at: those wanted are small, and others may be "negative".
    const low = file.u32(table, file.wide && !file.littleEndian ? at + 4 : at, "d_tag");
    const high = file.wide ? file.u32(table, file.littleEndian ? at + 4 : at, "d_tag") : 0;
    if (low === tag.null && high === 0) break;
    const isWanted =
      high === 0 && (stringTags.includes(low) || low === tag.stringTable || low === tag.stringTableBytes);
    if (isWanted) entries.push({ tag: low, value: file.word(table, at + size / 2, "d_val") });
  }
  return entries;
}

function fileOffset(segments: readonly Segment[], address: number, field: string): number {
  for (const segment of segments) {
    const within = address - segment.address;
    if (segment.type === segmentType.load && within >= 0 && within < segment.length) return segment.offset + within;
  }
  throw new FormatError(format, `address 0x${address.toString(16)} is in no loaded segment`, { field });
}

/** A NUL-ended string within the next `length` bytes, one character a byte. */
function readString(file: ElfFile, offset: number, length: number, field: string): string {
  const { reader } = file.rangeUpTo(offset, Math.min(length, elfStringBytesMax));
  const end = reader.bytes.indexOf(0);
  if (end < 0) {
    const start = quote(latin1(reader.bytes.subarray(0, 100)));
    throw new FormatError(format, `${start}: a string that ends with NUL expected`, { offset, field });
  }
  return latin1(reader.bytes.subarray(0, end));
}
