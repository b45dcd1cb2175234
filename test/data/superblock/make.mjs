// Makes the fixtures of this directory anew: node make.mjs (as root; see README.md).
import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const work = mkdtempSync(join(tmpdir(), "superblock-"));
const MiB = 1 << 20;
const uuid = (n) => `5a1b0c2d-3e4f-4051-8263-7485a6b7c8${n.toString(16).padStart(2, "0")}`;

function run(command, ...args) {
  execFileSync(command, args, { cwd: work, stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, LC_ALL: "C.UTF-8", PATH: `/usr/sbin:/sbin:${process.env.PATH}` } });
}
function patch(file, offset, bytes) {
  const fd = openSync(join(work, file), "r+");
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}
function empty(file, size) {
  const fd = openSync(join(work, file), "w");
  ftruncateSync(fd, size);
  closeSync(fd);
}

/** linux/raid/md_p.h, struct mdp_superblock_s (0.90), host byte order as `bigEndian` says. */
function md090(size, bigEndian) {
  const sb = Buffer.alloc(4096);
  const put = (word, value) => (bigEndian ? sb.writeUInt32BE(value, word * 4) : sb.writeUInt32LE(value, word * 4));
  const get = (word) => (bigEndian ? sb.readUInt32BE(word * 4) : sb.readUInt32LE(word * 4));
  const offset = Math.floor(size / 65536) * 65536 - 65536;
  const words = [0xa92b4efc, 0, 90, 0, 0, 0x00112233, 0x6ce00000, 1, offset / 1024, 2, 2, 0, 0, 0x44556677, 0x8899aabb, 0xccddeeff];
  words.forEach((value, word) => put(word, value));
  // Generic state section: utime, state (clean), active, working, failed and spare disks, checksum, events.
  [0x6ce00000, 1, 2, 2, 0, 0, 0, 0, 7].forEach((value, i) => put(32 + i, value));
  let sum = 0n;
  for (let word = 0; word < 1024; word++) sum += BigInt(get(word));
  put(38, Number(((sum & 0xffffffffn) + (sum >> 32n)) & 0xffffffffn));
  return [offset, sb];
}
/** linux/raid/md_p.h, struct mdp_superblock_1. */
function md1(size, minor) {
  const sectors = size / 512;
  const offset = [Math.floor((sectors - 16) / 8) * 8, 0, 8][minor];
  const sb = Buffer.alloc(1024);
  sb.writeUInt32LE(0xa92b4efc, 0);
  sb.writeUInt32LE(1, 4);
  Buffer.from("0102030405060708090a0b0c0d0e0f10", "hex").copy(sb, 16);
  sb.write("host:boot", 32, "latin1");
  sb.writeBigUInt64LE(0x6ce00000n, 64);
  sb.writeUInt32LE(1, 72);
  const dataOffset = minor === 0 ? 0 : 2048;
  const dataSize = (minor === 0 ? offset : sectors) - dataOffset;
  sb.writeBigUInt64LE(BigInt(dataSize), 80);
  sb.writeUInt32LE(2, 92);
  sb.writeBigUInt64LE(BigInt(dataOffset), 128);
  sb.writeBigUInt64LE(BigInt(dataSize), 136);
  sb.writeBigUInt64LE(BigInt(offset), 144);
  Buffer.from("a102030405060708090a0b0c0d0e0f1f", "hex").copy(sb, 168);
  sb.writeBigUInt64LE(5n, 200);
  sb.writeBigUInt64LE(0xffffffffffffffffn, 208);
  const devices = 128;
  sb.writeUInt32LE(devices, 220);
  for (let i = 0; i < devices; i++) sb.writeUInt16LE(i < 2 ? i : 0xfffe, 256 + 2 * i);
  let sum = 0n;
  for (let i = 0; i < 256 + devices * 2; i += 4) sum += BigInt(sb.readUInt32LE(i));
  sb.writeUInt32LE(Number(((sum & 0xffffffffn) + (sum >> 32n)) & 0xffffffffn), 216);
  return [offset * 512, sb];
}

mkdirSync(join(work, "tree/boot"), { recursive: true });
writeFileSync(join(work, "tree/boot/hello.txt"), "hello\n");
const swap = (...args) => (f) => run("mkswap", "-q", ...args, f);
const suspended = (signature) => (f) => {
  run("mkswap", "-q", "-U", uuid(40), "-L", "hibernated", f);
  patch(f, 4096 - 10, Buffer.from(signature.padEnd(10, "\0"), "latin1"));
};
const luks = (type, ...args) => (f) => {
  writeFileSync(join(work, "key"), "correct horse");
  run("cryptsetup", "luksFormat", "-q", "--type", type, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", ...args, f, "key");
};

/** Name, device bytes, how it is made, and ranges to keep when they are not the first and the last 128 KiB. */
const fixtures = [
  ["ext2", 1 * MiB, (f) => run("mke2fs", "-q", "-t", "ext2", "-L", "second", "-U", uuid(1), f)],
  ["ext3", 4 * MiB, (f) => run("mke2fs", "-q", "-t", "ext3", "-L", "third", "-U", uuid(2), f)],
  ["ext3-needs-recovery", 4 * MiB, (f) => {
    run("mke2fs", "-q", "-t", "ext3", "-U", uuid(18), f);
    patch(f, 1024 + 96, Buffer.from([0x06]));
  }],
  ["ext4", 4 * MiB, (f) => run("mke2fs", "-q", "-t", "ext4", "-O", "metadata_csum,64bit", "-L", "root \u00e9t\u00e9", "-U", uuid(3), f)],
  ["ext4-without-journal", 2 * MiB, (f) => run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-U", uuid(4), f)],
  ["ext-journal", 8 * MiB, (f) => run("mke2fs", "-q", "-O", "journal_dev", "-b", "4096", "-L", "journal", "-U", uuid(5), f)],
  ["vfat12", 1 * MiB, (f) => run("mkfs.vfat", "-F", "12", "-i", "12ab34cd", "-n", "FLOPPY", f)],
  ["vfat16", 16 * MiB, (f) => run("mkfs.vfat", "-F", "16", "-i", "0badcafe", "-n", "BOOT 16", f)],
  ["vfat16-boot-label-only", 16 * MiB, (f) => {
    run("mkfs.vfat", "-F", "16", "-i", "0badcaff", f);
    patch(f, 43, Buffer.from("IN THE BOOT"));
  }],
  ["vfat32", 40 * MiB, (f) => run("mkfs.vfat", "-F", "32", "-s", "1", "-i", "deadbeef", "-n", "ESP", f), [[0, 65536], [0x9b000, 65536]]],
  // The label, moved from the start of the root directory to its second cluster, behind a full first one.
  ["vfat32-label-in-second-cluster", 40 * MiB, (f) => {
    run("mkfs.vfat", "-F", "32", "-s", "1", "-i", "deadbef0", "-n", "MOVED", f);
    const [table, root] = [0x4000, 0xa1800];
    const entry = readFileSync(join(work, f)).subarray(root, root + 32);
    const file = Buffer.concat([Buffer.from("FILE    TXT\x20", "latin1"), Buffer.alloc(20)]);
    patch(f, root, Buffer.concat([...Array(16).fill(file), entry]));
    patch(f, table + 8, Buffer.from("03000000ffffff0f", "hex"));
  }, [[0, 65536], [0x9b000, 65536]]],
  ["vfat16-deleted-label", 16 * MiB, (f) => {
    run("mkfs.vfat", "-F", "16", "-i", "0badcaf0", "-n", "GONE", f);
    patch(f, 0x8800, Buffer.from([0xe5]));
  }],
  ["vfat32-sector-4096", 300 * MiB, (f) => run("mkfs.vfat", "-F", "32", "-S", "4096", "-s", "1", "-i", "00000000", "-n", "esp4k", f), [[0, 131072], [0x60000, 0x80000]]],
  ["exfat", 8 * MiB, (f) => {
    run("mkfs.exfat", "-L", "stick \u20ac", f);
    run("exfatlabel", "-i", f, "0xa1b2c3d4");
  }, [[0, 65536], [1 * MiB, 2 * MiB]]],
  ["xfs", 300 * MiB, (f) => run("mkfs.xfs", "-q", "-L", "data", "-m", `uuid=${uuid(6)}`, f), [[0, 8192]]],
  ["xfs-without-checksums", 300 * MiB, (f) => run("mkfs.xfs", "-q", "-m", `crc=0,finobt=0,reflink=0,rmapbt=0,bigtime=0,inobtcount=0,uuid=${uuid(15)}`, "-s", "size=4096", f), [[0, 8192]]],
  ["btrfs", 112 * MiB, (f) => run("mkfs.btrfs", "-q", "-L", "pool", "-U", uuid(7), f), [[0, 131072]]],
  ["btrfs-xxhash", 112 * MiB, (f) => run("mkfs.btrfs", "-q", "--csum", "xxhash", "-U", uuid(8), f), [[0, 131072]]],
  ["iso9660", null, (f) => run("xorriso", "-as", "mkisofs", "-quiet", "-V", "SLIPWAY_TEST", "-o", f, "--modification-date=2026112010000000", "tree")],
  ["iso9660-joliet", null, (f) => run("xorriso", "-as", "mkisofs", "-quiet", "-J", "-joliet-long", "-V", "Slipway \u00e9t\u00e9", "-o", f, "--modification-date=2026112010203040", "tree")],
  ["iso9660-without-modification-date", null, (f) => {
    run("xorriso", "-as", "mkisofs", "-quiet", "-V", "CREATED", "-o", f, "--modification-date=2024022923595999", "tree");
    patch(f, 32768 + 830, Buffer.from("0000000000000000\0", "latin1"));
  }],
  ["squashfs", null, (f) => run("mksquashfs", "tree", f, "-quiet", "-no-progress", "-all-time", "0")],
  ["erofs", null, (f) => run("mkfs.erofs", "--quiet", "-T0", `-U${uuid(9)}`, f, "tree")],
  ["erofs-label", null, (f) => {
    run("mkfs.erofs", "--quiet", "-T0", `-U${uuid(16)}`, f, "tree");
    patch(f, 1024 + 8, Buffer.alloc(4));
    patch(f, 1024 + 64, Buffer.from("readonly-label!!"));
  }],
  // mkfs.f2fs writes /proc/version into the superblock: that of the machine at hand shall not stand in the fixture.
  ["f2fs", 64 * MiB, (f) => {
    writeFileSync(join(work, "version"), "Linux version 6.1.0\n");
    const make = `mount --bind version /proc/version && mkfs.f2fs -q -f -O extra_attr,sb_checksum -l "phone \u00e9" ${f}`;
    run("unshare", "-m", "sh", "-c", make);
  }, [[0, 16384]]],
  ["swap", 1 * MiB, swap("-U", uuid(10), "-L", "swappy")],
  ["swap-64k", 2 * MiB, swap("-p", "65536", "-U", uuid(11))],
  ["swap-16k", 1 * MiB, swap("-p", "16384", "-U", uuid(12), "-L", "sixteen-letters!")],
  ["swap-big-endian", 1 * MiB, (f) => {
    run("mkswap", "-q", "-U", uuid(17), "-L", "big", f);
    patch(f, 1024, Buffer.from("00000001000000ff", "hex"));
  }],
  ["swap-version-0", 1 * MiB, (f) => patch(f, 4096 - 10, Buffer.from("SWAP-SPACE"))],
  ["swap-s1suspend", 1 * MiB, suspended("S1SUSPEND")],
  ["swap-linhib", 1 * MiB, suspended("LINHIB0001")],
  ["luks1", 4 * MiB, luks("luks1", "--uuid", uuid(13)), [[0, 1024]]],
  ["luks2", 20 * MiB, luks("luks2", "--uuid", uuid(14), "--label", "secret"), [[0, 32768]]],
  ["lvm2", 16 * MiB, (f) => {
    const loop = execFileSync("/usr/sbin/losetup", ["-f", "--show", join(work, f)], { encoding: "utf8" }).trim();
    try {
      run("pvcreate", "-q", "--uuid", "abcdef-ghij-KLMN-opqr-stuv-WXYZ-012345", "--norestorefile", loop);
    } finally {
      run("losetup", "-d", loop);
    }
  }],
  ["md-0.90", 2 * MiB, (f) => patch(f, ...md090(2 * MiB, false))],
  ["md-0.90-big-endian", 2 * MiB + 4096 * 5, (f) => patch(f, ...md090(2 * MiB + 4096 * 5, true))],
  ["md-1.0", 2 * MiB, (f) => patch(f, ...md1(2 * MiB, 0))],
  ["md-1.0-around-ext4", 2 * MiB, (f) => {
    run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "inner", f, "1984K");
    patch(f, ...md1(2 * MiB, 0));
  }],
  ["md-1.1", 2 * MiB, (f) => patch(f, ...md1(2 * MiB, 1))],
  ["md-1.2", 2 * MiB, (f) => patch(f, ...md1(2 * MiB, 2))],
  ["ntfs", 2 * MiB, (f) => {
    run("mkntfs", "-Q", "-F", "-q", "-s", "512", "-p", "0", "-H", "16", "-S", "63", "-L", "Windows \u00e9", f);
    patch(f, 72, Buffer.from("8877665544332211", "hex"));
  }, [[0, 65536]]],
];

/** [offset, length] of the runs of non-zero 512-byte sectors within the ranges. */
function extents(fd, size, ranges) {
  const found = [];
  for (const [start, length] of ranges) {
    for (let at = start; at < Math.min(start + length, size); at += 512) {
      const sector = Buffer.alloc(Math.min(512, size - at));
      readSync(fd, sector, 0, sector.length, at);
      const last = found.at(-1);
      if (sector.every((byte) => byte === 0) || (last !== undefined && at < last[0] + last[1])) continue;
      if (last !== undefined && last[0] + last[1] === at) last[1] += sector.length;
      else found.push([at, sector.length]);
    }
  }
  return found;
}
function blkid(file) {
  const text = execFileSync("/usr/sbin/blkid", ["-p", "-o", "udev", file], { cwd: work, encoding: "utf8" });
  const values = Object.fromEntries(text.trim().split("\n").map((line) => line.split("=", 2)));
  const golden = {};
  for (const [key, name] of [["TYPE", "ID_FS_TYPE"], ["UUID", "ID_FS_UUID_ENC"], ["LABEL", "ID_FS_LABEL_ENC"], ["USAGE", "ID_FS_USAGE"], ["VERSION", "ID_FS_VERSION"]]) {
    const value = values[name]?.replace(/\\x([0-9a-f]{2})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
    if (value !== undefined) golden[key] = value;
  }
  return golden;
}

const index = [];
for (const [name, bytes, make, keep] of fixtures) {
  const file = `${name}.img`;
  if (bytes !== null) empty(file, bytes);
  make(file);
  const content = openSync(join(work, file), "r");
  const size = bytes ?? readFileSync(join(work, file)).length;
  const kept = extents(content, size, keep ?? [[0, 131072], [Math.max(131072, size - 131072), 131072]]);
  const parts = kept.map(([offset, length]) => {
    const part = Buffer.alloc(length);
    readSync(content, part, 0, length, offset);
    return part;
  });
  empty("kept.img", size);
  kept.forEach(([offset], i) => patch("kept.img", offset, parts[i]));
  const golden = blkid("kept.img");
  if (JSON.stringify(golden) !== JSON.stringify(blkid(file))) throw new Error(`${name}: too little was kept`);
  writeFileSync(join(here, `${name}.gz`), gzipSync(Buffer.concat(parts), { level: 9 }));
  index.push({ name, deviceBytes: size, extents: kept, blkid: golden });
  closeSync(content);
  rmSync(join(work, file));
}
writeFileSync(join(here, "fixtures.json"), `[\n${index.map((fixture) => `  ${JSON.stringify(fixture)}`).join(",\n")}\n]\n`);
rmSync(work, { recursive: true });
