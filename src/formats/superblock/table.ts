import { FormatError } from "../format-error.ts";
import type { ReadAt } from "../read-at.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { probeBtrfs } from "./btrfs.ts";
import { probeErofs } from "./erofs.ts";
import { probeExfat } from "./exfat.ts";
import { probeExt } from "./ext.ts";
import { probeF2fs } from "./f2fs.ts";
import { probeIso9660 } from "./iso9660.ts";
import { probeLinuxRaid } from "./linux-raid.ts";
import { probeLuks } from "./luks.ts";
import { probeLvm2 } from "./lvm2.ts";
import { probeNtfs } from "./ntfs.ts";
import { ProbedDevice, type SuperblockProbe } from "./probe.ts";
import { probeSquashfs } from "./squashfs.ts";
import { probeSwap } from "./swap.ts";
import { probeVfat } from "./vfat.ts";
import { probeXfs } from "./xfs.ts";

/** In the order in which they are asked; the first that knows the device wins. The order is blkid's. */
export const superblockProbes: readonly SuperblockProbe[] = [
  // Containers before what may shine through them: the filesystem in an MD member, one overwritten by LUKS or LVM.
  probeLinuxRaid,
  probeLvm2,
  probeLuks,
  probeVfat,
  probeSwap,
  probeXfs,
  probeExt,
  probeIso9660,
  probeNtfs,
  probeSquashfs,
  probeBtrfs,
  probeExfat,
  probeF2fs,
  probeErofs,
];

/**
 * What the device holds: the first valid superblock, or null when none is known. A damaged one does not hide a valid
 * one of another format; where there is no valid one it is thrown as {@link FormatError}. A failed read rejects with
 * the reader's error.
 *
 * @param deviceBytes size of the device: a superblock that needs more is refused
 */
export async function probeSuperblock(read: ReadAt, deviceBytes: bigint): Promise<SuperblockFacts | null> {
  const device = await ProbedDevice.open(read, deviceBytes);
  let damaged: FormatError | null = null;
  for (const probe of superblockProbes) {
    try {
      const facts = await probe(device);
      if (facts !== null) return facts;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      damaged ??= error;
    }
  }
  if (damaged !== null) throw damaged;
  return null;
}
