import { type LayerDisk, layerSet } from "../unit/machine/layer-fixtures.ts";
import { lvm2AreaOffset, mendPhysicalVolume, mendRaidSuperblock } from "./mend.ts";
import { textOf } from "./target-kinds.ts";

const superblockBytes = 4096;
const lvmDisks: readonly LayerDisk[] = layerSet("lvm").disks;

/** The first description of the volume group that stands on a disk of the fixtures. */
async function groupText({ read }: LayerDisk): Promise<string> {
  const text = Buffer.from(await read(4096n, 1 << 20)).toString("latin1");
  return /[\w-]+ \{\nid = "[^"]*"\nseqno[^\0]*/.exec(text)?.[0] ?? "";
}

/** Descriptions of volume groups, as lvm(8) writes them. */
export const lvm2Texts: readonly string[] = [
  ...(await Promise.all(lvmDisks.map(groupText))),
  'vg {\nid = "K0M551-SMNZ-M7kX-Hr5p-aRl8-yDx4-2jnqk2"\nseqno = 3 # c\nextent_size = 8192\nphysical_volumes {\npv0 {\nid = "ZyGI7n-E3Q3-dNBp-Yszl-pszG-ZF2E-wdccze"\nstatus = []\npe_start = 2048\npe_count = 9\n}\n}\nlogical_volumes {\n}\n}\n',
];

/** A physical volume of 64 KiB with a group's description right behind the header of its metadata area. */
async function smallPhysicalVolume({ read }: LayerDisk, text: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(1 << 16);
  bytes.set(await read(0n, 1024));
  bytes.set(await read(4096n, 512), lvm2AreaOffset);
  const content = textOf(text).subarray(0, bytes.length - lvm2AreaOffset - 512);
  bytes.set(content, lvm2AreaOffset + 512);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(lvm2AreaOffset + 32, BigInt(bytes.length - lvm2AreaOffset), true);
  view.setBigUint64(lvm2AreaOffset + 40, 512n, true);
  view.setBigUint64(lvm2AreaOffset + 48, BigInt(content.length), true);
  return mendPhysicalVolume(bytes);
}

export const physicalVolumes: readonly Uint8Array[] = await Promise.all(
  lvmDisks.map((disk, index) => smallPhysicalVolume(disk, lvm2Texts[index] ?? "")),
);

/** Superblocks of md in version 1, moved to where 1.1 has them. */
export const raidSuperblocks: readonly Uint8Array[] = await Promise.all(
  ["md-parity", "md-mirrors", "md-stale", "md-stripes"].map(async (set) => {
    const [disk] = layerSet(set).disks;
    const bytes = (await disk?.read(4096n, superblockBytes)) ?? new Uint8Array();
    // "own sector"
    new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(144, 0n, true);
    return mendRaidSuperblock(bytes);
  }),
);
