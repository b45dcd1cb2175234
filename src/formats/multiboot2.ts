import { ByteReader } from "./bytes.ts";
import { type AddressFields, refuseContradictions } from "./multiboot.ts";

/*
 * The header of a kernel for the Multiboot2 protocol.
 * Source: Multiboot2 Specification 2.0, section 3.1 "OS image format". All fields are little-endian (i386, and MIPS
 * where it starts so).
 */

/** The header lies within so many bytes from the start of the file. */
export const multiboot2HeadBytesMax = 32_768;

const magic = 0xe85250d6;
const tagAlignment = 8;
const tagType = {
  end: 0,
  informationRequest: 1,
  address: 2,
  entry: 3,
  consoleFlags: 4,
  framebuffer: 5,
  moduleAlignment: 6,
  bootServices: 7,
  entryEfi32: 8,
  entryEfi64: 9,
  relocatable: 10,
} as const;

export interface Multiboot2Header {
  /** Where it stands in the file. */
  readonly offset: number;
  /** Its length with all tags. */
  readonly bytes: number;
  /** A number: one that the specification does not define. */
  readonly architecture: "i386" | "mips" | number;
  /**
   * Tags of the boot information that the kernel asks for. A loader that does not know a required one has to refuse.
   */
  readonly requests: readonly Multiboot2Request[];
  /** Where the image goes, in place of what the file's own format says. Then there is an entry point here, too. */
  readonly addresses: AddressFields | null;
  /** Physical; null: as the file's own format says. */
  readonly entry: number | null;
  /** Physical entry points for EFI with boot services still running. */
  readonly entryEfi64: number | null;
  readonly entryEfi32: number | null;
  /** Bit 0: a console is required; bit 1: the kernel can use EGA text. Null without the tag. */
  readonly consoleFlags: number | null;
  readonly framebuffer: Multiboot2Framebuffer | null;
  readonly pageAlignModules: boolean;
  /** The kernel can be started with EFI boot services still running. */
  readonly keepBootServices: boolean;
  readonly relocatable: Multiboot2Relocatable | null;
  /** Types of tags that this specification does not define and that are not optional: the image is to be refused. */
  readonly unknownRequired: readonly number[];
}

export interface Multiboot2Request {
  readonly type: number;
  readonly required: boolean;
}

export interface Multiboot2Framebuffer {
  /** Pixels or characters; 0: no preference. */
  readonly width: number;
  readonly height: number;
  /** Bits per pixel, 0 in a text mode or for no preference. */
  readonly depth: number;
  readonly required: boolean;
}

/** The image may be moved: every byte lies from `min` up to and with `max`. */
export interface Multiboot2Relocatable {
  readonly min: number;
  readonly max: number;
  /** Bytes; a power of two. */
  readonly align: number;
  readonly preference: "none" | "low" | "high";
}

/**
 * Finds the header in the first bytes of a file (all of {@link multiboot2HeadBytesMax}, or as many as the file has).
 * Null when there is none.
 *
 * @throws FormatError with offset and field when the header is cut or contradicts itself.
 */
export function findMultiboot2(head: Uint8Array): Multiboot2Header | null {
  const r = new ByteReader(head.subarray(0, multiboot2HeadBytesMax), "multiboot2");
  for (let offset = 0; r.has(offset, 16); offset += 8) {
    if (r.u32le(offset, "magic") !== magic) continue;
    const architecture = r.u32le(offset + 4, "architecture");
    const bytes = r.u32le(offset + 8, "header_length");
    if ((magic + architecture + bytes + r.u32le(offset + 12, "checksum")) % 2 ** 32 !== 0) continue;
    return readHeader(r, offset, bytes, architecture);
  }
  return null;
}

const architectures: Readonly<Record<number, "i386" | "mips">> = { 0: "i386", 4: "mips" };

function readHeader(r: ByteReader, offset: number, bytes: number, architecture: number): Multiboot2Header {
  const tags = readTags(r, offset, bytes);
  const one = (type: number): Tag | null => onlyTag(r, tags, type);
  const entry = (type: number): number | null => {
    const tag = one(type);
    return tag === null ? null : r.u32le(tag.at + 8, "entry_addr");
  };
  const flags = one(tagType.consoleFlags);
  const entryAddress = entry(tagType.entry);
  return {
    offset,
    bytes,
    architecture: architectures[architecture] ?? architecture,
    requests: tags.filter((tag) => tag.type === tagType.informationRequest).flatMap((tag) => readRequests(r, tag)),
    addresses: readAddresses(r, offset, one(tagType.address), entryAddress),
    entry: entryAddress,
    entryEfi64: entry(tagType.entryEfi64),
    entryEfi32: entry(tagType.entryEfi32),
    consoleFlags: flags === null ? null : r.u32le(flags.at + 8, "console_flags"),
    framebuffer: readFramebuffer(r, one(tagType.framebuffer)),
    pageAlignModules: one(tagType.moduleAlignment) !== null,
    keepBootServices: one(tagType.bootServices) !== null,
    relocatable: readRelocatable(r, one(tagType.relocatable)),
    unknownRequired: tags.filter((tag) => tag.type > tagType.relocatable && tag.required).map((tag) => tag.type),
  };
}

interface Tag {
  readonly at: number;
  readonly type: number;
  readonly required: boolean;
  readonly bytes: number;
}

/** Least bytes of the tags of each type, its own 8 among them. */
const tagBytesMin: Readonly<Record<number, number>> = {
  [tagType.address]: 24,
  [tagType.entry]: 12,
  [tagType.consoleFlags]: 12,
  [tagType.framebuffer]: 20,
  [tagType.entryEfi32]: 12,
  [tagType.entryEfi64]: 12,
  [tagType.relocatable]: 24,
};

/** The tags before the one that ends them. Each starts 8-aligned from the header's start. */
function readTags(r: ByteReader, offset: number, bytes: number): Tag[] {
  if (!r.has(offset, bytes)) {
    r.fail(`${bytes} bytes from ${offset} leave the first ${r.length}`, offset + 8, "header_length");
  }
  const tags: Tag[] = [];
  const end = offset + bytes;
  for (let at = offset + 16; at + 8 <= end; ) {
    const tag = {
      at,
      type: r.u16le(at, "type"),
      required: (r.u16le(at + 2, "flags") & 1) === 0,
      bytes: r.u32le(at + 4, "size"),
    };
    const least = tagBytesMin[tag.type] ?? 8;
    if (tag.bytes < least) r.fail(`at least ${least} expected, not ${tag.bytes}`, at + 4, "size");
    if (at + tag.bytes > end) r.fail(`${tag.bytes} bytes leave the header`, at + 4, "size");
    if (tag.type === tagType.end) return tags;
    tags.push(tag);
    at += Math.ceil(tag.bytes / tagAlignment) * tagAlignment;
  }
  return r.fail(`a tag of type 0 expected within ${bytes} bytes`, offset, "tags");
}

function onlyTag(r: ByteReader, tags: readonly Tag[], type: number): Tag | null {
  const [first, second] = tags.filter((tag) => tag.type === type);
  if (second !== undefined) r.fail(`one tag of type ${type} expected, not a second`, second.at, "type");
  return first ?? null;
}

function readRequests(r: ByteReader, tag: Tag): Multiboot2Request[] {
  const count = Math.floor((tag.bytes - 8) / 4);
  return Array.from({ length: count }, (_, index) => ({
    type: r.u32le(tag.at + 8 + index * 4, "mbi_tag_types"),
    required: tag.required,
  }));
}

/** `load_addr` -1 stands for "from the file's first byte". */
const fromFirstByte = 0xffffffff;

function readAddresses(r: ByteReader, offset: number, tag: Tag | null, entry: number | null): AddressFields | null {
  if (tag === null) return null;
  if (entry === null) return r.fail("an entry address tag expected beside the address tag", tag.at, "tags");
  const header = r.u32le(tag.at + 8, "header_addr");
  const load = r.u32le(tag.at + 12, "load_addr");
  if (load === fromFirstByte && header < offset) {
    r.fail(`at least ${offset} expected, where the header stands, not ${header}`, tag.at + 8, "header_addr");
  }
  const addresses: AddressFields = {
    header,
    load: load === fromFirstByte ? header - offset : load,
    loadEnd: r.u32le(tag.at + 16, "load_end_addr"),
    bssEnd: r.u32le(tag.at + 20, "bss_end_addr"),
  };
  refuseContradictions("multiboot2", offset, addresses, entry);
  return addresses;
}

function readFramebuffer(r: ByteReader, tag: Tag | null): Multiboot2Framebuffer | null {
  if (tag === null) return null;
  return {
    width: r.u32le(tag.at + 8, "width"),
    height: r.u32le(tag.at + 12, "height"),
    depth: r.u32le(tag.at + 16, "depth"),
    required: tag.required,
  };
}

const preferences = ["none", "low", "high"] as const;

function readRelocatable(r: ByteReader, tag: Tag | null): Multiboot2Relocatable | null {
  if (tag === null) return null;
  const min = r.u32le(tag.at + 8, "min_addr");
  const max = r.u32le(tag.at + 12, "max_addr");
  const align = r.u32le(tag.at + 16, "align");
  const preference = r.u32le(tag.at + 20, "preference");
  if (max < min) r.fail(`at least ${min} expected, not ${max}`, tag.at + 12, "max_addr");
  if (align === 0 || (align & (align - 1)) !== 0) r.fail(`a power of two expected, not ${align}`, tag.at + 16, "align");
  return {
    min,
    max,
    align,
    preference: preferences[preference] ?? r.fail(`0, 1 or 2 expected, not ${preference}`, tag.at + 20, "preference"),
  };
}
