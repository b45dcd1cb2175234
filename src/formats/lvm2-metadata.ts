import { ByteReader, latin1 } from "./bytes.ts";
import { crc32 } from "./crc32.ts";
import { messageOf } from "./error-text.ts";
import { FormatError, quote } from "./format-error.ts";
import { type Lvm2Section, lvm2TextCharactersMax, parseLvm2Config } from "./lvm2-config.ts";
import type { ReadAt } from "./read-at.ts";

// LVM2: lib/label/label.h (label_header), lib/format_text/layout.h (pv_header, disk_locn, mda_header, raw_locn); little-endian.
const sectorBytes = 512;
const labelSectors = 4;
const checksumSeed = 0xf597a6cf;
const headerBytes = 512;
const headerMagic = " LVM2 x[5A%r0N*>";
const areaBytes = 16;
/** Data and metadata areas of one physical volume; LVM itself makes one and two. */
export const lvm2AreasMax = 16;
/** Logical volumes of a group, the hidden ones too. */
export const lvm2VolumesMax = 10_000;
/** Segments of all logical volumes of a group. */
export const lvm2SegmentsMax = 100_000;
/** Stripes or legs of one segment (LVM: AREA_COUNT). */
export const lvm2LegsMax = 128;

/** A physical volume as its own label and metadata areas describe it. */
export interface Lvm2PhysicalVolume {
  /** With its dashes. */
  readonly uuid: string;
  /** The newest whole description of the group; null where the volume carries none, which is allowed. */
  readonly group: Lvm2Group | null;
  /** What is wrong with metadata areas that could not be used. */
  readonly problems: readonly string[];
  /** Bytes of metadata that were read. */
  readonly textBytes: number;
}

/** How much metadata may still be read, in bytes; less with each area. */
export interface Lvm2Allowance {
  bytesLeft: number;
}

/** A volume group; all sizes in sectors of 512 bytes. */
export interface Lvm2Group {
  readonly name: string;
  /** With its dashes. */
  readonly uuid: string;
  /** Counts the changes of the group. */
  readonly sequence: number;
  readonly extentSectors: number;
  /** By their names inside the text. */
  readonly physical: ReadonlyMap<string, Lvm2PhysicalReference>;
  readonly logical: ReadonlyMap<string, Lvm2LogicalVolume>;
}

export interface Lvm2PhysicalReference {
  readonly uuid: string;
  /** Where its first extent begins. */
  readonly startSector: number;
  readonly extents: number;
}

export interface Lvm2LogicalVolume {
  readonly name: string;
  readonly uuid: string;
  /** Hidden volumes are parts of others. */
  readonly isVisible: boolean;
  /** Words of its status: `READ`, `PVMOVE`, `NOTSYNCED`. */
  readonly status: readonly string[];
  readonly extents: number;
  /** In their order, without gaps. */
  readonly segments: readonly Lvm2Segment[];
}

/** A place on a physical volume, or in another logical volume. */
export interface Lvm2Place {
  readonly volume: string;
  /** Counts from 0. */
  readonly extent: number;
}

interface SegmentExtents {
  /** In the logical volume. */
  readonly start: number;
  readonly count: number;
}

export type Lvm2Segment = SegmentExtents &
  (
    | {
        readonly kind: "striped";
        /** Of one stripe; 0 where there is only one. */
        readonly chunkSectors: number;
        readonly stripes: readonly Lvm2Place[];
      }
    | { readonly kind: "mirror"; readonly legs: readonly Lvm2Place[] }
    | {
        readonly kind: "raid";
        /** `raid1`, `raid5_ls`, `raid10`. */
        readonly type: string;
        /** 0 where the type has none. */
        readonly chunkSectors: number;
        /** How often raid10 keeps everything. */
        readonly copies: number;
        /** Names of logical volumes; `meta` says whether the leg is in sync. */
        readonly legs: readonly { readonly meta: string | null; readonly data: string }[];
        /** The array is being rebuilt for another number of disks or another layout. */
        readonly isReshaping: boolean;
      }
    | { readonly kind: "cache"; readonly origin: string; readonly pool: string }
    | { readonly kind: "cache-pool"; readonly mode: string | null }
    | { readonly kind: "snapshot"; readonly origin: string; readonly store: string; readonly isMerging: boolean }
    | { readonly kind: "other"; readonly type: string }
  );

/**
 * Reads the label and the metadata areas of a physical volume of LVM2. Null: it is none. A damaged metadata area costs
 * itself. Throws {@link FormatError} for a damaged label, the reader's own error when reading fails.
 *
 * @param bytes size of the device
 * @param allowance for the metadata of several physical volumes together
 */
export async function readLvm2PhysicalVolume(
  read: ReadAt,
  bytes: bigint,
  allowance: Lvm2Allowance = { bytesLeft: lvm2TextCharactersMax },
): Promise<Lvm2PhysicalVolume | null> {
  const label = findLabel(await read(0n, labelSectors * sectorBytes));
  if (label === null) return null;
  const problems: string[] = [];
  let group: Lvm2Group | null = null;
  const { bytesLeft } = allowance;
  for (const area of label.metadataAreas) {
    try {
      const text = await readMetadataText(read, area, bytes, allowance);
      if (text === null) continue;
      const found = parseLvm2Group(text);
      if (group === null || found.sequence > group.sequence) group = found;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      problems.push(messageOf(error));
    }
  }
  return { uuid: label.uuid, group, problems, textBytes: bytesLeft - allowance.bytesLeft };
}

interface Area {
  readonly offset: bigint;
  readonly bytes: bigint;
}

interface Label {
  readonly uuid: string;
  readonly metadataAreas: readonly Area[];
}

function findLabel(head: Uint8Array): Label | null {
  const reader = new ByteReader(head, "LVM2_member");
  for (let sector = 0; sector < labelSectors; sector++) {
    const at = sector * sectorBytes;
    if (reader.hasMagic(at, "LABELONE") && reader.hasMagic(at + 24, "LVM2 001")) return readLabel(reader, sector);
  }
  return null;
}

function readLabel(reader: ByteReader, sector: number): Label {
  const at = sector * sectorBytes;
  const label = new ByteReader(reader.slice(at, sectorBytes, "label"), "LVM2_member", at);
  if (label.u64le(8, "own sector") !== BigInt(sector)) label.fail(`${sector} expected`, 8, "own sector");
  const covered = label.slice(20, sectorBytes - 20, "label");
  if (label.u32le(16, "checksum") !== checksum(covered)) label.fail("the checksum does not match", 16, "checksum");
  const header = label.u32le(20, "header offset");
  const uuid = withDashes(label.latin1(header, 32, "uuid"));
  // Behind identifier and size: the data areas, then the metadata areas; a zero offset ends each list.
  let next = header + 40;
  const list = (field: string): Area[] => {
    const areas: Area[] = [];
    for (; ; next += areaBytes) {
      const area = { offset: label.u64le(next, field), bytes: label.u64le(next + 8, field) };
      if (area.offset === 0n) break;
      areas.push(area);
      if (areas.length > lvm2AreasMax) label.fail(`more than ${lvm2AreasMax}`, next, field);
    }
    next += areaBytes;
    return areas;
  };
  list("data areas");
  return { uuid, metadataAreas: list("metadata areas") };
}

/** CRC-32 with LVM's own seed, the register not inverted at the end. */
function checksum(bytes: Uint8Array): number {
  return ~crc32(bytes, ~checksumSeed) >>> 0;
}

/** The text that the first slot of a metadata area names, from the ring behind its header; null where it names none. */
async function readMetadataText(
  read: ReadAt,
  area: Area,
  deviceBytes: bigint,
  allowance: Lvm2Allowance,
): Promise<string | null> {
  const header = new ByteReader(await read(area.offset, headerBytes), "LVM2 metadata area");
  if (!header.has(0, headerBytes)) header.fail("the device ends inside the header", 0);
  if (header.u32le(0, "checksum") !== checksum(header.slice(4, headerBytes - 4, "header"))) {
    header.fail("the checksum does not match the header", 0, "checksum");
  }
  if (!header.hasMagic(4, headerMagic)) header.fail("another magic", 4, "magic");
  const version = header.u32le(20, "version");
  if (version !== 1) header.fail(`${version}, 1 expected`, 20, "version");
  if (header.u64le(24, "start") !== area.offset) header.fail(`${area.offset} expected`, 24, "start");
  const size = header.u64le(32, "size");
  if (size <= BigInt(headerBytes) || area.offset + size > deviceBytes) {
    header.fail(`${size} bytes, which do not fit`, 32, "size");
  }
  // raw_locn: offset from the area's start, size, checksum, flags (1: ignored).
  const [offset, length] = [header.u64le(40, "text offset"), header.u64le(48, "text size")];
  const isIgnored = (header.u32le(60, "text flags") & 1) !== 0;
  if (offset === 0n || length === 0n || isIgnored) return null;
  if (length > BigInt(lvm2TextCharactersMax)) {
    header.fail(`${length} bytes, at most ${lvm2TextCharactersMax} are taken`, 48, "text size");
  }
  if (length > BigInt(allowance.bytesLeft)) {
    header.fail(`${length} bytes, ${allowance.bytesLeft} more are taken of all metadata on the disk`, 48, "text size");
  }
  allowance.bytesLeft -= Number(length);
  if (offset < BigInt(headerBytes) || offset >= size || length > size - BigInt(headerBytes)) {
    header.fail(`${length} bytes at ${offset}, which lie outside of the area`, 40, "text offset");
  }
  const first = offset + length > size ? size - offset : length;
  const text = new Uint8Array(Number(length));
  text.set((await read(area.offset + offset, Number(first))).subarray(0, Number(first)));
  const rest = await read(area.offset + BigInt(headerBytes), Number(length - first));
  text.set(rest.subarray(0, Number(length - first)), Number(first));
  if (header.u32le(56, "text checksum") !== checksum(text)) {
    header.fail("the checksum does not match the text", 56, "text checksum");
  }
  const end = text.indexOf(0);
  return latin1(end < 0 ? text : text.subarray(0, end));
}

const identifierGroups = /^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6})$/;

/** 32 characters of an identifier with the dashes that LVM shows. */
function withDashes(uuid: string): string {
  if (!/^[0-9A-Za-z!#]{32}$/.test(uuid)) {
    throw new FormatError("LVM2 metadata", `${quote(uuid)} is not an LVM identifier`);
  }
  return identifierGroups.exec(uuid)?.slice(1).join("-") ?? uuid;
}

/** Parses the description of a volume group (vgcfgbackup(8) writes the same). Throws {@link FormatError}. */
export function parseLvm2Group(text: string): Lvm2Group {
  const root = parseLvm2Config(text);
  const found = [...root.entries].find(([, value]) => typeof value === "object" && !Array.isArray(value));
  if (found === undefined) throw new FormatError("LVM2 metadata", "a section with the group's name expected");
  const section = root.section(found[0]);
  const name = nameOf(section);
  const budget = { segments: lvm2SegmentsMax };
  return {
    name,
    uuid: identifierOf(section),
    sequence: section.count("seqno"),
    extentSectors: section.count("extent_size", 1),
    physical: new Map(sectionsOf(section, "physical_volumes").map((one) => [one.name, physicalOf(one)])),
    logical: new Map(sectionsOf(section, "logical_volumes").map((one) => [one.name, logicalOf(one, budget)])),
  };
}

function sectionsOf(section: Lvm2Section, name: string): Lvm2Section[] {
  const outer = section.optionalSection(name);
  const names = outer === null ? [] : [...outer.entries.keys()];
  if (names.length > lvm2VolumesMax) section.fail(name, `${names.length}, at most ${lvm2VolumesMax} are taken`);
  return outer === null ? [] : names.map((inner) => outer.section(inner));
}

/** LVM's own rule for the names of groups and volumes (lvm(8), "Valid names"). */
function nameOf(section: Lvm2Section): string {
  if (!/^[A-Za-z0-9_+.][A-Za-z0-9_+.-]{0,126}$/.test(section.name) || /^\.{1,2}$/.test(section.name)) {
    section.fail(section.name, "a name of up to 127 letters, digits and _ + . - expected");
  }
  return section.name;
}

function identifierOf(section: Lvm2Section): string {
  return withDashes(section.text("id").replaceAll("-", ""));
}

function physicalOf(section: Lvm2Section): Lvm2PhysicalReference {
  return {
    uuid: identifierOf(section),
    startSector: section.count("pe_start"),
    extents: section.count("pe_count"),
  };
}

function logicalOf(section: Lvm2Section, budget: { segments: number }): Lvm2LogicalVolume {
  const count = section.count("segment_count");
  budget.segments -= count;
  if (budget.segments < 0) section.fail("segment_count", `more than ${lvm2SegmentsMax} in all volumes`);
  const segments = Array.from({ length: count }, (_, index) => segmentOf(section.section(`segment${index + 1}`)));
  segments.sort((a, b) => a.start - b.start);
  let extents = 0;
  for (const { start, count: length } of segments) {
    if (start !== extents) section.fail("start_extent", `${start}, ${extents} expected`);
    extents += length;
  }
  const status = section.texts("status");
  return {
    name: nameOf(section),
    uuid: identifierOf(section),
    isVisible: status.includes("VISIBLE"),
    status,
    extents,
    segments,
  };
}

function segmentOf(section: Lvm2Section): Lvm2Segment {
  const common = { start: section.count("start_extent"), count: section.count("extent_count", 1) };
  // A type may carry words of compatibility behind it: `raid1+…`.
  const type = section.text("type").split("+")[0] ?? "";
  if (type === "striped" || type === "linear") {
    const stripes = placesOf(section, "stripes", section.count("stripe_count", 1));
    const chunkSectors = stripes.length === 1 ? 0 : section.count("stripe_size", 1);
    return { ...common, kind: "striped", chunkSectors, stripes };
  }
  if (type === "mirror") {
    return { ...common, kind: "mirror", legs: placesOf(section, "mirrors", section.count("mirror_count", 1)) };
  }
  if (/^raid\d/.test(type)) return { ...common, kind: "raid", type, ...raidOf(section) };
  if (type === "cache") {
    // A cache on a single volume has that in place of a pool.
    const pool = section.has("cache_pool") ? section.text("cache_pool") : section.text("cache_vol");
    return { ...common, kind: "cache", origin: section.text("origin"), pool };
  }
  if (type === "cache-pool") {
    return { ...common, kind: "cache-pool", mode: section.has("cache_mode") ? section.text("cache_mode") : null };
  }
  if (type === "snapshot") {
    const isMerging = section.has("merging_store");
    const store = section.text(isMerging ? "merging_store" : "cow_store");
    return { ...common, kind: "snapshot", origin: section.text("origin"), store, isMerging };
  }
  return { ...common, kind: "other", type };
}

/** `[ "pv0", 0, "pv1", 25 ]`: names, each with an extent. */
function placesOf(section: Lvm2Section, name: string, count: number): Lvm2Place[] {
  const values = section.list(name);
  if (count > lvm2LegsMax) section.fail(name, `${count}, at most ${lvm2LegsMax} are taken`);
  if (values.length !== count * 2) section.fail(name, `${count} names, each with an extent, expected`);
  return Array.from({ length: count }, (_, index) => {
    const [volume, extent] = [values[index * 2], values[index * 2 + 1]];
    if (typeof volume !== "string" || typeof extent !== "number" || !Number.isSafeInteger(extent) || extent < 0) {
      section.fail(name, "a name and an extent expected");
    }
    return { volume, extent };
  });
}

/** `raids = [ "lv_rmeta_0", "lv_rimage_0", … ]`; raid0 without metadata has `raid0_lvs = [ "lv_rimage_0", … ]`. */
function raidOf(section: Lvm2Section): {
  readonly chunkSectors: number;
  readonly copies: number;
  readonly legs: readonly { readonly meta: string | null; readonly data: string }[];
  readonly isReshaping: boolean;
} {
  const counter = section.has("device_count") ? "device_count" : "stripe_count";
  const count = section.count(counter, 1);
  if (count > lvm2LegsMax) section.fail(counter, `${count}, at most ${lvm2LegsMax} are taken`);
  const plain = section.texts("raid0_lvs");
  const names = plain.length > 0 ? plain : section.texts("raids");
  const copies = section.has("data_copies") ? section.count("data_copies", 1) : 2;
  const step = names.length === count ? 1 : 2;
  if (names.length !== count * step) section.fail("raids", `${count} or twice as many names expected`);
  const legs = Array.from({ length: count }, (_, index) => ({
    meta: step === 1 ? null : (names[index * 2] ?? null),
    data: names[index * step + step - 1] ?? "",
  }));
  return {
    chunkSectors: section.has("stripe_size") ? section.count("stripe_size") : 0,
    copies,
    legs,
    isReshaping: ["reshape_count", "delta_disks", "data_offset"].some((key) => section.has(key)),
  };
}
