import { ByteReader } from "../bytes.ts";
import { crc32c } from "../crc32.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { labelText, type ProbedDevice, requireFits, uuidOrNull } from "./probe.ts";

// Layout: Linux, fs/erofs/erofs_fs.h (struct erofs_super_block); little-endian.
const at = 1024;
const magic = 0xe0f5e1e2;
const compatChecksum = 0x1;
const incompat48Bit = 0x80;

/** EROFS on its primary device. */
export async function probeErofs(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const sb = new ByteReader(device.head, "erofs");
  if (!sb.has(at, 4) || sb.u32le(at, "magic") !== magic) return null;
  const blockLog = sb.u8(at + 12, "block size");
  if (blockLog < 9 || blockLog > 16) sb.fail(`2^${blockLog} bytes, 2^9 to 2^16 expected`, at + 12, "block size");
  if (sb.u32le(at + 8, "compatible features") & compatChecksum) checkChecksum(sb, 1 << blockLog);
  const wide = (sb.u32le(at + 80, "incompatible features") & incompat48Bit) !== 0;
  const high = wide ? sb.u16le(at + 14, "block count") : 0;
  const blocks = (BigInt(high) << 32n) | BigInt(sb.u32le(at + 36, "block count"));
  requireFits("erofs", at + 36, blocks << BigInt(blockLog), device.bytes);
  return {
    type: "erofs",
    usage: "filesystem",
    uuid: uuidOrNull(sb.slice(at + 48, 16, "uuid")),
    label: labelText(sb.slice(at + 64, 16, "label")),
  };
}

/** CRC-32C from the superblock to the end of its block, the checksum's own bytes taken as zero, register not inverted. */
function checkChecksum(sb: ByteReader, blockBytes: number): void {
  const covered = sb.slice(at, blockBytes > at ? blockBytes - at : blockBytes, "superblock");
  let checksum = crc32c(covered.subarray(0, 4));
  checksum = crc32c(new Uint8Array(4), checksum);
  checksum = ~crc32c(covered.subarray(8), checksum) >>> 0;
  if (sb.u32le(at + 4, "checksum") !== checksum) {
    sb.fail("the checksum does not match the superblock", at + 4, "checksum");
  }
}
