import { latin1 } from "./bytes.ts";
import {
  type ElfFile,
  type ElfType,
  elfSegmentType,
  elfFormat as format,
  openElf,
  readProgramHeaders,
} from "./elf-file.ts";
import { FormatError, quote } from "./format-error.ts";
import type { ReadRange } from "./ranges.ts";

export { elfMachine, elfSegmentsMax } from "./elf-file.ts";
export { type ReadRange, rangesOf } from "./ranges.ts";

/*
 * What the dynamic linker needs to know of an executable or a library.
 * Source: System V ABI (gABI 4.1), chapters 4 "ELF Header" and 5 "Program Header", "Dynamic Linking".
 */

/** Entries of the dynamic section taken. */
export const elfDynamicEntriesMax = 4096;
/** Longest string taken: PATH_MAX, and long run paths. */
export const elfStringBytesMax = 16_384;

export interface ElfFacts {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  /** `e_machine`; see `elfMachine`. */
  readonly machine: number;
  readonly type: ElfType;
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

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  /** `p_filesz` */
  readonly length: number;
}

const tag = { null: 0, needed: 1, stringTable: 5, stringTableBytes: 10, soname: 14, rpath: 15, runpath: 29 } as const;

/**
 * Reads an ELF file's needs, 32 or 64 bits, either byte order.
 *
 * @throws FormatError with the offset in the file and the field.
 */
export function readElf(read: ReadRange): ElfFacts {
  const file = openElf(read);
  const segments = readSegments(file);
  const interpreter = segments.find((segment) => segment.type === elfSegmentType.interpreter);
  const dynamic = segments.find((segment) => segment.type === elfSegmentType.dynamic);
  const strings = dynamic === undefined ? [] : readDynamicStrings(file, dynamic, segments);
  const all = (wanted: number): string[] => strings.filter((s) => s.tag === wanted).map((s) => s.text);
  const paths = (wanted: number): string[] => all(wanted).flatMap((text) => (text === "" ? [] : text.split(":")));
  return {
    bits: file.wide ? 64 : 32,
    littleEndian: file.littleEndian,
    machine: file.machine,
    type: file.type,
    interpreter: interpreter === undefined ? null : readInterpreter(file, interpreter),
    needed: all(tag.needed),
    soname: all(tag.soname)[0] ?? null,
    runpath: paths(tag.runpath),
    rpath: paths(tag.rpath),
  };
}

function readSegments(file: ElfFile): Segment[] {
  return readProgramHeaders(file).map((header) => ({
    type: header.type,
    offset: header.number("p_offset"),
    address: header.number("p_vaddr"),
    length: header.number("p_filesz"),
  }));
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
    if (isWanted) entries.push({ tag: low, value: file.number(table, at + size / 2, "d_val") });
  }
  return entries;
}

function fileOffset(segments: readonly Segment[], address: number, field: string): number {
  for (const segment of segments) {
    const within = address - segment.address;
    if (segment.type === elfSegmentType.load && within >= 0 && within < segment.length) return segment.offset + within;
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
