import { describe, expect, test } from "vitest";
import { deviceTreeNames } from "../../../../src/formats/syslinux/device-tree-name.ts";
import { locationText } from "../../../../src/formats/syslinux/host.ts";
import type { SyslinuxLimits } from "../../../../src/formats/syslinux/limits.ts";
import { chooseSyslinuxDefault } from "../../../../src/formats/syslinux/menu.ts";
import { evaluateUBoot, isForUBoot } from "../../../../src/formats/syslinux/u-boot.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";
import { memorySyslinuxHost, type Texts } from "./memory-syslinux-host.ts";

function evaluate(
  config: string | Uint8Array,
  files: Texts = {},
  compatible: readonly string[] = [],
  limits: Partial<SyslinuxLimits> = {},
) {
  const host = memorySyslinuxHost({ "/extlinux/extlinux.conf": config, ...files }, { cpu: "aarch64" });
  const location = { kind: "path", path: "/extlinux/extlinux.conf" } as const;
  return evaluateUBoot(host, location, "/extlinux", compatible, limits);
}

async function rows(config: string, files: Texts = {}, compatible: readonly string[] = []) {
  const { menu } = await evaluate(config, files, compatible);
  return menu?.entries.map(({ label, title, outcome }) => {
    if (outcome.kind === "refused") return `${label} (${title}) refused: ${outcome.reason}`;
    const { kernel, part, initrds, options, bootImage, devicetree, devicetreeNames, overlays } = outcome.load;
    const texts = (uses: readonly { readonly location: Parameters<typeof locationText>[0] }[]) =>
      uses.map(({ location }) => locationText(location)).join(" ");
    const tree = devicetree === null ? "" : ` fdt ${locationText(devicetree.location)}`;
    const names = devicetreeNames.length === 0 ? "" : ` of ${texts(devicetreeNames)}`;
    const over = overlays.length === 0 ? "" : ` overlays ${texts(overlays)}`;
    const initrd = initrds.length === 0 ? "" : ` ${texts(initrds)}`;
    return `${label} (${title}) ${texts([kernel])}${part ?? ""}${initrd} |${bootImage ?? ""}|${options}|${tree}${names}${over}`;
  });
}

/** What u-boot-menu writes on Debian, shortened. */
const debian = `## /boot/extlinux/extlinux.conf
##
## IMPORTANT WARNING
default l0
menu title U-Boot menu
prompt 1
timeout 50


label l0
	menu label Debian GNU/Linux 12 (bookworm) 6.1.0-18-arm64
	linux /boot/vmlinuz-6.1.0-18-arm64
	initrd /boot/initrd.img-6.1.0-18-arm64
	fdtdir /usr/lib/linux-image-6.1.0-18-arm64/

	append root=UUID=1 ro quiet

label l0r
	menu label Debian GNU/Linux 12 (bookworm) 6.1.0-18-arm64 (rescue target)
	linux /boot/vmlinuz-6.1.0-18-arm64
	initrd /boot/initrd.img-6.1.0-18-arm64
	fdtdir /usr/lib/linux-image-6.1.0-18-arm64/
	append root=UUID=1 ro single
`;

describe("labels", () => {
  test("what u-boot-menu writes", async () => {
    expect(await rows(debian)).toEqual([
      "l0 (Debian GNU/Linux 12 (bookworm) 6.1.0-18-arm64) /boot/vmlinuz-6.1.0-18-arm64 /boot/initrd.img-6.1.0-18-arm64 ||root=UUID=1 ro quiet|",
      "l0r (Debian GNU/Linux 12 (bookworm) 6.1.0-18-arm64 (rescue target)) /boot/vmlinuz-6.1.0-18-arm64 /boot/initrd.img-6.1.0-18-arm64 ||root=UUID=1 ro single|",
    ]);
  });

  test.each([
    ["kernel ../Image\nappend a  b", "/Image ||a  b|"],
    ["linux k#conf-1", "/extlinux/k#conf-1 |||"],
    ["linux k\nappend x initrd=i,j y", "/extlinux/k /extlinux/i,j ||x initrd=i,j y|"],
    ["linux k\ninitrd a\nappend initrd=b", "/extlinux/k /extlinux/a ||initrd=b|"],
    [
      "linux k\nfdt /x.dtb\nfdtdir /d\nfdtoverlays /a.dtbo  /b.dtbo",
      "/extlinux/k ||| fdt /x.dtb overlays /a.dtbo /b.dtbo",
    ],
    ["linux k\ndevicetree /x.dtb\ndevicetree-overlay o", "/extlinux/k ||| fdt /x.dtb overlays /extlinux/o"],
    ["linux k\nfdt -\nfdtdir /d\nfdtoverlays o", "/extlinux/k |||"],
    ["linux k\nfdtoverlays o", "/extlinux/k |||"],
    [
      "linux k\nfdtdir d",
      "/extlinux/k ||| of /extlinux/d/rockchip/rk3328-rock64.dtb /extlinux/d/pine64/rk3328-rock64.dtb /extlinux/d/rk3328-rock64.dtb /extlinux/d/rockchip/rock64.dtb /extlinux/d/pine64/rock64.dtb /extlinux/d/rock64.dtb /extlinux/d/rockchip/rk3328.dtb /extlinux/d/rk3328.dtb",
    ],
    ["linux k\nipappend 3\nkaslrseed\nsay hello\nappend x", "/extlinux/k ||x|"],
    // The second of a kind ends the label, and so does a word of another language: what follows is lost.
    ["linux k\ninitrd a\ninitrd b\nappend lost", "/extlinux/k /extlinux/a |||"],
    ["linux k\ntext help\nappend lost", "/extlinux/k |||"],
    ["linux k\n# comment\n\nappend kept # this too", "/extlinux/k ||kept # this too|"],
  ])("%j", async (lines, row) => {
    expect(await rows(`label a\n${lines}\n`, {}, ["pine64,rock64", "rockchip,rk3328"])).toEqual([`a (a) ${row}`]);
  });

  test.each([
    ["localboot 1", "localboot: runs a command of U-Boot's environment"],
    ["append x", "no kernel is named"],
    ["linux", "no kernel is named"],
    [
      "linux k\nappend a $(bootargs) b",
      'append uses "$(bootargs)": a variable of U-Boot\'s environment, which is not known',
    ],
  ])("%j is refused", async (lines, reason) => {
    expect(await rows(`label a\n${lines}\n`)).toEqual([`a (a) refused: ${reason}`]);
  });

  test("two labels with one name are two entries", async () => {
    expect(await rows("label a\nlinux x\nlabel a\nlinux y\n")).toEqual([
      "a (a) /extlinux/x |||",
      "a#2 (a) /extlinux/y |||",
    ]);
  });

  test("a label that is called as the second one would be", async () => {
    expect(await rows("label a#2\nlinux x\nlabel a\nlinux y\nlabel a\nlinux z\n")).toEqual([
      "a#2 (a#2) /extlinux/x |||",
      "a (a) /extlinux/y |||",
      "a#3 (a) /extlinux/z |||",
    ]);
  });

  test("included files are read, a missing one is told", async () => {
    const { menu, messages } = await evaluate("menu include /more.conf\ninclude no.conf\n", {
      "/more.conf": "label a\nlinux /k\n",
    });
    expect(menu?.entries.map(({ label, place }) => [label, place.line])).toEqual([["a", 1]]);
    expect(messages.map(({ place, text }) => [place.line, text])).toEqual([[2, '"/extlinux/no.conf": no such file']]);
  });
});

describe("what boots by itself", () => {
  const labels = "label a\nlinux /a\nlabel b\nlinux /b\n";
  const at = "in /extlinux/extlinux.conf";
  test.each([
    ["default b\n", [], "b", 0, `default "b" ${at}`],
    ["default b\nontimeout a\n", [], "a", 0, `ontimeout "a" ${at}`],
    ["", [], "a", 0, `label "a" is next ${at}`],
    ["", ["/a"], "b", 0, `label "b" is next ${at}; label "a" is next ${at}, which is not offered`],
    ["default c\n", [], "a", 0, `label "a" is next ${at}`],
    [
      "default b\nprompt 1\ntimeout 45\n",
      ["/b"],
      "a",
      5,
      `label "a" is next ${at}; default "b" ${at}, which is not offered`,
    ],
    ["default b\nmenu title T\n", [], "b", null, `default "b" ${at}`],
    ["timeout 45\nlabel x\nmenu default\nlinux /x\nmenu default\n", [], "x", 0, `menu default "x" ${at}`],
  ])("%j without %j", async (lines, missing, label, seconds, reason) => {
    const { menu } = await evaluate(lines + labels);
    if (menu === null) throw new Error("no menu");
    const choice = chooseSyslinuxDefault(
      menu,
      ({ outcome }) =>
        outcome.kind === "boot" && !(missing as string[]).includes(locationText(outcome.load.kernel.location)),
    );
    expect([choice.entry?.label, menu.timeoutSeconds, choice.reason]).toEqual([label, seconds, reason]);
  });

  test("no label", async () => {
    const { menu } = await evaluate("default a\n");
    expect(menu?.choices).toEqual([{ entry: null, reason: `no label ${at}` }]);
  });
});

test.each([
  ["label a\n  FDT /x\n", true],
  ["label a\n\tdevicetreedir /x\n", true],
  ["kaslrseed", true],
  ["# fdt /x\nlabel fdt\nappend fdtdir\nfdtx\n", false],
])("%j is for U-Boot: %j", (text, expected) => {
  expect(isForUBoot(new TextEncoder().encode(text))).toBe(expected);
});

describe("as U-Boot 2023.01 did in QEMU (u-boot-qemu, qemu-x86)", () => {
  // Each configuration with what it loaded and the options that it told.
  test.each([
    ["label a\nlinux /vmlinuz\nappend one\nlabel b\nlinux /other\n", "/vmlinuz  |one"],
    ["label a\nlinux /no\nlabel b\nlinux rel\nappend b  \n", "/extlinux/rel  |b  "],
    ["default b\nontimeout a\nlabel a\nlinux /vmlinuz\nlabel b\nlinux /other\n", "/vmlinuz  |"],
    [
      "label a\nlinux /other\nlabel b\nmenu default\nlinux /vmlinuz\ninitrd /initrd.img\ninitrd /second.img\nappend lost\n",
      "/vmlinuz /initrd.img |",
    ],
    ["default a\nlabel a\nlinux /vmlinuz\ntext help\nappend lost\n", "/vmlinuz  |"],
    [
      "label a\nlinux /vmlinuz\nappend x \"q u\" 's q' b\\\\\\\\c $y z # c\n",
      '/vmlinuz  |x "q u" s q b\\\\\\c $y z # c',
    ],
    ["default a\nlabel a\nlinux /vmlinuz\nlabel a\nlinux /other\nlabel q x\nlinux /other\n", "/other  |"],
    [
      "default l0\nmenu title T\ntimeout 10\nlabel l0\n  linux /vmlinuz\n  initrd /initrd.img\n  append root=x  y initrd=/second.img\n",
      "/vmlinuz /initrd.img |root=x  y initrd=/second.img",
    ],
  ])("%j boots %j", async (config, booted) => {
    const { menu } = await evaluate(config);
    if (menu === null) throw new Error("no menu");
    const isThere = (path: string) => ["/vmlinuz", "/other", "/extlinux/rel"].includes(path);
    const { entry } = chooseSyslinuxDefault(
      menu,
      ({ outcome }) => outcome.kind === "boot" && isThere(locationText(outcome.load.kernel.location)),
    );
    if (entry?.outcome.kind !== "boot") throw new Error("nothing boots");
    const { kernel, initrds, options } = entry.outcome.load;
    const initrd = initrds.map(({ location }) => locationText(location)).join(" ");
    expect(`${locationText(kernel.location)} ${initrd} |${options}`).toBe(booted);
  });
});

describe("deviceTreeNames", () => {
  // Names as Linux 6.1 installs them for arm64.
  test.each([
    [["raspberrypi,4-model-b", "brcm,bcm2711"], "broadcom/bcm2711-rpi-4-b.dtb", false],
    [["pine64,rock64", "rockchip,rk3328"], "rockchip/rk3328-rock64.dtb", true],
    [["friendlyarm,nanopi-r4s", "rockchip,rk3399"], "rockchip/rk3399-nanopi-r4s.dtb", true],
    [
      ["libretech,aml-s905x-cc", "amlogic,s905x", "amlogic,meson-gxl"],
      "amlogic/meson-gxl-s905x-libretech-cc.dtb",
      false,
    ],
  ])("%j: %s is among them: %j", (compatible, name, expected) => {
    expect(deviceTreeNames(compatible).includes(name)).toBe(expected);
  });

  test.each([[[]], [["a/b,c"]], [["../x,y", "a,b"]], [["a,", ","]]])("%j: none", (compatible) => {
    expect(deviceTreeNames(compatible)).toEqual([]);
  });
});

test("limits", async () => {
  const told = async (config: string, limits: Partial<SyslinuxLimits>) =>
    (await evaluate(config, {}, [], limits)).messages.map(({ text }) => text);
  expect(await told("include extlinux.conf\n", {})).toEqual([
    "more than 16 files that include one another; the rest is left out",
  ]);
  expect(await told("label a\nlabel b\n", { entriesMax: 1 })).toEqual([
    "more than 1 labels, at most so many are taken; the rest is left out",
  ]);
});

test("hostile texts end in entries and messages", async () => {
  const bytes = new TextEncoder().encode(`${debian}fdtoverlays a b\nmenu include x\ninclude extlinux.conf\n`);
  const random = randomNumbers(5);
  for (let round = 0; round < 300; round++) {
    const changed = bytes.slice(0, round % 2 === 0 ? bytes.length : random() % bytes.length);
    for (let change = 0; change < round % 4; change++) changed[random() % (changed.length + 1)] = random() >>> 3;
    const { menu, messages } = await evaluate(changed);
    expect(menu !== null || messages.length > 0).toBe(true);
  }
});
