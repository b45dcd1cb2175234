import { describe, expect, test } from "vitest";
import type { BootEntry, FoundMenu } from "../../../src/discovery/entry.ts";
import { defaultDiscoveryLimits, type ImageVolumes } from "../../../src/discovery/finder.ts";
import { grubFinder } from "../../../src/discovery/grub.ts";
import { GrubVolumes, grubDeviceNames } from "../../../src/discovery/grub-devices.ts";
import { type FileSource, SourceError, type VolumeFacts, type VolumeLayer } from "../../../src/discovery/source.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";

/** Images in memory, by volume and path. */
function memoryImages(images: Readonly<Record<string, MemoryFiles>> = {}): ImageVolumes {
  const known = new Map<string, FileSource>();
  return {
    async open(outer, path) {
      const name = `${outer.volume.name}:${path}`;
      const files = images[name];
      if (files === undefined) throw new SourceError(`open "${path}" on ${outer.volume.name}: no ISO 9660 filesystem`);
      const layer: VolumeLayer = { kind: "image", volume: outer.volume.name, path };
      const source = known.get(name) ?? memorySource(name, files, { fstype: "iso9660", label: "LIVE", layer });
      known.set(name, source);
      return source;
    },
    get opened() {
      return [...known.values()];
    },
  };
}

async function find(
  sources: readonly [FileSource, ...FileSource[]],
  images: ImageVolumes = memoryImages(),
): Promise<FoundMenu> {
  const [source] = sources;
  const context = { source, sources, architecture: "x86_64", images, limits: defaultDiscoveryLimits };
  const [menu, ...more] = await grubFinder.find(context);
  if (menu === undefined || more.length > 0) throw new Error(`one menu expected, ${more.length + 1} found`);
  return menu;
}

const vda2 = { disk: "vda", part: 2, table: "gpt" } as const;

function row({ id, linux, initrd, modules, options, bootImage }: BootEntry): string {
  const files = [linux, ...initrd, ...modules.map(({ file }) => file)].map(({ volume, path }) => `${volume} ${path}`);
  return [id, ...files, options, ...modules.map((module) => module.options), bootImage].join(" | ");
}

describe("devices in layers", () => {
  const lvm: VolumeLayer = { kind: "lvm", vg: "vg-a", lv: "root", vgUuid: "Abc-1", lvUuid: "Def-2" };
  const md: VolumeLayer = { kind: "md", uuid: "0123456789ABCDEF0123456789abcdef", name: "host:0" };

  test("names", () => {
    const volume = (name: string, facts: Partial<VolumeFacts>): VolumeFacts => memorySource(name, {}, facts).volume;
    expect(
      grubDeviceNames([
        volume("dm-0", { layer: lvm, disk: "dm-0" }),
        volume("vda2", vda2),
        volume("md127", { layer: md, disk: "md127" }),
        volume("md126", { layer: { kind: "md", uuid: "ab", name: null } }),
        volume("md125p1", { layer: { kind: "md", uuid: "ab", name: "boot" }, disk: "md125", part: 1, table: "gpt" }),
        volume("md124", { layer: { kind: "md", uuid: null, name: null }, disk: "md124" }),
      ]),
    ).toEqual(["lvm/vg--a-root", "hd0,gpt2", "md/0", "mduuid/ab", "md/boot,gpt1", "volume/md124"]);
  });

  const files = { "/k": "kernel" };
  const sources = [
    memorySource("vda2", { "/grub/grub.cfg": "" }, vda2),
    memorySource("dm-0", files, { layer: lvm, disk: "dm-0", label: "ROOT", uuid: "1-2" }),
    memorySource("md127", files, { layer: md, disk: "md127" }),
    memorySource("md126p2", files, {
      layer: { kind: "md", uuid: "ab", name: "b" },
      disk: "md126",
      part: 2,
      table: "gpt",
    }),
  ];

  test.each([
    ["lvm/vg--a-root", "dm-0"],
    ["lvmid/Abc-1/Def-2", "dm-0"],
    ["lvm/vg-a-root", null],
    ["md/0", "md127"],
    ["md0", "md127"],
    ["mduuid/0123456789abcdef0123456789abcdef", "md127"],
    ["mduuid/ab,gpt2", "md126p2"],
    ["md/b,2", "md126p2"],
    ["hd1", null],
  ])("(%s)", (name, expected) => {
    const volumes = new GrubVolumes(sources, "x86_64", memoryImages());
    const device = volumes.device(name);
    expect(device === null ? null : volumes.source(device.name)?.volume.name).toBe(expected);
  });

  test("a configuration finds them", async () => {
    const script =
      "menuentry a {\nset root='lvmid/Abc-1/Def-2'\nlinux /k $root\n}\nmenuentry b {\nsearch --set=root --fs-uuid 1-2\nlinux /k $root\n}\nmenuentry c {\nprobe --set=l --label (lvm/vg--a-root)\nlinux (md/0)/k $l\n}\nmenuentry d {\nlinux (cryptouuid/ab)/k\n}\n";
    const [, ...rest] = sources;
    const menu = await find([memorySource("vda2", { "/grub/grub.cfg": script }, vda2), ...rest]);
    expect(menu.entries.map(row)).toEqual([
      "vda2:grub:0 | dm-0 /k | lvmid/Abc-1/Def-2 | BOOT_IMAGE=/k",
      "vda2:grub:1 | dm-0 /k | lvm/vg--a-root | BOOT_IMAGE=/k",
      "vda2:grub:2 | md127 /k | ROOT | BOOT_IMAGE=/k",
    ]);
    expect(menu.skipped.map(({ reason }) => reason)).toEqual([
      'linux: "(cryptouuid/ab)/k": no device "cryptouuid/ab" is known: encrypted volumes are not opened',
    ]);
  });
});

test("a live image in a file, and its own configuration", async () => {
  const script =
    "menuentry live {\nloopback loop /live.iso\nlinux (loop)/casper/vmlinuz iso-scan/filename=/live.iso\ninitrd (loop)/casper/initrd\n}\nmenuentry 'its own' {\nloopback loop /live.iso\nset root=(loop)\nexport root\nconfigfile /boot/grub/loopback.cfg\n}\nmenuentry none {\nloopback loop /none.iso\n}\nmenuentry bad {\nloopback loop /bad.iso\nlinux (loop)/k\n}\n";
  const images = memoryImages({
    "vda2:/live.iso": {
      "/casper/vmlinuz": "kernel",
      "/casper/initrd": "initrd",
      "/boot/grub/loopback.cfg": "menuentry Try {\nlinux /casper/vmlinuz quiet\n}\n",
    },
  });
  const source = memorySource("vda2", { "/grub/grub.cfg": script, "/live.iso": "", "/bad.iso": "" }, vda2);
  const menu = await find([source], images);
  expect(menu.entries.map(row)).toEqual([
    "vda2:grub:0 | vda2:/live.iso /casper/vmlinuz | vda2:/live.iso /casper/initrd | iso-scan/filename=/live.iso | BOOT_IMAGE=/casper/vmlinuz",
    "vda2:/live.iso:grub:/boot/grub/loopback.cfg:0 | vda2:/live.iso /casper/vmlinuz | quiet | BOOT_IMAGE=/casper/vmlinuz",
  ]);
  expect(menu.entries[1]?.configs.map(({ ref }) => `${ref.volume}${ref.path}`)).toEqual([
    "vda2/grub/grub.cfg",
    "vda2:/live.iso/boot/grub/loopback.cfg",
  ]);
  expect(menu.skipped.map(({ reason }) => reason)).toEqual([
    'loads no kernel (loopback: "/none.iso" is missing on (hd0,gpt2))',
    'linux: "(loop)/k": no device "loop" is known (loopback: open "/bad.iso" on vda2: no ISO 9660 filesystem)',
  ]);
  expect(images.opened.length).toBe(1);
});

test("Xen with its modules, a wrapped file, a kernel that is booted at once", async () => {
  const script =
    "menuentry xen {\nmultiboot2 /xen.gz placeholder dom0_mem=1G\nmodule2 /k placeholder root=/dev/vda3\nmodule2 --nounzip /i\n}\nmenuentry lost {\nmultiboot2 /xen.gz\nmodule2 /none\n}\nmenuentry cpio {\nlinux /k\ninitrd newc:etc/x:/i /i\n}\nlinux /k auto\nboot\n";
  const menu = await find([
    memorySource("vda2", { "/grub/grub.cfg": script, "/xen.gz": "", "/k": "", "/i": "" }, vda2),
  ]);
  expect(menu.entries.map(row)).toEqual([
    "vda2:grub:boot | vda2 /k | auto | BOOT_IMAGE=/k",
    "vda2:grub:0 | vda2 /xen.gz | vda2 /k | vda2 /i | placeholder dom0_mem=1G | placeholder root=/dev/vda3 |  | ",
    "vda2:grub:2 | vda2 /k | vda2 /i | vda2 /i |  | BOOT_IMAGE=/k",
  ]);
  expect(menu.entries[2]?.initrd[0]?.archive).toEqual({
    path: "/etc/x",
    mode: 0o777,
    directories: Number.POSITIVE_INFINITY,
    directoryMode: 0o777,
  });
  expect(menu.skipped.map(({ reason }) => reason)).toEqual(['module: "/none" is missing on (hd0,gpt2)']);
  expect([menu.defaultId, menu.defaultReason]).toEqual([
    "vda2:grub:boot",
    '"boot" of the kernel in line 14, before any menu (/grub/grub.cfg)',
  ]);
});

test("entries of Boot Loader Specification files through GRUB", async () => {
  const block = "# GRUB Environment Block\nkernelopts=root=/dev/vda3\nsaved_entry=6ab-5.14.0-1.el9\n".padEnd(1024, "#");
  const menu = await find([
    memorySource(
      "vda2",
      {
        "/grub2/grub.cfg": 'load_env\nset default="$saved_entry"\nblscfg\n',
        "/grub2/grubenv": block,
        "/loader/entries/6ab-5.14.0-1.el9.conf":
          "title One\nversion 1\nlinux /k1\ninitrd /i1\noptions $kernelopts ro\n",
        "/loader/entries/6ab-5.14.0-2.el9+3-1.conf": "title Two\nlinux /k2\noptions quiet\n",
        "/loader/entries/6ab-5.14.0-2.el9.conf": "title Good\nlinux /k2\narchitecture X64\n",
        "/k1": "",
        "/i1": "",
        "/k2": "",
      },
      vda2,
    ),
  ]);
  expect(
    menu.entries.map(({ id, format, title, source, tries, version, architecture }) => [
      id,
      format,
      title,
      source.path,
      tries,
      version,
      architecture,
    ]),
  ).toEqual([
    [
      "vda2:bls1:6ab-5.14.0-2.el9",
      "bls1",
      "Two",
      "/loader/entries/6ab-5.14.0-2.el9+3-1.conf",
      { left: 3, done: 1 },
      null,
      null,
    ],
    [
      "vda2:bls1:/loader/entries/6ab-5.14.0-2.el9.conf",
      "bls1",
      "Good",
      "/loader/entries/6ab-5.14.0-2.el9.conf",
      null,
      null,
      "x64",
    ],
    ["vda2:bls1:6ab-5.14.0-1.el9", "bls1", "One", "/loader/entries/6ab-5.14.0-1.el9.conf", null, "1", null],
  ]);
  const one = menu.entries[2];
  expect([one?.options, one?.bootImage, one?.aliases.slice(0, 4)]).toEqual([
    "root=/dev/vda3 ro",
    "BOOT_IMAGE=/k1",
    ["6ab-5.14.0-1.el9", "6ab-5.14.0-1.el9.conf", "One"],
  ]);
  expect(one?.configs.map(({ ref }) => ref.path)).toEqual(["/loader/entries/6ab-5.14.0-1.el9.conf", "/grub2/grub.cfg"]);
  expect(one?.unsignedInputs.map(({ what }) => what)).toEqual(['variable "kernelopts"']);
  expect(one?.variables[0]).toEqual({
    name: "kernelopts",
    value: "root=/dev/vda3",
    place: { volume: "vda2", path: "/grub2/grubenv", line: 2 },
  });
  expect(menu.defaultId).toBe("vda2:bls1:6ab-5.14.0-1.el9");
});

test("a system in btrfs's subvolume @", async () => {
  const files = { "/@/boot/grub/grub.cfg": "menuentry a {\nlinux /@/boot/k rootflags=subvol=@\n}\n", "/@/boot/k": "" };
  const menu = await find([memorySource("vda2", files, { ...vda2, fstype: "btrfs" })]);
  expect(menu.entries.map(row)).toEqual(["vda2:grub:0 | vda2 /@/boot/k | rootflags=subvol=@ | BOOT_IMAGE=/@/boot/k"]);
});

// What GRUB 2.06 answered (commands/test.c looks into the directory and follows no link there).
test.each([
  ["-d /link", "no"],
  ["-e /link", "yes"],
  ["-f /link", "yes"],
  ["-f /link/file", "yes"],
  ["-f /to-file", "yes"],
  ["-e /dangling", "yes"],
  ["-f /dangling", "yes"],
  ["-s /dangling", "no"],
  ["-d /directory", "yes"],
  ["-d /", "yes"],
  ["-e /none", "no"],
  ["-e /none/none", "no"],
])("test %s", async (words, expected) => {
  const script = `if [ ${words} ]; then a=yes; else a=no; fi\nmenuentry x {\nlinux /k $a\n}\n`;
  const menu = await find([
    memorySource(
      "vda2",
      {
        "/grub/grub.cfg": script,
        "/k": "kernel",
        "/directory/file": "x",
        "/link": { link: "directory" },
        "/to-file": { link: "k" },
        "/dangling": { link: "nowhere" },
      },
      vda2,
    ),
  ]);
  expect(menu.entries[0]?.options).toBe(expected);
});

// As GRUB 2.06 answered with the file on every partition: from the last partition of the first disk on.
test.each([
  ["search --file --set=x /f", "hd0,gpt3"],
  ["search --file --set=x --hint hd0, /f", "hd0,gpt1"],
  ["search --file --set=x --hint hd1,gpt1 /f", "hd1,gpt1"],
  ["for d in (*,*); do x=$x$d; done", "(hd0,gpt3)(hd0,gpt2)(hd0,gpt1)(hd1,gpt1)"],
  ["for d in *; do x=$x$d; done", "(hd0)(hd1)"],
])("%s", async (command, expected) => {
  const script = `${command}\nmenuentry a {\nlinux (hd0,gpt1)/f $x\n}\n`;
  const files = { "/f": "" };
  const on = (disk: string, part: number): Partial<VolumeFacts> => ({ disk, part, table: "gpt" });
  const menu = await find([
    memorySource("vda1", { ...files, "/grub/grub.cfg": script }, on("vda", 1)),
    memorySource("vdb1", files, on("vdb", 1)),
    memorySource("vda2", files, on("vda", 2)),
    memorySource("vda3", files, on("vda", 3)),
  ]);
  expect(menu.entries[0]?.options).toBe(expected);
});
