import { ByteReader } from "./bytes.ts";
import { partitionNumberMax } from "./gpt.ts";
import type { ReadAt } from "./read-at.ts";
import { isFatBootSector } from "./superblock/vfat.ts";
import type { PartitionFacts } from "./volume-facts.ts";

// Layout: UEFI Specification 2.10, section 5.2 (LBA 0 format); little-endian. Numbers and extents of logical partitions
// are those of Linux (block/partitions/msdos.c), so that number 5 here is the kernel's number 5.

const tableOffset = 446;
const entryBytes = 16;
const typeProtective = 0xee;
const typesExtended: readonly number[] = [0x05, 0x0f, 0x85];
/** Extended boot records in a row that hold no partition, as many as Linux follows. */
const emptyRecordsMax = 100;
/** What the kernel shows of an extended partition, bytes: room for a boot loader, too little to be formatted. */
const extendedShownBytes = 1024n;

interface MbrEntry {
  readonly active: number;
  readonly type: number;
  /** Sectors; from the disk's start, or as the extended boot record counts. */
  readonly start: bigint;
  readonly sectors: bigint;
}

/** The first sector of a disk that has an MBR. */
export interface Mbr {
  /** 8 hexadecimal digits: the part of `PARTUUID=` before the dash. */
  readonly signature: string;
  readonly entries: readonly MbrEntry[];
  /** One entry says that a GPT follows. */
  readonly protective: boolean;
}

export interface MbrPartitions {
  readonly partitions: readonly PartitionFacts[];
  /** What was refused, one sentence each. */
  readonly problems: readonly string[];
}

/**
 * The MBR in a disk's first sector, or null: no 55 AA signature, boot indicators other than 0 and 0x80, no entry in use,
 * or the boot sector of a bare FAT, exFAT or NTFS, which ends in 55 AA too. In a protective MBR the remains of such a
 * boot sector do not count: partitioning tools leave the boot code as it was.
 */
export function parseMbr(sector: Uint8Array): Mbr | null {
  const mbr = new ByteReader(sector, "msdos");
  const entries = readEntries(mbr);
  if (entries === null || entries.some(({ active }) => active !== 0 && active !== 0x80)) return null;
  if (entries.every(({ sectors }) => sectors === 0n)) return null;
  const protective = entries.some(({ type }) => type === typeProtective);
  const bare = ["EXFAT   ", "NTFS    ", "-FVE-FS-"].some((name) => mbr.hasMagic(3, name)) || isFatBootSector(sector);
  if (bare && !protective) return null;
  return { signature: mbr.u32le(440, "disk signature").toString(16).padStart(8, "0"), entries, protective };
}

/** The four entries of an MBR or of an extended boot record; null without the signature 55 AA. */
function readEntries(sector: ByteReader): MbrEntry[] | null {
  if (!sector.has(0, 512) || sector.u16le(510, "signature") !== 0xaa55) return null;
  return [0, 1, 2, 3].map((index) => {
    const at = tableOffset + index * entryBytes;
    return {
      active: sector.u8(at, "boot indicator"),
      type: sector.u8(at + 4, "type"),
      start: BigInt(sector.u32le(at + 8, "first sector")),
      sectors: BigInt(sector.u32le(at + 12, "size")),
    };
  });
}

function isExtended({ type, sectors }: MbrEntry): boolean {
  return sectors !== 0n && typesExtended.includes(type);
}

/**
 * The primary and logical partitions of an MBR. One that reaches past the disk costs itself and is told in `problems`;
 * its number stays taken.
 *
 * @param diskBytes size of the disk
 * @param sectorBytes size of a logical block, the unit of all addresses in the table
 */
export async function readMbrPartitions(
  read: ReadAt,
  mbr: Mbr,
  diskBytes: bigint,
  sectorBytes: number,
): Promise<MbrPartitions> {
  const list = new PartitionList(mbr.signature, diskBytes, sectorBytes);
  mbr.entries.forEach((entry, index) => {
    if (entry.sectors !== 0n) list.add(index + 1, entry.start, entry);
  });
  for (const entry of mbr.entries) if (isExtended(entry)) await readExtended(read, entry, list);
  return { partitions: list.partitions, problems: list.problems };
}

/** Collects partitions, and refuses what does not fit. */
class PartitionList {
  readonly partitions: PartitionFacts[] = [];
  readonly problems: string[] = [];
  readonly sectorBytes: number;
  readonly diskSectors: bigint;
  readonly #signature: string;
  nextLogical = 5;

  constructor(signature: string, diskBytes: bigint, sectorBytes: number) {
    this.#signature = signature;
    this.sectorBytes = sectorBytes;
    this.diskSectors = diskBytes / BigInt(sectorBytes);
  }

  /** @param start from the disk's start, sectors */
  add(number: number, start: bigint, entry: MbrEntry): void {
    const end = start + entry.sectors;
    if (end > this.diskSectors) {
      this.problems.push(
        `partition ${number}: it ends at sector ${end - 1n}, past the disk's ${this.diskSectors} sectors, skipping`,
      );
      return;
    }
    const length = entry.sectors * BigInt(this.sectorBytes);
    const extendedBytes = BigInt(this.sectorBytes) > extendedShownBytes ? BigInt(this.sectorBytes) : extendedShownBytes;
    this.partitions.push({
      number,
      startBytes: start * BigInt(this.sectorBytes),
      lengthBytes: isExtended(entry) && length > extendedBytes ? extendedBytes : length,
      table: "msdos",
      type: `0x${entry.type.toString(16).padStart(2, "0")}`,
      partuuid: `${this.#signature}-${number.toString(16).padStart(2, "0")}`,
      partlabel: null,
    });
  }
}

/** Follows the chain of extended boot records: each holds a partition and the way to the next. */
async function readExtended(read: ReadAt, extended: MbrEntry, list: PartitionList): Promise<void> {
  const seen = new Set<bigint>();
  let record = extended.start;
  let recordSectors = extended.sectors;
  for (let empty = 0; empty < emptyRecordsMax; empty++) {
    if (seen.has(record)) return void list.problems.push(`extended boot record at sector ${record}: the chain loops`);
    seen.add(record);
    const entries = await readRecord(read, record, list);
    if (entries === null) return;
    for (const [index, entry] of entries.entries()) {
      if (entry.sectors === 0n || isExtended(entry)) continue;
      if (index >= 2 && !fitsRecord(entry, record, recordSectors, extended)) continue;
      if (list.nextLogical > partitionNumberMax) {
        return void list.problems.push(
          `partitions from ${list.nextLogical} on: Linux takes at most ${partitionNumberMax}, skipping`,
        );
      }
      list.add(list.nextLogical, record + entry.start, entry);
      list.nextLogical++;
      empty = -1;
    }
    const next = entries.find(isExtended);
    if (next === undefined) return;
    record = extended.start + next.start;
    recordSectors = next.sectors;
  }
  list.problems.push(
    `extended boot record at sector ${record}: ${emptyRecordsMax} without a partition, skipping the rest`,
  );
}

async function readRecord(read: ReadAt, record: bigint, list: PartitionList): Promise<MbrEntry[] | null> {
  if (record >= list.diskSectors) {
    list.problems.push(`extended boot record at sector ${record}: past the disk's ${list.diskSectors} sectors`);
    return null;
  }
  const bytes = await read(record * BigInt(list.sectorBytes), list.sectorBytes);
  const entries = readEntries(new ByteReader(bytes, "msdos"));
  if (entries === null) list.problems.push(`extended boot record at sector ${record}: its signature 55 AA is missing`);
  return entries;
}

/** The third and the fourth entry often hold rubbish: they count only inside the record's and the whole extent. */
function fitsRecord(entry: MbrEntry, record: bigint, recordSectors: bigint, extended: MbrEntry): boolean {
  const start = record + entry.start;
  if (entry.start + entry.sectors > recordSectors || start < extended.start) return false;
  return start + entry.sectors <= extended.start + extended.sectors;
}
