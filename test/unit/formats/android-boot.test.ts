import { describe, expect, it } from "vitest";
import {
  bootconfigBytesMax,
  bootconfigTrailer,
  isAndroidBoot,
  isAndroidVendorBoot,
  parseAndroidBoot,
  parseAndroidVendorBoot,
} from "../../../src/formats/android-boot.ts";
import { type ByteRange, rangesOf } from "../../../src/formats/ranges.ts";
import { bzImageFile } from "../../fakes/bzimage-head.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { withWords } from "../../fakes/kernel-image.ts";
import { testData } from "../../fakes/tree-data.ts";

const image = (name: string): Uint8Array => testData(`android/${name}.img.gz`);
const read = (bytes: Uint8Array) => parseAndroidBoot(rangesOf(bytes), bytes.length);
const readVendor = (bytes: Uint8Array) => parseAndroidVendorBoot(rangesOf(bytes), bytes.length);
const text = (bytes: Uint8Array, range: ByteRange | null): string | null =>
  range === null ? null : Buffer.from(bytes.subarray(range.offset, range.offset + range.length)).toString("latin1");

const kernel = Buffer.from(bzImageFile()).toString("latin1");
const devicetree = Buffer.from(testData("fdt/base.dtb")).toString("latin1");
const longLine = `console=ttyS0 ${"androidboot.slot_suffix=_a ".repeat(20)}end`;

// What unpack_bootimg of Android says of them stands in test/data/android/unpack_bootimg.txt.
describe("boot images", () => {
  const common = { systemVersion: "11.0.2", patchLevel: "2024-05" };
  it.each<readonly [string, Readonly<Record<string, unknown>>]>([
    ["v0", { version: 0, commandLine: longLine, board: "slipway", second: "another loader", devicetree: null }],
    ["v1", { version: 1, commandLine: "quiet", board: "", second: null, devicetree: null }],
    ["v2", { version: 2, commandLine: "quiet", board: "", second: null, devicetree }],
    ["v3", { version: 3, commandLine: "quiet", board: "", second: null, devicetree: null }],
    ["v4", { version: 4, commandLine: "quiet", board: "", second: null, devicetree: null }],
  ])("%s", (name, expected) => {
    const bytes = image(name);
    expect(isAndroidBoot(bytes)).toBe(true);
    const parsed = read(bytes);
    const texts = {
      kernel: text(bytes, parsed.kernel),
      ramdisk: text(bytes, parsed.ramdisk),
      second: text(bytes, parsed.second),
      devicetree: text(bytes, parsed.devicetree),
    };
    const ramdisk = "the generic ramdisk would be here";
    expect({ ...parsed, ...texts }).toEqual({ ...common, ...expected, kernel, ramdisk });
  });
  it("a kernel alone, a ramdisk alone", () => {
    expect(read(image("v4-kernel"))).toMatchObject({ ramdisk: null, kernel: { offset: 4096, length: 2576 } });
    expect(read(image("init-boot"))).toMatchObject({ kernel: null, ramdisk: { offset: 4096, length: 33 } });
  });
  it("no version of the system", () => {
    expect(read(withWords(image("v3"), [16, 0]))).toMatchObject({ systemVersion: null, patchLevel: null });
  });
});

describe("vendor boot images", () => {
  it("version 3", () => {
    const bytes = image("vendor-v3");
    expect(isAndroidVendorBoot(bytes)).toBe(true);
    const { ramdisks, devicetree: tree, ...rest } = readVendor(bytes);
    expect(rest).toEqual({
      version: 3,
      commandLine: "androidboot.hardware=slipway",
      bootconfig: null,
      board: "slipway",
    });
    expect(ramdisks.map(({ name, type, range }) => [name, type, text(bytes, range)])).toEqual([
      ["", "none", "the vendor's ramdisk would be here"],
    ]);
    expect(text(bytes, tree)).toBe(devicetree);
  });
  it("version 4", () => {
    const bytes = image("vendor-v4");
    const { ramdisks, devicetree: tree, bootconfig, ...rest } = readVendor(bytes);
    expect(rest).toEqual({
      version: 4,
      commandLine: "androidboot.boot_devices=pci bootconfig",
      board: "slipway",
    });
    expect(ramdisks.map(({ name, type, range }) => [name, type, text(bytes, range)])).toEqual([
      ["", "platform", "the platform's ramdisk"],
      ["recovery", "recovery", "the recovery ramdisk"],
      ["dlkm", "dlkm", "the modules' ramdisk"],
    ]);
    expect(text(bytes, tree)).toBe(devicetree);
    expect(text(bytes, bootconfig)).toBe("androidboot.hardware=slipway\nandroidboot.slot_suffix=_a\n");
  });
  it("version 4 without a table", () => {
    const bytes = withWords(image("vendor-v4"), [2112, 0], [2116, 0]);
    expect(readVendor(bytes).ramdisks).toEqual([{ name: "", type: "none", range: { offset: 4096, length: 62 } }]);
  });
});

describe("what is refused", () => {
  it.each<readonly [string, Uint8Array, string]>([
    ["another file", bzImageFile(), 'offset 0, magic: "ANDROID!" expected'],
    ["a version to come", withWords(image("v0"), [40, 5]), "offset 40, header_version: 0 to 4 expected, not 5"],
    [
      "a page of 1000 bytes",
      withWords(image("v0"), [36, 1000]),
      "offset 36, page_size: a power of two from 2048 to 131072 expected, not 1000",
    ],
    [
      "a kernel that is cut",
      image("v0").subarray(0, 4000),
      "offset 8, kernel_size: bytes 2048 to 4624 expected, the file ends at 4000",
    ],
    [
      "a ramdisk that is cut",
      withWords(image("v3"), [12, 0xffffffff]),
      "offset 12, ramdisk_size: bytes 8192 to 4294975487 expected, the file ends at 12288",
    ],
  ])("%s", (_name, bytes, message) => expect(formatErrorOf(() => read(bytes))).toBe(`android-boot: ${message}`));
  it.each<readonly [string, Uint8Array, string]>([
    ["a boot image", image("v3"), 'offset 0, magic: "VNDRBOOT" expected'],
    ["version 2", withWords(image("vendor-v4"), [8, 2]), "offset 8, header_version: 3 or 4 expected, not 2"],
    [
      "too many ramdisks",
      withWords(image("vendor-v4"), [2116, 65]),
      "offset 2116, vendor_ramdisk_table_entry_num: at most 64 are taken, not 65",
    ],
    [
      "small entries",
      withWords(image("vendor-v4"), [2120, 100]),
      "offset 2120, vendor_ramdisk_table_entry_size: 3 entries of at least 108 bytes expected in 324, not of 100",
    ],
    [
      "more entries than the table has",
      withWords(image("vendor-v4"), [2116, 4]),
      "offset 2120, vendor_ramdisk_table_entry_size: 4 entries of at least 108 bytes expected in 324, not of 108",
    ],
    [
      "a ramdisk outside of its section",
      withWords(image("vendor-v4"), [8192, 63]),
      "offset 8192, ramdisk_offset: bytes 0 to 63 leave the ramdisks' 62",
    ],
    ["an unknown type", withWords(image("vendor-v4"), [8200, 4]), "offset 8200, ramdisk_type: 0 to 3 expected, not 4"],
    [
      "too much boot configuration",
      withWords(new Uint8Array(Buffer.concat([image("vendor-v4"), new Uint8Array(40_000)])), [2124, 32_768]),
      "offset 2124, bootconfig_size: at most 32767 bytes are taken, not 32768",
    ],
  ])("%s", (_name, bytes, message) => {
    expect(formatErrorOf(() => readVendor(bytes))).toBe(`android-vendor-boot: ${message}`);
  });
  it("a command line that is not UTF-8", () => {
    const bytes = image("v3");
    bytes[44] = 0xff;
    expect(formatErrorOf(() => read(bytes))).toBe("android-boot cmdline: text in UTF-8 expected");
  });
});

// Linux, Documentation/admin-guide/bootconfig.rst: "[bootconfig][padding][size(le32)][checksum(le32)][#BOOTCONFIG\n]".
describe("what follows boot configuration", () => {
  const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
  it("whole words", () => {
    expect(latin1(bootconfigTrailer(Buffer.from("a=1\n")))).toBe("\u0004\0\0\0\u00d9\0\0\0#BOOTCONFIG\n");
  });
  it("padding", () => {
    expect(latin1(bootconfigTrailer(Buffer.from("a=1")))).toBe("\0\u0004\0\0\0\u00cf\0\0\0#BOOTCONFIG\n");
  });
  it("a limit", () => {
    const most = new Uint8Array(bootconfigBytesMax);
    expect(bootconfigTrailer(most).length).toBe(1 + 20);
    expect(formatErrorOf(() => bootconfigTrailer(new Uint8Array(bootconfigBytesMax + 1)))).toBe(
      "bootconfig: at most 32767 bytes are taken, not 32768",
    );
  });
});

it("only FormatError, cut or changed", () => {
  for (const [index, name] of ["v0", "v2", "v4"].entries()) {
    tortureParser({ bytes: image(name), parse: read, rounds: 1500, seed: 0xa0 + index, within: 1700 });
  }
  tortureParser({ bytes: image("vendor-v4"), parse: readVendor, rounds: 1500, seed: 0xa9, within: 2200 });
});
