import { describe, expect, it } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { type Lvm2PhysicalVolume, parseLvm2Group, readLvm2PhysicalVolume } from "../../../src/formats/lvm2-metadata.ts";
import type { ReadAt } from "../../../src/formats/read-at.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { type LayerDisk, layerSet } from "../machine/layer-fixtures.ts";

const { disks, facts } = layerSet("lvm");
const areaOffset = 4096n;

function diskAt(index: number): LayerDisk {
  const found = disks[index];
  if (found === undefined) throw new Error(`no disk ${index}`);
  return found;
}

async function physical(disk: LayerDisk, read: ReadAt = disk.read): Promise<Lvm2PhysicalVolume> {
  const volume = await readLvm2PhysicalVolume(read, BigInt(disk.deviceBytes));
  if (volume === null) throw new Error("no physical volume");
  return volume;
}

/** The device with bytes written over it. */
function patched(read: ReadAt, at: bigint, bytes: readonly number[]): ReadAt {
  return async (offset, length) => {
    const result = (await read(offset, length)).slice();
    bytes.forEach((byte, index) => {
      const place = Number(at + BigInt(index) - offset);
      if (place >= 0 && place < result.length) result[place] = byte;
    });
    return result;
  };
}

/** Lines of `lvs` and `pvs`. */
const rows = (kind: string): string[][] =>
  facts.filter((line) => line.startsWith(`${kind} `)).map((line) => line.slice(kind.length + 1).split(","));

/** The newest text of the first disk's ring. */
async function metadataText(): Promise<{ text: string; isAroundTheEnd: boolean }> {
  const { read } = diskAt(0);
  const header = Buffer.from(await read(areaOffset, 512));
  const [size, offset, length] = [32, 40, 48].map((at) => Number(header.readBigUInt64LE(at)));
  if (size === undefined || offset === undefined || length === undefined) throw new Error("no header");
  const first = Math.min(length, size - offset);
  const parts = [await read(areaOffset + BigInt(offset), first), await read(areaOffset + 512n, length - first)];
  return {
    text: Buffer.concat(parts).toString("latin1").replace(/\0.*$/s, ""),
    isAroundTheEnd: first < length,
  };
}

describe("a group that lvm(8) made", () => {
  it("the text lies around the end of its ring, where the test wants it", async () => {
    expect((await metadataText()).isAroundTheEnd).toBe(true);
  });

  it("physical volumes are those of pvs(8)", async () => {
    const { group } = await physical(diskAt(0));
    const found = [...(group?.physical.values() ?? [])].map(({ uuid, startSector }) => [uuid, String(startSector)]);
    expect(found).toEqual(rows("PV").map(([, uuid, start]) => [uuid, start]));
    const labels = await Promise.all(disks.map((disk) => physical(disk)));
    expect(labels.map(({ uuid }) => uuid)).toEqual(rows("PV").map(([, uuid]) => uuid));
    expect(labels.flatMap(({ problems }) => problems)).toEqual([]);
    // The last one carries no metadata.
    expect(labels.map((one) => one.group?.sequence ?? null)).toEqual([
      group?.sequence,
      group?.sequence,
      group?.sequence,
      null,
    ]);
  });

  it("logical volumes are those of lvs(8)", async () => {
    const { group } = await physical(diskAt(1));
    if (group === null) throw new Error("no group");
    const shown = rows("LV").map(([vg, vgUuid, sequence, name = "", uuid, size]) => {
      expect([vg, vgUuid, sequence]).toEqual([group.name, group.uuid, String(group.sequence)]);
      // Hidden ones stand in brackets.
      return [name.replace(/^\[|\]$/g, ""), uuid, Number(size)];
    });
    const found = [...group.logical.values()]
      .filter(({ segments }) => segments[0]?.kind !== "snapshot")
      .map(({ name, uuid, extents }) => [name, uuid, extents * group.extentSectors]);
    expect(found.sort()).toEqual(shown.sort());
  });

  it("segments", async () => {
    const { group } = await physical(diskAt(0));
    const segments = (name: string): unknown => group?.logical.get(name)?.segments;
    expect(segments("linear")).toEqual([
      { start: 0, count: 16, kind: "striped", chunkSectors: 0, stripes: [{ volume: "pv0", extent: 0 }] },
      { start: 16, count: 16, kind: "striped", chunkSectors: 0, stripes: [{ volume: "pv1", extent: 0 }] },
      { start: 32, count: 16, kind: "striped", chunkSectors: 0, stripes: [{ volume: "pv0", extent: 18 }] },
    ]);
    expect(segments("striped")).toMatchObject([{ chunkSectors: 128, stripes: [{ volume: "pv0" }, { volume: "pv2" }] }]);
    expect(segments("raid1")).toMatchObject([
      {
        kind: "raid",
        type: "raid1",
        legs: [{ meta: "raid1_rmeta_0", data: "raid1_rimage_0" }, { meta: "raid1_rmeta_1" }],
      },
    ]);
    expect(segments("raid0")).toMatchObject([{ kind: "raid", chunkSectors: 128, legs: [{ meta: null }, {}, {}] }]);
    expect(segments("mirror")).toMatchObject([
      { kind: "mirror", legs: [{ volume: "mirror_mimage_0", extent: 0 }, {}] },
    ]);
    expect(segments("cached")).toMatchObject([{ kind: "cache", origin: "cached_corig", pool: "fast_cpool" }]);
    expect(segments("slow_cpool")).toMatchObject([{ kind: "cache-pool", mode: "writeback" }]);
    expect(segments("snapshot0")).toMatchObject([
      { kind: "snapshot", origin: "origin", store: "snap", isMerging: false },
    ]);
    expect(segments("thin")).toMatchObject([{ kind: "other", type: "thin" }]);
  });
});

describe("readLvm2PhysicalVolume", () => {
  it("counts what it reads, and refuses what is more than several may have together", async () => {
    const { read, deviceBytes } = diskAt(0);
    const allowance = { bytesLeft: 1 << 20 };
    const whole = await readLvm2PhysicalVolume(read, BigInt(deviceBytes), allowance);
    const textBytes = whole?.textBytes ?? 0;
    expect(textBytes).toBeGreaterThan(1000);
    expect(allowance.bytesLeft).toBe((1 << 20) - textBytes);
    const refused = await readLvm2PhysicalVolume(read, BigInt(deviceBytes), { bytesLeft: textBytes - 1 });
    expect(refused?.group).toBeNull();
    expect(refused?.problems).toEqual([
      expect.stringContaining(`${textBytes} bytes, ${textBytes - 1} more are taken of all metadata on the disk`),
    ]);
  });
  it("no label", async () => {
    expect(await readLvm2PhysicalVolume(async (_, length) => new Uint8Array(length), 1n << 20n)).toBeNull();
    expect(await readLvm2PhysicalVolume(async () => new Uint8Array(0), 0n)).toBeNull();
  });

  const problem = async (at: bigint, bytes: readonly number[]): Promise<string> => {
    const volume = await physical(diskAt(0), patched(diskAt(0).read, at, bytes));
    expect(volume.group).toBeNull();
    return volume.problems.join("; ");
  };
  it("a damaged header of the metadata area costs the area", async () => {
    expect(await problem(areaOffset + 100n, [1])).toBe(
      "LVM2 metadata area: offset 0, checksum: the checksum does not match the header",
    );
  });
  it("a damaged text costs the area", async () => {
    expect(await problem(areaOffset + 512n, [1])).toBe(
      "LVM2 metadata area: offset 56, text checksum: the checksum does not match the text",
    );
  });
  it("a damaged label is refused", async () => {
    const label = physical(diskAt(0), patched(diskAt(0).read, 512n + 40n, [1]));
    await expect(label).rejects.toThrow("LVM2_member: offset 528, checksum: the checksum does not match");
  });
  it("a failed read is the reader's error", async () => {
    const failing = physical(diskAt(0), async () => Promise.reject(new Error("EIO")));
    await expect(failing).rejects.toThrow("EIO");
  });
  it("cut devices", async () => {
    for (const length of [0, 512, 600, 1024, 4096, 4300, 4608, 100_000]) {
      const read: ReadAt = async (offset, wanted) =>
        (await diskAt(0).read(offset, wanted)).subarray(0, Math.max(0, length - Number(offset)));
      const volume = await readLvm2PhysicalVolume(read, BigInt(length)).catch((error: unknown) => error);
      expect(volume === null || volume instanceof FormatError || (volume as Lvm2PhysicalVolume).group === null).toBe(
        true,
      );
    }
  });
});

describe("parseLvm2Group", () => {
  const id = 'id = "000000-0000-0000-0000-0000-0000-000000"';
  const group = (volume: string): string => `vg {
${id}
seqno = 1
extent_size = 8
physical_volumes { pv0 { ${id} pe_start = 8 pe_count = 9 } }
logical_volumes { lv {
${id}
status = ["READ", "VISIBLE"]
${volume}
} }
}`;
  const segment = (text: string, extents = "start_extent = 0 extent_count = 4"): string =>
    group(`segment_count = 1 segment1 { ${extents} ${text} }`);
  const refuses = (text: string, message: string): void =>
    expect(formatErrorOf(() => parseLvm2Group(text))).toBe(`LVM2 metadata: ${message}`);

  it("a type with words of compatibility", () => {
    const found = parseLvm2Group(segment('type = "striped+x" stripe_count = 1 stripes = ["pv0", 1]'));
    expect(found.logical.get("lv")?.segments[0]?.kind).toBe("striped");
  });
  it("a snapshot that is being merged", () => {
    const found = parseLvm2Group(segment('type = "snapshot" origin = "a" merging_store = "b"'));
    expect(found.logical.get("lv")?.segments[0]).toMatchObject({ kind: "snapshot", store: "b", isMerging: true });
  });
  it("no group", () => refuses('contents = "x"', "a section with the group's name expected"));
  it("a name that none can have", () =>
    refuses("-a { }", 'line 1: "-a" in section "-a": a name of up to 127 letters, digits and _ + . - expected'));
  it("an identifier that is none", () => refuses('vg { id = "x" }', '"x" is not an LVM identifier'));
  it("a gap between segments", () =>
    refuses(
      segment('type = "error"', "start_extent = 1 extent_count = 1"),
      'line 6: "start_extent" in section "lv": 1, 0 expected',
    ));
  it("an empty segment", () =>
    refuses(
      segment('type = "error"', "start_extent = 0 extent_count = 0"),
      'line 9: "extent_count" in section "segment1": a whole number from 1 expected',
    ));
  it("a segment that is not there", () =>
    refuses(group("segment_count = 1"), 'line 6: "segment1" in section "lv": a section expected'));
  it("more segments than are taken", () =>
    refuses(
      group("segment_count = 100001"),
      'line 6: "segment_count" in section "lv": more than 100000 in all volumes',
    ));
  it("stripes without places", () =>
    refuses(
      segment('type = "striped" stripe_count = 2 stripe_size = 8 stripes = ["pv0", 1]'),
      'line 9: "stripes" in section "segment1": 2 names, each with an extent, expected',
    ));
  it("more stripes than are taken", () =>
    refuses(
      segment('type = "striped" stripe_count = 129 stripe_size = 8 stripes = []'),
      'line 9: "stripes" in section "segment1": 129, at most 128 are taken',
    ));
  it("an extent that is a text", () =>
    refuses(
      segment('type = "striped" stripe_count = 1 stripes = ["pv0", "x"]'),
      'line 9: "stripes" in section "segment1": a name and an extent expected',
    ));
  it("legs that are not as many as told", () =>
    refuses(
      segment('type = "raid1" device_count = 2 raids = ["a", "b", "c"]'),
      'line 9: "raids" in section "segment1": 2 or twice as many names expected',
    ));
  it("anything", async () => {
    const { text } = await metadataText();
    tortureParser({
      bytes: new TextEncoder().encode(text),
      parse: (bytes) => parseLvm2Group(new TextDecoder("latin1").decode(bytes)),
      rounds: 150,
      seed: 5,
      within: 150,
    });
  });
});
