/** What a filesystem or another superblock says of itself. */
export interface SuperblockFacts {
  /** The name that the kernel and blkid use: `ext4`, `vfat`, `exfat`, `xfs`, `btrfs`, `iso9660`, `squashfs`, `erofs`, `f2fs`, `swap`, `crypto_LUKS`, `LVM2_member`, `linux_raid_member`, `jbd`, `swsuspend`, `ntfs`. */
  readonly type: string;
  /** `filesystem` can be mounted; the others are recognised and named: `other` is a journal device, a hibernation image, NTFS. */
  readonly usage: "filesystem" | "swap" | "crypto" | "raid" | "lvm" | "other";
  /** As blkid prints it: lower-case UUID, `ABCD-1234` for vfat and exfat, date digits for iso9660, 16 upper-case digits for ntfs; null where there is none. */
  readonly uuid: string | null;
  readonly label: string | null;
}

/** What the partition table says of a partition. */
export interface PartitionFacts {
  /** Counts from 1, as the kernel counts. */
  readonly number: number;
  readonly startBytes: bigint;
  readonly lengthBytes: bigint;
  readonly table: "gpt" | "msdos";
  /** GPT: type GUID in lower case. MBR: `0x83`. */
  readonly type: string;
  /** As `PARTUUID=` takes it: GPT unique GUID in lower case; MBR `xxxxxxxx-NN`. */
  readonly partuuid: string;
  /** GPT name; null for MBR and where it is empty. */
  readonly partlabel: string | null;
}
