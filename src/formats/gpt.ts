import { ByteReader, guidText } from "./bytes.ts";
import { crc32 } from "./crc32.ts";
import { FormatError } from "./format-error.ts";
import type { ReadAt } from "./read-at.ts";
import type { PartitionFacts } from "./volume-facts.ts";

// Layout: UEFI Specification 2.10, section 5.3 (GUID Partition Table); little-endian.

const primaryLba = 1n;
const headerBytesMin = 92;
const entryBytesMin = 128;
const entryBytesMax = 4096;
/** Size of the entry array that is read; the usual one has 16 KiB. */
export const gptArrayBytesMax = 1 << 20;
/** Linux numbers no more partitions of a disk (DISK_MAX_PARTS is 256, the whole disk being 0). */
export const partitionNumberMax = 255;

export interface GptPartitions {
  readonly partitions: readonly PartitionFacts[];
  /** What was refused, or repaired by the backup, one sentence each. */
  readonly problems: readonly string[];
}

interface GptHeader {
  readonly lba: bigint;
  readonly alternateLba: bigint;
  readonly firstUsableLba: bigint;
  readonly lastUsableLba: bigint;
  readonly arrayLba: bigint;
  readonly entryCount: number;
  readonly entryBytes: number;
  readonly arrayChecksum: number;
}

interface Disk {
  readonly read: ReadAt;
  readonly bytes: bigint;
  readonly sectorBytes: number;
  readonly sectors: bigint;
}

/** Whether a GPT header's signature stands at the start of these bytes. */
export function hasGptSignature(bytes: Uint8Array): boolean {
  return new ByteReader(bytes, "gpt").hasMagic(0, "EFI PART");
}

/**
 * Reads the partitions of a GPT: from the primary header, or, where that or its entries are damaged, from the backup at
 * the place that the primary names and at the disk's last sector. A bad entry costs itself and is told in `problems`.
 * With no good header at all the list is empty.
 *
 * @param diskBytes size of the disk
 * @param sectorBytes size of a logical block, the unit of all addresses in the table
 */
export async function readGpt(read: ReadAt, diskBytes: bigint, sectorBytes: number): Promise<GptPartitions> {
  const disk: Disk = { read, bytes: diskBytes, sectorBytes, sectors: diskBytes / BigInt(sectorBytes) };
  const last = disk.sectors - 1n;
  const problems: string[] = [];
  const places = [primaryLba];
  for (const lba of places) {
    try {
      const header = await readHeader(disk, lba);
      if (lba === primaryLba && header.alternateLba > primaryLba) places.push(header.alternateLba);
      const array = await readArray(disk, header);
      if (lba !== primaryLba) problems.push(`the backup header at sector ${lba} is used`);
      return { partitions: readEntries(disk, header, array, problems), problems };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      problems.push(`header at sector ${lba}: ${error.message}`);
    }
    if (last > primaryLba && !places.includes(last)) places.push(last);
  }
  return { partitions: [], problems };
}

async function readHeader(disk: Disk, lba: bigint): Promise<GptHeader> {
  const header = new ByteReader(
    lba < disk.sectors ? await disk.read(lba * BigInt(disk.sectorBytes), disk.sectorBytes) : new Uint8Array(),
    "gpt",
  );
  if (!header.hasMagic(0, "EFI PART")) header.fail('"EFI PART" expected', 0, "signature");
  const revision = header.u32le(8, "revision");
  if (revision >>> 16 !== 1) header.fail(`0x${revision.toString(16)}, 0x10000 expected`, 8, "revision");
  const headerBytes = header.u32le(12, "header size");
  if (headerBytes < headerBytesMin || headerBytes > disk.sectorBytes) {
    header.fail(`${headerBytes}, ${headerBytesMin} to ${disk.sectorBytes} expected`, 12, "header size");
  }
  const covered = header.slice(0, headerBytes, "header").slice();
  covered.fill(0, 16, 20);
  if (header.u32le(16, "checksum") !== crc32(covered)) {
    header.fail("the checksum does not match the header", 16, "checksum");
  }
  const ownLba = header.u64le(24, "own sector");
  if (ownLba !== lba) header.fail(`${ownLba}, ${lba} expected`, 24, "own sector");
  return {
    lba,
    alternateLba: header.u64le(32, "alternate sector"),
    firstUsableLba: header.u64le(40, "first usable sector"),
    lastUsableLba: header.u64le(48, "last usable sector"),
    arrayLba: header.u64le(72, "entries' sector"),
    entryCount: header.u32le(80, "number of entries"),
    entryBytes: header.u32le(84, "entry size"),
    arrayChecksum: header.u32le(88, "entries' checksum"),
  };
}

/** The entry array, as long as the header says and with the checksum that it says. */
async function readArray(disk: Disk, header: GptHeader): Promise<Uint8Array> {
  const { entryBytes, entryCount, arrayLba } = header;
  const fail = (detail: string, offset: number, field: string): never => {
    throw new FormatError("gpt", detail, { offset, field });
  };
  // Section 5.3.2: 128 times a power of two.
  if (entryBytes < entryBytesMin || entryBytes > entryBytesMax || !Number.isInteger(Math.log2(entryBytes))) {
    fail(`${entryBytes}, a power of two from ${entryBytesMin} to ${entryBytesMax} expected`, 84, "entry size");
  }
  const arrayBytes = entryCount * entryBytes;
  if (arrayBytes === 0 || arrayBytes > gptArrayBytesMax) {
    fail(`${entryCount} entries take ${arrayBytes} bytes, 1 to ${gptArrayBytesMax} are taken`, 80, "number of entries");
  }
  const offset = arrayLba * BigInt(disk.sectorBytes);
  if (arrayLba < 2n && header.lba === primaryLba) fail(`${arrayLba}, at least 2 expected`, 72, "entries' sector");
  if (offset + BigInt(arrayBytes) > disk.bytes) {
    fail(`${arrayLba}, inside the disk's ${disk.sectors} sectors expected`, 72, "entries' sector");
  }
  const array = (await disk.read(offset, arrayBytes)).subarray(0, arrayBytes);
  if (array.length !== arrayBytes) fail(`${arrayBytes} bytes expected, ${array.length} read`, 72, "entries' sector");
  if (crc32(array) !== header.arrayChecksum) fail("the checksum does not match the entries", 88, "entries' checksum");
  return array;
}

function readEntries(disk: Disk, header: GptHeader, array: Uint8Array, problems: string[]): PartitionFacts[] {
  const partitions: PartitionFacts[] = [];
  for (let index = 0; index < header.entryCount; index++) {
    const number = index + 1;
    const start = index * header.entryBytes;
    const entry = new ByteReader(array.subarray(start, start + header.entryBytes), "gpt");
    // An all-zero type marks an unused entry.
    if (entry.slice(0, 16, "type").every((byte) => byte === 0)) continue;
    if (number > partitionNumberMax) {
      problems.push(`partitions from ${number} on: Linux takes at most ${partitionNumberMax}, skipping`);
      break;
    }
    const first = entry.u64le(32, "first sector");
    const last = entry.u64le(40, "last sector");
    const refusal = refuse(disk, header, first, last);
    if (refusal !== null) problems.push(`partition ${number}: ${refusal}, skipping`);
    else partitions.push(facts(entry, number, first, last, disk.sectorBytes));
  }
  return partitions;
}

function refuse(disk: Disk, header: GptHeader, first: bigint, last: bigint): string | null {
  if (last < first) return `it ends at sector ${last}, before its start at ${first}`;
  if (last >= disk.sectors) return `it ends at sector ${last}, past the disk's ${disk.sectors} sectors`;
  if (first < header.firstUsableLba || last > header.lastUsableLba) {
    const usable = `${header.firstUsableLba} to ${header.lastUsableLba}`;
    return `it takes sectors ${first} to ${last}, outside the usable ${usable}`;
  }
  // Before the array's end nothing is usable, whatever the header says: sector 1 is the header itself.
  if (first <= primaryLba) return `it starts at sector ${first}, inside the partition table`;
  return null;
}

function facts(entry: ByteReader, number: number, first: bigint, last: bigint, sectorBytes: number): PartitionFacts {
  const name = new TextDecoder("utf-16le", { ignoreBOM: true }).decode(entry.slice(56, 72, "name"));
  const end = name.indexOf("\0");
  return {
    number,
    startBytes: first * BigInt(sectorBytes),
    lengthBytes: (last - first + 1n) * BigInt(sectorBytes),
    table: "gpt",
    type: guidText(entry.slice(0, 16, "type")),
    partuuid: guidText(entry.slice(16, 16, "unique GUID")),
    partlabel: (end < 0 ? name : name.slice(0, end)) || null,
  };
}
