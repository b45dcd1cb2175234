import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { BootEntry, FoundMenu } from "../../../src/discovery/entry.ts";
import { type DiscoveryLimits, defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { grubFinder } from "../../../src/discovery/grub.ts";
import { grubDeviceNames } from "../../../src/discovery/grub-devices.ts";
import { OpenedImages } from "../../../src/discovery/image-volumes.ts";
import type { FileSource, VolumeFacts } from "../../../src/discovery/source.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";

const uuid = "2f9c1f2e-57a3-4a3e-9d2b-6f3d5a0c7e11";

function config(name: string): string {
  return readFileSync(new URL(`../../data/grub/mkconfig/${name}.cfg`, import.meta.url), "utf8");
}

function grubenv(lines: string): string {
  return `# GRUB Environment Block\n${lines}`.padEnd(1024, "#");
}

/** The files of a boot partition, kernels and initrds of these versions among them. */
function bootFiles(versions: readonly string[], more: MemoryFiles): MemoryFiles {
  const pairs = versions.flatMap((version) => [
    [`/vmlinuz-${version}`, "kernel"],
    [`/initrd.img-${version}`, "initrd"],
  ]);
  return { ...Object.fromEntries(pairs), ...more };
}

function bootVolume(files: MemoryFiles, facts: Partial<VolumeFacts> = {}): FileSource {
  return memorySource("vda2", files, { uuid, disk: "vda", part: 2, table: "gpt", ...facts });
}

function find(
  sources: readonly FileSource[],
  index = 0,
  limits: Partial<DiscoveryLimits> = {},
): Promise<readonly FoundMenu[]> {
  const source = sources[index];
  if (source === undefined) throw new Error("no such source");
  const all = { ...defaultDiscoveryLimits, ...limits };
  return grubFinder.find({ source, sources, architecture: "x86_64", images: new OpenedImages(), limits: all });
}

async function findOne(
  sources: readonly FileSource[],
  index = 0,
  limits: Partial<DiscoveryLimits> = {},
): Promise<FoundMenu> {
  const [menu, ...more] = await find(sources, index, limits);
  if (menu === undefined || more.length > 0) throw new Error(`one menu expected, ${more.length + 1} found`);
  return menu;
}

function row(entry: BootEntry): string {
  const initrd = entry.initrd.map(({ volume, path }) => `${volume}${path}`).join(" ");
  return `${entry.id} | ${[...entry.submenu, entry.title].join(" > ")} | ${entry.linux.volume}${entry.linux.path} | ${initrd} | ${entry.options}`;
}

function skippedRows(menu: FoundMenu): string[] {
  return menu.skipped.map(
    ({ source, title, reason }) => `${source.volume}${source.path}:${source.line} ${title}: ${reason}`,
  );
}

describe("Debian 12, as grub-mkconfig writes it", () => {
  const versions = ["6.1.0-21-amd64", "6.1.0-18-amd64"];
  const files = bootFiles(versions, { "/grub/grub.cfg": config("debian-12") });

  // By hand from the `menuentry`, `linux` and `initrd` lines of the file, as are the line numbers below.
  test("entries, in menu order", async () => {
    const menu = await findOne([bootVolume(files)]);
    const root = `root=UUID=${uuid} ro`;
    const advanced = "Advanced options for Debian GNU/Linux > Debian GNU/Linux, with Linux";
    const load = (version: string): string => `vda2/vmlinuz-${version} | vda2/initrd.img-${version}`;
    expect(menu.entries.map(row)).toEqual([
      `vda2:grub:0 | Debian GNU/Linux | ${load("6.1.0-21-amd64")} | ${root} quiet`,
      `vda2:grub:1>0 | ${advanced} 6.1.0-21-amd64 | ${load("6.1.0-21-amd64")} | ${root} quiet`,
      `vda2:grub:1>1 | ${advanced} 6.1.0-21-amd64 (recovery mode) | ${load("6.1.0-21-amd64")} | ${root} single`,
      `vda2:grub:1>2 | ${advanced} 6.1.0-18-amd64 | ${load("6.1.0-18-amd64")} | ${root} quiet`,
      `vda2:grub:1>3 | ${advanced} 6.1.0-18-amd64 (recovery mode) | ${load("6.1.0-18-amd64")} | ${root} single`,
    ]);
    expect(menu.skipped).toEqual([]);
    expect([menu.volume, menu.defaultId, menu.defaultReason, menu.timeoutSeconds]).toEqual([
      "vda2",
      "vda2:grub:0",
      'default="0" (/grub/grub.cfg)',
      5,
    ]);
  });

  test("a volume that is not known by its UUID: the reason names the search that failed", async () => {
    const menu = await findOne([memorySource("root1", files)]);
    expect(menu.entries).toEqual([]);
    expect(skippedRows(menu)[0]).toBe(
      `root1/grub/grub.cfg:106 Debian GNU/Linux: linux: "/vmlinuz-6.1.0-21-amd64": no device "hd0,gpt2" is known (search: no device with fs-uuid "${uuid}")`,
    );
  });

  test("a directory of which nothing is known is the volume that the configuration means", async () => {
    const bare = memorySource("root1", files, { fstype: null });
    const rows = (await findOne([bare])).entries.map(row);
    const wanted = (await findOne([bootVolume(files)])).entries.map(row);
    expect(rows).toEqual(wanted.map((text) => text.replaceAll("vda2", "root1")));
    // Of two such directories either could be meant: none is taken.
    const menu = await findOne([bare, memorySource("root2", {}, { fstype: null })]);
    expect(menu.entries).toEqual([]);
  });

  test("all that an entry holds", async () => {
    const { entries } = await findOne([bootVolume(files)]);
    const bytes = new TextEncoder().encode(config("debian-12"));
    expect(entries[2]).toEqual({
      id: "vda2:grub:1>1",
      title: "Debian GNU/Linux, with Linux 6.1.0-21-amd64 (recovery mode)",
      submenu: ["Advanced options for Debian GNU/Linux"],
      format: "grub",
      source: { volume: "vda2", path: "/grub/grub.cfg", line: 141 },
      linux: { volume: "vda2", path: "/vmlinuz-6.1.0-21-amd64" },
      part: null,
      initrd: [{ volume: "vda2", path: "/initrd.img-6.1.0-21-amd64" }],
      modules: [],
      options: `root=UUID=${uuid} ro single`,
      embedded: false,
      addons: [],
      bootImage: "BOOT_IMAGE=/vmlinuz-6.1.0-21-amd64",
      devicetree: null,
      overlays: [],
      architecture: null,
      version: null,
      tries: null,
      aliases: [
        `gnulinux-6.1.0-21-amd64-recovery-${uuid}`,
        "Debian GNU/Linux, with Linux 6.1.0-21-amd64 (recovery mode)",
        `gnulinux-advanced-${uuid}>gnulinux-6.1.0-21-amd64-recovery-${uuid}`,
        "Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-21-amd64 (recovery mode)",
      ],
      configs: [{ ref: { volume: "vda2", path: "/grub/grub.cfg" }, bytes }],
      unsignedInputs: [],
      variables: [{ name: "root", value: "hd0,gpt2", place: { volume: "vda2", path: "/grub/grub.cfg", line: 149 } }],
    });
  });

  test("a file that is missing costs the entries that load it", async () => {
    const { "/initrd.img-6.1.0-18-amd64": _, ...rest } = files;
    const menu = await findOne([bootVolume(rest)]);
    expect(menu.entries.map(({ id }) => id)).toEqual(["vda2:grub:0", "vda2:grub:1>0", "vda2:grub:1>1"]);
    expect(skippedRows(menu)).toEqual([
      'vda2/grub/grub.cfg:158 Debian GNU/Linux, with Linux 6.1.0-18-amd64: initrd: "/initrd.img-6.1.0-18-amd64" is missing on (hd0,gpt2)',
      'vda2/grub/grub.cfg:175 Debian GNU/Linux, with Linux 6.1.0-18-amd64 (recovery mode): initrd: "/initrd.img-6.1.0-18-amd64" is missing on (hd0,gpt2)',
    ]);
  });

  test("next_entry and saved values of the environment block", async () => {
    const next = `gnulinux-advanced-${uuid}>gnulinux-6.1.0-18-amd64-advanced-${uuid}`;
    const menu = await findOne([
      bootVolume({ ...files, "/grub/grubenv": grubenv(`next_entry=${next}\nrecordfail=1\n`) }),
    ]);
    expect(menu.defaultId).toBe("vda2:grub:1>2");
    expect(menu.defaultReason).toContain("/grub/grub.cfg; next_entry of /grub/grubenv");
    expect(menu.timeoutSeconds).toBe(30);
    // The block decides only which literal text is used, so it shapes no entry.
    expect(menu.entries.flatMap(({ unsignedInputs }) => unsignedInputs)).toEqual([]);
  });

  test("custom.cfg", async () => {
    const custom = "menuentry 'Mine' $menuentry_id_option 'mine' {\n linux /vmlinuz-6.1.0-21-amd64 mine\n}\n";
    const menu = await findOne([bootVolume({ ...files, "/grub/custom.cfg": custom })]);
    const mine = menu.entries.at(-1);
    expect([mine?.id, mine?.source.path, mine?.aliases[0]]).toEqual(["vda2:grub:2", "/grub/custom.cfg", "mine"]);
    expect(menu.entries[0]?.configs.map(({ ref }) => ref.path)).toEqual(["/grub/grub.cfg", "/grub/custom.cfg"]);
  });
});

describe("Ubuntu, as grub-mkconfig writes it", () => {
  const versions = ["6.8.0-31-generic", "6.8.0-28-generic"];
  const files = bootFiles(versions, { "/grub/grub.cfg": config("ubuntu") });

  test("recordfail, hand-over of the screen, saved default", async () => {
    const menu = await findOne([bootVolume(files)]);
    const root = `root=UUID=${uuid} ro`;
    expect(menu.entries.map(({ id, options }) => `${id} ${options}`)).toEqual([
      `vda2:grub:0 ${root} quiet splash vt.handoff=7`,
      `vda2:grub:1>0 ${root} quiet splash vt.handoff=7`,
      `vda2:grub:1>1 ${root} single nomodeset`,
      `vda2:grub:1>2 ${root} quiet splash vt.handoff=7`,
      `vda2:grub:1>3 ${root} single nomodeset`,
    ]);
    expect(menu.skipped).toEqual([]);
    expect([menu.defaultId, menu.defaultReason, menu.timeoutSeconds]).toEqual([
      "vda2:grub:0",
      'default="", which means the first entry (/grub/grub.cfg)',
      0,
    ]);
  });

  test("after a failed boot the screen is not handed over", async () => {
    const saved = `saved_entry=gnulinux-advanced-${uuid}>gnulinux-6.8.0-28-generic-advanced-${uuid}\nrecordfail=1\n`;
    const menu = await findOne([bootVolume({ ...files, "/grub/grubenv": grubenv(saved) })]);
    expect(menu.entries[0]?.options).toBe(`root=UUID=${uuid} ro quiet splash`);
    expect([menu.defaultId, menu.timeoutSeconds]).toEqual(["vda2:grub:1>2", 30]);
  });
});

describe("volumes", () => {
  const stub = `search.fs_uuid ${uuid} root hd0,gpt2 \nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n`;
  const esp = memorySource(
    "vda1",
    { "/EFI/debian/grub.cfg": stub },
    { uuid: "AB12-CD34", disk: "vda", part: 1, table: "gpt", fstype: "vfat" },
  );
  const entry = "menuentry 'One' {\n linux /k root=/dev/vda2\n}\n";
  const main = bootVolume({ "/grub/grub.cfg": entry, "/k": "kernel" });

  test("a configuration that leads to another volume gives that volume's menu", async () => {
    const menu = await findOne([esp, main], 0);
    expect([menu.volume, menu.defaultId]).toEqual(["vda2", "vda2:grub:0"]);
    expect(menu.entries.map(row)).toEqual(["vda2:grub:0 | One | vda2/k |  | root=/dev/vda2"]);
    expect(menu.entries[0]?.source).toEqual({ volume: "vda2", path: "/grub/grub.cfg", line: 1 });
    expect(menu.entries[0]?.configs.map(({ ref }) => `${ref.volume}${ref.path}`)).toEqual([
      "vda1/EFI/debian/grub.cfg",
      "vda2/grub/grub.cfg",
    ]);
    expect((await findOne([esp, main], 1)).entries.map(({ id }) => id)).toEqual(["vda2:grub:0"]);
  });

  test("and says so where that volume is not there", async () => {
    const menu = await findOne([esp], 0);
    expect(menu.entries).toEqual([]);
    expect(skippedRows(menu)).toEqual([
      `vda1/EFI/debian/grub.cfg:1 null: search: no device with fs-uuid "${uuid}"`,
      'vda1/EFI/debian/grub.cfg:3 null: configfile: "/grub/grub.cfg" is missing on (hd0,gpt1)',
    ]);
  });

  test("a second configuration of a volume has its path in its ids", async () => {
    const menus = await find([bootVolume({ "/boot/grub/grub.cfg": entry, "/boot/grub2/grub.cfg": entry, "/k": "k" })]);
    expect(menus.map((menu) => menu.entries.map(({ id }) => id))).toEqual([
      ["vda2:grub:0"],
      ["vda2:grub:/boot/grub2/grub.cfg:0"],
    ]);
  });

  test("a link to the first configuration is not a second one", async () => {
    const menus = await find([
      bootVolume({ "/boot/grub/grub.cfg": entry, "/boot/grub2": { link: "grub" }, "/k": "k" }),
    ]);
    expect(menus.map((menu) => menu.entries.map(({ id }) => id))).toEqual([["vda2:grub:0"]]);
  });

  test("a volume without a configuration", async () => {
    expect(await find([bootVolume({ "/k": "kernel" })])).toEqual([]);
  });

  test("a directory without a disk", async () => {
    const script = "echo $root\nsearch --set --label data\nmenuentry a {\n linux ($root)/k $root\n}\n";
    const source = memorySource("a)b", { "/grub/grub.cfg": script, "/k": "k" }, { label: "data" });
    expect((await findOne([source])).entries.map(row)).toEqual(["a)b:grub:0 | a | a)b/k |  | volume/a%29b"]);
  });

  test("names of devices", () => {
    const volume = (disk: string | null, part: number | null, table: VolumeFacts["table"]): VolumeFacts => ({
      ...memorySource("x", {}).volume,
      disk,
      part,
      table,
    });
    expect(
      grubDeviceNames([
        volume("sdb", 1, "msdos"),
        volume("sda", 2, "gpt"),
        volume("sdb", 5, "msdos"),
        volume("sdc", null, null),
        volume("sdd", 3, null),
        volume(null, null, null),
      ]),
    ).toEqual(["hd0,msdos1", "hd1,gpt2", "hd0,msdos5", "hd2", "hd3,3", "volume/x"]);
  });

  test.each([
    ["(hd0,gpt2)/k", true],
    ["(hd0,2)/k", true],
    ["(hd0,msdos2)/k", false],
    ["(hd0)/k", false],
    ["(hd1,gpt2)/k", false],
    ["//./k", true],
    ["/grub/../k", true],
    ["/../k", false],
  ])("linux %s", async (path, offered) => {
    const menu = await findOne([bootVolume({ "/grub/grub.cfg": `menuentry a {\n linux ${path}\n}\n`, "/k": "k" })]);
    expect(menu.entries.map(({ linux, bootImage }) => [linux.path, bootImage])).toEqual(
      offered ? [["/k", `BOOT_IMAGE=${path.replace(/^\(.*\)/, "")}`]] : [],
    );
    expect(menu.skipped.length).toBe(offered ? 0 : 1);
  });
});

describe("what is not offered", () => {
  async function skipped(script: string, limits: Partial<DiscoveryLimits> = {}): Promise<string[]> {
    return skippedRows(await findOne([bootVolume({ "/grub/grub.cfg": script, "/k": "kernel" })], 0, limits));
  }

  test.each<[string, string, string, Partial<DiscoveryLimits>]>([
    [
      "a path out of the volume",
      "menuentry a {\n linux /../k\n}\n",
      ':1 a: linux: open "/../k" on vda2: the path leaves the volume',
      {},
    ],
    [
      "Windows",
      "menuentry W {\n chainloader +1\n}\n",
      ":2 W: chainloader: boots another loader, not a Linux kernel",
      {},
    ],
    [
      "long options",
      "menuentry a {\n linux /k 0123456789\n}\n",
      ":1 a: options: 10 bytes, at most 9 are taken",
      { optionsBytesMax: 9 },
    ],
    [
      "a long file",
      "true\n",
      ':1 null: read "/grub/grub.cfg" on vda2: 5 bytes, at most 4 are taken',
      { configBytesMax: 4 },
    ],
    [
      "many entries",
      "menuentry a {\n linux /k\n}\n".repeat(2),
      ':4 null: menuentry "a": at most 1 entries are taken',
      { entriesMax: 1 },
    ],
    ["an unknown command", "nosuch\n", ':1 null: unknown command "nosuch"', {}],
  ])("%s", async (_, script, reason, limits) => {
    expect(await skipped(script, limits)).toEqual([`vda2/grub/grub.cfg${reason}`]);
  });

  test("a default that is not offered", async () => {
    const script = "menuentry a {\n linux /none\n}\nmenuentry b {\n linux /k\n}\nset default=0\n";
    const source = (more: string) => [bootVolume({ "/grub/grub.cfg": script + more, "/k": "kernel" })];
    const menu = await findOne(source(""));
    expect([menu.defaultId, menu.defaultReason]).toEqual([null, 'default="0", which is not offered (/grub/grub.cfg)']);
    const second = await findOne(source("set fallback=1\n"));
    expect([second.defaultId, second.defaultReason]).toEqual([
      "vda2:grub:1",
      'fallback="1", because default="0" is not offered (/grub/grub.cfg)',
    ]);
  });
});

test("all configurations of a volume together", async () => {
  const comment = `#${"x".repeat(900_000)}\n`;
  const script = `${comment}menuentry a {\n linux /k\n}\n`;
  const files = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`/EFI/${index}/grub.cfg`, script]));
  const menus = await find([bootVolume({ ...files, "/k": "kernel" })]);
  const entries = menus.flatMap((menu) => menu.entries);
  expect(entries.length).toBe(18);
  expect(menus.at(-1)?.skipped[0]?.reason).toMatch(/^read ".*": more than [0-9]+ bytes in all configuration files$/);
  const few = await find([bootVolume({ ...files, "/k": "kernel" })], 0, { entriesMax: 3 });
  expect(few.flatMap((menu) => menu.entries).length).toBe(3);
});

test("unsigned inputs carry the environment block that they came from", async () => {
  const block = grubenv("kernelopts=root=/dev/vda3 ro\n");
  const script = "load_env\nmenuentry a {\n linux /k $kernelopts\n}\n";
  const menu = await findOne([bootVolume({ "/grub/grub.cfg": script, "/grub/grubenv": block, "/k": "kernel" })]);
  expect(menu.entries[0]?.options).toBe("root=/dev/vda3 ro");
  expect(menu.entries[0]?.unsignedInputs).toEqual([
    {
      config: { ref: { volume: "vda2", path: "/grub/grubenv" }, bytes: new TextEncoder().encode(block) },
      what: 'variable "kernelopts"',
    },
  ]);
});
