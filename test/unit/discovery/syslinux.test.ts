import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { BootEntry, FoundMenu } from "../../../src/discovery/entry.ts";
import { type DiscoveryLimits, defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { OpenedImages } from "../../../src/discovery/image-volumes.ts";
import { SourceError, type VolumeFacts } from "../../../src/discovery/source.ts";
import { syslinuxFinder } from "../../../src/discovery/syslinux.ts";
import { type MachineDescription, unknownMachineDescription } from "../../../src/machine/machine-description.ts";
import { machineDescription } from "../../fakes/machine-description.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";
import { syslinuxCorpus } from "../../vm/judge/syslinux-corpus.ts";
import { type Booted, bootBySlipway, compared } from "../../vm/judge/syslinux-slipway.ts";

interface Setting {
  readonly facts?: Partial<VolumeFacts>;
  readonly architecture?: string;
  readonly machine?: MachineDescription;
  readonly limits?: Partial<DiscoveryLimits>;
}

function find(files: MemoryFiles, setting: Setting = {}): Promise<readonly FoundMenu[]> {
  const { facts = {}, architecture = "x86_64", machine = machineDescription(), limits = {} } = setting;
  const source = memorySource("vda1", files, facts);
  const all = { ...defaultDiscoveryLimits, ...limits };
  const context = { source, sources: [source], architecture, images: new OpenedImages(), limits: all };
  return syslinuxFinder.find({ ...context, machine: () => machine });
}

async function findOne(files: MemoryFiles, setting: Setting = {}): Promise<FoundMenu> {
  const [menu, ...more] = await find(files, setting);
  if (menu === undefined || more.length > 0) throw new Error(`one menu expected, ${more.length + 1} found`);
  return menu;
}

function row({ id, title, submenu, linux, initrd, options, source }: BootEntry): string {
  const files = initrd.map(({ path }) => path).join(" ");
  const place = `${source.path}:${source.line}`;
  return `${id} | ${[...submenu, title].join(" > ")} | ${linux.path} | ${files} | ${options} | ${place}`;
}

function skippedRows({ skipped }: FoundMenu): string[] {
  return skipped.map(({ source, title, reason }) => `${source.path}:${source.line} ${title ?? "-"}: ${reason}`);
}

// What the real programs boot of the same configurations; test/data/syslinux/README.md tells how it was recorded.
const judged: Readonly<Record<string, { readonly booted: Booted | null; readonly remembered: string | null }>> =
  JSON.parse(readFileSync(new URL("../../data/syslinux/judged.json", import.meta.url), "utf8"));

test.for(syslinuxCorpus.map((each) => [each.name, each] as const))(
  "boots %s as the real program",
  async ([name, each]) => {
    expect(compared(await bootBySlipway(each, judged[name]?.remembered ?? null))).toEqual(
      compared(judged[name]?.booted ?? null),
    );
  },
);

test("there is a result for every case, and at least 15 of them boot", () => {
  expect(Object.keys(judged)).toEqual(syslinuxCorpus.map(({ name }) => name));
  expect(Object.values(judged).filter(({ booted }) => booted !== null).length).toBeGreaterThan(15);
});

describe("places", () => {
  const text = (label: string) => `default ${label}\nlabel ${label}\nlinux /k\n`;

  test("each directory of a program is a menu, the first one the volume's own", async () => {
    const menus = await find({
      "/boot/extlinux/extlinux.conf": text("a"),
      "/boot/extlinux/syslinux.cfg": text("unread"),
      "/extlinux/extlinux.conf": text("b"),
      "/boot/isolinux/isolinux.cfg": text("c"),
      "/isolinux/syslinux.cfg": text("d"),
      "/boot/syslinux/syslinux.cfg": text("e"),
      "/syslinux/isolinux.cfg": text("f"),
      "/syslinux.cfg": text("g"),
      "/EFI/syslinux/syslx64.cfg": text("h"),
      "/EFI/syslinux/syslinux.cfg": text("unread"),
      "/EFI/BOOT/syslinux.cfg": text("i"),
      "/k": "",
    });
    expect(menus.map(({ defaultId }) => defaultId)).toEqual([
      "vda1:syslinux:a",
      "vda1:syslinux:/extlinux/extlinux.conf:b",
      "vda1:syslinux:/boot/isolinux/isolinux.cfg:c",
      "vda1:syslinux:/isolinux/syslinux.cfg:d",
      "vda1:syslinux:/boot/syslinux/syslinux.cfg:e",
      "vda1:syslinux:/syslinux/isolinux.cfg:f",
      "vda1:syslinux:/syslinux.cfg:g",
      "vda1:syslinux:/EFI/syslinux/syslx64.cfg:h",
      "vda1:syslinux:/EFI/BOOT/syslinux.cfg:i",
    ]);
  });

  test("a configuration that another one leads to, or that is a link to it, is found once", async () => {
    const files = {
      "/boot/syslinux/syslinux.cfg": "default go\nlabel go\nconfig /syslinux/syslinux.cfg\nappend /syslinux\n",
      "/syslinux/syslinux.cfg": text("a"),
      "/syslinux.cfg": { link: "/boot/syslinux/syslinux.cfg" },
      "/k": "",
    };
    const menu = await findOne(files);
    expect(menu.entries.map(row)).toEqual([
      "vda1:syslinux:/syslinux/syslinux.cfg:a | a | /k |  |  | /syslinux/syslinux.cfg:2",
    ]);
    expect(menu.defaultId).toBe("vda1:syslinux:/syslinux/syslinux.cfg:a");
  });

  test("names have no case on FAT, on a CD and in a directory of unknown origin", async () => {
    const files = { "/SYSLINUX/Syslinux.CFG": "default a\nlabel a\nlinux /Boot/VMLINUZ\n", "/boot/vmlinuz": "" };
    for (const fstype of ["vfat", "iso9660", null] as const) {
      const menu = await findOne(files, { facts: { fstype } });
      expect(menu.entries.map(({ linux }) => linux.path)).toEqual(["/boot/vmlinuz"]);
      expect(menu.defaultId).toBe("vda1:syslinux:/SYSLINUX/Syslinux.CFG:a".replace("/SYSLINUX/Syslinux.CFG:", ""));
    }
    expect(await find(files, { facts: { fstype: "ext4" } })).toEqual([]);
  });

  test("nothing there", async () => {
    expect(await find({ "/boot/vmlinuz": "" })).toEqual([]);
  });
});

describe("entries", () => {
  test("a Debian installer's CD", async () => {
    const files = {
      "/isolinux/isolinux.cfg": "path\ninclude menu.cfg\ndefault vesamenu.c32\nprompt 0\ntimeout 0\n",
      "/isolinux/menu.cfg":
        "menu title Installer\ninclude txt.cfg\nmenu begin advanced\n    menu label ^Advanced options\n    include adtxt.cfg\nmenu end\n",
      "/isolinux/txt.cfg":
        "label install\n\tmenu label ^Install\n\tkernel /install.amd/vmlinuz\n\tappend vga=788 initrd=/install.amd/initrd.gz --- quiet\n",
      "/isolinux/adtxt.cfg":
        "label rescue\n\tmenu label ^Rescue mode\n\tkernel /install.amd/vmlinuz\n\tappend initrd=/install.amd/no.gz rescue/enable=true\n",
      "/install.amd/vmlinuz": "",
      "/install.amd/initrd.gz": "",
    };
    const menu = await findOne(files, { facts: { fstype: "iso9660" } });
    expect(menu.entries.map(row)).toEqual([
      "vda1:syslinux:install | Install | /install.amd/vmlinuz | /install.amd/initrd.gz | vga=788 initrd=/install.amd/initrd.gz --- quiet | /isolinux/txt.cfg:1",
    ]);
    expect(skippedRows(menu)).toEqual(['/isolinux/adtxt.cfg:1 Rescue mode: initrd "/install.amd/no.gz" is missing']);
    expect(menu).toMatchObject({
      format: "syslinux",
      volume: "vda1",
      defaultId: "vda1:syslinux:install",
      timeoutSeconds: null,
    });
    expect(menu.defaultReason).toBe(
      'default "vesamenu.c32" in /isolinux/isolinux.cfg: "install" is the default of the menu of /isolinux/isolinux.cfg',
    );
    const [entry] = menu.entries;
    expect(entry?.bootImage).toBe("BOOT_IMAGE=/install.amd/vmlinuz");
    expect(entry?.aliases).toEqual(["install"]);
    // All of them may have shaped it: the menu reads them as one text.
    expect(entry?.configs.map(({ ref }) => ref.path)).toEqual(
      ["isolinux.cfg", "menu.cfg", "txt.cfg", "adtxt.cfg"].map((name) => `/isolinux/${name}`),
    );
  });

  test("Alpine's extlinux.conf", async () => {
    const files = {
      "/boot/extlinux.conf": "unread\n",
      "/extlinux.conf": `# Generated by update-extlinux 6.04_pre1-r15
DEFAULT menu.c32
PROMPT 0
MENU TITLE Alpine/Linux Boot Menu
MENU HIDDEN
MENU AUTOBOOT Alpine will be booted automatically in # seconds.
TIMEOUT 30
LABEL lts
  MENU DEFAULT
  MENU LABEL Linux lts
  LINUX vmlinuz-lts
  INITRD initramfs-lts
  APPEND root=UUID=1 modules=sd-mod,usb-storage,ext4 quiet rootfstype=ext4

MENU SEPARATOR
`,
      "/vmlinuz-lts": "",
      "/initramfs-lts": "",
    };
    const menu = await findOne(files);
    expect(menu.entries.map(row)).toEqual([
      "vda1:syslinux:lts | Linux lts | /vmlinuz-lts | /initramfs-lts | root=UUID=1 modules=sd-mod,usb-storage,ext4 quiet rootfstype=ext4 initrd=initramfs-lts | /extlinux.conf:8",
    ]);
    expect(menu.timeoutSeconds).toBe(3);
  });

  test("a file of a server, a directory, and a file that becomes part of an archive", async () => {
    const config =
      "label a\nlinux /d\nlabel b\nkernel linux.c32\nappend /k initrdfile=/f@/x/y initrdfile=/f\nlabel c\nkernel mboot.c32\nappend /k a --- /f b\n";
    const menu = await findOne({ "/syslinux.cfg": config, "/d/e": "", "/k": "", "/f": "" });
    expect(skippedRows(menu)).toEqual(['/syslinux.cfg:1 a: linux "/d": a regular file expected']);
    const file = { volume: "vda1", path: "/f" };
    expect(menu.entries.map(({ initrd }) => initrd)).toEqual([
      [
        { ...file, archive: { path: "/x/y", mode: 0o755, directories: Number.POSITIVE_INFINITY } },
        { ...file, archive: { path: "/f", mode: 0o755, directories: 0 } },
      ],
      [],
    ]);
    expect(menu.entries[1]).toMatchObject({ options: "a", bootImage: "/k", modules: [{ file, options: "/f b" }] });
  });

  test("sysappend tells the filesystem's UUID where the program knows it", async () => {
    const files = { "/syslinux.cfg": "sysappend 0x40003\nlabel a\nlinux /k\n", "/k": "" };
    const options = async (facts: Partial<VolumeFacts>) => (await findOne(files, { facts })).entries[0]?.options;
    expect(await options({ fstype: "ext4", uuid: "u" })).toBe("FSUUID=u");
    expect(await options({ fstype: "vfat", uuid: "1234-ABCD" })).toBe("FSUUID=1234-ABCD");
    expect(await options({ fstype: "xfs", uuid: "u" })).toBe("");
  });

  test.each([
    ["2", "SYSUUID=00004d56-1111-2222-3333-444455556666"],
    ["4 5 7", "SYSVENDOR=ACME SYSPRODUCT=Model_A SYSSERIAL=S-1"],
    ["17", "SYSFF=1"],
    ["0 1", ""],
  ])("sysappend bits %s tell what SMBIOS says", async (bits, options) => {
    const mask = bits.split(" ").reduce((sum, bit) => sum + 2 ** Number(bit), 0);
    const text = `sysappend ${mask}\nlabel a\nlinux /k\n`;
    expect((await findOne({ "/syslinux.cfg": text, "/k": "" })).entries[0]?.options).toBe(options);
    // The program for UEFI does not ask.
    expect((await findOne({ "/EFI/BOOT/syslx64.cfg": text, "/k": "" })).entries[0]?.options).toBe("");
  });

  test("a word that is not known costs the labels that hand it to a kernel", async () => {
    const text = "sysappend 4\nlabel a\nlinux /k\nlabel b\nlinux /k\nsysappend 0\nlabel c\nsysappend 8\nlinux /k\n";
    const menu = await findOne({ "/syslinux.cfg": text, "/k": "" }, { machine: unknownMachineDescription });
    expect(menu.entries.map(({ id, options }) => [id, options])).toEqual([["vda1:syslinux:b", ""]]);
    expect(skippedRows(menu)).toEqual([
      '/syslinux.cfg:2 a: "SYSUUID" of the machine is not known',
      '/syslinux.cfg:7 c: "CPU" of the machine is not known',
    ]);
  });

  test("a command that ldlinux.sys remembers is an unsigned input, a label that it names is not", async () => {
    const files = (name: string): MemoryFiles => ({
      "/syslinux/syslinux.cfg": "label b\nlinux /k\n",
      "/syslinux/ldlinux.sys": Buffer.from(judged[name]?.remembered ?? "", "base64"),
      "/k": "",
    });
    const { entries, defaultId } = await findOne(files("once"));
    expect(defaultId).toBe("vda1:syslinux:b y");
    expect(
      entries.map(({ id, unsignedInputs }) => [id, unsignedInputs.map(({ config, what }) => [config.ref.path, what])]),
    ).toEqual([
      ["vda1:syslinux:b y", [["/syslinux/ldlinux.sys", "the choice for the next boot"]]],
      ["vda1:syslinux:b", []],
    ]);
    expect((await findOne(files("once-menu"))).entries.map(({ unsignedInputs }) => unsignedInputs)).toEqual([[]]);
  });

  test("limits", async () => {
    const files = { "/syslinux.cfg": "label a\nlinux /k\nappend 123456\nlabel b\nlinux /k\n", "/k": "" };
    expect(skippedRows(await findOne(files, { limits: { optionsBytesMax: 5 } }))).toEqual([
      "/syslinux.cfg:1 a: options: 6 bytes, at most 5 are taken",
    ]);
    expect(skippedRows(await findOne(files, { limits: { entriesMax: 1 } }))).toEqual([
      "/syslinux.cfg:4 -: more than 1 labels, at most so many are taken; the rest is left out",
    ]);
    expect(skippedRows(await findOne(files, { limits: { configBytesMax: 5 } }))).toEqual([
      '/syslinux.cfg:1 -: read "/syslinux.cfg" on vda1: 48 bytes, at most 5 are taken',
    ]);
  });

  test("a volume that fails costs its directories alone", async () => {
    const source = memorySource("vda1", { "/syslinux.cfg": "label a\nlinux /k\n", "/k": "" });
    const stat = source.stat.bind(source);
    source.stat = async (path) => {
      if (path.startsWith("/boot/syslinux/")) throw new SourceError(`stat ${path}: broken`);
      return stat(path);
    };
    const limits = defaultDiscoveryLimits;
    const context = { source, sources: [source], architecture: "x86_64", images: new OpenedImages(), limits };
    const menus = await syslinuxFinder.find(context);
    expect(menus.flatMap(skippedRows)).toEqual(["/boot/syslinux/:1 -: stat /boot/syslinux/extlinux.conf: broken"]);
    expect(menus.flatMap(({ entries }) => entries.map(({ id }) => id))).toEqual(["vda1:syslinux:a"]);
  });
});

describe("extlinux.conf of U-Boot", () => {
  const files = {
    "/boot/extlinux/extlinux.conf": `default one
label one
  linux ../Image
  fdtdir ../dtbs
  fdtoverlays ../o/a.dtbo ../o/no.dtbo
  append root=/dev/mmcblk0p2
label two
  linux ../Image#conf-2
  fdt ../dtbs/no.dtb
`,
    "/boot/Image": "",
    "/boot/dtbs/rockchip/rk3328-rock64.dtb": "",
    "/boot/o/a.dtbo": "",
  };

  test("is known by its words on any machine, and fdtdir by the board", async () => {
    const machine = machineDescription({ compatible: ["pine64,rock64", "rockchip,rk3328"] });
    const [entry] = (await findOne(files, { machine })).entries;
    expect(entry).toMatchObject({
      id: "vda1:syslinux:one",
      linux: { path: "/boot/Image" },
      options: "root=/dev/mmcblk0p2",
      bootImage: null,
      devicetree: { volume: "vda1", path: "/boot/dtbs/rockchip/rk3328-rock64.dtb" },
      overlays: [{ volume: "vda1", path: "/boot/o/a.dtbo" }],
    });
  });

  test("without the board the machine's own device tree goes on; what is missing is told", async () => {
    const menu = await findOne(files);
    expect(menu.entries.map(({ devicetree }) => devicetree)).toEqual([null]);
    expect(skippedRows(menu)).toEqual([
      '/boot/extlinux/extlinux.conf:2 one: overlay "/boot/o/no.dtbo" is missing: the entry is offered without it',
      '/boot/extlinux/extlinux.conf:7 two: fdt "/boot/dtbs/no.dtb" is missing',
    ]);
  });

  test("on other processors every extlinux.conf is U-Boot's, since syslinux runs on x86 alone", async () => {
    const plain = { "/extlinux/extlinux.conf": "label a\nlinux /Image#1\n", "/Image": "" };
    const [entry] = (await findOne(plain, { architecture: "aarch64" })).entries;
    expect(entry).toMatchObject({ linux: { path: "/Image" }, part: "#1", bootImage: null });
    expect(skippedRows(await findOne(plain))).toEqual(['/extlinux/extlinux.conf:1 a: linux "/Image#1" is missing']);
  });
});
