import {
  type ElfProgramHeader,
  type ElfType,
  elfFormat,
  elfSegmentType,
  openElf,
  readProgramHeaders,
} from "./elf-file.ts";
import { FormatError } from "./format-error.ts";
import { hexadecimal } from "./hexadecimal.ts";
import { findOverlap, type ReadRange } from "./ranges.ts";

/*
 * What a loader needs to know of a kernel that is an ELF file.
 * Source: System V ABI (gABI 4.1), chapter 5 "Program Header", "Program Loading".
 */

/** Physical addresses have at most 52 bits (Intel SDM volume 3A, section 4.1.4; AMD64 APM volume 2, section 5.3). */
const physicalEnd64 = 2 ** 52;
const physicalEnd32 = 2 ** 32;

/** A PT_LOAD segment that takes memory. */
export interface ElfLoad {
  /** Where its bytes are in the file. */
  readonly offset: number;
  /** `p_filesz`; at most `memoryBytes`. What is left of the memory is zero. */
  readonly fileBytes: number;
  /** `p_paddr` */
  readonly physical: number;
  /** `p_vaddr` */
  readonly virtual: bigint;
  /** `p_memsz`; more than 0. */
  readonly memoryBytes: number;
  readonly executable: boolean;
}

export interface ElfImage {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  /** `e_machine`; see `elfMachine` in elf-file.ts. */
  readonly machine: number;
  readonly type: ElfType;
  /** `e_entry`: virtual, or physical, as the kernel's makers pleased; see {@link physicalEntry}. */
  readonly entry: bigint;
  /** In file order, at least one. Physical ranges do not overlap. */
  readonly loads: readonly ElfLoad[];
}

/**
 * Reads an ELF file of `size` bytes as an image to be loaded at its physical addresses. Whether machine, byte order and
 * type are what the loader can start is for the loader to judge.
 *
 * @throws FormatError with the offset in the file and the field: for what is no ELF file or is cut, a program that
 * needs an interpreter, and segments that leave the file or physical memory, overlap, or hold more than their memory.
 */
export function readElfImage(read: ReadRange, size: number): ElfImage {
  const file = openElf(read);
  const headers = readProgramHeaders(file);
  const interpreter = headers.find((header) => header.type === elfSegmentType.interpreter);
  if (interpreter !== undefined) {
    const place = { offset: interpreter.offset, field: "PT_INTERP" };
    throw new FormatError(elfFormat, "a kernel expected, not a program that needs an interpreter", place);
  }
  const end = file.wide ? physicalEnd64 : physicalEnd32;
  const loads = headers
    .filter((header) => header.type === elfSegmentType.load && header.word("p_memsz") > 0n)
    .map((header) => readLoad(header, size, end));
  if (loads.length === 0) {
    throw new FormatError(elfFormat, `a segment to load expected in a file of type ${file.type}`, { field: "PT_LOAD" });
  }
  refuseOverlap(loads);
  return {
    bits: file.wide ? 64 : 32,
    littleEndian: file.littleEndian,
    machine: file.machine,
    type: file.type,
    entry: file.word(file.header, 24, "e_entry"),
    loads,
  };
}

function readLoad(header: ElfProgramHeader, size: number, physicalEnd: number): ElfLoad {
  const load: ElfLoad = {
    offset: header.number("p_offset"),
    fileBytes: header.number("p_filesz"),
    physical: header.number("p_paddr"),
    virtual: header.word("p_vaddr"),
    memoryBytes: header.number("p_memsz"),
    executable: (header.flags & 1) !== 0,
  };
  const fail = (detail: string, field: string): never => {
    throw new FormatError(elfFormat, detail, { offset: header.offset, field });
  };
  if (load.fileBytes > load.memoryBytes) {
    fail(`${load.fileBytes} bytes of file in ${load.memoryBytes} bytes of memory`, "p_filesz");
  }
  if (load.fileBytes > 0 && load.offset + load.fileBytes > size) {
    fail(`bytes ${load.offset} to ${load.offset + load.fileBytes} expected, the file ends at ${size}`, "p_offset");
  }
  if (load.physical + load.memoryBytes > physicalEnd) {
    fail(`end ${hexadecimal(load.physical + load.memoryBytes)} beyond physical memory`, "p_paddr");
  }
  return load;
}

function refuseOverlap(loads: readonly ElfLoad[]): void {
  const overlap = findOverlap(loads.map((load) => ({ offset: load.physical, length: load.memoryBytes })));
  if (overlap === null) return;
  const detail = `segments at ${hexadecimal(overlap[0])} and ${hexadecimal(overlap[1])} overlap`;
  throw new FormatError(elfFormat, detail, { field: "PT_LOAD" });
}

/**
 * Where to jump to: the entry point if it lies in a segment's physical memory (x86 vmlinux), else where it is loaded
 * to, going by the segment whose virtual memory holds it.
 *
 * @throws FormatError when no segment holds it.
 */
export function physicalEntry(image: ElfImage): number {
  for (const load of image.loads) {
    if (isWithin(image.entry, BigInt(load.physical), load.memoryBytes)) return Number(image.entry);
  }
  for (const load of image.loads) {
    if (isWithin(image.entry, load.virtual, load.memoryBytes)) {
      return load.physical + Number(image.entry - load.virtual);
    }
  }
  throw new FormatError(elfFormat, `${hexadecimal(image.entry)} is in no loaded segment`, { field: "e_entry" });
}

function isWithin(address: bigint, start: bigint, bytes: number): boolean {
  return address >= start && address < start + BigInt(bytes);
}
