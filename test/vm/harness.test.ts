import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DiskFiles, makeDisk, type Partition } from "./disk.ts";
import { distributionKernel, type Kernel } from "./kernels.ts";
import { type TargetOptions, targetInitrd } from "./target.ts";
import { startVm, type VmDisk } from "./vm.ts";

/** The machinery of the other tests here: it boots a plain kernel with a little system, without Slipway. */

let kernel: Kernel;
let scratch: string;
beforeAll(async () => {
  kernel = await distributionKernel();
  scratch = await mkdtemp(path.join(tmpdir(), "slipway-harness-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function boot(name: string, target: TargetOptions, disks: readonly VmDisk[] = [], uefi = false) {
  const initrd = path.join(scratch, `${name}.cpio`);
  await writeFile(initrd, await targetInitrd(target));
  return startVm({ kernel: kernel.vmlinuz, initrd, append: `console=ttyS0 quiet panic=-1 name=${name}`, disks, uefi });
}

test.each([
  ["SeaBIOS", false, "none"],
  ["UEFI", true, "there"],
] as const)("boots with %s", async (name, uefi, efi) => {
  const commands = ["test -d /sys/firmware/efi && echo EFI=there || echo EFI=none"];
  await using vm = await boot(name, { banner: "hello", commands }, [], uefi);
  await vm.expect("TARGET-BANNER:hello:END");
  const [, commandLine] = await vm.expect(/TARGET-CMDLINE:(.*):END/);
  expect(commandLine).toContain(`console=ttyS0 quiet panic=-1 name=${name}`);
  await vm.expect(`EFI=${efi}`);
  expect(await vm.waitForExit()).toEqual({ code: 0, signal: null, errors: "" });
});

test("a disk plugged in while the machine runs, and keys", async () => {
  const disk = await makeDisk(path.join(scratch, "plug.img"), [
    { filesystem: "ext4", label: "PLUGGED", files: { "/a/file": "late\n" } },
  ]);
  const modules = { kernel, names: ["virtio_pci", "virtio_blk"] };
  await using vm = await boot("plug", { modules, powerOff: false });
  await vm.expect(/[#$] /);
  vm.send("ls /dev/vd*; echo looked-$((1+1))\n");
  await vm.expect("/dev/vd*: No such file");
  await vm.expect("looked-2");
  await vm.plugDisk(disk);
  vm.send(
    "while ! test -e /dev/vda1; do sleep 0.1; done; mount -o ro /dev/vda1 /mnt && cat /mnt/a/file; poweroff -f\n",
  );
  await vm.expect(/^late$/m);
  await vm.waitForExit();
});

const files: DiskFiles = { "/boot/a b": "one\n", "/boot/two": { copyOf: "/proc/version" } };
const linked: DiskFiles = { "/boot/one": "one\n", "/boot/link": { link: "one" } };
const uuid = "0b9e8f62-63c4-4d0f-a3c5-2f3ed2c4b1a7";

/** Filesystems that the kernel of virtual machines can mount, how they are made, and the file that is read back. */
const filesystems: readonly (readonly [Partition, string])[] = [
  [{ type: "esp", filesystem: "vfat", label: "ESP", uuid: "12AB-34CD", files }, "/boot/a b"],
  [{ filesystem: "ext4", label: "four", uuid, files: linked }, "/boot/link"],
  [{ filesystem: "ext2", label: "two", uuid, files: linked }, "/boot/link"],
  [{ filesystem: "xfs", label: "x", uuid, files: linked }, "/boot/link"],
  [{ filesystem: "btrfs", label: "b", uuid, files: linked }, "/boot/link"],
  [{ filesystem: "erofs", uuid, files: linked }, "/boot/link"],
  [{ filesystem: "squashfs", files: linked }, "/boot/link"],
  [{ filesystem: "iso9660", label: "ISO", uuid: "2024-01-31-12-00-00-00", files: linked }, "/boot/link"],
  [{ filesystem: "exfat", label: "ex", files }, "/boot/a b"],
];

test("filesystems made without root hold their files", async () => {
  const disk = await makeDisk(
    path.join(scratch, "all.img"),
    filesystems.map(([partition]) => partition),
  );
  const commands = filesystems.map(([{ filesystem }, file], index) => {
    const device = `/dev/nvme0n1p${index + 1}`;
    return `mount -o ro -t ${filesystem} ${device} /mnt && echo "${filesystem}=$(cat "/mnt${file}")"; umount /mnt`;
  });
  const names = ["vfat", "nls_cp437", "nls_ascii", "xfs", "btrfs", "erofs", "squashfs", "isofs", "exfat"];
  await using vm = await boot("all", { modules: { kernel, names }, commands }, [{ path: disk, interface: "nvme" }]);
  for (const [{ filesystem }] of filesystems) await vm.expect(RegExp(`^${filesystem}=one$`, "m"));
  await vm.waitForExit();
});

test("what the guest writes is dropped unless it is to be kept", async () => {
  const disk = await makeDisk(path.join(scratch, "write.img"), [{ filesystem: "none", sizeMiB: 1 }], { table: "none" });
  const modules = { kernel, names: ["virtio_pci", "virtio_blk"] };
  for (const [name, keepWrites, found] of [
    ["drop", false, "empty"],
    ["keep", true, "empty"],
    ["look", true, "written"],
  ] as const) {
    const commands = ["grep -q 1234 /dev/vda && echo IS=written || echo IS=empty", "echo 1234 > /dev/vda"];
    await using vm = await boot(name, { modules, commands }, [{ path: disk, keepWrites }]);
    await vm.expect(`IS=${found}`);
    await vm.waitForExit();
  }
});

test("a failed expectation shows the end of the log", async () => {
  await using vm = await boot("fail", {});
  await expect(vm.expect("never said")).rejects.toThrow(
    /expect never said: the machine has ended; the log ends:[\s\S]*name=fail/,
  );
  await expect(vm.expect(/nor this/, 1)).rejects.toThrow("expect /nor this/: the machine has ended");
});

test("a partition table that the tools refuse is an error with their words", async () => {
  const partition: Partition = { filesystem: "none", type: "no-such-type" };
  await expect(makeDisk(path.join(scratch, "bad.img"), [partition])).rejects.toThrow(/sfdisk .*exit code 1/);
  await expect(makeDisk(path.join(scratch, "bad.img"), [{ filesystem: "squashfs", label: "x" }])).rejects.toThrow(
    "make squashfs: it takes no label",
  );
});
