import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { evaluateGrubConfig } from "../../../../src/formats/grub/evaluate.ts";
import { translateLegacyConfig } from "../../../../src/formats/grub/legacy-config.ts";
import type { GrubEntry, GrubMenu } from "../../../../src/formats/grub/menu.ts";
import { translateSyslinuxConfig } from "../../../../src/formats/grub/syslinux-config.ts";
import { memoryGrubHost } from "../../../fakes/memory-grub-host.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

const read = (name: string): string =>
  readFileSync(new URL(`../../../data/grub/convert/${name}`, import.meta.url), "utf8");

/** The head of a bzImage, as `legacy_kernel` recognizes it. */
function linuxHead(): Uint8Array {
  const bytes = new Uint8Array(0x400);
  const data = new DataView(bytes.buffer);
  data.setUint16(0x1fe, 0xaa55, true);
  data.setUint32(0x202, 0x53726448, true);
  data.setUint16(0x206, 0x20f, true);
  data.setUint8(0x211, 1);
  return bytes;
}

const files = {
  ...Object.fromEntries(["/boot/vmlinuz-2.6", "/vmlinuz", "/more", "/kx"].map((path) => [path, linuxHead()] as const)),
  ...Object.fromEntries(
    ["/xen.gz", "/boot/initrd.img-2.6", "/initrd.gz", "/a.img", "/b.img"].map((path) => [path, "x"]),
  ),
  "/menu.lst": read("menu.lst"),
  "/menu.cfg": read("menu.cfg"),
  "/syslinux.cfg": read("syslinux.cfg"),
  "/syslinux.out": read("syslinux.out"),
  "/inc/more.cfg": read("inc/more.cfg"),
  "/inc/sub.cfg": read("inc/sub.cfg"),
};

async function evaluate(script: string, more: Readonly<Record<string, string>> = {}): Promise<GrubMenu> {
  const host = memoryGrubHost({
    "hd0,1": { files: { ...files, ...more, "/grub.cfg": script } },
    "hd1,5": { fsUuid: "abcd-ef", files },
  });
  const { menu } = await evaluateGrubConfig(host, { device: "hd0,1", path: "/grub.cfg" });
  if (menu === null) throw new Error("no menu");
  return menu;
}

function described({ title, id, hotkey, outcome }: GrubEntry): string {
  if (outcome.kind !== "boot") return `${title} ${id} ${hotkey} ${outcome.kind}`;
  const { protocol, kernel, initrds, modules, options } = outcome.load;
  const uses = [kernel, ...initrds].map((use) => use.path ?? use.problem);
  const named = modules.map((module) => `${module.use.path} [${module.options}]`);
  return [title, id, hotkey, protocol, ...uses, `[${options}]`, ...named].join(" | ");
}

/** What the real converter wrote, run as GRUB's own, against what the command makes of the file. */
async function compared(converted: string, command: string, broken: readonly string[] = []) {
  const [real, own] = [await evaluate(`source ${converted}\n`), await evaluate(`${command}\n`)];
  const settings = (menu: GrubMenu) => [menu.default?.text, menu.fallback?.text, menu.timeoutSeconds];
  expect(settings(own)).toEqual(settings(real));
  const sound = own.entries.filter(({ title }) => !broken.includes(title));
  expect(sound.map(described)).toEqual(real.entries.map(described));
  return own;
}

test("legacy_source does what grub-menulst2cfg writes", async () => {
  // What the converter writes for `lock` and for a password inside an entry is no command of GRUB's language.
  const menu = await compared("/menu.cfg", "legacy_source /menu.lst", ["typed", "pw"]);
  expect(menu.entries.map(described)).toEqual([
    `Debian GNU/Linux, kernel it's 2.6 |  |  | linux | /boot/vmlinuz-2.6 | /boot/initrd.img-2.6 | [root=/dev/sda1 ro \\'quoted\\' \\"x y\\" two spaces]`,
    "Xen |  |  | multiboot | /xen.gz | [(hd1,4)/xen.gz dom0_mem=1G] | /vmlinuz [/vmlinuz root=/dev/sda2] | /initrd.gz [/initrd.gz]",
    "typed null null refused",
    "chain null null refused",
    "pw null null refused",
    "Superuser menu null null refused",
  ]);
});

test("syslinux_source does what grub-syslinux2cfg writes", async () => {
  const menu = await compared("/syslinux.out", "syslinux_source /syslinux.cfg");
  expect(menu.entries.map(described).slice(0, 3)).toEqual([
    "more | more |  | linux | /more | []",
    `Linux it's | linux | l | linux | /vmlinuz | "///initrd.img,second" is missing on (hd0,1) | [initrd=/initrd.img,second ro quiet "x=1 2"]`,
    "lin2 | lin2 |  | linux | /vmlinuz | /a.img | /b.img | [root=/dev/sda]",
  ]);
});

test.each([
  ["legacy_configfile /menu.lst", 6, "/menu.lst"],
  ["syslinux_configfile /syslinux.cfg", 11, "/syslinux.cfg"],
  ["extract_legacy_entries_source /menu.lst", 6, "/grub.cfg"],
  ["extract_syslinux_entries_source /syslinux.cfg", 11, "/grub.cfg"],
])("%s", async (command, entries, config) => {
  const menu = await evaluate(`${command}\n`);
  expect([menu.entries.length, menu.config.path]).toEqual([entries, config]);
});

test("an entry that opens a configuration of syslinux whose default stands alone boots that", async () => {
  const menu = await evaluate("menuentry x {\nsyslinux_configfile /s.cfg\n}\n", {
    "/s.cfg": "DEFAULT b\nLABEL a\nKERNEL k\nLABEL b\nKERNEL vmlinuz\nAPPEND x\n",
  });
  expect(menu.entries.map(described)).toEqual(["x |  |  | linux | /vmlinuz | [x]"]);
});

test("a configuration that opens itself ends", async () => {
  const menu = await evaluate("syslinux_source /s.cfg\nlegacy_source /l.lst\n", {
    "/s.cfg": "TIMEOUT 1\nDEFAULT a\nINCLUDE s.cfg\nLABEL a\nCONFIG s.cfg\nLABEL b\nCOM32 ifcpu64.c32\nAPPEND b -- b\n",
    "/l.lst": "configfile /l.lst\ntitle x\nconfigfile /l.lst\n",
  });
  expect(menu.entries.map(({ title }) => title)).toEqual(["a", "b", "x"]);
});

test("looking a name up costs what there is to look through", async () => {
  // One command that names 1000 others among 8000 labels.
  const labels = Array.from({ length: 8000 }, (_, index) => `label x${index}\n`).join("");
  const text = `label a\ncom32 whichsys.c32\nappend ${"b ".repeat(1000)}\n${labels}`;
  let steps = 0;
  const spend = (count: number): void => {
    steps += count;
  };
  const world = { root: "/", directory: "/", flavour: "iso", read: async () => null, spend } as const;
  await translateSyslinuxConfig(text, "/x", world);
  expect(steps).toBeGreaterThan(1000 * 1000);
});

test("translations of mutated configurations end", async () => {
  const random = randomNumbers(3);
  const words = `${files["/menu.lst"]}\n${files["/syslinux.cfg"]}`.split(/(\s+)/);
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: 40 }, () => words[random() % words.length] ?? "").join("");
    translateLegacyConfig(text);
    let steps = 0;
    const world = { root: "/", directory: "/", flavour: null, read: async () => text };
    const spend = (count: number): void => {
      steps += count;
      if (steps > 3000) throw new RangeError("spent");
    };
    await translateSyslinuxConfig(text, "/x", { ...world, spend }).catch((error: unknown) => {
      if (!(error instanceof RangeError)) throw error;
    });
  }
});
