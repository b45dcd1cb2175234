import { expect, test } from "vitest";
import { parseMbr, readMbrPartitions } from "../../../src/formats/mbr.ts";
import { type Fixture, readerOf } from "./superblock/fixture.ts";

type Entry = readonly [type: number, start: number, sectors: number, active?: number];

/** A sector with up to four entries (UEFI 2.10, table 5-2) and the disk signature 0x00c0ffee. */
function sector(entries: readonly Entry[], signature = 0xaa55): Uint8Array {
  const view = new DataView(new ArrayBuffer(512));
  view.setUint32(440, 0x00c0ffee, true);
  entries.forEach(([type, start, sectors, active], index) => {
    const at = 446 + 16 * index;
    view.setUint8(at, active ?? 0);
    view.setUint8(at + 4, type);
    view.setUint32(at + 8, start, true);
    view.setUint32(at + 12, sectors, true);
  });
  view.setUint16(510, signature, true);
  return new Uint8Array(view.buffer);
}

const none: Entry = [0, 0, 0];
/** A disk of 10 000 sectors of 512 bytes; sector number to the entries in it. */
function disk(records: Record<number, readonly Entry[]>): Fixture {
  const parts = Object.entries(records).map(([at, entries]) => ({ offset: Number(at) * 512, bytes: sector(entries) }));
  return { name: "disk", deviceBytes: 10_000 * 512, parts };
}
async function read(device: Fixture) {
  const reader = readerOf(device);
  const mbr = parseMbr(await reader(0n, 512));
  if (mbr === null) throw new Error("no MBR");
  const { partitions, problems } = await readMbrPartitions(reader, mbr, BigInt(device.deviceBytes), 512);
  const places = partitions.map(({ number, startBytes, lengthBytes }) => [
    number,
    startBytes / 512n,
    lengthBytes / 512n,
  ]);
  return { partitions, problems, places: places.map((place) => place.map(Number)) };
}

test("primary partitions keep the number of their place; the identifier is the disk's and the number", async () => {
  const found = await read(disk({ 0: [none, [0x83, 100, 200, 0x80], none, [0x0c, 300, 5]] }));
  expect(found.partitions).toEqual([
    {
      number: 2,
      startBytes: 51200n,
      lengthBytes: 102400n,
      table: "msdos",
      type: "0x83",
      partuuid: "00c0ffee-02",
      partlabel: null,
    },
    {
      number: 4,
      startBytes: 153600n,
      lengthBytes: 2560n,
      table: "msdos",
      type: "0x0c",
      partuuid: "00c0ffee-04",
      partlabel: null,
    },
  ]);
});

// An ISO image for USB sticks: an entry of type 0 that begins at sector 0, and one inside it. Linux shows both.
test("hybrid images", async () => {
  const found = await read(
    disk({
      0: [
        [0, 0, 9000, 0x80],
        [0xef, 400, 50],
      ],
    }),
  );
  expect(found.places).toEqual([
    [1, 0, 9000],
    [2, 400, 50],
  ]);
});

test("no MBR", () => {
  const linux: Entry = [0x83, 100, 200];
  expect(parseMbr(sector([linux]))).not.toBeNull();
  expect(parseMbr(sector([linux], 0))).toBeNull();
  expect(parseMbr(sector([]))).toBeNull();
  expect(parseMbr(sector([linux, [0x83, 300, 1, 0x79]]))).toBeNull();
  expect(parseMbr(sector([linux, [0x20, 0, 0, 0x6e]]))).toBeNull();
  for (let length = 0; length < 512; length++) expect(parseMbr(sector([linux]).subarray(0, length))).toBeNull();
});

/** The start of a boot sector: jump, name and a FAT16's parameters. */
function bootSector(name: string, entries: readonly Entry[]): Uint8Array {
  const bytes = sector(entries);
  bytes.set([0xeb, 0x3c, 0x90, ...new TextEncoder().encode(name)]);
  // 512 bytes a sector, 4 a cluster, 4 reserved, 2 FATs, 512 root entries, 32768 sectors, media f8, 32 sectors a FAT.
  bytes.set([0x00, 0x02, 4, 4, 0, 2, 0x00, 0x02, 0x00, 0x80, 0xf8, 32, 0], 11);
  return bytes;
}

test("boot sectors of bare filesystems, though their last bytes would pass", () => {
  const linux: Entry = [0x83, 100, 200];
  for (const name of ["mkfs.fat", "MSDOS5.0", "NTFS    ", "EXFAT   "]) {
    expect(parseMbr(bootSector(name, [linux]))).toBeNull();
  }
  // The remains of a FAT in the boot code of a disk that has a GPT now.
  expect(parseMbr(bootSector("mkfs.fat", [[0xee, 1, 9999]]))).toMatchObject({ protective: true });
  const loader = sector([linux]);
  loader.set([0xeb, 0x63, 0x90]);
  expect(parseMbr(loader)).toMatchObject({ signature: "00c0ffee", protective: false });
});

test("a partition past the disk costs itself", async () => {
  const found = await read(
    disk({
      0: [
        [0x83, 100, 200],
        [0x83, 9000, 1001],
        [0x83, 0xffffffff, 0xffffffff],
        [0x82, 9000, 1000],
      ],
    }),
  );
  expect(found.places).toEqual([
    [1, 100, 200],
    [4, 9000, 1000],
  ]);
  expect(found.problems).toEqual([
    "partition 2: it ends at sector 10000, past the disk's 10000 sectors, skipping",
    "partition 3: it ends at sector 8589934589, past the disk's 10000 sectors, skipping",
  ]);
});

test("logical partitions: from 5, in the chain's order; a refused one keeps its number", async () => {
  const found = await read(
    disk({
      0: [
        [0x83, 100, 200],
        [0x05, 1000, 5000],
      ],
      1000: [
        [0x83, 10, 100],
        [0x05, 2000, 500],
      ],
      3000: [
        [0x83, 10, 90_000],
        [0x05, 1000, 500],
      ],
      2000: [[0x82, 20, 30]],
    }),
  );
  expect(found.places).toEqual([
    [1, 100, 200],
    [2, 1000, 2],
    [5, 1010, 100],
    [7, 2020, 30],
  ]);
  expect(found.problems).toEqual(["partition 6: it ends at sector 93009, past the disk's 10000 sectors, skipping"]);
  expect(found.partitions.map(({ partuuid }) => partuuid).at(-1)).toBe("00c0ffee-07");
});

test("numbers above 15 are hexadecimal in the identifier", async () => {
  const records: Record<number, readonly Entry[]> = { 0: [[0x05, 1000, 5000]] };
  for (let i = 0; i < 20; i++)
    records[1000 + i * 10] = [
      [0x83, 1, 5],
      [0x05, (i + 1) * 10, 10],
    ];
  const found = await read(disk(records));
  expect(found.partitions.at(-1)).toMatchObject({ number: 24, partuuid: "00c0ffee-18" });
  expect(found.problems).toEqual(["extended boot record at sector 1200: its signature 55 AA is missing"]);
});

test("third and fourth entries of an extended boot record count only inside it", async () => {
  const record: Entry[] = [[0x83, 10, 10], none, [0x83, 30, 10], [0x83, 4000, 5000]];
  const found = await read(disk({ 0: [[0x05, 1000, 5000]], 1000: record }));
  expect(found.places).toEqual([
    [1, 1000, 2],
    [5, 1010, 10],
    [6, 1030, 10],
  ]);
});

test("two extended partitions", async () => {
  const found = await read(
    disk({
      0: [
        [0x05, 1000, 100],
        [0x85, 2000, 100],
      ],
      1000: [[0x83, 1, 5]],
      2000: [[0x83, 1, 6]],
    }),
  );
  expect(found.places).toEqual([
    [1, 1000, 2],
    [2, 2000, 2],
    [5, 1001, 5],
    [6, 2001, 6],
  ]);
});

test("a chain that loops, leaves the disk, never ends or is too long", async () => {
  const problems = async (records: Record<number, readonly Entry[]>) => (await read(disk(records))).problems;
  expect(
    await problems({
      0: [[0x05, 1000, 500]],
      1000: [
        [0x83, 1, 1],
        [0x05, 10, 9],
      ],
      1010: [
        [0x83, 1, 1],
        [0x05, 0, 9],
      ],
    }),
  ).toEqual(["extended boot record at sector 1000: the chain loops"]);
  expect(await problems({ 0: [[0x05, 1000, 500]], 1000: [none, [0x05, 0xffffffff, 1]] })).toEqual([
    "extended boot record at sector 4294968295: past the disk's 10000 sectors",
  ]);
  const chain = (first: Entry): Record<number, readonly Entry[]> => {
    const records: Record<number, readonly Entry[]> = { 0: [[0x05, 1000, 5000]] };
    for (let i = 0; i < 400; i++) records[1000 + i * 2] = [first, [0x05, (i + 1) * 2, 2]];
    return records;
  };
  expect(await problems(chain(none))).toEqual([
    "extended boot record at sector 1200: 100 without a partition, skipping the rest",
  ]);
  const long = await read(disk(chain([0x83, 1, 1])));
  expect(long.partitions).toHaveLength(252);
  expect(long.partitions.at(-1)).toMatchObject({ number: 255, partuuid: "00c0ffee-ff" });
  expect(long.problems).toEqual(["partitions from 256 on: Linux takes at most 255, skipping"]);
});
