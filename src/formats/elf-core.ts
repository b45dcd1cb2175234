import { alignUp, ByteWriter } from "./byte-writer.ts";
import { ByteReader } from "./bytes.ts";
import { FormatError } from "./format-error.ts";
import type { ReadRange } from "./ranges.ts";

/** Memory that a dump holds. */
export interface CoreLoad {
  /** Where it was in the crashed kernel's physical memory. */
  readonly physical: number;
  readonly bytes: number;
  /** Where the crashed kernel had it mapped; all ones when nowhere. */
  readonly virtual: bigint;
  /**
   * Physical place where the capture kernel finds the content, when it was copied elsewhere (a backup); else
   * `physical`.
   */
  readonly content?: number;
}

export interface ElfCoreRequest {
  readonly bits: 64 | 32;
  /** `e_machine`: 62 for x86_64, 183 for arm64. */
  readonly machine: number;
  /** A processor's notes each: physical address and bytes. */
  readonly notes: readonly { readonly address: number; readonly bytes: number }[];
  readonly vmcoreinfo: { readonly address: number; readonly bytes: number } | null;
  /** In the order in which they are to stand: the kernel's text first. */
  readonly loads: readonly CoreLoad[];
  /** At least this many bytes, zeroes behind the headers; 0: as many as needed. */
  readonly bytesMin: number;
  /** The length is a multiple of this. */
  readonly align: number;
}

/** Most program headers: from 0xffff on `e_phnum` says otherwise (gABI, PN_XNUM). */
export const elfCoreHeadersMax = 0xfffe;

const format = "elf core";
const segment = { load: 1, note: 4 } as const;
const readWriteExecute = 7;
const typeCore = 4;
const mappedNowhere = 0xffff_ffff_ffff_ffffn;

interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly virtual: bigint;
  readonly physical: number;
  readonly bytes: number;
}

/**
 * The ELF header of a crash dump as a capture kernel takes it from `elfcorehdr=` (System V gABI, chapters 4 and 5;
 * Linux, fs/proc/vmcore.c): ET_CORE, little-endian, a PT_NOTE per processor, one for vmcoreinfo, a PT_LOAD per piece of
 * memory, where `p_offset` is the physical place of the content. With 32 bits a mapping above 4 GiB is told as none.
 *
 * Throws {@link FormatError} for more than {@link elfCoreHeadersMax} headers, and with 32 bits for memory from 4 GiB
 * on.
 */
export function writeElfCoreHeader(request: ElfCoreRequest): Uint8Array {
  const headers = programHeaders(request);
  if (headers.length > elfCoreHeadersMax) {
    throw new FormatError(format, `${headers.length} program headers, at most ${elfCoreHeadersMax} are taken`);
  }
  const size = request.bits === 64 ? { header: 64, entry: 56 } : { header: 52, entry: 32 };
  const needed = size.header + headers.length * size.entry;
  const writer = new ByteWriter(alignUp(Math.max(needed, request.bytesMin), request.align), format);
  writeFileHeader(writer, request, size, headers.length);
  headers.forEach((header, index) => {
    const at = size.header + index * size.entry;
    if (request.bits === 64) write64(writer, at, header);
    else write32(writer, at, header);
  });
  return writer.bytes;
}

function programHeaders({ notes, vmcoreinfo, loads }: ElfCoreRequest): ProgramHeader[] {
  const noteRanges = vmcoreinfo === null ? notes : [...notes, vmcoreinfo];
  return [
    ...noteRanges.map(({ address, bytes }) => ({
      type: segment.note,
      flags: 0,
      offset: address,
      virtual: 0n,
      physical: address,
      bytes,
    })),
    ...loads.map(({ physical, bytes, virtual, content }) => ({
      type: segment.load,
      flags: readWriteExecute,
      offset: content ?? physical,
      virtual,
      physical,
      bytes,
    })),
  ];
}

function writeFileHeader(
  writer: ByteWriter,
  { bits, machine }: ElfCoreRequest,
  size: { readonly header: number; readonly entry: number },
  count: number,
): void {
  const wide = bits === 64;
  writer.set(0, Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1), "e_ident");
  writer.u16(16, typeCore, "e_type");
  writer.u16(18, machine, "e_machine");
  writer.u32(20, 1, "e_version");
  if (wide) writer.u64(32, size.header, "e_phoff");
  else writer.u32(28, size.header, "e_phoff");
  writer.u16(wide ? 52 : 40, size.header, "e_ehsize");
  writer.u16(wide ? 54 : 42, size.entry, "e_phentsize");
  writer.u16(wide ? 56 : 44, count, "e_phnum");
}

function write64(writer: ByteWriter, at: number, header: ProgramHeader): void {
  writer.u32(at, header.type, "p_type");
  writer.u32(at + 4, header.flags, "p_flags");
  writer.u64(at + 8, header.offset, "p_offset");
  writer.u64(at + 16, header.virtual, "p_vaddr");
  writer.u64(at + 24, header.physical, "p_paddr");
  writer.u64(at + 32, header.bytes, "p_filesz");
  writer.u64(at + 40, header.bytes, "p_memsz");
}

function write32(writer: ByteWriter, at: number, header: ProgramHeader): void {
  const end = header.physical + header.bytes;
  if (end > 2 ** 32) {
    writer.fail(`memory up to 0x${end.toString(16)}: 32-bit core headers end at 4 GiB`, at, "p_paddr");
  }
  const virtual = header.virtual < 2n ** 32n ? header.virtual : mappedNowhere & 0xffff_ffffn;
  writer.u32(at, header.type, "p_type");
  writer.u32(at + 4, header.offset, "p_offset");
  writer.u32(at + 8, Number(virtual), "p_vaddr");
  writer.u32(at + 12, header.physical, "p_paddr");
  writer.u32(at + 16, header.bytes, "p_filesz");
  writer.u32(at + 20, header.bytes, "p_memsz");
  writer.u32(at + 24, header.flags, "p_flags");
}

/** A PT_LOAD as a core file tells it: whole 64-bit words, since kernels fill some with all ones. */
export interface CoreSegment {
  readonly virtual: bigint;
  /** All ones where the memory has no one physical place. */
  readonly physical: bigint;
  readonly bytes: bigint;
}

const headerBytes64 = 64;
const entryBytes64 = 56;

/**
 * Reads the PT_LOADs of a 64-bit little-endian core file, as /proc/kcore is one; nothing but the headers is read.
 * Throws {@link FormatError} for another kind of file and for headers that it does not hold.
 *
 * @param read gives `length` bytes at `offset`, fewer where the file ends
 */
export function readCoreSegments(read: ReadRange): CoreSegment[] {
  const header = new ByteReader(read(0, headerBytes64), format);
  if (!header.hasMagic(0, "\x7fELF\x02\x01")) {
    header.fail("a 64-bit little-endian ELF file expected", 0, "e_ident");
  }
  const type = header.u16le(16, "e_type");
  if (type !== typeCore) header.fail(`${type}: a core file (${typeCore}) expected`, 16, "e_type");
  const size = header.u16le(54, "e_phentsize");
  if (size !== entryBytes64) header.fail(`${size}: ${entryBytes64} expected`, 54, "e_phentsize");
  const count = header.u16le(56, "e_phnum");
  if (count > elfCoreHeadersMax) header.fail(`${count}: at most ${elfCoreHeadersMax} are taken`, 56, "e_phnum");
  const offset = header.u64le(32, "e_phoff");
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) header.fail(`${offset}: below 2^53 expected`, 32, "e_phoff");
  const table = new ByteReader(read(Number(offset), count * size), format);
  table.slice(0, count * size, "program headers");
  return Array.from({ length: count }, (_, index) => index * size)
    .filter((at) => table.u32le(at, "p_type") === segment.load)
    .map((at) => ({
      virtual: table.u64le(at + 16, "p_vaddr"),
      physical: table.u64le(at + 24, "p_paddr"),
      bytes: table.u64le(at + 40, "p_memsz"),
    }));
}
