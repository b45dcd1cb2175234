/**
 * How a filesystem is mounted, and what it needs loaded. Some drivers write although they are told `ro` (ext4 and f2fs
 * clean up orphaned inodes): it is the device that has to refuse, see `mounts.ts`.
 */
export interface FilesystemSupport {
  /** As superblock probes and the kernel name it. */
  readonly type: string;
  /** Modules or module aliases to load first (the kernel has no modprobe to call); built-in or absent ones are passed over. */
  readonly modules: readonly string[];
  /** Mount options beside `ro`: no journal or log is replayed (Documentation/filesystems). */
  readonly options: readonly (readonly [name: string, value: string | null])[];
  /** The driver to name in the mount call where it differs from `type`. */
  readonly driver?: string;
  /** Options of each of several roots, in the order in which a path is looked for in them; one root without more unless told. */
  readonly views?: readonly (readonly (readonly [name: string, value: string | null])[])[];
  /** What is there as long as a filesystem of this UUID is mounted. */
  readonly inUse?: (uuid: string) => string;
}

/** ext2 and ext3 are mounted by the ext4 driver, which alone knows `noload` for all three. */
const extOptions = [["noload", null]] as const;
const extModules = ["crypto-crc32c", "ext4"];

/** Every filesystem that Slipway reads. */
export const filesystems: readonly FilesystemSupport[] = [
  { type: "ext4", modules: extModules, options: extOptions },
  { type: "ext3", modules: extModules, options: extOptions, driver: "ext4" },
  { type: "ext2", modules: extModules, options: [], driver: "ext4" },
  {
    type: "vfat",
    modules: ["nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8", "vfat"],
    options: [["utf8", null]],
  },
  { type: "exfat", modules: ["nls_utf8", "exfat"], options: [] },
  {
    type: "xfs",
    modules: ["crypto-crc32c", "xfs"],
    options: [
      ["norecovery", null],
      ["nouuid", null],
    ],
  },
  {
    type: "btrfs",
    modules: ["crypto-crc32c", "btrfs"],
    options: [["rescue", "nologreplay"]],
    // GRUB's paths start at the top (`/@/boot/vmlinuz`); openSUSE's GRUB, and Linux, start at the default subvolume.
    views: [[["subvolid", "5"]], []],
    inUse: (uuid) => `/sys/fs/btrfs/${uuid}/devinfo`,
  },
  { type: "iso9660", modules: ["isofs"], options: [] },
  { type: "squashfs", modules: ["squashfs"], options: [] },
  { type: "erofs", modules: ["erofs"], options: [] },
  { type: "f2fs", modules: ["crypto-crc32", "f2fs"], options: [["norecovery", null]] },
];

export function filesystemSupport(type: string): FilesystemSupport | null {
  return filesystems.find((filesystem) => filesystem.type === type) ?? null;
}
