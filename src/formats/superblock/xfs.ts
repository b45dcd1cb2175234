import { ByteReader } from "../bytes.ts";
import { crc32c } from "../crc32.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { labelText, type ProbedDevice, requireFits, uuidOrNull } from "./probe.ts";

// Layout: XFS Algorithms & Data Structures, 3rd edition, section 11.1 (struct xfs_dsb); big-endian, but for the checksum.

const checksumOffset = 224;

/** XFS on its data device. */
export async function probeXfs(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const sb = new ByteReader(device.head, "xfs");
  if (!sb.hasMagic(0, "XFSB")) return null;
  const blockBytes = sizeWithLog(sb, { offset: 4, bits: 32, logOffset: 120, min: 9, max: 16, field: "block size" });
  const sectorBytes = sizeWithLog(sb, { offset: 102, bits: 16, logOffset: 121, min: 9, max: 15, field: "sector size" });
  sizeWithLog(sb, { offset: 104, bits: 16, logOffset: 122, min: 8, max: 11, field: "inode size" });
  const version = sb.u16be(100, "version") & 0xf;
  if (version < 4 || version > 5) sb.fail(`${version}, 4 or 5 expected`, 100, "version");
  if (version === 5) checkChecksum(sb, sectorBytes);
  const blocks = sb.u64be(8, "block count");
  const groupBlocks = BigInt(sb.u32be(84, "allocation group size"));
  const groups = BigInt(sb.u32be(88, "allocation group count"));
  if (blocks === 0n || groups === 0n || blocks > groups * groupBlocks || blocks <= (groups - 1n) * groupBlocks) {
    sb.fail(`${blocks} blocks do not fill ${groups} allocation groups of ${groupBlocks} blocks`, 8, "block count");
  }
  requireFits("xfs", 8, blocks * BigInt(blockBytes), device.bytes);
  return {
    type: "xfs",
    usage: "filesystem",
    uuid: uuidOrNull(sb.slice(32, 16, "uuid")),
    label: labelText(sb.slice(108, 12, "label")),
  };
}

interface SizeField {
  readonly offset: number;
  readonly bits: 16 | 32;
  /** Where log2 of the same value stands. */
  readonly logOffset: number;
  readonly min: number;
  readonly max: number;
  readonly field: string;
}

/** A size that stands twice, plain and as its logarithm; both must agree and lie within 2^min to 2^max. */
function sizeWithLog(sb: ByteReader, { offset, bits, logOffset, min, max, field }: SizeField): number {
  const size = bits === 32 ? sb.u32be(offset, field) : sb.u16be(offset, field);
  const log = sb.u8(logOffset, field);
  if (log < min || log > max || size !== 1 << log) {
    sb.fail(`${size} with logarithm ${log}, a power of two from ${1 << min} to ${1 << max} expected`, offset, field);
  }
  return size;
}

/** CRC-32C of the sector with the checksum's own bytes taken as zero. */
function checkChecksum(sb: ByteReader, sectorBytes: number): void {
  const sector = sb.slice(0, sectorBytes, "superblock");
  let checksum = crc32c(sector.subarray(0, checksumOffset));
  checksum = crc32c(new Uint8Array(4), checksum);
  checksum = crc32c(sector.subarray(checksumOffset + 4), checksum);
  if (sb.u32le(checksumOffset, "checksum") !== checksum) {
    sb.fail("the checksum does not match the superblock", checksumOffset, "checksum");
  }
}
