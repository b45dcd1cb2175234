import type { BootEntry, FileRef, FoundMenu } from "../../src/discovery/entry.ts";
import type { DiscoveryLimits } from "../../src/discovery/finder.ts";
import { finders } from "../../src/discovery/finders.ts";
import { OpenedImages } from "../../src/discovery/image-volumes.ts";
import { type MachineDescription, unknownMachineDescription } from "../../src/machine/machine-description.ts";
import { memorySource } from "../fakes/memory-source.ts";
import type { FuzzTarget } from "./engine.ts";
import { grubGrammar } from "./grub-grammar.ts";
import { isoImages, isoOf, smallUkis } from "./image-seeds.ts";
import { ipxeGrammar } from "./ipxe-grammar.ts";
import { grubSeeds, grubTokens, ipxeSeeds, syslinuxSeeds } from "./program-targets.ts";
import { syslinuxGrammar } from "./syslinux-grammar.ts";
import { generates, seedsBelow, seedsOf, textOf, throwsNothing, tokensOf } from "./target-kinds.ts";

/** Small, so that they are met. */
const limits: DiscoveryLimits = { configBytesMax: 1 << 17, optionsBytesMax: 2048, entriesMax: 20 };
/** All that finders of one volume may leave out: what their evaluators keep of messages, and a line for each entry. */
const skippedMax = 2000;

const machine = (): MachineDescription => ({ ...unknownMachineDescription, compatible: ["acme,board", "acme,soc"] });

/** A disk with files to boot beside the fuzzed ones, and a second volume. */
async function search(files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const boot = { "/vmlinuz": "kernel", "/initrd": "initrd", "/boot/vmlinuz-6.1": "kernel", "/other.cfg": "" };
  const facts = { fstype: "vfat", uuid: "1111-2222", label: "root", disk: "vda", part: 2, table: "gpt" } as const;
  const source = memorySource("vda2", { ...boot, ...files }, facts);
  const sources = [source, memorySource("vdb1", boot, { uuid: "3333", disk: "vdb", part: 1, table: "msdos" })];
  const images = new OpenedImages();
  const rows: string[] = [];
  for (const finder of finders) {
    const menus = await finder.find({ source, sources, architecture: "x86_64", images, limits, machine });
    const volumes = new Set([...sources, ...images.opened].map(({ volume }) => volume.name));
    for (const menu of menus) {
      checkMenu(menu, volumes);
      rows.push(rowOf(menu));
    }
  }
  return rows.join("; ");
}

function rowOf({ format, entries, skipped, defaultId }: FoundMenu): string {
  const reason = skipped[0]?.reason.replace(/"(?:[^"\\]|\\.)*"|\d+/g, "").slice(0, 60) ?? "";
  return [format, Math.min(entries.length, 3), defaultId !== null, reason].join();
}

function checkMenu({ entries, skipped, defaultId, format }: FoundMenu, volumes: ReadonlySet<string>): void {
  const fail = (what: string): never => {
    throw new Error(`${format}: ${what}`);
  };
  if (entries.length > limits.entriesMax) fail(`${entries.length} entries`);
  if (skipped.length > skippedMax) fail(`${skipped.length} skipped`);
  const ids = new Set(entries.map(({ id }) => id));
  if (ids.size !== entries.length) fail("two entries with one id");
  if (defaultId !== null && !ids.has(defaultId)) fail(`the default ${JSON.stringify(defaultId)} is no entry`);
  for (const { source, reason } of skipped) {
    if (reason === "" || source.line < 1 || !Number.isInteger(source.line))
      fail(`skipped ${JSON.stringify({ source, reason })}`);
  }
  for (const entry of entries) {
    if (Buffer.byteLength(entry.options) > limits.optionsBytesMax)
      fail(`${entry.options.length} characters of options`);
    if (entry.configs.length === 0 && !entry.embedded) fail("an entry without a configuration");
    for (const file of filesOf(entry)) {
      if (!volumes.has(file.volume) || !isNormal(file.path)) fail(`a file ${JSON.stringify(file)}`);
    }
  }
}

function filesOf({ source, linux, initrd, modules, addons, devicetree, overlays, configs }: BootEntry): FileRef[] {
  const tree = devicetree === null ? [] : [devicetree];
  const more = modules.map(({ file }) => file);
  return [source, linux, ...initrd, ...more, ...addons, ...tree, ...overlays, ...configs.map(({ ref }) => ref)];
}

function isNormal(path: string): boolean {
  return (
    path.startsWith("/") &&
    !path.split("/").some((part, at) => (part === "" && at > 0) || part === "." || part === "..")
  );
}

function finderTarget(
  name: string,
  files: (bytes: Uint8Array) => Readonly<Record<string, Uint8Array>>,
  target: Pick<FuzzTarget, "seeds" | "tokens"> & Partial<FuzzTarget>,
): FuzzTarget {
  return { name: `discovery: ${name}`, text: true, run: (bytes) => search(files(bytes)), ...throwsNothing, ...target };
}

const legacyLoader = textOf("legacy_configfile /boot/grub/menu.lst\n");
const kernelPaths = ["/vmlinuz", "/initrd", "/boot/vmlinuz-6.1", "options", "quiet"];

/** The finders, all of them, on a disk that holds what is fuzzed. */
export const finderTargets: readonly FuzzTarget[] = [
  finderTarget("grub.cfg", (bytes) => ({ "/boot/grub/grub.cfg": bytes, "/boot/grub/grubenv": bytes }), {
    seeds: grubSeeds,
    tokens: grubTokens,
    // One that never ends uses up the steps of a configuration and of its entries, a second's work.
    share: 0.1,
    ...generates(grubGrammar, "program"),
  }),
  finderTarget("menu.lst", (bytes) => ({ "/boot/grub/menu.lst": bytes, "/boot/grub/grub.cfg": legacyLoader }), {
    seeds: seedsBelow("grub", /menu\.lst$/),
    tokens: ["title", "root", "kernel", "initrd", "(hd0,1)", "default", "fallback", "savedefault", ...kernelPaths],
  }),
  finderTarget("syslinux.cfg", (bytes) => ({ "/syslinux/syslinux.cfg": bytes, "/extlinux/extlinux.conf": bytes }), {
    seeds: syslinuxSeeds,
    tokens: tokensOf(syslinuxGrammar),
    ...generates(syslinuxGrammar, "config"),
  }),
  finderTarget("autoexec.ipxe", (bytes) => ({ "/autoexec.ipxe": bytes, "/script": bytes }), {
    seeds: ipxeSeeds,
    tokens: tokensOf(ipxeGrammar),
    ...generates(ipxeGrammar, "script"),
  }),
  finderTarget("kboot.conf", (bytes) => ({ "/etc/kboot.conf": bytes }), {
    seeds: [textOf("default=b\na='/vmlinuz initrd=vdb1:/initrd x'\nb='UUID=1111-2222:/vmlinuz root=/dev/sda1'\n")],
    tokens: ["default=", "initrd=", "'", '"', "LABEL=root:", "UUID=3333:", "vdb1:", ...kernelPaths],
  }),
  finderTarget(
    "loader entries",
    (bytes) => ({
      "/loader/entries/a+3-1.conf": bytes,
      "/loader/entries/b.conf": textOf("title B\nlinux /vmlinuz\n"),
      "/loader/loader.conf": bytes,
      "/boot/grub/grub.cfg": textOf("blscfg\n"),
      "/boot/grub/grubenv": bytes,
    }),
    {
      seeds: [
        ...seedsOf("bls", /\.conf$/),
        ...seedsBelow("trees", /loader\/.*\.conf$/),
        textOf("title A\nlinux /vmlinuz\ninitrd /initrd\noptions a\ndefault a*\ntimeout 3\nextra x\nefi /a.efi\n"),
      ],
      tokens: [
        "title",
        "linux",
        "initrd",
        "options",
        "efi",
        "uki",
        "devicetree",
        "devicetree-overlay",
        "default",
        "timeout",
        "architecture",
        "machine-id",
        "version",
        "sort-key",
        "uki-url",
        "profile",
        ...kernelPaths,
      ],
    },
  ),
  finderTarget(
    "unified kernel image",
    (bytes) => ({
      "/EFI/Linux/a+2.efi": bytes,
      "/EFI/Linux/a+2.efi.extra.d/b.addon.efi": bytes,
      "/loader/addons/c.addon.efi": bytes,
      "/loader/loader.conf": textOf("default a*\n"),
    }),
    {
      seeds: smallUkis,
      tokens: [".linux\0\0", ".cmdline", ".profile", ".osrel\0\0", ".dtbauto", ".hwids\0\0"],
      text: false,
    },
  ),
  finderTarget("ISO image", (bytes) => ({ "/boot/isos/a.iso": isoOf(bytes) }), {
    seeds: isoImages,
    tokens: ["RR", "NM", "SL", "CE", "CL", "\x01CD001\x01", "%/E", "menuentry x {\n linux /vmlinuz\n}\n"],
    text: false,
  }),
];
