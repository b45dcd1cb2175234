import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import type { MemoryRange } from "../../../src/formats/memory-map.ts";
import {
  type Multiboot2InfoRequest,
  multibootModulesMax,
  writeMultiboot2Info,
  writeMultibootInfo,
} from "../../../src/formats/multiboot-info.ts";
import type { FrameBuffer } from "../../../src/formats/screen-info.ts";

const memory: readonly MemoryRange[] = [
  { start: 0, end: 0x9_fc00, type: "ram" },
  { start: 0x9_fc00, end: 0xa_0000, type: "reserved" },
  { start: 0x10_0000, end: 0x7ffd_c000, type: "ram" },
  { start: 0x7ffd_c000, end: 0x7ffe_c000, type: "acpi" },
  { start: 0x7ffe_c000, end: 0x7fff_c000, type: "acpi-nvs" },
  { start: 0x7fff_c000, end: 0x8000_0000, type: "unusable" },
  { start: 0x1_0000_0000, end: 0x1_c000_0000, type: "persistent" },
];
/** Base, length and type of each range, as both specifications number the types. */
const told = [
  [0n, 0x9_fc00n, 1],
  [0x9_fc00n, 0x400n, 2],
  [0x10_0000n, 0x7fed_c000n, 1],
  [0x7ffd_c000n, 0x1_0000n, 3],
  [0x7ffe_c000n, 0x1_0000n, 4],
  [0x7fff_c000n, 0x4000n, 5],
  [0x1_0000_0000n, 0xc000_0000n, 2],
];

const linear: FrameBuffer = {
  kind: "linear",
  address: 0x12_c000_0000,
  pitchBytes: 5120,
  width: 1280,
  height: 800,
  bitsPerPixel: 32,
  red: { position: 16, bits: 8 },
  green: { position: 8, bits: 7 },
  blue: { position: 0, bits: 6 },
};

const request: Multiboot2InfoRequest = {
  address: 0x9_0000,
  commandLine: "xen.gz console=com1 ö",
  loader: "Slipway",
  modules: [
    { address: 0x200_0000, bytes: 0x12_3457, commandLine: "vmlinuz root=/dev/vda1" },
    { address: 0x300_0000, bytes: 1, commandLine: "" },
  ],
  memory,
  frameBuffer: linear,
  loadBase: 0x20_0000,
  rsdp: null,
  efi64SystemTable: null,
};

/** What memory holds where the information lies. */
class Memory {
  readonly #bytes: Buffer;
  readonly #address: number;
  constructor(bytes: Uint8Array, address: number) {
    this.#bytes = Buffer.from(bytes);
    this.#address = address;
  }
  u16 = (at: number): number => this.#bytes.readUInt16LE(at - this.#address);
  u32 = (at: number): number => this.#bytes.readUInt32LE(at - this.#address);
  u64 = (at: number): bigint => this.#bytes.readBigUInt64LE(at - this.#address);
  bytes = (at: number, length: number): number[] => [
    ...this.#bytes.subarray(at - this.#address, at - this.#address + length),
  ];
  text = (at: number): string => {
    const end = this.#bytes.indexOf(0, at - this.#address);
    expect(end).toBeGreaterThanOrEqual(0);
    return this.#bytes.toString("utf8", at - this.#address, end);
  };
}

describe("Multiboot 1", () => {
  const base = request.address;
  const found = new Memory(writeMultibootInfo(request), base);

  /** Offsets of the specification's figure, section 3.3. */
  test("flags and what they announce", () => {
    expect(found.u32(base)).toBe((1 << 0) | (1 << 2) | (1 << 3) | (1 << 6) | (1 << 9) | (1 << 12));
    expect([found.u32(base + 4), found.u32(base + 8)]).toEqual([639, (0x7ffd_c000 - 0x10_0000) / 1024]);
    expect(found.text(found.u32(base + 16))).toBe("xen.gz console=com1 ö");
    expect(found.text(found.u32(base + 64))).toBe("Slipway");
  });
  test("modules", () => {
    const list = found.u32(base + 24);
    expect(found.u32(base + 20)).toBe(2);
    expect([found.u32(list), found.u32(list + 4), found.text(found.u32(list + 8)), found.u32(list + 12)]).toEqual([
      0x200_0000,
      0x212_3457,
      "vmlinuz root=/dev/vda1",
      0,
    ]);
    expect([
      found.u32(list + 16),
      found.u32(list + 20),
      found.text(found.u32(list + 24)),
      found.u32(list + 28),
    ]).toEqual([0x300_0000, 0x300_0001, "", 0]);
  });
  test("memory map", () => {
    const [length, start] = [found.u32(base + 44), found.u32(base + 48)];
    const entries: unknown[] = [];
    // The size does not count itself.
    for (let at = start; at < start + length; at += found.u32(at) + 4) {
      entries.push([found.u64(at + 4), found.u64(at + 12), found.u32(at + 20)]);
    }
    expect(entries).toEqual(told);
  });
  test("frame buffer", () => {
    expect(found.u64(base + 88)).toBe(0x12_c000_0000n);
    expect([96, 100, 104].map((at) => found.u32(base + at))).toEqual([5120, 1280, 800]);
    expect(found.bytes(base + 108, 8)).toEqual([32, 1, 16, 8, 8, 7, 0, 6]);
  });
  test("text, and none", () => {
    const text = new Memory(
      writeMultibootInfo({ ...request, frameBuffer: { kind: "text", columns: 80, lines: 25 } }),
      base,
    );
    expect(text.u64(base + 88)).toBe(0xb8000n);
    expect([96, 100, 104].map((at) => text.u32(base + at))).toEqual([160, 80, 25]);
    expect(text.bytes(base + 108, 8)).toEqual([16, 2, 0, 0, 0, 0, 0, 0]);
    const none = new Memory(writeMultibootInfo({ ...request, frameBuffer: null }), base);
    expect(none.u32(base) & (1 << 12)).toBe(0);
    expect(none.bytes(base + 88, 28)).toEqual(new Array(28).fill(0));
  });
  test("without modules and memory", () => {
    const bare = new Memory(writeMultibootInfo({ ...request, modules: [], memory: [], commandLine: "" }), base);
    expect([bare.u32(base + 4), bare.u32(base + 8), bare.u32(base + 20), bare.u32(base + 44)]).toEqual([0, 0, 0, 0]);
    expect(bare.text(bare.u32(base + 16))).toBe("");
  });
});

interface Tag {
  readonly type: number;
  readonly at: number;
  readonly size: number;
}

function tagsOf(bytes: Uint8Array, base: number): { found: Memory; tags: Tag[] } {
  const found = new Memory(bytes, base);
  expect([found.u32(base), found.u32(base + 4)]).toEqual([bytes.length, 0]);
  const tags: Tag[] = [];
  for (let at = base + 8; at < base + bytes.length; ) {
    const tag = { type: found.u32(at), at, size: found.u32(at + 4) };
    tags.push(tag);
    at += Math.ceil(tag.size / 8) * 8;
  }
  expect(tags.at(-1)).toMatchObject({ type: 0, size: 8, at: base + bytes.length - 8 });
  return { found, tags };
}

describe("Multiboot2", () => {
  const { found, tags } = tagsOf(writeMultiboot2Info(request), request.address);
  const tag = (type: number): Tag => tags.find((one) => one.type === type) ?? { type, at: 0, size: 0 };

  test("tags", () => expect(tags.map(({ type }) => type)).toEqual([1, 2, 3, 3, 4, 6, 8, 21, 0]));
  test("texts", () => {
    expect(found.text(tag(1).at + 8)).toBe("xen.gz console=com1 ö");
    expect(tag(1).size).toBe(8 + 22 + 1);
    expect(found.text(tag(2).at + 8)).toBe("Slipway");
  });
  test("modules", () => {
    const modules = tags.filter(({ type }) => type === 3);
    expect(modules.map(({ at, size }) => [found.u32(at + 8), found.u32(at + 12), found.text(at + 16), size])).toEqual([
      [0x200_0000, 0x212_3457, "vmlinuz root=/dev/vda1", 39],
      [0x300_0000, 0x300_0001, "", 17],
    ]);
  });
  test("memory", () => {
    expect([found.u32(tag(4).at + 8), found.u32(tag(4).at + 12)]).toEqual([639, (0x7ffd_c000 - 0x10_0000) / 1024]);
    const { at, size } = tag(6);
    expect([found.u32(at + 8), found.u32(at + 12), size]).toEqual([24, 0, 16 + 24 * memory.length]);
    const entries = memory.map((_, index) => at + 16 + index * 24);
    expect(entries.map((entry) => [found.u64(entry), found.u64(entry + 8), found.u32(entry + 16)])).toEqual(told);
    expect(entries.map((entry) => found.u32(entry + 20))).toEqual(memory.map(() => 0));
  });
  test("frame buffer and load base", () => {
    const { at, size } = tag(8);
    expect(size).toBe(38);
    expect(found.u64(at + 8)).toBe(0x12_c000_0000n);
    expect([16, 20, 24].map((offset) => found.u32(at + offset))).toEqual([5120, 1280, 800]);
    expect(found.bytes(at + 28, 10)).toEqual([32, 1, 0, 0, 16, 8, 8, 7, 0, 6]);
    expect([found.u32(tag(21).at + 8), tag(21).size]).toEqual([0x20_0000, 12]);
  });
  test("ACPI by revision, EFI, text", () => {
    const first = Uint8Array.from({ length: 20 }, (_, index) => (index === 15 ? 0 : index));
    const second = Uint8Array.from({ length: 36 }, (_, index) => (index === 15 ? 2 : index));
    for (const [rsdp, type] of [
      [first, 14],
      [second, 15],
    ] as const) {
      const more = tagsOf(
        writeMultiboot2Info({
          ...request,
          rsdp,
          efi64SystemTable: 0x1_7f9e_c018n,
          loadBase: null,
          frameBuffer: { kind: "text", columns: 80, lines: 25 },
        }),
        request.address,
      );
      expect(more.tags.map((one) => one.type)).toEqual([1, 2, 3, 3, 4, 6, 8, 12, type, 0]);
      const at = (wanted: number): number => more.tags.find((one) => one.type === wanted)?.at ?? 0;
      expect(more.found.bytes(at(type) + 8, rsdp.length)).toEqual([...rsdp]);
      expect(more.found.u64(at(12) + 8)).toBe(0x1_7f9e_c018n);
      expect([more.found.u64(at(8) + 8), more.found.u32(at(8) + 4)]).toEqual([0xb8000n, 32]);
      expect(more.found.bytes(at(8) + 28, 4)).toEqual([16, 2, 0, 0]);
    }
  });
});

describe("basic memory", () => {
  const rows: readonly (readonly [string, MemoryRange[], number, number])[] = [
    ["page 0 taken out", [{ start: 0x1000, end: 0xa_0000, type: "ram" }], 640, 0],
    ["one piece over the hole", [{ start: 0, end: 0x20_0000, type: "ram" }], 640, 1024],
    [
      "up to the first hole",
      [
        { start: 0x10_0000, end: 0x20_0000, type: "ram" },
        { start: 0x30_0000, end: 0x40_0000, type: "ram" },
      ],
      0,
      1024,
    ],
    ["none", [{ start: 0x1_0000_0000, end: 0x2_0000_0000, type: "ram" }], 0, 0],
    ["8 TiB", [{ start: 0x10_0000, end: 2 ** 43, type: "ram" }], 0, 0xffff_ffff],
  ];
  test.each(rows)("%s", (_, ranges, lower, upper) => {
    const info = Buffer.from(writeMultibootInfo({ ...request, memory: ranges }));
    expect([info.readUInt32LE(4), info.readUInt32LE(8)]).toEqual([lower, upper]);
  });
});

describe("refused", () => {
  const rows: readonly (readonly [string, Partial<Multiboot2InfoRequest>, string])[] = [
    ["a crooked address", { address: 0x9_0004 }, "address 589828: a multiple of 8 below 2^32 expected"],
    ["information above 4 GiB", { address: 2 ** 32 }, "address 4294967296: a multiple of 8 below 2^32 expected"],
    ["a NUL", { commandLine: "a\0b" }, "string: text without NUL expected"],
    [
      "a NUL in a module's line",
      { modules: [{ address: 0, bytes: 0, commandLine: "\0" }] },
      "string: text without NUL expected",
    ],
    [
      "a module above 4 GiB",
      { modules: [{ address: 0xffff_ffff, bytes: 1, commandLine: "" }] },
      "mod_end: 0x100000000: a whole number up to 0xffffffff expected",
    ],
    [
      "too many modules",
      { modules: Array.from({ length: multibootModulesMax + 1 }, () => ({ address: 0, bytes: 0, commandLine: "" })) },
      "1025 modules, at most 1024 are taken",
    ],
  ];
  test.each(rows)("%s", (_, own, message) => {
    for (const write of [writeMultibootInfo, writeMultiboot2Info]) {
      expect(() => write({ ...request, ...own })).toThrow(FormatError);
      expect(() => write({ ...request, ...own })).toThrow(message);
    }
  });
  test("a load base above 4 GiB", () => {
    expect(() => writeMultiboot2Info({ ...request, loadBase: 2 ** 32 })).toThrow(FormatError);
  });
});
