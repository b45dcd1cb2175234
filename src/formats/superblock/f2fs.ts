import { ByteReader } from "../bytes.ts";
import { crc32 } from "../crc32.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { type ProbedDevice, requireFits, utf16Label, uuidOrNull } from "./probe.ts";

// Layout: Linux, include/linux/f2fs_fs.h (struct f2fs_super_block); little-endian. The first copy is judged, as by blkid.
const at = 1024;
const superblockBytes = 3072;
const magic = 0xf2f52010;
const featureSuperblockChecksum = 0x800;

/** F2FS on its first device. */
export async function probeF2fs(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const sb = new ByteReader(device.head, "f2fs");
  if (!sb.has(at, 4) || sb.u32le(at, "magic") !== magic) return null;
  const fields = sb.slice(at, superblockBytes, "superblock");
  if (sb.u32le(at + 2180, "features") & featureSuperblockChecksum) checkChecksum(sb, fields);
  const blockLog = sb.u32le(at + 16, "block size");
  if (blockLog < 12 || blockLog > 16) sb.fail(`2^${blockLog} bytes, 2^12 to 2^16 expected`, at + 16, "block size");
  const blocks = sb.u64le(at + 36, "block count");
  if (blocks === 0n) sb.fail("at least one block expected", at + 36, "block count");
  requireFits("f2fs", at + 36, blocks << BigInt(blockLog), device.bytes);
  return {
    type: "f2fs",
    usage: "filesystem",
    uuid: uuidOrNull(fields.subarray(108, 124)),
    label: utf16Label(fields.subarray(124, 124 + 1024)),
  };
}

/** CRC-32 seeded with the magic number, its register not inverted at the end. */
function checkChecksum(sb: ByteReader, fields: Uint8Array): void {
  const offset = sb.u32le(at + 32, "checksum offset");
  if (offset !== superblockBytes - 4) {
    sb.fail(`${offset}, ${superblockBytes - 4} expected`, at + 32, "checksum offset");
  }
  if (sb.u32le(at + offset, "checksum") !== ~crc32(fields.subarray(0, offset), ~magic) >>> 0) {
    sb.fail("the checksum does not match the superblock", at + offset, "checksum");
  }
}
