import { ByteReader } from "./bytes.ts";
import { FormatError } from "./format-error.ts";
import { hexadecimal } from "./hexadecimal.ts";

/*
 * The header of a kernel for the Multiboot protocol, version 1.
 * Source: Multiboot Specification 0.6.96, section 3.1 "OS image format". All fields are little-endian.
 */

/** The header lies within so many bytes from the start of the file. */
export const multibootHeadBytesMax = 8192;

const magic = 0x1badb002;
/** Bits that a loader has to understand; it has to refuse those that it does not. */
const unknownRequiredBits = 0xfff8;

export interface MultibootHeader {
  /** Where it stands in the file. */
  readonly offset: number;
  /** Bit 0: modules start at page boundaries. */
  readonly pageAlignModules: boolean;
  /** Bit 1: the kernel wants to know the memory. */
  readonly wantsMemory: boolean;
  /** Bit 2: the preferred video mode. */
  readonly video: MultibootVideo | null;
  /** Bit 16: where the image goes, in place of what the file's own format says. */
  readonly addresses: MultibootAddresses | null;
  /** Required bits (3 to 15) that this specification does not define: an image that has any is to be refused. */
  readonly unsupported: number;
}

export interface MultibootVideo {
  /** 0: linear graphics; 1: EGA text. */
  readonly mode: number;
  /** Pixels or characters; 0: no preference. */
  readonly width: number;
  readonly height: number;
  /** Bits per pixel, 0 in a text mode or for no preference. */
  readonly depth: number;
}

/**
 * Physical addresses below 4 GiB. They agree with each other; whether they fit the file is for {@link addressedLoad}.
 */
export interface AddressFields {
  /** Where the header itself is loaded to. */
  readonly header: number;
  /** Where the first loaded byte goes; at most `header`. */
  readonly load: number;
  /** Where the loaded bytes end; 0: with the file. */
  readonly loadEnd: number;
  /** Where zeroed memory behind them ends; 0: there is none. */
  readonly bssEnd: number;
}

export interface MultibootAddresses extends AddressFields {
  readonly entry: number;
}

/**
 * Finds the header in the first bytes of a file (all of {@link multibootHeadBytesMax}, or as many as the file has).
 * Null when there is none.
 *
 * @throws FormatError with offset and field when the header is cut or contradicts itself.
 */
export function findMultiboot(head: Uint8Array): MultibootHeader | null {
  const r = new ByteReader(head.subarray(0, multibootHeadBytesMax), "multiboot");
  for (let offset = 0; r.has(offset, 12); offset += 4) {
    if (r.u32le(offset, "magic") !== magic) continue;
    const flags = r.u32le(offset + 4, "flags");
    if ((magic + flags + r.u32le(offset + 8, "checksum")) % 2 ** 32 === 0) return readHeader(r, offset, flags);
  }
  return null;
}

function readHeader(r: ByteReader, offset: number, flags: number): MultibootHeader {
  return {
    offset,
    pageAlignModules: (flags & 1) !== 0,
    wantsMemory: (flags & 2) !== 0,
    video: (flags & 4) === 0 ? null : readVideo(r, offset + 32),
    addresses: (flags & 0x10000) === 0 ? null : readAddresses(r, offset),
    unsupported: flags & unknownRequiredBits,
  };
}

function readVideo(r: ByteReader, at: number): MultibootVideo {
  return {
    mode: r.u32le(at, "mode_type"),
    width: r.u32le(at + 4, "width"),
    height: r.u32le(at + 8, "height"),
    depth: r.u32le(at + 12, "depth"),
  };
}

function readAddresses(r: ByteReader, offset: number): MultibootAddresses {
  const addresses: MultibootAddresses = {
    header: r.u32le(offset + 12, "header_addr"),
    load: r.u32le(offset + 16, "load_addr"),
    loadEnd: r.u32le(offset + 20, "load_end_addr"),
    bssEnd: r.u32le(offset + 24, "bss_end_addr"),
    entry: r.u32le(offset + 28, "entry_addr"),
  };
  refuseContradictions("multiboot", offset, addresses, addresses.entry);
  return addresses;
}

/** @throws FormatError when the addresses of a header that stands at `offset` of the file cannot all be right. */
export function refuseContradictions(format: string, offset: number, addresses: AddressFields, entry: number): void {
  const { header, load, loadEnd, bssEnd } = addresses;
  const fail = (detail: string, field: string): never => {
    throw new FormatError(format, detail, { offset, field });
  };
  if (load > header)
    fail(`at most header_addr, ${hexadecimal(header)}, expected, not ${hexadecimal(load)}`, "load_addr");
  if (header - load > offset) {
    fail(`header_addr is ${header - load} bytes above it, the header ${offset} bytes into the file`, "load_addr");
  }
  if (loadEnd !== 0 && loadEnd <= header) {
    fail(`more than header_addr, ${hexadecimal(header)}, expected, not ${hexadecimal(loadEnd)}`, "load_end_addr");
  }
  const dataEnd = loadEnd === 0 ? header : loadEnd;
  if (bssEnd !== 0 && bssEnd < dataEnd) {
    fail(`at least ${hexadecimal(dataEnd)} expected, not ${hexadecimal(bssEnd)}`, "bss_end_addr");
  }
  const end = bssEnd || loadEnd || 2 ** 32;
  if (entry < load || entry >= end) {
    fail(`${hexadecimal(load)} up to ${hexadecimal(end)} expected, not ${hexadecimal(entry)}`, "entry_addr");
  }
}

/** What a header with address fields loads: the names are those of a segment of an ELF file (`ElfLoad`). */
export interface AddressedLoad {
  /** Where its bytes are in the file. */
  readonly offset: number;
  readonly fileBytes: number;
  readonly physical: number;
  /** At least `fileBytes`; what is left is zero. */
  readonly memoryBytes: number;
}

/**
 * Which bytes of a file of `size` bytes go where, by the address fields of the header that stands at `offset`, of
 * either version of the protocol.
 *
 * @throws FormatError when they leave the file or the first 4 GiB, or when the file is longer than its memory.
 */
export function addressedLoad(offset: number, addresses: AddressFields, size: number): AddressedLoad {
  const { header, load, loadEnd, bssEnd } = addresses;
  const start = offset - (header - load);
  const fileBytes = loadEnd === 0 ? size - start : loadEnd - load;
  const fail = (detail: string, field: string): never => {
    throw new FormatError("multiboot", detail, { offset, field });
  };
  if (start + fileBytes > size) {
    fail(`bytes ${start} to ${start + fileBytes} expected, the file ends at ${size}`, "load_end_addr");
  }
  const memoryBytes = bssEnd === 0 ? fileBytes : bssEnd - load;
  if (memoryBytes < fileBytes) fail(`${fileBytes} bytes of file in ${memoryBytes} bytes of memory`, "bss_end_addr");
  if (load + memoryBytes > 2 ** 32) fail(`end ${hexadecimal(load + memoryBytes)} beyond 4 GiB`, "load_addr");
  return { offset: start, fileBytes, physical: load, memoryBytes };
}
