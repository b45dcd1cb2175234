// Makes the images of this directory anew: node make.mjs (see README.md).
import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const work = mkdtempSync(join(tmpdir(), "iso9660-"));
const env = { ...process.env, LC_ALL: "C.UTF-8", TZ: "UTC", SOURCE_DATE_EPOCH: "1700000000" };
const run = (command, ...args) => execFileSync(command, args, { cwd: work, env, stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 26 }).toString();

/** Path → text of a file, or a link's target behind `-> `. */
const longName = `${"long-name-".repeat(23)}end.txt`;
const files = {
  "README.TXT": "read me\n",
  "boot/vmlinuz": "kernel",
  "boot/initrd.img": "initrd",
  "boot/grub/loopback.cfg": "menuentry 'Live' { linux /boot/vmlinuz findiso=${iso_path}\n initrd /boot/initrd.img }\n",
  empty: "",
  "Case": "upper",
  "case": "lower",
  "Grüße.txt": "umlaut",
  "two.dots.tar": "dots",
  noextension: "none",
  [longName]: "long name",
  "deep/2/3/4/5/6/7/8/9/10/file": "deep down",
  "deep/2/3/4/5/6/7/8/9/10/up": "-> ../../file8",
  "deep/2/3/4/5/6/7/8/file8": "eight",
  "links/relative": "-> ../boot/vmlinuz",
  "links/absolute": "-> /boot/vmlinuz",
  "links/directory": "-> ../boot",
  "links/dots": "-> ./.././boot/grub/..",
  "links/root": "-> /",
  "links/out": "-> ../../etc/passwd",
  "links/loop": "-> loop",
  "links/dangling": "-> nowhere",
  "links/long": `-> ${"component-of-the-link/".repeat(45)}end`,
  "links/wide": `-> ${"w".repeat(250)}/${"x".repeat(240)}`,
};
for (let i = 0; i < 45; i++) files[`many/file-${String(i).padStart(3, "0")}.txt`] = `${i}\n`;

function makeTree(name, take) {
  const root = join(work, name);
  mkdirSync(root);
  for (const [path, text] of Object.entries(files)) {
    if (!take(path, text)) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    if (text.startsWith("-> ")) symlinkSync(text.slice(3), join(root, path));
    else writeFileSync(join(root, path), text);
  }
  return root;
}
const isLink = (text) => text.startsWith("-> ");
const full = makeTree("full", () => true);
// genisoimage writes damaged entries for links that do not fit into one.
const moved = makeTree("moved", (path) => path !== "links/long" && path !== "links/wide");
const flat = makeTree("flat", (path, text) => !isLink(text) && !path.startsWith("deep/") && path !== "case");
// Names as ECMA-119, level 1, wants them, so that nothing is mangled.
const plain = join(work, "plain");
mkdirSync(join(plain, "BOOT/GRUB"), { recursive: true });
for (const [path, text] of [["README.TXT", "read me\n"], ["NOEXT", "none"], ["BOOT/VMLINUZ", "kernel"], ["BOOT/GRUB/GRUB.CFG", "set a=b\n"]]) writeFileSync(join(plain, path), text);
run("mkfifo", join(full, "links/fifo"));

/** A file of more than 4 GiB, with a text at its beginning, around the end of its first section, and at its end. */
const bigBytes = 4 * 2 ** 30 + 5000;
const section = 2 ** 32 - 2048;
const marks = [[0, "begin"], [section - 3, "end of one, begin of two"], [bigBytes - 3, "end"]];
const big = join(work, "big");
mkdirSync(big);
const fd = openSync(join(big, "big.squashfs"), "w");
ftruncateSync(fd, bigBytes);
for (const [at, text] of marks) writeSync(fd, Buffer.from(text), 0, text.length, at);
closeSync(fd);
writeFileSync(join(big, "after"), "behind it");

// zisofs: half of the file is zeros, so that it is worth compressing.
const zisofs = join(work, "zisofs-in");
mkdirSync(zisofs);
writeFileSync(join(zisofs, "vmlinuz"), Buffer.concat([Buffer.from("kernel"), Buffer.alloc(100_000)]));
writeFileSync(join(zisofs, "small"), "not worth it");
run("mkzftree", zisofs, join(work, "zisofs"));

const xorriso = (...args) => (out) => run("xorriso", "-report_about", "WARNING", "-as", "mkisofs", "-V", "SLIPWAY", "--set_all_file_dates", "2023111422132000", "-o", out, ...args);
const genisoimage = (...args) => (out) => run("genisoimage", "-quiet", "-input-charset", "utf-8", "-V", "SLIPWAY", "-o", out, ...args);
const images = [
  // name, how it is made, how the reference reads it, the tree that it is made of
  ["rock-ridge", xorriso("-R", full), [], full],
  ["rock-ridge-joliet", xorriso("-R", "-J", "-joliet-long", full), [], full],
  ["relocated", genisoimage("-R", moved), [], moved],
  ["xa", genisoimage("-R", "-XA", flat), "isoinfo", flat],
  ["joliet", genisoimage("-J", "-joliet-long", "-l", flat), ["-read_fs", "norock"], flat],
  ["joliet-beside-empty-root", genisoimage("-R", "-J", "-joliet-long", "-hide", "*", flat), ["-read_fs", "norock"], flat],
  ["plain", genisoimage("-iso-level", "1", plain), ["-read_fs", "nojoliet", "-ecma119_map", "lowercase"], plain],
  ["plain-level-3", genisoimage("-iso-level", "3", "-N", plain), ["-read_fs", "nojoliet", "-ecma119_map", "lowercase"], plain],
  ["zisofs", genisoimage("-R", "-z", join(work, "zisofs")), [], null],
  ["multi-extent", xorriso("-R", "-iso-level", "3", big), [], null],
];

/** What xorriso shows of the image: path → type, size, target. It does not know CD-ROM XA, isoinfo does. */
function listed(image, options, tree) {
  if (options === "isoinfo") {
    const paths = ["/", ...run("isoinfo", "-R", "-f", "-i", image).split("\n").filter((path) => path !== "")];
    return paths.map((path) => {
      const facts = statSync(join(tree, path));
      return facts.isFile() ? { path, type: "file", size: facts.size } : { path, type: "directory" };
    });
  }
  const lines = run("xorriso", "-report_about", "WARNING", ...options, "-indev", image, "-find", "/", "-exec", "lsdl", "--").split("\n");
  return lines.flatMap((line) => {
    const match = /^(.)\S+\s+\d+\s+\d+\s+\d+\s+(\d+) .*? '(.*?)'(?: -> '(.*)')?$/.exec(line);
    if (match === null) return line === "" ? [] : [new Error(line).message];
    const [, letter, size, path, target] = match;
    const type = { "-": "file", d: "directory", l: "link", p: "other" }[letter];
    return [{ path, type, ...(type === "file" ? { size: Number(size) } : {}), ...(target === undefined ? {} : { target }) }];
  });
}

/** The sectors that are not zero, as runs `[first sector, sectors]`. */
function keptSectors(image) {
  const sectors = statSync(image).size / 2048;
  const input = openSync(image, "r");
  const runs = [];
  const kept = [];
  const chunk = Buffer.alloc(1 << 22);
  for (let first = 0; first < sectors; first += chunk.length / 2048) {
    const bytes = readSync(input, chunk, 0, chunk.length, first * 2048);
    if (chunk.subarray(0, bytes).every((byte) => byte === 0)) continue;
    for (let at = 0; at < bytes; at += 2048) {
      const sector = chunk.subarray(at, at + 2048);
      if (sector.every((byte) => byte === 0)) continue;
      const number = first + at / 2048;
      const last = runs.at(-1);
      if (last !== undefined && last[0] + last[1] === number) last[1]++;
      else runs.push([number, 1]);
      kept.push(Buffer.from(sector));
    }
  }
  closeSync(input);
  return { runs, bytes: Buffer.concat(kept) };
}

const fixtures = images.map(([name, make, options, tree]) => {
  const image = join(work, `${name}.iso`);
  make(image);
  const { runs, bytes } = keptSectors(image);
  writeFileSync(join(here, `${name}.gz`), gzipSync(bytes, { level: 9 }));
  const entries = listed(image, options, tree).sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  const fixture = { name, bytes: statSync(image).size, runs, entries };
  rmSync(image);
  return fixture;
});
writeFileSync(join(here, "files.json"), `${JSON.stringify({ files, marks, bigBytes }, null, 1)}\n`);
const rows = fixtures.map(({ entries, ...rest }) => `{${JSON.stringify(rest).slice(1, -1)},"entries":[\n${entries.map((entry) => JSON.stringify(entry)).join(",\n")}]}`);
writeFileSync(join(here, "fixtures.json"), `[${rows.join(",\n")}]\n`);
rmSync(work, { recursive: true });
