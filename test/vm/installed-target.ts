import type { Partition } from "./disk.ts";
import { guestPackages } from "./guest-packages.ts";
import { slipwayExecutable } from "./image.ts";
import type { Kernel } from "./kernels.ts";
import { targetInitrd } from "./target.ts";

/*
 * A target whose root filesystem has this project's executable, as a system has that was installed with it: too large for an
 * initrd that is copied and verified at each boot.
 */

/** The filesystem, to be the second partition of the first disk. */
export async function installedRoot(): Promise<Partition> {
  const { libraries } = await guestPackages(["libatomic1", "libstdc++6"]);
  const mountPoints = Object.fromEntries(["dev", "proc", "sys", "tmp"].map((name) => [`/${name}/`, ""]));
  const files = { ...mountPoints, ...libraries, "/usr/bin/slipway": { copyOf: slipwayExecutable } };
  return { filesystem: "ext4", sizeMiB: 224, files };
}

/**
 * Its initrd: runs these lines of shell, in which `slipway` is the executable on that filesystem, prints TARGET-DONE and
 * powers off.
 */
export function installedTarget(kernel: Kernel, commands: readonly string[]): Promise<Buffer> {
  return targetInitrd({
    modules: { kernel, names: ["virtio_pci", "virtio_blk", "ext4", "efivarfs"] },
    commands: [
      "mount -t ext4 -o noinit_itable /dev/vda2 /mnt",
      "for d in dev proc sys; do mount --bind /$d /mnt/$d; done",
      "mount -t securityfs securityfs /mnt/sys/kernel/security",
      "test -d /sys/firmware/efi && mount -t efivarfs efivarfs /mnt/sys/firmware/efi/efivars",
      "slipway() { chroot /mnt /usr/bin/slipway $*; }",
      ...commands,
      "echo TARGET-DONE",
    ],
  });
}
