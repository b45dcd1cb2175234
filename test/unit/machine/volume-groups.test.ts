import { beforeAll, describe, expect, it } from "vitest";
import {
  type Lvm2Group,
  type Lvm2LogicalVolume,
  type Lvm2Segment,
  readLvm2PhysicalVolume,
} from "../../../src/formats/lvm2-metadata.ts";
import type { ReadAt } from "../../../src/formats/read-at.ts";
import { type Mapping, mappingSectors, type PlannedLayer } from "../../../src/machine/mapping.ts";
import { type FoundPhysicalVolume, planVolumeGroups } from "../../../src/machine/volume-groups.ts";
import { layerSet } from "./layer-fixtures.ts";
import { labelsOf } from "./mapped-read.ts";

const all = (): boolean => false;

describe("a group that lvm(8) made", () => {
  const { disks, facts } = layerSet("lvm");
  let found: FoundPhysicalVolume[];
  const readers = new Map(disks.map(({ name, read }) => [name, read]));
  const readerOf = (device: string): ReadAt => {
    const read = readers.get(device);
    if (read === undefined) throw new Error(`no disk ${device}`);
    return read;
  };
  beforeAll(async () => {
    found = await Promise.all(
      disks.map(async ({ name, read, deviceBytes }) => {
        const volume = await readLvm2PhysicalVolume(read, BigInt(deviceBytes));
        if (volume === null) throw new Error(`no physical volume on ${name}`);
        return { on: { device: name }, device: name, volume, read };
      }),
    );
  });

  /** Volumes that were filled, in the order of their patterns, with their sizes. */
  const filled = facts.flatMap((fact) => {
    const [, name, sectors] = /^SIZE (\S+) (\d+)$/.exec(fact) ?? [];
    return name === undefined ? [] : [[name, Number(sectors)] as const];
  });
  const named = (planned: readonly PlannedLayer[], name: string): PlannedLayer => {
    const one = planned.find(({ layer }) => layer.kind === "lvm" && layer.lv === name);
    if (one === undefined) throw new Error(`no volume ${name}`);
    return one;
  };
  const plan = async (missing: readonly number[], name: string): Promise<PlannedLayer> =>
    named(
      await planVolumeGroups(
        found.filter((_, index) => !missing.includes(index)),
        all,
      ),
      name,
    );

  it("each block is where the kernel wrote it", async () => {
    expect(filled.map(([name]) => name)).toEqual([
      ...["linear", "striped", "raid1", "mirror", "raid0", "raid5", "raid10", "origin", "cached"],
    ]);
    const planned = await planVolumeGroups(found, all);
    for (const [number, [name, sectors]] of filled.entries()) {
      const { mapping, refusal } = named(planned, name);
      if (mapping === null) throw new Error(`${name}: ${refusal}`);
      expect([name, mappingSectors(mapping)]).toEqual([name, sectors]);
      if (name === "raid5" || name === "raid10") continue;
      const labels = await labelsOf(mapping, readerOf, number, sectors);
      expect([name, ...labels.found]).toEqual([name, ...labels.expected]);
    }
  });

  it("what needs the RAID driver", async () => {
    const inside = (planned: PlannedLayer): Mapping | undefined => {
      const place = planned.mapping?.kind === "pieces" ? planned.mapping.pieces[0]?.places[0] : undefined;
      return place !== undefined && "mapping" in place.on ? place.on.mapping : undefined;
    };
    expect(inside(await plan([], "raid5"))).toMatchObject({
      ...{ kind: "raid", level: 5, layout: 2, chunkSectors: 128, memberSectors: 2048 },
      members: [{}, {}, {}],
    });
    expect(inside(await plan([1], "raid5"))).toMatchObject({ members: [{}, null, {}] });
    expect(inside(await plan([], "raid10"))).toMatchObject({ level: 10, layout: 0x102, members: [{}, {}, {}, {}] });
    expect((await plan([0, 1], "raid5")).refusal).toBe("2 of its 3 legs are missing");
  });

  it("which volumes there are", async () => {
    const planned = await planVolumeGroups(found, all);
    const names = planned.map(({ layer, refusal }) => [layer.kind === "lvm" ? layer.lv : "", refusal]);
    expect(names).toEqual([
      ["linear", null],
      ["between-them", null],
      ["striped", null],
      ["raid1", null],
      ["mirror", null],
      ["raid0", null],
      ["raid5", null],
      ["raid10", null],
      ["origin", null],
      ["thin", "a thin volume, which is not mapped"],
      ["cached", null],
      ["dirty", "a cached volume (writeback), whose data may stand in the cache only"],
      ["snap", "a snapshot, which is not mapped"],
    ]);
    // `LV vg,vg_uuid,seqno,lv,lv_uuid,…`
    const [vg, vgUuid, , lv, lvUuid] = (facts.find((fact) => /^LV .*,linear,\S{38},/.test(fact)) ?? "")
      .slice(3)
      .split(",");
    expect(planned[0]?.layer).toEqual({ kind: "lvm", vg, vgUuid, lv, lvUuid });
    expect(planned[0]?.devices).toEqual(disks.map(({ name }) => name));
  });

  it("a missing disk costs what lies on it", async () => {
    const lost = found[1]?.volume.uuid ?? "";
    expect((await plan([1], "linear")).refusal).toBe(`physical volume ${lost} is missing`);
    expect((await plan([1], "striped")).refusal).toBeNull();
    const { mapping } = await plan([0], "raid1");
    if (mapping === null) throw new Error("no mapping");
    const { found: labels, expected } = await labelsOf(mapping, readerOf, 2, 4096);
    expect(labels).toEqual(expected);
    const mirror = await plan([1], "mirror");
    if (mirror.mapping === null) throw new Error("no mapping");
    const mirrored = await labelsOf(mirror.mapping, readerOf, 3, 4096);
    expect(mirrored.found).toEqual(mirrored.expected);
    // The group's description stands on three of the four.
    expect(await planVolumeGroups(found.slice(3), all)).toEqual([]);
  });

  it("volumes that are not asked for", async () => {
    const uuid = (await plan([], "linear")).layer;
    const planned = await planVolumeGroups(
      found,
      (vg, lv) => uuid.kind === "lvm" && vg === uuid.vgUuid && lv === uuid.lvUuid,
    );
    expect(planned.map(({ layer }) => layer.kind === "lvm" && layer.lv)).not.toContain("linear");
    expect(planned).toHaveLength(12);
  });
});

describe("planVolumeGroups", () => {
  const volume = (
    name: string,
    segments: readonly Lvm2Segment[],
    own: Partial<Lvm2LogicalVolume> = {},
  ): Lvm2LogicalVolume => ({
    name,
    uuid: name,
    isVisible: true,
    status: [],
    extents: segments.reduce((sum, { count }) => sum + count, 0),
    segments,
    ...own,
  });
  const on = (place: string, extent = 0, count = 1): Lvm2Segment => ({
    ...{ start: 0, count, kind: "striped", chunkSectors: 0 },
    stripes: [{ volume: place, extent }],
  });
  const group = (volumes: readonly Lvm2LogicalVolume[], sequence = 1): Lvm2Group => ({
    ...{ name: "vg", uuid: "VG", sequence, extentSectors: 8 },
    physical: new Map([["pv0", { uuid: "PV0", startSector: 100, extents: 10 }]]),
    logical: new Map(volumes.map((one) => [one.name, one])),
  });
  const disk = (
    uuid: string,
    content: Lvm2Group | null,
    read: ReadAt = async () => new Uint8Array(512),
  ): FoundPhysicalVolume => ({
    ...{ on: { device: uuid.toLowerCase() }, device: uuid.toLowerCase(), read },
    volume: { uuid, group: content, problems: [], textBytes: 0 },
  });
  const plan = async (...volumes: Lvm2LogicalVolume[]): Promise<PlannedLayer> => {
    const [first] = await planVolumeGroups([disk("PV0", group(volumes))], all);
    if (first === undefined) throw new Error("no volume");
    return first;
  };
  const refuses = async (reason: string, ...volumes: Lvm2LogicalVolume[]): Promise<void> =>
    expect(await plan(...volumes)).toMatchObject({ mapping: null, refusal: reason });

  it("the newest description of a group counts, whichever disk has it", async () => {
    const planned = await planVolumeGroups(
      [disk("PV0", group([volume("old", [on("pv0")])])), disk("PV1", group([volume("new", [on("pv0", 2)])], 2))],
      all,
    );
    expect(planned).toMatchObject([
      { layer: { lv: "new" }, mapping: { pieces: [{ places: [{ on: { device: "pv0" }, sector: 116 }] }] } },
    ]);
  });
  it("of two devices with the same identifier the first", async () => {
    const planned = await planVolumeGroups(
      [disk("PV0", group([volume("a", [on("pv0")])])), { ...disk("PV0", null), on: { device: "other" } }],
      all,
    );
    expect(planned).toMatchObject([{ mapping: { pieces: [{ places: [{ on: { device: "pv0" } }] }] } }]);
  });
  it("volumes in a circle", () => refuses('"a" stands on itself', volume("a", [on("b")]), volume("b", [on("a")])));
  it("volumes on volumes on volumes", async () => {
    const chain = Array.from({ length: 40 }, (_, index) => volume(`v${index}`, [on(`v${index + 1}`)]));
    await refuses("more than 16 volumes stand on one another", ...chain);
  });
  it("a part that is not there, or too small", async () => {
    await refuses('its part "x" is not in the group', volume("a", [on("x")]));
    await refuses('its part "b" is too small', volume("a", [on("b", 1)]), volume("b", [on("pv0")]));
    await refuses("extent 10 of pv0, which has 10", volume("a", [on("pv0", 9, 2)]));
  });
  it("stripes that do not come out even", () => {
    const stripes = [0, 1].map((extent) => ({ volume: "pv0", extent }));
    return refuses(
      "a segment of 3 extents over 2 stripes",
      volume("a", [{ start: 0, count: 3, kind: "striped", chunkSectors: 8, stripes }]),
    );
  });
  it("kinds that are not mapped", async () => {
    const other = (type: string): Lvm2LogicalVolume => volume("a", [{ start: 0, count: 1, kind: "other", type }]);
    await refuses("a VDO volume, which is not mapped", other("vdo"));
    await refuses("a volume with a write cache, whose data may stand in the cache only", other("writecache"));
    await refuses('a volume of type "flux"', other("flux"));
    expect(await planVolumeGroups([disk("PV0", group([other("thin-pool"), other("vdo-pool")]))], all)).toEqual([]);
  });
  it("an origin into which a snapshot is being merged", () =>
    refuses(
      'snapshot "s" is being merged into it',
      volume("a", [on("pv0")]),
      volume("snapshot0", [{ start: 0, count: 1, kind: "snapshot", origin: "a", store: "s", isMerging: true }]),
    ));
  it("while data moves, only where it came from is read", async () => {
    const legs = [
      { volume: "gone", extent: 0 },
      { volume: "pv0", extent: 0 },
    ];
    const mirror: Lvm2Segment = { start: 0, count: 1, kind: "mirror", legs };
    await refuses('its part "gone" is not in the group', volume("a", [mirror], { status: ["PVMOVE"] }));
    expect((await plan(volume("a", [mirror]))).refusal).toBeNull();
  });

  describe("RAID 1 of LVM", () => {
    const raid1: Lvm2Segment = {
      ...{ start: 0, count: 1, kind: "raid", type: "raid1", chunkSectors: 0, copies: 2, isReshaping: false },
      legs: [0, 1].map((leg) => ({ meta: `m${leg}`, data: `d${leg}` })),
    };
    const hidden = { isVisible: false };
    const parts = [
      volume("m0", [on("pv0", 0)], hidden),
      volume("d0", [on("pv0", 1)], hidden),
      volume("m1", [on("pv0", 2)], hidden),
      volume("d1", [on("pv0", 3)], hidden),
    ];
    /** Sector of the leg that is read; each note: events, failed legs, recovered up to. */
    const chosen = async (notes: readonly (readonly [number, number, bigint] | null)[]): Promise<number | string> => {
      const read: ReadAt = async (offset) => {
        const bytes = Buffer.alloc(512);
        const leg = Number(offset / 512n) === 100 ? 0 : 1;
        const note = notes[leg];
        if (note == null) return bytes;
        bytes.write("DmRd");
        bytes.writeUInt32LE(leg, 12);
        bytes.writeBigUInt64LE(BigInt(note[0]), 16);
        bytes.writeBigUInt64LE(BigInt(note[1]), 24);
        bytes.writeBigUInt64LE(note[2], 32);
        return Uint8Array.from(bytes);
      };
      const [planned] = await planVolumeGroups([disk("PV0", group([volume("a", [raid1]), ...parts]), read)], all);
      const place = planned?.mapping?.kind === "pieces" ? planned.mapping.pieces[0]?.places[0] : undefined;
      const below = place !== undefined && "mapping" in place.on ? place.on.mapping : undefined;
      return below?.kind === "pieces" ? (below.pieces[0]?.places[0]?.sector ?? "") : (planned?.refusal ?? "");
    };
    const end = 0xffff_ffff_ffff_ffffn;
    it("never used: the first", async () => expect(await chosen([null, null])).toBe(108));
    it("both in sync: the first", async () =>
      expect(
        await chosen([
          [5, 0, end],
          [5, 0, end],
        ]),
      ).toBe(108));
    it("the first is older", async () =>
      expect(
        await chosen([
          [4, 0, end],
          [5, 0, end],
        ]),
      ).toBe(124));
    it("the first failed", async () =>
      expect(
        await chosen([
          [5, 1, end],
          [5, 1, end],
        ]),
      ).toBe(124));
    it("the first is being recovered", async () =>
      expect(
        await chosen([
          [5, 0, 77n],
          [5, 0, end],
        ]),
      ).toBe(124));
    it("the first is new", async () => expect(await chosen([null, [5, 0, end]])).toBe(124));
    it("none", async () =>
      expect(
        await chosen([
          [5, 3, end],
          [5, 3, end],
        ]),
      ).toBe("no leg with all of its data is there"));
  });
});
