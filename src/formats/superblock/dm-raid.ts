import { ByteReader } from "../bytes.ts";

// Linux, drivers/md/dm-raid.c, struct dm_raid_superblock; little-endian, at the start of a metadata device.
const magic = 0x64526d44;
/** What {@link parseDmRaidSuperblock} looks at, bytes. */
export const dmRaidSuperblockBytes = 512;
const recoveredToTheEnd = 0xffff_ffff_ffff_ffffn;

/** What the device mapper's RAID target (LVM's raid1 to raid10) notes beside each leg. */
export interface DmRaidSuperblock {
  /** Place of the leg in the array. */
  readonly position: number;
  /** Counts the changes of the superblocks: the legs with the highest count know best. */
  readonly events: bigint;
  /** One bit for each of the first 64 legs that failed. */
  readonly failed: bigint;
  /** All of the leg's data is there. */
  readonly isRecovered: boolean;
}

/** Null: there is none, as on a leg that was never used. */
export function parseDmRaidSuperblock(bytes: Uint8Array): DmRaidSuperblock | null {
  const sb = new ByteReader(bytes, "dm-raid");
  if (!sb.has(0, dmRaidSuperblockBytes) || sb.u32le(0, "magic") !== magic) return null;
  return {
    position: sb.u32le(12, "position"),
    events: sb.u64le(16, "events"),
    failed: sb.u64le(24, "failed devices"),
    isRecovered: sb.u64le(32, "recovery offset") === recoveredToTheEnd,
  };
}
