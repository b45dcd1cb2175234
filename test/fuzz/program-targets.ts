import { evaluateGrubConfig } from "../../src/formats/grub/evaluate.ts";
import { translateSyslinuxConfig } from "../../src/formats/grub/syslinux-config.ts";
import { evaluateSyslinux } from "../../src/formats/syslinux/evaluate.ts";
import type { SyslinuxVariant } from "../../src/formats/syslinux/host.ts";
import { chooseSyslinuxDefault } from "../../src/formats/syslinux/menu.ts";
import { evaluateUBoot, isForUBoot } from "../../src/formats/syslinux/u-boot.ts";
import { memoryGrubHost } from "../fakes/memory-grub-host.ts";
import { runScript } from "../unit/formats/ipxe/memory-host.ts";
import { memorySyslinuxHost } from "../unit/formats/syslinux/memory-syslinux-host.ts";
import { ipxeCorpus } from "../vm/judge/ipxe-corpus.ts";
import { syslinuxCorpus } from "../vm/judge/syslinux-corpus.ts";
import type { FuzzTarget } from "./engine.ts";
import { grubGrammar } from "./grub-grammar.ts";
import { ipxeGrammar } from "./ipxe-grammar.ts";
import { syslinuxGrammar } from "./syslinux-grammar.ts";
import { generates, seedsBelow, seedsOf, textOf, textTarget, throwsNothing, tokensOf } from "./target-kinds.ts";

export const grubSeeds: readonly Uint8Array[] = [
  ...seedsOf("grub/mkconfig", /\.cfg$/),
  ...seedsOf("grub/language", /\.cfg$/),
  ...seedsBelow("grub/corpus", /\.cfg$/),
  ...seedsBelow("trees", /grub\.cfg$/),
];
const convertedSeeds = seedsBelow("grub/convert", /menu\.lst$|syslinux\.cfg$/);

export const grubTokens: readonly string[] = [
  ...tokensOf(grubGrammar),
  ..."--set=root --file --label --fs-uuid ! -a -o -f -d -n -z = != -eq { } ( ) ; && || * \\\n".split(" "),
];

export const syslinuxSeeds: readonly Uint8Array[] = [
  ...syslinuxCorpus.flatMap(({ configs }) => Object.values(configs).map(textOf)),
  ...seedsBelow("trees", /(?:syslinux|isolinux)\.cfg$|extlinux\.conf$/),
];

export const ipxeSeeds: readonly Uint8Array[] = [
  ...seedsOf("ipxe/language", /\.ipxe$/),
  ...ipxeCorpus.flatMap(({ script, scripts }) => [script, ...Object.values(scripts ?? {})].map(textOf)),
];

const grubFile = "menuentry x { linux /vmlinuz }";
const grubHost = memoryGrubHost({
  "hd0,gpt2": {
    fsUuid: "1111-2222",
    label: "root",
    filesystem: "ext2",
    partitionMap: "gpt",
    files: { "/grub.cfg": "", "/vmlinuz": "", "/initrd": "", "/boot/vmlinuz-6.1": "", "/other.cfg": grubFile },
  },
  "hd0,gpt3": { fsUuid: "3333", filesystem: "fat", files: { "/loader/entries/a-1.conf": "", "/image.iso": "" } },
  image: { imageOf: "(hd0,gpt3)/image.iso", files: { "/vmlinuz": "", "/loopback.cfg": grubFile } },
});
/** Every other file holds the fuzzed text too: a configuration that leads to itself, in each language. */
const ownText = /^\/(?:grub\.cfg|menu\.lst|syslinux\.cfg|grubenv|loader\/.*)$/;
const grubLimits = { stepsMax: 20_000, entryStepsMax: 2_000, allEntriesStepsMax: 20_000, entriesMax: 50 };

async function runGrub(bytes: Uint8Array): Promise<string> {
  const host = {
    ...grubHost,
    readFile: async (_: unknown, name: string) => (ownText.test(name) ? bytes : textOf(grubFile)),
    readRange: async (_: unknown, __: string, position: number, length: number) =>
      bytes.subarray(position, position + length),
  };
  const result = await evaluateGrubConfig(host, { device: "hd0,gpt2", path: "/grub.cfg" }, grubLimits);
  const entries = result.menu?.entries ?? [];
  if (entries.length > grubLimits.entriesMax) throw new Error(`${entries.length} entries`);
  const problem = result.problems[0]?.text.replace(/"[^"]*"|\d+/g, "") ?? "";
  const kinds = entries.slice(0, 5).map(({ outcome }) => outcome.kind);
  return `${kinds.join()} ${problem}`;
}

const translationStepsMax = 20_000;
const syslinuxLimits = { allLinesMax: 20_000, parsedBytesMax: 1 << 21, entriesMax: 100, menusMax: 12 };
const syslinuxConfig = { kind: "path", path: "/syslinux.cfg" } as const;

function syslinuxHostOf(bytes: Uint8Array, variant: SyslinuxVariant) {
  const texts = {
    "/syslinux.cfg": bytes,
    "/other.cfg": "label other\nkernel /vmlinuz\n",
    "/vmlinuz": "",
    "/initrd": "",
  };
  return memorySyslinuxHost(texts, { variant, sysappend: (bit) => (bit % 3 === 0 ? null : `BIT${bit}=x`) });
}

function resultRow({ menu, messages }: Awaited<ReturnType<typeof evaluateSyslinux>>): string {
  if (menu === null) return `none ${messages.length}`;
  // Beside labels each menu may show what it boots at its prompt, on an error and when the time is over.
  if (menu.entries.length > syslinuxLimits.entriesMax + 4 * syslinuxLimits.menusMax)
    throw new Error(`${menu.entries.length} entries`);
  const { entry } = chooseSyslinuxDefault(menu, ({ outcome }) => outcome.kind === "boot");
  const problem = messages[0]?.text.replace(/"(?:[^"\\]|\\.)*"|\d+/g, "") ?? "";
  const kinds = menu.entries
    .slice(0, 6)
    .map(({ outcome }) =>
      outcome.kind === "boot" ? "boot" : outcome.reason.replace(/"(?:[^"\\]|\\.)*"|\d+/g, "").slice(0, 40),
    );
  return `${entry === null} ${kinds.join()} ${problem.slice(0, 80)}`;
}

const syslinuxTarget = {
  ...textTarget("", syslinuxSeeds, tokensOf(syslinuxGrammar), () => {}),
  ...throwsNothing,
  ...generates(syslinuxGrammar, "config"),
};

/** Evaluators of programs: they do not throw at all, and end within their limits. */
export const programTargets: readonly FuzzTarget[] = [
  {
    ...textTarget("GRUB configuration", [...grubSeeds, ...convertedSeeds], grubTokens, () => {}),
    ...throwsNothing,
    ...generates(grubGrammar, "program"),
    run: runGrub,
  },
  {
    ...syslinuxTarget,
    name: "syslinux configuration",
    run: async (bytes) => {
      const variant = (["syslinux", "isolinux", "pxelinux"] as const)[bytes.length % 3] ?? "syslinux";
      const host = syslinuxHostOf(bytes, variant);
      return resultRow(await evaluateSyslinux(host, syslinuxConfig, variant === "pxelinux" ? "" : "/", syslinuxLimits));
    },
  },
  {
    ...syslinuxTarget,
    name: "extlinux.conf of U-Boot",
    run: async (bytes) => {
      const host = syslinuxHostOf(bytes, "syslinux");
      const board = ["acme,board-rev2", "acme,soc"];
      const result = await evaluateUBoot(host, syslinuxConfig, "/", board, syslinuxLimits);
      return `${isForUBoot(bytes)} ${resultRow(result)}`;
    },
  },
  {
    ...syslinuxTarget,
    name: "syslinux in GRUB's language",
    isExpected: (error) => error instanceof RangeError && error.message === "no steps are left",
    run: async (bytes) => {
      const text = new TextDecoder().decode(bytes);
      let steps = 0;
      const lines = await translateSyslinuxConfig(text, "/syslinux.cfg", {
        root: "/",
        directory: "/",
        flavour: (["iso", "pxe", "sys", null] as const)[bytes.length % 4] ?? null,
        read: async (path) => (path.endsWith(".cfg") ? text : null),
        spend: (more) => {
          steps += more;
          if (steps > translationStepsMax) throw new RangeError("no steps are left");
        },
      });
      return String(Math.ceil(Math.log2(lines.length + 1)));
    },
  },
  {
    ...textTarget("iPXE script", ipxeSeeds, tokensOf(ipxeGrammar), () => {}),
    ...throwsNothing,
    ...generates(ipxeGrammar, "script"),
    run: async (bytes) => {
      const { outcome, problems } = await runScript(bytes, {
        files: {
          script: bytes,
          "/script": bytes,
          "/other.ipxe": "#!ipxe\nkernel vmlinuz\nboot\n",
          vmlinuz: "",
          "/vmlinuz": "",
        },
        hasNetwork: bytes.length % 2 === 0,
        choices: [null, "a", "cancel", "start"],
        keys: [2, null],
        lines: ["a line", null],
        uri: "tftp://10.0.2.2/script",
        limits: { stepsMax: 10_000, outputBytesMax: 4096 },
      });
      const reason = outcome.kind === "boot" ? "" : outcome.reason.replace(/"(?:[^"\\]|\\.)*"|\d+/g, "");
      return `${outcome.kind} ${reason.slice(0, 80)} ${problems.length > 0}`;
    },
  },
];
