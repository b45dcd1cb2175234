import type { RaidMember } from "../formats/superblock/linux-raid.ts";
import {
  LayerError,
  type Mapping,
  type MappingPiece,
  type MappingPlace,
  type PlannedLayer,
  piecesOf,
} from "./mapping.ts";

/** A device with the superblock of a member. */
export interface FoundMember {
  readonly on: MappingPlace["on"];
  /** For a message: the kernel's name. */
  readonly device: string;
  readonly member: RaidMember;
}

/** Arrays of levels that need no driver of their own are refused beyond this many members (md_p.h: 1920 roles fit). */
const disksMax = 1920;

/** RAID levels that the RAID driver reads. */
const driverLevels = [4, 5, 6, 10] as const;

/** RAID 0 whose stretches of different width begin where the array counts, not the stretch (md_p.h, raid0.h: RAID0_ORIG_LAYOUT). */
const originalLayout = 1;
const alternateLayout = 2;

/** The software RAID arrays that the members describe, each by its UUID, in the order of their first members. */
export function planRaidArrays(found: readonly FoundMember[]): PlannedLayer[] {
  const arrays = new Map<string, FoundMember[]>();
  for (const one of found) arrays.set(one.member.uuid, [...(arrays.get(one.member.uuid) ?? []), one]);
  return [...arrays].map(([uuid, members]) => {
    const { member: newest } = newestOf(members);
    const name = newest.name ?? (newest.preferredMinor === null ? null : String(newest.preferredMinor));
    const about = { layer: { kind: "md", uuid, name } as const, devices: members.map(({ device }) => device) };
    try {
      return { ...about, mapping: planArray(members), refusal: null };
    } catch (error) {
      if (!(error instanceof LayerError)) throw error;
      return { ...about, mapping: null, refusal: error.message };
    }
  });
}

function newestOf(members: readonly FoundMember[]): FoundMember {
  return members.reduce((best, one) => (one.member.events > best.member.events ? one : best));
}

function planArray(members: readonly FoundMember[]): Mapping {
  const { member: newest } = newestOf(members);
  const { level, disks } = newest;
  const what = level === -1 ? "a linear array" : `an array of RAID ${level}`;
  if (newest.unknownFeatures !== 0) {
    throw new LayerError(`${what} with features that are not known (0x${newest.unknownFeatures.toString(16)})`);
  }
  if (newest.isReshaping) throw new LayerError(`${what} that is being reshaped`);
  if (newest.hasJournal) throw new LayerError(`${what} with a write journal, which is not read`);
  if (disks < 1 || disks > disksMax) throw new LayerError(`${what} of ${disks} disks, 1 to ${disksMax} expected`);
  const places = Array.from({ length: disks }, (_, place) => bestAt(members, newest, place));
  if (level === 1) return mirror(places, newest);
  const driverLevel = driverLevels.find((known) => known === level);
  if (driverLevel !== undefined) return parity(driverLevel, places, newest, what);
  const missing = places.filter((place) => place === null).length;
  if (level !== 0 && level !== -1) throw new LayerError(`RAID level ${level}, which is not read`);
  if (missing > 0) throw new LayerError(`${what}: ${missing} of its ${disks} disks are missing`);
  const whole = places.filter((place) => place !== null);
  return level === 0 ? stripes(whole, newest) : row(whole);
}

/**
 * The member to read a place of the array from; null where none is there with all of its data. One update of the
 * superblocks may have been interrupted between the members, as the driver allows (Linux, md.c, super_1_validate).
 */
function bestAt(members: readonly FoundMember[], newest: RaidMember, place: number): FoundMember | null {
  const fit = members.filter(
    ({ member }) => member.events + 1n >= newest.events && newest.roles[member.number] === place && member.isRecovered,
  );
  const cost = ({ member }: FoundMember): number =>
    (member.hasBadBlocks ? 4 : 0) + (member.isReplacement ? 2 : 0) + (member.isWriteMostly ? 1 : 0);
  return fit.reduce<FoundMember | null>((best, one) => (best === null || cost(one) < cost(best) ? one : best), null);
}

/** RAID 1: the best one of its members. */
function mirror(places: readonly (FoundMember | null)[], newest: RaidMember): Mapping {
  const there = places.filter((place) => place !== null);
  const whole = there.filter(({ member }) => !member.hasBadBlocks);
  if (there.length === 0) throw new LayerError("an array of RAID 1: no member with all of its data is there");
  const latest = whole.filter(({ member }) => member.events === newest.events);
  const chosen =
    latest.find(({ member }) => !member.isWriteMostly && !member.isReplacement) ?? latest[0] ?? whole[0] ?? null;
  if (chosen === null) throw new LayerError("an array of RAID 1: every member has blocks that could not be read");
  const { on, member } = chosen;
  const sectors = newest.memberSectors === 0 ? member.dataSectors : newest.memberSectors;
  checkFits(chosen, sectors);
  return piecesOf({ on, sector: member.dataSector }, sectors);
}

function checkFits({ device, member }: FoundMember, sectors: number): void {
  if (sectors > member.dataSectors) {
    throw new LayerError(`${sectors} sectors of every disk are used, ${device} has ${member.dataSectors}`);
  }
}

function wholeChunks(sectors: number, chunkSectors: number): number {
  return chunkSectors === 0 ? sectors : sectors - (sectors % chunkSectors);
}

/**
 * RAID 0 (Linux, raid0.c, create_strip_zones): as far as the smallest disk goes, all take turns; behind that those that are
 * larger, and so on.
 */
function stripes(members: readonly FoundMember[], newest: RaidMember): Mapping {
  const { chunkSectors } = newest;
  if (chunkSectors === 0) throw new LayerError("an array of RAID 0 without a chunk size");
  const sizes = members.map(({ member }) => wholeChunks(member.dataSectors, chunkSectors));
  const steps = [...new Set(sizes)].sort((a, b) => a - b);
  const hasLayout = newest.layout === originalLayout || newest.layout === alternateLayout;
  if (steps.length > 1 && !hasLayout) {
    throw new LayerError("an array of RAID 0 of different disks that does not say which of two layouts it has");
  }
  const pieces: MappingPiece[] = [];
  let start = 0;
  let from = 0;
  for (const step of steps) {
    const wide = members.filter((_, index) => (sizes[index] ?? 0) >= step);
    // In the original layout the turns go on counting from the array's start.
    const first = newest.layout === originalLayout ? (start / chunkSectors) % wide.length : 0;
    const inTurn = [...wide.slice(first), ...wide.slice(0, first)];
    const sectors = (step - from) * wide.length;
    if (sectors > 0) {
      const places = inTurn.map(({ on, member }) => ({ on, sector: member.dataSector + from }));
      pieces.push({ start, sectors, chunkSectors: places.length === 1 ? 0 : chunkSectors, places });
    }
    start += sectors;
    from = step;
  }
  return { kind: "pieces", sectors: start, pieces };
}

/** A linear array: one disk behind the other. */
function row(members: readonly FoundMember[]): Mapping {
  const pieces: MappingPiece[] = [];
  let start = 0;
  for (const { on, member } of members) {
    const sectors = wholeChunks(member.dataSectors, member.chunkSectors);
    if (sectors === 0) continue;
    pieces.push({ start, sectors, chunkSectors: 0, places: [{ on, sector: member.dataSector }] });
    start += sectors;
  }
  return { kind: "pieces", sectors: start, pieces };
}

/** How many disks may be missing. What RAID 10 stands depends on which are; the driver knows. */
const sparable = { 4: 1, 5: 1, 6: 2, 10: disksMax } as const;

function parity(
  level: 4 | 5 | 6 | 10,
  places: readonly (FoundMember | null)[],
  newest: RaidMember,
  what: string,
): Mapping {
  const usable = places.map((place) => (place === null || place.member.hasBadBlocks ? null : place));
  const missing = usable.filter((place) => place === null).length;
  if (missing > Math.min(sparable[level], places.length - 1)) {
    throw new LayerError(`${what}: ${missing} of its ${places.length} disks are missing`);
  }
  if (missing > 0 && level !== 10 && !newest.isClean) {
    throw new LayerError(`${what} that lacks a disk and was not shut down as it should be: its parity may be wrong`);
  }
  const memberSectors = wholeChunks(newest.memberSectors, newest.chunkSectors);
  if (newest.chunkSectors === 0 || memberSectors === 0) throw new LayerError(`${what} without a chunk size or a size`);
  for (const place of usable) if (place !== null) checkFits(place, memberSectors);
  return {
    kind: "raid",
    level,
    layout: newest.layout ?? 0,
    chunkSectors: newest.chunkSectors,
    memberSectors,
    members: usable.map((place) => (place === null ? null : { on: place.on, sector: place.member.dataSector })),
  };
}
