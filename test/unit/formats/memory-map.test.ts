import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { iomemMemoryMap, parseIomem } from "../../../src/formats/iomem.ts";
import {
  type AddressRange,
  e820Number,
  e820Type,
  type FirmwareMapEntry,
  firmwareMemoryMap,
  intersectRanges,
  type MemoryRange,
  type MemoryType,
  memoryRangesMax,
  mergeRanges,
  normalizeMemory,
  ramOf,
  subtractRanges,
  wholeUnits,
} from "../../../src/formats/memory-map.ts";
import { type KernelTree, kernelTree, treeText } from "../../fakes/kernel-tree.ts";
import { randomNumbers } from "../../fakes/random-numbers.ts";

function entriesOf(tree: KernelTree): FirmwareMapEntry[] {
  const directories = [...tree.keys()].filter((file) => /memmap\/\d+\/start$/.test(file)).map((f) => f.slice(0, -6));
  const text = (file: string): string => `${treeText(tree, file)}\n`;
  return directories.map((d) => ({ start: text(`${d}/start`), end: text(`${d}/end`), type: text(`${d}/type`) }));
}

/** The `BIOS-e820:` lines of the guests' logs. */
const seabios: readonly MemoryRange[] = [
  { start: 0, end: 0x9_fc00, type: "ram" },
  { start: 0x9_fc00, end: 0xa_0000, type: "reserved" },
  { start: 0xf_0000, end: 0x10_0000, type: "reserved" },
  { start: 0x10_0000, end: 0x7ffd_c000, type: "ram" },
  { start: 0x7ffd_c000, end: 0x8000_0000, type: "reserved" },
  { start: 0xb000_0000, end: 0xc000_0000, type: "reserved" },
  { start: 0xfed1_c000, end: 0xfed2_0000, type: "reserved" },
  { start: 0xfffc_0000, end: 0x1_0000_0000, type: "reserved" },
  { start: 0x1_0000_0000, end: 0x1_c000_0000, type: "ram" },
  { start: 0xfd_0000_0000, end: 0x100_0000_0000, type: "reserved" },
];
const ovmf: readonly MemoryRange[] = [
  { start: 0, end: 0xa_0000, type: "ram" },
  { start: 0x10_0000, end: 0x80_0000, type: "ram" },
  { start: 0x80_0000, end: 0x80_8000, type: "acpi-nvs" },
  { start: 0x80_8000, end: 0x80_b000, type: "ram" },
  { start: 0x80_b000, end: 0x80_c000, type: "acpi-nvs" },
  { start: 0x80_c000, end: 0x81_0000, type: "ram" },
  { start: 0x81_0000, end: 0x90_0000, type: "acpi-nvs" },
  { start: 0x90_0000, end: 0x7eea_1000, type: "ram" },
  { start: 0x7eea_1000, end: 0x7ef6_2000, type: "reserved" },
  { start: 0x7ef6_2000, end: 0x7f8e_d000, type: "ram" },
  { start: 0x7f8e_d000, end: 0x7fb6_d000, type: "reserved" },
  { start: 0x7fb6_d000, end: 0x7fb7_f000, type: "acpi" },
  { start: 0x7fb7_f000, end: 0x7fbf_f000, type: "acpi-nvs" },
  { start: 0x7fbf_f000, end: 0x7ff5_0000, type: "ram" },
  { start: 0x7ff5_0000, end: 0x7ff7_0000, type: "reserved" },
  { start: 0x7ff7_0000, end: 0x8000_0000, type: "acpi-nvs" },
  { start: 0xb000_0000, end: 0xc000_0000, type: "reserved" },
  { start: 0x1_0000_0000, end: 0x1_c000_0000, type: "ram" },
];

describe("maps of real guests", () => {
  test("SeaBIOS, from /sys/firmware/memmap", () =>
    expect(firmwareMemoryMap(entriesOf(kernelTree("bios")))).toEqual(seabios));
  test("OVMF, from /sys/firmware/memmap", () => expect(firmwareMemoryMap(entriesOf(kernelTree("uefi")))).toEqual(ovmf));
  test("SeaBIOS, from /proc/iomem: the same but for what Linux keeps", () => {
    const map = iomemMemoryMap(parseIomem(treeText(kernelTree("bios"), "proc/iomem")));
    expect(map).toEqual([
      { start: 0, end: 0x1000, type: "reserved" },
      { start: 0x1000, end: 0x9_fc00, type: "ram" },
      ...seabios.slice(1),
    ]);
  });
  test("OVMF, from /proc/iomem", () => {
    const map = iomemMemoryMap(parseIomem(treeText(kernelTree("uefi"), "proc/iomem")));
    expect(map).toEqual([
      { start: 0, end: 0x1000, type: "reserved" },
      { start: 0x1000, end: 0xa_0000, type: "ram" },
      ...ovmf.slice(1),
    ]);
  });
  test("what lies reserved inside RAM is the running kernel's business", () => {
    const text = "1000-ffff : System RAM\n  2000-2fff : Reserved\n10000-1ffff : PCI Bus\n  10000-10fff : Reserved\n";
    expect(iomemMemoryMap(parseIomem(text))).toEqual([
      { start: 0x1000, end: 0x1_0000, type: "ram" },
      { start: 0x1_0000, end: 0x1_1000, type: "reserved" },
    ]);
  });
});

describe("types", () => {
  const numbers: readonly (readonly [MemoryType, number, string])[] = [
    ["ram", 1, "System RAM"],
    ["reserved", 2, "Reserved"],
    ["acpi", 3, "ACPI Tables"],
    ["acpi-nvs", 4, "ACPI Non-volatile Storage"],
    ["unusable", 5, "Unusable memory"],
    ["persistent", 7, "Persistent Memory"],
    ["persistent-legacy", 12, "Persistent Memory (legacy)"],
    ["soft-reserved", 0xefff_ffff, "Soft Reserved"],
  ];
  test.each(numbers)("%s is %i, %j", (type, number, name) => {
    expect(e820Number(type)).toBe(number);
    expect(e820Type(number)).toBe(type);
    expect(firmwareMemoryMap([{ start: "0x0\n", end: "0xfff\n", type: `${name}\n` }])).toEqual([
      { start: 0, end: 0x1000, type },
    ]);
  });
  test("others", () => {
    expect(e820Type(128)).toBe("ram");
    expect([0, 6, 8, 13, 0xffff_ffff].map(e820Type)).toEqual(Array.from({ length: 5 }, () => "reserved"));
    expect(firmwareMemoryMap([{ start: "0x0", end: "0xfff", type: "reserved" }])[0]?.type).toBe("reserved");
    expect(firmwareMemoryMap([{ start: "0x0", end: "0xfff", type: "Unknown E820 type" }])[0]?.type).toBe("reserved");
  });
  const broken: readonly (readonly [Partial<FirmwareMapEntry>, string])[] = [
    [{ start: "" }, 'memmap: start: "": a hexadecimal address below 2^53 expected'],
    [{ end: "17" }, 'memmap: end: "17": a hexadecimal address below 2^53 expected'],
    [
      { end: "0xffffffffffffffff\n" },
      'memmap: end: "0xffffffffffffffff\\u{a}": a hexadecimal address below 2^53 expected',
    ],
  ];
  test.each(broken)("%j", (entry, message) => {
    const read = (): unknown => firmwareMemoryMap([{ start: "0x0", end: "0xf", type: "System RAM", ...entry }]);
    expect(read).toThrow(FormatError);
    expect(read).toThrow(expect.objectContaining({ message }));
  });
});

describe("normalizeMemory", () => {
  test("of ranges that overlap the stricter one holds", () => {
    expect(
      normalizeMemory([
        { start: 0, end: 100, type: "ram" },
        { start: 20, end: 30, type: "acpi" },
        { start: 25, end: 40, type: "reserved" },
        { start: 100, end: 110, type: "ram" },
        { start: 60, end: 60, type: "unusable" },
        { start: 80, end: 70, type: "unusable" },
      ]),
    ).toEqual([
      { start: 0, end: 20, type: "ram" },
      { start: 20, end: 25, type: "acpi" },
      { start: 25, end: 40, type: "reserved" },
      { start: 40, end: 110, type: "ram" },
    ]);
  });
  test("has a limit", () => {
    const ranges = Array.from({ length: memoryRangesMax + 1 }, (): MemoryRange => ({ start: 0, end: 1, type: "ram" }));
    expect(normalizeMemory(ranges.slice(1))).toEqual([{ start: 0, end: 1, type: "ram" }]);
    expect(() => normalizeMemory(ranges)).toThrow("memory map: 16385 ranges, at most 16384 are taken");
  });
  test("each address has the strictest type of those that hold it", () => {
    const random = randomNumbers(3);
    const order: readonly MemoryType[] = [
      "ram",
      "soft-reserved",
      "persistent-legacy",
      "persistent",
      "acpi",
      "acpi-nvs",
      "reserved",
      "unusable",
    ];
    for (let round = 0; round < 300; round++) {
      const ranges = randomRanges(random, 12).map((range) => ({
        ...range,
        type: order[random() % order.length] ?? "ram",
      }));
      const model = Array.from({ length: space }, (_, at) =>
        Math.max(...ranges.map((r) => (r.start <= at && at < r.end ? order.indexOf(r.type) : -1)), -1),
      );
      const map = normalizeMemory(ranges);
      expect(map.map(({ start, end }) => [start, end])).toEqual(sortedAndApart(map));
      const found = Array.from({ length: space }, (_, at) => {
        const range = map.find(({ start, end }) => start <= at && at < end);
        return range === undefined ? -1 : order.indexOf(range.type);
      });
      expect(found).toEqual(model);
      expect(normalizeMemory(map)).toEqual(map);
      for (const [index, range] of map.entries()) {
        const next = map[index + 1];
        expect(next !== undefined && next.start === range.end && next.type === range.type).toBe(false);
      }
    }
  });
});

const space = 64;

function randomRanges(random: () => number, most: number): AddressRange[] {
  return Array.from({ length: random() % (most + 1) }, () => {
    const start = random() % space;
    return { start, end: Math.min(space, start + (random() % 12)) };
  });
}

function sortedAndApart(ranges: readonly AddressRange[]): number[][] {
  let last = -1;
  for (const { start, end } of ranges) {
    expect(start).toBeGreaterThanOrEqual(last);
    expect(end).toBeGreaterThan(start);
    last = end;
  }
  return ranges.map(({ start, end }) => [start, end]);
}

function bits(ranges: readonly AddressRange[]): boolean[] {
  return Array.from({ length: space }, (_, at) => ranges.some(({ start, end }) => start <= at && at < end));
}

test("merge, intersect and subtract are those of sets of addresses", () => {
  const random = randomNumbers(7);
  for (let round = 0; round < 500; round++) {
    const a = randomRanges(random, 8);
    const b = randomRanges(random, 8);
    const [inA, inB] = [bits(a), bits(b)];
    const results: readonly (readonly [AddressRange[], boolean[]])[] = [
      [mergeRanges(a), inA],
      [intersectRanges(a, b), inA.map((is, at) => is && inB[at] === true)],
      [subtractRanges(a, b), inA.map((is, at) => is && inB[at] !== true)],
    ];
    for (const [ranges, expected] of results) {
      sortedAndApart(ranges);
      for (const [index, { end }] of ranges.entries()) expect(ranges[index + 1]?.start).not.toBe(end);
      expect(bits(ranges)).toEqual(expected);
    }
  }
});

test("high addresses", () => {
  const top = 2 ** 52;
  expect(subtractRanges([{ start: 0, end: top }], [{ start: 2 ** 40, end: 2 ** 41 }])).toEqual([
    { start: 0, end: 2 ** 40 },
    { start: 2 ** 41, end: top },
  ]);
});

test("whole units", () => {
  const ranges = [
    { start: 1, end: 3 * 4096 - 1 },
    { start: 4 * 4096 + 1, end: 5 * 4096 + 4095 },
    { start: 2 ** 40, end: 2 ** 40 + 4096 },
  ];
  expect(wholeUnits(ranges, 4096)).toEqual([
    { start: 4096, end: 8192 },
    { start: 2 ** 40, end: 2 ** 40 + 4096 },
  ]);
});

test("ramOf", () => {
  expect(ramOf(ovmf).map(({ start }) => start)).toEqual([
    0, 0x10_0000, 0x80_8000, 0x80_c000, 0x90_0000, 0x7ef6_2000, 0x7fbf_f000, 0x1_0000_0000,
  ]);
});
