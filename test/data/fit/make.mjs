// Makes the FIT images of this directory anew, with U-Boot's mkimage: node make.mjs (see README.md).
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { bzImageFile } from "../../fakes/bzimage-head.ts";

const here = dirname(fileURLToPath(import.meta.url));
const work = mkdtempSync(`${tmpdir()}/fit-`);
const env = { ...process.env, SOURCE_DATE_EPOCH: "1700000000", LC_ALL: "C" };
const run = (command, ...args) => execFileSync(command, args, { cwd: work, env, stdio: ["ignore", "ignore", "pipe"] });

const kernel = bzImageFile();
writeFileSync(`${work}/kernel`, kernel);
run("gzip", "-9nk", "kernel");
run("lz4", "-qlf", "-9", "kernel", "kernel.lz4");
// The real-mode part as the build has it before both are joined: without the number of its sectors.
const setup = Buffer.from(kernel.subarray(0, 5 * 512 - 100));
setup[0x1f1] = 0;
writeFileSync(`${work}/setup`, setup);
writeFileSync(`${work}/rest`, kernel.subarray(5 * 512));
writeFileSync(`${work}/ramdisk`, "an initrd would be here");
const arm64 = Buffer.alloc(64);
arm64.write("ARM\x64", 0x38);
writeFileSync(`${work}/arm64`, arm64);
for (const name of ["base", "overlay-1", "overlay-2"]) run("cp", `${here}/../fdt/${name}.dtb`, ".");
run("gzip", "-9nk", "overlay-1.dtb");

const hash = (algorithm) => `hash-${algorithm} { algo = "${algorithm}"; };`;
const image = (name, file, fields, ...more) => {
  const lines = Object.entries(fields).map(([key, value]) => `${key} = ${value.startsWith("<") ? value : `"${value}"`};`);
  return `${name} { data = /incbin/("${file}"); ${lines.join(" ")} ${more.join(" ")} };`;
};
const linux = { type: "kernel", os: "linux", arch: "x86_64", load: "<0x1000000>", entry: "<0x1000000>" };
const tree = { type: "flat_dt", arch: "x86_64" };
const images = [
  image("kernel-1", "kernel.gz", { description: "Linux 6.1", compression: "gzip", ...linux }, hash("crc32"), hash("sha256")),
  image("kernel-2", "kernel.lz4", { compression: "none", ...linux, type: "kernel_noload" }, hash("sha512"), hash("sha384")),
  image("kernel-3", "kernel", { compression: "gzip", ...linux }),
  image("kernel@4", "arm64", { compression: "none", ...linux, arch: "arm64" }),
  image("kernel-5", "rest", { compression: "none", ...linux }, hash("crc32")),
  image("kernel-6", "kernel", { compression: "none", ...linux, os: "u-boot" }),
  image("setup-1", "setup", { compression: "none", ...linux, type: "x86_setup", load: "<0x90000>" }),
  image("ramdisk-1", "ramdisk", { compression: "none", type: "ramdisk", os: "linux", arch: "x86_64" }, hash("sha1"), hash("md5")),
  image("fdt-1", "base.dtb", { compression: "none", ...tree }, hash("crc32")),
  image("fdt-2", "overlay-1.dtb.gz", { compression: "gzip", ...tree }),
  image("fdt-3", "overlay-2.dtb", { compression: "none", ...tree }),
];
const configurations = [
  'conf-1 { description = "Debian"; kernel = "kernel-1"; ramdisk = "ramdisk-1"; fdt = "fdt-1"; };',
  'conf-2 { kernel = "kernel-2"; fdt = "fdt-1", "fdt-2", "fdt-3"; };',
  'conf-3 { kernel = "kernel-3"; };',
  'conf-4 { kernel = "kernel@4"; };',
  'conf-5 { kernel = "kernel-5"; setup = "setup-1"; };',
  'conf-6 { kernel = "kernel-6"; };',
  'conf-7 { kernel = "kernel-1"; loadables = "kernel-2"; };',
  'conf-8 { fdt = "fdt-1"; };',
  'ov-1 { kernel = "kernel-1"; fdt = "fdt-2"; };',
];
const source = (defaults) => `/dts-v1/;
/ {
  description = "kernels of Slipway's tests";
  #address-cells = <1>;
  images { ${images.join("\n")} };
  configurations { ${defaults} ${configurations.join("\n")} };
};`;

function make(name, defaults, ...options) {
  writeFileSync(`${work}/${name}.its`, source(defaults));
  run("mkimage", ...options, "-f", `${name}.its`, `${name}.itb`);
  writeFileSync(`${here}/${name}.itb.gz`, gzipSync(readFileSync(`${work}/${name}.itb`), { level: 9 }));
}
make("inside", 'default = "conf-1";');
make("behind", 'default = "conf-1";', "-E");
make("position", 'default = "conf-1";', "-E", "-p", "0x4000");
make("no-default", "");
// What mkimage itself says of the first.
const listing = execFileSync("mkimage", ["-l", `${work}/inside.itb`], { env: { ...env, TZ: "UTC" }, encoding: "utf8", stdio: "pipe" });
writeFileSync(`${here}/inside.txt`, listing);
rmSync(work, { recursive: true });
