import { appendWords } from "../../formats/cmdline.ts";
import { type CoreLoad, writeElfCoreHeader } from "../../formats/elf-core.ts";
import { elfMachine } from "../../formats/elf-file.ts";
import {
  type AddressRange,
  intersectRanges,
  type MemoryRange,
  type MemoryType,
  normalizeMemory,
  ramOf,
  subtractRanges,
} from "../../formats/memory-map.ts";
import type { CrashFacts } from "../../machine/platform.ts";
import { pageBytes } from "./placement.ts";
import { type BackupCopy, PlanError } from "./plan.ts";
import type { PlanContext } from "./plan-context.ts";
import { type PlanDraft, zeroes } from "./plan-draft.ts";

/** What a capture kernel gets besides its own parts. */
export interface CrashParts {
  readonly commandLine: string;
  /** What it may use, and what it has to know of. */
  readonly memory: readonly MemoryRange[];
  /** Null when the crashed kernel has no memory where the capture kernel needs to be. */
  readonly backup: BackupCopy | null;
}

/** Conventional memory: where a kernel starts the other processors, whatever its own place is. */
const lowMemory: AddressRange = { start: 0, end: 0xa0000 };
const headerAlignment = 1024;
const headerBytesMin = 16 * 1024;
/** A range of RAM below this is not worth its words on the command line, as kexec-tools has it. */
const memmapBytesMin = 100 * 1024;
const mappedNowhere = 0xffff_ffff_ffff_ffffn;

/**
 * Places what a capture kernel reads the crashed one from, inside the crash region: a backup of the first 640 KiB,
 * which the capture kernel runs in, filled by the purgatory; and the ELF header of the dump.
 *
 * @param withEfi whether the capture kernel is told of EFI: then it finds the ACPI root pointer by it
 */
export function placeCrashParts(draft: PlanDraft, facts: CrashFacts, withEfi: boolean): CrashParts {
  const { context } = draft;
  const backup = placeBackup(draft, facts);
  const header = coreHeader(context, facts, backup);
  const address = draft.place("elfcorehdr", header.length, { from: "top" });
  // The running kernel rewrites the header when processors or memory come and go.
  draft.add({
    name: "elfcorehdr",
    address,
    content: { kind: "bytes", bytes: header },
    digested: !context.hotplug,
  });
  const taken = [{ start: address, end: address + header.length }, ...(backup === null ? [] : [destinationOf(backup)])];
  const memory = captureMemory(context, taken);
  const words = [
    ...(withEfi || context.platform.rsdp === null ? [] : [`acpi_rsdp=0x${context.platform.rsdp.toString(16)}`]),
    `elfcorehdr=${address / headerAlignment}K`,
    ...(context.passMemmapCommandLine ? ["memmap=exactmap", ...memory.flatMap(memmapWord)] : []),
  ];
  return { commandLine: appendWords(context.commandLine, words), memory, backup };
}

/** Memory of the crashed kernel below 640 KiB, whole pages. */
function lowRanges(facts: CrashFacts): AddressRange[] {
  return intersectRanges(facts.memory, [lowMemory]);
}

function placeBackup(draft: PlanDraft, facts: CrashFacts): BackupCopy | null {
  const low = lowRanges(facts);
  const [first, last] = [low[0], low.at(-1)];
  if (first === undefined || last === undefined) return null;
  // One copy, with the holes between: reading what a BIOS keeps there does no harm.
  const bytes = last.end - first.start;
  const destination = draft.place("backup of low memory", bytes, { from: "top" });
  draft.add({
    name: "backup of low memory",
    address: destination,
    content: zeroes,
    memoryBytes: bytes,
    digested: false,
  });
  return { source: first.start, destination, bytes };
}

/** Whole pages: the capture kernel must not use the rest of the last one either. */
function destinationOf({ destination, bytes }: BackupCopy): AddressRange {
  return { start: destination, end: Math.ceil((destination + bytes) / pageBytes) * pageBytes };
}

function coreHeader(context: PlanContext, facts: CrashFacts, backup: BackupCopy | null): Uint8Array {
  if (context.hotplug && facts.headerBytes === null) {
    throw new PlanError("--hotplug: the running kernel does not keep crash headers up to date (CONFIG_CRASH_HOTPLUG)");
  }
  const virtualOf = (physical: number): bigint =>
    facts.directMap === null ? mappedNowhere : facts.directMap + BigInt(physical);
  const memory = [
    ...lowRanges(facts).map(({ start, end }): CoreLoad => {
      const content = backup === null ? start : backup.destination + start - backup.source;
      return { physical: start, bytes: end - start, virtual: virtualOf(start), content };
    }),
    ...subtractRanges(facts.memory, [lowMemory]).map(
      ({ start, end }): CoreLoad => ({ physical: start, bytes: end - start, virtual: virtualOf(start) }),
    ),
  ];
  return writeElfCoreHeader({
    bits: context.elf32CoreHeaders ? 32 : 64,
    machine: elfMachine.x86_64,
    notes: facts.notes,
    vmcoreinfo: facts.vmcoreinfo,
    loads: [...kernelTextLoad(facts), ...memory],
    bytesMin: Math.max(headerBytesMin, context.hotplug ? (facts.headerBytes ?? 0) : 0),
    align: headerAlignment,
  });
}

function kernelTextLoad({ kernelText }: CrashFacts): CoreLoad[] {
  if (kernelText === null) return [];
  const { physical, virtual } = kernelText;
  return [{ physical: physical.start, bytes: physical.end - physical.start, virtual }];
}

/**
 * The crash regions less what was just placed, low memory, and everything that is not RAM: tables of the firmware have
 * to be known. The crashed kernel's RAM is left out, so that it stays as it was.
 */
function captureMemory({ platform }: PlanContext, taken: readonly AddressRange[]): MemoryRange[] {
  const low = intersectRanges(ramOf(platform.memory), [lowMemory]);
  const ram = [...low, ...subtractRanges(platform.crash, taken)];
  return normalizeMemory([
    ...ram.map(({ start, end }): MemoryRange => ({ start, end, type: "ram" })),
    ...platform.memory.filter(({ type }) => type !== "ram"),
  ]);
}

/** How `memmap=` tells a type (Documentation/admin-guide/kernel-parameters.txt); what is reserved needs no word. */
const memmapSigns: Partial<Record<MemoryType, string>> = {
  ram: "@",
  acpi: "#",
  "acpi-nvs": "#",
  "persistent-legacy": "!",
};

/** Whole KiB: of RAM no more than there is, of tables no less. */
function memmapWord({ start, end, type }: MemoryRange): string[] {
  const sign = memmapSigns[type];
  const isRam = type === "ram";
  const first = isRam ? Math.ceil(start / 1024) : Math.floor(start / 1024);
  const last = isRam ? Math.floor(end / 1024) : Math.ceil(end / 1024);
  if (sign === undefined || (isRam && (last - first) * 1024 < memmapBytesMin)) return [];
  return [`memmap=${last - first}K${sign}${first}K`];
}
