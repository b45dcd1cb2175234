/** Where a stretch of a mapped device lies: on a block device (its kernel's name), or on another mapped one. */
export interface MappingPlace {
  readonly on: { readonly device: string } | { readonly mapping: Mapping };
  /** In sectors of 512 bytes. */
  readonly sector: number;
}

/** A stretch of a mapped device, in sectors of 512 bytes. */
export interface MappingPiece {
  readonly start: number;
  readonly sectors: number;
  /** 0 for one place; with several, how much goes to one before the next one's turn. */
  readonly chunkSectors: number;
  readonly places: readonly MappingPlace[];
}

/** A device that is made of parts of others, for reading: plain data. All sizes in sectors of 512 bytes. */
export type Mapping =
  | { readonly kind: "pieces"; readonly sectors: number; readonly pieces: readonly MappingPiece[] }
  /** What only the RAID driver can put together. */
  | {
      readonly kind: "raid";
      readonly level: 4 | 5 | 6 | 10;
      /** As the driver counts layouts (Linux, drivers/md/raid5.h, raid10.c). */
      readonly layout: number;
      readonly chunkSectors: number;
      readonly memberSectors: number;
      /** In the array's order; null where one is missing. */
      readonly members: readonly (MappingPlace | null)[];
    };

/** Why something that was recognised is not put together; what it is stands in front of the message. */
export class LayerError extends Error {
  override readonly name = "LayerError";
}

/** What a volume in a layer above partitions is. */
export type MappedLayer =
  /** A logical volume of LVM; names as in its metadata, UUIDs with their dashes. */
  | {
      readonly kind: "lvm";
      readonly vg: string;
      readonly lv: string;
      readonly vgUuid: string | null;
      readonly lvUuid: string | null;
    }
  /** A software RAID array; 32 hexadecimal digits, and the name that its superblock has (`host:0`, `0`). */
  | { readonly kind: "md"; readonly uuid: string | null; readonly name: string | null };

/** An array or a logical volume that the members' own descriptions tell of. */
export interface PlannedLayer {
  readonly layer: MappedLayer;
  /** How it is put together; null where it is not. */
  readonly mapping: Mapping | null;
  /** Why not; null where it is. */
  readonly refusal: string | null;
  /** Kernel names of the devices that belong to it. */
  readonly devices: readonly string[];
}

/** One place, from `sector` on. */
export function piecesOf(place: MappingPlace, sectors: number): Mapping {
  return { kind: "pieces", sectors, pieces: [{ start: 0, sectors, chunkSectors: 0, places: [place] }] };
}

/** All that a mapping stands on directly. */
export function placesOf(mapping: Mapping): readonly MappingPlace[] {
  if (mapping.kind === "raid") return mapping.members.filter((member) => member !== null);
  return mapping.pieces.flatMap(({ places }) => places);
}

/** Sectors of 512 bytes; of an array the RAID driver has the last word. */
export function mappingSectors(mapping: Mapping): number {
  if (mapping.kind === "pieces") return mapping.sectors;
  const { level, layout, memberSectors, members } = mapping;
  // RAID 10: near copies in byte 0 of the layout, far ones in byte 1.
  const copies = Math.max(1, layout & 0xff) * Math.max(1, (layout >> 8) & 0xff);
  if (level === 10) return Math.floor((memberSectors * members.length) / copies);
  return memberSectors * (members.length - (level === 6 ? 2 : 1));
}

/** Texts that are the same for mappings that are the same, and short however mappings stand on one another. */
export class MappingKeys {
  readonly #identityOf: (device: string) => string;
  readonly #numbers = new Map<string, number>();
  readonly #known = new WeakMap<Mapping, string>();

  /** @param identityOf changes when a device becomes another one */
  constructor(identityOf: (device: string) => string) {
    this.#identityOf = identityOf;
  }

  keyOf(mapping: Mapping): string {
    const known = this.#known.get(mapping);
    if (known !== undefined) return known;
    const text = JSON.stringify(mapping, (name, value: unknown) => {
      if (name === "device" && typeof value === "string") return this.#identityOf(value);
      return name === "mapping" && isMapping(value) ? this.keyOf(value) : value;
    });
    const number = this.#numbers.get(text) ?? this.#numbers.size;
    this.#numbers.set(text, number);
    const key = `m${number}`;
    this.#known.set(mapping, key);
    return key;
  }
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && "kind" in value;
}
