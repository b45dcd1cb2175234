import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommand } from "./command.ts";
import type { DiskFiles } from "./disk.ts";
import { unifiedKernel } from "./guest-kernels.ts";
import { type Scenario, scenario } from "./scenario.ts";
import { signedFiles } from "./sign.ts";

let on: Scenario;
let directory: string;
beforeAll(async () => {
  on = await scenario();
  directory = on.directory;
});
afterAll(() => on[Symbol.asyncDispose]());

const options = (name: string): string => `console=ttyS0 panic=-1 entry=${name}`;

interface Expected {
  readonly id: string;
  readonly commandLine: string;
  /** `off` where nobody signs what is booted: files inside an image. */
  readonly trust?: "enforce" | "off";
  readonly type?: "esp" | "linux";
}

/** Boots a disk with these files, signed, and waits for the target to print its command line. */
async function boots(name: string, files: DiskFiles, { id, commandLine, trust = "enforce", type = "linux" }: Expected) {
  const filesystem = type === "esp" ? "vfat" : "ext4";
  const content = trust === "enforce" ? await signedFiles(on.keys, files) : files;
  const disk = await on.disk(`${name}.img`, [{ type, filesystem, files: content }]);
  await using vm = await on.boot({ disks: [disk], config: { trust } });
  await vm.expect(`slipway: chosen ${id}`, 120_000);
  await vm.expect(trust === "enforce" ? `slipway: verified ${id} by test` : `slipway: unverified ${id}: trust is off`);
  const [, handed] = await vm.expect(/TARGET-CMDLINE:(.*):END/, 120_000);
  expect(handed).toBe(commandLine);
}

const kernelFiles = (): DiskFiles => ({ "/boot/vmlinuz": on.vmlinuz, "/boot/initrd.img": on.initrd });

describe("a configuration of each kind boots to its target", () => {
  it("a unified kernel image with an add-on", async () => {
    const uki = await unifiedKernel({
      linux: on.vmlinuz,
      version: on.kernel.version,
      initrd: on.initrd,
      commandLine: options("uki"),
    });
    const addon = path.join(directory, "debug.addon.efi");
    const line = path.join(directory, "addon.cmdline");
    await writeFile(line, "loglevel=4");
    // An add-on has no kernel: a stub with a command line.
    const stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
    await runCommand("objcopy", [
      "--add-section",
      `.cmdline=${line}`,
      "--change-section-vma",
      ".cmdline=0x40000",
      stub,
      addon,
    ]);
    const files = {
      "/EFI/Linux/system+3.efi": { copyOf: uki },
      "/EFI/Linux/system.efi.extra.d/debug.addon.efi": { copyOf: addon },
    };
    const commandLine = `${options("uki")} loglevel=4`;
    await boots("uki", files, { id: "vda1:uki:system", commandLine, type: "esp" });
  });

  it("extlinux.conf", async () => {
    const text = `default second
label first
  linux /boot/missing
label second
  menu label A board
  linux ../vmlinuz
  initrd ../initrd.img
  append ${options("extlinux")}
`;
    const files = { ...kernelFiles(), "/boot/extlinux/extlinux.conf": text };
    const commandLine = `BOOT_IMAGE=../vmlinuz ${options("extlinux")} initrd=../initrd.img`;
    await boots("extlinux", files, { id: "vda1:syslinux:second", commandLine });
  });

  it("kboot.conf", async () => {
    const text = `default=good\ntimeout=5\ngood='/boot/vmlinuz initrd=/boot/initrd.img ${options("kboot")}'\n`;
    const files = { ...kernelFiles(), "/kboot.conf": text };
    await boots("kboot", files, { id: "vda1:kboot:good", commandLine: options("kboot") });
  });

  it("an iPXE script", async () => {
    const text = `#!ipxe
set name ipxe
iseq \${name} ipxe && goto good || exit 1
:good
kernel /boot/vmlinuz console=ttyS0 panic=-1 entry=\${name}
initrd --name rd /boot/initrd.img
boot
`;
    const files = { ...kernelFiles(), "/autoexec.ipxe": text };
    await boots("ipxe", files, { id: "vda1:ipxe:/autoexec.ipxe", commandLine: options("ipxe") });
  });

  it("a live system inside an ISO image on the disk", async () => {
    const tree = path.join(directory, "iso");
    await mkdir(path.join(tree, "boot/grub"), { recursive: true });
    await mkdir(path.join(tree, "live"));
    await writeFile(path.join(tree, "live/vmlinuz"), on.vmlinuz);
    await writeFile(path.join(tree, "live/initrd"), on.initrd);
    await writeFile(
      path.join(tree, "boot/grub/loopback.cfg"),
      `menuentry "Live" {
  linux /live/vmlinuz boot=live findiso=\${iso_path} ${options("iso")}
  initrd /live/initrd
}
`,
    );
    const image = path.join(directory, "live.iso");
    await runCommand("xorriso", ["-as", "mkisofs", "-quiet", "-R", "-V", "LIVE", "-o", image, tree]);
    const commandLine = `BOOT_IMAGE=/live/vmlinuz boot=live findiso=/iso/live.iso ${options("iso")}`;
    const files = { "/iso/live.iso": { copyOf: image } };
    await boots("iso", files, { id: "vda1:loopback:/iso/live.iso:0", commandLine, trust: "off" });
  });

  it("a FIT image with a kernel and an initrd", async () => {
    const source = `/dts-v1/;
/ {
  description = "a kernel and its initrd";
  #address-cells = <1>;
  images {
    kernel { description = "kernel"; data = /incbin/("vmlinuz"); type = "kernel"; arch = "x86_64"; os = "linux"; compression = "none"; load = <0>; entry = <0>; hash { algo = "sha256"; }; };
    ramdisk { description = "initrd"; data = /incbin/("initrd"); type = "ramdisk"; arch = "x86_64"; os = "linux"; compression = "none"; hash { algo = "sha256"; }; };
  };
  configurations { default = "board"; board { description = "board"; kernel = "kernel"; ramdisk = "ramdisk"; }; };
};
`;
    const at = path.join(directory, "fit");
    await mkdir(at);
    await writeFile(path.join(at, "vmlinuz"), on.vmlinuz);
    await writeFile(path.join(at, "initrd"), on.initrd);
    await writeFile(path.join(at, "image.its"), source);
    await runCommand("mkimage", ["-f", path.join(at, "image.its"), path.join(at, "image.itb")]);
    const text = `label fit\n  kernel /image.itb\n  append ${options("fit")}\n`;
    const files = { "/image.itb": { copyOf: path.join(at, "image.itb") }, "/extlinux/extlinux.conf": text };
    const commandLine = `BOOT_IMAGE=/image.itb ${options("fit")}`;
    await boots("fit", files, { id: "vda1:syslinux:fit", commandLine });
  });

  it("an Android boot image, whose own options come first", async () => {
    const at = path.join(directory, "android");
    await mkdir(at);
    await writeFile(path.join(at, "vmlinuz"), on.vmlinuz);
    await writeFile(path.join(at, "initrd"), on.initrd);
    const image = path.join(at, "boot.img");
    const parts = ["--kernel", path.join(at, "vmlinuz"), "--ramdisk", path.join(at, "initrd")];
    const header = ["--header_version", "1", "--cmdline", "androidboot.mode=normal"];
    await runCommand("mkbootimg", [...parts, ...header, "--output", image]);
    const text = `title Android\nlinux /boot.img\noptions ${options("android")}\n`;
    const files = { "/boot.img": { copyOf: image }, "/loader/entries/android.conf": text };
    const commandLine = `androidboot.mode=normal ${options("android")}`;
    await boots("android", files, { id: "vda1:bls1:android", commandLine });
  });

  it("GRUB's blscfg, with its own default and variables", async () => {
    const grubenv = `# GRUB Environment Block\nkernelopts=${options("blscfg")}\nsaved_entry=older\n`.padEnd(1024, "#");
    const entry = (title: string, version: string): string =>
      `title ${title}\nversion ${version}\nlinux /boot/vmlinuz\ninitrd /boot/initrd.img\noptions $kernelopts which=${title}\n`;
    const files = {
      ...kernelFiles(),
      "/boot/loader/entries/newer.conf": entry("newer", "2"),
      "/boot/loader/entries/older.conf": entry("older", "1"),
      "/boot/grub2/grubenv": grubenv,
      "/boot/grub2/grub.cfg": 'load_env\nset default="$saved_entry"\ninsmod blscfg\nblscfg\n',
    };
    const commandLine = `BOOT_IMAGE=/boot/vmlinuz ${options("blscfg")} which=older`;
    await boots("blscfg", files, { id: "vda1:bls1:older", commandLine });
  });
});
