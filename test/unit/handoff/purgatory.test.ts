import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { hex } from "../../../src/formats/bytes.ts";
import type { TargetEntry } from "../../../src/handoff/classic/plan.ts";
import {
  jumpBackTextBytesMax,
  makePurgatory,
  type PurgatoryRequest,
  purgatoryBlock,
  purgatoryLimit,
  purgatoryMemoryBytes,
  purgatoryRegionsMax,
} from "../../../src/handoff/classic/purgatory.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const elf = path.join(root, "build/native/purgatory-x86_64.elf");
const blob: Uint8Array = readFileSync(path.join(root, "build/native/purgatory-x86_64.bin"));

const flat64: TargetEntry = { mode: "64-bit", address: 0x1000200, rsi: 0xf_1234_5678_9abc };
const flat32: TargetEntry = { mode: "32-bit", address: 0x87654321, eax: 0xfbadb002, ebx: 0x9500, esi: 0x12345678 };
const flat16: TargetEntry = { mode: "16-bit", cs: 0x9020, ip: 0x1234, ds: 0x9000, ss: 0x9001, sp: 0xfffe };

const plain: PurgatoryRequest = {
  address: 0x100000,
  target: flat64,
  digest: null,
  backup: null,
  console: { vga: false, serial: null, resetVga: false },
  jumpBackCommandLineEnd: null,
};

/** What a tool of binutils says about the linked purgatory. */
function inspect(tool: string, ...words: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync(tool, [...words, elf], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${tool} ${words.join(" ")}: exit code ${status}\n${stderr}`);
  return stdout;
}

function symbols(): (name: string) => number {
  const lines = inspect("nm").trim().split("\n");
  const addresses = new Map(lines.map((line) => [line.split(" ")[2] ?? "", Number.parseInt(line, 16)]));
  return (name) => addresses.get(name) ?? Number.NaN;
}

/** Instructions as text: `call   6b0 <legacy_devices_reset>`. */
function disassemble(machine: string, start: number, end: number): string[] {
  const range = [`--start-address=${start}`, `--stop-address=${end}`];
  const text = inspect("objdump", "-d", "--no-show-raw-insn", "-M", machine, ...range);
  return [...text.matchAll(/^ +[0-9a-f]+:\t(.+?) *$/gm)].map(([, instruction]) => instruction ?? "");
}

describe("the blob", () => {
  test("has sources of which the compiler thinks well", () => {
    const directory = path.join(root, "native/purgatory");
    const sources = readdirSync(directory).filter((name) => name.endsWith(".c"));
    const words = ["-std=gnu11", "-O2", "-ffreestanding", "-Wall", "-Wextra", "-S", "-o", "/dev/null"];
    for (const source of sources) {
      const { status, stderr } = spawnSync("gcc", [...words, source], { cwd: directory, encoding: "utf8" });
      expect([status, stderr]).toEqual([0, ""]);
    }
  });

  test("has the layout that block.h gives it", () => {
    const header = readFileSync(path.join(root, "native/purgatory/block.h"), "utf8");
    const definitions = [...header.matchAll(/^#define (\w+) (0x[0-9a-f]+|\d+)$/gm)].map(
      ([, name = "", value]) => [name, Number(value)] as const,
    );
    const withPrefix = (prefix: string): Record<string, number> =>
      Object.fromEntries(definitions.filter(([name]) => name.startsWith(prefix)));
    const named = (prefix: string, table: Readonly<Record<string, number>>): Record<string, number> =>
      Object.fromEntries(Object.entries(table).map(([name, value]) => [`${prefix}${constantName(name)}`, value]));
    expect(named("FIELD_", purgatoryBlock.field)).toEqual(withPrefix("FIELD_"));
    expect(named("FLAG_", purgatoryBlock.flag)).toEqual(withPrefix("FLAG_"));
    expect(withPrefix("MODE_")).toEqual({ MODE_64: 64, MODE_32: 32, MODE_16: 16 });
    expect(Object.fromEntries(definitions)).toMatchObject({
      BLOCK_START: purgatoryBlock.start,
      BLOCK_VERSION: purgatoryBlock.version,
      BLOCK_BYTES: purgatoryBlock.bytes,
      REGIONS_MAX: purgatoryRegionsMax,
      REGION_BYTES: purgatoryBlock.regionBytes,
      PURGATORY_MEMORY_BYTES: purgatoryMemoryBytes,
    });
  });

  test("is small, begins with its entry point, and leaves room for its stack", () => {
    const address = symbols();
    expect([address("purgatory_start"), address("block")]).toEqual([0, purgatoryBlock.start]);
    expect(address("blob_end")).toBe(blob.length);
    expect(blob.length).toBeLessThan(8192);
    expect(purgatoryMemoryBytes % 4096).toBe(0);
    expect(purgatoryMemoryBytes - blob.length).toBeGreaterThanOrEqual(0x1800);
    // cli, cld; "SLIPPURG", version 3
    expect(hex(blob.subarray(0, 2))).toBe("fafc");
    expect(hex(blob.subarray(0x10, 0x1c))).toBe("534c49505055524703000000");
  });

  test("depends on no address, and nothing is left to be relocated", () => {
    expect([...new Set(inspect("readelf", "-rW").match(/R_X86_64_\w+/g))].sort()).toEqual([
      "R_X86_64_PC32",
      "R_X86_64_PLT32",
    ]);
    const headers = inspect("readelf", "-hlW");
    expect(/^ +Entry point address: +(.*)$/m.exec(headers)?.[1]).toBe("0x0");
    // Nothing for a dynamic linker: one segment, which is the blob.
    expect([...headers.matchAll(/^ {2}([A-Z_]+) +0x/gm)].map(([, type]) => type)).toEqual(["LOAD", "GNU_STACK"]);
    expect(inspect("nm", "--undefined-only")).toBe("");
  });

  test("uses general registers only, and calls nothing outside", () => {
    const address = symbols();
    const instructions = [
      ...disassemble("x86-64", address("code64_start"), address("code32_start")),
      ...disassemble("i386", address("code32_start"), address("code16_start")),
      ...disassemble("i8086", address("code16_start"), address("code16_end")),
      ...disassemble("x86-64", address("text_start"), address("text_end")),
    ];
    expect(instructions.length).toBeGreaterThan(500);
    expect(instructions.filter((text) => /\(bad\)|%[xyz]?mm\d|%st|%k\d|%tmm/.test(text))).toEqual([]);
    // The names of x87 instructions begin with f, and no others do.
    expect(instructions.filter((text) => /^(?:f|emms|ldmxcsr|stmxcsr|xsave|xrstor)/.test(text))).toEqual([]);
    const jumps = instructions.flatMap((text) => /^(?:call|j[a-z]+) +([0-9a-f]+) </.exec(text)?.[1] ?? []);
    expect(jumps.length).toBeGreaterThan(20);
    expect(jumps.filter((target) => Number.parseInt(target, 16) >= address("text_end"))).toEqual([]);
    expect(instructions.filter((text) => /^call +\*/.test(text))).toEqual([]);
  });
});

/** `targetRsi` → `TARGET_RSI` */
function constantName(name: string): string {
  return name.replaceAll(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase();
}

/** The parameter block's fields, read at the offsets that block.h names. */
function blockOf(request: Partial<PurgatoryRequest>): DataView {
  const bytes = makePurgatory({ ...plain, ...request });
  expect(bytes.length).toBe(blob.length);
  const end = purgatoryBlock.start + purgatoryBlock.bytes;
  // Nothing but the block differs from what was built.
  expect(bytes.subarray(0, purgatoryBlock.start)).toEqual(Uint8Array.from(blob.subarray(0, purgatoryBlock.start)));
  expect(bytes.subarray(end)).toEqual(Uint8Array.from(blob.subarray(end)));
  return new DataView(bytes.buffer, bytes.byteOffset + purgatoryBlock.start, purgatoryBlock.bytes);
}

function hexOf(view: DataView, start: number, bytes: number): string {
  return hex(new Uint8Array(view.buffer, view.byteOffset + start, bytes));
}

describe("parameters", () => {
  test("of a 64-bit target, and nothing else", () => {
    const block = blockOf({});
    expect(hexOf(block, 0x10, 0x30)).toBe(`0000000040000000${"00".repeat(0x28)}`);
    expect(hexOf(block, 0x40, 16)).toBe("0002000100000000bc9a785634120f00");
    expect(hexOf(block, 0x50, 0x148)).toBe("00".repeat(0x148));
    const argument = 0x8_7654_3210;
    expect(hexOf(blockOf({ target: { ...flat64, argument } }), 0x50, 8)).toBe("1032547608000000");
  });

  test("of a 32-bit target", () => {
    const block = blockOf({ target: flat32 });
    expect(hexOf(block, 0x10, 8)).toBe("0000000020000000");
    expect(hexOf(block, 0x40, 0x24)).toBe("21436587000000000000000000000000000000000000000002b0adfb0095000078563412");
    expect(hexOf(blockOf({ target: { ...flat32, argument: 0xffffffff } }), 0x50, 8)).toBe("ffffffff00000000");
  });

  test("of a 16-bit target", () => {
    const block = blockOf({ address: 0x90000, target: flat16 });
    expect(hexOf(block, 0x10, 8)).toBe("0000000010000000");
    expect(hexOf(block, 0x64, 10)).toBe("3412209000900190feff");
  });

  test("consoles", () => {
    const none = { vga: false, serial: null, resetVga: false };
    expect(blockOf({ console: { ...none, vga: true } }).getUint32(0x10, true)).toBe(2);
    expect(blockOf({ console: { ...none, resetVga: true } }).getUint32(0x10, true)).toBe(1);
    const serial = blockOf({ console: { ...none, serial: { port: 0x2f8, baud: 9600 } } });
    expect(hexOf(serial, 0x10, 16)).toBe("0400000040000000f80200000c000000");
    const kept = blockOf({ console: { vga: true, resetVga: true, serial: { port: 0xfff8, baud: 0 } } });
    expect(hexOf(kept, 0x10, 16)).toBe("0700000040000000f8ff000000000000");
  });

  test("a digest over all the regions that fit", () => {
    const sha256 = Uint8Array.from({ length: 32 }, (_, index) => 0x80 + index);
    const regions = Array.from({ length: 16 }, (_, index) => ({ address: 2 ** 40 + index, bytes: 2 ** 33 + index }));
    const block = blockOf({ digest: { sha256, regions } });
    expect([block.getUint32(0x10, true), block.getUint32(0x70, true)]).toEqual([8, 16]);
    expect(hexOf(block, 0x78, 32)).toBe(hex(sha256));
    expect(hexOf(block, 0x98, 32)).toBe("00000000000100000000000002000000".concat("01000000000100000100000002000000"));
    expect(hexOf(block, 0x188, 16)).toBe("0f000000000100000f00000002000000");
    const empty = blockOf({ digest: { sha256, regions: [] } });
    expect([empty.getUint32(0x10, true), empty.getUint32(0x70, true)]).toEqual([8, 0]);
  });

  test("a backup and the end of a command line", () => {
    const backup = { source: 0, destination: 2 ** 33, bytes: 0xa0000 };
    const block = blockOf({ address: 0x7ff00000, backup, jumpBackCommandLineEnd: 0x7fe01234 });
    expect(block.getUint32(0x10, true)).toBe(16);
    expect(hexOf(block, 0x20, 0x20)).toBe(
      "3412e07f00000000".concat("0000000000000000", "0000000002000000", "00000a0000000000"),
    );
    expect(jumpBackTextBytesMax).toBe(" kexec_jump_back_entry=0x0123456789abcdef\0".length);
  });

  test("one request leaves nothing in the next one", () => {
    const first = makePurgatory(plain);
    blockOf({ digest: { sha256: new Uint8Array(32).fill(7), regions: [{ address: 0, bytes: 1 }] } });
    expect(makePurgatory(plain)).toEqual(first);
  });
});

describe("its place", () => {
  const memory = 0x4000;
  test.each([
    ["64-bit", flat64, 2 ** 52],
    ["32-bit", flat32, 2 ** 32],
    ["16-bit", flat16, 0xa0000],
  ] as const)("for a %s target", (mode, target, max) => {
    expect(purgatoryMemoryBytes).toBe(memory);
    expect(purgatoryLimit(target)).toEqual({ min: 0x3000, max });
    for (const address of [0x3000, max - memory]) expect(() => blockOf({ address, target })).not.toThrow();
    const bounds = `0x4000 bytes between 0x3000 and 0x${max.toString(16)} expected, for a ${mode} target`;
    for (const address of [0, 0x2000, max - memory + 0x1000, max]) {
      const text = `place purgatory: 0x${address.toString(16)}: ${bounds}`;
      expect(() => blockOf({ address, target })).toThrow(RangeError(text));
    }
  });

  test.each([
    [0x3001, "0x3001"],
    [-4096, "-4096"],
    [2.5, "2.5"],
    [Number.NaN, "NaN"],
  ])("%d is refused", (address, text) => {
    const expected = text === "-4096" ? "0x4000 bytes between 0x3000 and" : "the address of a page expected";
    expect(() => makePurgatory({ ...plain, address })).toThrow(`place purgatory: ${text}: ${expected}`);
  });
});

describe("impossible requests", () => {
  const sha256 = new Uint8Array(32);
  const ports = { vga: false, resetVga: false };
  const own = { address: 0x100000, bytes: 0x4000 };
  const place = "a range outside of the purgatory itself, at 0x100000, expected";
  const rows: readonly (readonly [string, Partial<PurgatoryRequest>])[] = [
    [
      "targetAddress 0x10000000000000: a whole number below 0x10000000000000 expected",
      { target: { ...flat64, address: 2 ** 52 } },
    ],
    ["targetRsi -1: a whole number below 0x10000000000000 expected", { target: { ...flat64, rsi: -1 } }],
    [
      "targetAddress 0x100000000: a whole number below 0x100000000 expected",
      { target: { ...flat32, address: 2 ** 32 } },
    ],
    [
      "targetArgument 0x100000000: a whole number below 0x100000000 expected",
      { target: { ...flat32, argument: 2 ** 32 } },
    ],
    ["targetEbx 0x100000000: a whole number below 0x100000000 expected", { target: { ...flat32, ebx: 2 ** 32 } }],
    ["targetEsi 0.5: a whole number below 0x100000000 expected", { target: { ...flat32, esi: 0.5 } }],
    [
      "targetSp 0x10000: a whole number below 0x10000 expected",
      { address: 0x8000, target: { ...flat16, sp: 0x10000 } },
    ],
    ['digest "0102": 32 bytes expected', { digest: { sha256: Uint8Array.of(1, 2), regions: [] } }],
    [
      "17 digested regions: 16 at most expected",
      { digest: { sha256, regions: Array.from({ length: 17 }, () => ({ address: 0, bytes: 1 })) } },
    ],
    [`digested region of 0x1 bytes at 0x100000: ${place}`, { digest: { sha256, regions: [{ ...own, bytes: 1 }] } }],
    [
      `digested region of 0x2 bytes at 0xfffff: ${place}`,
      { digest: { sha256, regions: [{ address: 0xfffff, bytes: 2 }] } },
    ],
    [
      `digested region of 0x1 bytes at 0x103fff: ${place}`,
      { digest: { sha256, regions: [{ address: 0x103fff, bytes: 1 }] } },
    ],
    [
      "digested region of -1 bytes at 0x1000: a range of memory expected",
      { digest: { sha256, regions: [{ address: 0x1000, bytes: -1 }] } },
    ],
    [
      "digested region of 0x2 bytes at 0xfffffffffffff: a range of memory expected",
      { digest: { sha256, regions: [{ address: 2 ** 52 - 1, bytes: 2 }] } },
    ],
    [`backup of 0x10 bytes at 0x103ff8: ${place}`, { backup: { source: 0, destination: 0x103ff8, bytes: 16 } }],
    [
      "backup at 0x1fff: a place outside of the 0x1000 bytes at 0x1000 expected",
      { backup: { source: 0x1000, destination: 0x1fff, bytes: 0x1000 } },
    ],
    [`jump-back text of 0x2a bytes at 0xfffe0: ${place}`, { jumpBackCommandLineEnd: 0xfffe0 }],
    [
      "serial port 0xfff9: an I/O port from 0x1 to 0xfff8 expected",
      { console: { ...ports, serial: { port: 0xfff9, baud: 0 } } },
    ],
    [
      "serial port 0x0: an I/O port from 0x1 to 0xfff8 expected",
      { console: { ...ports, serial: { port: 0, baud: 0 } } },
    ],
    ...[-1, 7, 0.5, 115201, 1, Number.NaN].map(
      (baud) =>
        [
          `${baud} bits per second: a rate that divides 115200, or 0, expected`,
          { console: { ...ports, serial: { port: 0x3f8, baud } } },
        ] as const,
    ),
  ];
  test.each(rows)("%s", (message, request) => {
    expect(() => makePurgatory({ ...plain, ...request })).toThrow(RangeError(`purgatory: ${message}`));
  });

  test("what touches the purgatory, and what is empty, is not inside of it", () => {
    const regions = [
      { address: 0xff000, bytes: 0x1000 },
      { address: 0x104000, bytes: 1 },
      { address: 0x101000, bytes: 0 },
    ];
    const backup = { source: 0x1000, destination: 0x2000, bytes: 0x1000 };
    expect(() => blockOf({ digest: { sha256, regions }, backup, jumpBackCommandLineEnd: 0x104000 })).not.toThrow();
  });
});
