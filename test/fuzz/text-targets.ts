import { parseConfig } from "../../src/boot/config.ts";
import { parseBls, parseEntryFileName } from "../../src/formats/bls.ts";
import { joinWords, splitCommandLine } from "../../src/formats/cmdline.ts";
import { parseEfiVariableFileName } from "../../src/formats/efi-variable.ts";
import { FormatError } from "../../src/formats/format-error.ts";
import { globMatches, parseGlob } from "../../src/formats/glob.ts";
import { compareFragmentNames, expandBlsValue, parseBlsFragment } from "../../src/formats/grub/bls-fragment.ts";
import { parseEnvironment, updateEnvironment } from "../../src/formats/grub/environment.ts";
import { translateLegacyConfig } from "../../src/formats/grub/legacy-config.ts";
import { compileRegularExpression } from "../../src/formats/grub/regular-expression.ts";
import { parseIomem } from "../../src/formats/iomem.ts";
import { parseKboot } from "../../src/formats/kboot.ts";
import { parseLoaderConf } from "../../src/formats/loader-conf.ts";
import { parseLvm2Config } from "../../src/formats/lvm2-config.ts";
import { parseLvm2Group } from "../../src/formats/lvm2-metadata.ts";
import { parseOsRelease } from "../../src/formats/os-release.ts";
import { pxelinuxConfigNames, pxelinuxPrefix } from "../../src/formats/syslinux/pxelinux.ts";
import { compareVersions } from "../../src/formats/version-order.ts";
import type { FuzzTarget } from "./engine.ts";
import { regexGrammar } from "./grub-grammar.ts";
import { lvm2Texts } from "./layer-seeds.ts";
import { generates, grade, seedsBelow, seedsOf, textOf, textTarget, tokensOf } from "./target-kinds.ts";

/** Steps that a regular expression may take in a run. */
const regexStepsMax = 50_000;

const lvm2Tokens = [
  ...["{", "}", "[", "]", "=", '"', "#", ",", "\\", "-1", "segment1", "segment_count", "stripes", "stripe_count"],
  ...[
    "physical_volumes",
    "logical_volumes",
    "status",
    '"VISIBLE"',
    "extent_count",
    "start_extent",
    "type",
    '"striped"',
  ],
  ...[
    '"mirror"',
    '"raid5_ls"',
    '"cache"',
    '"thin"',
    "device_count",
    "raids",
    "chunk_size",
    "stripe_size",
    "id",
    "seqno",
  ],
];

/** Parsers of lines and words. */
export const textTargets: readonly FuzzTarget[] = [
  textTarget(
    "bls",
    seedsOf("bls", /\.conf$/),
    ["title", "linux", "initrd", "options", "sort-key", "#", "\t"],
    (text) => {
      const entry = parseBls(text);
      return [grade(entry.initrd.length), entry.linux !== null, entry.version !== null].join();
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
    (text) => grade(parseLoaderConf(text).problems.length),
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
      return grade(words.length);
    },
  ),
  textTarget(
    "os-release",
    [textOf('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\n')],
    ["ID", '"', "'", "\\", "="],
    (text) => grade(parseOsRelease(text).size),
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
    (text) => grade(parseIomem(text).length),
  ),
  textTarget(
    "GRUB environment block",
    seedsOf("grub", /^grubenv$/),
    ["# GRUB Environment Block\n", "=", "\\\n", "#"],
    (text) => grade(parseEnvironment(textOf(text)).length),
  ),
  textTarget(
    "GRUB environment block, changed",
    seedsOf("grub", /^grubenv$/),
    ["# GRUB Environment Block\n", "saved_entry=", "\\", "#####"],
    (text) => {
      const changed = updateEnvironment(textOf(text), [
        { name: "saved_entry", value: "a\\b\nc" },
        { name: "one", value: null },
      ]);
      const saved = parseEnvironment(changed).findLast(({ name }) => name === "saved_entry");
      if (saved?.value !== "a\\b\nc") throw new Error(`read back ${JSON.stringify(saved)}`);
      return grade(changed.length);
    },
  ),
  textTarget(
    "GRUB Legacy",
    [...seedsOf("grub/convert", /menu\.lst$/), ...seedsBelow("grub/corpus", /menu\.lst$/)],
    ["title", "root", "kernel", "initrd", "savedefault", "password", "--md5", "(hd0,0)", "default=saved", "color"],
    (text) => grade(translateLegacyConfig(text).length),
  ),
  {
    ...textTarget("GRUB regular expression", [textOf("(a|b)*c\nabac")], tokensOf(regexGrammar), (text) => {
      const [pattern = "", subject = ""] = text.split("\n");
      let steps = 0;
      const spend = (more: number): void => {
        steps += more;
        if (steps > regexStepsMax) throw new FormatError("regexp", "too many steps");
      };
      const expression = compileRegularExpression(pattern);
      const found = expression.match(subject, spend);
      if (found !== null && (found.length !== expression.groups + 1 || !subject.includes(found[0] ?? "\0"))) {
        throw new Error(`found ${JSON.stringify(found)} for ${expression.groups} groups`);
      }
      return `${expression.groups} ${found?.map((group) => group?.length ?? -1).join()}`;
    }),
    ...generates(regexGrammar, "input"),
    inputBytesMax: 1 << 12,
  },
  textTarget(
    "GRUB's BLS fragment",
    [...seedsOf("bls", /\.conf$/), ...seedsBelow("trees", /loader\/entries\/.*\.conf$/)],
    ["title", "linux", "initrd", "options", "$kernelopts", "$tuned_params", "grub_class", "\t"],
    (text) => {
      const { lines, endsAt } = parseBlsFragment(text);
      const values = lines.map(({ value }) => expandBlsValue(value, (name) => (name.length > 3 ? name : null)));
      return [grade(lines.length), endsAt !== null, values.filter((value) => value === null).length > 0].join();
    },
  ),
  textTarget(
    "GRUB's order of BLS fragments",
    [textOf("a-5.14.0-162.6.1.el9_1.x86_64\na-5.14.0-70~rc1"), textOf("0-rescue\n0-rescue-1")],
    ["-", "~", "^", "+", "0", "el9"],
    (text) => {
      const [a = "", b = ""] = text.split("\n");
      const order = Math.sign(compareFragmentNames(a, b));
      if (compareFragmentNames(a, a) !== 0) throw new Error("a name is not its own equal");
      return [order, Math.sign(compareFragmentNames(b, a))].join();
    },
  ),
  textTarget(
    "kboot",
    [
      textOf("default=ydl\ntimeout=10\nroot=/dev/sda1\nydl='/dev/sda1:/vmlinux initrd=/dev/sda1:/initrd x'\n"),
      textOf("live=\"/casper/vmlinux quiet\"\nuuid='UUID=1-2:vmlinux'\n"),
    ],
    ["default", "initrd=", "root=", "'", '"', "UUID=", "sda1:", "=", "#"],
    (text) => {
      const { entries, problems } = parseKboot(text);
      return [grade(entries.length), grade(problems.length)].join();
    },
  ),
  textTarget("LVM2 configuration", lvm2Texts.map(textOf), lvm2Tokens, (text) =>
    grade(parseLvm2Config(text).entries.size),
  ),
  textTarget("LVM2 volume group", lvm2Texts.map(textOf), lvm2Tokens, (text) => {
    const { physical, logical } = parseLvm2Group(text);
    return [grade(physical.size), grade(logical.size)].join();
  }),
  textTarget(
    "pxelinux search",
    [
      textOf(
        "pxelinux.cfg/x\n/srv/\nboot/pxelinux.0\n00112233-4455-6677-8899-aabbccddeeff\n52:54:00:12:34:56\n10.0.2.15",
      ),
    ],
    ["-", ":", ".", "255", "ff", "/", "\n"],
    (text) => {
      const [configFile = null, pathPrefix = null, bootFile = "", uuid = null, mac = "", ipv4 = null] =
        text.split("\n");
      const client = { configFile, pathPrefix, bootFile, uuid, hardwareType: text.length % 300, mac, ipv4 };
      return [pxelinuxPrefix(client).length > 0, pxelinuxConfigNames(client).length].join();
    },
  ),
  textTarget(
    "EFI variable file name",
    [textOf("LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f")],
    ["-", "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"],
    (text) => grade(parseEfiVariableFileName(text)?.name.length ?? 0),
  ),
];
