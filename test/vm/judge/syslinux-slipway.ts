import type { FoundMenu } from "../../../src/discovery/entry.ts";
import { defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { OpenedImages } from "../../../src/discovery/image-volumes.ts";
import { syslinuxFinder } from "../../../src/discovery/syslinux.ts";
import { targetCommandLine } from "../../../src/handoff/command-line.ts";
import { memorySource } from "../../fakes/memory-source.ts";
import type { SyslinuxCase } from "./syslinux-corpus.ts";

/** What was booted, by the real program or as Slipway would. */
export interface Booted {
  /** Path of the kernel. */
  readonly kernel: string;
  /** The whole command line. */
  readonly options: string;
  /** The initrds behind one another; null: none. */
  readonly initrd: string | null;
  /** Of a multiboot kernel. */
  readonly modules: readonly { readonly content: string; readonly options: string }[];
}

/** FAT's serial number, ext2's UUID: `sysappend` tells them. */
export const judgedUuids = {
  syslinux: "1234-ABCD",
  extlinux: "0d5c1a3e-0000-4000-8000-00000000abcd",
  isolinux: null,
} as const;

const filesystems = { syslinux: "vfat", extlinux: "ext2", isolinux: "iso9660" } as const;

/** The files of a case as text: configurations, kernels that hold their path, files of a content of their own. */
export function caseTexts({ configs, kernels, files = [] }: SyslinuxCase): Record<string, string> {
  const named = [...kernels, ...files].map((name): [string, string] => [name, fileContent(name)]);
  return { ...configs, ...Object.fromEntries(named) };
}

/** Loaders lay initrds at multiples of four bytes: with such lengths there is nothing between them. */
function fileContent(name: string): string {
  return `<${name}>`.padEnd(4 * Math.ceil((name.length + 2) / 4), "=");
}

/**
 * The menu of a case's first configuration, as Slipway finds it.
 *
 * @param remembered the end of ldlinux.sys in base 64; null: it is not there
 */
export async function findCase(judged: SyslinuxCase, remembered: string | null): Promise<FoundMenu | null> {
  const { program } = judged;
  const directory = (Object.keys(judged.configs)[0] ?? "").replace(/[^/]*$/, "");
  const loader = remembered === null ? {} : { [`${directory}ldlinux.sys`]: Buffer.from(remembered, "base64") };
  const source = memorySource(
    "disk",
    { ...caseTexts(judged), ...loader },
    { fstype: filesystems[program], uuid: judgedUuids[program] },
  );
  const [menu] = await syslinuxFinder.find({
    source,
    sources: [source],
    architecture: "x86_64",
    images: new OpenedImages(),
    limits: defaultDiscoveryLimits,
  });
  return menu ?? null;
}

/** What Slipway boots of a case by itself; null where the real program would wait for a person, or nothing is there. */
export async function bootBySlipway(judged: SyslinuxCase, remembered: string | null): Promise<Booted | null> {
  const texts = caseTexts(judged);
  const menu = await findCase(judged, remembered);
  const entry = menu?.entries.find(({ id }) => id === menu.defaultId);
  if (menu === null || entry === undefined || menu.timeoutSeconds === null) return null;
  const content = (name: string): string => texts[name] ?? "";
  return {
    kernel: entry.linux.path,
    options: targetCommandLine(entry, true),
    initrd: entry.initrd.length === 0 ? null : entry.initrd.map(({ path: name }) => content(name)).join(""),
    modules: entry.modules.map(({ file, options }) => ({ content: content(file.path), options })),
  };
}

/**
 * What of a result is compared. The one known difference is left out: without options the real program hands over
 * `BOOT_IMAGE=/vmlinuz` with a space behind it.
 */
export function compared(booted: Booted | null): Booted | null {
  return booted === null ? null : { ...booted, options: booted.options.trimEnd() };
}
