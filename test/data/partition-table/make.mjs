// Makes the fixtures of this directory anew: node make.mjs (as root, for one loop device; see README.md).
import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const work = mkdtempSync(join(tmpdir(), "partition-table-"));
const MiB = 1 << 20;
const env = { ...process.env, LC_ALL: "C.UTF-8", PATH: `/usr/sbin:/sbin:${process.env.PATH}` };

function run(command, args, input = "") {
  return execFileSync(command, args, { cwd: work, env, input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
}
function withLoop(file, sectorBytes, use) {
  const loop = run("losetup", ["-f", "--show", "-b", String(sectorBytes), join(work, file)]).trim();
  try {
    return use(loop);
  } finally {
    run("losetup", ["-d", loop]);
  }
}
const gpt = [
  "-U", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "-a", "8",
  "-n", "1:2048:+1M", "-t", "1:ef00", "-u", "1:11111111-2222-4333-8444-555555555555", "-c", "1:EFI System",
  "-n", "2:8192:+2M", "-t", "2:8300", "-u", "2:AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE", "-c", "2:racine \u00e9t\u00e9 \u{1F427}",
  "-n", "128:16384:+512K", "-t", "128:8200", "-u", "128:01020304-0506-4708-890A-0B0C0D0E0F10",
];
const logicals = `label: dos
label-id: 0xdeadbeef
start=2048, size=2048, type=c, bootable
start=4096, size=2048, type=83
start=8192, size=20480, type=5
start=26624, size=1024, type=82
start=10240, size=1024, type=83
start=14336, size=2048, type=8e
start=20480, size=2048, type=83
`;

/** Name, disk bytes, sector bytes, how it is made. */
const fixtures = [
  ["gpt-512", 16 * MiB, 512, (f) => run("sgdisk", [...gpt, f])],
  ["gpt-4096", 128 * MiB, 4096, (f) => withLoop(f, 4096, (loop) => run("sgdisk", [...gpt, loop]))],
  ["gpt-hybrid", 16 * MiB, 512, (f) => run("sgdisk", [...gpt, "-h", "1:2", f])],
  ["msdos", 16 * MiB, 512, (f) => run("sfdisk", ["-q", f], logicals)],
  ["msdos-4096", 16 * MiB, 4096, (f) => withLoop(f, 4096, (loop) => run("sfdisk", ["-q", loop], "label: dos\nlabel-id: 0x00000abc\nstart=256, size=256, type=83\nstart=1024, size=2048, type=f\nstart=1280, size=256, type=83\n"))],
  ["msdos-fat-boot-sector", 4 * MiB, 512, (f) => run("mkfs.vfat", ["--mbr=y", "-i", "12345678", "-n", "BARE", f])],
];

/** [offset, length] of the runs of non-zero 512-byte sectors. */
function extents(fd, size) {
  const found = [];
  const sector = Buffer.alloc(512);
  for (let at = 0; at < size; at += 512) {
    readSync(fd, sector, 0, 512, at);
    if (sector.every((byte) => byte === 0)) continue;
    const last = found.at(-1);
    if (last !== undefined && last[0] + last[1] === at) last[1] += 512;
    else found.push([at, 512]);
  }
  return found;
}
/** partx writes bytes outside ASCII as \xNN. */
function decode(text) {
  const bytes = text.replace(/\\x([0-9a-f]{2})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}
/** What partx says; its starts and sizes count sectors of 512 bytes always. */
function partx(file, sectorBytes) {
  try {
    const text = run("partx", ["-g", "-P", "--sector-size", String(sectorBytes), "-o", "NR,START,SECTORS,TYPE,UUID,NAME,SCHEME", file]);
    const lines = text.trim().split("\n");
    return lines.map((line) => Object.fromEntries([...line.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, decode(value)])));
  } catch {
    return [];
  }
}

const index = [];
for (const [name, bytes, sectorBytes, make] of fixtures) {
  const file = `${name}.img`;
  const fd = openSync(join(work, file), "w+");
  ftruncateSync(fd, bytes);
  make(file);
  const kept = extents(fd, bytes);
  const parts = kept.map(([offset, length]) => {
    const part = Buffer.alloc(length);
    readSync(fd, part, 0, length, offset);
    return part;
  });
  closeSync(fd);
  writeFileSync(join(here, `${name}.gz`), gzipSync(Buffer.concat(parts), { level: 9 }));
  index.push({ name, deviceBytes: bytes, sectorBytes, extents: kept, partx: partx(file, sectorBytes) });
}
writeFileSync(join(here, "fixtures.json"), `[\n${index.map((fixture) => `  ${JSON.stringify(fixture)}`).join(",\n")}\n]\n`);
rmSync(work, { recursive: true });
