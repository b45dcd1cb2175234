import { ByteWriter } from "./byte-writer.ts";
import { FormatError } from "./format-error.ts";
import { type AddressRange, mergeRanges } from "./memory-map.ts";

/*
 * Page tables of x86-64 in which every address means itself.
 * Source: Intel SDM, volume 3, chapter 4.5 "4-Level Paging and 5-Level Paging".
 */

const format = "page tables";
const tableBytes = 4096;
const entryBytes = 8;
const entriesPerTable = 512;
/** What one entry of a page directory maps. */
const largePageBytes = 2 ** 21;
/** Present, writable, accessed. */
const toTable = 0x23n;
/** Present, writable, accessed, dirty, a large page. */
const toLargePage = 0xe3n;

/** Most tables that are written: as many GiB can be mapped, less a few. */
export const identityMapTablesMax = 256;

/** Page tables, and where the processor is told to begin. */
export interface IdentityMap {
  readonly bytes: Uint8Array;
  /** For CR3. */
  readonly root: number;
}

/**
 * Tables that map the ranges, rounded to pages of 2 MiB, to themselves: writable and executable. They are to lie at
 * `address`, a multiple of 4096. Throws {@link FormatError} for more than {@link identityMapTablesMax} tables.
 *
 * @param levels 4, or 5 for a processor that runs with LA57
 */
export function writeIdentityMap(ranges: readonly AddressRange[], address: number, levels: 4 | 5): IdentityMap {
  const tables = planTables(ranges, levels);
  const out = new ByteWriter(tables.length * tableBytes, format);
  const addressOf = new Map(
    tables.map((table, index) => [key(table.level, table.index), address + index * tableBytes]),
  );
  tables.forEach((table, number) => {
    for (const child of table.children) {
      const at = number * tableBytes + (child % entriesPerTable) * entryBytes;
      const entry =
        table.level === 1
          ? BigInt(child * largePageBytes) | toLargePage
          : BigInt(addressOf.get(key(table.level - 1, child)) ?? 0) | toTable;
      out.u64(at, entry, "entry");
    }
  });
  return { bytes: out.bytes, root: addressOf.get(key(levels - 1, 0)) ?? address };
}

/** Bytes that {@link writeIdentityMap} will need for the ranges. */
export function identityMapBytes(ranges: readonly AddressRange[], levels: 4 | 5): number {
  return planTables(ranges, levels).length * tableBytes;
}

interface Table {
  /** 1: a page directory, whose entries are large pages; 2: one of page-directory pointers; and so on. */
  readonly level: number;
  /** Of the table among those of its level, if all were there. */
  readonly index: number;
  /** What its entries lead to, as indices of the level below. */
  readonly children: readonly number[];
}

/** The tables from the page directories up to the root. */
function planTables(ranges: readonly AddressRange[], levels: 4 | 5): Table[] {
  const tables: Table[] = [];
  let children = largePages(ranges);
  for (let level = 1; level < levels; level++) {
    const groups = new Map<number, number[]>();
    for (const child of children) {
      const index = Math.floor(child / entriesPerTable);
      const group = groups.get(index);
      if (group === undefined) groups.set(index, [child]);
      else group.push(child);
    }
    for (const [index, own] of groups) tables.push({ level, index, children: own });
    if (tables.length > identityMapTablesMax) {
      throw new FormatError(format, `${tables.length} tables; at most ${identityMapTablesMax} are written`);
    }
    children = [...groups.keys()];
  }
  return tables;
}

function largePages(ranges: readonly AddressRange[]): number[] {
  const most = identityMapTablesMax * entriesPerTable;
  const pages: number[] = [];
  for (const { start, end } of around(ranges)) {
    for (let page = start / largePageBytes; page < end / largePageBytes; page++) {
      if (pages.length === most) throw new FormatError(format, `at most ${most} pages of 2 MiB are mapped`);
      pages.push(page);
    }
  }
  return pages;
}

/** The ranges, rounded outwards to large pages, each page once. */
function around(ranges: readonly AddressRange[]): AddressRange[] {
  return mergeRanges(
    ranges.map(({ start, end }) => ({
      start: Math.floor(start / largePageBytes) * largePageBytes,
      end: Math.ceil(end / largePageBytes) * largePageBytes,
    })),
  );
}

function key(level: number, index: number): string {
  return `${level}:${index}`;
}
