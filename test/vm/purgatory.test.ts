import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeIdentityMap } from "../../src/formats/page-tables.ts";
import type { PurgatoryConsole, TargetEntry } from "../../src/handoff/classic/plan.ts";
import { makePurgatory, type PurgatoryRequest, purgatoryMemoryBytes } from "../../src/handoff/classic/purgatory.ts";
import { randomNumbers } from "../fakes/random-numbers.ts";
import { payload } from "./payload.ts";
import { startVm, type Vm, type VmExit } from "./vm.ts";

/**
 * The purgatory on a machine. A small program stands in for the running kernel: it puts segments into memory, as
 * kexec_load(2) does, and enters the purgatory in the state in which Linux does; another one is the target.
 */

let scratch: string;
let kernel: string;
beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), "slipway-purgatory-"));
  kernel = await payload("kernel");
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

interface Segment {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly memoryBytes?: number;
}

interface Scenario {
  readonly request: Omit<PurgatoryRequest, "console"> & { readonly console?: PurgatoryConsole };
  readonly segments: readonly Segment[];
  /** What the running kernel leaves on its stack, and in all registers. */
  readonly onStack?: bigint;
  readonly registers?: bigint;
  readonly fiveLevels?: boolean;
  readonly scramblePic?: boolean;
  readonly scrambleVga?: boolean;
}

const serial: PurgatoryConsole = { vga: false, serial: { port: 0x3f8, baud: 115200 }, resetVga: false };
const silent: PurgatoryConsole = { vga: false, serial: null, resetVga: false };
const nothingElse = { digest: null, backup: null, jumpBackCommandLineEnd: null };
const memoryMiB = 3072;
/** With 3 GiB this machine has one of them above 4 GiB. */
const high = 0x1_0000_0000;

const flat64: TargetEntry = {
  mode: "64-bit",
  address: 0x1800000,
  rsi: 0x1_2345_6789_abcd,
  argument: 0xf_edcb_a987_6543,
};
const flat32: TargetEntry = {
  ...{ mode: "32-bit", address: 0x1800000, eax: 0x2badb002, ebx: 0xfedcba98, esi: 0x1234567, argument: 0xabcdef01 },
};
const flat16: TargetEntry = { mode: "16-bit", cs: 0x2000, ip: 0, ds: 0x1234, ss: 0x1000, sp: 0xfff0 };

/** Where the target looks for what it shall show. */
const questionsAddress = 0x2000;

function questions(...list: readonly (readonly [address: number, bytes: number])[]): Segment {
  const bytes = Buffer.alloc(8 + 16 * list.length);
  bytes.writeBigUInt64LE(BigInt(list.length), 0);
  list.forEach(([address, count], index) => {
    bytes.writeBigUInt64LE(BigInt(address), 8 + 16 * index);
    bytes.writeBigUInt64LE(BigInt(count), 16 + 16 * index);
  });
  return { address: questionsAddress, bytes };
}

/** The layout of kernel.c's `struct scenario`. */
function encode(entry: number, scenario: Scenario, segments: readonly Segment[]): Buffer {
  const head = Buffer.alloc(32 + 32 * segments.length);
  head.writeBigUInt64LE(BigInt(entry), 0);
  head.writeBigUInt64LE(scenario.onStack ?? 0n, 8);
  const flags = [scenario.fiveLevels, scenario.scramblePic, scenario.scrambleVga];
  head.writeUInt32LE(
    flags.reduce((bits, flag, index) => (flag === true ? bits | (1 << index) : bits), 0),
    16,
  );
  head.writeUInt32LE(segments.length, 20);
  head.writeBigUInt64LE(scenario.registers ?? 0n, 24);
  let offset = head.length;
  segments.forEach(({ address, bytes, memoryBytes }, index) => {
    const fields = [address, offset, bytes.length, memoryBytes ?? bytes.length];
    fields.forEach((value, field) => {
      head.writeBigUInt64LE(BigInt(value), 32 + 32 * index + 8 * field);
    });
    offset += bytes.length;
  });
  return Buffer.concat([head, ...segments.map(({ bytes }) => bytes)]);
}

async function boot(scenario: Scenario): Promise<Vm> {
  const { request, segments } = scenario;
  const purgatory = makePurgatory({ console: serial, ...request });
  const all = [{ address: request.address, bytes: purgatory, memoryBytes: purgatoryMemoryBytes }, ...segments];
  const directory = await mkdtemp(path.join(scratch, "run-"));
  const module = path.join(directory, "scenario");
  await writeFile(module, encode(request.address, scenario, all));
  return startVm({ kernel, initrd: module, append: "", memoryMiB, qemuArguments: ["-vga", "std"] });
}

/** All that the machine said behind the jump, and how it ended. */
async function run(scenario: Scenario): Promise<{ readonly log: string; readonly exit: VmExit }> {
  await using vm = await boot(scenario);
  await vm.expect("KERNEL jump\n");
  const exit = await vm.waitForExit();
  return { log: vm.log, exit };
}

async function target(name: "flat16" | "flat32" | "flat64"): Promise<Segment> {
  return { address: name === "flat16" ? 0x20000 : 0x1800000, bytes: await readFile(await payload(name)) };
}

/** The registers that the target printed, by name. */
function registersIn(log: string): ReadonlyMap<string, bigint> {
  const line = /^PAYLOAD registers (.*)$/m.exec(log)?.[1] ?? "";
  return new Map(line.split(" ").map((word) => [word.split("=")[0] ?? "", BigInt(word.split("=")[1] ?? "0")]));
}

/** The bytes in hexadecimal that the target printed for one of the questions. */
function memoryIn(log: string, address: number): string | null {
  const digits = address.toString(16).padStart(16, "0");
  return RegExp(`^PAYLOAD memory address=0x${digits} bytes=(.*)$`, "m").exec(log)?.[1] ?? null;
}

function randomBytes(seed: number, count: number): Uint8Array {
  const next = randomNumbers(seed);
  return Uint8Array.from({ length: count }, () => next() >>> 8);
}

const poweredOff: VmExit = { code: 0, signal: null, errors: "" };

/** Regions whose lengths meet and miss the blocks of the hash in all ways, some above 4 GiB. */
function digestedRegions(): Segment[] {
  const lengths = [0, 1, 63, 64, 65, 55, 56, 119, 120, 128, 4096, 100_003, 3, 61, 1 << 20, 7];
  return lengths.map((length, index) => ({
    address: (index % 2 === 0 ? 0x4000000 : high + 0x4000000) + index * 0x200000 + index,
    bytes: randomBytes(index, length),
  }));
}

function digestOf(segments: readonly Segment[]): NonNullable<PurgatoryRequest["digest"]> {
  const hash = createHash("sha256");
  for (const { bytes } of segments) hash.update(bytes);
  const regions = segments.map(({ address, bytes }) => ({ address, bytes: bytes.length }));
  return { sha256: hash.digest(), regions };
}

describe("a 64-bit target", () => {
  const rows = [
    { name: "four levels, below 1 MiB", address: 0x3000, fiveLevels: false, registers: 0n },
    { name: "five levels, above 4 GiB", address: high + 0x5000, fiveLevels: true, registers: 0xdeadbeefdeadbeefn },
  ] as const;
  test.each(rows)("$name", async ({ address, ...state }) => {
    const { log, exit } = await run({
      request: { ...nothingElse, address, target: flat64 },
      segments: [await target("flat64"), questions()],
      onStack: 0xbad0bad0n,
      ...state,
    });
    expect(exit).toEqual(poweredOff);
    expect(log).toMatch(/^KERNEL jump\nI'm in purgatory\nPAYLOAD flat$/m);
    const { rsi, rdi, rsp, flags, cs, ds, es, fs, gs, ss, cr0, cr4, efer, stack, cr3, ...general } = Object.fromEntries(
      registersIn(log),
    );
    expect(Object.values(general)).toEqual(Array(13).fill(0n));
    expect(rdi).toBe(0xf_edcb_a987_6543n);
    // A stack of its own; nothing of what the running kernel had on its stack.
    expect([rsi, rsp, stack]).toEqual([BigInt(flat64.rsi), BigInt(address + purgatoryMemoryBytes - 8), 0n]);
    expect([cs, ds, es, fs, gs, ss]).toEqual([0x10n, 0x18n, 0x18n, 0x18n, 0x18n, 0x18n]);
    expect(log).toContain("descriptors cs=0x00af9b000000ffff ds=0x00cf93000000ffff ss=0x00cf93000000ffff");
    // Interrupts off, direction up; paging on, five levels if they were.
    expect([flags, (cr0 ?? 0n) >> 31n, cr4]).toEqual([2n, 1n, state.fiveLevels ? 0x1020n : 0x20n]);
    expect((efer ?? 0n) & 0x500n).toBe(0x500n);
    // The tables of the running kernel, where nobody brings others.
    expect(cr3).toBeGreaterThan(0n);
  });
});

test("a 32-bit target gets its registers in flat segments without paging", async () => {
  for (const [address, fiveLevels] of [
    [0x3000, false],
    [0x7fff0000, true],
  ] as const) {
    const { log, exit } = await run({
      request: { ...nothingElse, address, target: flat32 },
      segments: [await target("flat32"), questions([address + purgatoryMemoryBytes - 8, 8])],
      fiveLevels,
    });
    expect(exit).toEqual(poweredOff);
    expect(log).toMatch(/^KERNEL jump\nI'm in purgatory\nPAYLOAD flat$/m);
    expect(Object.fromEntries(registersIn(log))).toEqual({
      ...{ eax: 0x2badb002n, ebx: 0xfedcba98n, esi: 0x1234567n, ecx: 0n, edx: 0n, edi: 0n, ebp: 0n },
      ...{ esp: BigInt(address + purgatoryMemoryBytes - 8), cs: 0x10n, ds: 0x18n, es: 0x18n, fs: 0x18n, gs: 0x18n },
      ...{ ss: 0x18n, cr0: 0x11n, cr4: 0n, flags: 2n },
    });
    expect(log).toContain("descriptors cs=0x00cf9b000000ffff ds=0x00cf93000000ffff ss=0x00cf93000000ffff");
    // No return address, then the argument.
    expect(memoryIn(log, address + purgatoryMemoryBytes - 8)).toBe("0000000001efcdab");
  }
});

test("a 16-bit target gets a BIOS that works", async () => {
  for (const [address, fiveLevels] of [
    [0x3000, true],
    [0x90000 - purgatoryMemoryBytes, false],
  ] as const) {
    const { log, exit } = await run({
      request: { ...nothingElse, address, target: flat16 },
      segments: [await target("flat16")],
      scramblePic: true,
      fiveLevels,
    });
    expect(exit).toEqual(poweredOff);
    expect(log).toMatch(/^KERNEL jump\nI'm in purgatory\nPAYLOAD flat$/m);
    const { flags, ...registers } = Object.fromEntries(registersIn(log));
    expect(registers).toEqual({
      ...{ eax: 0n, ebx: 0n, ecx: 0n, edx: 0n, esi: 0n, edi: 0n, ebp: 0n, esp: 0xfff0n },
      ...{ cs: 0x2000n, ds: 0x1234n, es: 0x1234n, fs: 0x1234n, gs: 0x1234n, ss: 0x1000n, cr0: 0x10n, cr4: 0n },
    });
    expect((flags ?? 0n) & 0x600n).toBe(0n);
    // 640 KiB less the BIOS' own.
    expect(log).toMatch(/^PAYLOAD bios kilobytes=0x027f clock=ticks$/m);
  }
});

describe("the digest", () => {
  test("of memory as it was loaded lets the target start; the backup is copied afterwards", async () => {
    const regions = digestedRegions();
    const [source, destination, bytes] = [0x6000, high + 0x2000001, 1001];
    const old = randomBytes(99, bytes);
    const { log, exit } = await run({
      request: {
        ...nothingElse,
        address: 0x1f00000,
        target: flat64,
        // What the copy replaces is digested as it was loaded.
        digest: digestOf([...regions.slice(0, 15), { address: destination, bytes: randomBytes(3, 64) }]),
        backup: { source, destination, bytes },
      },
      segments: [
        ...regions,
        await target("flat64"),
        { address: source, bytes: old },
        { address: destination, bytes: randomBytes(3, 64), memoryBytes: 2000 },
        questions([destination, bytes + 1], [source, bytes]),
      ],
    });
    expect(log).toMatch(/^KERNEL jump\nI'm in purgatory\nPAYLOAD flat$/m);
    expect(exit).toEqual(poweredOff);
    expect(memoryIn(log, destination)).toBe(`${Buffer.from(old).toString("hex")}a5`);
    expect(memoryIn(log, source)).toBe(Buffer.from(old).toString("hex"));
  });

  test.each(["its first byte", "its last byte"])("of memory with a change in %s resets the machine", async (where) => {
    const regions = digestedRegions();
    const changed = regions[where === "its first byte" ? 1 : 15];
    if (changed === undefined) throw new Error("16 regions expected");
    const bytes = Uint8Array.from(changed.bytes);
    bytes[where === "its first byte" ? 0 : bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 0x40;
    if (Buffer.from(bytes).equals(Buffer.from(changed.bytes))) throw new Error("a change expected");
    const { log, exit } = await run({
      request: { ...nothingElse, address: 0x1f00000, target: flat64, digest: digestOf(regions) },
      segments: [...regions, { ...changed, bytes }, await target("flat64"), questions()],
    });
    expect(log).toMatch(/^KERNEL jump\npurgatory: the loaded image has changed in memory; resetting\n$/m);
    expect(log).not.toContain("PAYLOAD");
    expect(exit).toEqual(poweredOff);
  });
});

describe("the CRC-32", () => {
  /** As zlib computes it, of all regions one after the other. */
  const crcOf = (segments: readonly Segment[]): NonNullable<PurgatoryRequest["digest"]> => ({
    crc32: segments.reduce((crc, { bytes }) => crc32(bytes, crc), 0),
    regions: segments.map(({ address, bytes }) => ({ address, bytes: bytes.length })),
  });

  test("of memory as it was loaded lets the target start", async () => {
    const regions = digestedRegions();
    const { log, exit } = await run({
      request: { ...nothingElse, address: 0x1f00000, target: flat64, digest: crcOf(regions) },
      segments: [...regions, await target("flat64"), questions()],
    });
    expect(log).toMatch(/^KERNEL jump\nI'm in purgatory\nPAYLOAD flat$/m);
    expect(exit).toEqual(poweredOff);
  });

  test("of memory with one changed bit resets the machine", async () => {
    const regions = digestedRegions();
    const changed = regions[15];
    if (changed === undefined) throw new Error("16 regions expected");
    const bytes = Uint8Array.from(changed.bytes);
    bytes[3] = (bytes[3] ?? 0) ^ 0x40;
    const { log } = await run({
      request: { ...nothingElse, address: 0x1f00000, target: flat64, digest: crcOf(regions) },
      segments: [...regions, { ...changed, bytes }, await target("flat64"), questions()],
    });
    expect(log).toMatch(/^KERNEL jump\npurgatory: the loaded image has changed in memory; resetting\n$/m);
  });
});

describe("page tables of its own", () => {
  test.each([4, 5] as const)("a 64-bit target is entered with %d levels", async (levels) => {
    const address = 0x1f00000;
    const place = 0x3000000;
    const ranges = [{ start: 0, end: 2 ** 32 }];
    const { bytes, root } = writeIdentityMap(ranges, place, levels);
    const { log, exit } = await run({
      request: { ...nothingElse, address, target: flat64, pageTables: { root, address: place, bytes: bytes.length } },
      segments: [await target("flat64"), questions(), { address: place, bytes }],
      fiveLevels: levels === 5,
    });
    expect(log).toMatch(/^KERNEL jump\nI'm in purgatory\nPAYLOAD flat$/m);
    expect(exit).toEqual(poweredOff);
    expect(registersIn(log).get("cr3")).toBe(BigInt(root));
  });
});

describe("the jump-back entry", () => {
  const text = { address: 0x50000, bytes: Buffer.from("root=/dev/vda1 quiet\0") };
  const end = text.address + text.bytes.length - 1;
  const rows = [
    ["0x0", 0n],
    ["0x12345", 0x12345n],
    ["0x8123456789abcdef", 0x8123456789abcdefn],
  ] as const;
  test.each(rows)("%s is appended to the command line", async (digits, onStack) => {
    const { log } = await run({
      request: { ...nothingElse, address: 0x1f00000, target: flat64, jumpBackCommandLineEnd: end },
      segments: [await target("flat64"), { ...text, memoryBytes: 100 }, questions([text.address, 64])],
      onStack,
    });
    const shown = Buffer.from(memoryIn(log, text.address) ?? "", "hex");
    const expected = `root=/dev/vda1 quiet kexec_jump_back_entry=${digits}\0`;
    expect(shown.toString("latin1")).toBe(expected.padEnd(64, "\u00a5"));
    // The target could return by it.
    expect(registersIn(log).get("stack")).toBe(onStack);
  });

  test("is left alone when nobody asks for it", async () => {
    const { log } = await run({
      request: { ...nothingElse, address: 0x1f00000, target: flat64 },
      segments: [await target("flat64"), { ...text, memoryBytes: 100 }, questions([text.address, 32])],
      onStack: 0x12345n,
    });
    expect(memoryIn(log, text.address)).toBe(text.bytes.toString("hex").padEnd(64, "a5"));
  });
});

describe("consoles", () => {
  const screen = 0xb8000;
  const lineBytes = 160;
  /** Up to the two registers of the cursor's place. */
  const cursor = /(crtc=.{28})..../;
  const cells = (line: string): string =>
    [...line.padEnd(80)].map((c) => `${Buffer.from(c).toString("hex")}07`).join("");

  test("none: it says nothing", async () => {
    const { log } = await run({
      request: { ...nothingElse, address: 0x1f00000, target: flat64, console: silent },
      segments: [await target("flat64"), questions()],
    });
    expect(log).toMatch(/^KERNEL jump\nPAYLOAD flat$/m);
  });

  test("a serial port whose speed stays", async () => {
    const { log } = await run({
      request: {
        ...nothingElse,
        address: 0x1f00000,
        target: flat64,
        console: { ...silent, serial: { port: 0x3f8, baud: 0 } },
      },
      segments: [await target("flat64"), questions()],
    });
    expect(log).toMatch(/^KERNEL jump\nI'm in purgatory\nPAYLOAD flat$/m);
  });

  test("a serial port that is not there holds nothing up", async () => {
    const { log } = await run({
      request: {
        ...nothingElse,
        address: 0x1f00000,
        target: flat64,
        console: { ...silent, serial: { port: 0x2f8, baud: 9600 } },
      },
      segments: [await target("flat64"), questions()],
    });
    expect(log).toMatch(/^KERNEL jump\nPAYLOAD flat$/m);
  });

  test("VGA: below what the screen shows", async () => {
    const text = Buffer.from(cells("what was there before"), "hex");
    const { log } = await run({
      request: { ...nothingElse, address: 0x1f00000, target: flat64, console: { ...silent, vga: true } },
      segments: [
        await target("flat64"),
        { address: screen + 24 * lineBytes, bytes: text },
        questions([screen + 23 * lineBytes, lineBytes], [screen + 24 * lineBytes, lineBytes]),
      ],
    });
    expect(memoryIn(log, screen + 23 * lineBytes)).toBe(cells("what was there before"));
    expect(memoryIn(log, screen + 24 * lineBytes)).toBe(cells("I'm in purgatory"));
  });

  test("VGA reset: the registers are those that the video BIOS sets, the screen is empty", async () => {
    const { log } = await run({
      request: {
        ...nothingElse,
        address: 0x1f00000,
        target: flat64,
        console: { ...silent, vga: true, resetVga: true },
      },
      segments: [
        await target("flat64"),
        questions([screen, lineBytes], [screen + 23 * lineBytes, lineBytes], [screen + 24 * lineBytes, lineBytes]),
      ],
      scrambleVga: true,
    });
    const [, before] = /^KERNEL vga (.*)$/m.exec(log) ?? [];
    const [, after] = /^PAYLOAD vga (.*)$/m.exec(log) ?? [];
    expect(before).toMatch(/^misc=67 /);
    expect(after).toBe(before?.replace(cursor, "$10000"));
    expect(memoryIn(log, screen)).toBe(cells(""));
    expect(memoryIn(log, screen + 23 * lineBytes)).toBe(cells(""));
    expect(memoryIn(log, screen + 24 * lineBytes)).toBe(cells("I'm in purgatory"));
  });
});

test("without a target the machine is reset", async () => {
  const purgatory = makePurgatory({ ...nothingElse, address: 0x5000, target: flat64, console: serial });
  // The mode: native/purgatory/block.h.
  purgatory.fill(0, 0x24, 0x28);
  const { log, exit } = await run({
    request: { ...nothingElse, address: 0x5000, target: flat64 },
    segments: [{ address: 0x5000, bytes: purgatory }],
  });
  expect(log).toMatch(/^KERNEL jump\npurgatory: its parameters name no target; resetting\n$/m);
  expect(exit).toEqual(poweredOff);
});
