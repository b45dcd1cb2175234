import { ByteReader, hex } from "../bytes.ts";
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

/** Disks that a superblock of 0.90 describes. */
const version0DisksMax = 27;

/** Roles that are no place in the array (md_p.h, MD_DISK_ROLE_SPARE, _FAULTY, _JOURNAL). */
const roleSpare = 0xffff;
const roleFaulty = 0xfffe;
const roleJournal = 0xfffd;
const roleMax = 0xff00;

// md_p.h, feature_map.
const featureRecoveryOffset = 2;
const featureReshape = 4;
const featureBadBlocks = 8;
const featureReplacement = 16;
const featureNewOffset = 64;
const featureJournal = 512;
const featureRaid0Layout = 4096;
const featuresKnown = 0x1fff;

const syncedToTheEnd = 0xffff_ffff_ffff_ffffn;

/** What a member of a Linux software RAID says of its array and of itself; sizes and places in sectors of 512 bytes. */
export interface RaidMember {
  readonly version: "0.90" | "1.0" | "1.1" | "1.2";
  /** Of the array: 32 hexadecimal digits in lower case. */
  readonly uuid: string;
  /** `host:0`; null where it has none, as in 0.90. */
  readonly name: string | null;
  /** The number that the array prefers for its device; only 0.90 has one. */
  readonly preferredMinor: number | null;
  /** RAID level; -1 is linear. */
  readonly level: number;
  /** As the level's driver reads it; null where it is not told. */
  readonly layout: number | null;
  /** 0 where the level has none. */
  readonly chunkSectors: number;
  /** Places of the array. */
  readonly disks: number;
  /** What of every member is used; 0 where that differs from member to member. */
  readonly memberSectors: number;
  /** Counts the changes of the superblock: the members with the highest count know best. */
  readonly events: bigint;
  /** The array was shut down as it should be, and its first synchronisation has come to its end. */
  readonly isClean: boolean;
  /** The array is being rebuilt for another number of disks or another layout. */
  readonly isReshaping: boolean;
  /** Data may stand in the write journal only. */
  readonly hasJournal: boolean;
  /** Features that nobody knew when this was written. */
  readonly unknownFeatures: number;
  /** This member's number, which stays; {@link roles} has it as index. */
  readonly number: number;
  /** Number of a member → its place in the array; null for a spare, a faulty disk, a journal. */
  readonly roles: readonly (number | null)[];
  /** Whether all of this member's data is there: it is not being recovered. */
  readonly isRecovered: boolean;
  /** Takes the place of a member that is still there. */
  readonly isReplacement: boolean;
  /** Its list of blocks that could not be read or written is not empty. */
  readonly hasBadBlocks: boolean;
  /** Reading from it is said to be slow. */
  readonly isWriteMostly: boolean;
  readonly dataSector: number;
  readonly dataSectors: number;
}

/**
 * Reads the superblock of a member of a Linux software RAID, metadata 0.90, 1.0, 1.1 or 1.2. Null: the device is none.
 * Throws {@link FormatError} for a damaged one.
 *
 * A superblock of 0.90 at the end of a disk's last partition can look as if it were the disk's own: a disk that has
 * a partition table is not to be probed.
 */
export async function readRaidMember(device: ProbedDevice): Promise<RaidMember | null> {
  const sectors = device.bytes / 512n;
  return (
    (await version0(device)) ??
    (sectors < 16n ? null : await version1(device, "1.0", ((sectors - 16n) / 8n) * 8n)) ??
    (await version1(device, "1.1", 0n)) ??
    (await version1(device, "1.2", 8n))
  );
}

/**
 * A member of a Linux software RAID. Asked first: in a member of 0.90 or 1.0 the filesystem inside stands at the very
 * start of the device.
 */
export async function probeLinuxRaid(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const member = await readRaidMember(device);
  if (member === null) return null;
  const uuid = uuidOrNull(Uint8Array.from(member.uuid.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16)));
  return { type: "linux_raid_member", usage: "raid", uuid, label: member.name };
}

/** Version 0.90, in the byte order of the machine that made it. */
async function version0(device: ProbedDevice): Promise<RaidMember | null> {
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
  const [eventsHigh, eventsLow] = bigEndian ? [39, 40] : [40, 39];
  const isClean = (word(33, "state") & 1) !== 0;
  // A disk's descriptor has 32 words: number, major, minor, place in the array, state (bit 0 faulty, bit 2 in sync).
  const placeOf = (at: number): number | null =>
    (word(at + 4, "state of a disk") & 5) === 4 ? word(at + 3, "place of a disk") : null;
  const own = placeOf(992);
  return {
    version: "0.90",
    uuid: [5, 13, 14, 15].map((index) => word(index, "uuid").toString(16).padStart(8, "0")).join(""),
    name: null,
    preferredMinor: word(11, "preferred minor"),
    level: word(7, "level") | 0,
    layout: word(64, "layout"),
    chunkSectors: Math.floor(word(65, "chunk") / 512),
    disks: word(10, "disks"),
    memberSectors: word(8, "size") * 2,
    events: (BigInt(word(eventsHigh, "events")) << 32n) | BigInt(word(eventsLow, "events")),
    isClean,
    isReshaping: minor === 91,
    hasJournal: false,
    unknownFeatures: 0,
    number: word(992, "own number"),
    roles: Array.from({ length: version0DisksMax }, (_, disk) => placeOf(128 + disk * 32)),
    isRecovered: own !== null,
    isReplacement: false,
    hasBadBlocks: false,
    isWriteMostly: (word(992 + 4, "own state") & (1 << 9)) !== 0,
    dataSector: 0,
    dataSectors: Number(offset / 512n),
  };
}

async function version1(
  device: ProbedDevice,
  version: RaidMember["version"],
  sector: bigint,
): Promise<RaidMember | null> {
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
  const [dataSector, dataSectors] = [sb.u64le(128, "data offset"), sb.u64le(136, "data size")];
  requireFits("linux_raid_member", 128, (dataSector + dataSectors) * 512n, device.bytes);
  const features = word(2, "features");
  const level = word(18, "level") | 0;
  const has = (feature: number): boolean => (features & feature) !== 0;
  return {
    version,
    uuid: hex(sb.slice(16, 16, "uuid")),
    name: labelText(sb.slice(32, 32, "label")),
    preferredMinor: null,
    level,
    // The layout of level 0 has a meaning since there are two of them.
    layout: level === 0 && !has(featureRaid0Layout) ? null : word(19, "layout"),
    chunkSectors: word(22, "chunk"),
    disks: word(23, "disks"),
    memberSectors: sectorCount(sb, 80, "size"),
    events: sb.u64le(200, "events"),
    isClean: sb.u64le(208, "resync offset") === syncedToTheEnd,
    isReshaping: has(featureReshape) || has(featureNewOffset),
    hasJournal: has(featureJournal),
    unknownFeatures: (features & ~featuresKnown) >>> 0,
    number: word(40, "own number"),
    roles: Array.from({ length: roles }, (_, index) => placeOfRole(sb.u16le(version1FixedBytes + index * 2, "roles"))),
    isRecovered: !has(featureRecoveryOffset),
    isReplacement: has(featureReplacement),
    hasBadBlocks: has(featureBadBlocks),
    isWriteMostly: (sb.u8(184, "device flags") & 1) !== 0,
    dataSector: Number(dataSector),
    dataSectors: Number(dataSectors),
  };
}

function placeOfRole(role: number): number | null {
  return role === roleSpare || role === roleFaulty || role === roleJournal || role > roleMax ? null : role;
}

function sectorCount(sb: ByteReader, offset: number, field: string): number {
  const value = sb.u64le(offset, field);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) sb.fail(`${value} sectors, at most 2^53 - 1 expected`, undefined, field);
  return Number(value);
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
