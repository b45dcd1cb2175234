import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FilesystemType } from "./disk.ts";
import { blsText, goodVolume, type Scenario, scenario } from "./scenario.ts";
import { signedFiles } from "./sign.ts";
import type { VmDisk } from "./vm.ts";

let on: Scenario;
beforeAll(async () => {
  on = await scenario("generic");
});
afterAll(() => on[Symbol.asyncDispose]());

/** Every filesystem, spread over the buses that a machine may have. */
const places: readonly {
  readonly filesystem: FilesystemType;
  readonly bus: NonNullable<VmDisk["interface"]>;
  readonly volume: string;
}[] = [
  { filesystem: "ext2", bus: "virtio", volume: "vda1" },
  { filesystem: "ext4", bus: "virtio", volume: "vdb1" },
  { filesystem: "xfs", bus: "nvme", volume: "nvme0n1p1" },
  { filesystem: "btrfs", bus: "nvme", volume: "nvme1n1p1" },
  { filesystem: "f2fs", bus: "scsi", volume: "sd[a-d]1" },
  { filesystem: "squashfs", bus: "scsi", volume: "sd[a-d]1" },
  { filesystem: "erofs", bus: "ide", volume: "sd[a-d]1" },
  { filesystem: "exfat", bus: "virtio", volume: "vdc1" },
  { filesystem: "iso9660", bus: "virtio", volume: "vdd1" },
];

describe("filesystems and buses", () => {
  it("an entry is found on each, and the volume on USB, which comes last, boots", async () => {
    const disks: VmDisk[] = [];
    for (const [index, { filesystem, bus }] of places.entries()) {
      // The entry's kernel is unsigned: finding and refusing it proves that the volume was read.
      const name = `on-${filesystem}`;
      const files = {
        ...(await signedFiles(on.keys, {
          [`/loader/entries/${name}.conf`]: blsText(name, { initrd: "/kernel", linux: "/kernel" }),
        })),
        "/kernel": "no kernel",
      };
      disks.push({ path: await on.disk(`${index}.img`, [{ filesystem, files }]), interface: bus });
    }
    const usb = await on.disk(
      "usb.img",
      [{ type: "esp", filesystem: "vfat", files: await goodVolume(on, "on-vfat") }],
      {
        table: "msdos",
      },
    );
    await using vm = await on.boot({
      disks: [...disks, { path: usb, interface: "usb" }],
      append: "slipway.discovery.deviceTimeoutSeconds=60",
      memoryMiB: 1536,
    });
    await vm.expect(/slipway: verified sd[a-d]1:bls1:on-vfat by test/, 180_000);
    await vm.expect("entry=on-vfat:END", 90_000);
    for (const { filesystem, volume } of places) {
      expect(vm.log).toMatch(new RegExp(`slipway: refused ${volume}:bls1:on-${filesystem}: linux "/kernel"`));
    }
  });
});
