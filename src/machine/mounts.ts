import { closeSync, constants, fstatSync } from "node:fs";
import { access, open, readFile } from "node:fs/promises";
import type { System } from "../linux/system.ts";
import { withDeadline } from "./deadline.ts";
import { type FilesystemSupport, filesystemSupport } from "./filesystems.ts";
import type { ModuleLoader } from "./modules.ts";
import type { Volume } from "./volumes.ts";

/**
 * Opens a volume's root directory for reading, without changing a byte of it: read-only, no journal replay, attached to no
 * directory of the machine, and from a device that refuses writes. Closing the descriptors unmounts.
 *
 * A volume that the running system has mounted already is seen through a private read-only clone of that mount.
 *
 * @param modules loads the filesystem's driver, for PID 1, which has the devices to itself and makes them read-only; null
 *   on a live machine, whose kernel loads drivers by itself and whose devices are not ours to change: there a read-only
 *   loop device stands between
 * @returns at least one root; several where the filesystem has several (`FilesystemSupport.views`), the first to be asked
 *   first
 */
export async function openVolume(
  system: System,
  modules: ModuleLoader | null,
  volume: Volume,
  timeoutSeconds: number,
): Promise<readonly number[]> {
  const { node, devno } = volume.device;
  const type = volume.superblock?.type ?? "none";
  const support = filesystemSupport(type);
  if (support === null) throw new Error(`mount ${node}: Slipway does not read ${type}`);
  const opening = async (): Promise<readonly number[]> => {
    const mountPoint = await currentMountPoint(devno);
    if (mountPoint !== null) return [await system.cloneMount(mountPoint)];
    for (const module of modules === null ? [] : support.modules) await modules?.load(module);
    // The kernel has one instance of such a filesystem, and takes no second device for it: it is mounted once more.
    if (modules === null && (await isInUse(support, volume))) return mountViews(system, support, node);
    await using device = await open(node, constants.O_RDONLY | constants.O_NONBLOCK);
    if (modules !== null) {
      system.forbidWrites(device.fd);
      return await mountViews(system, support, node);
    }
    const loop = system.attachReadOnlyLoop(device.fd);
    try {
      return await mountViews(system, support, loop.node);
    } finally {
      closeSync(loop.fd);
    }
  };
  return withDeadline(opening(), timeoutSeconds, `mount ${node}`, closeAll);
}

function closeAll(roots: readonly number[]): void {
  for (const root of roots) closeSync(root);
}

/** Mounts a filesystem as often as it has views; a view that is the same as an earlier one is left out. */
async function mountViews(system: System, support: FilesystemSupport, node: string): Promise<readonly number[]> {
  const { views = [[]] } = support;
  const roots: number[] = [];
  const seen = new Set<number>();
  try {
    for (const view of views) {
      const options = [...support.options, ...view];
      const root = await system.openFilesystem({ type: support.driver ?? support.type, source: node, options });
      roots.push(root);
      if (views.length === 1) continue;
      const { dev } = fstatSync(root);
      if (seen.has(dev)) closeSync(roots.pop() ?? root);
      seen.add(dev);
    }
    return roots;
  } catch (error) {
    closeAll(roots);
    throw error;
  }
}

/** Whether the running system has this very filesystem mounted already, whose mounts are not known by the device's number. */
async function isInUse({ inUse }: FilesystemSupport, { superblock }: Volume): Promise<boolean> {
  if (inUse === undefined || superblock?.uuid == null) return false;
  return access(inUse(superblock.uuid)).then(
    () => true,
    () => false,
  );
}

/** Where the root of a device's filesystem is mounted now; null when it is not. */
async function currentMountPoint(devno: string): Promise<string | null> {
  const table = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  return findMountPoint(table, devno);
}

/**
 * Searches `/proc/PID/mountinfo` (proc_pid_mountinfo(5)) for a mount of the whole filesystem of a device.
 *
 * Sample line: `36 35 98:0 / /mnt/two\040words rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
 */
export function findMountPoint(table: string, devno: string): string | null {
  const mounts = table.split("\n").map((line) => line.split(" "));
  for (const [index, [, , device, root, mountPoint]] of mounts.entries()) {
    if (device !== devno || root !== "/" || mountPoint === undefined) continue;
    // What was mounted over it later is what the path leads to.
    if (mounts.slice(index + 1).some((later) => later[4] === mountPoint)) continue;
    return mountPoint.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  }
  return null;
}
