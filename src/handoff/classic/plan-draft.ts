import { alignUp } from "../../formats/byte-writer.ts";
import {
  type AddressRange,
  intersectRanges,
  type MemoryRange,
  mergeRanges,
  normalizeMemory,
} from "../../formats/memory-map.ts";
import { identityMapBytes, writeIdentityMap } from "../../formats/page-tables.ts";
import { purgatoryName } from "./load-classic.ts";
import { hex, Placement, type PlaceWish, pageBytes, size } from "./placement.ts";
import {
  type BackupCopy,
  type ClassicPlan,
  type PageTables,
  PlanError,
  type Segment,
  type SegmentContent,
  type TargetEntry,
} from "./plan.ts";
import type { PlanContext } from "./plan-context.ts";
import { makePurgatory, type PurgatoryRequest, purgatoryLimit, purgatoryMemoryBytes } from "./purgatory.ts";

/** KEXEC_SEGMENT_MAX of linux/kexec.h. */
export const segmentsMax = 16;

/** How this loader names itself to kernels that ask. */
export const loaderName = "slipway";

/** The name of an initrd's segment. */
export const initrdName = "initrd";

/** Memory of nothing but zeroes. */
export const zeroes: SegmentContent = { kind: "bytes", bytes: new Uint8Array(0) };

/** A segment whose place is settled. */
export interface DraftSegment {
  readonly name: string;
  readonly address: number;
  readonly content: SegmentContent;
  /** Bytes; at least those of the content, which is what counts without it. What the content does not fill is zeroed. */
  readonly memoryBytes?: number;
  /** Bytes that the target needs for itself from `address` on, whatever they hold. */
  readonly reservedBytes?: number;
  /** False for what is changed between the load and the jump. */
  readonly digested?: boolean;
}

/** What only the planner of an image knows. */
export interface PlanEnd {
  readonly target: TargetEntry;
  readonly commandLine: string;
  readonly backup?: BackupCopy | null;
  readonly jumpBackCommandLineEnd?: number | null;
  readonly remarks?: readonly string[];
}

/**
 * A plan while it is being made: places are taken first, then segments put there.
 *
 * A kernel unpacks itself within tens of MiB that it needs free. The running kernel keeps its own page tables for the jump
 * out of the segments only, so it would have to fill all of that, zero by zero, or the target might unpack itself over
 * the tables that it runs on. Instead a 64-bit target gets tables of its own, and what it only needs free is not filled.
 * A target without paging needs none. For a crash, for a target that is to come back, and where the purgatory, which
 * changes the tables, is passed by, everything is filled.
 */
export class PlanDraft {
  readonly context: PlanContext;
  readonly placement: Placement;
  readonly #segments: Segment[] = [];
  #purgatory: number | null = null;

  constructor(context: PlanContext) {
    if (context.crash !== null && context.preserveContext) {
      throw new PlanError(
        "a capture kernel cannot come back: --load-preserve-context and a load for a crash exclude each other",
      );
    }
    this.context = context;
    this.placement = context.crash === null ? wholeMemory(context) : crashMemory(context);
  }

  /** Takes a place; see {@link Placement.place}. */
  place(name: string, bytes: number, wish: PlaceWish): number {
    return this.placement.place(name, bytes, wish);
  }

  /** Takes the purgatory's place, as high as the way to such a target allows. */
  placePurgatory(mode: TargetEntry["mode"]): number {
    const limit = purgatoryLimit(nowhere[mode]);
    this.#purgatory = this.place(purgatoryName, purgatoryMemoryBytes, { ...limit, from: "top" });
    return this.#purgatory;
  }

  add({ name, address, content, memoryBytes = 0, reservedBytes = 0, digested = true }: DraftSegment): void {
    const contentBytes = content.kind === "file" ? content.range.length : content.bytes.length;
    const filled = alignUp(Math.max(contentBytes, memoryBytes), pageBytes);
    const reserved = Math.max(filled, alignUp(reservedBytes, pageBytes));
    const bytes = this.#fillsAll ? reserved : filled;
    this.#segments.push({ name, address, content, memoryBytes: bytes, reservedBytes: reserved, digested });
  }

  /** Whether the running kernel's own page tables serve until the target has others. */
  get #fillsAll(): boolean {
    const { crash, preserveContext, entryOverride, bounds } = this.context;
    // Page tables of our own lie below 4 GiB.
    return crash !== null || preserveContext || entryOverride !== null || bounds.start >= earlyMemoryEnd;
  }

  /**
   * What the target is told of memory. One that is to come back may use only what is saved for its time: the segments,
   * and between them what {@link finish} adds.
   */
  targetMemory(): readonly MemoryRange[] {
    const { memory } = this.context.platform;
    if (!this.context.preserveContext) return memory;
    const ram = this.placement.usable.map(({ start, end }): MemoryRange => ({ start, end, type: "ram" }));
    return normalizeMemory([...ram, ...memory.filter(({ type }) => type !== "ram")]);
  }

  /** The plan. Throws PlanError for one that kexec_load(2) does not take. */
  finish({ target, commandLine, backup = null, jumpBackCommandLineEnd = null, remarks = [] }: PlanEnd): ClassicPlan {
    const { console, entryOverride, preserveContext } = this.context;
    const address = this.#purgatory ?? this.placePurgatory(target.mode);
    const own = { start: address, end: address + purgatoryMemoryBytes };
    const pageTables = target.mode === "64-bit" && !this.#fillsAll ? this.#addPageTables(own) : null;
    const bytes = purgatoryBytes({
      address,
      target,
      digest: null,
      backup,
      console,
      jumpBackCommandLineEnd,
      pageTables,
    });
    this.add({
      name: purgatoryName,
      address,
      content: { kind: "bytes", bytes },
      memoryBytes: purgatoryMemoryBytes,
      digested: false,
    });
    if (preserveContext) this.#saveTheRest();
    const segments = this.#segments.toSorted((a, b) => a.address - b.address);
    refuseTooMany(segments, preserveContext);
    return {
      segments,
      entry: entryOverride ?? address,
      target,
      backup,
      console,
      jumpBackCommandLineEnd,
      pageTables,
      commandLine,
      remarks: [...remarks, ...this.#halfOfMemory()],
    };
  }

  /** Adds the page tables for a 64-bit target. */
  #addPageTables(purgatory: AddressRange): PageTables {
    const { platform } = this.context;
    const levels = platform.fiveLevelPaging ? 5 : 4;
    const segments = this.#segments
      // Nobody reads an initrd before the target has page tables of its own.
      .filter(({ name }) => name !== initrdName)
      .map(({ address, reservedBytes }) => ({ start: address, end: address + reservedBytes }));
    const ranges = [purgatory, ...segments, ...earlyMemory(platform)];
    // A target that changes the number of levels passes through 32-bit mode, where CR3 has 32 bits.
    const wish = { min: pageTablesMin, max: earlyMemoryEnd, from: "top" } as const;
    const address = this.place("page tables", identityMapBytes(ranges, levels), wish);
    const { bytes, root } = writeIdentityMap(ranges, address, levels);
    this.add({ name: "page tables", address, content: { kind: "bytes", bytes } });
    return { root, address, bytes: bytes.length };
  }

  /**
   * With KEXEC_PRESERVE_CONTEXT the running kernel exchanges segments with what was there: whatever the target uses is
   * one.
   */
  #saveTheRest(): void {
    for (const { start, end } of this.placement.free) {
      this.add({ name: "saved memory", address: start, content: zeroes, memoryBytes: end - start, digested: false });
    }
  }

  /**
   * sanity_check_segment_list() of kernel/kexec_core.c counts the memory that it manages, which is at most the usable
   * one.
   */
  #halfOfMemory(): string[] {
    const usable = this.context.platform.usable.reduce((sum, { start, end }) => sum + end - start, 0);
    const wanted = this.#segments.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
    if (wanted * 2 <= usable) return [];
    return [
      `the segments have ${size(wanted)}: the running kernel takes at most half of its memory, ${size(usable / 2)}`,
    ];
  }
}

/** Low memory is for those who can use no other. */
const pageTablesMin = 2 ** 20;
/** 4 GiB. What is above is mapped by the target itself, when it needs it. */
const earlyMemoryEnd = 2 ** 32;

/**
 * What a kernel may look at before it has page tables of its own: memory, the ACPI tables, and what the firmware has left
 * of EFI. As Linux does for a kernel that it loads itself (arch/x86/kernel/machine_kexec_64.c, init_pgtable()), no other
 * reserved memory is mapped: it may be that of devices.
 */
function earlyMemory({ memory, efi, rsdp }: PlanContext["platform"]): AddressRange[] {
  const isEarly = ({ type }: MemoryRange): boolean => type === "ram" || type === "acpi" || type === "acpi-nvs";
  const tables =
    efi === null ? [] : [efi.vendor, efi.runtime, efi.tables, efi.systemTable, efi.smbios ?? 0n].map(Number);
  const points = [...tables, rsdp ?? 0].map((start) => ({ start, end: start + pageBytes }));
  const runtime = (efi?.runtimeMap ?? []).map(({ physical, pages }) => ({
    start: physical,
    end: physical + pages * pageBytes,
  }));
  const all: readonly AddressRange[] = [{ start: 0, end: 2 ** 20 }, ...memory.filter(isEarly), ...points, ...runtime];
  return intersectRanges(mergeRanges(all), [{ start: 0, end: earlyMemoryEnd }]);
}

/** Entries of which only the mode counts. */
const nowhere: Readonly<Record<TargetEntry["mode"], TargetEntry>> = {
  "64-bit": { mode: "64-bit", address: 0, rsi: 0 },
  "32-bit": { mode: "32-bit", address: 0, eax: 0, ebx: 0, esi: 0 },
  "16-bit": { mode: "16-bit", cs: 0, ip: 0, ds: 0, ss: 0, sp: 0 },
};

/** What the purgatory cannot be told, such as the baud rate of its console, is the operator's wish. */
function purgatoryBytes(request: PurgatoryRequest): Uint8Array {
  try {
    return makePurgatory(request);
  } catch (error) {
    if (error instanceof RangeError) throw new PlanError(error.message, { cause: error });
    throw error;
  }
}

function wholeMemory({ platform, bounds }: PlanContext): Placement {
  return new Placement(platform.usable, bounds);
}

/** The running kernel loads into the last region; a lower one beside it is for the capture kernel's DMA. */
function crashMemory({ platform, bounds }: PlanContext): Placement {
  const region = platform.crash.at(-1);
  if (region === undefined) {
    throw new PlanError('Memory for crashkernel is not reserved: start the running kernel with "crashkernel=SIZE"');
  }
  const bytes = size(region.end - region.start);
  return new Placement([region], bounds, `the crash region has ${bytes} at ${hex(region.start)}..${hex(region.end)}`);
}

function refuseTooMany(segments: readonly Segment[], preserveContext: boolean): void {
  if (segments.length <= segmentsMax) return;
  const names = segments.map(({ name, address }) => `${name} at ${hex(address)}`).join(", ");
  const advice = preserveContext ? "; with a lower --mem-max or a higher --mem-min there is less to save" : "";
  throw new PlanError(`${segments.length} segments, and kexec_load takes at most ${segmentsMax}: ${names}${advice}`);
}
