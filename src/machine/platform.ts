import type { EddDisk } from "../formats/edd.ts";
import type { AddressRange, MemoryRange } from "../formats/memory-map.ts";
import type { Display } from "../formats/screen-info.ts";
import type { EfiFacts } from "../formats/setup-data.ts";

export type { EddDisk } from "../formats/edd.ts";
export type { Display } from "../formats/screen-info.ts";
export type { EfiFacts, EfiRuntimeRange } from "../formats/setup-data.ts";

/** What the target's boot parameters are made of, read from the running kernel. Pure data. */
export interface Platform {
  /** `uname -m` */
  readonly architecture: string;
  /** The firmware's memory map, as the target is told it: sorted, not overlapping. */
  readonly memory: readonly MemoryRange[];
  /** RAM that segments may lie in: sorted, without what the running kernel has set aside for others. */
  readonly usable: readonly AddressRange[];
  /**
   * What `crashkernel=` reserved ("Crash kernel" in /proc/iomem), ascending; the last one is where a capture kernel
   * goes.
   */
  readonly crash: readonly AddressRange[];
  /**
   * /sys/kernel/boot_params/data: the 4096 bytes that the running kernel was started with; null where it does not show
   * them.
   */
  readonly bootParams: Uint8Array | null;
  readonly display: Display | null;
  /** Null on a machine without EFI, or when runtime services are off (`noefi`, `efi=noruntime`). */
  readonly efi: EfiFacts | null;
  /** Physical address of the ACPI root pointer; null when nobody tells. */
  readonly rsdp: number | null;
  /** The root pointer's own bytes, for kernels that are given a copy (Multiboot2); null when they cannot be read. */
  readonly rsdpBytes: Uint8Array | null;
  readonly edd: readonly EddDisk[];
  /** Whether the running kernel uses 5-level page tables (la57), which the target is then entered with. */
  readonly fiveLevelPaging: boolean;
  /** What could not be read, as sentences. */
  readonly remarks: readonly string[];
}

/** What a capture kernel is told of the crashed one. */
export interface CrashFacts {
  /** Physical place of each possible processor's notes (/sys/devices/system/cpu/cpuN/crash_notes). */
  readonly notes: readonly { readonly cpu: number; readonly address: number; readonly bytes: number }[];
  /** /sys/kernel/vmcoreinfo */
  readonly vmcoreinfo: { readonly address: number; readonly bytes: number };
  /** The running kernel's own image: physical, and where it is mapped; null when /proc/kcore does not tell. */
  readonly kernelText: { readonly physical: AddressRange; readonly virtual: bigint } | null;
  /** Virtual address of physical 0 in the running kernel's direct map; null when unknown. */
  readonly directMap: bigint | null;
  /** System RAM that the dump is to hold: without the crash regions and the GART aperture. */
  readonly memory: readonly AddressRange[];
  /**
   * Bytes that the running kernel wants for headers it updates itself (/sys/kernel/crash_elfcorehdr_size); null when it
   * does not.
   */
  readonly headerBytes: number | null;
}
