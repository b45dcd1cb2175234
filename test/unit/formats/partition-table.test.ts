import { expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { readPartitionTable } from "../../../src/formats/partition-table.ts";
import type { ReadAt } from "../../../src/formats/read-at.ts";
import { type Fixture, loadFixtures, patched, randomNumbers, readerOf } from "./superblock/fixture.ts";

/** What partx of util-linux prints for the same disk; see the README beside the fixtures. */
interface Partx {
  readonly NR: string;
  readonly START: string;
  readonly SECTORS: string;
  readonly TYPE: string;
  readonly UUID: string;
  readonly NAME: string;
  readonly SCHEME: string;
}
const directory = new URL("../../data/partition-table/", import.meta.url);
const fixtures = loadFixtures<{
  name: string;
  deviceBytes: number;
  sectorBytes: number;
  extents: [number, number][];
  partx: Partx[];
}>(directory);

function fixture(name: string): (typeof fixtures)[number] {
  const found = fixtures.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no fixture "${name}"`);
  return found;
}
const tableOf = (disk: Fixture, sectorBytes = 512) =>
  readPartitionTable(readerOf(disk), BigInt(disk.deviceBytes), sectorBytes);

function golden(line: Partx) {
  const extended = ["0x5", "0xf"].includes(line.TYPE);
  return {
    number: Number(line.NR),
    startBytes: BigInt(line.START) * 512n,
    // partx tells how far the logical partitions reach; Linux shows the container as 1 KiB, or one sector.
    lengthBytes: extended ? expect.any(BigInt) : BigInt(line.SECTORS) * 512n,
    table: line.SCHEME === "dos" ? "msdos" : line.SCHEME,
    type: /^0x.$/.test(line.TYPE) ? `0x0${line.TYPE.slice(2)}` : line.TYPE,
    partuuid: line.UUID,
    partlabel: line.NAME || null,
  };
}

test.each(fixtures.map((disk) => [disk.name, disk] as const))("%s: what partx says", async (_, disk) => {
  const found = await tableOf(disk, disk.sectorBytes);
  const table = { gpt: "gpt", dos: "msdos" }[disk.partx[0]?.SCHEME ?? ""] ?? null;
  expect(found).toEqual({ table, partitions: disk.partx.map(golden), problems: [] });
});

test("an extended partition has the length that Linux shows", async () => {
  const lengths = async (name: string, sectorBytes: number) =>
    (await tableOf(fixture(name), sectorBytes)).partitions.map(({ lengthBytes }) => lengthBytes);
  expect((await lengths("msdos", 512))[2]).toBe(1024n);
  expect((await lengths("msdos-4096", 4096))[1]).toBe(4096n);
});

test("no table", async () => {
  const nothing = { table: null, partitions: [], problems: [] };
  for (const deviceBytes of [0, 1, 511, 512, 1024, 1 << 20]) {
    expect(await tableOf({ name: "empty", deviceBytes, parts: [] })).toEqual(nothing);
  }
});

test("a GPT without a protective MBR is not used, and said", async () => {
  expect(await tableOf(patched(fixture("gpt-512"), 510, [0, 0]))).toEqual({
    table: null,
    partitions: [],
    problems: ["gpt: a header stands at sector 1, but no protective MBR in front of it; it is not used"],
  });
});

test("a disk with sectors of another size is read as what it says it has", async () => {
  await expect(tableOf(fixture("gpt-512"), 520)).rejects.toThrow(
    new FormatError("partition table", "sectors of 520 bytes, 512, 1024, 2048 or 4096 expected"),
  );
  const found = await tableOf(fixture("gpt-4096"), 512);
  expect(found).toMatchObject({ table: "gpt", partitions: [] });
  expect(found.problems[0]).toBe('header at sector 1: gpt: offset 0, signature: "EFI PART" expected');
});

test.each([
  ["gpt-512", 0],
  ["gpt-512", 1],
  ["gpt-512", 2],
  ["msdos", 0],
  ["msdos", 1],
  ["msdos", 3],
])("%s, read %i fails: that error", async (name, failing) => {
  let count = 0;
  const broken: ReadAt = async (offset, length) => {
    if (count++ === failing) throw new Error("pread: input/output error");
    return readerOf(fixture(name))(offset, length);
  };
  await expect(readPartitionTable(broken, BigInt(fixture(name).deviceBytes), 512)).rejects.toThrow(
    "pread: input/output error",
  );
});

test.each(fixtures.map((disk) => [disk.name, disk] as const))("%s: cut or changed anywhere", async (_, disk) => {
  const random = randomNumbers(0xd15c);
  const check = async (candidate: Fixture): Promise<void> => {
    const found = await tableOf(candidate, disk.sectorBytes);
    for (const { startBytes, lengthBytes } of found.partitions) {
      expect(lengthBytes).toBeGreaterThan(0n);
      expect(startBytes + lengthBytes).toBeLessThanOrEqual(BigInt(candidate.deviceBytes));
    }
  };
  for (let size = 0; size < 4200; size += 7) await check({ ...disk, deviceBytes: size });
  for (let i = 0; i < 100; i++) await check({ ...disk, deviceBytes: random() % disk.deviceBytes });
  for (let i = 0; i < 500; i++) {
    const part = disk.parts[random() % disk.parts.length];
    if (part === undefined) throw new Error("a fixture without parts");
    const position = (part.offset % 4096 === 0 ? 440 : 0) + (random() % 120);
    await check(patched(disk, part.offset + position, [random() & 0xff, random() & 0xff]));
  }
});
