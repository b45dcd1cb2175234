import { fstatSync, readFileSync } from "node:fs";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { DecompressError } from "../../../src/handoff/decompress.ts";
import {
  type KernelFile,
  KernelFileError,
  type KernelFileOptions,
  readKernelFile,
} from "../../../src/handoff/kernel-file.ts";
import type { FileRange } from "../../../src/linux/system.ts";
import { MemoryFile } from "../../../src/trust/memory-file.ts";
import { bzImageFile } from "../../fakes/bzimage-head.ts";
import { kernelImage, withWords } from "../../fakes/kernel-image.ts";
import { fakeSystem } from "../../fakes/system.ts";
import { testData, treeLines } from "../../fakes/tree-data.ts";

const system = fakeSystem();
let open = new DisposableStack();
afterEach(() => {
  open.dispose();
  open = new DisposableStack();
});

function fileOf(bytes: Uint8Array): FileRange {
  const memory = open.use(new MemoryFile(system, "test"));
  memory.append(bytes);
  memory.seal();
  return { fd: memory.fd, offset: 0, length: bytes.length };
}

const x86: KernelFileOptions = { bytesMax: 1 << 20, architecture: "x86_64" };

async function read(bytes: Uint8Array, options: Partial<KernelFileOptions> = {}): Promise<KernelFile> {
  return open.use(await readKernelFile(system, fileOf(bytes), "vmlinuz", { ...x86, ...options }));
}

/** The message of the refusal. */
async function refusal(bytes: Uint8Array, options: Partial<KernelFileOptions> = {}): Promise<string> {
  const error: unknown = await read(bytes, options).catch((thrown: unknown) => thrown);
  if (error instanceof KernelFileError || error instanceof DecompressError) return error.message;
  throw error;
}

function bytesAt({ fd, offset, length }: FileRange): Uint8Array {
  return new Uint8Array(readFileSync(`/proc/self/fd/${fd}`).subarray(offset, offset + length));
}
const textAt = (range: FileRange | null | undefined): string | null =>
  range == null ? null : Buffer.from(bytesAt(range)).toString("latin1");

const kernel = Uint8Array.from(bzImageFile());
const arm64 = withWords(new Uint8Array(64), [0x38, 0x644d5241]);
const riscv = withWords(new Uint8Array(64), [0x38, 0x05435352]);

/** An EFI zboot image with this payload, laid out from zboot-header.S; what the kernel's build puts behind stays behind. */
function zboot(payload: Uint8Array, compression: string): Uint8Array {
  const head = Buffer.alloc(4096);
  head.write("MZ");
  head.write("zimg", 4);
  head.writeUInt32LE(4096, 8);
  head.writeUInt32LE(payload.length, 12);
  head.write(compression, 24);
  head.writeUInt32LE(0x818223cd, 0x38);
  return new Uint8Array(Buffer.concat([head, payload, Buffer.from("the rest of the image")]));
}

/** The unified kernel image of the tests with another kernel in it. */
function uki(linux: Uint8Array, name = "uki", machine = 0x8664): Uint8Array {
  const image = Buffer.from(kernelImage(name));
  const header = image.readUInt32LE(60);
  image.writeUInt16LE(machine, header + 4);
  const table = header + 24 + image.readUInt16LE(header + 20);
  for (let at = table; ; at += 40) {
    if (image.toString("latin1", at, at + 6) !== ".linux") continue;
    image.writeUInt32LE(linux.length, at + 8);
    image.writeUInt32LE(linux.length, at + 16);
    image.writeUInt32LE(image.length, at + 20);
    return new Uint8Array(Buffer.concat([image, linux]));
  }
}

const takenOut = (what: string): string =>
  `the kernel was taken out of vmlinuz (${what}): the running kernel does not see the container's signature`;
const unwrapped = (wrapping: string): string =>
  `vmlinuz was unwrapped from ${wrapping}: the running kernel does not see the file's attributes (security.ima)`;

describe("kernels, wrapped and not", () => {
  it("as it is", async () => {
    const file = await read(kernel);
    expect(file).toMatchObject({
      kind: "bzImage64",
      imageKind: "bzImage64",
      wrapping: null,
      enclosed: null,
      remarks: [],
    });
    expect(bytesAt(file.image)).toEqual(kernel);
    expect(file.read(0x202, 4)).toEqual(new Uint8Array(Buffer.from("HdrS")));
  });
  it.each([
    ["gzip", new Uint8Array(gzipSync(kernel))],
    ["zstd", new Uint8Array(zstdCompressSync(kernel))],
  ])("%s", async (wrapping, bytes) => {
    const file = await read(bytes);
    expect(file).toMatchObject({ kind: "bzImage64", wrapping, remarks: [unwrapped(wrapping)] });
    expect(bytesAt(file.image)).toEqual(kernel);
  });
  it.each([
    ["gzip", gzipSync(kernel)],
    ["zstd22", zstdCompressSync(kernel)],
  ])("zboot with %s", async (compression, payload) => {
    const file = await read(zboot(payload, compression));
    expect(file).toMatchObject({ kind: "bzImage64", wrapping: "zboot", remarks: [unwrapped("zboot")] });
    expect(bytesAt(file.image)).toEqual(kernel);
  });
  it("memory is given back", async () => {
    const file = await read(new Uint8Array(gzipSync(kernel)));
    const { fd } = file.image;
    file[Symbol.dispose]();
    expect(() => fstatSync(fd)).toThrow(/^EBADF/);
  });
  it.each<readonly [string, Uint8Array, string]>([
    ["no kernel", new Uint8Array(Buffer.from("#!/bin/sh\n")), "Cannot determine the file type of vmlinuz"],
    ["nothing", new Uint8Array(0), "Cannot determine the file type of vmlinuz"],
    ["gzip twice", gzipSync(gzipSync(kernel)), "vmlinuz: gzip inside gzip expected to be a kernel"],
    ["zboot in gzip", gzipSync(zboot(gzipSync(kernel), "gzip")), "vmlinuz: zboot inside gzip expected to be a kernel"],
    [
      "zboot in zboot",
      zboot(zboot(gzipSync(kernel), "gzip"), "gzip"),
      "vmlinuz: gzip expected in the zboot image, found zboot",
    ],
    [
      "zboot, otherwise than it says",
      zboot(gzipSync(kernel), "zstd22"),
      "vmlinuz: zstd expected in the zboot image, found gzip",
    ],
    ["zboot, not compressed", zboot(kernel, "gzip"), "vmlinuz: gzip expected in the zboot image, found something else"],
    [
      "zboot, in a way that is not known",
      zboot(gzipSync(kernel), "rar"),
      'vmlinuz: zboot: offset 24, compression type: gzip, zstd22, zstd, xzkern, xz, lzma, lz4, lzo expected, not "rar"',
    ],
    [
      "zboot, cut",
      zboot(gzipSync(kernel), "gzip").subarray(0, 4100),
      /^vmlinuz: zboot: offset 8, payload offset: bytes 4096 to \d+ expected to lie behind the header, within 4100$/
        .source,
    ],
    [
      "a damaged file",
      gzipSync(kernel).subarray(0, 50),
      'cannot unwrap "vmlinuz": gzip: offset 50: more data expected, the input ends',
    ],
  ])("%s is refused", async (_name, bytes, message) => {
    const found = await refusal(new Uint8Array(bytes));
    if (message.startsWith("^")) expect(found).toMatch(new RegExp(message));
    else expect(found).toBe(message);
  });
  it("more than may come out", async () => {
    expect(await refusal(zboot(gzipSync(kernel), "gzip"), { bytesMax: 1000 })).toBe(
      'cannot unwrap "vmlinuz": gzip: at most 1000 bytes of output are taken',
    );
  });
  it("a part of what has none", async () => {
    expect(await refusal(kernel, { part: "@1" })).toBe('vmlinuz is a bzImage64, which has no part "@1"');
    expect(await refusal(testData("android/v0.img.gz"), { part: "#a" })).toBe(
      'vmlinuz is an android-boot, which has no part "#a"',
    );
  });
});

describe("kernels for other machines", () => {
  it.each<readonly [string, Uint8Array, string]>([
    ["an arm64 Image", arm64, "arm64"],
    ["a RISC-V Image", riscv, "riscv"],
    ["wrapped", gzipSync(arm64), "arm64"],
    ["zboot", zboot(gzipSync(arm64), "gzip"), "arm64"],
    ["ELF for arm64", withWords(kernelImage("vmlinux"), [16, 0x00b70002]), "arm64"],
    ["an arm zImage", withWords(new Uint8Array(64), [0x24, 0x016f2818]), "arm"],
    ["a unified kernel image", uki(kernel, "uki", 0xaa64), "arm64"],
    ["a kernel in a unified kernel image", uki(arm64), "arm64"],
  ])("%s", async (_name, bytes, architecture) => {
    expect(await refusal(new Uint8Array(bytes))).toBe(
      `vmlinuz is a kernel for ${architecture}, this machine is x86_64`,
    );
  });
  it("a FIT image", async () => {
    expect(await refusal(testData("fit/inside.itb.gz"), { part: "#conf-4" })).toBe(
      "vmlinuz is a kernel for arm64, this machine is x86_64",
    );
  });
  it("is for this machine on that machine", async () => {
    expect(await read(zboot(gzipSync(arm64), "gzip"), { architecture: "aarch64" })).toMatchObject({
      kind: "arm64-image",
      wrapping: "zboot",
    });
    expect(await read(riscv, { architecture: "riscv64" })).toMatchObject({ kind: "riscv-image" });
    expect(await read(uki(arm64, "uki", 0xaa64), { architecture: "aarch64" })).toMatchObject({
      kind: "uki",
      imageKind: "arm64-image",
    });
  });
});

describe("unified kernel images", () => {
  it("kernel, microcode and initrd, command line", async () => {
    const file = await read(uki(kernel));
    expect(file).toMatchObject({ kind: "uki", imageKind: "bzImage64", wrapping: null, remarks: [takenOut("uki")] });
    expect(bytesAt(file.image)).toEqual(kernel);
    expect(file.enclosed?.commandLine).toBe("root=LABEL=system ro quiet");
    expect(file.enclosed?.initrds.map(textAt)).toEqual(["microcode", "an initrd would be here"]);
  });
  it("a profile", async () => {
    const file = await read(uki(kernel, "uki-profiles"), { part: "@2" });
    expect(file.enclosed?.commandLine).toBe("quiet rd.systemd.unit=storage-target-mode.target");
    expect(file.enclosed?.initrds.map(textAt)).toEqual(["microcode", "another initrd"]);
  });
  it("a kernel that is wrapped", async () => {
    const file = await read(uki(zboot(gzipSync(kernel), "gzip")));
    expect(file.remarks).toEqual([takenOut("uki").replace("(uki)", "(uki), unwrapped from zboot")]);
    expect(bytesAt(file.image)).toEqual(kernel);
  });
  it("in gzip", async () => {
    const file = await read(new Uint8Array(gzipSync(uki(kernel))));
    expect(file).toMatchObject({ kind: "uki", wrapping: "gzip", remarks: [unwrapped("gzip"), takenOut("uki")] });
  });
  it.each<readonly [string, Uint8Array, string | null, string]>([
    ["a profile that is not there", uki(kernel), "@1", "vmlinuz: uki: .profile: profile 1 expected, the image has 0"],
    ["a configuration", uki(kernel), "#a", 'vmlinuz: "@" and the number of a profile expected, not "#a"'],
    ["text", kernelImage("uki"), null, "vmlinuz: a bzImage expected in the uki, found no kernel"],
    ["another image", uki(uki(kernel)), null, "vmlinuz: a bzImage expected in the uki, found uki"],
    ["wrapped twice", uki(gzipSync(gzipSync(kernel))), null, "vmlinuz: gzip inside gzip expected to be a kernel"],
  ])("%s is refused", async (_name, bytes, part, message) => expect(await refusal(bytes, { part })).toBe(message));
});

describe("FIT images", () => {
  const inside = testData("fit/inside.itb.gz");
  it.each(["inside", "behind", "position"])("%s: the default", async (name) => {
    const file = await read(testData(`fit/${name}.itb.gz`));
    const taken = takenOut("fit").replace("(fit)", "(fit), unwrapped from gzip");
    expect(file).toMatchObject({ kind: "fit", imageKind: "bzImage64", wrapping: null, remarks: [taken] });
    expect(bytesAt(file.image)).toEqual(kernel);
    expect(file.enclosed?.commandLine).toBeNull();
    expect(file.enclosed?.initrds.map(textAt)).toEqual(["an initrd would be here"]);
    const tree = file.enclosed?.devicetree ?? null;
    expect(tree === null ? null : bytesAt(tree)).toEqual(testData("fdt/base.dtb"));
  });
  // U-Boot is not told of the compression; the kernel would unfold itself.
  it("a kernel in lz4, a device tree with overlays", async () => {
    const file = await read(inside, { part: "#conf-2" });
    expect(bytesAt(file.image)).toEqual(kernel);
    const tree = file.enclosed?.devicetree ?? null;
    expect(tree === null ? null : treeLines(bytesAt(tree))).toEqual(treeLines(testData("fdt/merged-2.dtb")));
  });
  it("the overlay of another configuration", async () => {
    const tree = (await read(inside, { part: "#conf-1#ov-1" })).enclosed?.devicetree ?? null;
    expect(tree === null ? null : treeLines(bytesAt(tree))).toEqual(treeLines(testData("fdt/merged-1.dtb")));
  });
  it("a kernel in two parts", async () => {
    const file = await read(inside, { part: "#conf-5" });
    // The sectors of the real-mode code, and the size of the rest in units of 16 bytes (boot.rst).
    const expected = withWords(kernel, [0x1f4, 1]);
    expect(expected[0x1f1]).toBe(4);
    expect(bytesAt(file.image)).toEqual(expected);
  });
  it("a kernel that is not compressed although it is said to be", async () => {
    expect(await refusal(inside, { part: "#conf-3" })).toBe(
      "vmlinuz: gzip expected in the fit, found a kernel that is not compressed",
    );
  });
  it("no default", async () => {
    expect(await refusal(testData("fit/no-default.itb.gz"))).toMatch(
      /^vmlinuz: fit: \/configurations: "default" expected, or one of "#conf-1", /,
    );
  });
  it.each([
    ["the kernel", "kernel-1/hash-crc32", "\u001f\u008b\b", "crc32"],
    ["the initrd", "ramdisk-1/hash-sha1", "an initrd would", "sha1"],
    ["the device tree", "fdt-1/hash-crc32", "vendor,board", "crc32"],
  ])("%s is not what its checksum says", async (_name, node, text, algorithm) => {
    const bytes = testData("fit/behind.itb.gz");
    const at = Buffer.from(bytes).indexOf(text, 0, "latin1");
    bytes[at + 4] = (bytes[at + 4] ?? 0) ^ 1;
    expect(await refusal(bytes)).toMatch(
      new RegExp(`^vmlinuz: /images/${node}: ${algorithm} [0-9a-f]+ expected of "[a-z]+-1", not [0-9a-f]+$`),
    );
  });
});

describe("Android boot images", () => {
  const image = (name: string): Uint8Array => testData(`android/${name}.img.gz`);
  const generic = "the generic ramdisk would be here";
  const missing =
    "vmlinuz is for a device whose own part (vendor_boot) is not there: its ramdisk and options are missing";
  it("version 0", async () => {
    const file = await read(image("v0"));
    expect(file).toMatchObject({
      kind: "android-boot",
      imageKind: "bzImage64",
      remarks: [takenOut("android-boot"), "the second boot loader in vmlinuz is left out"],
    });
    expect(bytesAt(file.image)).toEqual(kernel);
    expect(file.enclosed?.initrds.map(textAt)).toEqual([generic]);
    expect(file.enclosed?.commandLine).toMatch(/^console=ttyS0 androidboot.*_a end$/);
  });
  it("version 2: its device tree", async () => {
    const { enclosed } = await read(image("v2"));
    expect(enclosed?.devicetree == null ? null : bytesAt(enclosed.devicetree)).toEqual(testData("fdt/base.dtb"));
  });
  it("several device trees", async () => {
    // The size of the second field is that of the tree: one that is larger holds more.
    const file = await read(new Uint8Array(Buffer.concat([withWords(image("v2"), [1648, 900])])));
    expect(file.enclosed?.devicetree).toBeNull();
    expect(file.remarks[1]).toBe(
      "the device trees that go with vmlinuz are left out: which is the board's is not known",
    );
  });
  it("version 3 alone", async () => {
    const file = await read(image("v3"));
    expect(file.remarks).toEqual([takenOut("android-boot"), missing]);
    expect(file.enclosed?.initrds.map(textAt)).toEqual([generic]);
    expect(file.enclosed?.commandLine).toBe("quiet");
  });
  it("version 3 with the vendor's", async () => {
    const file = await read(image("v3"), { companions: [fileOf(image("vendor-v3"))] });
    expect(file.remarks).toEqual([takenOut("android-boot")]);
    expect(file.enclosed?.initrds.map(textAt)).toEqual(["the vendor's ramdisk would be here", generic]);
    expect(file.enclosed?.commandLine).toBe("quiet androidboot.hardware=slipway");
  });
  it("version 4 in three images", async () => {
    const companions = [fileOf(image("init-boot")), fileOf(image("vendor-v4"))];
    const file = await read(image("v4-kernel"), { companions });
    const config = "androidboot.hardware=slipway\nandroidboot.slot_suffix=_a\n";
    const sum = [...config].reduce((total, letter) => total + letter.charCodeAt(0), 0);
    const size = Buffer.alloc(8);
    size.writeUInt32LE(config.length, 0);
    size.writeUInt32LE(sum, 4);
    expect(config.length % 4).toBe(0);
    expect(file.enclosed?.initrds.map(textAt)).toEqual([
      "the platform's ramdisk",
      "the modules' ramdisk",
      generic,
      `${config}${size.toString("latin1")}#BOOTCONFIG\n`,
    ]);
    expect(file.enclosed?.commandLine).toBe("quiet androidboot.boot_devices=pci bootconfig");
  });
  it("a ramdisk alone", async () => {
    expect(await refusal(image("init-boot"))).toBe("vmlinuz: a kernel expected in the android-boot, found none");
  });
  it("a vendor's that is cut", async () => {
    const cut = fileOf(image("vendor-v4").subarray(0, 4096));
    expect(await refusal(image("v4"), { companions: [cut] })).toBe(
      "vmlinuz: android-vendor-boot: offset 24, vendor_ramdisk_size: bytes 4096 to 4158 expected, the file ends at 4096",
    );
  });
});
