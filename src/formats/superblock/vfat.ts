import { ByteReader } from "../bytes.ts";
import { FormatError } from "../format-error.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { chainPieces, directoryBytesMax, pieces } from "./cluster-chain.ts";
import { isPowerOfTwo, labelText, type ProbedDevice, requireFits, serialText } from "./probe.ts";

// Layout: Microsoft, "FAT: General Overview of On-Disk Format", version 1.03; little-endian.

const clusters16Max = 0xfff4;
const clusters32Max = 0x0ffffff6;
const entryBytes = 32;

interface FatVolume {
  readonly sectorBytes: number;
  readonly clusterBytes: number;
  readonly clusterCount: number;
  readonly totalSectors: number;
  /** From the start of the volume, sectors. */
  readonly tableSector: number;
  readonly rootSector: number;
  readonly dataSector: number;
  readonly rootEntries: number;
  /** FAT32: where the root directory begins; null for FAT12 and FAT16, where it has a place of its own. */
  readonly rootCluster: number | null;
}

/** FAT12, FAT16 and FAT32. The label is the root directory's: a label in the boot sector alone is not one, as for blkid. */
export async function probeVfat(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const boot = new ByteReader(device.head, "vfat");
  const volume = readBootSector(boot);
  if (volume === null) return null;
  requireFits("vfat", 32, BigInt(volume.totalSectors) * BigInt(volume.sectorBytes), device.bytes);
  const wide = volume.rootCluster !== null;
  if (wide) checkInformationSector(boot, volume.sectorBytes);
  return {
    type: "vfat",
    usage: "filesystem",
    uuid: serialText(boot.slice(wide ? 67 : 39, 4, "serial number")),
    label: await findLabel(device, volume),
  };
}

/** Whether a disk's first sector begins a FAT filesystem, so that its last bytes are no partition table. */
export function isFatBootSector(sector: Uint8Array): boolean {
  try {
    return readBootSector(new ByteReader(sector, "vfat")) !== null;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/**
 * Null where this is no FAT boot sector. One without a FAT name in it counts only when all of it is right: other
 * systems begin with a jump and end in 55 AA too.
 */
function readBootSector(boot: ByteReader): FatVolume | null {
  if (!boot.has(0, 512)) return null;
  const named =
    ["FAT12   ", "FAT16   ", "FAT     ", "MSDOS"].some((name) => boot.hasMagic(54, name)) ||
    ["FAT32   ", "MSWIN"].some((name) => boot.hasMagic(82, name));
  if (named) return readParameters(boot);
  const jump = boot.u8(0, "jump");
  if ((jump !== 0xeb && jump !== 0xe9) || boot.u16le(510, "signature") !== 0xaa55) return null;
  // OS/2 writes a block like FAT's in front of these.
  if (boot.hasMagic(54, "JFS     ") || boot.hasMagic(54, "HPFS    ")) return null;
  try {
    return readParameters(boot);
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

function readParameters(boot: ByteReader): FatVolume {
  const sectorBytes = boot.u16le(11, "sector size");
  if (!isPowerOfTwo(sectorBytes) || sectorBytes < 512 || sectorBytes > 4096) {
    boot.fail(`${sectorBytes}, a power of two from 512 to 4096 expected`, 11, "sector size");
  }
  const clusterSectors = boot.u8(13, "cluster size");
  if (!isPowerOfTwo(clusterSectors)) boot.fail(`${clusterSectors}, a power of two expected`, 13, "cluster size");
  const tableSector = boot.u16le(14, "reserved sectors");
  if (tableSector === 0) boot.fail("at least one expected", 14, "reserved sectors");
  const tables = boot.u8(16, "number of FATs");
  if (tables === 0) boot.fail("at least one expected", 16, "number of FATs");
  const media = boot.u8(21, "media");
  if (media < 0xf8 && media !== 0xf0) boot.fail(`0x${media.toString(16)}, 0xf0 or 0xf8 to 0xff expected`, 21, "media");
  const tableSectors16 = boot.u16le(22, "FAT size");
  const tableSectors = tableSectors16 || boot.u32le(36, "FAT size");
  if (tableSectors === 0) boot.fail("at least one sector expected", 22, "FAT size");
  const rootEntries = boot.u16le(17, "root directory entries");
  const totalSectors = boot.u16le(19, "size") || boot.u32le(32, "size");
  const rootSector = tableSector + tableSectors * tables;
  const dataSector = rootSector + Math.ceil((rootEntries * entryBytes) / sectorBytes);
  if (totalSectors <= dataSector) {
    boot.fail(`${totalSectors} sectors, more than the ${dataSector} before the first cluster expected`, 32, "size");
  }
  const clusterCount = Math.floor((totalSectors - dataSector) / clusterSectors);
  const clustersMax = tableSectors16 === 0 ? clusters32Max : clusters16Max;
  if (clusterCount < 1 || clusterCount > clustersMax) {
    boot.fail(`${totalSectors} sectors hold ${clusterCount} clusters, 1 to ${clustersMax} expected`, 32, "size");
  }
  return {
    sectorBytes,
    clusterBytes: clusterSectors * sectorBytes,
    clusterCount,
    totalSectors,
    tableSector,
    rootSector,
    dataSector,
    rootEntries,
    rootCluster: tableSectors16 === 0 ? boot.u32le(44, "root directory") : null,
  };
}

/** FAT32's information sector, where there is one, bears its two signatures; some tools leave them zero. */
function checkInformationSector(boot: ByteReader, sectorBytes: number): void {
  const sector = boot.u16le(48, "information sector");
  if (sector === 0 || sector === 0xffff) return;
  const start = sector * sectorBytes;
  if (!boot.has(start, 512)) boot.fail(`${sector}, a sector near the start expected`, 48, "information sector");
  const lead = boot.u32le(start, "information sector");
  const middle = boot.u32le(start + 484, "information sector");
  // "RRaA", and "RRdA" as some tools misspell it; "rrAa".
  if (![0x41615252, 0x41645252, 0].includes(lead) || ![0x61417272, 0].includes(middle)) {
    boot.fail("its signatures are missing", start, "information sector");
  }
}

async function findLabel(device: ProbedDevice, volume: FatVolume): Promise<string | null> {
  const bytesOf = (sector: number): bigint => BigInt(sector) * BigInt(volume.sectorBytes);
  const directory =
    volume.rootCluster === null
      ? pieces(device, bytesOf(volume.rootSector), Math.min(volume.rootEntries * entryBytes, directoryBytesMax))
      : chainPieces(device, {
          format: "vfat",
          firstCluster: volume.rootCluster,
          clusterBytes: volume.clusterBytes,
          clusterCount: volume.clusterCount,
          dataOffset: bytesOf(volume.dataSector),
          tableOffset: bytesOf(volume.tableSector),
          entryMask: 0x0fffffff,
        });
  for await (const piece of directory) {
    for (let offset = 0; offset + entryBytes <= piece.length; offset += entryBytes) {
      const entry = piece.subarray(offset, offset + entryBytes);
      if (entry[0] === 0) return null;
      if (isLabelEntry(entry)) return entryLabel(entry);
    }
  }
  return null;
}

const attributeLabel = 0x08;
const attributeDirectory = 0x10;
const attributesLongName = 0x0f;

function isLabelEntry(entry: Uint8Array): boolean {
  const attributes = entry[11] ?? 0;
  if (entry[0] === 0xe5 || (attributes & 0x3f) === attributesLongName) return false;
  if ((attributes & (attributeLabel | attributeDirectory)) !== attributeLabel) return false;
  return [20, 21, 26, 27].every((offset) => entry[offset] === 0);
}

function entryLabel(entry: Uint8Array): string | null {
  const name = entry.slice(0, 11);
  // 0x05 stands for 0xe5, which in the first place would mean a deleted entry.
  if (name[0] === 0x05) name[0] = 0xe5;
  const label = labelText(name);
  return label === "NO NAME" ? null : label;
}
