import type {
  Lvm2Group,
  Lvm2LogicalVolume,
  Lvm2PhysicalVolume,
  Lvm2Place,
  Lvm2Segment,
} from "../formats/lvm2-metadata.ts";
import type { ReadAt } from "../formats/read-at.ts";
import { type DmRaidSuperblock, dmRaidSuperblockBytes, parseDmRaidSuperblock } from "../formats/superblock/dm-raid.ts";
import {
  LayerError,
  type Mapping,
  type MappingPiece,
  type MappingPlace,
  mappingSectors,
  type PlannedLayer,
} from "./mapping.ts";

/** A device with the label of a physical volume. */
export interface FoundPhysicalVolume {
  /** The kernel's name, or a mapped device. */
  readonly on: MappingPlace["on"];
  /** For a message. */
  readonly device: string;
  readonly volume: Lvm2PhysicalVolume;
  readonly read: ReadAt;
}

/** Logical volumes that stand on one another; LVM's own stacks are three high. */
const nestingMax = 16;
/** Pieces of one mapped device. */
const piecesMax = 10_000;

/** `raid5_ls` → level and layout as the RAID driver counts them (Linux, drivers/md/raid5.h; dm-raid.c, raid_types). */
const parityTypes: Readonly<Record<string, readonly [level: 5 | 6, layout: number]>> = {
  raid4: [5, 4],
  raid5: [5, 2],
  raid5_la: [5, 0],
  raid5_ra: [5, 1],
  raid5_ls: [5, 2],
  raid5_rs: [5, 3],
  raid5_n: [5, 5],
  raid6: [6, 8],
  raid6_zr: [6, 8],
  raid6_nr: [6, 9],
  raid6_nc: [6, 10],
  raid6_la_6: [6, 16],
  raid6_ra_6: [6, 17],
  raid6_ls_6: [6, 18],
  raid6_rs_6: [6, 19],
  raid6_n_6: [6, 5],
};

/** What LVM calls kinds of volumes that are not mapped here. */
const refusedTypes: Readonly<Record<string, string>> = {
  thin: "a thin volume, which is not mapped",
  vdo: "a VDO volume, which is not mapped",
  writecache: "a volume with a write cache, whose data may stand in the cache only",
  integrity: "a volume with integrity data, which is not mapped",
  error: "a volume of type error",
  zero: "a volume of zeros",
};

/** Volumes that are there for others. */
const toolTypes: readonly string[] = ["thin-pool", "cache-pool", "vdo-pool"];

/**
 * The logical volumes of all groups that the physical volumes describe, each group as its newest description has it.
 *
 * @param skip volumes that are not asked for, by the identifiers of group and volume
 */
export async function planVolumeGroups(
  found: readonly FoundPhysicalVolume[],
  skip: (vgUuid: string, lvUuid: string) => boolean,
): Promise<PlannedLayer[]> {
  const newest = new Map<string, Lvm2Group>();
  for (const { volume } of found) {
    const known = volume.group === null ? undefined : newest.get(volume.group.uuid);
    if (volume.group !== null && (known === undefined || volume.group.sequence > known.sequence)) {
      newest.set(volume.group.uuid, volume.group);
    }
  }
  // Of two devices with the same identifier, two paths to one disk, the first is as good as the other.
  const byUuid = new Map<string, FoundPhysicalVolume>();
  for (const one of found) if (!byUuid.has(one.volume.uuid)) byUuid.set(one.volume.uuid, one);
  const planned = await Promise.all([...newest.values()].map((group) => new GroupPlan(group, byUuid).volumes(skip)));
  return planned.flat();
}

class GroupPlan {
  readonly #group: Lvm2Group;
  readonly #physical: ReadonlyMap<string, FoundPhysicalVolume>;
  readonly #mappings = new Map<string, Mapping | LayerError>();
  readonly #devices: readonly string[];
  /** Volumes that are being worked out, each for the one before. */
  #depth = 0;

  constructor(group: Lvm2Group, found: ReadonlyMap<string, FoundPhysicalVolume>) {
    this.#group = group;
    const there = [...group.physical].flatMap(([name, { uuid }]) => {
      const one = found.get(uuid);
      return one === undefined ? [] : [[name, one] as const];
    });
    this.#physical = new Map(there);
    this.#devices = there.map(([, { device }]) => device);
  }

  async volumes(skip: (vgUuid: string, lvUuid: string) => boolean): Promise<PlannedLayer[]> {
    const planned: PlannedLayer[] = [];
    for (const volume of this.#group.logical.values()) {
      const [segment] = volume.segments;
      if (!volume.isVisible || segment === undefined || skip(this.#group.uuid, volume.uuid)) continue;
      if (toolTypes.includes(segment.kind === "other" ? segment.type : segment.kind)) continue;
      planned.push(await this.#planned(volume, segment));
    }
    return planned;
  }

  async #planned(volume: Lvm2LogicalVolume, segment: Lvm2Segment): Promise<PlannedLayer> {
    // A snapshot's own name is that of its store; it stands in a hidden volume that is called visible.
    const name = segment.kind === "snapshot" ? segment.store : volume.name;
    const { name: vg, uuid: vgUuid } = this.#group;
    const layer = { kind: "lvm", vg, lv: name, vgUuid, lvUuid: volume.uuid } as const;
    const about = { layer, devices: this.#devices };
    try {
      this.#refuseMerging(volume);
      return { ...about, mapping: await this.#mapping(volume.name), refusal: null };
    } catch (error) {
      if (!(error instanceof LayerError)) throw error;
      return { ...about, mapping: null, refusal: error.message };
    }
  }

  #refuseMerging(volume: Lvm2LogicalVolume): void {
    for (const { segments } of this.#group.logical.values()) {
      const [first] = segments;
      if (first?.kind === "snapshot" && first.isMerging && first.origin === volume.name) {
        throw new LayerError(`snapshot ${JSON.stringify(first.store)} is being merged into it`);
      }
    }
  }

  /** The mapping of a logical volume; each is worked out once, also one that cannot be mapped. */
  async #mapping(name: string): Promise<Mapping> {
    const known = this.#mappings.get(name);
    if (known instanceof LayerError) throw known;
    if (known !== undefined) return known;
    if (this.#depth === nestingMax) throw new LayerError(`more than ${nestingMax} volumes stand on one another`);
    // Whoever asks for it while it is being worked out is a part of it.
    this.#mappings.set(name, new LayerError(`${JSON.stringify(name)} stands on itself`));
    this.#depth++;
    try {
      const volume = this.#group.logical.get(name);
      if (volume === undefined) throw new LayerError(`its part ${JSON.stringify(name)} is not in the group`);
      const mapping = await this.#map(volume);
      this.#mappings.set(name, mapping);
      return mapping;
    } catch (error) {
      if (error instanceof LayerError) this.#mappings.set(name, error);
      throw error;
    } finally {
      this.#depth--;
    }
  }

  async #map(volume: Lvm2LogicalVolume): Promise<Mapping> {
    if (volume.segments.length > piecesMax) throw new LayerError(`more than ${piecesMax} pieces`);
    const pieces: MappingPiece[] = [];
    for (const segment of volume.segments) pieces.push(await this.#piece(volume, segment));
    return { kind: "pieces", sectors: this.#sectors(volume.extents), pieces };
  }

  async #piece(volume: Lvm2LogicalVolume, segment: Lvm2Segment): Promise<MappingPiece> {
    const size = { start: this.#sectors(segment.start), sectors: this.#sectors(segment.count) };
    switch (segment.kind) {
      case "striped": {
        const { chunkSectors, stripes } = segment;
        if (segment.count % stripes.length !== 0) {
          throw new LayerError(`a segment of ${segment.count} extents over ${stripes.length} stripes`);
        }
        const places: MappingPlace[] = [];
        for (const stripe of stripes) {
          places.push(await this.#place(stripe, segment.count / stripes.length));
        }
        return { ...size, chunkSectors, places };
      }
      case "mirror":
        return { ...size, chunkSectors: 0, places: [await this.#mirror(volume, segment.legs, segment.count)] };
      case "raid":
        return { ...size, ...(await this.#raid(segment)) };
      case "cache": {
        const pool = this.#group.logical.get(segment.pool)?.segments[0];
        const mode = pool?.kind === "cache-pool" ? pool.mode : null;
        if (mode !== "writethrough" && mode !== "passthrough") {
          throw new LayerError(`a cached volume (${mode ?? "unknown mode"}), whose data may stand in the cache only`);
        }
        const place = await this.#place({ volume: segment.origin, extent: segment.start }, segment.count);
        return { ...size, chunkSectors: 0, places: [place] };
      }
      case "snapshot":
        throw new LayerError("a snapshot, which is not mapped");
      case "cache-pool":
        throw new LayerError("a cache");
      case "other":
        throw new LayerError(refusedTypes[segment.type] ?? `a volume of type ${JSON.stringify(segment.type)}`);
    }
  }

  #sectors(extents: number): number {
    return extents * this.#group.extentSectors;
  }

  /** Extents of a physical volume, or of another logical one. */
  async #place({ volume, extent }: Lvm2Place, extents: number): Promise<MappingPlace> {
    const reference = this.#group.physical.get(volume);
    if (reference === undefined) {
      const mapping = await this.#mapping(volume);
      if (this.#sectors(extent + extents) > mappingSectors(mapping)) {
        throw new LayerError(`its part ${JSON.stringify(volume)} is too small`);
      }
      return { on: { mapping }, sector: this.#sectors(extent) };
    }
    const physical = this.#physical.get(volume);
    if (physical === undefined) throw new LayerError(`physical volume ${reference.uuid} is missing`);
    if (extent + extents > reference.extents) {
      throw new LayerError(`extent ${extent + extents - 1} of ${physical.device}, which has ${reference.extents}`);
    }
    return { on: physical.on, sector: reference.startSector + this.#sectors(extent) };
  }

  /** The first leg that is there: it is the one that the others are made after. While data moves (pvmove(8)), only that. */
  async #mirror(volume: Lvm2LogicalVolume, legs: readonly Lvm2Place[], extents: number): Promise<MappingPlace> {
    const usable = volume.status.includes("PVMOVE") ? legs.slice(0, 1) : legs;
    return this.#firstOf(usable, (leg) => this.#place(leg, extents));
  }

  async #firstOf<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R> {
    let failure: unknown = new LayerError("it has no legs");
    for (const one of all) {
      try {
        return await work(one);
      } catch (error) {
        if (!(error instanceof LayerError)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  async #raid(
    segment: Lvm2Segment & { readonly kind: "raid" },
  ): Promise<Pick<MappingPiece, "chunkSectors" | "places">> {
    const { type, legs, chunkSectors } = segment;
    if (segment.isReshaping) throw new LayerError(`a volume of type ${type} that is being reshaped`);
    if (type === "raid0" || type === "raid0_meta") {
      const extents = segment.count / legs.length;
      if (!Number.isSafeInteger(extents)) throw new LayerError(`${segment.count} extents over ${legs.length} legs`);
      const places: MappingPlace[] = [];
      for (const { data } of legs) places.push(await this.#place({ volume: data, extent: 0 }, extents));
      return { chunkSectors: legs.length === 1 ? 0 : chunkSectors, places };
    }
    const inSync = await this.#legsInSync(segment);
    if (type === "raid1") {
      const whole = legs.filter((_, index) => inSync[index] === true);
      if (whole.length === 0) throw new LayerError("no leg with all of its data is there");
      const place = await this.#firstOf(whole, ({ data }) =>
        this.#place({ volume: data, extent: segment.start }, segment.count),
      );
      return { chunkSectors: 0, places: [place] };
    }
    return { chunkSectors: 0, places: [await this.#parity(segment, inSync)] };
  }

  async #parity(segment: Lvm2Segment & { readonly kind: "raid" }, inSync: readonly boolean[]): Promise<MappingPlace> {
    const { type, legs, chunkSectors, copies } = segment;
    // Near copies of RAID 10, and one far one: bytes 0 and 1 of the layout (Linux, raid10.c).
    const [level, layout] = type === "raid10" ? ([10, 0x100 | copies] as const) : (parityTypes[type] ?? []);
    if (level === undefined || layout === undefined) throw new LayerError(`a volume of type ${type}`);
    const dataLegs = level === 10 ? legs.length / copies : legs.length - (level === 6 ? 2 : 1);
    const extents = segment.count / dataLegs;
    if (segment.start !== 0 || !Number.isSafeInteger(extents) || chunkSectors === 0) {
      throw new LayerError(`a volume of type ${type} over ${legs.length} legs whose size does not fit`);
    }
    const members: (MappingPlace | null)[] = [];
    for (const [index, { data }] of legs.entries()) {
      const leg = inSync[index] === true ? this.#place({ volume: data, extent: 0 }, extents) : null;
      members.push(
        (await leg?.catch((error: unknown) => {
          if (!(error instanceof LayerError)) throw error;
          return null;
        })) ?? null,
      );
    }
    const missing = members.filter((member) => member === null).length;
    if (missing > legs.length - dataLegs) {
      throw new LayerError(`${missing} of its ${legs.length} legs are missing`);
    }
    const memberSectors = this.#sectors(extents);
    return { on: { mapping: { kind: "raid", level, layout, chunkSectors, memberSectors, members } }, sector: 0 };
  }

  /** Whether each leg has all of its data, by the notes beside them. Without any notes no leg was ever written to. */
  async #legsInSync({ legs }: Lvm2Segment & { readonly kind: "raid" }): Promise<boolean[]> {
    const notes: (DmRaidSuperblock | null)[] = [];
    for (const { meta } of legs) notes.push(meta === null ? null : await this.#note(meta));
    const newest = notes.reduce(
      (best, note) => (note !== null && (best === null || note.events > best.events) ? note : best),
      null,
    );
    if (newest === null) return legs.map(() => true);
    return notes.map(
      (note, index) =>
        note?.isRecovered === true && note.events === newest.events && ((newest.failed >> BigInt(index)) & 1n) === 0n,
    );
  }

  async #note(meta: string): Promise<DmRaidSuperblock | null> {
    const place = await this.#place({ volume: meta, extent: 0 }, 1).catch((error: unknown) => {
      if (!(error instanceof LayerError)) throw error;
      return null;
    });
    // The metadata volume lies on one physical volume in one piece.
    const on = place !== null && "mapping" in place.on && place.on.mapping.kind === "pieces" ? place.on.mapping : null;
    const first = on?.pieces[0]?.places[0];
    const physical = [...this.#physical.values()].find(({ on: device }) => device === first?.on);
    if (first === undefined || physical === undefined) return null;
    return parseDmRaidSuperblock(await physical.read(BigInt(first.sector) * 512n, dmRaidSuperblockBytes));
  }
}
