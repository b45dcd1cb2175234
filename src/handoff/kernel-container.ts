import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { crc32 } from "node:zlib";
import {
  androidMagicBytes,
  bootconfigTrailer,
  isAndroidBoot,
  isAndroidVendorBoot,
  parseAndroidBoot,
  parseAndroidVendorBoot,
} from "../formats/android-boot.ts";
import { parseBeoboot } from "../formats/beoboot.ts";
import { hex } from "../formats/bytes.ts";
import { bzImageHeadBytesMax, parseBzImage } from "../formats/bzimage.ts";
import { isFdt } from "../formats/fdt.ts";
import { applyOverlays } from "../formats/fdt-overlay.ts";
import { type FitHash, type FitImage, readFit } from "../formats/fit.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import { foreignPeArchitecture, type KernelKind } from "../formats/kernel-kind.ts";
import type { ByteRange } from "../formats/ranges.ts";
import { readUki } from "../formats/uki.ts";
import type { FileRange, System } from "../linux/system.ts";
import { chunksOf, readRangeOf } from "../machine/file-range.ts";
import { MemoryFile } from "../trust/memory-file.ts";
import { type Compression, type DecompressOptions, decompress } from "./decompress.ts";
import { KernelFileError } from "./kernel-file-error.ts";
import { appendRange } from "./whole-file.ts";

/** Bytes of a device tree, unwrapped. */
const devicetreeBytesMax = 1 << 23;

/** What a container (a UKI, a FIT image) brings besides its kernel. */
export interface Enclosed {
  readonly initrds: readonly FileRange[];
  readonly commandLine: string | null;
  readonly devicetree: FileRange | null;
}

/** What is in a container. */
export interface Contents {
  /** The kernel, perhaps wrapped. */
  readonly kernel: FileRange;
  /** How the container says that it is wrapped; null: it does not say. */
  readonly compression: Compression | "none" | null;
  /** Linux's name of the architecture that the container says it is for; null: it does not say, or x86. */
  readonly foreignArchitecture: string | null;
  readonly enclosed: Enclosed;
  readonly remarks: readonly string[];
}

/** A container that is being opened. */
export interface OpenedFile {
  readonly system: System;
  /** What has to stay open as long as the contents are used. */
  readonly keeper: DisposableStack;
  readonly range: FileRange;
  /** For messages. */
  readonly name: string;
  /** Which of several things in it; null: what it boots by default. */
  readonly part: string | null;
  /** Files that belong to it. */
  readonly companions: readonly FileRange[];
}

type Opener = (file: OpenedFile) => Contents | Promise<Contents>;

const openers: Partial<Readonly<Record<KernelKind, Opener>>> = {
  uki: openUki,
  "beoboot-x86": openBeoboot,
  fit: openFit,
  "android-boot": openAndroid,
};

/** Opens a container. Throws KernelFileError, DecompressError, or what reading throws. */
export async function openContainer(kind: KernelKind, file: OpenedFile): Promise<Contents> {
  const open = openers[kind];
  if (open === undefined) throw new KernelFileError(`${file.name}: a container expected, not ${kind}`);
  try {
    return await open(file);
  } catch (error) {
    if (error instanceof FormatError) throw new KernelFileError(`${file.name}: ${error.message}`, { cause: error });
    throw error;
  }
}

function partOf(file: FileRange, { offset, length }: ByteRange): FileRange {
  return { fd: file.fd, offset: file.offset + offset, length };
}

function openUki({ range, name, part }: OpenedFile): Contents {
  const profile = part === null ? "0" : /^@([0-9]{1,3})$/.exec(part)?.[1];
  if (profile === undefined) {
    throw new KernelFileError(`${name}: "@" and the number of a profile expected, not ${quote(part ?? "")}`);
  }
  const uki = readUki(readRangeOf(range), range.length, Number(profile));
  // Microcode has to come first: the kernel looks for it at the very start of the initrd.
  const initrds = [uki.ucode, uki.initrd].filter((each) => each !== null);
  return {
    kernel: partOf(range, uki.linux),
    compression: null,
    foreignArchitecture: foreignPeArchitecture(uki.machine),
    enclosed: {
      initrds: initrds.map((each) => partOf(range, each)),
      commandLine: uki.commandLine,
      devicetree: uki.devicetree === null ? null : partOf(range, uki.devicetree),
    },
    remarks: [],
  };
}

function openBeoboot({ range, name, part }: OpenedFile): Contents {
  if (part !== null) throw new KernelFileError(`${name} is a beoboot-x86, which has no part ${quote(part)}`);
  const image = parseBeoboot(readRangeOf(range), range.length);
  return {
    kernel: partOf(range, image.kernel),
    compression: null,
    foreignArchitecture: null,
    enclosed: {
      initrds: image.initrd === null ? [] : [partOf(range, image.initrd)],
      commandLine: image.commandLine,
      devicetree: null,
    },
    remarks: [],
  };
}

/** As U-Boot names them; the others' names are Linux's. */
const x86Architectures: readonly string[] = ["x86", "x86_64"];

async function openFit(file: OpenedFile): Promise<Contents> {
  const { range, name, part } = file;
  const configuration = readFit(readRangeOf(range), range.length, part);
  const { kernel, ramdisk, setup, devicetrees } = configuration;
  for (const image of [kernel, setup, ramdisk, ...devicetrees]) if (image !== null) await checkHashes(file, image);
  const remarks = configuration.isSigned
    ? [`the signatures inside ${name} (${configuration.name}) are not judged; its checksums are right`]
    : [];
  return {
    kernel: setup === null ? partOf(range, kernel.data) : joinBzImage(file, setup, kernel),
    compression: setup === null ? kernel.compression : null,
    foreignArchitecture: x86Architectures.includes(kernel.architecture ?? "x86") ? null : kernel.architecture,
    enclosed: {
      initrds: ramdisk === null ? [] : [partOf(range, ramdisk.data)],
      commandLine: null,
      devicetree: await joinDevicetrees(file, devicetrees),
    },
    remarks,
  };
}

/** Digests that are not CRC-32 have the same names in the runtime. */
async function checkHashes({ range, name }: OpenedFile, image: FitImage): Promise<void> {
  for (const hash of image.hashes) {
    const actual = await digestOf(partOf(range, image.data), hash);
    if (actual === hex(hash.value)) continue;
    throw new KernelFileError(
      `${name}: ${hash.node}: ${hash.algorithm} ${hex(hash.value)} expected of ${quote(image.name)}, not ${actual}`,
    );
  }
}

async function digestOf(range: FileRange, { algorithm }: FitHash): Promise<string> {
  if (algorithm === "crc32") {
    let value = 0;
    for (const chunk of chunksOf(range)) {
      value = crc32(chunk, value);
      await setImmediate();
    }
    return value.toString(16).padStart(8, "0");
  }
  const digest = createHash(algorithm);
  for (const chunk of chunksOf(range)) {
    digest.update(chunk);
    await setImmediate();
  }
  return digest.digest("hex");
}

const sectorBytes = 512;

/**
 * The two parts of an x86 kernel as one bzImage: what its build makes of `setup.bin` and `vmlinux.bin`. The real-mode part
 * fills whole sectors, and its header tells how many they are and how large the other is.
 */
function joinBzImage({ system, keeper, range, name }: OpenedFile, setup: FitImage, kernel: FitImage): FileRange {
  for (const { name: image, compression } of [setup, kernel]) {
    if (compression !== "none") {
      throw new KernelFileError(`${name}: compression "none" expected of ${quote(image)}, as it has real-mode code`);
    }
  }
  const read = readRangeOf(partOf(range, setup.data));
  const sectors = Math.ceil(setup.data.length / sectorBytes);
  const head = new Uint8Array(sectors * sectorBytes);
  if (head.length > bzImageHeadBytesMax) {
    throw new KernelFileError(
      `${name}: ${quote(setup.name)} has ${head.length} bytes, at most ${bzImageHeadBytesMax} are taken`,
    );
  }
  head.set(read(0, setup.data.length));
  parseBzImage(head);
  const view = new DataView(head.buffer);
  view.setUint8(0x1f1, sectors - 1);
  view.setUint32(0x1f4, Math.ceil(kernel.data.length / 16), true);
  const memory = keeper.use(new MemoryFile(system, "bzImage"));
  memory.append(head);
  appendRange(memory, partOf(range, kernel.data));
  memory.seal();
  return { fd: memory.fd, offset: 0, length: memory.size };
}

/** The first tree with the others applied to it. */
async function joinDevicetrees(file: OpenedFile, images: readonly FitImage[]): Promise<FileRange | null> {
  const [first] = images;
  if (first === undefined) return null;
  if (images.length === 1 && first.compression === "none") return partOf(file.range, first.data);
  const trees: Uint8Array[] = [];
  for (const image of images) trees.push(await readDevicetree(file, image));
  const [base = new Uint8Array(0), ...overlays] = trees;
  return keep(file, "devicetree", overlays.length === 0 ? base : applyOverlays(base, overlays));
}

async function readDevicetree(file: OpenedFile, image: FitImage): Promise<Uint8Array> {
  const range = partOf(file.range, image.data);
  if (image.compression !== "none") {
    const options: DecompressOptions = { bytesMax: devicetreeBytesMax };
    using memory = await decompress(file.system, range, image.compression, image.name, options);
    return readRangeOf({ fd: memory.fd, offset: 0, length: memory.size })(0, memory.size);
  }
  if (range.length > devicetreeBytesMax) {
    throw new KernelFileError(
      `${file.name}: ${quote(image.name)} has ${range.length} bytes, at most ${devicetreeBytesMax} are taken`,
    );
  }
  return readRangeOf(range)(0, range.length);
}

/** Bytes as a file of their own. */
function keep({ system, keeper }: OpenedFile, name: string, ...parts: readonly Uint8Array[]): FileRange {
  const memory = keeper.use(new MemoryFile(system, name));
  for (const bytes of parts) memory.append(bytes);
  memory.seal();
  return { fd: memory.fd, offset: 0, length: memory.size };
}

/**
 * Ramdisks and command line come from the image, from a vendor boot image and from an image of the generic ramdisk
 * (init_boot) among the companions: the vendor's ramdisks, the generic one, boot configuration.
 */
function openAndroid(file: OpenedFile): Contents {
  const { range, name, part } = file;
  if (part !== null) throw new KernelFileError(`${name} is an android-boot, which has no part ${quote(part)}`);
  const image = parseAndroidBoot(readRangeOf(range), range.length);
  if (image.kernel === null) throw new KernelFileError(`${name}: a kernel expected in the android-boot, found none`);
  const remarks: string[] = [];
  if (image.second !== null) remarks.push(`the second boot loader in ${name} is left out`);
  const vendor = findCompanion(file, isAndroidVendorBoot);
  const generic = image.ramdisk === null ? findCompanion(file, isAndroidBoot) : null;
  if (image.version >= 3 && vendor === null) {
    remarks.push(
      `${name} is for a device whose own part (vendor_boot) is not there: its ramdisk and options are missing`,
    );
  }
  const initrds: FileRange[] = [];
  const commandLines = [image.commandLine];
  let devicetree = image.devicetree === null ? null : partOf(range, image.devicetree);
  let bootconfig: FileRange[] = [];
  if (vendor !== null) {
    const added = parseAndroidVendorBoot(readRangeOf(vendor), vendor.length);
    // The recovery system has ramdisks of its own.
    const used = added.ramdisks.filter(({ type }) => type !== "recovery");
    initrds.push(...used.map((each) => partOf(vendor, each.range)));
    commandLines.push(added.commandLine);
    devicetree = added.devicetree === null ? devicetree : partOf(vendor, added.devicetree);
    if (added.bootconfig !== null) bootconfig = [bootconfigFile(file, partOf(vendor, added.bootconfig))];
  }
  if (image.ramdisk !== null) initrds.push(partOf(range, image.ramdisk));
  if (generic !== null) {
    const added = parseAndroidBoot(readRangeOf(generic), generic.length);
    if (added.ramdisk !== null) initrds.push(partOf(generic, added.ramdisk));
  }
  return {
    kernel: partOf(range, image.kernel),
    compression: null,
    foreignArchitecture: null,
    enclosed: {
      initrds: [...initrds, ...bootconfig],
      commandLine: commandLines.filter((line) => line !== "").join(" "),
      devicetree: singleDevicetree(devicetree, name, remarks),
    },
    remarks,
  };
}

function findCompanion({ companions }: OpenedFile, isWanted: (head: Uint8Array) => boolean): FileRange | null {
  return companions.find((each) => isWanted(readRangeOf(each)(0, androidMagicBytes))) ?? null;
}

function bootconfigFile(file: OpenedFile, range: FileRange): FileRange {
  const bytes = readRangeOf(range)(0, range.length);
  return keep(file, "bootconfig", bytes, bootconfigTrailer(bytes));
}

/** Where several trees stand behind each other, the device's own loader knows which is the board's. */
function singleDevicetree(range: FileRange | null, name: string, remarks: string[]): FileRange | null {
  if (range === null) return null;
  const head = readRangeOf(range)(0, 8);
  const bytes = isFdt(head) && head.length === 8 ? new DataView(head.buffer).getUint32(4) : 0;
  if (bytes === range.length) return range;
  remarks.push(`the device trees that go with ${name} are left out: which is the board's is not known`);
  return null;
}
