import { closeSync } from "node:fs";
import { type RunningBootParams, readBootParams } from "../formats/boot-params.ts";
import { allValues, hasParameter } from "../formats/cmdline.ts";
import { type IomemNode, iomemMemoryMap, parseIomem, walkIomem } from "../formats/iomem.ts";
import {
  type AddressRange,
  type FirmwareMapEntry,
  firmwareMemoryMap,
  intersectRanges,
  type MemoryRange,
  memoryRangesMax,
  mergeRanges,
  normalizeMemory,
  ramOf,
  subtractRanges,
  wholeUnits,
} from "../formats/memory-map.ts";
import { type Display, displayOf } from "../formats/screen-info.ts";
import type { EfiFacts } from "../formats/setup-data.ts";
import type { System } from "../linux/system.ts";
import { machineArchitecture } from "./architecture.ts";
import {
  type KernelPlaces,
  kernelPlaces,
  listKernelDirectory,
  openIfThere,
  Remarks,
  readKernelBytes,
  readKernelText,
  readPartIfThere,
} from "./kernel-files.ts";
import type { Platform } from "./platform.ts";
import { readEdd } from "./read-edd.ts";
import { readEfi, readSystemTableNames } from "./read-efi.ts";
import { findRsdpAddress, readRsdpBytes } from "./read-rsdp.ts";

/** The running kernel does not show what no target can be started without: which memory there is. */
export class PlatformError extends Error {
  override readonly name = "PlatformError";
}

const pageBytes = 4096;
const bootParamsBytes = 4096;
/** Of /proc/cpuinfo: the first processor's lines. */
const processorBytesMax = 65_536;
const efiPageBytes = 4096;

/**
 * Reads what a target's boot parameters are made of. What is missing or cannot be read is null or empty and stands
 * among the remarks, where the target can live without it; without any memory map it throws PlatformError. It changes
 * nothing.
 */
export async function readPlatform(system: System, options: Partial<KernelPlaces> = {}): Promise<Platform> {
  const places = { ...kernelPlaces, ...options };
  const { sysfs, proc, dev } = places;
  const remarks = new Remarks();
  const commandLine = remarks.attempt("/proc/cmdline", () => readKernelText(`${proc}/cmdline`)) ?? "";
  const bootParams = remarks.attempt("/sys/kernel/boot_params", () =>
    readKernelBytes(`${sysfs}/kernel/boot_params/data`, bootParamsBytes),
  );
  const running =
    bootParams === null ? null : remarks.attempt("/sys/kernel/boot_params", () => readBootParams(bootParams));
  const efi = readEfi(sysfs, running?.efi ?? null, remarks);
  const rsdp = readRootPointer(places, commandLine, running, remarks);
  return {
    architecture: machineArchitecture(),
    ...readMemory(places, commandLine, efi, remarks),
    bootParams: running === null ? null : bootParams,
    display: remarks.attempt("/dev/fb0", () => readDisplay(system, `${dev}/fb0`)),
    efi,
    rsdp,
    rsdpBytes: rsdp === null ? null : readRsdpBytes(`${dev}/mem`, rsdp),
    edd: running?.edd ?? remarks.attempt("/sys/firmware/edd", () => readEdd(`${sysfs}/firmware/edd`)) ?? [],
    fiveLevelPaging: remarks.attempt("/proc/cpuinfo", () => usesFiveLevels(`${proc}/cpuinfo`)) ?? false,
    remarks: remarks.sentences,
  };
}

type MemoryFacts = Pick<Platform, "memory" | "usable" | "crash">;

function readMemory(
  { sysfs, proc }: KernelPlaces,
  commandLine: string,
  efi: EfiFacts | null,
  remarks: Remarks,
): MemoryFacts {
  const resources = remarks.attempt("/proc/iomem", () => parseIomem(readKernelText(`${proc}/iomem`) ?? ""));
  const firmware = readFirmwareMap(sysfs, commandLine, remarks);
  const memory = keepForFirmware(firmware ?? iomemMemoryMap(resources ?? []), efi);
  const ram = ramOf(memory);
  if (ram.length === 0) {
    const reasons = remarks.sentences.length === 0 ? "" : `: ${remarks.sentences.join("; ")}`;
    throw new PlatformError(`neither /sys/firmware/memmap nor /proc/iomem tells which memory there is${reasons}`);
  }
  const usable =
    resources === null ? ram : subtractRanges(intersectRanges(ram, systemRam(resources)), setAside(resources));
  return { memory, usable: withoutFirstPage(wholeUnits(usable, pageBytes)), crash: crashRegions(resources ?? []) };
}

/**
 * Null where the kernel shows no map, or was told (`add_efi_memmap`) to add to it what it does not show there.
 */
function readFirmwareMap(sysfs: string, commandLine: string, remarks: Remarks): MemoryRange[] | null {
  if (remarks.attempt("/proc/cmdline", () => hasParameter(commandLine, "add_efi_memmap"))) return null;
  return remarks.attempt("/sys/firmware/memmap", () => {
    const directory = `${sysfs}/firmware/memmap`;
    const names = listKernelDirectory(directory);
    if (names.length === 0) return null;
    if (names.length > memoryRangesMax) throw new Error(`${names.length} ranges, at most ${memoryRangesMax} are taken`);
    return firmwareMemoryMap(names.map((name) => readMapEntry(`${directory}/${name}`)));
  });
}

function readMapEntry(directory: string): FirmwareMapEntry {
  const field = (name: string): string => readKernelText(`${directory}/${name}`) ?? "";
  return { start: field("start"), end: field("end"), type: field("type") };
}

/**
 * The runtime map also holds RAM that the running kernel keeps for firmware tables (efi_mem_reserve() of Linux): the
 * map from the firmware calls it free, and a target that lost it would read garbage in its place.
 */
function keepForFirmware(memory: readonly MemoryRange[], efi: EfiFacts | null): MemoryRange[] {
  const runtime = (efi?.runtimeMap ?? []).map(({ physical, pages }) => ({
    start: physical,
    end: physical + pages * efiPageBytes,
  }));
  const kept = intersectRanges(ramOf(memory), runtime).map((range) => ({ ...range, type: "reserved" as const }));
  return normalizeMemory([...memory, ...kept]);
}

/**
 * RAM that the kernel manages as its own: not what a driver has added (`System RAM (virtio_mem)`) and may take away.
 */
function systemRam(resources: readonly IomemNode[]): AddressRange[] {
  return mergeRanges([...walkIomem(resources)].filter(({ name }) => name === "System RAM"));
}

/** What stands inside System RAM and is not the running kernel's own image, which nobody needs after the jump. */
function setAside(resources: readonly IomemNode[]): AddressRange[] {
  return [...walkIomem(resources)]
    .filter(({ name }) => name === "System RAM")
    .flatMap(({ children }) => children.filter(({ name }) => !name.startsWith("Kernel ")));
}

function crashRegions(resources: readonly IomemNode[]): AddressRange[] {
  return mergeRanges([...walkIomem(resources)].filter(({ name }) => name === "Crash kernel"));
}

/** The first page holds the real-mode interrupt table, which a BIOS goes on using. */
function withoutFirstPage(ranges: readonly AddressRange[]): AddressRange[] {
  return subtractRanges(ranges, [{ start: 0, end: pageBytes }]);
}

function readRootPointer(
  { sysfs, dev }: KernelPlaces,
  commandLine: string,
  running: RunningBootParams | null,
  remarks: Remarks,
): number | null {
  const wanted = remarks.attempt("/proc/cmdline", () => allValues(commandLine, "acpi_rsdp"));
  const told = remarks.attempt("/sys/firmware/efi/systab", () => readSystemTableNames(sysfs));
  return findRsdpAddress({
    commandLine: wanted?.at(-1) ?? null,
    bootParams: running?.rsdp ?? null,
    systemTable: told,
    memory: `${dev}/mem`,
  });
}

/** Null without a frame buffer device, which is how servers and most virtual machines are. */
function readDisplay(system: System, path: string): Display | null {
  const fd = openIfThere(path);
  if (fd === null) return null;
  try {
    const { fixed, variable } = system.framebufferInfo(fd);
    return displayOf(fixed, variable);
  } finally {
    closeSync(fd);
  }
}

/**
 * Linux takes the flag `la57` from /proc/cpuinfo unless the processor can do it and its page tables have five levels
 * (arch/x86/kernel/cpu/common.c): the flag tells what is in use.
 */
function usesFiveLevels(path: string): boolean {
  const text = new TextDecoder().decode(readPartIfThere(path, 0, processorBytesMax) ?? new Uint8Array());
  return / la57( |$)/m.test(/^flags\t.*$/m.exec(text)?.[0] ?? "");
}
