import { ByteReader } from "./bytes.ts";
import { FormatError } from "./format-error.ts";
import { type ReadRange, readExactly } from "./ranges.ts";

/*
 * The frame of an ELF file: its class, byte order and program headers, for those who read more of it.
 * Source: System V ABI (gABI 4.1), chapters 4 "ELF Header" and 5 "Program Header".
 */

export const elfFormat = "elf";

/** Program headers taken; real files have about a dozen. */
export const elfSegmentsMax = 256;

/** Values of `e_machine`. */
export const elfMachine = { i386: 3, arm: 40, x86_64: 62, aarch64: 183, riscv: 243 } as const;

/** Values of `p_type`. */
export const elfSegmentType = { load: 1, dynamic: 2, interpreter: 3 } as const;

export type ElfType = "relocatable" | "executable" | "shared" | "core" | "other";
const types: readonly ElfType[] = ["other", "relocatable", "executable", "shared", "core"];

/** A file with its class and byte order settled. */
export interface ElfFile {
  readonly wide: boolean;
  readonly littleEndian: boolean;
  /** `e_machine`; see {@link elfMachine}. */
  readonly machine: number;
  readonly type: ElfType;
  readonly header: ElfRange;
  /** Exactly `length` bytes, or FormatError. */
  range(offset: number, length: number, field: string): ElfRange;
  /** As many of `length` bytes as the file has. */
  rangeUpTo(offset: number, length: number): ElfRange;
  u16(range: ElfRange, at: number, field: string): number;
  u32(range: ElfRange, at: number, field: string): number;
  /** An address or offset of the file's class, unsigned. */
  word(range: ElfRange, at: number, field: string): bigint;
  /** The same as a number; FormatError from 2^53 on. */
  number(range: ElfRange, at: number, field: string): number;
}

export interface ElfRange {
  readonly offset: number;
  readonly reader: ByteReader;
}

/** @throws FormatError when it is no ELF file, or has no whole header. */
export function openElf(read: ReadRange): ElfFile {
  const identification = new ByteReader(read(0, 16), elfFormat);
  if (!identification.hasMagic(0, "\x7fELF")) {
    throw new FormatError(elfFormat, "an ELF file expected", { offset: 0, field: "e_ident" });
  }
  const wide = pick(identification.u8(4, "EI_CLASS"), 4, "EI_CLASS") === 2;
  const littleEndian = pick(identification.u8(5, "EI_DATA"), 5, "EI_DATA") === 1;
  const range = (offset: number, length: number, field: string): ElfRange => ({
    offset,
    reader: readExactly(read, { offset, length }, elfFormat, field),
  });
  const u16 = ({ reader }: ElfRange, at: number, field: string): number =>
    littleEndian ? reader.u16le(at, field) : reader.u16be(at, field);
  const u32 = ({ reader }: ElfRange, at: number, field: string): number =>
    littleEndian ? reader.u32le(at, field) : reader.u32be(at, field);
  const word = (place: ElfRange, at: number, field: string): bigint => {
    if (!wide) return BigInt(u32(place, at, field));
    return littleEndian ? place.reader.u64le(at, field) : place.reader.u64be(at, field);
  };
  const header = range(0, wide ? 64 : 52, "header");
  return {
    wide,
    littleEndian,
    machine: u16(header, 18, "e_machine"),
    type: types[u16(header, 16, "e_type")] ?? "other",
    header,
    range,
    rangeUpTo: (offset, length) => {
      if (!Number.isSafeInteger(offset)) throw new FormatError(elfFormat, `${offset}: an offset below 2^53 expected`);
      return { offset, reader: new ByteReader(read(offset, length).subarray(0, length), elfFormat) };
    },
    u16,
    u32,
    word,
    number: (place, at, field) => {
      const value = word(place, at, field);
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
        throw new FormatError(elfFormat, `${value}: less than 2^53 expected`, { offset: place.offset + at, field });
      }
      return Number(value);
    },
  };
}

function pick(value: number, offset: number, field: string): number {
  if (value === 1 || value === 2) return value;
  throw new FormatError(elfFormat, `${value}: 1 or 2 expected`, { offset, field });
}

/** Offsets of the fields of a program header that have the file's word size: in 64 bits, in 32 bits. */
const fieldOffsets = {
  p_offset: [8, 4],
  p_vaddr: [16, 8],
  p_paddr: [24, 12],
  p_filesz: [32, 16],
  p_memsz: [40, 20],
} as const;
export type ElfProgramField = keyof typeof fieldOffsets;

export interface ElfProgramHeader {
  /** `p_type`; see {@link elfSegmentType}. */
  readonly type: number;
  /** `p_flags`: bit 0 execute, bit 1 write, bit 2 read. */
  readonly flags: number;
  /** Where the header stands in the file. */
  readonly offset: number;
  /** Unsigned. */
  word(field: ElfProgramField): bigint;
  /** The same as a number; FormatError from 2^53 on. */
  number(field: ElfProgramField): number;
}

/** The program headers in file order. @throws FormatError with the offset in the file and the field. */
export function readProgramHeaders(file: ElfFile): ElfProgramHeader[] {
  const { header, wide } = file;
  const offset = file.number(header, wide ? 32 : 28, "e_phoff");
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
    const place = (field: ElfProgramField): number => at + fieldOffsets[field][wide ? 0 : 1];
    return {
      type: file.u32(table, at, "p_type"),
      flags: file.u32(table, at + (wide ? 4 : 24), "p_flags"),
      offset: offset + at,
      word: (field) => file.word(table, place(field), field),
      number: (field) => file.number(table, place(field), field),
    };
  });
}
