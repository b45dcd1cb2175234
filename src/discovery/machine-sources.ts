import { messageOf } from "../formats/error-text.ts";
import type { System } from "../linux/system.ts";
import { type BlockDevice, compareDeviceNames, listBlockDevices } from "../machine/block-devices.ts";
import { filesystemSupport } from "../machine/filesystems.ts";
import type { ModuleLoader } from "../machine/modules.ts";
import { openVolume } from "../machine/mounts.ts";
import { type DeviceProblem, probeVolumes, type Volume } from "../machine/volumes.ts";
import { DirectorySource } from "./directory-source.ts";
import type { FileSource, VolumeFacts } from "./source.ts";

/** One disk as it was when it was last looked at. */
interface KnownDisk {
  /** Changes when a device of the disk appears, leaves or gets another medium. */
  readonly identity: string;
  readonly sources: readonly FileSource[];
  readonly problems: readonly DeviceProblem[];
  /** Volumes that were recognised and that hold no files: `vda3: crypto_LUKS`. */
  readonly named: readonly string[];
}

/**
 * The machine's own volumes as file sources, kept up to date: {@link refresh} looks at what changed, and only that is
 * probed and mounted. Disks are handled side by side, and one that fails costs itself.
 */
export class MachineSources {
  readonly #system: System;
  readonly #modules: ModuleLoader | null;
  readonly #timeoutSeconds: number;
  #disks = new Map<string, KnownDisk>();

  /** @param modules loads filesystem drivers; null where the kernel does that itself */
  constructor(system: System, modules: ModuleLoader | null, timeoutSeconds: number) {
    this.#system = system;
    this.#modules = modules;
    this.#timeoutSeconds = timeoutSeconds;
  }

  /** Every volume that holds files, in device order. */
  get sources(): readonly FileSource[] {
    return this.#inOrder().flatMap((disk) => disk.sources);
  }

  get problems(): readonly DeviceProblem[] {
    return this.#inOrder().flatMap((disk) => disk.problems);
  }

  get named(): readonly string[] {
    return this.#inOrder().flatMap((disk) => disk.named);
  }

  /** Disks that are there, whatever they hold. */
  get diskNames(): readonly string[] {
    return [...this.#disks.keys()].sort(compareDeviceNames);
  }

  /** Looks at the machine's disks again; true when something changed. */
  async refresh(): Promise<boolean> {
    let changed = false;
    const present = groupByDisk(await listBlockDevices());
    for (const [name, known] of this.#disks) {
      if (identity(present.get(name) ?? []) === known.identity) continue;
      changed = true;
      this.#disks.delete(name);
      await Promise.all(known.sources.map((source) => source.close()));
    }
    await Promise.all(
      [...present].map(async ([name, devices]) => {
        if (this.#disks.has(name)) return;
        changed = true;
        this.#disks.set(name, await this.#openDisk(devices));
      }),
    );
    return changed;
  }

  async close(): Promise<void> {
    const disks = [...this.#disks.values()];
    this.#disks = new Map();
    await Promise.all(disks.flatMap((disk) => disk.sources).map((source) => source.close()));
  }

  async #openDisk(devices: readonly BlockDevice[]): Promise<KnownDisk> {
    const probed = await probeVolumes(devices, this.#timeoutSeconds);
    const problems = [...probed.problems];
    const named: string[] = [];
    const opened = await Promise.all(
      probed.volumes.map(async (volume): Promise<FileSource | null> => {
        const type = volume.superblock?.type;
        if (type === undefined) return null;
        if (filesystemSupport(type) === null) {
          named.push(`${volume.device.name}: ${type}`);
          return null;
        }
        try {
          const rootFd = await openVolume(this.#system, this.#modules, volume, this.#timeoutSeconds);
          return new DirectorySource(this.#system, rootFd, volumeFacts(volume), this.#timeoutSeconds);
        } catch (error) {
          problems.push({ device: volume.device.name, reason: messageOf(error) });
          return null;
        }
      }),
    );
    return { identity: identity(devices), sources: opened.filter((source) => source !== null), problems, named };
  }

  #inOrder(): KnownDisk[] {
    return this.diskNames.flatMap((name) => this.#disks.get(name) ?? []);
  }
}

function groupByDisk(devices: readonly BlockDevice[]): Map<string, BlockDevice[]> {
  const disks = new Map<string, BlockDevice[]>();
  for (const device of devices) disks.set(device.disk, [...(disks.get(device.disk) ?? []), device]);
  return disks;
}

function identity(devices: readonly BlockDevice[]): string {
  return JSON.stringify(devices.map((d) => [d.name, d.devno, String(d.sizeBytes), d.diskSequence]));
}

function volumeFacts(volume: Volume): VolumeFacts {
  const { device, partition, superblock } = volume;
  return {
    name: device.name,
    fstype: superblock?.type ?? null,
    uuid: superblock?.uuid ?? null,
    label: superblock?.label ?? null,
    partuuid: partition?.partuuid ?? null,
    partlabel: partition?.partlabel ?? null,
    disk: device.disk,
    part: device.partition,
    table: partition?.table ?? null,
    parttype: partition?.type ?? null,
    layer: null,
  };
}
