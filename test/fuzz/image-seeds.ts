import { CpioEncoder, cpioPadding, symlinkContent } from "../../src/formats/cpio.ts";
import { rangesOf } from "../../src/formats/ranges.ts";
import { openUki } from "../../src/formats/uki.ts";
import { bzImageHead } from "../fakes/bzimage-head.ts";
import { imageBytes, iso9660Fixtures } from "../fakes/iso9660-image.ts";
import { makeIso } from "../fakes/iso9660-writer.ts";
import { withWords } from "../fakes/kernel-image.ts";
import { testData } from "../fakes/tree-data.ts";
import { ukiData } from "../fakes/uki-data.ts";
import { peImage } from "../fakes/uki-image.ts";
import { textOf } from "./target-kinds.ts";

/** Nothing of ISO 9660 stands in the first 16 sectors. */
export const isoSystemAreaBytes: number = 16 * 2048;
const seedBytesMax = 1 << 16;
const smallImageBytes = 1 << 20;
/** As much as every probe reads at first. */
const superblockHeadBytes = 68 << 10;

/** The whole image of an input, which begins with the volume descriptors. */
export function isoOf(input: Uint8Array): Uint8Array {
  const image = new Uint8Array(isoSystemAreaBytes + input.length);
  image.set(input, isoSystemAreaBytes);
  return image;
}

/** A disc that offers something to boot. */
const bootable = makeIso({
  label: "LIVE",
  uuid: "2024-01-02-03-04-05-00",
  files: new Map(
    Object.entries({
      "/boot/grub/loopback.cfg": "menuentry Live {\n linux /vmlinuz iso-scan/filename=$iso_path\n initrd /initrd\n}\n",
      "/isolinux/isolinux.cfg": "default a\nlabel a\nkernel /vmlinuz\n",
      "/vmlinuz": "kernel",
      "/initrd": "initrd",
    }).map(([path, text]) => [path, textOf(text)]),
  ),
});

const fixtures = await Promise.all(iso9660Fixtures.filter(({ bytes }) => bytes < smallImageBytes).map(imageBytes));

/** Images from their first volume descriptor on. */
export const isoImages: readonly Uint8Array[] = [bootable, ...fixtures].map((image) =>
  image.slice(isoSystemAreaBytes, isoSystemAreaBytes + seedBytesMax),
);

const entry = (signature: string, ...content: readonly number[]): Uint8Array =>
  Uint8Array.of(...textOf(signature), content.length + 4, 1, ...content);
const both = (value: number): number[] => [value, 0, 0, 0, 0, 0, 0, value];
const join = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

/** System use areas: names, links, attributes, continuations. */
export const rockRidgeAreas: readonly Uint8Array[] = [
  join(entry("SP", 0xbe, 0xef, 0), entry("PX", ...both(0x81), ...both(1), ...both(0), ...both(0))),
  join(
    entry("NM", 1, ...textOf("long-")),
    entry("NM", 0, ...textOf("name")),
    entry("CE", ...both(3), ...both(0), ...both(32)),
  ),
  join(entry("SL", 1, 8, 0), entry("SL", 0, 0, 3, ...textOf("abc"), 4, 0, 2, 0), entry("NM", 0, ...textOf("link"))),
  join(entry("CL", ...both(20)), entry("RE"), entry("ST")),
];

/** The sections `.hwids` of real images. */
export const hwidsSections: readonly Uint8Array[] = ["board"].map((name) => {
  const bytes = ukiData(name);
  const range = openUki(rangesOf(bytes), bytes.length).sections.find((section) => section.name === ".hwids")?.range;
  return range === undefined ? new Uint8Array() : bytes.slice(range.offset, range.offset + range.length);
});

const board = testData("fdt/base.dtb");

/** Unified kernel images and add-ons, small enough to be changed where it matters. */
export const smallUkis: readonly Uint8Array[] = [
  peImage([
    [".linux", "kernel"],
    [".osrel", 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian"\n'],
    [".cmdline", "root=/dev/sda1 quiet\n"],
    [".uname", "6.1.0-13"],
    [".dtbauto", board],
    [".dtbauto", testData("fdt/base-16.dtb")],
    [".hwids", hwidsSections[0] ?? ""],
    [".dtb", board],
  ]),
  peImage([
    [".linux", "kernel"],
    [".initrd", "initrd"],
    [".profile", "ID=main\nTITLE=Main\n"],
    [".cmdline", "a"],
    [".profile", "ID=rescue\nTITLE=Rescue\n"],
    [".cmdline", "b single"],
  ]),
  peImage([
    [".cmdline", "debug"],
    [".ucode", "x"],
    [".dtb", board],
    [".hwids", hwidsSections[0] ?? ""],
  ]),
];

interface StoredDevice {
  readonly name: string;
  /** Pieces of the device, which stand in the file one after another. */
  readonly extents: readonly (readonly [at: number, length: number])[];
}

/** What stands in front on the devices of test/data/superblock. */
export const superblockHeads: readonly Uint8Array[] = (
  JSON.parse(new TextDecoder().decode(testData("superblock/fixtures.json"))) as readonly StoredDevice[]
).map(({ name, extents }) => {
  const pieces = testData(`superblock/${name}.gz`);
  const head = new Uint8Array(superblockHeadBytes);
  let from = 0;
  let end = 0;
  for (const [at, length] of extents) {
    if (at + length <= head.length) {
      head.set(pieces.subarray(from, from + length), at);
      end = Math.max(end, at + length);
    }
    from += length;
  }
  return head.slice(0, end);
});

/** A network boot image: a header block that loads itself to 9000:0200, and a record of 100 bytes at 1 MiB. */
export const networkBootImage: Uint8Array = withWords(
  new Uint8Array(612),
  ...[
    [0, 0x1b031336],
    [4, 4],
    [8, 0x90000200],
    [12, 0x100000],
    [16, 0x4000004],
    [20, 0x100000],
    [24, 100],
    [28, 200],
  ].map(([at = 0, word = 0]) => [at, word] as const),
);

/** A BeoBoot image with a kernel of Linux's. */
export const beobootImage: Uint8Array = (() => {
  const kernel = bzImageHead();
  const head = Uint8Array.of(...textOf("BeoB"), 1, 1, 6, 0, 0, kernel.length >> 8, 0, 0, 6, 0, 0, 0);
  return join(head, textOf("quiet\0"), kernel, textOf("initrd"));
})();

/** The head of an EFI zboot image of 8 KiB. */
export const zbootImage: Uint8Array = (() => {
  const bytes = withWords(new Uint8Array(8192), [8, 0x1000], [12, 500], [0x38, 0x818223cd], [60, 64]);
  bytes.set(textOf("MZ\0\0zimg"));
  bytes.set(textOf("gzip"), 24);
  return bytes;
})();

/** An archive with a directory, a file, a link. */
export const cpioArchive: Uint8Array = (() => {
  const encoder = new CpioEncoder();
  return join(
    encoder.entry({ type: "directory", name: "bin", permissions: 0o755 }),
    encoder.entry({ type: "file", name: "bin/a", permissions: 0o755, sizeBytes: 5 }),
    textOf("hello"),
    cpioPadding(5),
    encoder.entry({ type: "symlink", name: "bin/b", target: "abcd" }),
    symlinkContent("abcd"),
    encoder.end(),
  );
})();
