import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileDigest } from "./cache.ts";
import { makeFilesystem } from "./disk.ts";
import { liveGuest } from "./guest.ts";
import { layerToolFiles, runLayerTools } from "./layer-tools.ts";
import { goodVolume, type Scenario, scenario } from "./scenario.ts";
import type { VmDisk } from "./vm.ts";

let on: Scenario;
/** A filesystem with an entry that boots, of {@link filesystemMiB}. */
let filesystem: string;
const filesystemMiB = 40;

beforeAll(async () => {
  on = await scenario();
  filesystem = path.join(on.directory, "filesystem.img");
  await makeFilesystem(filesystem, { filesystem: "ext4", files: await goodVolume(on), sizeMiB: filesystemMiB });
  await makeDisks(rows);
});
afterAll(() => on[Symbol.asyncDispose]());

const disk = (index: number): string => `/dev/vd${String.fromCharCode(97 + index)}`;
const create = (name: string, words: string): string =>
  `mdadm --create /dev/md/${name} --run --homehost=host --name=${name} --assume-clean ${words}`;
/** Copies the filesystem into a volume. */
const fill =
  (from: string) =>
  (volume: string): string =>
    `dd if=${from} of=${volume} bs=1M conv=fsync`;

interface Layers {
  /** Sizes of the disks, MiB. */
  readonly disks: readonly number[];
  /** What is done with them by lvm(8) and mdadm(8). */
  readonly commands: (disk: (index: number) => string, fill: (volume: string) => string) => readonly string[];
  /** The name of the volume that boots. */
  readonly volume: string;
  /** Which of the disks are there when it boots; all unless told. */
  readonly present?: readonly number[];
}

const rows: readonly (readonly [string, Layers])[] = [
  [
    "a linear logical volume on two disks",
    {
      disks: [32, 32],
      commands: (disk, fill) => [
        `lvm vgcreate vg-boot ${disk(0)} ${disk(1)}`,
        "lvm lvcreate -y -Wn -l 100%FREE -n root vg-boot",
        fill("/dev/vg-boot/root"),
        "lvm vgchange -an vg-boot",
      ],
      volume: "vg--boot-root",
    },
  ],
  [
    "RAID 1, metadata 1.2, whose first disk is gone",
    {
      disks: [64, 64],
      commands: (disk, fill) => [
        create("boot", `--level=1 --raid-devices=2 --metadata=1.2 ${disk(0)} ${disk(1)}`),
        fill("/dev/md/boot"),
        "mdadm --stop /dev/md/boot",
      ],
      volume: "md-boot",
      present: [1],
    },
  ],
  [
    "RAID 1, metadata 1.0, whose members look like the filesystem itself",
    {
      disks: [64, 64],
      commands: (disk, fill) => [
        create("efi", `--level=1 --raid-devices=2 --metadata=1.0 ${disk(0)} ${disk(1)}`),
        fill("/dev/md/efi"),
        "mdadm --stop /dev/md/efi",
      ],
      volume: "md-efi",
    },
  ],
  [
    "RAID 0 on disks of different sizes",
    {
      disks: [40, 24],
      commands: (disk, fill) => [
        `mdadm --create /dev/md/fast --run --homehost=host --name=fast --level=0 --raid-devices=2 --layout=alternate ${disk(0)} ${disk(1)}`,
        fill("/dev/md/fast"),
        "mdadm --stop /dev/md/fast",
      ],
      volume: "md-fast",
    },
  ],
  [
    "a logical volume on RAID 1",
    {
      disks: [64, 64],
      commands: (disk, fill) => [
        create("pv", `--level=1 --raid-devices=2 --metadata=1.2 ${disk(0)} ${disk(1)}`),
        "lvm vgcreate system /dev/md/pv",
        "lvm lvcreate -y -Wn -L 44m -n boot system",
        fill("/dev/system/boot"),
        "lvm vgchange -an system",
        "mdadm --stop /dev/md/pv",
      ],
      volume: "system-boot",
    },
  ],
  [
    "RAID 6 that lacks two disks",
    {
      disks: [32, 32, 32, 32],
      commands: (disk, fill) => [
        create("six", `--level=6 --raid-devices=4 --bitmap=none ${[0, 1, 2, 3].map(disk).join(" ")}`),
        fill("/dev/md/six"),
        "mdadm --stop /dev/md/six",
      ],
      volume: "md-six",
      present: [1, 3],
    },
  ],
  [
    "RAID 10, far copies, with a partition table, on an odd number of disks",
    {
      disks: [48, 48, 48],
      commands: (disk, fill) => [
        create("ten", `--level=10 --layout=f2 --raid-devices=3 ${[0, 1, 2].map(disk).join(" ")}`),
        // One partition of type Linux from the first MiB on.
        "echo -ne '\\x00\\x00\\x00\\x00\\x83\\x00\\x00\\x00\\x00\\x08\\x00\\x00\\x00\\x60\\x01\\x00' | dd of=/dev/md/ten bs=1 seek=446",
        "echo -ne '\\x55\\xaa' | dd of=/dev/md/ten bs=1 seek=510 conv=fsync",
        `${fill("/dev/md/ten")} seek=1`,
        "mdadm --stop /dev/md/ten",
      ],
      volume: "md-tenp1",
    },
  ],
  [
    "LVM's own RAID 5 without its second disk",
    {
      disks: [40, 40, 40],
      commands: (disk, fill) => [
        `lvm vgcreate five ${[0, 1, 2].map(disk).join(" ")}`,
        "lvm lvcreate -y -Wn --type raid5 -i 2 -L 48m -n boot five",
        fill("/dev/five/boot"),
        "while ! lvm lvs --noheadings -o sync_percent five/boot | grep -q 100.00; do sleep 1; done",
        "lvm vgchange -an five",
      ],
      volume: "five-boot",
      present: [0, 2],
    },
  ],
];

const fileName = (title: string, index: number): string => `${title.replaceAll(/\W+/g, "-")}-${index}.img`;

/** Makes empty disks; resolves with their files. */
function emptyDisks(title: string, sizes: readonly number[]): Promise<string[]> {
  return Promise.all(
    sizes.map((sizeMiB, index) =>
      on.disk(fileName(title, index), [{ filesystem: "none", sizeMiB }], { table: "none" }),
    ),
  );
}

/** Makes the disks of all rows in one guest, one behind the other. */
async function makeDisks(all: readonly (readonly [string, Layers])[]): Promise<void> {
  const files: string[] = [];
  const commands: string[] = [];
  const last = all.reduce((sum, [, { disks }]) => sum + disks.length, 0);
  for (const [title, layers] of all) {
    const begin = files.length;
    commands.push(...layers.commands((index) => disk(begin + index), fill(disk(last))));
    files.push(...(await emptyDisks(title, layers.disks)));
  }
  const attached: VmDisk[] = files.map((file) => ({ path: file, keepWrites: true }));
  await runLayerTools(on.directory, [...attached, { path: filesystem }], commands);
}

/** Files of the disks that are there when it boots. */
function presentDisks(title: string, { disks, present }: Layers): string[] {
  return (present ?? [...disks.keys()]).map((index) => path.join(on.directory, fileName(title, index)));
}

describe("volumes that stand on several disks", () => {
  it.each(rows)("%s boots, and no byte of the disks changes", async (title, layers) => {
    const files = presentDisks(title, layers);
    const before = await Promise.all(files.map(fileDigest));
    await using vm = await on.boot({ disks: files.map((file) => ({ path: file, keepWrites: true })) });
    await vm.expect(`slipway: verified ${layers.volume}:bls1:good by test`, 120_000);
    await vm.expect("entry=good:END", 60_000);
    await vm.waitForExit();
    expect(vm.log).toContain("slipway: entries 1\n");
    expect(await Promise.all(files.map(fileDigest))).toEqual(before);
  });

  it("the disk that completes a group is plugged in later", async () => {
    const [row] = rows;
    if (row === undefined) throw new Error("no row");
    const [first = "", second = ""] = presentDisks(...row);
    await using vm = await on.boot({ disks: [first], append: "slipway.discovery.deviceTimeoutSeconds=60" });
    await vm.expect("slipway: entries 0", 120_000);
    await vm.plugDisk(second);
    await vm.expect("slipway: verified vg--boot-root:bls1:good by test", 60_000);
    await vm.expect("entry=good:END", 60_000);
  });

  it("what is not mapped is named", async () => {
    const [first = "", second = ""] = await emptyDisks("named", [64, 8]);
    await runLayerTools(
      on.directory,
      [first, second].map((file) => ({ path: file, keepWrites: true })),
      [
        `lvm vgcreate vg ${disk(0)}`,
        "lvm lvcreate -y -L 8m -T vg/pool",
        "lvm lvcreate -y -Wn -V 16m -T vg/pool -n thin",
        `lvm vgextend vg ${disk(1)}`,
        `lvm lvcreate -y -Wn -L 4m -n lost vg ${disk(1)}`,
        "lvm vgchange -an vg",
      ],
    );
    await using vm = await on.boot({ disks: [first], append: "slipway.discovery.deviceTimeoutSeconds=1" });
    const [line] = await vm.expect(/slipway: rescue: no boot entry on vda \(.*\)/, 120_000);
    expect(line).toContain("vg-thin: a thin volume, which is not mapped");
    expect(line).toMatch(/vg-lost: physical volume \S+ is missing/);
  });
});

describe("a live system", () => {
  it("lists what it has not started, leaves no trace of that, and takes what it has started as it is", async () => {
    const chosen = rows.filter(([, { volume }]) => volume === "vg--boot-root" || volume === "md-efi");
    const disks = chosen.flatMap((row) => presentDisks(...row)).map((file) => ({ path: file }));
    const drivers = ["md/dm-mod", "md/md-mod", "md/raid1", "block/loop"];
    const modules = drivers.map((driver) => [
      `/modules/${path.basename(driver)}.ko`,
      { copyOf: path.join(on.kernel.modules, "kernel/drivers", `${driver}.ko`) },
    ]);
    await using guest = await liveGuest({
      kernel: on.kernel,
      files: { ...(await layerToolFiles()), ...Object.fromEntries(modules) },
      vm: { disks },
    });
    const run = async (command: string): Promise<string> => {
      const { code, stdout, stderr } = await guest.run(command, 120_000);
      expect([command, code, stderr]).toEqual([command, 0, ""]);
      return stdout;
    };
    const ids = async (): Promise<unknown> => {
      const list = JSON.parse(await run("slipway list --json"));
      return list.entries.map(({ id }: { id: string }) => id);
    };
    for (const driver of drivers) await run(`insmod /modules/${path.basename(driver)}.ko`);
    const digests = "sha256sum /dev/vd[b-e]";
    const before = await run(digests);
    const expected = ["md-efi:bls1:good", "vg--boot-root:bls1:good"];
    expect(await ids()).toEqual(expected);
    expect(
      await run(
        "ls /sys/block | grep -E 'dm-|md' || true; cat /sys/block/loop*/loop/backing_file 2> /dev/null || true",
      ),
    ).toBe("");
    expect(await run(digests)).toBe(before);
    await run("mkdir -p /run/lock/lvm /run/mdadm /etc/lvm/archive /etc/lvm/backup");
    await run("lvm vgchange -ay vg-boot 2> /dev/null && mdadm --assemble /dev/md/efi /dev/vdd /dev/vde 2> /dev/null");
    expect(await ids()).toEqual(expected);
    expect((await run("ls /sys/block | grep -cE 'dm-|md'")).trim()).toBe("2");
  });
});

describe("btrfs", () => {
  it("GRUB's paths start at the top, openSUSE's at the default subvolume", async () => {
    const snapshot = "@/.snapshots/1/snapshot";
    const entry = (title: string, prefix: string): string =>
      `menuentry ${title} {\n linux ${prefix}/vmlinuz console=ttyS0 panic=-1 entry=${title}\n initrd ${prefix}/initrd.img\n}\n`;
    const grub = `set default=1\n${entry("relative", "")}${entry("absolute", `/${snapshot}`)}`;
    const tree = path.join(on.directory, "tree.img");
    const files = { "/vmlinuz": on.vmlinuz, "/initrd.img": on.initrd, "/boot/grub2/grub.cfg": grub };
    await makeFilesystem(tree, { filesystem: "ext4", files, sizeMiB: filesystemMiB });
    const image = path.join(on.directory, "btrfs.img");
    await makeFilesystem(image, { filesystem: "btrfs" });
    await runLayerTools(
      on.directory,
      [{ path: image, keepWrites: true }, { path: tree }],
      [
        "mkdir -p /top /tree && mount -t btrfs /dev/vda /top && mount -t ext4 -o ro /dev/vdb /tree",
        "btrfs subvolume create /top/@ && mkdir -p /top/@/.snapshots/1",
        `btrfs subvolume create /top/${snapshot} && cp -a /tree/. /top/${snapshot}/`,
        `btrfs subvolume set-default /top/${snapshot} && umount /top`,
      ],
    );
    const before = await fileDigest(image);
    await using vm = await on.boot({ config: { trust: "off" }, disks: [{ path: image, keepWrites: true }] });
    await vm.expect("slipway: entries 2\n", 120_000);
    await vm.expect("slipway: chosen vda:grub:1");
    await vm.expect("entry=absolute:END", 60_000);
    await vm.waitForExit();
    expect(await fileDigest(image)).toBe(before);
  });
});
