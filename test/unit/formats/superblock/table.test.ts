import { expect, test } from "vitest";
import { FormatError } from "../../../../src/formats/format-error.ts";
import type { ReadAt } from "../../../../src/formats/read-at.ts";
import { probeSuperblock } from "../../../../src/formats/superblock/table.ts";
import { type Fixture, loadFixtures, patched, randomNumbers, readerOf, resized } from "./fixture.ts";

/** What blkid of util-linux prints for the same device; see the README beside the fixtures. */
interface Blkid {
  readonly TYPE: string;
  readonly USAGE: string;
  readonly UUID?: string;
  readonly LABEL?: string;
}
const directory = new URL("../../../data/superblock/", import.meta.url);
const fixtures = loadFixtures<{ name: string; deviceBytes: number; extents: [number, number][]; blkid: Blkid }>(directory);

function fixture(name: string): (typeof fixtures)[number] {
  const found = fixtures.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no fixture "${name}"`);
  return found;
}
const probe = (device: Fixture) => probeSuperblock(readerOf(device), BigInt(device.deviceBytes));
const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** Where our word for the usage is another than blkid's. */
const usages: Record<string, string> = { swap: "swap", LVM2_member: "lvm", ntfs: "other" };

test.each(fixtures.map((device) => [device.name, device] as const))("%s: what blkid says", async (_, device) => {
  const { TYPE, USAGE, UUID, LABEL } = device.blkid;
  const expected = { type: TYPE, usage: usages[TYPE] ?? USAGE, uuid: UUID ?? null, label: LABEL ?? null };
  expect(await probe(device)).toEqual(expected);
});

/** A device of `size` bytes with the given text at offsets. */
function device(size: number, texts: Record<number, string> = {}): Fixture {
  const parts = Object.entries(texts).map(([offset, text]) => ({ offset: Number(offset), bytes: bytes(text) }));
  return { name: "device", deviceBytes: size, parts };
}

test("nothing known: null", async () => {
  expect(await probe(device(0))).toBeNull();
  expect(await probe(device(1))).toBeNull();
  expect(await probe(device(1 << 20))).toBeNull();
  // A boot sector of another system: jump, signature, and no FAT parameters.
  expect(await probe(device(1 << 20, { 0: "\xeb\x63\x90", 510: "\x55\xaa" }))).toBeNull();
});

const refused = (device: Fixture, message: string) => expect(probe(device)).rejects.toThrow(new FormatErrorLike(message));
class FormatErrorLike extends Error {}

test.each<[string, number, string, string]>([
  ["ext2", 1024 + 24, "\x07", "ext4: offset 1048, block size: 2^17 bytes, at most 65536 expected"],
  ["ext2", 1024 + 24, "\xff\xff\xff\xff", "ext4: offset 1048, block size: 2^4294967305 bytes, at most 65536 expected"],
  ["ext2", 1024 + 4, "\0\0\0\0", "ext4: offset 1028, block count: at least one block expected"],
  ["ext2", 1024 + 5, "\x08", "ext4: offset 1028, size: it takes 2097152 bytes, the device has only 1048576"],
  ["ext2", 1024 + 20, "\0\x04", "ext4: offset 1044, first data block: 1024, less than the 1024 blocks expected"],
  ["ext2", 1024 + 88, "\x81", "ext4: offset 1112, inode size: 385, a power of two from 128 to the block size 1024 expected"],
  ["ext2", 1024 + 96, "\x06", "ext4: offset 1120, features: the journal needs recovery and there is no journal"],
  ["ext4", 1024 + 200, "\x55", "ext4: offset 2044, checksum: the checksum does not match the superblock"],
  ["ext4", 1024 + 373, "\x02", "ext4: offset 1397, checksum type: 2, 1 (CRC-32C) expected"],
  ["xfs", 108, "X", "xfs: offset 224, checksum: the checksum does not match the superblock"],
  ["xfs", 4, "\x10\0\0\0", "xfs: offset 4, block size: 268435456 with logarithm 12, a power of two from 512 to 65536 expected"],
  ["xfs-without-checksums", 120, "\x3c", "xfs: offset 4, block size: 4096 with logarithm 60, a power of two from 512 to 65536 expected"],
  ["xfs-without-checksums", 101, "\xb3", "xfs: offset 100, version: 3, 4 or 5 expected"],
  ["xfs-without-checksums", 8, "\x10", "xfs: offset 8, block count: 1152921504606923776 blocks do not fill 4 allocation groups of 19200 blocks"],
  ["btrfs", 65536 + 299, "X", "btrfs: offset 65536, checksum: the checksum does not match the superblock"],
  ["btrfs-xxhash", 65536 + 196, "\x09", "btrfs: offset 65732, checksum type: 9, 0 to 3 expected"],
  ["btrfs-xxhash", 65536 + 48, "\x01", "btrfs: offset 65584, own offset: 65537, 65536 expected"],
  ["btrfs-xxhash", 65536 + 147, "\x10", "btrfs: offset 65680, sector size: 268439552, a power of two from 4096 to 65536 expected"],
  ["btrfs-xxhash", 65536 + 214, "\x01", "btrfs: offset 65745, size: it takes 1099629068288 bytes, the device has only 117440512"],
  ["vfat16", 11, "\0\x03", "vfat: offset 11, sector size: 768, a power of two from 512 to 4096 expected"],
  ["vfat16", 13, "\x03", "vfat: offset 13, cluster size: 3, a power of two expected"],
  ["vfat16", 14, "\0\0", "vfat: offset 14, reserved sectors: at least one expected"],
  ["vfat16", 16, "\0", "vfat: offset 16, number of FATs: at least one expected"],
  ["vfat16", 21, "\x12", "vfat: offset 21, media: 0x12, 0xf0 or 0xf8 to 0xff expected"],
  ["vfat16", 19, "\x02\0", "vfat: offset 32, size: 2 sectors hold -17 clusters, 1 to 65524 expected"],
  ["vfat32", 36, "\0\0\0\0", "vfat: offset 22, FAT size: at least one sector expected"],
  ["vfat32", 512, "XXXX", "vfat: offset 512, information sector: its signatures are missing"],
  ["vfat32", 34, "\x02", "vfat: offset 32, size: it takes 75497472 bytes, the device has only 41943040"],
  ["exfat", 108, "\x0d", "exfat: offset 108, sector size: 2^13 bytes, 2^9 to 2^12 expected"],
  ["exfat", 109, "\x20", "exfat: offset 109, cluster size: 2^41 bytes, at most 2^25 expected"],
  ["exfat", 200, "X", "exfat: offset 5632, checksum: the checksum does not match the boot region"],
  ["exfat", 510, "\0", "exfat: offset 510, signature: 55 AA expected"],
  ["iso9660", 32768, "\0", "iso9660: offset 32768, descriptor type: no primary volume descriptor"],
  ["iso9660", 32768 + 129, "\x40", "iso9660: offset 32896, block size: 16384, 512, 1024 or 2048 expected"],
  ["iso9660", 32768 + 82, "\x01", "iso9660: offset 32848, size: it takes 134594560 bytes, the device has only 376832"],
  ["squashfs", 28, "\x03", "squashfs: offset 28, version: 3, 4 expected"],
  ["squashfs", 22, "\x3c", "squashfs: offset 12, block size: 131072 with logarithm 60, a power of two from 4096 to 1048576 expected"],
  ["squashfs", 45, "\x01", "squashfs: offset 40, size: it takes 1099511628058 bytes, the device has only 4096"],
  ["erofs", 1024 + 12, "\x3c", "erofs: offset 1036, block size: 2^60 bytes, 2^9 to 2^16 expected"],
  ["erofs", 1024 + 64, "X", "erofs: offset 1028, checksum: the checksum does not match the superblock"],
  ["f2fs", 1024 + 124, "X", "f2fs: offset 4092, checksum: the checksum does not match the superblock"],
  ["f2fs", 1024 + 32, "\0\0", "f2fs: offset 1056, checksum offset: 0, 3068 expected"],
  ["swap", 1024, "\x02", "swap: offset 1024, version: 2, 1 expected"],
  ["swap", 1028, "\0\0", "swap: offset 1028, last page: 0, at least 1 expected"],
  ["swap", 1030, "\x01", "swap: offset 1028, size: it takes 269484032 bytes, the device has only 1048576"],
  ["luks1", 7, "\x03", "crypto_LUKS: offset 6, version: 3, 1 or 2 expected"],
  ["luks1", 168, '\n"x', 'crypto_LUKS: offset 168, uuid: "\\u{a}\\"x'],
  ["luks1", 104, "\x10", "crypto_LUKS: offset 104, size: it takes 137440002048 bytes, the device has only 4194304"],
  ["luks2", 8, "\x10", "crypto_LUKS: offset 8, header size: 1152921504606863360, 16 KiB to 4 MiB expected"],
  ["luks2", 263, "\x10", "crypto_LUKS: offset 256, own offset: 16, 0 expected"],
  ["lvm2", 512 + 8, "\x02", "LVM2_member: offset 520, own sector: 2, 1 expected"],
  ["lvm2", 512 + 40, "Z", "LVM2_member: offset 528, checksum: the checksum does not match the label"],
  ["md-0.90", 2031616 + 8, "\x59", "linux_raid_member: version 0 superblock: 0.89, 0.90 expected"],
  ["md-0.90", 2031616 + 20, "X", "linux_raid_member: checksum: the checksum does not match the superblock"],
  ["md-1.2", 4096 + 16, "X", "linux_raid_member: checksum: the checksum does not match the superblock"],
  ["md-1.2", 4096 + 222, "\x01", "linux_raid_member: roles: 65664, at most 1920 expected"],
  ["ntfs", 11, "\x01\0", "ntfs: offset 11, sector size: 1, a power of two from 256 to 4096 expected"],
  ["ntfs", 13, "\x81", "ntfs: offset 13, cluster size: 129, a power of two expected"],
  ["ntfs", 64, "\x81", "ntfs: offset 64, file record size: 1.7014118346046923e+38 bytes, a power of two from 512 to 4096 expected"],
  ["ntfs", 46, "\x01", "ntfs: offset 40, size: it takes 144115188077950464 bytes, the device has only 2097152"],
  ["ntfs", 54, "\x01", 'ntfs: file record of $Volume: "FILE" expected'],
])("%s damaged at %i", async (name, offset, text, message) => {
  const error = await probe(patched(fixture(name), offset, bytes(text))).catch((caught) => caught);
  expect(error).toBeInstanceOf(FormatError);
  expect(error.message.slice(0, message.length)).toBe(message);
});
