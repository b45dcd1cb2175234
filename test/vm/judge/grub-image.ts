import { open, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { buildDirectory, cached, contentKey } from "../cache.ts";
import { runCommand } from "../command.ts";
import { makeDisk } from "../disk.ts";

export type GrubPlatform = "i386-pc" | "x86_64-efi";

const grubDirectory = "/usr/lib/grub";
const sectorBytes = 512;

/** Everything that a configuration may ask for is in the image, so that no module has to be on the disk. */
const commonModules = [
  ...["part_gpt", "part_msdos", "ext2", "fat", "btrfs", "xfs", "iso9660", "udf", "squash4", "tar", "newc", "lvm"],
  ...["diskfilter", "mdraid09", "mdraid1x", "raid5rec", "raid6rec", "loopback", "gzio", "xzio", "lzopio"],
  ...["normal", "linux", "linux16", "multiboot", "multiboot2", "test", "regexp", "search", "search_fs_file"],
  ...["search_label", "search_fs_uuid", "loadenv", "configfile", "probe", "echo", "eval", "true", "sleep", "minicmd"],
  ...[
    "cpuid",
    "keystatus",
    "halt",
    "reboot",
    "read",
    "hashsum",
    "cmp",
    "file",
    "ls",
    "cat",
    "help",
    "date",
    "datetime",
  ],
  ...["legacycfg", "syslinuxcfg", "serial", "terminal", "password", "smbios", "hexdump", "memrw", "tr"],
  ...["gcry_md5", "gcry_sha1", "gcry_sha256", "gcry_sha512", "gcry_crc", "boot"],
];

const modules: Readonly<Record<GrubPlatform, readonly string[]>> = {
  "i386-pc": [...commonModules, "biosdisk"],
  "x86_64-efi": [...commonModules, "efifwsetup"],
};

/** Errors go to the serial port too, and keys come from there. */
const earlyConfig = "serial --unit=0 --speed=115200\nterminal_output --append serial\nterminal_input --append serial\n";

/**
 * GRUB with its modules in one file, as grub-install would make it but for the modules that it leaves on the disk.
 *
 * @param prefix where its configuration is: `(,msdos1)/boot/grub`
 */
export async function grubImage(platform: GrubPlatform, prefix: string): Promise<string> {
  const version = await runCommand("grub-mkimage", ["--version"]);
  const key = contentKey(version, platform, prefix, earlyConfig, ...modules[platform]);
  const directory = await cached(path.join(buildDirectory, "grub-images"), `${platform}-${key}`, async (target) => {
    const early = path.join(target, "early.cfg");
    await writeFile(early, earlyConfig);
    const words = ["-O", platform, "-o", path.join(target, "image"), "-c", early, "-p", prefix, ...modules[platform]];
    await runCommand("grub-mkimage", words);
  });
  return path.join(directory, "image");
}

/** Of boot.img: the address of the sector that it loads, 64 bits (include/grub/i386/pc/boot.h). */
const bootKernelSectorAt = 0x5c;
const bootCodeBytes = 440;
/** Of the first sector behind it: where the rest starts, 64 bits (struct grub_pc_bios_boot_blocklist). */
const blockListAt = 0x1f4;
/** A GPT with its 128 entries ends here; an MBR's gap begins behind the MBR. */
const gapSectors = { gpt: 34, msdos: 1 } as const;
const gapEndSector = 2048;

/** Puts GRUB into the gap before the first partition, as grub-install does with a disk that has an MBR. */
export async function embedGrub(disk: string, table: "gpt" | "msdos", prefix: string): Promise<void> {
  const first = gapSectors[table];
  const boot = await readFile(path.join(grubDirectory, "i386-pc/boot.img"));
  const core = await readFile(await grubImage("i386-pc", prefix));
  if (core.length > (gapEndSector - first) * sectorBytes) {
    throw new Error(`embed GRUB: ${core.length} bytes, they do not go before the first partition`);
  }
  boot.writeBigUInt64LE(BigInt(first), bootKernelSectorAt);
  core.writeBigUInt64LE(BigInt(first + 1), blockListAt);
  await using handle = await open(disk, "r+");
  await handle.write(boot, 0, bootCodeBytes, 0);
  await handle.write(core, 0, core.length, first * sectorBytes);
}

/** A disk whose EFI system partition has GRUB where the firmware looks. */
export async function efiGrubDisk(prefix: string): Promise<string> {
  const image = await grubImage("x86_64-efi", prefix);
  const key = contentKey(image);
  const directory = await cached(path.join(buildDirectory, "grub-images"), `esp-${key}`, async (target) => {
    const files = { "/EFI/BOOT/BOOTX64.EFI": { copyOf: image } };
    await makeDisk(path.join(target, "disk"), [{ type: "esp", filesystem: "vfat", sizeMiB: 40, files }]);
  });
  return path.join(directory, "disk");
}
