import { describe, expect, test } from "vitest";
import { hex } from "../../../../src/formats/bytes.ts";
import {
  arm64Filter,
  deltaFilter,
  type Filter,
  FilterChain,
  x86Filter,
} from "../../../../src/formats/compression/filters.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";
import { concat } from "./fixture.ts";

function undo(filter: Filter, bytes: readonly number[]): string {
  return hex(new FilterChain([filter]).undo(Uint8Array.from(bytes), true));
}

describe("x86", () => {
  test("CALL and JMP: the target less the address behind", () => {
    expect(undo(x86Filter(0), [0xe8, 0x10, 0, 0, 0])).toBe("e80b000000");
    expect(undo(x86Filter(0), [0x90, 0xe9, 0x10, 0, 0, 0])).toBe("90e90a000000");
    expect(undo(x86Filter(0x1000), [0xe8, 0x10, 0, 0, 0])).toBe("e80bf0ffff");
  });
  test("a target whose highest byte is no sign is left", () => {
    expect(undo(x86Filter(0), [0xe8, 0x10, 0, 0, 1])).toBe("e810000001");
  });
  test("an instruction that is cut is left", () => {
    expect(undo(x86Filter(0), [0xe8, 0x10, 0, 0])).toBe("e8100000");
  });
  test("other instructions are left", () => {
    expect(undo(x86Filter(0), [0xea, 0x10, 0, 0, 0, 0xe7, 0, 0, 0, 0])).toBe("ea10000000e700000000");
  });
});

describe("ARM64", () => {
  const words = (...values: number[]): number[] => [...new Uint8Array(Uint32Array.from(values).buffer)];
  test("BL: words from here", () => {
    expect(undo(arm64Filter(4), words(0x94000003, 0x94000003))).toBe(
      hex(Uint8Array.from(words(0x94000002, 0x94000001))),
    );
    expect(undo(arm64Filter(8), words(0x94000001))).toBe(hex(Uint8Array.from(words(0x97ffffff))));
  });
  test("ADRP: pages from here, within 512 MiB", () => {
    // Page 5 (immlo 1, immhi 1) at 0x2000: 3 pages on (immlo 3, immhi 0).
    expect(undo(arm64Filter(0x2000), words(0xb0000020))).toBe(hex(Uint8Array.from(words(0xf0000000))));
    // Page 0 at 0x1000: one page back.
    expect(undo(arm64Filter(0x1000), words(0x90000007))).toBe(hex(Uint8Array.from(words(0xf0ffffe7))));
    // Bit 18 of the page alone: farther than that.
    expect(undo(arm64Filter(0x1000), words(0x90200000))).toBe(hex(Uint8Array.from(words(0x90200000))));
  });
  test("a rest that is no word is left", () => {
    expect(undo(arm64Filter(4), [0x03, 0, 0])).toBe("030000");
  });
});

test("delta: sums at a distance", () => {
  expect(undo(deltaFilter(1), [1, 1, 1, 0xff])).toBe("01020302");
  // The .xz File Format 1.1.0, section 5.3.3.
  expect(undo(deltaFilter(2), [0xa1, 0xb1, 0x01, 0x02, 0x01, 0x02, 0x01, 0x02])).toBe("a1b1a2b3a3b5a4b7");
  const far = new Array(257).fill(1);
  expect(undo(deltaFilter(256), far).slice(-4)).toBe("0102");
});

// What is undone must not depend on where LZMA2's chunks end.
test("in pieces as at once", () => {
  const random = randomNumbers(0xf117);
  const values = [0xe8, 0xe9, 0, 0, 0xff, 0x94, 0x90, 7];
  const makers: readonly (() => Filter)[] = [
    () => x86Filter(0xfffffff0 | 0),
    () => arm64Filter(64),
    () => deltaFilter(7),
  ];
  for (let round = 0; round < 300; round++) {
    const bytes = Uint8Array.from({ length: random() % 60 }, () => values[(random() >>> 5) % values.length] ?? 0);
    const filters = makers.filter(() => (random() >>> 5) % 2 === 0);
    const chain = new FilterChain(filters.map((make) => make()));
    const pieces: Uint8Array[] = [];
    for (let done = 0; done < bytes.length; ) {
      const end = Math.min(bytes.length, done + ((random() >>> 5) % 9));
      pieces.push(chain.undo(bytes.subarray(done, end), false).slice());
      done = end;
    }
    pieces.push(chain.undo(new Uint8Array(0), true).slice());
    const whole = new FilterChain(filters.map((make) => make())).undo(bytes, true);
    expect(hex(concat(pieces))).toBe(hex(whole));
  }
});
