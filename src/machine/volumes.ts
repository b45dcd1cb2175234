import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { errorCode, messageOf } from "../formats/error-text.ts";
import { readPartitionTable } from "../formats/partition-table.ts";
import type { ReadAt } from "../formats/read-at.ts";
import { probeSuperblock } from "../formats/superblock/table.ts";
import type { PartitionFacts, SuperblockFacts } from "../formats/volume-facts.ts";
import type { BlockDevice } from "./block-devices.ts";
import { DeadlineError, withDeadline } from "./deadline.ts";

/** A block device with what its own bytes and the partition table say of it. */
export interface Volume {
  readonly device: BlockDevice;
  readonly partition: PartitionFacts | null;
  readonly superblock: SuperblockFacts | null;
}

/** Something about a device that kept it, or a part of it, from being searched. */
export interface DeviceProblem {
  readonly device: string;
  readonly reason: string;
}

export interface ProbedVolumes {
  readonly volumes: readonly Volume[];
  readonly problems: readonly DeviceProblem[];
}

/**
 * Reads partition tables and superblocks of all devices side by side. A device that errors or does not answer within
 * `timeoutSeconds` costs itself alone.
 */
export async function probeVolumes(devices: readonly BlockDevice[], timeoutSeconds: number): Promise<ProbedVolumes> {
  const problems: DeviceProblem[] = [];
  const silent = new Set<string>();
  const guarded = async <T>(device: BlockDevice, work: Promise<T>): Promise<T | null> => {
    try {
      return await withDeadline(work, timeoutSeconds, `read ${device.node}`);
    } catch (error) {
      if (error instanceof DeadlineError) silent.add(device.name);
      problems.push({ device: device.name, reason: describeFailure(device, error) });
      return null;
    }
  };
  const partitioned = new Set(devices.filter((d) => d.partition !== null).map((d) => d.disk));
  const disks = devices.filter((device) => device.partition === null);
  const tables = new Map<string, readonly PartitionFacts[]>();
  await Promise.all(
    disks
      .filter((disk) => partitioned.has(disk.name))
      .map(async (disk) => {
        const table = await guarded(disk, readTable(disk));
        tables.set(disk.name, table?.partitions ?? []);
        for (const reason of table?.problems ?? []) problems.push({ device: disk.name, reason });
      }),
  );
  const volumes = await Promise.all(
    devices
      // A disk with partitions is a container, not a volume.
      .filter((device) => device.partition !== null || !partitioned.has(device.name))
      .map(async (device): Promise<Volume> => {
        const partition = tables.get(device.disk)?.find((facts) => facts.number === device.partition) ?? null;
        // Each read of a disk that does not answer would hold a thread that another disk needs.
        if (silent.has(device.disk)) return { device, partition, superblock: null };
        return { device, partition, superblock: await guarded(device, readSuperblock(device)) };
      }),
  );
  return { volumes, problems };
}

function describeFailure(device: BlockDevice, error: unknown): string {
  // An empty optical drive claims a size and fails the first read.
  const isOptical = /^sr\d/.test(device.name);
  const code = errorCode(error);
  if (isOptical && code !== null) return `no readable medium (${code})`;
  return messageOf(error);
}

export function readTable(disk: BlockDevice): ReturnType<typeof readPartitionTable> {
  return readDevice(disk, (read) => readPartitionTable(read, disk.sizeBytes, disk.sectorBytes));
}

export function readSuperblock(device: BlockDevice): Promise<SuperblockFacts | null> {
  return readDevice(device, (read) => probeSuperblock(read, device.sizeBytes));
}

/** Opens a device for as long as `work` reads from it. */
export async function readDevice<T>(device: BlockDevice, work: (read: ReadAt) => Promise<T>): Promise<T> {
  await using file = await openDevice(device);
  return await work(reader(file));
}

function openDevice(device: BlockDevice): Promise<FileHandle> {
  // Without O_NONBLOCK a drive may wait for its tray.
  return open(device.node, constants.O_RDONLY | constants.O_NONBLOCK);
}

function reader(file: FileHandle): ReadAt {
  return async (offset, length) => {
    const buffer = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await file.read(buffer, done, length - done, offset + BigInt(done));
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return buffer.subarray(0, done);
  };
}
