import { closeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { System } from "../linux/system.ts";
import { withDeadline } from "./deadline.ts";
import { filesystemSupport } from "./filesystems.ts";
import type { ModuleLoader } from "./modules.ts";
import type { Volume } from "./volumes.ts";

/**
 * Opens a volume's root directory for reading, without changing a byte of it: read-only, no journal replay, attached to no
 * directory of the machine. Closing the descriptor unmounts.
 *
 * A volume that the running system has mounted already is seen through a private read-only clone of that mount.
 *
 * @param modules loads the filesystem's driver, for PID 1, which has the devices to itself and makes them read-only; null
 *   on a live machine, whose kernel loads drivers by itself and whose devices are not ours to change
 */
export async function openVolume(
  system: System,
  modules: ModuleLoader | null,
  volume: Volume,
  timeoutSeconds: number,
): Promise<number> {
  const type = volume.superblock?.type ?? "none";
  const support = filesystemSupport(type);
  if (support === null) throw new Error(`mount ${volume.device.node}: Slipway does not read ${type}`);
  const mountPoint = await currentMountPoint(volume.device.devno);
  const opening = async (): Promise<number> => {
    if (mountPoint !== null) return system.cloneMount(mountPoint);
    if (modules !== null) {
      for (const module of support.modules) await modules.load(module);
      // Whatever a filesystem's driver means by read-only, the device does not change.
      system.forbidWrites(volume.device.node);
    } else if (support.writesWhenReadOnly === true) {
      throw new Error(`mount ${volume.device.node}: not mounted now, and the driver of ${type} could write to it`);
    }
    return system.openFilesystem({
      type: support.driver ?? support.type,
      source: volume.device.node,
      options: support.options,
    });
  };
  return withDeadline(opening(), timeoutSeconds, `mount ${volume.device.node}`, closeSync);
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
  for (const line of table.split("\n")) {
    const [, , device, root, mountPoint] = line.split(" ");
    if (device === devno && root === "/" && mountPoint !== undefined) {
      return mountPoint.replace(/\\([0-7]{3})/g, (_all, octal: string) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      );
    }
  }
  return null;
}
