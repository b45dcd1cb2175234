import { ByteReader } from "../bytes.ts";
import { crc32c } from "../crc32.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { isPowerOfTwo, labelText, type ProbedDevice, requireFits, uuidOrNull } from "./probe.ts";

// Layout: btrfs documentation, "On-disk Format", superblock; little-endian. The first copy stands at 64 KiB.
const at = 0x10000;
const superblockBytes = 4096;
const checksumCrc32c = 0;
/** The last kind that Linux knows: CRC-32C, xxHash, SHA-256, BLAKE2b. */
const checksumTypeMax = 3;

/** A device of a btrfs filesystem; all its devices carry the same UUID. Checksums other than CRC-32C are not verified. */
export async function probeBtrfs(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const sb = new ByteReader(device.head, "btrfs");
  if (!sb.hasMagic(at + 64, "_BHRfS_M")) return null;
  const fields = sb.slice(at, superblockBytes, "superblock");
  const checksumType = sb.u16le(at + 196, "checksum type");
  if (checksumType > checksumTypeMax) {
    sb.fail(`${checksumType}, 0 to ${checksumTypeMax} expected`, at + 196, "checksum type");
  }
  if (checksumType === checksumCrc32c && sb.u32le(at, "checksum") !== crc32c(fields.subarray(32))) {
    sb.fail("the checksum does not match the superblock", at, "checksum");
  }
  const ownOffset = sb.u64le(at + 48, "own offset");
  if (ownOffset !== BigInt(at)) sb.fail(`${ownOffset}, ${at} expected`, at + 48, "own offset");
  checkSize(sb, at + 144, "sector size");
  checkSize(sb, at + 148, "node size");
  // The total at 112 counts all devices; this device's own share stands in its device item at 201.
  requireFits("btrfs", at + 209, sb.u64le(at + 209, "device size"), device.bytes);
  return {
    type: "btrfs",
    usage: "filesystem",
    uuid: uuidOrNull(fields.subarray(32, 48)),
    label: labelText(fields.subarray(299, 555)),
  };
}

function checkSize(sb: ByteReader, offset: number, field: string): void {
  const size = sb.u32le(offset, field);
  if (!isPowerOfTwo(size) || size < 4096 || size > 65536) {
    sb.fail(`${size}, a power of two from 4096 to 65536 expected`, offset, field);
  }
}
