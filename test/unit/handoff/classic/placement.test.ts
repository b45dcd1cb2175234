import { describe, expect, it } from "vitest";
import type { AddressRange } from "../../../../src/formats/memory-map.ts";
import { Placement, PlacementError, type PlaceWish } from "../../../../src/handoff/classic/placement.ts";
import { PlanError } from "../../../../src/handoff/classic/plan.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

const anywhere: AddressRange = { start: 0, end: Number.MAX_SAFE_INTEGER };
const page = 4096;

/** RAM as a BIOS machine of 256 MiB has it. */
const smallMachine: readonly AddressRange[] = [
  { start: 0x1000, end: 0x9f000 },
  { start: 0x100000, end: 0xffe0000 },
];

const on = (bounds: AddressRange = anywhere): Placement => new Placement(smallMachine, bounds);

function expectRefusal(act: () => unknown, message: string): void {
  expect(act).toThrow(new PlacementError(message));
}

describe("place", () => {
  const gives = (bytes: number, wish: PlaceWish, address: number): void =>
    expect(on().place("part", bytes, wish)).toBe(address);

  it("from the top", () => gives(0x1800, { from: "top" }, 0xffde000));
  it("from the bottom", () => gives(0x1800, { from: "bottom" }, 0x1000));
  it("nothing is a page", () => gives(0, { from: "top" }, 0xffdf000));
  it("aligned, from the top", () => gives(0x200000, { from: "top", align: 0x200000 }, 0xfc00000));
  it("aligned, from the bottom", () => gives(0x200000, { from: "bottom", align: 0x200000 }, 0x200000));
  it("an alignment below the page is the page", () => gives(1, { from: "top", align: 16 }, 0xffdf000));
  it("below a bound, which is not part of it", () => gives(page, { from: "top", max: 0x9f000 }, 0x9e000));
  it("below a bound inside a page", () => gives(page, { from: "top", max: 0x9efff }, 0x9d000));
  it("above a bound inside a page", () => gives(page, { from: "bottom", min: 0x3001 }, 0x4000));
  it("above a bound in a hole", () => gives(page, { from: "bottom", min: 0xa0000 }, 0x100000));
  it("what does not fit low goes high", () => gives(0x9f000, { from: "bottom" }, 0x100000));
  it("above 4 GiB", () => {
    const placement = new Placement([...smallMachine, { start: 2 ** 32, end: 12 * 2 ** 30 }], anywhere);
    expect(placement.place("initrd", 2 ** 30, { from: "top", min: 2 ** 24 })).toBe(11 * 2 ** 30);
  });
  it("one after the other", () => {
    const placement = on();
    expect([1, 2, 3].map((n) => placement.place(`part ${n}`, page, { from: "top" }))).toEqual([
      0xffdf000, 0xffde000, 0xffdd000,
    ]);
    expect(placement.free).toEqual([
      { start: 0x1000, end: 0x9f000 },
      { start: 0x100000, end: 0xffdd000 },
    ]);
  });
  it("inside the operator's bounds", () => {
    expect(on({ start: 0x500000, end: 0x600800 }).place("part", page, { from: "top" })).toBe(0x5ff000);
    expect(on({ start: 0x500000, end: 0x600800 }).place("part", page, { from: "bottom" })).toBe(0x500000);
  });
  it("whole pages of RAM only", () => {
    const placement = new Placement(
      [
        { start: 0x1001, end: 0x3000 },
        { start: 0x3000, end: 0x4fff },
      ],
      anywhere,
    );
    expect(placement.usable).toEqual([{ start: 0x2000, end: 0x4000 }]);
  });

  it("tells what was wanted, where, and what there is", () => {
    expectRefusal(
      () => on().place("kernel", 0x10000000, { from: "top", align: 0x200000, min: 0x1000000 }),
      "no room for the kernel: 268435456 bytes (256 MiB) expected, aligned to 0x200000, at 0x1000000 or higher; " +
        "the largest free range there is 251527168 bytes (239.9 MiB) at 0x1000000..0xffe0000",
    );
    expectRefusal(
      () => on({ start: 0, end: 0x200000 }).place("initrd", 100, { from: "top", min: 0x1000000 }),
      "no room for the initrd: 100 bytes expected, aligned to 0x1000, in 0x1000000..0x200000; nothing is free there",
    );
  });
  it("nothing is taken in vain", () => {
    const placement = on();
    expect(placement.tryPlace("kernel", 2 ** 40, { from: "top" })).toBeNull();
    expect(placement.free).toEqual(smallMachine);
  });
});

describe("reserve", () => {
  it("takes whole pages", () => {
    const placement = on();
    placement.reserve("kernel", 0x100000, 0x1001);
    expect(placement.place("other", page, { from: "bottom", min: 0x100000 })).toBe(0x102000);
  });
  it("knows before", () => {
    const placement = on();
    expect(placement.isFree(0x100000, 0x2000)).toBe(true);
    expect(placement.isFree(0x100001, 0x10)).toBe(false);
    expect(placement.isFree(0x9e000, 0x1001)).toBe(false);
  });
  it("not RAM", () =>
    expectRefusal(
      () => on().reserve("kernel", 0x9e000, 0x3000),
      "the kernel has to lie at 0x9e000..0xa1000: RAM expected, but 0x9f000..0xa1000 cannot be used",
    ));
  it("not a page", () =>
    expectRefusal(
      () => on().reserve("kernel", 0x100010, 0x3000),
      "the kernel has to lie at 0x100010..0x103010: a multiple of 0x1000 expected",
    ));
  it("taken", () => {
    const placement = on();
    placement.reserve("kernel", 0x100000, 0x3000);
    expectRefusal(
      () => placement.reserve("module 1", 0x102000, 1),
      "the module 1 has to lie at 0x102000..0x103000, which the kernel takes (0x100000..0x103000)",
    );
  });
  it("out of bounds", () => {
    expectRefusal(
      () => on({ start: 0x200000, end: 0x800000 }).reserve("kernel", 0x100000, 0x3000),
      "the kernel has to lie at 0x100000..0x103000, outside 0x200000..0x800000, where parts may lie",
    );
    expectRefusal(
      () => on({ start: 0x200000, end: Number.MAX_SAFE_INTEGER }).reserve("kernel", 0x100000, 0x3000),
      "the kernel has to lie at 0x100000..0x103000, outside 0x200000 or higher, where parts may lie",
    );
  });
  it("is a reason not to plan", () => expect(() => on().reserve("kernel", 0, 1)).toThrow(PlanError));
});

describe("properties", () => {
  interface Request {
    readonly bytes: number;
    readonly wish: PlaceWish;
  }

  /** Small memories, so that much does not fit: at most 64 pages in up to five ranges. */
  function randomCase(random: () => number): { usable: AddressRange[]; bounds: AddressRange; requests: Request[] } {
    const below = (n: number): number => random() % n;
    const address = (): number => below(64) * page + (below(4) === 0 ? below(page) : 0);
    const range = (): AddressRange => {
      const [a, b] = [address(), address()];
      return { start: Math.min(a, b), end: Math.max(a, b) };
    };
    const requests = Array.from({ length: 1 + below(6) }, (): Request => {
      const { start, end } = range();
      return {
        bytes: below(8 * page),
        wish: {
          from: below(2) === 0 ? "top" : "bottom",
          align: page << below(4),
          ...(below(2) === 0 ? { min: start } : {}),
          ...(below(2) === 0 ? { max: end } : {}),
        },
      };
    });
    const usable = Array.from({ length: 1 + below(5) }, range);
    return { usable, bounds: below(2) === 0 ? anywhere : range(), requests };
  }

  /** Every page number, by the words of the request alone. */
  function exhaustive(usable: readonly AddressRange[], bounds: AddressRange, { bytes, wish }: Request): number[] {
    const isUsable = (at: number): boolean => {
      for (let byte = at; byte < at + page; byte += page - 1) {
        if (byte < bounds.start || byte >= bounds.end) return false;
      }
      // A page is RAM when no byte of it is missing: ranges may meet inside it, so each of their edges counts.
      const edges = usable.flatMap(({ start, end }) => [start, end, end - 1]).filter((e) => e >= at && e < at + page);
      return [at, at + page - 1, ...edges].every((e) => usable.some(({ start, end }) => e >= start && e < end));
    };
    const pages = Math.max(1, Math.ceil(bytes / page));
    const found: number[] = [];
    for (let at = 0; at < 80 * page; at += wish.align ?? page) {
      const inside = at >= (wish.min ?? 0) && at + pages * page <= (wish.max ?? anywhere.end);
      if (inside && Array.from({ length: pages }, (_, n) => at + n * page).every(isUsable)) found.push(at);
    }
    return found;
  }

  const attempt = (placement: Placement, { bytes, wish }: Request): number | null => {
    try {
      return placement.place("part", bytes, wish);
    } catch (error) {
      expect(error).toBeInstanceOf(PlacementError);
      return null;
    }
  };

  it("a single part gets the best of all places that there are", () => {
    const random = randomNumbers(20260801);
    for (let round = 0; round < 400; round++) {
      const { usable, bounds, requests } = randomCase(random);
      for (const request of requests) {
        const places = exhaustive(usable, bounds, request);
        const best = request.wish.from === "top" ? places.at(-1) : places[0];
        expect(attempt(new Placement(usable, bounds), request)).toBe(best ?? null);
      }
    }
  });

  it("parts never overlap, lie inside and aligned, and the same requests give the same places", () => {
    const random = randomNumbers(4711);
    for (let round = 0; round < 400; round++) {
      const { usable, bounds, requests } = randomCase(random);
      const placement = new Placement(usable, bounds);
      const places = requests.map((request) => attempt(placement, request));
      const taken = new Set<number>();
      requests.forEach(({ bytes, wish }, index) => {
        const at = places[index];
        if (at === null || at === undefined) return;
        expect(at % (wish.align ?? page)).toBe(0);
        expect(exhaustive(usable, bounds, { bytes, wish })).toContain(at);
        for (let n = at; n < at + Math.max(bytes, 1); n += page) {
          expect(taken.has(n)).toBe(false);
          taken.add(n);
        }
      });
      const again = new Placement(usable, bounds);
      expect(requests.map((request) => attempt(again, request))).toEqual(places);
    }
  });
});
