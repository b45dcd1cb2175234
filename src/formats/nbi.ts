import type { ByteReader } from "./bytes.ts";
import { FormatError, type FormatPlace } from "./format-error.ts";
import { hexadecimal } from "./hexadecimal.ts";
import { findOverlap, type ReadRange, readExactly } from "./ranges.ts";

/*
 * Net boot images, as mkelfImage and mknbi make them for Etherboot: a header of 512 bytes, then segments one after
 * another.
 * Source: "Draft Net Boot Image Proposal 0.3" (J. Honan, G. Kuhlmann, 1997), and Etherboot for the 32-bit entry. All
 * fields are little-endian.
 */

const format = "nbi";
/** The header block; it is loaded, too. */
export const nbiHeaderBytes = 512;

const addressEnd = 2 ** 32;

export interface NbiImage {
  /** Physical address that the header block (the first {@link nbiHeaderBytes} bytes of the file) is loaded to. */
  readonly headerAddress: number;
  readonly entry: NbiEntry;
  /** In the order of the records, without those that take no memory. Neither they nor the header block overlap. */
  readonly segments: readonly NbiSegment[];
}

export type NbiEntry =
  | { readonly mode: "16-bit"; readonly cs: number; readonly ip: number }
  | { readonly mode: "32-bit"; readonly address: number };

export interface NbiSegment {
  /** Where its bytes are in the file. */
  readonly offset: number;
  readonly fileBytes: number;
  /** Physical. */
  readonly address: number;
  /** At least `fileBytes`, more than 0; what is left is zero. */
  readonly memoryBytes: number;
}

/**
 * Reads the header block of a file of `size` bytes.
 *
 * @throws FormatError with offset and field: for what is no net boot image or is cut, an image that wants to return to
 * its loader or to lie at the end of memory, and segments that overlap or leave the first 4 GiB.
 */
export function parseNbi(read: ReadRange, size: number): NbiImage {
  const r = readExactly(read, { offset: 0, length: Math.min(size, nbiHeaderBytes) }, format, "header");
  if (r.length < 4 || r.u32le(0, "magic") !== 0x1b031336) r.fail("the magic 36 13 03 1b expected", 0, "magic");
  if (r.length < nbiHeaderBytes) r.fail(`${nbiHeaderBytes} bytes expected, the file ends at ${size}`, 0, "header");
  const flags = r.u32le(4, "flags");
  if ((flags & 0xf) !== 4) r.fail(`a header of 4 words expected, not ${flags & 0xf}`, 4, "flags");
  if ((flags & 0x7ffffe00) !== 0) r.fail(`reserved bits expected to be 0, not ${hexadecimal(flags)}`, 4, "flags");
  if ((flags & 0x100) !== 0) r.fail("an image expected that does not return to its loader", 4, "flags");
  const headerAddress = r.u16le(8, "offset") + r.u16le(10, "segment") * 16;
  const segments = readSegments(r, ((flags & 0xf) + ((flags >> 4) & 0xf)) * 4, headerAddress, size);
  refuseOverlap([{ address: headerAddress, memoryBytes: nbiHeaderBytes }, ...segments]);
  return { headerAddress, entry: readEntry(r, flags), segments };
}

function readEntry(r: ByteReader, flags: number): NbiEntry {
  // Bit 31, which makes the number negative.
  if ((flags & 0x80000000) !== 0) return { mode: "32-bit", address: r.u32le(12, "execute address") };
  return { mode: "16-bit", cs: r.u16le(14, "execute segment"), ip: r.u16le(12, "execute offset") };
}

const addressing = { absolute: 0, afterPrevious: 1, belowEndOfMemory: 2, beforePrevious: 3 } as const;

function readSegments(r: ByteReader, start: number, headerAddress: number, size: number): NbiSegment[] {
  const segments: NbiSegment[] = [];
  // The header block counts as the segment before the first.
  let previous = { address: headerAddress, memoryBytes: nbiHeaderBytes };
  let offset = nbiHeaderBytes;
  for (let at = start; ; ) {
    const words = r.u8(at, "segment record");
    if ((words & 0xf) !== 4) r.fail(`a record of 4 words expected, not ${words & 0xf}`, at, "segment record");
    const flags = r.u8(at + 3, "segment flags");
    const segment = {
      offset,
      fileBytes: r.u32le(at + 8, "image length"),
      address: segmentAddress(r, at, flags, previous),
      memoryBytes: r.u32le(at + 12, "memory length"),
    };
    refuseImpossible(segment, size, { offset: at, field: "segment record" });
    if (segment.memoryBytes > 0) segments.push(segment);
    if ((flags & 4) !== 0) return segments;
    previous = segment;
    offset += segment.fileBytes;
    at += ((words & 0xf) + (words >> 4)) * 4;
  }
}

interface Place {
  readonly address: number;
  readonly memoryBytes: number;
}

function segmentAddress(r: ByteReader, at: number, flags: number, previous: Place): number {
  if ((flags & 0xf8) !== 0)
    r.fail(`reserved bits expected to be 0, not ${hexadecimal(flags)}`, at + 3, "segment flags");
  const value = r.u32le(at + 4, "load address");
  switch (flags & 3) {
    case addressing.absolute:
      return value;
    case addressing.afterPrevious:
      return previous.address + previous.memoryBytes + value;
    case addressing.beforePrevious:
      return previous.address - value;
    default:
      return r.fail("an address that does not count from the end of memory expected", at + 3, "segment flags");
  }
}

function refuseImpossible(segment: NbiSegment, size: number, place: FormatPlace): void {
  const { offset, fileBytes, address, memoryBytes } = segment;
  if (fileBytes > memoryBytes) {
    throw new FormatError(format, `${fileBytes} bytes of file in ${memoryBytes} bytes of memory`, place);
  }
  if (offset + fileBytes > size) {
    throw new FormatError(format, `bytes ${offset} to ${offset + fileBytes} expected, the file ends at ${size}`, place);
  }
  if (address < 0 || address + memoryBytes > addressEnd) {
    throw new FormatError(format, `${memoryBytes} bytes at ${hexadecimal(address)} leave the first 4 GiB`, place);
  }
}

function refuseOverlap(places: readonly Place[]): void {
  const overlap = findOverlap(places.map((place) => ({ offset: place.address, length: place.memoryBytes })));
  if (overlap === null) return;
  const detail = `what is loaded at ${hexadecimal(overlap[0])} and ${hexadecimal(overlap[1])} overlaps`;
  throw new FormatError(format, detail, { field: "segment record" });
}
