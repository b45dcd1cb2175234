import { parseAndroidBoot, parseAndroidVendorBoot } from "../../src/formats/android-boot.ts";
import { parseBeoboot } from "../../src/formats/beoboot.ts";
import { isBzImage, parseBzImage } from "../../src/formats/bzimage.ts";
import { unpackBzip2 } from "../../src/formats/compression/bzip2.ts";
import { unpackLz4 } from "../../src/formats/compression/lz4.ts";
import { unpackLzma } from "../../src/formats/compression/lzma.ts";
import { unpackLzo } from "../../src/formats/compression/lzo.ts";
import { unpackXz } from "../../src/formats/compression/xz.ts";
import { checkZstdFrames } from "../../src/formats/compression/zstd-frames.ts";
import { readCpio } from "../../src/formats/cpio.ts";
import { efiText, parseEfiVariable } from "../../src/formats/efi-variable.ts";
import { readElf } from "../../src/formats/elf.ts";
import { readElfImage } from "../../src/formats/elf-image.ts";
import { readFdt } from "../../src/formats/fdt.ts";
import { fdtCompatible } from "../../src/formats/fdt-compatible.ts";
import { applyOverlay, applyOverlays } from "../../src/formats/fdt-overlay.ts";
import { isFit, readFit, readFitContents } from "../../src/formats/fit.ts";
import { fileTypes } from "../../src/formats/grub/file-type.ts";
import { computerHardwareIds, matchDevice, parseHwids, unknownMachine } from "../../src/formats/hardware-ids.ts";
import { type Iso9660Node, readIso9660, readIso9660Directory } from "../../src/formats/iso9660.ts";
import { recognizeKernel, recognizeWrapping } from "../../src/formats/kernel-kind.ts";
import { kernelVersion } from "../../src/formats/kernel-version.ts";
import { readLvm2PhysicalVolume } from "../../src/formats/lvm2-metadata.ts";
import { parseMinisignPublicKey, parseMinisignSignature } from "../../src/formats/minisign.ts";
import { findMultiboot } from "../../src/formats/multiboot.ts";
import { findMultiboot2 } from "../../src/formats/multiboot2.ts";
import { parseNbi } from "../../src/formats/nbi.ts";
import { readPartitionTable } from "../../src/formats/partition-table.ts";
import { readPe } from "../../src/formats/pe.ts";
import { rangesOf } from "../../src/formats/ranges.ts";
import { readRockRidge, systemUseSkip } from "../../src/formats/rock-ridge.ts";
import { parseDmRaidSuperblock } from "../../src/formats/superblock/dm-raid.ts";
import { readRaidMember } from "../../src/formats/superblock/linux-raid.ts";
import { ProbedDevice } from "../../src/formats/superblock/probe.ts";
import { probeSuperblock } from "../../src/formats/superblock/table.ts";
import { parseAuxiliaryData } from "../../src/formats/syslinux/auxiliary-data.ts";
import { parseUevent } from "../../src/formats/uevent.ts";
import { joinUkiCommandLines, openUki, readAddon, readUki, readUkiProfile, ukiSystem } from "../../src/formats/uki.ts";
import { chooseDevicetree, type MachineIdentity } from "../../src/formats/uki-devicetree.ts";
import { parseZboot } from "../../src/formats/zboot.ts";
import { testData } from "../fakes/tree-data.ts";
import type { FuzzTarget } from "./engine.ts";
import {
  beobootImage,
  cpioArchive,
  hwidsSections,
  isoImages,
  isoOf,
  isoSystemAreaBytes,
  networkBootImage,
  rockRidgeAreas,
  smallUkis,
  superblockHeads,
  zbootImage,
} from "./image-seeds.ts";
import { physicalVolumes, raidSuperblocks } from "./layer-seeds.ts";
import { mendAuxiliaryData, mendLzo, mendPhysicalVolume, mendRaidSuperblock } from "./mend.ts";
import { binaryTarget, deviceOf, grade, isFormatError, seedsOf, textOf, throwsNothing } from "./target-kinds.ts";

/** Most bytes that a decoder may give in a run. */
const outputBytesMax = 1 << 20;
/** The same for those that make room for a whole block at once. */
const smallOutputBytesMax = 1 << 17;

/** Runs a decoder to its end; what came out is counted. */
function drain(chunks: Iterable<Uint8Array>): string {
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  return String(Math.ceil(Math.log2(bytes + 1)));
}

/** What tells two results apart, roughly: which of their fields hold something, and how often. */
function shown(result: object): string {
  return Object.values(result)
    .map((value) =>
      Array.isArray(value) ? value.length : typeof value === "string" ? value.length > 0 : value !== null,
    )
    .join();
}

/** Larger than what any seed says of itself. */
const probedDeviceBytes = 2 ** 36;

const word = (value: number): Uint8Array => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
const fdtTokens = [
  ...[0xd00dfeed, 1, 2, 3, 4, 9].map(word),
  ...[
    "compatible\0",
    "__overlay__\0",
    "target-path\0",
    "__fixups__\0",
    "phandle\0",
    "__local_fixups__\0",
    "fragment@0\0",
  ],
  ...["/images\0", "configurations\0", "default\0", "kernel\0", "data-size\0", "hash-1\0", "sha256\0", "__symbols__\0"],
];
const baseTree = testData("fdt/base.dtb");
const overlayTrees = [testData("fdt/overlay-1.dtb"), testData("fdt/overlay-2.dtb")];

const ukiTokens = [
  ".linux\0\0",
  ".cmdline",
  ".profile",
  ".osrel\0\0",
  ".dtbauto",
  ".hwids\0\0",
  ".ucode\0\0",
  ".initrd\0",
];
const machineIds = computerHardwareIds({ ...unknownMachine, manufacturer: "LENOVO", productName: "20ARS19C0C" });
const machines: readonly MachineIdentity[] = [
  { compatible: "acme,board", hardwareIds: new Map() },
  { compatible: null, hardwareIds: machineIds },
];

/** A superblock of the device mapper's RAID target: magic, features, devices, position, events. */
const dmRaidSuperblock = Uint8Array.from({ length: 512 }, (_, at) => [0x44, 0x6d, 0x52, 0x64, 1, 0, 0, 0, 4][at] ?? 0);

const auxiliaryData = mendAuxiliaryData(
  Uint8Array.from({ length: 1024 }, (_, at) => [...textOf("\x01\x05linux\x02\x03abc")][at - 520] ?? 0),
);

const fileTypeSeeds = [
  ...seedsOf("kernel-image", /\.gz$/),
  ...seedsOf("bzimage", /\.gz$/),
  ...seedsOf("partition-table", /fat-boot-sector\.gz$/),
];

/** Parsers of bytes. */
export const binaryTargets: readonly FuzzTarget[] = [
  binaryTarget("ELF", seedsOf("elf", /\.gz$/), ["\x7fELF"], (bytes) => Object.keys(readElf(rangesOf(bytes))).length),
  binaryTarget(
    "ELF kernel",
    seedsOf("kernel-image", /vmlinux/),
    ["\x7fELF"],
    (bytes) => readElfImage(rangesOf(bytes), bytes.length).type,
  ),
  binaryTarget(
    "PE",
    [...seedsOf("kernel-image", /pe|uki/), ...smallUkis],
    ["PE\0\0", "MZ", ".linux"],
    (bytes) => readPe(rangesOf(bytes), bytes.length).sections.length,
  ),
  binaryTarget("UKI", smallUkis, [".linux\0\0", ".cmdline", ".profile", ".osrel\0\0"], (bytes) => {
    const uki = readUki(rangesOf(bytes), bytes.length);
    return [uki.profiles.length, uki.sections.length].join();
  }),
  binaryTarget("bzImage", seedsOf("bzimage", /\.gz$/), ["HdrS", "\x55\xaa"], (bytes) =>
    [isBzImage(bytes), parseBzImage(bytes).protocol].join(),
  ),
  binaryTarget(
    "multiboot",
    seedsOf("kernel-image", /multiboot/),
    [Uint8Array.of(2, 0xb0, 0xad, 0x1b)],
    (bytes) => findMultiboot(bytes) === null,
  ),
  binaryTarget(
    "Multiboot2",
    seedsOf("kernel-image", /multiboot2/),
    [Uint8Array.of(0xd6, 0x50, 0x52, 0xe8)],
    (bytes) => findMultiboot2(bytes)?.architecture,
  ),
  binaryTarget("NBI", [networkBootImage], [Uint8Array.of(0x36, 0x13, 0x03, 0x1b)], (bytes) =>
    parseNbi(rangesOf(bytes), bytes.length),
  ),
  binaryTarget("BeoBoot", [beobootImage], ["BeoB"], (bytes) => parseBeoboot(rangesOf(bytes), bytes.length)),
  binaryTarget(
    "zboot",
    [zbootImage],
    ["zimg", "gzip", "zstd22"],
    (bytes) => parseZboot(bytes, bytes.length).compression.length,
  ),
  binaryTarget(
    "kernel kind",
    [...seedsOf("kernel-image", /\.gz$/), ...seedsOf("bzimage", /\.gz$/)],
    ["MZ", "HdrS", "\x7fELF", "ARM\x64", "BZh91AY"],
    (bytes) => [recognizeWrapping(bytes.subarray(0, 64)), recognizeKernel(rangesOf(bytes), bytes.length)].join(),
  ),
  binaryTarget("xz", seedsOf("compression", /\.xz$/), [], (bytes) =>
    drain(unpackXz(rangesOf(bytes), bytes.length, outputBytesMax)),
  ),
  binaryTarget("lzma", seedsOf("compression", /\.lzma$/), [], (bytes) =>
    drain(unpackLzma(rangesOf(bytes), bytes.length, outputBytesMax)),
  ),
  binaryTarget(
    "zstd frames",
    seedsOf("compression", /\.zst$/),
    [],
    (bytes) => checkZstdFrames(rangesOf(bytes), bytes.length) > 0,
  ),
  binaryTarget("cpio", [cpioArchive], ["070701", "070702", "TRAILER!!!"], (bytes) => readCpio(bytes).entries.length),
  binaryTarget(
    "minisign",
    seedsOf("minisign", /minisig$|\.pub$/),
    ["untrusted comment: ", "trusted comment: "],
    (bytes) => {
      try {
        return parseMinisignSignature(bytes);
      } catch (error) {
        if (!isFormatError(error)) throw error;
        return parseMinisignPublicKey(bytes);
      }
    },
  ),
  binaryTarget(
    "uevent",
    [textOf("add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=block\0")],
    ["@", "\0", "="],
    (bytes) => Object.keys(parseUevent(bytes)).length,
  ),
  binaryTarget(
    "partition table",
    seedsOf("partition-table", /\.gz$/),
    ["EFI PART", "\x55\xaa"],
    async (bytes) => (await readPartitionTable(deviceOf(bytes), BigInt(bytes.length), 512)).partitions.length,
  ),
  binaryTarget(
    "superblock",
    superblockHeads,
    ["XFSB", "_BHRfS_M", "hsqs", "LUKS", "FSVOL", "SWAPSPACE2", "NTFS    ", "FAT32   ", "EXFAT   "],
    async (bytes) => (await probeSuperblock(deviceOf(bytes, probedDeviceBytes), BigInt(probedDeviceBytes)))?.type,
  ),
  binaryTarget(
    "superblock of a small device",
    seedsOf("superblock", /\.gz$/),
    ["XFSB", "_BHRfS_M", "hsqs", "LUKS"],
    async (bytes) => (await probeSuperblock(deviceOf(bytes), BigInt(bytes.length)))?.type,
  ),
  binaryTarget(
    "lz4",
    seedsOf("compression", /\.lz4$/),
    [Uint8Array.of(4, 0x22, 0x4d, 0x18), Uint8Array.of(2, 0x21, 0x4c, 0x18), Uint8Array.of(0x50, 0x2a, 0x4d, 0x18)],
    (bytes) => drain(unpackLz4(rangesOf(bytes), bytes.length, smallOutputBytesMax)),
  ),
  binaryTarget(
    "bzip2",
    seedsOf("compression", /(?:empty|small|random|zeroes|text)\.bz2$/),
    ["BZh9", Uint8Array.of(0x31, 0x41, 0x59, 0x26, 0x53, 0x59), Uint8Array.of(0x17, 0x72, 0x45, 0x38, 0x50, 0x90)],
    (bytes) => drain(unpackBzip2(rangesOf(bytes), bytes.length, smallOutputBytesMax)),
  ),
  {
    ...binaryTarget("lzo", seedsOf("compression", /\.lzo$/), [Uint8Array.of(0x89, 0x4c, 0x5a, 0x4f)], (bytes) =>
      drain(unpackLzo(rangesOf(bytes), bytes.length, smallOutputBytesMax)),
    ),
    mend: mendLzo,
  },
  binaryTarget("device tree", [...seedsOf("fdt", /\.dtb$/), ...seedsOf("fit", /\.gz$/)], fdtTokens, (bytes) => {
    const { root, reservations } = readFdt(rangesOf(bytes), bytes.length);
    return [root.children.size, root.properties.size, reservations.length].join();
  }),
  binaryTarget("board name", seedsOf("fdt", /\.dtb$/), fdtTokens, (bytes) =>
    fdtCompatible(rangesOf(bytes), { offset: 0, length: bytes.length }),
  ),
  binaryTarget(
    "overlay",
    seedsOf("fdt", /overlay.*\.dtb$/),
    fdtTokens,
    (bytes) => applyOverlay(baseTree, bytes).length,
  ),
  binaryTarget(
    "overlaid tree",
    seedsOf("fdt", /base.*\.dtb$/),
    fdtTokens,
    (bytes) => applyOverlays(bytes, overlayTrees).length,
  ),
  binaryTarget("FIT", seedsOf("fit", /\.gz$/), fdtTokens, (bytes) => {
    const read = rangesOf(bytes);
    if (!isFit(read, bytes.length)) return "none";
    const { configurations, defaultName } = readFitContents(read, bytes.length);
    const part = configurations.length === 0 ? null : `#${configurations.map(({ name }) => name).join("#")}`;
    const { devicetrees, isSigned } = readFit(read, bytes.length, defaultName === null ? part : null);
    return [configurations.length, devicetrees.length, isSigned].join();
  }),
  binaryTarget("Android boot", seedsOf("android", /^(?:v\d|init).*\.gz$/), ["ANDROID!", "bootconfig"], (bytes) =>
    shown(parseAndroidBoot(rangesOf(bytes), bytes.length)),
  ),
  binaryTarget("Android vendor boot", seedsOf("android", /^vendor.*\.gz$/), ["VNDRBOOT"], (bytes) =>
    shown(parseAndroidVendorBoot(rangesOf(bytes), bytes.length)),
  ),
  {
    ...binaryTarget(
      "kernel version",
      [
        ...seedsOf("kernel-image", /\.gz$/),
        ...seedsOf("bzimage", /\.gz$/),
        ...seedsOf("android", /^v.*\.gz$/),
        textOf("MZ Linux version 6.1.0-13-amd64 (x@y) #1 SMP"),
      ],
      ["Linux version ", "6.1.0", "HdrS", "\x7fELF", "MZ"],
      (bytes) =>
        [kernelVersion(rangesOf(bytes), bytes.length), kernelVersion(rangesOf(bytes), bytes.length, "@1")].join(),
    ),
    ...throwsNothing,
  },
  binaryTarget("EFI variable", [Uint8Array.of(7, 0, 0, 0, 0x61, 0, 0x62, 0, 0, 0)], [Uint8Array.of(0, 0xd8)], (bytes) =>
    grade(efiText(parseEfiVariable(bytes).data).length),
  ),
  binaryTarget(
    "hardware ids",
    hwidsSections,
    [Uint8Array.of(0x1c, 0, 0, 0x10), Uint8Array.of(0x1c, 0, 0, 0x20)],
    (bytes) => {
      const devices = parseHwids(bytes);
      return [devices.length, matchDevice(devices, "devicetree", machineIds) !== null].join();
    },
  ),
  binaryTarget("UKI profiles", smallUkis, ukiTokens, (bytes) => {
    const read = rangesOf(bytes);
    const uki = openUki(read, bytes.length);
    return uki.profiles.map((_, number) => grade(readUkiProfile(read, uki, number).commandLine?.length ?? 0)).join();
  }),
  {
    ...binaryTarget("UKI add-on", smallUkis, ukiTokens, (bytes) => {
      const addon = readAddon(rangesOf(bytes), bytes.length);
      const joined = joinUkiCommandLines({ commandLine: "a" }, [addon]);
      return [grade(joined.length), addon.commandLine === null, addon.initrd === null].join();
    }),
  },
  binaryTarget("UKI device trees", smallUkis, [...ukiTokens, ...fdtTokens], (bytes) => {
    const read = rangesOf(bytes);
    const image = readUki(read, bytes.length);
    const problems: string[] = [];
    return machines
      .map((machine) => chooseDevicetree(read, image, machine, (problem) => problems.push(problem))?.reason)
      .concat(problems)
      .join();
  }),
  binaryTarget("UKI system", smallUkis, ukiTokens, (bytes) => {
    const { osRelease } = readUki(rangesOf(bytes), bytes.length);
    return osRelease === null ? null : ukiSystem(osRelease)?.title;
  }),
  binaryTarget("ISO 9660", isoImages, ["RR", "NM", "SL", "CE", "CL", "\x01CD001\x01", "%/E"], async (bytes) => {
    const read = deviceOf(isoOf(bytes));
    const layout = await readIso9660(read, BigInt(isoSystemAreaBytes + bytes.length));
    const counts: number[] = [];
    let directories = [layout.root];
    // As deep as the parser's caller would go for a short path.
    for (let depth = 0; depth < 4 && directories.length > 0; depth++) {
      const listed: Iso9660Node[] = [];
      for (const directory of directories.slice(0, 8)) {
        if (directory.refusal === null) listed.push(...(await readIso9660Directory(read, layout, directory)));
      }
      counts.push(listed.length);
      directories = listed.filter(({ type }) => type === "directory");
    }
    return `${layout.names} ${counts.join()}`;
  }),
  binaryTarget("Rock Ridge", rockRidgeAreas, ["NM", "SL", "CE", "CL", "PX", "RE", "SP", "ST"], async (bytes) => {
    const { name, target, mode } = await readRockRidge(bytes, async (_, offset, length) =>
      bytes.subarray(offset % 256, (offset % 256) + length),
    );
    return [systemUseSkip(bytes), grade(name?.length ?? 0), grade(target?.length ?? 0), mode === null].join();
  }),
  {
    ...binaryTarget("LVM2 physical volume", physicalVolumes, ["LABELONE", "LVM2 001"], async (bytes) => {
      const volume = await readLvm2PhysicalVolume(deviceOf(bytes), BigInt(bytes.length));
      return [volume?.uuid, volume?.group?.logical.size, volume?.problems.length].join();
    }),
    mend: mendPhysicalVolume,
  },
  {
    ...binaryTarget("RAID superblock", raidSuperblocks, [Uint8Array.of(0xfc, 0x4e, 0x2b, 0xa9)], async (bytes) => {
      const deviceBytes = 1 << 28;
      const device = await ProbedDevice.open(deviceOf(bytes, deviceBytes), BigInt(deviceBytes));
      const member = await readRaidMember(device);
      return [member?.version, member?.level, member?.roles.length].join();
    }),
    mend: mendRaidSuperblock,
  },
  binaryTarget("dm-raid superblock", [dmRaidSuperblock], ["DmRd"], (bytes) => {
    const parsed = parseDmRaidSuperblock(bytes);
    return parsed === null ? null : [parsed.position > 4, parsed.failed > 0n, parsed.isRecovered].join();
  }),
  {
    ...binaryTarget("ldlinux.sys", [new Uint8Array(1024), auxiliaryData], [], (bytes) => {
      const parsed = parseAuxiliaryData(bytes);
      return [grade(parsed?.once?.length ?? 0), grade(parsed?.saved?.length ?? 0)].join();
    }),
    mend: mendAuxiliaryData,
  },
  {
    ...binaryTarget("GRUB's file types", fileTypeSeeds, ["MZ", "PE\0\0", "\x7fELF", "HdrS", "hibr"], async (bytes) => {
      const read = async (position: number, length: number): Promise<Uint8Array> =>
        bytes.subarray(position, position + length);
      const types: string[] = [];
      for (const [name, test] of fileTypes) {
        if (typeof test !== "string" && (await test(read, bytes.length))) types.push(name);
      }
      return types.join();
    }),
    ...throwsNothing,
  },
];
