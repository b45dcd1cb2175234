import { describe, expect, it } from "vitest";
import { type WritableFdtNode, writeFdt } from "../../../src/formats/fdt-writer.ts";
import { type FitConfiguration, isFit, readFit, readFitContents } from "../../../src/formats/fit.ts";
import { type ByteRange, rangesOf } from "../../../src/formats/ranges.ts";
import { bzImageFile } from "../../fakes/bzimage-head.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { testData } from "../../fakes/tree-data.ts";

const inside = testData("fit/inside.itb.gz");
const read = (bytes: Uint8Array, part: string | null = null): FitConfiguration =>
  readFit(rangesOf(bytes), bytes.length, part);
const text = (bytes: Uint8Array, { offset, length }: ByteRange): string =>
  Buffer.from(bytes.subarray(offset, offset + length)).toString("latin1");
const hashes = (configuration: FitConfiguration) =>
  [configuration.kernel, ...(configuration.ramdisk === null ? [] : [configuration.ramdisk])].flatMap((image) =>
    image.hashes.map(({ algorithm, value }) => `${algorithm} ${Buffer.from(value).toString("hex")}`),
  );

describe("images of mkimage", () => {
  it("what there is", () => {
    expect(isFit(rangesOf(inside), inside.length)).toBe(true);
    const contents = readFitContents(rangesOf(inside), inside.length);
    expect(contents.description).toBe("kernels of Slipway's tests");
    expect(contents.defaultName).toBe("conf-1");
    expect(contents.configurations.map(({ name }) => name)).toEqual([
      ...Array.from({ length: 8 }, (_, index) => `conf-${index + 1}`),
      "ov-1",
    ]);
    expect(contents.configurations[0]?.description).toBe("Debian");
    const base = testData("fdt/base.dtb");
    expect(isFit(rangesOf(base), base.length)).toBe(false);
  });

  // inside.txt is what mkimage says; U-Boot finds the same, wherever the data stands.
  it.each(["inside", "behind", "position"])("%s: the default", (file) => {
    const bytes = testData(`fit/${file}.itb.gz`);
    const configuration = read(bytes);
    const { kernel, ramdisk, devicetrees, setup, name, description, isSigned } = configuration;
    expect({ name, description, setup, isSigned }).toEqual({
      name: "conf-1",
      description: "Debian",
      setup: null,
      isSigned: false,
    });
    expect(kernel).toMatchObject({
      name: "kernel-1",
      description: "Linux 6.1",
      type: "kernel",
      architecture: "x86_64",
      compression: "gzip",
    });
    expect(kernel.data.length).toBe(66);
    expect(text(bytes, kernel.data).slice(0, 3)).toBe("\u001f\u008b\b");
    expect(ramdisk === null ? null : text(bytes, ramdisk.data)).toBe("an initrd would be here");
    expect(devicetrees.map((image) => [image.name, image.data.length])).toEqual([["fdt-1", 830]]);
    expect(hashes(configuration)).toEqual([
      "crc32 36ee6ea6",
      "sha256 eb5204ca5b8792c3a767ed49b0bb9136e9d4afe83e27bb0d434a8a45e2024c97",
      "sha1 79f8b5de12751bfb4887a75fd9fdfef75f8b99d8",
      "md5 006c9cd800e1bd059c94ae3deed907ad",
    ]);
  });
  it("another configuration, with overlays", () => {
    const { kernel, ramdisk, devicetrees } = read(inside, "#conf-2");
    expect([kernel.name, kernel.type, kernel.compression, ramdisk]).toEqual([
      "kernel-2",
      "kernel_noload",
      "none",
      null,
    ]);
    expect(devicetrees.map(({ name, compression }) => [name, compression])).toEqual([
      ["fdt-1", "none"],
      ["fdt-2", "gzip"],
      ["fdt-3", "none"],
    ]);
    expect(kernel.hashes.map(({ algorithm }) => algorithm)).toEqual(["sha512", "sha384"]);
  });
  it("with the overlays of another", () => {
    expect(read(inside, "#conf-1#ov-1").devicetrees.map(({ name }) => name)).toEqual(["fdt-1", "fdt-2"]);
  });
  it("an old name with an address", () => {
    expect(read(inside, "#conf-4").kernel).toMatchObject({ name: "kernel@4", architecture: "arm64" });
  });
  it("a kernel in two parts", () => {
    const { kernel, setup } = read(inside, "#conf-5");
    expect([setup?.name, setup?.type, setup?.data.length]).toEqual(["setup-1", "x86_setup", 2460]);
    expect(text(inside, kernel.data)).toBe(Buffer.from(bzImageFile().subarray(2560)).toString("latin1"));
  });
});

describe("configurations that are refused", () => {
  it.each<readonly [string, string, string]>([
    [
      "a name that is not there",
      "#conf-9",
      '/configurations: a configuration "conf-9" expected, there are "#conf-1", "#conf-2", "#conf-3", "#conf-4", "#conf-5", "#conf-6", "#conf-7", "#conf-8", 1 more',
    ],
    ["no name", "#", '/configurations: "#" and the name of a configuration expected, not "#"'],
    ["a profile", "@1", '/configurations: "#" and the name of a configuration expected, not "@1"'],
    ["another system", "#conf-6", '/images/kernel-6: os "linux" expected, not "u-boot"'],
    [
      "loadables",
      "#conf-7",
      '/configurations/conf-7: a configuration without "loadables" expected: only Linux is started',
    ],
    ["no kernel", "#conf-8", '/configurations/conf-8: "kernel" expected'],
  ])("%s", (_name, part, message) => expect(formatErrorOf(() => read(inside, part))).toBe(`fit: ${message}`));
  it("no default", () => {
    expect(formatErrorOf(() => read(testData("fit/no-default.itb.gz")))).toMatch(
      /^fit: \/configurations: "default" expected, or one of "#conf-1", .* asked for$/,
    );
  });
});

type Value = string | number | Uint8Array;
interface Sketch {
  readonly [name: string]: Value | Sketch;
}

function bytesOf(value: Value): Uint8Array {
  if (typeof value === "string") return new Uint8Array(Buffer.from(`${value}\0`));
  if (typeof value !== "number") return value;
  const word = Buffer.alloc(4);
  word.writeUInt32BE(value);
  return new Uint8Array(word);
}

/** A tree: texts get a NUL, numbers are one cell, objects are nodes. */
function tree(sketch: Sketch, name = ""): WritableFdtNode {
  const isValue = (value: Value | Sketch): value is Value => typeof value !== "object" || value instanceof Uint8Array;
  return {
    name,
    properties: () =>
      Object.entries(sketch).flatMap(([key, value]) => (isValue(value) ? [[key, bytesOf(value)] as const] : [])),
    children: () => Object.entries(sketch).flatMap(([key, value]) => (isValue(value) ? [] : [tree(value, key)])),
  };
}

/** An image with a kernel `k` in the one configuration `c`. */
function fitImage(kernel: Sketch, configuration: Sketch = { kernel: "k" }): Uint8Array {
  const root = tree({ images: { k: kernel }, configurations: { default: "c", c: configuration } });
  return writeFdt({ bootProcessor: 0, reservations: [], root });
}

describe("images that are refused", () => {
  const good = { data: "kernel", type: "kernel" };
  const hash = (own: Sketch): Sketch => ({ ...good, "hash-1": own });
  it("this is taken", () =>
    expect(read(fitImage(good)).kernel).toMatchObject({ name: "k", compression: "none", hashes: [] }));
  it("a checksum that is not to be looked at", () => {
    expect(read(fitImage(hash({ algo: "none", "uboot-ignore": 1 }))).kernel.hashes).toEqual([]);
  });
  it("a signature is told", () => {
    expect(read(fitImage({ ...good, "signature-1": {} })).isSigned).toBe(true);
    expect(read(fitImage(good, { kernel: "k", "signature@1": {} })).isSigned).toBe(true);
  });
  it.each<readonly [string, Sketch, string]>([
    ["no data", { type: "kernel" }, '/images/k: "data" expected'],
    ["no type", { data: "" }, '/images/k: "type" expected'],
    ["another type", { ...good, type: "script" }, '/images/k: type "kernel" or "kernel_noload" expected, not "script"'],
    [
      "another compression",
      { ...good, compression: "xz" },
      '/images/k: compression none, gzip, bzip2, lzma, lzo, lz4, zstd expected, not "xz"',
    ],
    ["encrypted", { ...good, cipher: {} }, "/images/k: an image that is not encrypted expected"],
    ["data behind without a size", { type: "kernel", "data-offset": 0 }, '/images/k: "data-size" expected'],
    [
      "data behind the end",
      { type: "kernel", "data-position": 8, "data-size": 100_000 },
      /^fit: \/images\/k: data in bytes 8 to 100008 expected, the file ends at \d+$/.source,
    ],
    [
      "another checksum",
      hash({ algo: "sha3", value: "" }),
      '/images/k/hash-1: crc32, md5, sha1, sha256, sha384, sha512 expected, not "sha3"',
    ],
    ["no checksum", hash({ algo: "crc32" }), '/images/k/hash-1: "value" expected'],
    ["no algorithm", hash({ value: 0 }), '/images/k/hash-1: "algo" expected'],
    ["a short checksum", hash({ algo: "sha256", value: 0 }), "/images/k/hash-1: 32 bytes of sha256 expected, not 4"],
    [
      "too many checksums",
      {
        ...good,
        ...Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`hash-${i}`, { algo: "crc32", value: 0 }])),
      },
      "/images/k: at most 16 checksums are taken",
    ],
  ])("%s", (_name, kernel, message) => {
    const error = formatErrorOf(() => read(fitImage(kernel)));
    if (message.startsWith("^")) expect(error).toMatch(new RegExp(message));
    else expect(error).toBe(`fit: ${message}`);
  });
  it.each<readonly [string, Sketch, string]>([
    ["an image that is not there", { kernel: "x" }, '/configurations/c: an image "x" expected'],
    [
      "firmware",
      { kernel: "k", firmware: "k" },
      '/configurations/c: a configuration without "firmware" expected: only Linux is started',
    ],
    ["a kernel as an initrd", { kernel: "k", ramdisk: "k" }, '/images/k: type "ramdisk" expected, not "kernel"'],
    ["a kernel as a device tree", { kernel: "k", fdt: "k" }, '/images/k: type "flat_dt" expected, not "kernel"'],
  ])("%s", (_name, configuration, message) => {
    expect(formatErrorOf(() => read(fitImage(good, configuration)))).toBe(`fit: ${message}`);
  });
  it("too many images", () => {
    const images = Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [`i${i}`, {}]));
    const bytes = writeFdt({ bootProcessor: 0, reservations: [], root: tree({ images, configurations: {} }) });
    expect(formatErrorOf(() => read(bytes))).toBe("fit: /images: at most 1024 are taken, not 1025");
  });
});

it("only FormatError, cut or changed", () => {
  const behind = testData("fit/behind.itb.gz");
  tortureParser({
    bytes: behind,
    parse: (bytes) => read(bytes, "#conf-1#ov-1"),
    rounds: 2500,
    seed: 0xf17,
    within: 2800,
  });
});
