import { ByteReader } from "../bytes.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { labelText, type ProbedDevice, requireFits, uuidOrNull } from "./probe.ts";

// Layout: Linux, include/uapi/linux/raid/md_p.h (mdp_superblock_s, mdp_superblock_1).
const magic = 0xa92b4efc;

const version0Bytes = 4096;
/** Version 0.90 stands at the start of the last whole block of this size but one. */
const reservedBytes = 64n << 10n;

const version1FixedBytes = 256;
/** Roles that fit into the 4 KiB that a version 1 superblock may take. */
const rolesMax = (4096 - version1FixedBytes) / 2;

/**
 * A member of a Linux software RAID, metadata 0.90, 1.0, 1.1 or 1.2. Asked first: in a member of 0.90 or 1.0 the
 * filesystem inside stands at the very start of the device.
 *
 * A superblock of 0.90 at the end of a disk's last partition can look as if it were the disk's own: a disk that has
 * a partition table is not to be probed.
 */
export async function probeLinuxRaid(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const sectors = device.bytes / 512n;
  return (
    (await version0(device)) ??
    (sectors < 16n ? null : await version1(device, ((sectors - 16n) / 8n) * 8n)) ??
    (await version1(device, 0n)) ??
    (await version1(device, 8n))
  );
}

/** Version 0.90, in the byte order of the machine that made it. */
async function version0(device: ProbedDevice): Promise<SuperblockFacts | null> {
  if (device.bytes < reservedBytes) return null;
  const offset = device.bytes - (device.bytes % reservedBytes) - reservedBytes;
  const sb = new ByteReader(await device.read(offset, version0Bytes), "linux_raid_member");
  if (!sb.has(0, version0Bytes)) return null;
  const bigEndian = sb.u32be(0, "magic") === magic;
  if (!bigEndian && sb.u32le(0, "magic") !== magic) return null;
  const word = (index: number, field: string): number =>
    bigEndian ? sb.u32be(index * 4, field) : sb.u32le(index * 4, field);
  const major = word(1, "version");
  const minor = word(2, "version");
  // 91 while the array is being reshaped. Version 1 in the same place is the other function's.
  if (major === 1) return null;
  if (major !== 0 || (minor !== 90 && minor !== 91)) {
    sb.fail(`${major}.${minor}, 0.90 expected`, undefined, "version 0 superblock");
  }
  // The data stands in front: a larger size belongs to another, larger device that ends here too.
  if (BigInt(word(8, "size")) * 1024n > offset) return null;
  checkSum(sb, word, version0Bytes, 38);
  const uuid = [5, 13, 14, 15].map((index) => word(index, "uuid").toString(16).padStart(8, "0")).join("");
  return {
    type: "linux_raid_member",
    usage: "raid",
    uuid: uuidOrNull(Uint8Array.from(uuid.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16))),
    label: null,
  };
}

async function version1(device: ProbedDevice, sector: bigint): Promise<SuperblockFacts | null> {
  const bytes = await device.read(sector * 512n, version1FixedBytes + rolesMax * 2);
  const sb = new ByteReader(bytes, "linux_raid_member");
  if (!sb.has(0, version1FixedBytes)) return null;
  if (sb.u32le(0, "magic") !== magic || sb.u32le(4, "version") !== 1) return null;
  // Another place means that it belongs to another device, a partition that begins or ends where this one does.
  if (sb.u64le(144, "own sector") !== sector) return null;
  const roles = sb.u32le(220, "roles");
  if (roles > rolesMax) sb.fail(`${roles}, at most ${rolesMax} expected`, undefined, "roles");
  const word = (index: number, field: string): number => sb.u32le(index * 4, field);
  checkSum(sb, word, version1FixedBytes + roles * 2, 54);
  const dataSectors = sb.u64le(128, "data offset") + sb.u64le(136, "data size");
  requireFits("linux_raid_member", 128, dataSectors * 512n, device.bytes);
  return {
    type: "linux_raid_member",
    usage: "raid",
    uuid: uuidOrNull(sb.slice(16, 16, "uuid")),
    label: labelText(sb.slice(32, 32, "label")),
  };
}

/** Sum of all 32-bit words but the sum's own, of a last half word where there is one, and of the carries. */
function checkSum(
  sb: ByteReader,
  word: (index: number, field: string) => number,
  length: number,
  sumIndex: number,
): void {
  let sum = 0;
  const words = Math.floor(length / 4);
  for (let index = 0; index < words; index++) if (index !== sumIndex) sum += word(index, "superblock");
  if (length % 4 !== 0) sum += sb.u16le(words * 4, "superblock");
  const folded = ((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32;
  if (word(sumIndex, "checksum") !== folded) {
    sb.fail("the checksum does not match the superblock", undefined, "checksum");
  }
}
