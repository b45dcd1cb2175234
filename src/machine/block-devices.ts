import { readdir, readFile, realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";

/** A block device that has a medium. */
export interface BlockDevice {
  /** The kernel's name: `vda1`. */
  readonly name: string;
  /** `/dev/vda1`. */
  readonly node: string;
  readonly sizeBytes: bigint;
  /** Logical sector, bytes. */
  readonly sectorBytes: number;
  /** The whole disk's name; the device's own where it is the disk. */
  readonly disk: string;
  /** Partition number from 1; null for a whole disk. */
  readonly partition: number | null;
  /** `major:minor`. */
  readonly devno: string;
  /** Counts the media of the machine's life: a device whose number changed holds another medium. Null on old kernels. */
  readonly diskSequence: string | null;
  /** What the running kernel has made the device, or the disk it is a part of, from; null for a real disk. */
  readonly stack: DeviceStack | null;
}

/** A device that the running kernel has made of others. */
export type DeviceStack =
  /**
   * By the device mapper: its name, an identifier that tells who made it (`LVM-…`, `CRYPT-…`, `mpath-…`), and whether another
   * device is made of it.
   */
  | { readonly kind: "dm"; readonly name: string; readonly uuid: string; readonly isHeld: boolean }
  /** A software RAID array, with the kernel's names of its members. */
  | { readonly kind: "md"; readonly members: readonly string[] };

/** sysfs counts sizes in these, whatever the logical sector is. */
const sysfsSectorBytes = 512n;

/** Devices that never hold something to boot, or are views of memory. */
const neverSearched = /^(ram|zram|fd)\d/;

/** The block devices that exist now and have a medium, in device order. */
export async function listBlockDevices(sysfs = "/sys"): Promise<BlockDevice[]> {
  const names = await readdir(`${sysfs}/class/block`).catch(() => []);
  const devices = await Promise.all(names.filter((n) => !neverSearched.test(n)).map((n) => readBlockDevice(sysfs, n)));
  return devices.filter((device) => device !== null).sort((a, b) => compareDeviceNames(a.name, b.name));
}

/** Null for a device that has no medium or that has just gone. */
export async function readBlockDevice(sysfs: string, name: string): Promise<BlockDevice | null> {
  try {
    const directory = await realpath(`${sysfs}/class/block/${name}`);
    const partition = await attribute(directory, "partition");
    const diskDirectory = partition === null ? directory : dirname(directory);
    const size = await attribute(directory, "size");
    const devno = await attribute(directory, "dev");
    if (size === null || devno === null || !/^[1-9]\d{0,18}$/.test(size)) return null;
    const sector = Number((await attribute(diskDirectory, "queue/logical_block_size")) ?? "512");
    return {
      name,
      // sysfs writes "!" where the node's name has a slash (cciss!c0d0).
      node: `/dev/${name.replaceAll("!", "/")}`,
      sizeBytes: BigInt(size) * sysfsSectorBytes,
      sectorBytes: Number.isSafeInteger(sector) && sector >= 512 ? sector : 512,
      disk: basename(diskDirectory),
      partition: partition === null ? null : Number(partition),
      devno,
      diskSequence: await attribute(diskDirectory, "diskseq"),
      stack: await readStack(diskDirectory),
    };
  } catch {
    return null;
  }
}

async function readStack(diskDirectory: string): Promise<DeviceStack | null> {
  const name = await attribute(diskDirectory, "dm/name");
  if (name !== null) {
    const uuid = (await attribute(diskDirectory, "dm/uuid")) ?? "";
    const holders = await readdir(`${diskDirectory}/holders`).catch(() => []);
    return { kind: "dm", name, uuid, isHeld: holders.length > 0 };
  }
  if ((await attribute(diskDirectory, "md/array_state")) === null) return null;
  return { kind: "md", members: await readdir(`${diskDirectory}/slaves`).catch(() => []) };
}

async function attribute(directory: string, name: string): Promise<string | null> {
  return readFile(`${directory}/${name}`, "utf8").then(
    (text) => text.trim(),
    () => null,
  );
}

/** Device order: by letters, numbers by value, a shorter letter part first: sda < sda2 < sda10 < sdb < sdaa. */
export function compareDeviceNames(a: string, b: string): number {
  const left = a.match(/\d+|\D+/g) ?? [];
  const right = b.match(/\d+|\D+/g) ?? [];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const x = left[i] ?? "";
    const y = right[i] ?? "";
    if (x === y) continue;
    const numeric = /^\d/.test(x) && /^\d/.test(y);
    if (numeric && Number(x) !== Number(y)) return Number(x) - Number(y);
    if (x.length !== y.length) return x.length - y.length;
    return x < y ? -1 : 1;
  }
  return 0;
}
