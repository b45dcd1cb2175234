import { closeSync, constants } from "node:fs";
import { open, readFile, writeFile } from "node:fs/promises";
import { messageOf } from "../formats/error-text.ts";
import { lvm2TextCharactersMax } from "../formats/lvm2-config.ts";
import { type Lvm2PhysicalVolume, readLvm2PhysicalVolume } from "../formats/lvm2-metadata.ts";
import { type RaidMember, readRaidMember } from "../formats/superblock/linux-raid.ts";
import { ProbedDevice } from "../formats/superblock/probe.ts";
import type { PartitionFacts, SuperblockFacts } from "../formats/volume-facts.ts";
import type { MappingTarget, System } from "../linux/system.ts";
import { type BlockDevice, readBlockDevice } from "./block-devices.ts";
import { withDeadline } from "./deadline.ts";
import { layerName, logicalVolumeUuid } from "./layer-name.ts";
import {
  LayerError,
  type MappedLayer,
  type Mapping,
  MappingKeys,
  type MappingPiece,
  type MappingPlace,
  type PlannedLayer,
  piecesOf,
  placesOf,
} from "./mapping.ts";
import type { ModuleLoader } from "./modules.ts";
import { type FoundMember, planRaidArrays } from "./raid-arrays.ts";
import { type FoundPhysicalVolume, planVolumeGroups } from "./volume-groups.ts";
import { type DeviceProblem, readDevice, readSuperblock, readTable, type Volume } from "./volumes.ts";

/** Arrays of arrays: RAID 1+0 is two high. */
const roundsMax = 4;
/** Devices made at the same time, the parts of others among them. */
export const madeDevicesMax = 1000;

/** A volume that stands on several others, or on a part of one that no partition table tells of. */
export interface LayeredVolume {
  /** The same as long as it is the same volume on the same devices. */
  readonly key: string;
  readonly layer: MappedLayer;
  readonly volume: Volume;
}

export interface LayersFound {
  readonly volumes: readonly LayeredVolume[];
  /** By the volume's name: what was recognised and not put together. */
  readonly problems: readonly DeviceProblem[];
  /** Kernel names of the devices that are members of something that was put together, or that the system uses. */
  readonly used: ReadonlySet<string>;
}

/** A device that was made of others. */
interface Made {
  readonly key: string;
  /** Arrays first, round by round; logical volumes last. */
  readonly stage: number;
  readonly device: BlockDevice;
  /** Keys of the made devices that it stands on. */
  readonly under: readonly string[];
  /** The kernel's names of it and of what was needed for it. */
  readonly names: readonly string[];
  remove(): Promise<void>;
}

interface Content {
  readonly superblock: SuperblockFacts | null;
  readonly partitions: readonly PartitionFacts[];
}

/** Something that was put together, with what it holds. */
interface Layered {
  readonly layer: MappedLayer;
  readonly mapping: Mapping;
  readonly made: Made;
  readonly partition: PartitionFacts | null;
  readonly superblock: SuperblockFacts | null;
}

const volumesStage = roundsMax;

/**
 * Puts software RAID arrays and LVM's logical volumes together, for reading: nothing is written to their members, which are
 * not told that somebody reads them, and everything is taken apart again when it is closed. What the running system has put
 * together already is left alone.
 */
export class LayeredVolumes {
  readonly #system: System;
  readonly #modules: ModuleLoader | null;
  readonly #timeoutSeconds: number;
  readonly #sysfs: string;
  readonly #devices = new Map<string, BlockDevice>();
  readonly #keys = new MappingKeys((name) => this.#identity(name));
  readonly #made = new Map<string, Made>();
  /** What could not be made, and why: it is not tried again with every look. */
  readonly #failed = new Map<string, string>();
  readonly #contents = new Map<string, Content>();
  /** Keys of what was made for the partitions of arrays. */
  readonly #partitions = new Set<string>();
  readonly #members = new Map<string, RaidMember | null>();
  readonly #physical = new Map<string, Lvm2PhysicalVolume | null>();
  #number = 0;

  /**
   * @param modules loads drivers, for PID 1, which has the devices to itself and makes them read-only; null on a live machine
   */
  constructor(system: System, modules: ModuleLoader | null, timeoutSeconds: number, sysfs = "/sys") {
    this.#system = system;
    this.#modules = modules;
    this.#timeoutSeconds = timeoutSeconds;
    this.#sysfs = sysfs;
  }

  /** Kernel names of the devices that were made here: they are nobody's disks. */
  get ownNames(): ReadonlySet<string> {
    return new Set([...this.#made.values()].flatMap(({ names }) => names));
  }

  /**
   * Brings the layers up to date with the volumes that are there.
   *
   * @param letGo closes what is open on made devices, by their kernel names, before they are removed
   */
  async update(volumes: readonly Volume[], letGo: (names: ReadonlySet<string>) => Promise<void>): Promise<LayersFound> {
    this.#devices.clear();
    for (const { device } of volumes) this.#devices.set(device.name, device);
    const update = new LayerUpdate(volumes);
    let members = update.raidMembers;
    for (let stage = 0; stage < roundsMax; stage++) {
      const planned = planRaidArrays(await this.#readMembers(members, update));
      const made = await this.#putTogether(planned, stage, update, letGo);
      members = made.flatMap(({ superblock, mapping, made: { device } }) =>
        superblock?.type === "linux_raid_member" ? [{ on: { mapping }, device }] : [],
      );
    }
    const physical = await this.#readPhysical([...update.physicalVolumes, ...update.madePhysical()], update);
    const planned = await planVolumeGroups(physical, (vg, lv) => update.isActive(logicalVolumeUuid(vg, lv)));
    update.noteActiveGroups(physical);
    await this.#putTogether(planned, volumesStage, update, letGo);
    this.#forget(update);
    return {
      volumes: update.layered.filter(({ superblock }) => !isContainer(superblock)).map(toLayeredVolume),
      problems: update.problems,
      used: update.used,
    };
  }

  /** Takes everything apart; nothing may be open on it any more. */
  async close(): Promise<void> {
    await this.#remove([...this.#made.values()]);
    for (const cache of [this.#failed, this.#contents, this.#members, this.#physical]) cache.clear();
  }

  /** Makes what was planned, after what is not planned any more was removed. */
  async #putTogether(
    planned: readonly PlannedLayer[],
    stage: number,
    update: LayerUpdate,
    letGo: (names: ReadonlySet<string>) => Promise<void>,
  ): Promise<Layered[]> {
    const needed = new Set(planned.flatMap(({ mapping }) => (mapping === null ? [] : this.#keysOf(mapping))));
    await this.#retire(stage, needed, letGo);
    const layered: Layered[] = [];
    for (const { layer, mapping, refusal, devices } of planned) {
      if (mapping === null) {
        update.problems.push({ device: layerName(layer), reason: refusal ?? "" });
        continue;
      }
      try {
        const found = await this.#layered(layer, mapping, stage, update);
        layered.push(...found);
        for (const device of devices) update.used.add(device);
      } catch (error) {
        update.problems.push({ device: layerName(layer), reason: messageOf(error) });
      }
    }
    update.layered.push(...layered);
    return layered;
  }

  /** What a planned array or logical volume holds: one volume, or the partitions of an array. */
  async #layered(layer: MappedLayer, mapping: Mapping, stage: number, update: LayerUpdate): Promise<Layered[]> {
    const made = await this.#make(mapping, stage, update);
    const { superblock, partitions } = await this.#content(made, layer.kind === "md");
    if (partitions.length === 0) return [{ layer, mapping, made, partition: null, superblock }];
    const found: Layered[] = [];
    for (const partition of partitions) {
      const place = { on: { mapping }, sector: Number(partition.startBytes / 512n) };
      const part = piecesOf(place, Number(partition.lengthBytes / 512n));
      const partMade = await this.#make(part, stage, update);
      this.#partitions.add(partMade.key);
      const content = await this.#content(partMade, false);
      found.push({ layer, mapping: part, made: partMade, partition, superblock: content.superblock });
    }
    return found;
  }

  async #content({ key, device }: Made, mayHavePartitions: boolean): Promise<Content> {
    const known = this.#contents.get(key);
    if (known !== undefined) return known;
    const { node } = device;
    const content = await withDeadline(
      (async (): Promise<Content> => {
        const superblock = await readSuperblock(device);
        const table = superblock === null && mayHavePartitions ? await readTable(device) : null;
        return { superblock, partitions: table?.partitions ?? [] };
      })(),
      this.#timeoutSeconds,
      `read ${node}`,
    );
    this.#contents.set(key, content);
    return content;
  }

  /** The keys of a mapping and of all that it stands on. */
  #keysOf(mapping: Mapping): string[] {
    const keys = new Set<string>();
    const walk = (one: Mapping): void => {
      const key = this.#keys.keyOf(one);
      if (keys.has(key)) return;
      keys.add(key);
      for (const below of this.#below(one)) walk(below);
    };
    walk(mapping);
    return [...keys];
  }

  /** The mappings that one stands on. The RAID driver gets each member's part as a device of its own. */
  #below(mapping: Mapping): Mapping[] {
    if (mapping.kind === "raid") {
      return placesOf(mapping).map((place) => piecesOf(place, mapping.memberSectors));
    }
    return placesOf(mapping).flatMap(({ on }) => ("mapping" in on ? [on.mapping] : []));
  }

  /** Removes what was made in a stage and is not needed, and all that stands on it. */
  async #retire(
    stage: number,
    needed: ReadonlySet<string>,
    letGo: (names: ReadonlySet<string>) => Promise<void>,
  ): Promise<void> {
    const gone = new Set<string>();
    // In the order in which they were made: what stands on others comes behind them.
    for (const made of this.#made.values()) {
      // Partitions are not planned: they stay as long as their array does.
      const isOwn = made.stage === stage && !needed.has(made.key) && !this.#partitions.has(made.key);
      if (isOwn || made.under.some((key) => gone.has(key))) gone.add(made.key);
    }
    const leaving = [...this.#made.values()].filter(({ key }) => gone.has(key));
    if (leaving.length === 0) return;
    await letGo(new Set(leaving.map(({ device }) => device.name)));
    await this.#remove(leaving);
  }

  /** The last made first. */
  async #remove(leaving: readonly Made[]): Promise<void> {
    for (const made of [...leaving].reverse()) {
      this.#made.delete(made.key);
      this.#contents.delete(made.key);
      this.#partitions.delete(made.key);
      // One that cannot be removed hinders nobody: it is read-only, and goes with the running kernel.
      await withDeadline(made.remove(), this.#timeoutSeconds, `remove ${made.device.node}`).catch(() => {});
    }
  }

  /** What was not looked at this time is looked at anew when it comes back. */
  #forget(update: LayerUpdate): void {
    for (const key of this.#failed.keys()) if (!update.tried.has(key)) this.#failed.delete(key);
    for (const cache of [this.#members, this.#physical]) {
      for (const key of cache.keys()) if (!update.read.has(key)) cache.delete(key);
    }
  }

  #identity(name: string): string {
    const device = this.#devices.get(name);
    return device === undefined ? name : identityOf(device);
  }

  async #make(mapping: Mapping, stage: number, update: LayerUpdate): Promise<Made> {
    const key = this.#keys.keyOf(mapping);
    update.tried.add(key);
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const failed = this.#failed.get(key);
    if (failed !== undefined) throw new LayerError(failed);
    try {
      if (this.#made.size >= madeDevicesMax) throw new LayerError(`${madeDevicesMax} volumes are mapped already`);
      const made =
        mapping.kind === "raid"
          ? await this.#startArray(key, mapping, stage, update)
          : await this.#mapPieces(key, mapping, stage, update);
      this.#made.set(key, made);
      return made;
    } catch (error) {
      this.#failed.set(key, messageOf(error));
      throw error;
    }
  }

  async #mapPieces(
    key: string,
    mapping: Mapping & { readonly kind: "pieces" },
    stage: number,
    update: LayerUpdate,
  ): Promise<Made> {
    await this.#modules?.load("dm-mod");
    const under = new Set<string>();
    const numberOf = async ({ on }: MappingPlace): Promise<string> => {
      if ("device" in on) return this.#openForReading(on.device);
      const made = await this.#make(on.mapping, stage, update);
      under.add(made.key);
      return made.device.devno;
    };
    const targets: MappingTarget[] = [];
    for (const piece of mapping.pieces) targets.push(await toTarget(piece, numberOf));
    const name = `slipway-${process.pid}-${++this.#number}`;
    const uuid = `SLIPWAY-${process.pid}-${this.#number}`;
    const remove = (): Promise<void> => this.#system.removeMapping(name);
    const mapped = await withDeadline(
      this.#system.createMapping({ name, uuid, targets }),
      this.#timeoutSeconds,
      `map ${name}`,
      () => void remove().catch(() => {}),
    );
    return { key, stage, device: await this.#device(mapped.name), under: [...under], names: [mapped.name], remove };
  }

  /** The number of a device that something is about to stand on; as process 1, the kernel is told to refuse writes. */
  async #openForReading(name: string): Promise<string> {
    const device = this.#devices.get(name);
    if (device === undefined) throw new LayerError(`${name} is not there any more`);
    if (this.#modules !== null) {
      await using file = await open(device.node, constants.O_RDONLY | constants.O_NONBLOCK);
      this.#system.forbidWrites(file.fd);
    }
    return device.devno;
  }

  async #device(name: string): Promise<BlockDevice> {
    const device = await readBlockDevice(this.#sysfs, name);
    if (device === null) throw new LayerError(`${name}, which was just made, is not there`);
    return device;
  }

  /**
   * Has the RAID driver put an array together without a superblock (md(4), metadata "none"): it reads none and keeps none.
   * Its members are read-only loop devices, which refuse every write, and the array is read-only from the start.
   */
  async #startArray(
    key: string,
    mapping: Mapping & { readonly kind: "raid" },
    stage: number,
    update: LayerUpdate,
  ): Promise<Made> {
    if (this.#modules === null) {
      throw new LayerError(`an array of RAID ${mapping.level} that the running system has not started`);
    }
    const driver = mapping.level === 10 ? "raid10" : "raid456";
    for (const module of ["loop", "md-mod", driver]) await this.#modules.load(module);
    const loops: { readonly node: string; readonly fd: number }[] = [];
    const under: string[] = [];
    const name = `md_slipway${++this.#number}`;
    try {
      const members: (string | null)[] = [];
      for (const place of mapping.members) {
        if (place === null) {
          members.push(null);
          continue;
        }
        const part = await this.#make(piecesOf(place, mapping.memberSectors), stage, update);
        under.push(part.key);
        await using file = await open(part.device.node, constants.O_RDONLY);
        const loop = this.#system.attachReadOnlyLoop(file.fd);
        loops.push(loop);
        members.push(loop.node.replace("/dev/", ""));
      }
      const remove = (): Promise<void> => writeFile(`${this.#sysfs}/block/${name}/md/array_state`, "clear");
      await withDeadline(
        this.#runArray(name, mapping, members).catch(async (error: unknown) => {
          await remove().catch(() => {});
          throw error;
        }),
        this.#timeoutSeconds,
        `start ${name}`,
        () => void remove().catch(() => {}),
      );
      const names = [name, ...members.filter((member) => member !== null)];
      return { key, stage, device: await this.#device(name), under, names, remove };
    } finally {
      // The array keeps them.
      for (const { fd } of loops) closeSync(fd);
    }
  }

  /** Linux, Documentation/admin-guide/md.rst. */
  async #runArray(
    name: string,
    mapping: Mapping & { readonly kind: "raid" },
    members: readonly (string | null)[],
  ): Promise<void> {
    const { level, layout, chunkSectors, memberSectors } = mapping;
    await writeFile(`${this.#sysfs}/module/md_mod/parameters/new_array`, name);
    const set = async (attribute: string, value: string | number): Promise<void> => {
      try {
        await writeFile(`${this.#sysfs}/block/${name}/md/${attribute}`, String(value));
      } catch (error) {
        throw new LayerError(`start an array of RAID ${level}: ${attribute} = ${value}: ${messageOf(error)}`);
      }
    };
    await set("metadata_version", "none");
    await set("level", `raid${level}`);
    await set("raid_disks", members.length);
    await set("layout", layout);
    await set("chunk_size", chunkSectors * 512);
    await set("component_size", Math.floor(memberSectors / 2));
    await set("resync_start", "none");
    for (const [place, member] of members.entries()) {
      if (member === null) continue;
      const number = await readFile(`${this.#sysfs}/class/block/${member}/dev`, "utf8");
      await set("new_dev", number.trim());
      await set(`dev-${member}/size`, Math.floor(memberSectors / 2));
      await set(`dev-${member}/slot`, place);
    }
    await set("array_state", "readonly");
  }

  /** The superblocks of members; one that cannot be read costs itself. */
  async #readMembers(members: readonly OnDevice[], update: LayerUpdate): Promise<FoundMember[]> {
    const read = (device: BlockDevice): Promise<RaidMember | null> =>
      readDevice(device, async (readAt) => readRaidMember(await ProbedDevice.open(readAt, device.sizeBytes)));
    const found = await Promise.all(
      members.map(async ({ on, device }) => {
        const member = await this.#cached(this.#members, device, update, read);
        return member === null ? null : { on, device: device.name, member };
      }),
    );
    return found.filter((member) => member !== null);
  }

  async #readPhysical(volumes: readonly OnDevice[], update: LayerUpdate): Promise<FoundPhysicalVolume[]> {
    const disks = new Map<string, OnDevice[]>();
    for (const each of volumes) disks.set(each.device.disk, [...(disks.get(each.device.disk) ?? []), each]);
    const found = await Promise.all([...disks.values()].map((ofDisk) => this.#readPhysicalOfDisk(ofDisk, update)));
    return found.flat();
  }

  /** One after the other: a disk may have hundreds of partitions, and metadata takes many times its size while it is read. */
  async #readPhysicalOfDisk(volumes: readonly OnDevice[], update: LayerUpdate): Promise<FoundPhysicalVolume[]> {
    const allowance = { bytesLeft: lvm2TextCharactersMax };
    const found: FoundPhysicalVolume[] = [];
    for (const { on, device } of volumes) {
      const { bytesLeft } = allowance;
      const read = (): Promise<Lvm2PhysicalVolume | null> =>
        readDevice(device, (readAt) => readLvm2PhysicalVolume(readAt, device.sizeBytes, allowance));
      const volume = await this.#cached(this.#physical, device, update, read);
      if (volume === null) continue;
      // What was read before counts as well.
      allowance.bytesLeft = bytesLeft - volume.textBytes;
      for (const reason of volume.problems) update.problems.push({ device: device.name, reason });
      const readMore = (offset: bigint, length: number): Promise<Uint8Array> =>
        withDeadline(
          readDevice(device, (readAt) => readAt(offset, length)),
          this.#timeoutSeconds,
          `read ${device.node}`,
        );
      found.push({ on, device: device.name, volume, read: readMore });
    }
    return found;
  }

  async #cached<T>(
    cache: Map<string, T | null>,
    device: BlockDevice,
    update: LayerUpdate,
    read: (device: BlockDevice) => Promise<T | null>,
  ): Promise<T | null> {
    const key = identityOf(device);
    update.read.add(key);
    const known = cache.get(key);
    if (known !== undefined) return known;
    try {
      const value = await withDeadline(read(device), this.#timeoutSeconds, `read ${device.node}`);
      cache.set(key, value);
      return value;
    } catch (error) {
      update.problems.push({ device: device.name, reason: messageOf(error) });
      return null;
    }
  }
}

interface OnDevice {
  readonly on: MappingPlace["on"];
  readonly device: BlockDevice;
}

/** What one look at the layers finds. */
class LayerUpdate {
  readonly layered: Layered[] = [];
  readonly problems: DeviceProblem[] = [];
  readonly used = new Set<string>();
  readonly tried = new Set<string>();
  readonly read = new Set<string>();
  readonly raidMembers: readonly OnDevice[];
  readonly physicalVolumes: readonly OnDevice[];
  readonly #active = new Set<string>();

  constructor(volumes: readonly Volume[]) {
    for (const { device } of volumes) {
      if (device.stack?.kind === "dm") this.#active.add(device.stack.uuid);
      // The system has started this array.
      if (device.stack?.kind === "md") for (const member of device.stack.members) this.used.add(member);
    }
    const ofType = (type: string): OnDevice[] =>
      volumes
        .filter(({ superblock }) => superblock?.type === type)
        .map(({ device }) => ({ on: { device: device.name }, device }));
    this.raidMembers = ofType("linux_raid_member").filter(({ device }) => !this.used.has(device.name));
    this.physicalVolumes = ofType("LVM2_member");
  }

  /** Physical volumes on what was put together. */
  madePhysical(): OnDevice[] {
    return this.layered
      .filter(({ superblock }) => superblock?.type === "LVM2_member")
      .map(({ mapping, made: { device } }) => ({ on: { mapping }, device }));
  }

  isActive(uuid: string): boolean {
    return this.#active.has(uuid);
  }

  /** The system uses the physical volumes of a group that has active volumes. */
  noteActiveGroups(physical: readonly FoundPhysicalVolume[]): void {
    for (const { device, volume } of physical) {
      const { uuid = "", logical } = volume.group ?? {};
      const volumes = logical === undefined ? [] : [...logical.values()];
      if (volumes.some((one) => this.isActive(logicalVolumeUuid(uuid, one.uuid)))) this.used.add(device);
    }
  }
}

function isContainer(superblock: SuperblockFacts | null): boolean {
  return superblock?.type === "LVM2_member" || superblock?.type === "linux_raid_member";
}

function toLayeredVolume({ layer, made, partition, superblock }: Layered): LayeredVolume {
  return {
    key: JSON.stringify([made.key, made.device.name, layer]),
    layer,
    volume: { device: made.device, partition, superblock },
  };
}

function identityOf({ name, devno, sizeBytes, diskSequence }: BlockDevice): string {
  return JSON.stringify([name, devno, String(sizeBytes), diskSequence]);
}

async function toTarget(
  { start, sectors, chunkSectors, places }: MappingPiece,
  numberOf: (place: MappingPlace) => Promise<string>,
): Promise<MappingTarget> {
  const on: string[] = [];
  for (const place of places) on.push(`${await numberOf(place)} ${place.sector}`);
  if (chunkSectors === 0) return { start, sectors, type: "linear", parameters: on.join(" ") };
  return { start, sectors, type: "striped", parameters: [places.length, chunkSectors, ...on].join(" ") };
}
