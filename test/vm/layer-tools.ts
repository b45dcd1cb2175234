import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { DiskFiles } from "./disk.ts";
import { guestPackages, packagedFile } from "./guest-packages.ts";
import { distributionKernel } from "./kernels.ts";
import { targetInitrd } from "./target.ts";
import { startVm, type VmDisk } from "./vm.ts";

/** The kernel's drivers behind what lvm(8) and mdadm(8) make. */
const drivers = [
  ...["virtio_pci", "virtio_blk", "ext4", "btrfs", "loop"],
  ...["dm-mod", "dm-mirror", "dm-snapshot", "dm-thin-pool", "dm-cache", "dm-cache-smq", "dm-raid"],
  ...["linear", "raid0", "raid1", "raid10", "raid456"],
];

const layerPackages = ["lvm2", "mdadm", "dmsetup", "btrfs-progs"];
const programs = ["lvm", "mdadm", "dmsetup", "btrfs"];

/** There is no udev in the guest: the tools make the nodes. */
const lvmConfig = `devices {
	dir = "/dev"
	scan = [ "/dev" ]
	obtain_device_list_from_udev = 0
	use_devicesfile = 0
}
activation {
	udev_sync = 0
	udev_rules = 0
	monitoring = 0
	checks = 0
}
global {
	event_activation = 0
	use_lvmpolld = 0
	thin_check_executable = ""
	cache_check_executable = ""
}
`;

/**
 * Runs shell lines with lvm(8), mdadm(8) and btrfs(8) in a Linux guest that has these disks, /dev/vda being the first; each
 * line has to succeed. What it writes to a disk of `keepWrites` stays. Resolves with what it printed.
 *
 * @param scratch a directory for the guest's own files
 */
export async function runLayerTools(
  scratch: string,
  disks: readonly VmDisk[],
  commands: readonly string[],
): Promise<string> {
  const kernel = await distributionKernel();
  const files = await plainFiles(await layerToolFiles());
  const initrd = path.join(scratch, "layer-tools.cpio");
  const lines = [
    "export PATH=/sbin:/bin",
    "mkdir -p /run/lock/lvm /run/mdadm /tmp /etc/lvm/archive /etc/lvm/backup",
    "chmod 755 /sbin/* /lib64/* /lib/*/*",
    ...commands.map((line) => `{ ${line}; } 2>&1 || { echo "LAYER-TOOLS-FAILED $?"; poweroff -f; }`),
    "sync; echo LAYER-TOOLS-DONE",
  ];
  await writeFile(initrd, await targetInitrd({ commands: lines, modules: { kernel, names: drivers }, files }));
  try {
    await using vm = await startVm({
      kernel: kernel.vmlinuz,
      initrd,
      append: "console=ttyS0 quiet panic=-1 raid=noautodetect",
      disks,
    });
    const [said = "", end] = await vm.expect(/[\s\S]*?LAYER-TOOLS-(DONE|FAILED \d+)\n/, 240_000);
    if (end !== "DONE") throw new Error(`make volumes of several disks in a guest: a command failed:\n${said}`);
    await vm.waitForExit();
    return said;
  } finally {
    await rm(initrd, { force: true });
  }
}

/** The programs, their libraries and a configuration, for a guest's disk. */
export async function layerToolFiles(): Promise<DiskFiles> {
  const packages = await guestPackages(layerPackages);
  const files: DiskFiles = { "/etc/lvm/lvm.conf": lvmConfig, ...packages.libraries };
  for (const name of programs) {
    const places = ["sbin", "usr/sbin", "bin", "usr/bin"].map((directory) => `${directory}/${name}`);
    files[`/sbin/${name}`] = { copyOf: await packagedFile(packages, ...places) };
  }
  return files;
}

/** The little archive has no links: what one leads to stands in its place. */
async function plainFiles(files: DiskFiles): Promise<Record<string, Uint8Array | string>> {
  const read = async (name: string): Promise<Uint8Array | string> => {
    const content = files[name];
    if (content === undefined) throw new Error(`look for "${name}" among the guest's files: it is not there`);
    if (typeof content === "string" || content instanceof Uint8Array) return content;
    if ("copyOf" in content) return readFile(content.copyOf);
    return read(path.posix.resolve(path.posix.dirname(name), content.link));
  };
  const plain: Record<string, Uint8Array | string> = {};
  for (const name of Object.keys(files)) plain[name] = await read(name);
  return plain;
}
