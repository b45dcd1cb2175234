import { expect, test } from "vitest";
import { crc32 } from "../../../src/formats/crc32.ts";
import { readGpt } from "../../../src/formats/gpt.ts";
import { type Fixture, patched, readerOf } from "./superblock/fixture.ts";

const sectors = 4096;
const lastSector = sectors - 1;

interface Changes {
  /** Written over the header before its checksum is made. */
  readonly header?: (view: DataView) => void;
  readonly entries?: (view: DataView) => void;
}

/** Writes `text` as UTF-16LE. */
function writeName(view: DataView, offset: number, text: string): void {
  for (let i = 0; i < text.length; i++) view.setUint16(offset + 2 * i, text.charCodeAt(i), true);
}

/** One entry (UEFI 2.10, table 5-6); the type is the byte `type` 16 times, the unique GUID 00, 01, 02 to 0f. */
function writeEntry(view: DataView, number: number, first: number, last: number, type = 0xaa): void {
  const at = (number - 1) * 128;
  for (let i = 0; i < 16; i++) {
    view.setUint8(at + i, type);
    view.setUint8(at + 16 + i, i);
  }
  view.setBigUint64(at + 32, BigInt(first), true);
  view.setBigUint64(at + 40, BigInt(last), true);
}

/** A header (UEFI 2.10, table 5-5) at sector `lba` and 128 entries at `arrayLba`, with right checksums. */
function table(lba: number, arrayLba: number, changes: Changes): Fixture["parts"] {
  const entries = new DataView(new ArrayBuffer(128 * 128));
  writeEntry(entries, 1, 100, 199);
  writeName(entries, 56, "one");
  writeEntry(entries, 3, 200, 200);
  changes.entries?.(entries);
  const header = new DataView(new ArrayBuffer(512));
  new Uint8Array(header.buffer).set(new TextEncoder().encode("EFI PART"));
  for (const [offset, value] of [
    [8, 0x10000],
    [12, 92],
    [80, 128],
    [84, 128],
  ] as const)
    header.setUint32(offset, value, true);
  const places = [
    [24, lba],
    [32, lba === 1 ? lastSector : 1],
    [40, 34],
    [48, sectors - 34],
    [72, arrayLba],
  ] as const;
  for (const [offset, value] of places) header.setBigUint64(offset, BigInt(value), true);
  header.setUint32(88, crc32(new Uint8Array(entries.buffer)), true);
  changes.header?.(header);
  header.setUint32(16, crc32(new Uint8Array(header.buffer, 0, Math.min(header.getUint32(12, true), 512))), true);
  return [
    { offset: lba * 512, bytes: new Uint8Array(header.buffer) },
    { offset: arrayLba * 512, bytes: new Uint8Array(entries.buffer) },
  ];
}

function disk(primary: Changes, backup: Changes = {}): Fixture {
  const parts = [...table(1, 2, primary), ...table(lastSector, lastSector - 32, backup)];
  return { name: "disk", deviceBytes: sectors * 512, parts };
}
const gptOf = (device: Fixture) => readGpt(readerOf(device), BigInt(device.deviceBytes), 512);
const numbersOf = async (device: Fixture) => (await gptOf(device)).partitions.map(({ number }) => number);

test("entries: numbers, bytes, GUIDs in their mixed byte order, a name or none", async () => {
  const common = { table: "gpt", type: "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa" };
  const partuuid = "03020100-0504-0706-0809-0a0b0c0d0e0f";
  expect(await gptOf(disk({}))).toEqual({
    partitions: [
      { ...common, number: 1, startBytes: 51200n, lengthBytes: 51200n, partuuid, partlabel: "one" },
      { ...common, number: 3, startBytes: 102400n, lengthBytes: 512n, partuuid, partlabel: null },
    ],
    problems: [],
  });
});

test("names: all 36 characters, and half a surrogate pair", async () => {
  const names = async (text: string) =>
    (await gptOf(disk({ entries: (view) => writeName(view, 56, text) }))).partitions[0]?.partlabel;
  expect(await names("x".repeat(36))).toBe("x".repeat(36));
  expect(await names("a\ud83db")).toBe("a\ufffdb");
  expect(await names('tab\t"é€\u{1F427}')).toBe('tab\t"é€\u{1F427}');
});

test.each<[string, (view: DataView) => void]>([
  ["it ends at sector 299, before its start at 300", (view) => writeEntry(view, 2, 300, 299)],
  ["it ends at sector 4096, past the disk's 4096 sectors", (view) => writeEntry(view, 2, 300, 4096)],
  ["it takes sectors 33 to 40, outside the usable 34 to 4062", (view) => writeEntry(view, 2, 33, 40)],
  ["it takes sectors 4000 to 4063, outside the usable 34 to 4062", (view) => writeEntry(view, 2, 4000, 4063)],
  [
    "it ends at sector 18446744073709551615, past the disk's 4096 sectors",
    (view) => {
      writeEntry(view, 2, 300, 400);
      view.setBigUint64(128 + 40, 0xffffffffffffffffn, true);
    },
  ],
])("a bad entry costs itself: %s", async (reason, entries) => {
  const found = await gptOf(disk({ entries }));
  expect(found.problems).toEqual([`partition 2: ${reason}, skipping`]);
  expect(found.partitions.map(({ number }) => number)).toEqual([1, 3]);
});

test("a header that calls everything usable does not make the table a partition", async () => {
  const found = await gptOf(
    disk({ header: (view) => view.setBigUint64(40, 0n, true), entries: (view) => writeEntry(view, 2, 1, 60) }),
  );
  expect(found.problems).toEqual(["partition 2: it starts at sector 1, inside the partition table, skipping"]);
});

test.each<[string, (view: DataView) => void]>([
  ["offset 8, revision: 0x20000, 0x10000 expected", (view) => view.setUint32(8, 0x20000, true)],
  ["offset 12, header size: 91, 92 to 512 expected", (view) => view.setUint32(12, 91, true)],
  ["offset 12, header size: 4294967295, 92 to 512 expected", (view) => view.setUint32(12, 0xffffffff, true)],
  ["offset 24, own sector: 7, 1 expected", (view) => view.setBigUint64(24, 7n, true)],
  ["offset 84, entry size: 127, a power of two from 128 to 4096 expected", (view) => view.setUint32(84, 127, true)],
  ["offset 84, entry size: 384, a power of two from 128 to 4096 expected", (view) => view.setUint32(84, 384, true)],
  ["offset 84, entry size: 8192, a power of two from 128 to 4096 expected", (view) => view.setUint32(84, 8192, true)],
  [
    "offset 80, number of entries: 4294967295 entries take 549755813760 bytes, 1 to 1048576 are taken",
    (view) => view.setUint32(80, 0xffffffff, true),
  ],
  [
    "offset 80, number of entries: 0 entries take 0 bytes, 1 to 1048576 are taken",
    (view) => view.setUint32(80, 0, true),
  ],
  ["offset 72, entries' sector: 1, at least 2 expected", (view) => view.setBigUint64(72, 1n, true)],
  [
    "offset 72, entries' sector: 18446744073709551615, inside the disk's 4096 sectors expected",
    (view) => view.setBigUint64(72, 0xffffffffffffffffn, true),
  ],
  ["offset 88, entries' checksum: the checksum does not match the entries", (view) => view.setUint32(88, 1, true)],
])("damaged primary header: %s", async (reason, header) => {
  const problem = `header at sector 1: gpt: ${reason}`;
  const found = await gptOf(disk({ header }));
  expect(found.problems).toEqual([problem, "the backup header at sector 4095 is used"]);
  expect(found.partitions.map(({ number }) => number)).toEqual([1, 3]);
});

test("damage that only the checksums show", async () => {
  expect((await gptOf(patched(disk({}), 512 + 56, [1]))).problems[0]).toBe(
    "header at sector 1: gpt: offset 16, checksum: the checksum does not match the header",
  );
  expect((await gptOf(patched(disk({}), 1024 + 4000, [1]))).problems[0]).toBe(
    "header at sector 1: gpt: offset 88, entries' checksum: the checksum does not match the entries",
  );
});

test("both headers damaged: no partitions, both reasons", async () => {
  const device = patched(patched(disk({}), 512, [0]), lastSector * 512 + 20, [1]);
  expect(await gptOf(device)).toEqual({
    partitions: [],
    problems: [
      'header at sector 1: gpt: offset 0, signature: "EFI PART" expected',
      "header at sector 4095: gpt: offset 16, checksum: the checksum does not match the header",
    ],
  });
});

test("a disk that has grown: the backup is where the primary says", async () => {
  const grown = { ...patched(disk({}), 1024 + 4000, [1]), deviceBytes: 2 * sectors * 512 };
  expect(await numbersOf(grown)).toEqual([1, 3]);
  expect((await gptOf(grown)).problems[1]).toBe("the backup header at sector 4095 is used");
});

test("a disk that was cut: what still fits stays", async () => {
  const cut = { ...disk({ entries: (view) => writeEntry(view, 2, 1000, 2000) }), deviceBytes: 1500 * 512 };
  const found = await gptOf(cut);
  expect(found.partitions.map(({ number }) => number)).toEqual([1, 3]);
  expect(found.problems).toEqual(["partition 2: it ends at sector 2000, past the disk's 1500 sectors, skipping"]);
});

test("larger entries, and more of them than Linux numbers", async () => {
  const entries = new DataView(new ArrayBuffer(512 * 256));
  for (let number = 1; number <= 512; number++) writeEntry(entries, number * 2 - 1, 100, 199);
  const header = (view: DataView): void => {
    view.setUint32(80, 512, true);
    view.setUint32(84, 256, true);
    view.setBigUint64(40, 66n, true);
    view.setBigUint64(72, 1000n, true);
    view.setUint32(88, crc32(new Uint8Array(entries.buffer)), true);
  };
  const found = await gptOf(patched(disk({ header }), 1000 * 512, new Uint8Array(entries.buffer)));
  expect(found.partitions.map(({ number }) => number)).toEqual(Array.from({ length: 255 }, (_, i) => i + 1));
  expect(found.problems).toEqual(["partitions from 256 on: Linux takes at most 255, skipping"]);
});
