import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { compareDeviceNames, listBlockDevices } from "../../../src/machine/block-devices.ts";

const scratch = mkdtempSync(join(tmpdir(), "slipway-sysfs-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let count = 0;

type Attributes = Readonly<Record<string, string>>;

/** A sysfs with these devices: path below /sys/devices to attributes. */
function sysfs(devices: Readonly<Record<string, Attributes>>): string {
  const root = join(scratch, String(count++));
  mkdirSync(join(root, "class/block"), { recursive: true });
  for (const [path, attributes] of Object.entries(devices)) {
    const directory = join(root, "devices", path);
    for (const [name, text] of Object.entries(attributes)) {
      mkdirSync(join(directory, name, ".."), { recursive: true });
      writeFileSync(join(directory, name), `${text}\n`);
    }
    symlinkSync(`../../devices/${path}`, join(root, "class/block", path.slice(path.lastIndexOf("/") + 1)));
  }
  return root;
}

const disk: Attributes = { size: "2048", dev: "254:0", "queue/logical_block_size": "512", diskseq: "9" };

describe("listBlockDevices", () => {
  it("a disk with partitions", async () => {
    const root = sysfs({
      "pci/virtio1/block/vda": disk,
      "pci/virtio1/block/vda/vda10": { size: "100", dev: "254:10", partition: "10" },
      "pci/virtio1/block/vda/vda2": { size: "100", dev: "254:2", partition: "2" },
    });
    const common = { sectorBytes: 512, disk: "vda", diskSequence: "9", stack: null };
    expect(await listBlockDevices(root)).toEqual([
      { ...common, name: "vda", node: "/dev/vda", sizeBytes: 1_048_576n, partition: null, devno: "254:0" },
      { ...common, name: "vda2", node: "/dev/vda2", sizeBytes: 51_200n, partition: 2, devno: "254:2" },
      { ...common, name: "vda10", node: "/dev/vda10", sizeBytes: 51_200n, partition: 10, devno: "254:10" },
    ]);
  });

  it("sizes count in 512 bytes whatever the sector is; old kernels have no sequence", async () => {
    const root = sysfs({ nvme0n1: { size: "2048", dev: "259:0", "queue/logical_block_size": "4096" } });
    expect(await listBlockDevices(root)).toMatchObject([
      { sizeBytes: 1_048_576n, sectorBytes: 4096, diskSequence: null },
    ]);
  });

  it("a sector size that cannot be is 512", async () => {
    for (const size of ["0", "x", "-4096"]) {
      const root = sysfs({ sda: { ...disk, "queue/logical_block_size": size } });
      expect(await listBlockDevices(root)).toMatchObject([{ sectorBytes: 512 }]);
    }
  });

  it("a name with an exclamation mark has a node with a slash", async () => {
    const root = sysfs({ "cciss!c0d0": disk, "cciss!c0d0/cciss!c0d0p1": { size: "9", dev: "104:1", partition: "1" } });
    expect((await listBlockDevices(root)).map(({ name, node, disk: whole }) => [name, node, whole])).toEqual([
      ["cciss!c0d0", "/dev/cciss/c0d0", "cciss!c0d0"],
      ["cciss!c0d0p1", "/dev/cciss/c0d0p1", "cciss!c0d0"],
    ]);
  });

  it("views of memory, floppies, and devices without a medium are left out", async () => {
    const root = sysfs({ ram0: disk, zram0: disk, fd0: disk, loop0: { ...disk, size: "0" }, sr0: disk, sda: disk });
    expect((await listBlockDevices(root)).map((device) => device.name)).toEqual(["sr0", "sda"]);
  });

  it("a device that is going costs itself", async () => {
    const root = sysfs({ sda: disk, sdb: { size: "2048" }, sdc: { dev: "8:32" } });
    symlinkSync("../../devices/gone", join(root, "class/block/sdd"));
    expect((await listBlockDevices(root)).map((device) => device.name)).toEqual(["sda"]);
  });

  it("without sysfs there is none", async () => {
    expect(await listBlockDevices(join(scratch, "nowhere"))).toEqual([]);
  });
});

describe("compareDeviceNames", () => {
  const rows: readonly (readonly string[])[] = [
    ["sda", "sda1", "sda2", "sda10", "sdb", "sdb1", "sdz", "sdaa", "sdab1"],
    ["nvme0n1", "nvme0n1p1", "nvme0n1p10", "nvme0n2", "nvme1n1", "nvme10n1"],
    ["mmcblk0", "mmcblk0p1", "mmcblk0boot0", "mmcblk1"],
    ["sr0", "sda", "vda", "nvme0n1", "mmcblk0"],
    ["md0", "md1", "md9", "md127"],
  ];
  for (const row of rows) {
    it(row.join(" < "), () => {
      for (const [i, a] of row.entries()) {
        for (const [j, b] of row.entries()) expect(Math.sign(compareDeviceNames(a, b))).toBe(Math.sign(i - j));
      }
    });
  }
});
