import { ByteReader } from "../bytes.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { type ProbedDevice, requireFits } from "./probe.ts";

// Layout: Linux, fs/squashfs/squashfs_fs.h (struct squashfs_super_block), version 4.0; little-endian.

/** SquashFS 4, the only version that Linux mounts. It has neither UUID nor label. */
export async function probeSquashfs(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const sb = new ByteReader(device.head, "squashfs");
  if (!sb.hasMagic(0, "hsqs")) return null;
  const major = sb.u16le(28, "version");
  if (major !== 4) sb.fail(`${major}, 4 expected`, 28, "version");
  const blockBytes = sb.u32le(12, "block size");
  const log = sb.u16le(22, "block size");
  if (log < 12 || log > 20 || blockBytes !== 1 << log) {
    sb.fail(`${blockBytes} with logarithm ${log}, a power of two from 4096 to 1048576 expected`, 12, "block size");
  }
  const bytesUsed = sb.u64le(40, "size");
  if (bytesUsed < 96n) sb.fail(`${bytesUsed}, at least the superblock's 96 bytes expected`, 40, "size");
  requireFits("squashfs", 40, bytesUsed, device.bytes);
  return { type: "squashfs", usage: "filesystem", uuid: null, label: null };
}
