import { beforeAll, describe, expect, it } from "vitest";
import type { ReadAt } from "../../../src/formats/read-at.ts";
import { type RaidMember, readRaidMember } from "../../../src/formats/superblock/linux-raid.ts";
import { ProbedDevice } from "../../../src/formats/superblock/probe.ts";
import { mappingSectors } from "../../../src/machine/mapping.ts";
import { type FoundMember, planRaidArrays } from "../../../src/machine/raid-arrays.ts";
import { layerSet } from "./layer-fixtures.ts";
import { labelsOf } from "./mapped-read.ts";

interface Loaded {
  readonly members: readonly FoundMember[];
  readonly facts: readonly string[];
  readonly readerOf: (device: string) => ReadAt;
}

async function load(set: string): Promise<Loaded> {
  const { disks, facts } = layerSet(set);
  const members = await Promise.all(
    disks.map(async ({ name, read, deviceBytes }) => {
      const member = await readRaidMember(await ProbedDevice.open(read, BigInt(deviceBytes)));
      if (member === null) throw new Error(`no member on ${name}`);
      return { on: { device: name }, device: name, member };
    }),
  );
  const readers = new Map(disks.map(({ name, read }) => [name, read]));
  return {
    members,
    facts,
    readerOf: (device) => {
      const read = readers.get(device);
      if (read === undefined) throw new Error(`no disk ${device}`);
      return read;
    },
  };
}

/** Lines `SIZE name sectors` of what blockdev(8) said of the arrays. */
const sizes = (facts: readonly string[]): (readonly [string, number])[] =>
  facts.flatMap((fact) => {
    const [, name, sectors] = /^SIZE (\S+) (\d+)$/.exec(fact) ?? [];
    return name === undefined ? [] : [[name, Number(sectors)] as const];
  });

describe("arrays that mdadm(8) made", () => {
  it.each(["md-mirrors", "md-stripes"])("%s: each block is where the kernel wrote it", async (set) => {
    const { members, facts, readerOf } = await load(set);
    const planned = planRaidArrays(members);
    expect(planned.map(({ mapping }) => (mapping === null ? null : mappingSectors(mapping)))).toEqual(
      sizes(facts).map(([, sectors]) => sectors),
    );
    for (const [number, { mapping, refusal }] of planned.entries()) {
      if (mapping === null) throw new Error(refusal ?? "no mapping");
      const { found, expected } = await labelsOf(mapping, readerOf, number, mappingSectors(mapping));
      expect(found).toEqual(expected);
    }
  });

  it("either member of a mirror alone", async () => {
    const { members, readerOf } = await load("md-mirrors");
    for (const [index, member] of members.entries()) {
      const [array] = planRaidArrays([member]);
      if (array?.mapping == null) throw new Error("no mapping");
      const { found, expected } = await labelsOf(array.mapping, readerOf, Math.floor(index / 2), 14336);
      expect(found).toEqual(expected);
    }
  });

  it("what the RAID driver is told has the size that mdadm's array has", async () => {
    const { members, facts } = await load("md-parity");
    const planned = planRaidArrays(members);
    expect(planned.map(({ mapping }) => mapping?.kind)).toEqual(Array(6).fill("raid"));
    expect(planned.map(({ mapping }) => (mapping === null ? null : mappingSectors(mapping)))).toEqual(
      sizes(facts).map(([, sectors]) => sectors),
    );
    expect(planned.map(({ layer }) => layer)).toMatchObject([
      { kind: "md", uuid: "0badcafe00112233445566778899aab0", name: "host:five" },
      { name: "host:six" },
      { name: "host:near" },
      { name: "host:far" },
      { name: "host:four" },
      { name: "122" },
    ]);
    expect(planned[1]?.mapping).toMatchObject({ level: 6, layout: 2, chunkSectors: 128, members: [{}, {}, {}, {}] });
  });

  describe("a mirror whose second member failed and whose third is being recovered", () => {
    let stale: Loaded;
    beforeAll(async () => {
      stale = await load("md-stale");
    });
    const reads = async (indices: readonly number[], number: number): Promise<void> => {
      const [array] = planRaidArrays(indices.flatMap((index) => stale.members[index] ?? []));
      if (array?.mapping == null) throw new Error(array?.refusal ?? "no array");
      const { found, expected } = await labelsOf(array.mapping, stale.readerOf, number, 14336);
      expect(found).toEqual(expected);
    };
    it("all of them: the new content", () => reads([0, 1, 2], 1));
    it("in another order", () => reads([2, 1, 0], 1));
    // Nobody is there who knows of anything newer.
    it("the failed one alone: the old content", () => reads([1], 0));
    it("the one that is being recovered has not all of it", () => {
      const [, failed, recovering] = stale.members;
      if (failed === undefined || recovering === undefined) throw new Error("three disks expected");
      expect(planRaidArrays([recovering])[0]?.refusal).toBe(
        "an array of RAID 1: no member with all of its data is there",
      );
      expect(planRaidArrays([failed, recovering])[0]?.mapping).toBeNull();
    });
  });
});

describe("planRaidArrays", () => {
  const base: RaidMember = {
    version: "1.2",
    uuid: "00112233445566778899aabbccddeeff",
    name: "host:0",
    preferredMinor: null,
    level: 1,
    layout: null,
    chunkSectors: 0,
    disks: 2,
    memberSectors: 1000,
    events: 10n,
    isClean: true,
    isReshaping: false,
    hasJournal: false,
    unknownFeatures: 0,
    number: 0,
    roles: [0, 1, 2, 3],
    isRecovered: true,
    isReplacement: false,
    hasBadBlocks: false,
    isWriteMostly: false,
    dataSector: 2048,
    dataSectors: 1000,
  };
  const member = (number: number, own: Partial<RaidMember> = {}): FoundMember => ({
    on: { device: `vd${number}` },
    device: `vd${number}`,
    member: { ...base, number, ...own },
  });
  const plan = (...members: FoundMember[]) => {
    const [array, ...others] = planRaidArrays(members);
    if (array === undefined || others.length > 0) throw new Error("one array expected");
    return array;
  };
  const reads = (device: string, ...members: FoundMember[]): void =>
    expect(plan(...members).mapping).toMatchObject({ kind: "pieces", pieces: [{ places: [{ on: { device } }] }] });
  const refuses = (reason: string, ...members: FoundMember[]): void =>
    expect(plan(...members)).toMatchObject({ mapping: null, refusal: reason });

  it("nothing", () => expect(planRaidArrays([])).toEqual([]));
  it("two arrays", () => {
    expect(planRaidArrays([member(0), member(0, { uuid: "ff" })]).map(({ layer }) => layer)).toMatchObject([
      { uuid: base.uuid },
      { uuid: "ff" },
    ]);
  });
  it("a mirror is read from its newest member", () => {
    reads("vd1", member(0, { events: 9n }), member(1));
    reads("vd0", member(0, { events: 8n }));
  });
  it("a member that is slow, replaces another, or has bad blocks, is the last choice", () => {
    reads("vd1", member(0, { isWriteMostly: true }), member(1));
    reads("vd1", member(0, { isReplacement: true }), member(1));
    reads("vd1", member(0, { hasBadBlocks: true }), member(1));
    reads("vd0", member(0, { isWriteMostly: true }));
    refuses(
      "an array of RAID 1: every member has blocks that could not be read",
      member(0, { hasBadBlocks: true }),
      member(1, { hasBadBlocks: true }),
    );
  });
  it("arrays that are not whole, or in between two states", () => {
    refuses("an array of RAID 0: 1 of its 2 disks are missing", member(0, { level: 0, chunkSectors: 8 }));
    refuses("a linear array: 1 of its 2 disks are missing", member(1, { level: -1 }));
    refuses("an array of RAID 1 that is being reshaped", member(0, { isReshaping: true }));
    refuses("an array of RAID 5 with a write journal, which is not read", member(0, { level: 5, hasJournal: true }));
    refuses("an array of RAID 1 with features that are not known (0x8000)", member(0, { unknownFeatures: 0x8000 }));
    refuses("RAID level -4, which is not read", member(0, { level: -4 }));
    refuses("an array of RAID 1 of 0 disks, 1 to 1920 expected", member(0, { disks: 0 }));
    refuses("1001 sectors of every disk are used, vd0 has 1000", member(0, { memberSectors: 1001 }));
  });
  const five = { level: 5, disks: 3, layout: 2, chunkSectors: 8 };
  it("parity makes up for a disk, not for two, and not where it may be wrong", () => {
    expect(plan(member(0, five), member(2, five)).mapping).toMatchObject({ members: [{}, null, {}] });
    refuses("an array of RAID 5: 2 of its 3 disks are missing", member(0, five));
    refuses(
      "an array of RAID 5 that lacks a disk and was not shut down as it should be: its parity may be wrong",
      member(0, { ...five, isClean: false }),
      member(1, { ...five, isClean: false }),
    );
    const dirty = { ...five, isClean: false };
    expect(plan(member(0, dirty), member(1, dirty), member(2, dirty)).refusal).toBeNull();
  });
  it("different disks in RAID 0 without a layout", () => {
    const zero = { level: 0, chunkSectors: 8 };
    refuses(
      "an array of RAID 0 of different disks that does not say which of two layouts it has",
      member(0, zero),
      member(1, { ...zero, dataSectors: 500 }),
    );
    // The last part chunk of a disk is not used.
    expect(plan(member(0, zero), member(1, { ...zero, dataSectors: 1007 })).mapping).toMatchObject({
      sectors: 2000,
      pieces: [{ start: 0, sectors: 2000, chunkSectors: 8 }],
    });
  });
});
