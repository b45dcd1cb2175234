import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { MappingRequest, System } from "../../../src/linux/system.ts";
import type { BlockDevice } from "../../../src/machine/block-devices.ts";
import { LayeredVolumes, type LayersFound } from "../../../src/machine/layered-volumes.ts";
import type { Volume } from "../../../src/machine/volumes.ts";
import { fakeSystem } from "../../fakes/system.ts";
import { loadFixtures } from "../formats/superblock/fixture.ts";
import { layerSet } from "./layer-fixtures.ts";

const scratch = mkdtempSync(join(tmpdir(), "slipway-layers-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let count = 0;

/** A set's disks as files, with what probing them said. */
async function disksOf(set: string, type: string): Promise<Volume[]> {
  return Promise.all(
    layerSet(set).disks.map(async ({ name, deviceBytes, read }): Promise<Volume> => {
      const node = join(scratch, `${name}-${count++}`);
      const fd = openSync(node, "w");
      writeSync(fd, await read(0n, deviceBytes));
      closeSync(fd);
      const device: BlockDevice = {
        ...{ name, node, sizeBytes: BigInt(deviceBytes), sectorBytes: 512, disk: name, partition: null },
        ...{ devno: `254:${count}`, diskSequence: null, stack: null },
      };
      return { device, partition: null, superblock: { type, usage: "raid", uuid: null, label: null } };
    }),
  );
}

/** An ext4 filesystem, which is what every mapped device holds here. */
const filesystem = loadFixtures(new URL("../../data/superblock/", import.meta.url)).find(({ name }) => name === "ext4");

/** A device mapper whose devices are files. */
function mapper(): {
  readonly system: System;
  readonly sysfs: string;
  readonly mapped: Map<string, MappingRequest>;
  readonly log: string[];
} {
  const sysfs = join(scratch, `sysfs-${count++}`);
  const mapped = new Map<string, MappingRequest>();
  const log: string[] = [];
  let minor = 0;
  const system = fakeSystem({
    createMapping: async (request) => {
      mapped.set(request.name, request);
      // A name that leads from /dev to the file: "!" stands for a slash.
      const file = join(scratch, `mapped-${count++}`);
      const name = `..${file.replaceAll("/", "!")}`;
      const fd = openSync(file, "w");
      for (const { offset, bytes } of filesystem?.parts ?? []) writeSync(fd, bytes, 0, bytes.length, offset);
      ftruncateSync(fd, filesystem?.deviceBytes ?? 0);
      closeSync(fd);
      const directory = join(sysfs, "class/block", name);
      mkdirSync(directory, { recursive: true });
      const devno = `253:${minor++}`;
      writeFileSync(join(directory, "size"), String((filesystem?.deviceBytes ?? 0) / 512));
      writeFileSync(join(directory, "dev"), devno);
      log.push(`map ${devno}: ${request.targets.map(({ type, parameters }) => `${type} ${parameters}`).join("; ")}`);
      return { devno, name };
    },
    removeMapping: async (name) => {
      mapped.delete(name);
      log.push("remove");
    },
  });
  return { system, sysfs, mapped, log };
}

const noLetGo = async (): Promise<void> => {};
const layersOf = (found: LayersFound): string[] =>
  found.volumes.map(({ layer }) => (layer.kind === "lvm" ? layer.lv : (layer.name ?? "")));

describe("LayeredVolumes", () => {
  it("mirrors: each array once, and all is removed in the end", async () => {
    const { system, sysfs, mapped, log } = mapper();
    const layers = new LayeredVolumes(system, null, 5, sysfs);
    const disks = await disksOf("md-mirrors", "linux_raid_member");
    const found = await layers.update(disks, noLetGo);
    expect(layersOf(found)).toEqual(["127", "host:mirror1", "host:mirror2", "host:mirror3"]);
    expect(found.volumes.map(({ volume }) => volume.superblock?.type)).toEqual(["ext4", "ext4", "ext4", "ext4"]);
    expect(found.problems).toEqual([]);
    expect([...found.used]).toEqual(disks.map(({ device }) => device.name));
    expect(layers.ownNames.size).toBe(4);
    // Metadata 1.1 and 1.2 stand in front of the data.
    const [first, , third] = disks.filter((_, index) => index % 2 === 0).map(({ device }) => device.devno);
    expect(log[0]).toBe(`map 253:0: linear ${first} 0`);
    expect(log[2]).toBe(`map 253:2: linear ${third} 2048`);
    await layers.close();
    expect(mapped.size).toBe(0);
    expect(layers.ownNames.size).toBe(0);
  });

  it("what stays the same is left alone; what lost its disks goes, after what is open on it was let go", async () => {
    const { system, sysfs, log } = mapper();
    const layers = new LayeredVolumes(system, null, 5, sysfs);
    const disks = await disksOf("md-mirrors", "linux_raid_member");
    const before = await layers.update(disks, noLetGo);
    log.splice(0);
    const again = await layers.update(disks, noLetGo);
    expect(log).toEqual([]);
    expect(again.volumes.map(({ key }) => key)).toEqual(before.volumes.map(({ key }) => key));
    const letGo: string[] = [];
    const after = await layers.update(disks.slice(2), async (names) => {
      letGo.push(...names);
      expect(log).toEqual([]);
    });
    expect(letGo).toEqual([before.volumes[0]?.volume.device.name]);
    expect(log).toEqual(["remove"]);
    expect(after.volumes.map(({ key }) => key)).toEqual(before.volumes.slice(1).map(({ key }) => key));
  });

  it("logical volumes come when their last disk comes", async () => {
    const { system, sysfs, log } = mapper();
    const layers = new LayeredVolumes(system, null, 5, sysfs);
    const disks = await disksOf("lvm", "LVM2_member");
    const early = await layers.update(disks.slice(0, 1), noLetGo);
    // All of their disks are there, or one leg is.
    expect(layersOf(early)).toEqual(["between-them", "raid1"]);
    expect(early.problems.find(({ device }) => device === "vg--boot-linear")?.reason).toMatch(
      /^physical volume HB2Eje|^physical volume \S{38} is missing$/,
    );
    expect(log).toHaveLength(3);
    const late = await layers.update(disks, noLetGo);
    expect(layersOf(late)).toEqual([
      ...["linear", "between-them", "striped", "raid1", "mirror", "raid0", "origin", "cached"],
    ]);
    expect(late.problems.map(({ device, reason }) => `${device}: ${reason}`)).toEqual([
      "vg--boot-raid5: an array of RAID 5 that the running system has not started",
      "vg--boot-raid10: an array of RAID 10 that the running system has not started",
      "vg--boot-thin: a thin volume, which is not mapped",
      "vg--boot-dirty: a cached volume (writeback), whose data may stand in the cache only",
      "vg--boot-snap: a snapshot, which is not mapped",
    ]);
    // What was there before was kept.
    const kept = early.volumes.map(({ key }) => key);
    expect(late.volumes.map(({ key }) => key)).toEqual(expect.arrayContaining(kept));
  });

  it("what the running system has put together is left to it", async () => {
    const { system, sysfs, log } = mapper();
    const layers = new LayeredVolumes(system, null, 5, sysfs);
    const arrays = await disksOf("md-mirrors", "linux_raid_member");
    const members = arrays.map(({ device }) => device.name);
    const [sample] = arrays;
    if (sample === undefined) throw new Error("no disk");
    const started: Volume = {
      ...sample,
      device: { ...sample.device, name: "md127", stack: { kind: "md", members } },
      superblock: null,
    };
    const found = await layers.update([...arrays, started], noLetGo);
    expect(found.volumes).toEqual([]);
    expect([...found.used].sort()).toEqual([...members].sort());
    expect(log).toEqual([]);
  });

  it("what cannot be made is told once and not tried again until it changes", async () => {
    let tries = 0;
    const system = fakeSystem({
      createMapping: async () => {
        tries++;
        throw new Error("EBUSY");
      },
    });
    const layers = new LayeredVolumes(system, null, 5, scratch);
    const disks = (await disksOf("md-mirrors", "linux_raid_member")).slice(2, 4);
    for (let look = 0; look < 3; look++) {
      const found = await layers.update(disks, noLetGo);
      expect(found.problems).toEqual([{ device: "md-mirror1", reason: "EBUSY" }]);
      expect(found.used.size).toBe(0);
    }
    expect(tries).toBe(1);
    await layers.update([], noLetGo);
    await layers.update(disks, noLetGo);
    expect(tries).toBe(2);
  });

  it("a member that cannot be read costs itself", async () => {
    const { system, sysfs } = mapper();
    const layers = new LayeredVolumes(system, null, 5, sysfs);
    const disks = (await disksOf("md-mirrors", "linux_raid_member")).slice(0, 2);
    const gone = disks.map((disk, index) =>
      index === 0 ? { ...disk, device: { ...disk.device, node: join(scratch, "none") } } : disk,
    );
    const found = await layers.update(gone, noLetGo);
    expect(found.problems).toHaveLength(1);
    expect(found.problems[0]?.reason).toContain("ENOENT");
    expect(layersOf(found)).toEqual(["127"]);
  });
});
