import { describe, expect, it } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import type { AddressRange } from "../../../src/formats/memory-map.ts";
import { identityMapBytes, writeIdentityMap } from "../../../src/formats/page-tables.ts";

const gib = 2 ** 30;
const mib = 2 ** 20;

/** Walks tables as a processor does (Intel SDM, volume 3, figure 4-9); null: not present. */
function translate(bytes: Uint8Array, base: number, root: number, levels: number, address: number): number | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let table = root;
  for (let level = levels; level >= 2; level--) {
    const index = Math.floor(address / 2 ** (12 + 9 * (level - 1))) % 512;
    const entry = view.getBigUint64(table - base + index * 8, true);
    if ((entry & 1n) === 0n) return null;
    expect(entry & 2n, "writable").toBe(2n);
    expect(entry >> 63n, "executable").toBe(0n);
    if (level === 2) {
      expect(entry & 0x80n, "a large page").toBe(0x80n);
      return Number(entry & 0xfffffffe00000n) + (address % (2 * mib));
    }
    expect(entry & 0x80n, "a table").toBe(0n);
    table = Number(entry & 0xffffffffff000n);
  }
  return null;
}

describe("writeIdentityMap", () => {
  const base = 0x1234000;
  for (const levels of [4, 5] as const) {
    describe(`${levels} levels`, () => {
      const ranges: readonly AddressRange[] = [
        { start: 0, end: mib },
        { start: 0x3000_1000, end: 0x3000_2000 },
        { start: gib - 4096, end: gib + 4096 },
        { start: 700 * gib, end: 700 * gib + 5 * mib },
      ];
      const map = writeIdentityMap(ranges, base, levels);
      const at = (address: number): number | null => translate(map.bytes, base, map.root, levels, address);
      it("every address of the ranges is itself", () => {
        for (const { start, end } of ranges) {
          for (const address of [start, Math.floor((start + end) / 2), end - 1]) expect(at(address)).toBe(address);
        }
      });
      it("what lies in none is not there", () => {
        for (const address of [2 * mib, 0x3020_0000, 0x2fff_ffff, 2 * gib, 699 * gib, 701 * gib]) {
          expect(at(address)).toBe(null);
        }
      });
      it("the tables are as long as was told before, and the root is one of them", () => {
        expect(map.bytes.length).toBe(identityMapBytes(ranges, levels));
        // Three page directories, two tables of pointers to them, the root; and with five levels what is above it.
        expect(map.bytes.length).toBe((levels === 4 ? 6 : 7) * 4096);
        expect(map.root).toBeGreaterThanOrEqual(base);
        expect(map.root).toBeLessThan(base + map.bytes.length);
      });
    });
  }
  it("more than there is room for", () => {
    const ranges = Array.from({ length: 300 }, (_, i) => ({ start: i * gib, end: i * gib + 1 }));
    expect(() => writeIdentityMap(ranges, base, 4)).toThrow(FormatError);
    expect(() => writeIdentityMap([{ start: 0, end: 2 ** 50 }], base, 4)).toThrow(FormatError);
  });
});
