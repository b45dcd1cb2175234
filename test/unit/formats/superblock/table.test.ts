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
const fixtures = loadFixtures<{ name: string; deviceBytes: number; extents: [number, number][]; blkid: Blkid }>(
  directory,
);

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

/** The message of the refusal; it must be a FormatError. */
async function refusal(candidate: Fixture): Promise<string> {
  const error: unknown = await probe(candidate).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(FormatError);
  return error instanceof FormatError ? error.message : "";
}

test.each<[string, number, string, string]>([
  ["ext2", 1024 + 24, "\x07", "ext4: offset 1048, block size: 2^17 bytes, at most 65536 expected"],
  ["ext2", 1024 + 24, "\xff\xff\xff\xff", "ext4: offset 1048, block size: 2^4294967305 bytes, at most 65536 expected"],
  ["ext2", 1024 + 4, "\0\0\0\0", "ext4: offset 1028, block count: at least one block expected"],
  ["ext2", 1024 + 5, "\x08", "ext4: offset 1028, size: it takes 2097152 bytes, the device has only 1048576"],
  ["ext2", 1024 + 20, "\0\x04", "ext4: offset 1044, first data block: 1024, less than the 1024 blocks expected"],
  [
    "ext2",
    1024 + 88,
    "\x81",
    "ext4: offset 1112, inode size: 385, a power of two from 128 to the block size 1024 expected",
  ],
  ["ext2", 1024 + 96, "\x06", "ext4: offset 1120, features: the journal needs recovery and there is no journal"],
  ["ext4", 1024 + 200, "\x55", "ext4: offset 2044, checksum: the checksum does not match the superblock"],
  ["ext4", 1024 + 373, "\x02", "ext4: offset 1397, checksum type: 2, 1 (CRC-32C) expected"],
  ["xfs", 108, "X", "xfs: offset 224, checksum: the checksum does not match the superblock"],
  [
    "xfs",
    4,
    "\x10\0\0\0",
    "xfs: offset 4, block size: 268435456 with logarithm 12, a power of two from 512 to 65536 expected",
  ],
  [
    "xfs-without-checksums",
    120,
    "\x3c",
    "xfs: offset 4, block size: 4096 with logarithm 60, a power of two from 512 to 65536 expected",
  ],
  ["xfs-without-checksums", 101, "\xb3", "xfs: offset 100, version: 3, 4 or 5 expected"],
  [
    "xfs-without-checksums",
    8,
    "\x10",
    "xfs: offset 8, block count: 1152921504606923776 blocks do not fill 4 allocation groups of 19200 blocks",
  ],
  ["btrfs", 65536 + 299, "X", "btrfs: offset 65536, checksum: the checksum does not match the superblock"],
  ["btrfs-xxhash", 65536 + 196, "\x09", "btrfs: offset 65732, checksum type: 9, 0 to 3 expected"],
  ["btrfs-xxhash", 65536 + 48, "\x01", "btrfs: offset 65584, own offset: 65537, 65536 expected"],
  [
    "btrfs-xxhash",
    65536 + 147,
    "\x10",
    "btrfs: offset 65680, sector size: 268439552, a power of two from 4096 to 65536 expected",
  ],
  [
    "btrfs-xxhash",
    65536 + 214,
    "\x01",
    "btrfs: offset 65745, size: it takes 1099629068288 bytes, the device has only 117440512",
  ],
  ["vfat16", 11, "\0\x03", "vfat: offset 11, sector size: 768, a power of two from 512 to 4096 expected"],
  ["vfat16", 13, "\x03", "vfat: offset 13, cluster size: 3, a power of two expected"],
  ["vfat16", 14, "\0\0", "vfat: offset 14, reserved sectors: at least one expected"],
  ["vfat16", 16, "\0", "vfat: offset 16, number of FATs: at least one expected"],
  ["vfat16", 21, "\x12", "vfat: offset 21, media: 0x12, 0xf0 or 0xf8 to 0xff expected"],
  ["vfat16", 19, "\x02\0", "vfat: offset 32, size: 2 sectors, more than the 100 before the first cluster expected"],
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
  [
    "squashfs",
    22,
    "\x3c",
    "squashfs: offset 12, block size: 131072 with logarithm 60, a power of two from 4096 to 1048576 expected",
  ],
  ["squashfs", 45, "\x01", "squashfs: offset 40, size: it takes 1099511628028 bytes, the device has only 4096"],
  ["erofs", 1024 + 12, "\x3c", "erofs: offset 1036, block size: 2^60 bytes, 2^9 to 2^16 expected"],
  ["erofs", 1024 + 64, "X", "erofs: offset 1028, checksum: the checksum does not match the superblock"],
  ["f2fs", 1024 + 124, "X", "f2fs: offset 4092, checksum: the checksum does not match the superblock"],
  ["f2fs", 1024 + 32, "\0\0", "f2fs: offset 1056, checksum offset: 0, 3068 expected"],
  ["swap", 1024, "\x02", "swap: offset 1024, version: 2, 1 expected"],
  ["swap", 1028, "\0\0", "swap: offset 1028, last page: 0, at least 1 expected"],
  ["swap", 1030, "\x01", "swap: offset 1028, size: it takes 269484032 bytes, the device has only 1048576"],
  ["luks1", 7, "\x03", "crypto_LUKS: offset 6, version: 3, 1 or 2 expected"],
  ["luks1", 168, '\n"x', 'crypto_LUKS: offset 168, uuid: "\\u{a}\\"xb0c2d-3e4f-4051-8263-7485a6b7c80d" is not a UUID'],
  ["luks1", 104, "\x10", "crypto_LUKS: offset 104, size: it takes 137441050624 bytes, the device has only 4194304"],
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
  [
    "ntfs",
    64,
    "\x81",
    "ntfs: offset 64, file record size: 1.7014118346046923e+38 bytes, a power of two from 512 to 4096 expected",
  ],
  ["ntfs", 46, "\x01", "ntfs: offset 40, size: it takes 144115188077952512 bytes, the device has only 2097152"],
  ["ntfs", 54, "\x01", 'ntfs: file record of $Volume: "FILE" expected'],
])("%s damaged at %i", async (name, offset, text, message) => {
  expect(await refusal(patched(fixture(name), offset, bytes(text)))).toBe(message);
});

test.each<[string, number, string]>([
  ["ext4", 4194303, "ext4: offset 1028, size: it takes 4194304 bytes, the device has only 4194303"],
  ["ext4", 1500, "ext4: offset 1024, superblock: 1024 byte(s) expected, the input ends at 1500"],
  ["vfat12", 1000000, "vfat: offset 32, size: it takes 1048576 bytes, the device has only 1000000"],
  ["xfs", 1 << 20, "xfs: offset 8, size: it takes 314572800 bytes, the device has only 1048576"],
  ["btrfs", 100 << 20, "btrfs: offset 65745, size: it takes 117440512 bytes, the device has only 104857600"],
  ["btrfs", 66000, "btrfs: offset 65536, superblock: 4096 byte(s) expected, the input ends at 66000"],
  ["exfat", 5000, "exfat: offset 0, boot region: 6144 byte(s) expected, the input ends at 5000"],
  ["iso9660", 34000, "iso9660: offset 32848, size: it takes 376832 bytes, the device has only 34000"],
  ["squashfs", 200, "squashfs: offset 40, size: it takes 252 bytes, the device has only 200"],
  ["swap", 8192, "swap: offset 1028, size: it takes 1048576 bytes, the device has only 8192"],
  ["luks2", 20480, "crypto_LUKS: offset 8, size: it takes 32768 bytes, the device has only 20480"],
  ["lvm2", 1 << 20, "LVM2_member: offset 576, size: it takes 16777216 bytes, the device has only 1048576"],
  ["md-1.2", 1 << 20, "linux_raid_member: offset 128, size: it takes 2097152 bytes, the device has only 1048576"],
])("%s cut to %i bytes", async (name, size, message) => {
  expect(await refusal(resized(fixture(name), size))).toBe(message);
});

test("a member of a RAID is not the filesystem in it, whose superblock is whole", async () => {
  const member = fixture("md-1.0-around-ext4");
  expect(await probe(member)).toMatchObject({ type: "linux_raid_member" });
  const damaged = patched(member, 2088960 + 16, [0xff]);
  expect(await probe(damaged)).toMatchObject({ type: "ext4", label: "inner" });
  const both = patched(damaged, 1024 + 24, [0x3c]);
  expect(await refusal(both)).toBe("linux_raid_member: checksum: the checksum does not match the superblock");
});

test("MD metadata that belongs to another device is not this one's", async () => {
  // The same superblock, as a partition's last one would appear on its disk: the place that it names is another.
  const disk = patched(device(4 << 20), (4 << 20) - 8192, fixture("md-1.0").parts[0]?.bytes ?? []);
  expect(await probe(disk)).toBeNull();
  // 0.90: the member is larger than what lies before the superblock.
  const small = patched(device(1 << 20), (1 << 20) - 65536, fixture("md-0.90").parts[0]?.bytes ?? []);
  expect(await probe(small)).toBeNull();
});

test("a damaged candidate does not hide a valid one", async () => {
  const overLuks = patched(fixture("ext4"), 0, bytes("LUKS\xba\xbe\0\x09"));
  expect(await probe(overLuks)).toMatchObject({ type: "ext4" });
  const overFat = patched(fixture("ext4"), 54, bytes("FAT16   "));
  expect(await probe(overFat)).toMatchObject({ type: "ext4" });
});

test("LUKS over an older filesystem is LUKS", async () => {
  const parts = [...fixture("ext4").parts, ...fixture("luks2").parts];
  expect(await probe({ ...fixture("ext4"), parts })).toMatchObject({ type: "crypto_LUKS" });
});

test("labels: FAT's 0xe5 in disguise is no UTF-8; an exFAT label stops at its length", async () => {
  expect(await probe(patched(fixture("vfat16"), 0x8800, [0x05]))).toMatchObject({ label: "\ufffdOOT 16" });
  expect(await probe(patched(fixture("vfat16"), 0x8800, bytes("NO NAME    ")))).toMatchObject({ label: null });
  expect(await probe(patched(fixture("exfat"), 2109440 + 1, [5]))).toMatchObject({ label: "stick" });
});

test("a directory whose clusters loop, or which has no end, is left", async () => {
  const looping = patched(fixture("vfat32"), 0x4000 + 8, [2, 0, 0, 0]);
  const full = new Uint8Array(512).fill(0x20);
  expect(await probe(patched(looping, 0xa1800, full))).toMatchObject({ uuid: "DEAD-BEEF", label: null });
  expect(await probe(patched(fixture("vfat16"), 0x8800, new Uint8Array(1 << 20).fill(0x20)))).toMatchObject({
    label: null,
  });
});

test("few reads: head and tail, and the root directory of a FAT", async () => {
  const readsOf = async (name: string): Promise<[bigint, number][]> => {
    const reads: [bigint, number][] = [];
    const counting: ReadAt = (offset, length) => {
      reads.push([offset, length]);
      return readerOf(fixture(name))(offset, length);
    };
    await probeSuperblock(counting, BigInt(fixture(name).deviceBytes));
    return reads;
  };
  expect(await readsOf("xfs")).toEqual([
    [0n, 69632],
    [314507264n, 65536],
  ]);
  expect(await readsOf("squashfs")).toEqual([[0n, 4096]]);
  expect((await readsOf("vfat32")).slice(2)).toEqual([[661504n, 512]]);
});

test.each([0, 1, 2])("read %i fails: that error, never null", async (failing) => {
  let count = 0;
  const broken: ReadAt = async (offset, length) => {
    if (count++ === failing) throw new Error("pread: input/output error");
    return readerOf(fixture("vfat32"))(offset, length);
  };
  await expect(probeSuperblock(broken, 40n << 20n)).rejects.toThrow("pread: input/output error");
});

/** Facts, null or a FormatError; anything else fails the test. */
async function survives(candidate: Fixture): Promise<void> {
  try {
    await probe(candidate);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
}

test.each(fixtures.map((f) => [f.name, f] as const))("%s: cut anywhere", async (_, whole) => {
  const random = randomNumbers(whole.deviceBytes);
  for (let size = 0; size < 6000; size += 7) await survives(resized(whole, size));
  for (let i = 0; i < 200; i++) await survives(resized(whole, random() % whole.deviceBytes));
});

test.each(fixtures.map((f) => [f.name, f] as const))("%s: random bytes changed", async (_, whole) => {
  const random = randomNumbers(0x51a9);
  for (let i = 0; i < 300; i++) {
    let candidate: Fixture = whole;
    for (let changes = 1 + (random() % 4); changes > 0; changes--) {
      const part = whole.parts[random() % whole.parts.length];
      if (part === undefined) throw new Error("a fixture without parts");
      const position = random() % Math.min(part.bytes.length, 1024);
      const value = [0, 0xff, 0x80, random() & 0xff][random() % 4] ?? 0;
      candidate = patched(candidate, part.offset + position, [value]);
    }
    await survives(candidate);
  }
});

test("a read that returns less than the device's size promises is not trusted beyond what came", async () => {
  for (const whole of fixtures) {
    const short: ReadAt = async (offset, length) => (await readerOf(whole)(offset, length)).subarray(0, 1100);
    const result = await probeSuperblock(short, BigInt(whole.deviceBytes)).catch((error: unknown) => error);
    if (result instanceof Error) expect(result).toBeInstanceOf(FormatError);
  }
});
