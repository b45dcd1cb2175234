// Makes the boot images of this directory anew: node make.mjs (see README.md).
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { bzImageFile } from "../../fakes/bzimage-head.ts";

const here = dirname(fileURLToPath(import.meta.url));
const work = mkdtempSync(`${tmpdir()}/android-`);
const run = (command, ...args) => execFileSync(command, args, { cwd: work, encoding: "utf8" });
const save = (name, bytes) => writeFileSync(`${here}/${name}.img.gz`, gzipSync(bytes, { level: 9 }));

writeFileSync(`${work}/kernel`, bzImageFile());
writeFileSync(`${work}/ramdisk`, "the generic ramdisk would be here");
writeFileSync(`${work}/vendor`, "the vendor's ramdisk would be here");
writeFileSync(`${work}/second`, "another loader");
writeFileSync(`${work}/recovery`, "overlays for recovery");
run("cp", `${here}/../fdt/base.dtb`, "dtb");
// Longer than the first of the two fields for it.
const long = `console=ttyS0 ${"androidboot.slot_suffix=_a ".repeat(20)}end`;
const common = ["--kernel", "kernel", "--ramdisk", "ramdisk", "--os_version", "11.0.2", "--os_patch_level", "2024-05-05"];

// Python 3 divides whole numbers otherwise than the Python that this was written for.
const tool = execFileSync("sh", ["-c", "cat $(command -v mkbootimg)"], { encoding: "utf8" });
writeFileSync(`${work}/mkbootimg`, tool.replace("- 1) / page_size", "- 1) // page_size"));

const reports = [];
/** With what AOSP's own tool reads of it. */
function make(name, ...args) {
  run("python3", "mkbootimg", ...common, ...args, "-o", `${name}.img`);
  reports.push(`== ${name}\n${run("unpack_bootimg", "--boot_img", `${name}.img`, "--out", "out")}`);
  return readFileSync(`${work}/${name}.img`);
}
save("v0", make("v0", "--header_version", "0", "--board", "slipway", "--cmdline", long, "--second", "second"));
save("v1", make("v1", "--header_version", "1", "--pagesize", "4096", "--cmdline", "quiet", "--recovery_dtbo", "recovery"));
save("v2", make("v2", "--header_version", "2", "--cmdline", "quiet", "--dtb", "dtb", "--recovery_acpio", "recovery"));
const v3 = make("v3", "--header_version", "3", "--pagesize", "4096", "--cmdline", "quiet");
save("v3", v3);
const vendorArgs = ["--vendor_ramdisk", "vendor", "--vendor_cmdline", "androidboot.hardware=slipway", "--dtb", "dtb"];
run("python3", "mkbootimg", "--header_version", "3", ...vendorArgs, "--board", "slipway", "--vendor_boot", "vendor3.img");
reports.push(`== vendor-v3\n${run("unpack_bootimg", "--boot_img", "vendor3.img", "--out", "out")}`);
save("vendor-v3", readFileSync(`${work}/vendor3.img`));
writeFileSync(`${here}/unpack_bootimg.txt`, reports.join(""));

// Version 4, which this mkbootimg does not make, laid out from bootimg.h.
const v4 = Buffer.from(v3);
v4.writeUInt32LE(1584, 20);
v4.writeUInt32LE(4, 40);
v4.writeUInt32LE(4096, 1580);
save("v4", Buffer.concat([v4, Buffer.alloc(4096, "signature")]));
// The kernel alone, and the generic ramdisk alone (init_boot).
const kernelPages = Math.ceil(v4.readUInt32LE(8) / 4096) * 4096;
const alone = (at, pages) => {
  const image = Buffer.concat([v4.subarray(0, 4096), pages]);
  image.writeUInt32LE(0, at);
  image.writeUInt32LE(0, 1580);
  return image;
};
save("v4-kernel", alone(12, v4.subarray(4096, 4096 + kernelPages)));
const generic = alone(8, v4.subarray(4096 + kernelPages));
generic.fill(0, 44, 1580);
save("init-boot", generic);

const page = 2048;
const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & (page - 1))]);
const ramdisks = [
  ["", 1, "the platform's ramdisk"],
  ["recovery", 2, "the recovery ramdisk"],
  ["dlkm", 3, "the modules' ramdisk"],
];
const bootconfig = Buffer.from("androidboot.hardware=slipway\nandroidboot.slot_suffix=_a\n");
const header = Buffer.alloc(2128);
header.write("VNDRBOOT");
header.writeUInt32LE(4, 8);
header.writeUInt32LE(page, 12);
header.write("androidboot.boot_devices=pci bootconfig", 28);
header.write("slipway", 2080);
header.writeUInt32LE(2128, 2096);
const section = Buffer.from(ramdisks.map(([, , text]) => text).join(""));
const dtb = readFileSync(`${work}/dtb`);
header.writeUInt32LE(section.length, 24);
header.writeUInt32LE(dtb.length, 2100);
let offset = 0;
const table = Buffer.concat(
  ramdisks.map(([name, type, text]) => {
    const entry = Buffer.alloc(108);
    entry.writeUInt32LE(text.length, 0);
    entry.writeUInt32LE(offset, 4);
    entry.writeUInt32LE(type, 8);
    entry.write(name, 12);
    offset += text.length;
    return entry;
  }),
);
header.writeUInt32LE(table.length, 2112);
header.writeUInt32LE(ramdisks.length, 2116);
header.writeUInt32LE(108, 2120);
header.writeUInt32LE(bootconfig.length, 2124);
save("vendor-v4", Buffer.concat([header, section, dtb, table, bootconfig].map(padded)));
rmSync(work, { recursive: true });
