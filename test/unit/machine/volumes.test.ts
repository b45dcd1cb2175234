import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, truncateSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { BlockDevice } from "../../../src/machine/block-devices.ts";
import { probeVolumes } from "../../../src/machine/volumes.ts";
import { type Fixture, loadFixtures } from "../formats/superblock/fixture.ts";

const scratch = mkdtempSync(join(tmpdir(), "slipway-volumes-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const superblocks = loadFixtures(new URL("../../data/superblock/", import.meta.url));
const tables = loadFixtures(new URL("../../data/partition-table/", import.meta.url));
const fixture = (all: readonly Fixture[], name: string): Fixture => {
  const found = all.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no fixture ${name}`);
  return found;
};

/** A device whose node is a sparse file with the fixture's bytes. */
function device(name: string, content: Fixture | null, own: Partial<BlockDevice> = {}): BlockDevice {
  const node = join(scratch, `${name}-${Math.random().toString(36).slice(2)}`);
  if (content !== null) {
    const fd = openSync(node, "w");
    for (const { offset, bytes } of content.parts) writeSync(fd, bytes, 0, bytes.length, offset);
    ftruncateSync(fd, content.deviceBytes);
    closeSync(fd);
  }
  const sizeBytes = BigInt(content?.deviceBytes ?? 1 << 20);
  const common = { sectorBytes: 512, disk: name, partition: null, devno: "0:0", diskSequence: null, stack: null };
  return { name, node, sizeBytes, ...common, ...own };
}

const garbage: Fixture = {
  name: "garbage",
  deviceBytes: 1 << 20,
  parts: [{ offset: 0, bytes: new Uint8Array(1 << 16).fill(0xa5) }],
};

describe("probeVolumes", () => {
  it("a filesystem on a whole disk", async () => {
    const { volumes, problems } = await probeVolumes([device("vda", fixture(superblocks, "ext4"))], 5);
    expect(volumes.map((v) => [v.device.name, v.partition, v.superblock?.type])).toEqual([["vda", null, "ext4"]]);
    expect(problems).toEqual([]);
  });

  it("a device that cannot be read costs itself, one that holds nothing known is named without a type", async () => {
    const absent = device("vdb", null);
    const { volumes, problems } = await probeVolumes(
      [device("vda", fixture(superblocks, "vfat16")), absent, device("vdc", garbage)],
      5,
    );
    expect(volumes.map((v) => [v.device.name, v.superblock?.type ?? null])).toEqual([
      ["vda", "vfat"],
      ["vdb", null],
      ["vdc", null],
    ]);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.device).toBe("vdb");
    expect(problems[0]?.reason).toContain("ENOENT");
  });

  it("an empty optical drive says so", async () => {
    const { problems } = await probeVolumes([device("sr0", null)], 5);
    expect(problems).toEqual([{ device: "sr0", reason: "no readable medium (ENOENT)" }]);
  });

  it("a device that is shorter than it says is read to its end", async () => {
    const short = device("vda", fixture(superblocks, "ext4"), { sizeBytes: 1n << 40n });
    truncateSync(short.node, 100);
    const { volumes, problems } = await probeVolumes([short], 5);
    expect(volumes[0]?.superblock).toBeNull();
    expect(problems.length).toBeLessThanOrEqual(1);
  });

  it("a disk with partitions is a container; each partition knows what the table says of it", async () => {
    const disk = device("vda", fixture(tables, "gpt-512"));
    const part = (number: number): BlockDevice =>
      device(`vda${number}`, fixture(superblocks, "ext4"), { disk: "vda", partition: number });
    const { volumes, problems } = await probeVolumes([disk, part(1), part(99)], 5);
    expect(volumes.map((v) => [v.device.name, v.partition?.number ?? null, v.partition?.table ?? null])).toEqual([
      ["vda1", 1, "gpt"],
      // The kernel knows a partition that the table, read a moment later, does not have.
      ["vda99", null, null],
    ]);
    expect(problems).toEqual([]);
  });

  it("a partition table that cannot be read costs what it says, not the filesystems", async () => {
    const disk = device("vda", null);
    const { volumes, problems } = await probeVolumes(
      [disk, device("vda1", fixture(superblocks, "ext4"), { disk: "vda", partition: 1 })],
      5,
    );
    expect(volumes.map((v) => [v.device.name, v.partition, v.superblock?.type])).toEqual([["vda1", null, "ext4"]]);
    expect(problems.map((problem) => problem.device)).toEqual(["vda"]);
  });

  it("a sector size that is not known costs the table", async () => {
    const disk = device("vda", fixture(tables, "gpt-512"), { sectorBytes: 520 });
    const { problems } = await probeVolumes([disk, device("vda1", garbage, { disk: "vda", partition: 1 })], 5);
    expect(problems).toEqual([
      { device: "vda", reason: "partition table: sectors of 520 bytes, 512, 1024, 2048 or 4096 expected" },
    ]);
  });

  it("no devices, no volumes", async () => {
    expect(await probeVolumes([], 5)).toEqual({ volumes: [], problems: [] });
  });
});
