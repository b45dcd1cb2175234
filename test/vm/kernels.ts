import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import { cached, exists, sharedDirectory } from "./cache.ts";
import { runCommand } from "./command.ts";
import { addPackage, findPackage, type PackageVersion } from "./packages.ts";

/** A distribution's kernel, unpacked and not installed. */
export interface Kernel {
  /** As `uname -r` prints it. */
  readonly version: string;
  /** The kernel image. */
  readonly vmlinuz: string;
  /** `…/lib/modules/VERSION` with `modules.dep` and the other indices made by depmod. */
  readonly modules: string;
}

/**
 * Names of the packages that always depend on the newest kernel, the small one for virtual machines first in each list:
 * Debian's, then Ubuntu's. `cloud` has virtio, NVMe and the common filesystems, `generic` also AHCI, USB and f2fs.
 * `cloud-6.12` is the younger of two series where the distribution has two (Debian 12), elsewhere the youngest there
 * is: {@link Kernel.version} tells.
 */
const metaPackages = {
  cloud: ["linux-image-cloud-amd64", "linux-image-virtual"],
  "cloud-6.12": [
    ...["linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64"],
    ...["linux-image-virtual-hwe-24.04", "linux-image-virtual-hwe-22.04", "linux-image-virtual"],
  ],
  generic: ["linux-image-amd64", "linux-image-generic"],
} as const;

export type KernelFlavour = keyof typeof metaPackages;

export async function distributionKernel(flavour: KernelFlavour = "cloud"): Promise<Kernel> {
  const packages = await findKernelPackages(flavour);
  const name = packages.map((found) => `${found.name}_${found.version}`).join("_");
  const directory = await cached(sharedDirectory, `kernels/${name.replaceAll(/[^A-Za-z0-9.+~_-]/g, "_")}`, (target) =>
    unpackKernel(packages, target),
  );
  return describe(directory);
}

/** The image's package and, where they are in packages of their own (Ubuntu), those of its modules. */
async function findKernelPackages(flavour: KernelFlavour): Promise<PackageVersion[]> {
  const meta = await findPackage(...metaPackages[flavour]);
  const names = new Set(meta.depends.filter((name) => /^linux-(image|modules)-\d/.test(name)));
  const packages: PackageVersion[] = [];
  // A set hands out what is added to it meanwhile.
  for (const name of names) {
    const found = await findPackage(name);
    packages.push(found);
    for (const other of found.depends) if (/^linux-modules-\d/.test(other)) names.add(other);
  }
  if (packages.length === 0) throw new Error(`find a kernel: "${meta.name}" depends on none`);
  return packages;
}

async function unpackKernel(packages: readonly PackageVersion[], directory: string): Promise<void> {
  for (const found of packages) await addPackage(found, directory);
  // Where /lib is a link to usr/lib, packages hold usr/lib.
  const tree = path.join(directory, "lib/modules");
  if (!(await exists(tree))) {
    await runCommand("mkdir", ["-p", path.join(directory, "lib")]);
    await runCommand("mv", [path.join(directory, "usr/lib/modules"), tree]);
  }
  const { version } = await describe(directory);
  await runCommand("depmod", ["-b", directory, version]);
  await rm(path.join(directory, "usr"), { recursive: true, force: true });
}

async function describe(directory: string): Promise<Kernel> {
  const images = (await readdir(path.join(directory, "boot"))).filter((name) => name.startsWith("vmlinuz-"));
  const [image] = images;
  if (image === undefined || images.length > 1) {
    throw new Error(`look for a kernel in "${directory}/boot": one vmlinuz-* expected, found ${images.length}`);
  }
  const version = image.slice("vmlinuz-".length);
  return {
    version,
    vmlinuz: path.join(directory, "boot", image),
    modules: path.join(directory, "lib/modules", version),
  };
}
