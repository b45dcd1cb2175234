import { ByteReader } from "../bytes.ts";
import { crc32c } from "../crc32.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { isPowerOfTwo, labelText, type ProbedDevice, requireFits, uuidOrNull } from "./probe.ts";

// Layout: Linux, Documentation/filesystems/ext4/super.rst; all fields little-endian.
const at = 1024;
const superblockBytes = 1024;
const magic = 0xef53;

const compatHasJournal = 0x4;
const incompatRecover = 0x4;
const incompatJournalDevice = 0x8;
const incompat64Bit = 0x80;
const roCompatMetadataChecksum = 0x400;
/** What the ext2 driver understands: file types and meta block groups; sparse superblocks, large files, directory trees. */
const ext2Incompat = 0x2 | 0x10;
const ext2RoCompat = 0x1 | 0x2 | 0x4;

/** Largest block, as log2 of a multiple of 1 KiB: 64 KiB. */
const logBlockKibibytesMax = 6;

/**
 * ext2, ext3 and ext4, told apart by their features as blkid does: ext4 has one that ext3 does not know, ext3 has a
 * journal. The mark of the former ext4dev is not looked at: its driver became ext4 in Linux 2.6.28.
 * An external journal is `jbd`, which cannot be mounted.
 */
export async function probeExt(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const sb = new ByteReader(device.head, "ext4");
  if (!sb.has(at, 58) || sb.u16le(at + 56, "magic") !== magic) return null;
  const fields = sb.slice(at, superblockBytes, "superblock");
  const incompat = sb.u32le(at + 96, "incompatible features");
  const roCompat = sb.u32le(at + 100, "read-only compatible features");
  if (roCompat & roCompatMetadataChecksum) checkChecksum(sb, fields);
  requireFits("ext4", at + 4, filesystemBytes(sb, incompat), device.bytes);
  const journalDevice = (incompat & incompatJournalDevice) !== 0;
  return {
    type: journalDevice ? "jbd" : typeOf(sb, sb.u32le(at + 92, "compatible features"), incompat, roCompat),
    usage: journalDevice ? "other" : "filesystem",
    uuid: uuidOrNull(fields.subarray(104, 120)),
    label: labelText(fields.subarray(120, 136)),
  };
}

function typeOf(sb: ByteReader, compat: number, incompat: number, roCompat: number): string {
  const journal = (compat & compatHasJournal) !== 0;
  if (incompat & ~(ext2Incompat | incompatRecover) || roCompat & ~ext2RoCompat) return "ext4";
  if (journal) return "ext3";
  if (incompat & incompatRecover) sb.fail("the journal needs recovery and there is no journal", at + 96, "features");
  return "ext2";
}

function filesystemBytes(sb: ByteReader, incompat: number): bigint {
  const logBlock = sb.u32le(at + 24, "block size");
  if (logBlock > logBlockKibibytesMax) {
    sb.fail(`2^${10 + logBlock} bytes, at most 65536 expected`, at + 24, "block size");
  }
  const blockBytes = 1024 << logBlock;
  const high = incompat & incompat64Bit ? sb.u32le(at + 336, "block count") : 0;
  const blocks = (BigInt(high) << 32n) | BigInt(sb.u32le(at + 4, "block count"));
  if (blocks === 0n) sb.fail("at least one block expected", at + 4, "block count");
  const firstDataBlock = sb.u32le(at + 20, "first data block");
  if (BigInt(firstDataBlock) >= blocks) {
    sb.fail(`${firstDataBlock}, less than the ${blocks} blocks expected`, at + 20, "first data block");
  }
  // Revision 0 has inodes of 128 bytes and leaves the field unset.
  const inodeBytes = sb.u32le(at + 76, "revision") === 0 ? 128 : sb.u16le(at + 88, "inode size");
  if (!isPowerOfTwo(inodeBytes) || inodeBytes < 128 || inodeBytes > blockBytes) {
    sb.fail(`${inodeBytes}, a power of two from 128 to the block size ${blockBytes} expected`, at + 88, "inode size");
  }
  return blocks * BigInt(blockBytes);
}

/** CRC-32C of all before the last field, its register not inverted at the end. */
function checkChecksum(sb: ByteReader, fields: Uint8Array): void {
  const type = sb.u8(at + 373, "checksum type");
  if (type !== 1) sb.fail(`${type}, 1 (CRC-32C) expected`, at + 373, "checksum type");
  const stored = sb.u32le(at + 1020, "checksum");
  if (stored !== ~crc32c(fields.subarray(0, 1020)) >>> 0) {
    sb.fail("the checksum does not match the superblock", at + 1020, "checksum");
  }
}
