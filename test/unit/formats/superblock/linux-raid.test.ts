import { describe, expect, it } from "vitest";
import { type RaidMember, readRaidMember } from "../../../../src/formats/superblock/linux-raid.ts";
import { ProbedDevice } from "../../../../src/formats/superblock/probe.ts";
import { layerSet } from "../../machine/layer-fixtures.ts";

async function membersOf(set: string): Promise<{ members: RaidMember[]; details: Record<string, string[]> }> {
  const { disks, facts } = layerSet(set);
  const members = await Promise.all(
    disks.map(async ({ read, deviceBytes }) => {
      const member = await readRaidMember(await ProbedDevice.open(read, BigInt(deviceBytes)));
      if (member === null) throw new Error("no member");
      return member;
    }),
  );
  // `DETAIL name: Raid Level : raid1`
  const details: Record<string, string[]> = {};
  for (const fact of facts) {
    const [, name = "", value = ""] = /^DETAIL (\S+): \S.* : (.*)$/.exec(fact) ?? [];
    if (name !== "") details[name] = [...(details[name] ?? []), value];
  }
  return { members, details };
}

/** As mdadm(8) --detail prints a UUID. */
const withColons = (uuid: string): string => uuid.replace(/^(.{8})(.{8})(.{8})(.{8})$/, "$1:$2:$3:$4");
const layouts: Record<string, number> = {
  "left-symmetric": 2,
  "near=2": 0x102,
  "far=2": 0x201,
  alternate: 2,
  original: 1,
};

describe("what mdadm(8) says of its arrays", () => {
  it.each(["md-mirrors", "md-stripes", "md-parity"])("%s", async (set) => {
    const { members, details } = await membersOf(set);
    const shown = Object.values(details).map((lines) => lines.sort());
    const arrays = [...new Map(members.map((member) => [member.uuid, member])).values()];
    const found = arrays.map(({ version, level, uuid, name, preferredMinor, layout, chunkSectors }) => {
      const words = [version, level === -1 ? "linear" : `raid${level}`, withColons(uuid)];
      if (name !== null) words.push(name);
      if (preferredMinor !== null) words.push(String(preferredMinor));
      const hasLayout = layout !== null && level !== 1 && level !== 4 && level !== -1;
      const layoutName = Object.entries(layouts).find(
        ([word, number]) => number === layout && (level === 0) === /^(alt|orig)/.test(word),
      );
      if (hasLayout) words.push(layoutName?.[0] ?? `layout ${layout}`);
      if (chunkSectors !== 0) words.push(`${chunkSectors / 2}K`);
      return words.sort();
    });
    expect(found).toEqual(shown);
  });
});

describe("readRaidMember", () => {
  it("places of the members", async () => {
    const { members } = await membersOf("md-parity");
    const places = members.map(({ roles, number }) => roles[number]);
    expect(places).toEqual([0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 0, 1]);
    expect(members.every(({ isClean, isRecovered }) => isClean && isRecovered)).toBe(true);
  });

  it("0.90 prefers a number and has no name; the data stands in front of its superblock", async () => {
    const { members } = await membersOf("md-mirrors");
    expect(members[0]).toMatchObject({
      version: "0.90",
      name: null,
      preferredMinor: 127,
      disks: 2,
      // 8 MiB without the last 64 KiB.
      memberSectors: 16256,
      dataSector: 0,
      dataSectors: 16256,
    });
    expect(members[6]).toMatchObject({ version: "1.2", name: "host:mirror3", dataSector: 2048, memberSectors: 14336 });
  });

  it("a member that failed, and one that is being recovered", async () => {
    const {
      members: [newest, failed, recovering],
    } = await membersOf("md-stale");
    if (newest === undefined || failed === undefined || recovering === undefined)
      throw new Error("three disks expected");
    expect(failed.events < newest.events).toBe(true);
    // The failed one does not know; the others do.
    expect(failed.roles[failed.number]).toBe(1);
    expect(newest.roles[failed.number]).toBeNull();
    expect([newest.isRecovered, recovering.isRecovered]).toEqual([true, false]);
    expect(newest.roles[recovering.number]).toBe(1);
  });
});
