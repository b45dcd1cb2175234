import { readdirSync } from "node:fs";
import { type CoreSegment, readCoreSegments } from "../formats/elf-core.ts";
import { quote } from "../formats/format-error.ts";
import { type IomemNode, parseIomem, walkIomem } from "../formats/iomem.ts";
import { type AddressRange, mergeRanges, subtractRanges } from "../formats/memory-map.ts";
import { type KernelPlaces, kernelPlaces, readKernelText, readPart } from "./kernel-files.ts";
import type { CrashFacts, Platform } from "./platform.ts";

/** The running kernel does not show what a capture kernel has to be told. */
export class CrashFactsError extends Error {
  override readonly name = "CrashFactsError";
}

/** Bytes of a processor's notes where the kernel does not tell (kernels before 3.12). */
const noteBytesDefault = 1024;
/** CONFIG_NR_CPUS goes up to this on x86_64. */
const processorsMax = 8192;
/** `p_paddr` of memory that has no one physical place. */
const nowhere = 0xffff_ffff_ffff_ffffn;

/**
 * Reads what a capture kernel is told of the running one. Throws CrashFactsError when the processors' notes, vmcoreinfo
 * or the memory cannot be read: a dump without them is none. Where /proc/kcore is closed (lockdown) or not built in,
 * the kernel's text and the direct map stay null: dump tools then find them by vmcoreinfo.
 */
export async function readCrashFacts(
  platform: Pick<Platform, "crash">,
  options: Partial<KernelPlaces> = {},
): Promise<CrashFacts> {
  const { sysfs, proc } = { ...kernelPlaces, ...options };
  const resources = parseIomem(required(`${proc}/iomem`));
  const segments = readKcore(`${proc}/kcore`);
  const code = [...walkIomem(resources)].find(({ name }) => name === "Kernel code") ?? null;
  return {
    notes: readNotes(`${sysfs}/devices/system/cpu`),
    vmcoreinfo: parseVmcoreinfo(required(`${sysfs}/kernel/vmcoreinfo`)),
    kernelText: kernelText(segments, code),
    directMap: directMap(segments, code),
    memory: dumpedMemory(resources, platform.crash),
    headerBytes: crashHeaderBytes(sysfs),
  };
}

function required(path: string): string {
  const text = readKernelText(path);
  if (text === null)
    throw new CrashFactsError(`read ${path}: the running kernel has no such file; it cannot be dumped`);
  return text;
}

/** Of the processors that are there, in order; those not plugged in have no directory. */
function readNotes(directory: string): CrashFacts["notes"] {
  const names = readdirSync(directory).filter((name) => /^cpu\d{1,5}$/.test(name));
  if (names.length > processorsMax) {
    throw new CrashFactsError(`${names.length} processors, at most ${processorsMax} are taken`);
  }
  const cpus = names.map((name) => Number(name.slice(3))).sort((a, b) => a - b);
  const notes = cpus.map((cpu) => readNote(`${directory}/cpu${cpu}`, cpu));
  const found = notes.filter((note) => note !== null);
  if (found.length === 0) throw new CrashFactsError(`read ${directory}/cpu*/crash_notes: no processor has notes`);
  return found;
}

function readNote(directory: string, cpu: number): CrashFacts["notes"][number] | null {
  const text = readKernelText(`${directory}/crash_notes`);
  if (text === null) return null;
  const bytes = readKernelText(`${directory}/crash_notes_size`) ?? String(noteBytesDefault);
  return {
    cpu,
    address: wholeNumber(text, 16, `${directory}/crash_notes`),
    bytes: wholeNumber(bytes, 10, `${directory}/crash_notes_size`),
  };
}

/** Sample: `0x00000001bad82000 1024`; the size, too, is hexadecimal (Linux, kernel/ksysfs.c, vmcoreinfo_show()). */
export function parseVmcoreinfo(text: string): CrashFacts["vmcoreinfo"] {
  const [, address = "", bytes = ""] = /^(?:0x)?([0-9a-f]{1,16}) ([0-9a-f]{1,8})$/i.exec(text) ?? [];
  return {
    address: wholeNumber(address, 16, "/sys/kernel/vmcoreinfo"),
    bytes: wholeNumber(bytes, 16, "/sys/kernel/vmcoreinfo"),
  };
}

function wholeNumber(text: string, base: 10 | 16, source: string): number {
  const value = (base === 16 ? /^[0-9a-f]{1,16}$/i : /^\d{1,15}$/).test(text)
    ? Number.parseInt(text, base)
    : Number.NaN;
  if (value > 0 && value < 2 ** 52) return value;
  throw new CrashFactsError(`read ${source}: a number from 1 to 2^52 expected, not ${quote(text)}`);
}

/** Empty when it cannot be read. */
function readKcore(path: string): CoreSegment[] {
  try {
    return readCoreSegments((offset, length) => readPart(path, offset, length));
  } catch {
    return [];
  }
}

/**
 * The mapping that has the place of "Kernel code" (its physical address is told since Linux 4.19), and of two the upper
 * one: RAM in the direct map may begin at the same place, but the image is mapped above all else.
 */
function textSegment(segments: readonly CoreSegment[], code: AddressRange | null): CoreSegment | null {
  if (code === null) return null;
  const here = segments.filter(({ physical }) => physical === BigInt(code.start));
  return here.reduce<CoreSegment | null>(
    (best, one) => (best !== null && best.virtual > one.virtual ? best : one),
    null,
  );
}

function kernelText(segments: readonly CoreSegment[], code: AddressRange | null): CrashFacts["kernelText"] {
  const text = textSegment(segments, code);
  if (text === null || code === null) return null;
  return { physical: { start: code.start, end: code.start + Number(text.bytes) }, virtual: text.virtual };
}

/** All pieces of RAM but the kernel's text are mapped at one distance from their physical place. */
function directMap(segments: readonly CoreSegment[], code: AddressRange | null): bigint | null {
  const text = textSegment(segments, code);
  const mapped = segments.filter(
    (segment) => segment !== text && segment.physical !== nowhere && segment.physical > 0n,
  );
  const distances = new Set(mapped.map(({ virtual, physical }) => virtual - physical));
  const [distance] = distances;
  return distance === undefined || distances.size > 1 ? null : distance;
}

/**
 * All RAM, also what drivers have added (`System RAM (kmem)`), without the crash regions and the AGP aperture over RAM.
 */
function dumpedMemory(resources: readonly IomemNode[], crash: readonly AddressRange[]): AddressRange[] {
  const nodes = [...walkIomem(resources)];
  const ram = mergeRanges(nodes.filter(({ name }) => name === "System RAM" || name.startsWith("System RAM (")));
  return subtractRanges(ram, [...crash, ...nodes.filter(({ name }) => name === "GART")]);
}

/**
 * Bytes that the running kernel wants for headers of a dump that it keeps up to date itself; null when it keeps none
 * (CONFIG_CRASH_HOTPLUG, Linux 6.6).
 */
export function crashHeaderBytes(sysfs: string): number | null {
  // Newer kernels have it in the directory, and a link at the old place for a while.
  for (const path of [`${sysfs}/kernel/kexec/crash_elfcorehdr_size`, `${sysfs}/kernel/crash_elfcorehdr_size`]) {
    const text = readKernelText(path);
    if (text !== null) return wholeNumber(text, 10, path);
  }
  return null;
}
