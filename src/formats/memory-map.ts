import { FormatError, quote } from "./format-error.ts";

/**
 * Addresses from `start` up to but not including `end`; bytes. Physical addresses fit a number: they have at most 52
 * bits.
 */
export interface AddressRange {
  readonly start: number;
  readonly end: number;
}

/** What the firmware says of a range (ACPI 6.5, section 15, "Address Range Types", and what Linux adds to it). */
export type MemoryType =
  | "ram"
  | "reserved"
  | "acpi"
  | "acpi-nvs"
  | "unusable"
  | "persistent"
  | "persistent-legacy"
  | "soft-reserved";

export interface MemoryRange extends AddressRange {
  readonly type: MemoryType;
}

/** Most ranges of a memory map. Firmware gives a few hundred at worst. */
export const memoryRangesMax = 16_384;

interface TypeFacts {
  readonly type: MemoryType;
  /** In an e820 table (Linux, arch/x86/include/asm/e820/types.h). */
  readonly e820: number;
  /** As /sys/firmware/memmap and /proc/iomem name it (arch/x86/kernel/e820.c), in lower case. */
  readonly name: string;
}

/**
 * From the freest to the strictest: of ranges that overlap the later one here wins, so that nobody uses what another
 * forbids.
 */
const types: readonly TypeFacts[] = [
  { type: "ram", e820: 1, name: "system ram" },
  { type: "soft-reserved", e820: 0xefff_ffff, name: "soft reserved" },
  { type: "persistent-legacy", e820: 12, name: "persistent memory (legacy)" },
  { type: "persistent", e820: 7, name: "persistent memory" },
  { type: "acpi", e820: 3, name: "acpi tables" },
  { type: "acpi-nvs", e820: 4, name: "acpi non-volatile storage" },
  { type: "reserved", e820: 2, name: "reserved" },
  { type: "unusable", e820: 5, name: "unusable memory" },
];

/** E820_TYPE_RESERVED_KERN: RAM in which the running kernel's own setup data lie. */
const e820ReservedKernel = 128;

/** The number that stands for a type in an e820 table. */
export function e820Number(type: MemoryType): number {
  return types.find((facts) => facts.type === type)?.e820 ?? 2;
}

/** The type that an e820 number stands for; one that Linux does not know is reserved. */
export function e820Type(number: number): MemoryType {
  if (number === e820ReservedKernel) return "ram";
  return types.find((facts) => facts.e820 === number)?.type ?? "reserved";
}

/** The type of which /sys/firmware/memmap and /proc/iomem speak by this name; null when it is none of a memory type. */
export function memoryTypeOfName(name: string): MemoryType | null {
  return types.find((facts) => facts.name === name.toLowerCase())?.type ?? null;
}

/** The texts of one directory of /sys/firmware/memmap, line ends included. */
export interface FirmwareMapEntry {
  readonly start: string;
  /** Of the last byte. */
  readonly end: string;
  readonly type: string;
}

/**
 * The firmware's map from /sys/firmware/memmap (Linux, Documentation/ABI/testing/sysfs-firmware-memmap): sorted, not
 * overlapping, neighbours of one type joined. A type that is not known counts as reserved. Throws {@link FormatError}
 * for a number that is none.
 */
export function firmwareMemoryMap(entries: readonly FirmwareMapEntry[]): MemoryRange[] {
  return normalizeMemory(
    entries.map(({ start, end, type }) => ({
      start: firmwareAddress(start, "start"),
      end: firmwareAddress(end, "end") + 1,
      type: memoryTypeOfName(type.trim()) ?? "reserved",
    })),
  );
}

function firmwareAddress(text: string, field: string): number {
  const digits = /^0x([0-9a-f]{1,16})$/i.exec(text.trim())?.[1];
  const value = digits === undefined ? Number.NaN : Number.parseInt(digits, 16);
  if (value < Number.MAX_SAFE_INTEGER) return value;
  throw new FormatError("memmap", `${quote(text)}: a hexadecimal address below 2^53 expected`, { field });
}

/**
 * Sorted, not overlapping, neighbours of one type joined, nothing empty. Where ranges overlap, the stricter type holds.
 * Throws {@link FormatError} for more than {@link memoryRangesMax}.
 */
export function normalizeMemory(ranges: readonly MemoryRange[]): MemoryRange[] {
  if (ranges.length > memoryRangesMax) {
    throw new FormatError("memory map", `${ranges.length} ranges, at most ${memoryRangesMax} are taken`);
  }
  const edges = ranges
    .filter(({ start, end }) => start < end)
    .flatMap(({ start, end, type }) => {
      const rank = types.findIndex((facts) => facts.type === type);
      return [
        { at: start, rank, change: 1 },
        { at: end, rank, change: -1 },
      ];
    })
    .sort((a, b) => a.at - b.at);
  const open = types.map(() => 0);
  const result: MemoryRange[] = [];
  let from = 0;
  for (const { at, rank, change } of edges) {
    const type = types[open.findLastIndex((count) => count > 0)]?.type;
    if (type !== undefined && at > from) appendRange(result, { start: from, end: at, type });
    open[rank] = (open[rank] ?? 0) + change;
    from = at;
  }
  return result;
}

function appendRange(ranges: MemoryRange[], range: MemoryRange): void {
  const last = ranges.at(-1);
  if (last?.end === range.start && last.type === range.type) {
    ranges[ranges.length - 1] = { ...last, end: range.end };
  } else ranges.push(range);
}

/** The RAM of a map, sorted and joined. */
export function ramOf(memory: readonly MemoryRange[]): AddressRange[] {
  return mergeRanges(memory.filter((range) => range.type === "ram"));
}

/** What any of the ranges covers: sorted, not overlapping, neighbours joined, nothing empty. */
export function mergeRanges(ranges: readonly AddressRange[]): AddressRange[] {
  const sorted = ranges.filter(({ start, end }) => start < end).sort((a, b) => a.start - b.start);
  const result: AddressRange[] = [];
  for (const { start, end } of sorted) {
    const last = result.at(-1);
    if (last !== undefined && start <= last.end) {
      result[result.length - 1] = { start: last.start, end: Math.max(last.end, end) };
    } else result.push({ start, end });
  }
  return result;
}

/** What both cover, in the form of {@link mergeRanges}. */
export function intersectRanges(a: readonly AddressRange[], b: readonly AddressRange[]): AddressRange[] {
  const left = mergeRanges(a);
  const right = mergeRanges(b);
  const result: AddressRange[] = [];
  for (let i = 0, j = 0; ; ) {
    const x = left[i];
    const y = right[j];
    if (x === undefined || y === undefined) return result;
    const start = Math.max(x.start, y.start);
    const end = Math.min(x.end, y.end);
    if (start < end) result.push({ start, end });
    if (x.end <= y.end) i++;
    else j++;
  }
}

/** What `from` covers and `without` does not, in the form of {@link mergeRanges}. */
export function subtractRanges(from: readonly AddressRange[], without: readonly AddressRange[]): AddressRange[] {
  const gaps: AddressRange[] = [];
  let start = 0;
  for (const hole of mergeRanges(without)) {
    gaps.push({ start, end: hole.start });
    start = hole.end;
  }
  gaps.push({ start, end: Number.MAX_SAFE_INTEGER });
  return intersectRanges(from, gaps);
}

/** The whole units (bytes: a page) inside each range; what holds none is left out. */
export function wholeUnits(ranges: readonly AddressRange[], unit: number): AddressRange[] {
  return ranges
    .map(({ start, end }) => ({ start: Math.ceil(start / unit) * unit, end: Math.floor(end / unit) * unit }))
    .filter(({ start, end }) => start < end);
}
