import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { parseConfig } from "../../src/boot/config.ts";
import { parseBeoboot } from "../../src/formats/beoboot.ts";
import { parseBls, parseEntryFileName } from "../../src/formats/bls.ts";
import { isBzImage, parseBzImage } from "../../src/formats/bzimage.ts";
import { joinWords, splitCommandLine } from "../../src/formats/cmdline.ts";
import { unpackLzma } from "../../src/formats/compression/lzma.ts";
import { unpackXz } from "../../src/formats/compression/xz.ts";
import { checkZstdFrames } from "../../src/formats/compression/zstd-frames.ts";
import { readCpio } from "../../src/formats/cpio.ts";
import { readElf } from "../../src/formats/elf.ts";
import { readElfImage } from "../../src/formats/elf-image.ts";
import { FormatError } from "../../src/formats/format-error.ts";
import { globMatches, parseGlob } from "../../src/formats/glob.ts";
import { parseEnvironment } from "../../src/formats/grub/environment.ts";
import { evaluateGrubConfig } from "../../src/formats/grub/evaluate.ts";
import { parseIomem } from "../../src/formats/iomem.ts";
import { recognizeKernel, recognizeWrapping } from "../../src/formats/kernel-kind.ts";
import { parseLoaderConf } from "../../src/formats/loader-conf.ts";
import { parseMinisignPublicKey, parseMinisignSignature } from "../../src/formats/minisign.ts";
import { findMultiboot } from "../../src/formats/multiboot.ts";
import { findMultiboot2 } from "../../src/formats/multiboot2.ts";
import { parseNbi } from "../../src/formats/nbi.ts";
import { parseOsRelease } from "../../src/formats/os-release.ts";
import { readPartitionTable } from "../../src/formats/partition-table.ts";
import { readPe } from "../../src/formats/pe.ts";
import { rangesOf } from "../../src/formats/ranges.ts";
import type { ReadAt } from "../../src/formats/read-at.ts";
import { probeSuperblock } from "../../src/formats/superblock/table.ts";
import { parseUevent } from "../../src/formats/uevent.ts";
import { readUki } from "../../src/formats/uki.ts";
import { compareVersions } from "../../src/formats/version-order.ts";
import { parseZboot } from "../../src/formats/zboot.ts";
import { memoryGrubHost } from "../fakes/memory-grub-host.ts";
import type { FuzzTarget } from "./engine.ts";

const data = path.resolve(import.meta.dirname, "../data");
/** Longest real input that is taken for a seed, bytes. */
const seedBytesMax = 1 << 16;

/** The files of a directory below test/data, unpacked where their names end in `.gz`; large ones are cut. */
function seedsOf(directory: string, accept: RegExp = /./): Uint8Array[] {
  const at = path.join(data, directory);
  return readdirSync(at, { withFileTypes: true })
    .filter((file) => file.isFile() && accept.test(file.name))
    .map(({ name }) => {
      const bytes = readFileSync(path.join(at, name));
      return Uint8Array.from((name.endsWith(".gz") ? gunzipSync(bytes) : bytes).subarray(0, seedBytesMax));
    });
}

const textOf = (text: string): Uint8Array => new TextEncoder().encode(text);
/** What a finder hands to a parser: bytes that were decoded. */
const decode = (bytes: Uint8Array): string => new TextDecoder("utf-8").decode(bytes);

const isFormatError = (error: unknown): boolean => error instanceof FormatError;

function textTarget(
  name: string,
  seeds: readonly Uint8Array[],
  tokens: readonly string[],
  run: (text: string) => unknown,
): FuzzTarget {
  return { name, seeds, tokens, text: true, run: (bytes) => run(decode(bytes)), isExpected: isFormatError };
}

function binaryTarget(
  name: string,
  seeds: readonly Uint8Array[],
  tokens: readonly (string | Uint8Array)[],
  run: (bytes: Uint8Array) => unknown,
): FuzzTarget {
  return { name, seeds, tokens, text: false, run, isExpected: isFormatError };
}

/** A device that is a byte array. */
function readAtOf(bytes: Uint8Array): ReadAt {
  return async (offset, length) => bytes.slice(Number(offset), Number(offset) + length);
}

/** Most bytes that a decoder may give in a run. */
const outputBytesMax = 1 << 20;

/** Runs a decoder to its end; what came out is counted. */
function drain(chunks: Iterable<Uint8Array>): string {
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  return String(Math.ceil(Math.log2(bytes + 1)));
}

const grubHost = memoryGrubHost({
  "hd0,gpt2": {
    fsUuid: "1111-2222",
    label: "root",
    filesystem: "ext2",
    partitionMap: "gpt",
    files: {
      "/grub.cfg": "",
      "/vmlinuz": "",
      "/initrd": "",
      "/boot/vmlinuz-6.1": "",
      "/other.cfg": "menuentry x { linux /vmlinuz }",
    },
  },
});

const grubTokens = [
  ..."if then else elif fi for in do done while until function menuentry submenu set unset export source configfile".split(
    " ",
  ),
  ..."search --set=root --file --label --fs-uuid linux initrd load_env save_env [ ] ! -a -o -f -d -n -z = != -eq".split(
    " ",
  ),
  ..."test regexp --set eval return break continue shift setparams blscfg loopback multiboot2 module2 devicetree".split(
    " ",
  ),
  ...[
    "{",
    "}",
    "$x",
    "$" + "{y}",
    "$@",
    "$*",
    "$1",
    "$?",
    "(",
    ")",
    ";",
    "&&",
    "||",
    '"',
    "'",
    "\\",
    "(hd0,gpt2)/",
    "*",
    "\\\n",
  ],
];

/** Every parser that reads what a disk, a server or an operator wrote. */
export const fuzzTargets: readonly FuzzTarget[] = [
  textTarget(
    "bls",
    seedsOf("bls", /\.conf$/),
    ["title", "linux", "initrd", "options", "sort-key", "#", "\t"],
    (text) => {
      const entry = parseBls(text);
      return [entry.initrd.length, entry.linux !== null, entry.version !== null].join();
    },
  ),
  textTarget(
    "bls file name",
    [textOf("debian-6.1+3-1.conf"), textOf("a+0.conf")],
    ["+", "-", ".conf", "99999999999"],
    (text) => Object.keys(parseEntryFileName(text, ".conf") ?? {}).length,
  ),
  textTarget(
    "loader.conf",
    [textOf("default debian-*\ntimeout 5\neditor no\nconsole-mode max\n")],
    ["default", "preferred", "timeout", "menu-hidden", "@saved", "[a-", "*", "\\"],
    (text) => parseLoaderConf(text).problems.length,
  ),
  textTarget("version order", [textOf("6.1.0-13~rc1\n6.1.0-13")], ["~", "^", "-", ".", "0"], (text) => {
    const [a = "", b = ""] = text.split("\n");
    const order = compareVersions(a, b);
    if (compareVersions(b, a) !== -order && order !== 0) throw new Error(`not antisymmetric: ${order}`);
    return order;
  }),
  textTarget(
    "glob",
    [textOf("debian-[0-9]*\ndebian-6"), textOf("*a*b*c?\nxaybzcc")],
    ["*", "?", "[", "]", "!", "\\", "-"],
    (text) => {
      const [pattern = "", name = ""] = text.split("\n");
      return globMatches(parseGlob(pattern), name);
    },
  ),
  textTarget(
    "command line",
    [textOf('root=/dev/sda1 quiet "a b"=c slipway.entry="x y" -- init')],
    ['"', " ", "=", "--"],
    (text) => {
      const words = splitCommandLine(text);
      joinWords(words);
      return words.length;
    },
  ),
  textTarget(
    "os-release",
    [textOf('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\n')],
    ["ID", '"', "'", "\\", "="],
    (text) => parseOsRelease(text).size,
  ),
  textTarget(
    "configuration",
    [textOf('{"trust":"audit","limits":{"entriesMax":5}}')],
    ["{", "}", '"', "null", "-1", "1e9"],
    (text) => parseConfig(text, "config.json").trust,
  ),
  textTarget(
    "iomem",
    [textOf("00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n  00002000-00003000 : Kernel code\n")],
    ["-", " : ", "  "],
    (text) => parseIomem(text).length,
  ),
  {
    ...textTarget(
      "GRUB configuration",
      [...seedsOf("grub/mkconfig", /\.cfg$/), ...seedsOf("grub/language", /\.cfg$/)],
      grubTokens,
      () => {},
    ),
    isExpected: () => false,
    run: async (bytes) => {
      const host = {
        ...grubHost,
        readFile: async (_: unknown, name: string) =>
          name === "/grub.cfg" ? bytes : textOf("menuentry x { linux /vmlinuz }"),
      };
      const limits = { stepsMax: 20_000, entryStepsMax: 2_000, allEntriesStepsMax: 20_000, entriesMax: 50 };
      const result = await evaluateGrubConfig(host, { device: "hd0,gpt2", path: "/grub.cfg" }, limits);
      const kinds = result.menu?.entries.map(({ outcome }) => outcome.kind).slice(0, 5);
      return `${kinds?.join() ?? "none"} ${result.problems[0]?.text.replace(/"[^"]*"|\d+/g, "") ?? ""}`;
    },
  },
  textTarget(
    "GRUB environment block",
    seedsOf("grub", /^grubenv$/),
    ["# GRUB Environment Block\n", "=", "\\\n", "#"],
    (text) => parseEnvironment(textOf(text)).length,
  ),
  binaryTarget("ELF", seedsOf("elf", /\.gz$/), ["\x7fELF"], (bytes) => Object.keys(readElf(rangesOf(bytes))).length),
  binaryTarget(
    "ELF kernel",
    seedsOf("kernel-image", /vmlinux/),
    ["\x7fELF"],
    (bytes) => readElfImage(rangesOf(bytes), bytes.length).type,
  ),
  binaryTarget(
    "PE",
    seedsOf("kernel-image", /pe|uki/),
    ["PE\0\0", "MZ", ".linux"],
    (bytes) => readPe(rangesOf(bytes), bytes.length).sections.length,
  ),
  binaryTarget("UKI", seedsOf("kernel-image", /uki/), [".linux\0\0", ".cmdline", ".profile", ".osrel\0\0"], (bytes) => {
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
  binaryTarget(
    "NBI",
    [Uint8Array.of(0x36, 0x13, 0x03, 0x1b, 4, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0x10, 0)],
    [Uint8Array.of(0x36, 0x13, 0x03, 0x1b)],
    (bytes) => parseNbi(rangesOf(bytes), bytes.length),
  ),
  binaryTarget("BeoBoot", [textOf("BEOBOOT 0001")], ["BEOBOOT"], (bytes) =>
    parseBeoboot(rangesOf(bytes), bytes.length),
  ),
  binaryTarget(
    "zboot",
    [textOf("MZ\0\0zimg")],
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
  binaryTarget(
    "cpio",
    [textOf(`070701${"0".repeat(88)}0000000B00000000TRAILER!!!\0`)],
    ["070701", "070702", "TRAILER!!!"],
    (bytes) => readCpio(bytes).entries.length,
  ),
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
    async (bytes) => (await readPartitionTable(readAtOf(bytes), BigInt(bytes.length), 512)).partitions.length,
  ),
  binaryTarget(
    "superblock",
    seedsOf("superblock", /\.gz$/),
    ["XFSB", "_BHRfS_M", "hsqs", "LUKS"],
    async (bytes) => (await probeSuperblock(readAtOf(bytes), BigInt(bytes.length)))?.type,
  ),
];
