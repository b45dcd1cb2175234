import type { ByteReader } from "./bytes.ts";
import { FormatError } from "./format-error.ts";
import { type ByteRange, type ReadRange, readExactly } from "./ranges.ts";

/*
 * Headers of an image in the Portable Executable format.
 * Source: Microsoft "PE Format", sections "MS-DOS Stub", "COFF File Header", "Optional Header", "Section Table". All
 * fields are little-endian.
 */

const format = "pe";
const dosHeaderBytes = 64;
const coffHeaderBytes = 24;
const sectionHeaderBytes = 40;
const certificateDirectory = 4;

/** Sections taken; a unified kernel image with many profiles and device trees has some hundreds. */
export const peSectionsMax = 4096;
/** Data directories that the format defines; firmware refuses more. */
export const peDirectoriesMax = 16;

/** Values of `Machine`. */
export const peMachine = { i386: 0x14c, x86_64: 0x8664, arm: 0x1c2, aarch64: 0xaa64, riscv64: 0x5064 } as const;

export interface PeSection {
  /** Up to the first NUL of its 8 bytes, one character a byte. */
  readonly name: string;
  /** From the image's base in memory. */
  readonly virtualAddress: number;
  /** Bytes that it takes in memory; what the file does not have is zero, what the file has beyond is padding. */
  readonly virtualBytes: number;
  /** Its bytes in the file: PointerToRawData, SizeOfRawData. */
  readonly raw: ByteRange;
  readonly characteristics: number;
}

export interface PeDirectory {
  /** From the image's base in memory; of the certificate table: from the file's start. */
  readonly address: number;
  readonly bytes: number;
}

export interface PeImage {
  readonly bits: 32 | 64;
  /** See {@link peMachine}. */
  readonly machine: number;
  /** `e_lfanew`: where the signature `PE` stands in the file. */
  readonly headerOffset: number;
  readonly characteristics: number;
  readonly entryAddress: number;
  readonly imageBase: bigint;
  readonly sectionAlignment: number;
  readonly fileAlignment: number;
  readonly imageVersion: { readonly major: number; readonly minor: number };
  /** SizeOfImage: bytes in memory. */
  readonly imageBytes: number;
  /** SizeOfHeaders: all headers, the section table among them, lie within. */
  readonly headerBytes: number;
  readonly checksum: number;
  /** Where the checksum's 4 bytes stand in the file: a signature does not cover them. */
  readonly checksumOffset: number;
  /** 10: an EFI application. */
  readonly subsystem: number;
  readonly dllCharacteristics: number;
  readonly directories: readonly PeDirectory[];
  /** Where the certificate table's 8 bytes of directory stand in the file; null when there are fewer directories. */
  readonly certificateDirectoryOffset: number | null;
  /** The attribute certificate table, behind the headers; null when there is none. */
  readonly certificates: ByteRange | null;
  /** In the order of the table. */
  readonly sections: readonly PeSection[];
}

/**
 * Reads the headers of an image of `size` bytes.
 *
 * @throws FormatError with the offset in the file and the field: for what is no PE image or is cut, and where headers,
 * sections or certificates leave the file or lie upon the headers. Sections may share bytes of the file.
 */
export function readPe(read: ReadRange, size: number): PeImage {
  const headerOffset = findHeader(read, size);
  const coff = readExactly(read, { offset: headerOffset, length: coffHeaderBytes }, format, "COFF header");
  const sectionCount = coff.u16le(6, "NumberOfSections");
  const optionalBytes = coff.u16le(20, "SizeOfOptionalHeader");
  if (sectionCount > peSectionsMax)
    coff.fail(`${sectionCount}: at most ${peSectionsMax} are taken`, 6, "NumberOfSections");
  const optionalRange = { offset: headerOffset + coffHeaderBytes, length: optionalBytes };
  const optional = readExactly(read, optionalRange, format, "optional header");
  const layout = readOptionalHeader(optional);
  const tableRange = { offset: optionalRange.offset + optionalBytes, length: sectionCount * sectionHeaderBytes };
  const tableEnd = tableRange.offset + tableRange.length;
  if (layout.headerBytes < tableEnd || layout.headerBytes > size) {
    optional.fail(`${layout.headerBytes}: from ${tableEnd} to ${size} expected`, 60, "SizeOfHeaders");
  }
  const table = readExactly(read, tableRange, format, "section table");
  return {
    ...layout,
    machine: coff.u16le(4, "Machine"),
    headerOffset,
    characteristics: coff.u16le(22, "Characteristics"),
    certificates: certificatesOf(layout, size),
    sections: Array.from({ length: sectionCount }, (_, index) =>
      readSection(table, index * sectionHeaderBytes, layout.headerBytes, size),
    ),
  };
}

function findHeader(read: ReadRange, size: number): number {
  const dos = readExactly(read, { offset: 0, length: Math.min(size, dosHeaderBytes) }, format, "DOS header");
  if (!dos.hasMagic(0, "MZ")) dos.fail('"MZ" expected', 0, "e_magic");
  const offset = dos.u32le(60, "e_lfanew");
  if (offset < dosHeaderBytes) dos.fail(`at least ${dosHeaderBytes} expected, not ${offset}`, 60, "e_lfanew");
  const signature = readExactly(read, { offset, length: 4 }, format, "Signature");
  if (!signature.hasMagic(0, "PE\0\0")) signature.fail('"PE" and two zeroes expected', 0, "Signature");
  return offset;
}

type Layout = Omit<PeImage, "machine" | "headerOffset" | "characteristics" | "certificates" | "sections">;

/** PE32 has a field more before the image's base, and stack and heap sizes of 32 bits. */
function readOptionalHeader(r: ByteReader): Layout {
  const magic = r.u16le(0, "Magic");
  if (magic !== 0x10b && magic !== 0x20b) r.fail(`0x10b or 0x20b expected, not 0x${magic.toString(16)}`, 0, "Magic");
  const wide = magic === 0x20b;
  const directoriesAt = wide ? 112 : 96;
  const count = r.u32le(directoriesAt - 4, "NumberOfRvaAndSizes");
  if (count > peDirectoriesMax || directoriesAt + count * 8 > r.length) {
    const most = Math.min(peDirectoriesMax, Math.floor((r.length - directoriesAt) / 8));
    r.fail(`${count}: at most ${most} expected`, directoriesAt - 4, "NumberOfRvaAndSizes");
  }
  const directories = Array.from({ length: count }, (_, index) => ({
    address: r.u32le(directoriesAt + index * 8, "data directory"),
    bytes: r.u32le(directoriesAt + index * 8 + 4, "data directory"),
  }));
  return {
    bits: wide ? 64 : 32,
    entryAddress: r.u32le(16, "AddressOfEntryPoint"),
    imageBase: wide ? r.u64le(24, "ImageBase") : BigInt(r.u32le(28, "ImageBase")),
    sectionAlignment: r.u32le(32, "SectionAlignment"),
    fileAlignment: r.u32le(36, "FileAlignment"),
    imageVersion: { major: r.u16le(44, "MajorImageVersion"), minor: r.u16le(46, "MinorImageVersion") },
    imageBytes: r.u32le(56, "SizeOfImage"),
    headerBytes: r.u32le(60, "SizeOfHeaders"),
    checksum: r.u32le(64, "CheckSum"),
    checksumOffset: r.base + 64,
    subsystem: r.u16le(68, "Subsystem"),
    dllCharacteristics: r.u16le(70, "DllCharacteristics"),
    directories,
    certificateDirectoryOffset: count > certificateDirectory ? r.base + directoriesAt + certificateDirectory * 8 : null,
  };
}

function certificatesOf(layout: Layout, size: number): ByteRange | null {
  const directory = layout.directories[certificateDirectory];
  const place = layout.certificateDirectoryOffset;
  if (directory === undefined || place === null || directory.bytes === 0) return null;
  const range = { offset: directory.address, length: directory.bytes };
  refuseOutside(range, layout.headerBytes, size, { offset: place, field: "Certificate Table" });
  return range;
}

function readSection(table: ByteReader, at: number, headerBytes: number, size: number): PeSection {
  const length = table.u32le(at + 16, "SizeOfRawData");
  // A section without bytes in the file may point anywhere.
  const raw = { offset: length === 0 ? 0 : table.u32le(at + 20, "PointerToRawData"), length };
  if (length > 0) refuseOutside(raw, headerBytes, size, { offset: table.base + at, field: "PointerToRawData" });
  return {
    name: table.latin1(at, 8, "Name"),
    virtualAddress: table.u32le(at + 12, "VirtualAddress"),
    virtualBytes: table.u32le(at + 8, "VirtualSize"),
    raw,
    characteristics: table.u32le(at + 36, "Characteristics"),
  };
}

function refuseOutside(range: ByteRange, start: number, end: number, place: { offset: number; field: string }): void {
  if (range.offset >= start && range.offset + range.length <= end) return;
  const found = `${range.offset} to ${range.offset + range.length}`;
  throw new FormatError(format, `bytes ${found} leave what is behind the headers, ${start} to ${end}`, place);
}
