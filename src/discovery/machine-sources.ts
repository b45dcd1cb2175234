import { messageOf } from "../formats/error-text.ts";
import { readRaidMember } from "../formats/superblock/linux-raid.ts";
import { ProbedDevice } from "../formats/superblock/probe.ts";
import type { System } from "../linux/system.ts";
import { type BlockDevice, compareDeviceNames, listBlockDevices } from "../machine/block-devices.ts";
import { withDeadline } from "../machine/deadline.ts";
import { filesystemSupport } from "../machine/filesystems.ts";
import { activeLogicalVolume, layerName, markedName } from "../machine/layer-name.ts";
import { type LayeredVolume, LayeredVolumes, type LayersFound } from "../machine/layered-volumes.ts";
import type { MappedLayer } from "../machine/mapping.ts";
import type { ModuleLoader } from "../machine/modules.ts";
import { openVolume } from "../machine/mounts.ts";
import { type DeviceProblem, probeVolumes, readDevice, type Volume } from "../machine/volumes.ts";
import { DirectorySource } from "./directory-source.ts";
import type { FileSource, VolumeFacts } from "./source.ts";
import { SubvolumeSource } from "./subvolume-source.ts";

/** One disk as it was when it was last looked at. */
interface KnownDisk {
  /** Changes when a device of the disk appears, leaves or gets another medium. */
  readonly identity: string;
  /** Whether the running system has made it of other disks. */
  readonly isLayered: boolean;
  readonly volumes: readonly Volume[];
  readonly sources: readonly FileSource[];
  readonly problems: readonly DeviceProblem[];
  /** Volumes that were recognised and that hold no files. */
  readonly named: readonly NamedVolume[];
}

/** A volume that stands on several disks, made here. */
interface KnownLayered {
  readonly name: string;
  /** The kernel's name of its device. */
  readonly device: string;
  readonly source: FileSource | null;
  readonly problem: DeviceProblem | null;
  readonly type: string | null;
}

interface NamedVolume {
  readonly name: string;
  readonly type: string;
}

/**
 * The machine's own volumes as file sources, kept up to date: {@link refresh} looks at what changed, and only that is
 * probed and mounted. Disks are handled side by side, and one that fails costs itself. Volumes that stand on several disks
 * (software RAID, LVM) come when the last disk that they need has come.
 */
export class MachineSources {
  readonly #system: System;
  readonly #modules: ModuleLoader | null;
  readonly #timeoutSeconds: number;
  readonly #layers: LayeredVolumes;
  #disks = new Map<string, KnownDisk>();
  #layered = new Map<string, KnownLayered>();
  /** Volumes that are no partitions → their names, for good. */
  readonly #names = new Map<string, string>();
  #deviceNames: readonly string[] = [];
  #found: LayersFound = { volumes: [], problems: [], used: new Set() };

  /** @param modules loads filesystem drivers; null where the kernel does that itself */
  constructor(system: System, modules: ModuleLoader | null, timeoutSeconds: number) {
    this.#system = system;
    this.#modules = modules;
    this.#timeoutSeconds = timeoutSeconds;
    this.#layers = new LayeredVolumes(system, modules, timeoutSeconds);
  }

  /** Every volume that holds files, in device order; those that stand on others come last. */
  get sources(): readonly FileSource[] {
    const layered = [...this.#inOrder(true).flatMap((disk) => disk.sources), ...this.#layeredSources()];
    layered.sort((a, b) => compareDeviceNames(a.volume.name, b.volume.name));
    return [...this.#inOrder(false).flatMap((disk) => disk.sources), ...layered];
  }

  get problems(): readonly DeviceProblem[] {
    const own = [...this.#layered.values()].flatMap(({ problem }) => problem ?? []);
    return [...this.#inOrder().flatMap((disk) => disk.problems), ...this.#found.problems, ...own];
  }

  /** Volumes that were recognised and that hold no files: `vda3: crypto_LUKS`. */
  get named(): readonly string[] {
    const onDisks = this.#inOrder()
      .flatMap(({ named }) => named)
      .filter(({ name }) => !this.#found.used.has(name));
    const layered = [...this.#layered.values()].flatMap(({ name, source, type }) =>
      source !== null || type === null || filesystemSupport(type) !== null ? [] : [{ name, type }],
    );
    return [...onDisks, ...layered].map(({ name, type }) => `${name}: ${type}`);
  }

  /** Disks that are there, whatever they hold. */
  get diskNames(): readonly string[] {
    return [...this.#disks.keys()].sort(compareDeviceNames);
  }

  /** Looks at the machine's disks again; true when something changed. */
  async refresh(): Promise<boolean> {
    let changed = false;
    const own = this.#layers.ownNames;
    const devices = (await listBlockDevices()).filter((device) => !own.has(device.disk));
    const present = groupByDisk(devices);
    this.#deviceNames = devices.map(({ name }) => name);
    for (const [name, known] of this.#disks) {
      if (identity(present.get(name) ?? []) === known.identity) continue;
      changed = true;
      this.#disks.delete(name);
      await Promise.all(known.sources.map((source) => source.close()));
    }
    await Promise.all(
      [...present].map(async ([name, parts]) => {
        if (this.#disks.has(name)) return;
        changed = true;
        this.#disks.set(name, await this.#openDisk(parts, devices));
      }),
    );
    if (changed) await this.#refreshLayers();
    return changed;
  }

  async close(): Promise<void> {
    const disks = [...this.#disks.values()];
    const layered = this.#layeredSources();
    this.#disks = new Map();
    this.#layered = new Map();
    this.#found = { volumes: [], problems: [], used: new Set() };
    await Promise.all([...disks.flatMap((disk) => disk.sources), ...layered].map((source) => source.close()));
    await this.#layers.close();
  }

  async #openDisk(devices: readonly BlockDevice[], all: readonly BlockDevice[]): Promise<KnownDisk> {
    const probed = await probeVolumes(devices, this.#timeoutSeconds);
    const problems = [...probed.problems];
    const named: NamedVolume[] = [];
    const opened = await Promise.all(
      probed.volumes.map(async (volume): Promise<FileSource | null> => {
        const type = volume.superblock?.type;
        if (type === undefined || isPartOfVolume(volume)) return null;
        if (filesystemSupport(type) === null) {
          named.push({ name: volume.device.name, type });
          return null;
        }
        try {
          return await this.#open(volume, await this.#factsOf(volume, all));
        } catch (error) {
          problems.push({ device: volume.device.name, reason: messageOf(error) });
          return null;
        }
      }),
    );
    return {
      identity: identity(devices),
      isLayered: devices.some(({ stack }) => stack !== null),
      volumes: probed.volumes,
      sources: opened.filter((source) => source !== null),
      problems,
      named,
    };
  }

  async #open(volume: Volume, facts: VolumeFacts): Promise<FileSource> {
    const roots = await openVolume(this.#system, this.#modules, volume, this.#timeoutSeconds);
    const views = roots.map((root) => new DirectorySource(this.#system, root, facts, this.#timeoutSeconds));
    const [first, ...others] = views;
    if (first === undefined) throw new Error(`mount ${volume.device.node}: nothing was mounted`);
    return others.length === 0 ? first : new SubvolumeSource([first, ...others]);
  }

  /** What is known of a volume, of those that the running system has put together too. */
  async #factsOf(volume: Volume, all: readonly BlockDevice[]): Promise<VolumeFacts> {
    const { stack } = volume.device;
    if (stack?.kind === "dm") {
      const layer = activeLogicalVolume(stack.name, stack.uuid);
      if (layer !== null) return layeredFacts(volume, layer, this.#nameOf(layer, null));
    }
    if (stack?.kind === "md") {
      const layer = await this.#activeArray(stack.members, all);
      // Without a UUID (an array of the firmware's RAID) the system's name has to do.
      const { name, partition } = volume.device;
      return layeredFacts(volume, layer, layer.uuid === null ? name : this.#nameOf(layer, partition));
    }
    return diskFacts(volume);
  }

  /** What the members of an array that the system has started say of it. */
  async #activeArray(
    members: readonly string[],
    all: readonly BlockDevice[],
  ): Promise<MappedLayer & { readonly kind: "md" }> {
    for (const device of all.filter(({ name }) => members.includes(name))) {
      const read = readDevice(device, async (readAt) =>
        readRaidMember(await ProbedDevice.open(readAt, device.sizeBytes)),
      );
      const member = await withDeadline(read, this.#timeoutSeconds, `read ${device.node}`).catch(() => null);
      if (member === null) continue;
      const minor = member.preferredMinor === null ? null : String(member.preferredMinor);
      return { kind: "md", uuid: member.uuid, name: member.name ?? minor };
    }
    return { kind: "md", uuid: null, name: null };
  }

  /** Puts together what stands on several disks, after one of them changed. */
  async #refreshLayers(): Promise<void> {
    const letGo = async (names: ReadonlySet<string>): Promise<void> => {
      for (const [key, known] of this.#layered) {
        if (!names.has(known.device)) continue;
        this.#layered.delete(key);
        await known.source?.close();
      }
    };
    const volumes = this.#inOrder().flatMap((disk) => disk.volumes);
    this.#found = await this.#layers.update(volumes, letGo);
    const keys = new Set(this.#found.volumes.map(({ key }) => key));
    for (const [key, known] of this.#layered) {
      if (keys.has(key)) continue;
      this.#layered.delete(key);
      await known.source?.close();
    }
    const fresh = this.#found.volumes.filter(({ key }) => !this.#layered.has(key));
    // The names are given one after the other, so that the first keeps the plain one.
    const named = fresh.map((layered) => ({
      layered,
      name: this.#nameOf(layered.layer, layered.volume.partition?.number ?? null),
    }));
    await Promise.all(
      named.map(async ({ layered, name }) => this.#layered.set(layered.key, await this.#openLayered(layered, name))),
    );
  }

  async #openLayered({ layer, volume }: LayeredVolume, name: string): Promise<KnownLayered> {
    const type = volume.superblock?.type ?? null;
    const known = { name, device: volume.device.name, type };
    if (type === null || filesystemSupport(type) === null) return { ...known, source: null, problem: null };
    try {
      return { ...known, source: await this.#open(volume, layeredFacts(volume, layer, name)), problem: null };
    } catch (error) {
      return { ...known, source: null, problem: { device: name, reason: messageOf(error) } };
    }
  }

  #layeredSources(): FileSource[] {
    return [...this.#layered.values()].flatMap(({ source }) => source ?? []);
  }

  /**
   * The name of a volume that is no partition of a disk; the same one whenever it is asked for. Where another volume has
   * the name already, a piece of the identifier is added.
   */
  #nameOf(layer: MappedLayer, part: number | null): string {
    const owner = JSON.stringify([layer, part]);
    const known = this.#names.get(owner);
    if (known !== undefined) return known;
    const taken = new Set([...this.#names.values(), ...this.#deviceNames]);
    const suffix = part === null ? "" : `p${part}`;
    const plain = layerName(layer);
    const candidates = [plain, markedName(plain, layer)].map((name) => `${name}${suffix}`);
    const name = candidates.find((candidate) => !taken.has(candidate)) ?? `${plain.slice(0, 40)}-${this.#names.size}`;
    this.#names.set(owner, name);
    return name;
  }

  #inOrder(isLayered?: boolean): KnownDisk[] {
    const disks = this.diskNames.flatMap((name) => this.#disks.get(name) ?? []);
    return isLayered === undefined ? disks : disks.filter((disk) => disk.isLayered === isLayered);
  }
}

/** A part of an active logical volume, whose content shows through: a leg of a mirror, the origin below a snapshot. */
function isPartOfVolume({ device: { stack } }: Volume): boolean {
  if (stack?.kind !== "dm" || !stack.uuid.startsWith("LVM-")) return false;
  return stack.isHeld || activeLogicalVolume(stack.name, stack.uuid) === null;
}

function groupByDisk(devices: readonly BlockDevice[]): Map<string, BlockDevice[]> {
  const disks = new Map<string, BlockDevice[]>();
  for (const device of devices) disks.set(device.disk, [...(disks.get(device.disk) ?? []), device]);
  return disks;
}

function identity(devices: readonly BlockDevice[]): string {
  return JSON.stringify(devices.map((d) => [d.name, d.devno, String(d.sizeBytes), d.diskSequence]));
}

function diskFacts(volume: Volume): VolumeFacts {
  const { device } = volume;
  return { ...contentFacts(volume), name: device.name, disk: device.disk, part: device.partition, layer: null };
}

/** A volume that stands on several disks is on none by itself; a partition of an array keeps its number. */
function layeredFacts(volume: Volume, layer: MappedLayer, name: string): VolumeFacts {
  const part = volume.partition?.number ?? volume.device.partition;
  return { ...contentFacts(volume), name, disk: null, part, layer };
}

function contentFacts({ partition, superblock }: Volume): Omit<VolumeFacts, "name" | "disk" | "part" | "layer"> {
  return {
    fstype: superblock?.type ?? null,
    uuid: superblock?.uuid ?? null,
    label: superblock?.label ?? null,
    partuuid: partition?.partuuid ?? null,
    partlabel: partition?.partlabel ?? null,
    table: partition?.table ?? null,
    parttype: partition?.type ?? null,
  };
}
