import { expect } from "vitest";
import { intersectRanges, type MemoryRange, ramOf, subtractRanges } from "../../src/formats/memory-map.ts";
import { rangesOf } from "../../src/formats/ranges.ts";
import type { ClassicPlan, Segment } from "../../src/handoff/classic/plan.ts";
import type { KernelPart, PlanContext } from "../../src/handoff/classic/plan-context.ts";
import type { FileRange } from "../../src/linux/system.ts";
import type { CrashFacts, Platform } from "../../src/machine/platform.ts";

/** The memory map of QEMU's BIOS machine with 256 MiB, as SeaBIOS gives it. */
export const memory256M: readonly MemoryRange[] = [
  { start: 0, end: 0x9fc00, type: "ram" },
  { start: 0x9fc00, end: 0xa0000, type: "reserved" },
  { start: 0xf0000, end: 0x100000, type: "reserved" },
  { start: 0x100000, end: 0xffe0000, type: "ram" },
  { start: 0xffe0000, end: 0x10000000, type: "reserved" },
  { start: 0xfffc0000, end: 0x100000000, type: "reserved" },
];

/** The same with 12 GiB: 2 GiB lie below the hole for devices (q35), 10 GiB from 4 GiB on. */
export const memory12G: readonly MemoryRange[] = [
  ...memory256M.slice(0, 3),
  { start: 0x100000, end: 0x7ffe0000, type: "ram" },
  { start: 0x7ffe0000, end: 0x80000000, type: "reserved" },
  { start: 0xfffc0000, end: 0x100000000, type: "reserved" },
  { start: 0x100000000, end: 0x380000000, type: "ram" },
];

/** A BIOS machine without a display: page 0 is the kernel's own, as on every PC. */
export function platform(own: Partial<Platform> = {}): Platform {
  const memory = own.memory ?? memory256M;
  const crash = own.crash ?? [];
  return {
    architecture: "x86_64",
    memory,
    usable: subtractRanges(ramOf(memory), [{ start: 0, end: 0x1000 }, ...crash]),
    crash,
    bootParams: new Uint8Array(4096),
    display: null,
    efi: null,
    rsdp: 0xf59d0,
    rsdpBytes: null,
    edd: [],
    fiveLevelPaging: false,
    remarks: [],
    ...own,
  };
}

export function planContext(own: Partial<PlanContext> = {}): PlanContext {
  return {
    platform: platform(),
    bounds: { start: 0, end: 2 ** 52 },
    crash: null,
    commandLine: "console=ttyS0 quiet",
    devicetree: null,
    console: { vga: false, serial: null, resetVga: false },
    randomSeed: Uint8Array.from({ length: 32 }, (_, index) => index + 1),
    setupData: [],
    noEfi: false,
    reuseVideoType: false,
    preserveContext: false,
    elf32CoreHeaders: false,
    passMemmapCommandLine: false,
    hotplug: false,
    entryOverride: null,
    ...own,
  };
}

/** 256 MiB at 512 MiB of 2 GiB, reserved for a crash kernel, and a running kernel at 16 MiB. */
export const crashRegion = { start: 0x20000000, end: 0x30000000 } as const;

export function crashFacts(own: Partial<CrashFacts> = {}): CrashFacts {
  return {
    notes: [
      { cpu: 0, address: 0x7fc0a000, bytes: 0x170 },
      { cpu: 1, address: 0x7fc1a000, bytes: 0x170 },
    ],
    vmcoreinfo: { address: 0x2345000, bytes: 4096 },
    kernelText: { physical: { start: 0x1000000, end: 0x2c00000 }, virtual: 0xffffffff81000000n },
    directMap: 0xffff888000000000n,
    memory: [
      { start: 0x1000, end: 0x9fc00 },
      { start: 0x100000, end: 0x20000000 },
      { start: 0x30000000, end: 0x7ffe0000 },
    ],
    headerBytes: null,
    ...own,
  };
}

/** What a machine looks like whose crash kernel is planned. */
export function crashContext(own: Partial<PlanContext> = {}): PlanContext {
  const memory = memory12G.filter(({ end }) => end <= 2 ** 32);
  return planContext({
    platform: platform({ memory, crash: [crashRegion] }),
    crash: { facts: crashFacts() },
    ...own,
  });
}

/** A kernel of which only the first bytes are there. */
export function kernelPart(bytes: Uint8Array, length: number = bytes.length): KernelPart {
  return { range: { fd: 10, offset: 0, length }, read: rangesOf(bytes) };
}

export function initrdOf(length: number): FileRange {
  return { fd: 11, offset: 0, length };
}

/** A segment by its name. */
export function segmentOf(plan: ClassicPlan, name: string): Segment {
  const found = plan.segments.filter((segment) => segment.name === name);
  const [segment] = found;
  if (segment === undefined || found.length > 1) {
    throw new Error(`one segment "${name}" expected among ${plan.segments.map((s) => s.name).join(", ")}`);
  }
  return segment;
}

/** The bytes that were made for a segment. */
export function bytesOf(plan: ClassicPlan, name: string): Uint8Array {
  const { content } = segmentOf(plan, name);
  if (content.kind === "file") throw new Error(`bytes expected in the segment "${name}"`);
  return content.bytes;
}

/** Holds a plan against what kexec_load(2) and the machine ask of any (facts of kernel/kexec_core.c). */
export function expectSound(plan: ClassicPlan, context: PlanContext): void {
  const usable = context.crash === null ? context.platform.usable : context.platform.crash.slice(-1);
  expect(plan.segments.length).toBeLessThanOrEqual(16);
  const isFilled = context.crash !== null || context.preserveContext || context.entryOverride !== null;
  let end = 0;
  for (const { name, address, memoryBytes, reservedBytes, content } of plan.segments) {
    // What is reserved is the segment's alone, though nobody may have to fill it.
    const range = { start: address, end: address + reservedBytes };
    expect([name, address % 4096, memoryBytes % 4096, reservedBytes % 4096]).toEqual([name, 0, 0, 0]);
    expect([name, address >= end, memoryBytes > 0]).toEqual([name, true, true]);
    expect([name, isFilled ? memoryBytes === reservedBytes : memoryBytes <= reservedBytes]).toEqual([name, true]);
    expect([name, intersectRanges(usable, [range])]).toEqual([name, [range]]);
    expect([name, intersectRanges([context.bounds], [range])]).toEqual([name, [range]]);
    const contentBytes = content.kind === "file" ? content.range.length : content.bytes.length;
    expect([name, contentBytes <= memoryBytes]).toEqual([name, true]);
    end = range.end;
  }
  const hasTables = plan.segments.some(({ name }) => name === "page tables");
  expect(hasTables).toBe(plan.target.mode === "64-bit" && !isFilled);
  expect(plan.pageTables !== null).toBe(hasTables);
  const purgatory = segmentOf(plan, "purgatory");
  expect(purgatory.digested).toBe(false);
  expect(plan.entry).toBe(context.entryOverride ?? purgatory.address);
}
