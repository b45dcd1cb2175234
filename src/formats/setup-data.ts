import { alignUp, ByteWriter } from "./byte-writer.ts";
import { ByteReader } from "./bytes.ts";
import { FormatError } from "./format-error.ts";

/**
 * Types of `struct setup_data` (Linux, arch/x86/include/uapi/asm/setup_data.h), and two of our own: `SLPR`, the record of
 * the boot, and `SLPE`, its event log. Linux counts its types from 0, keeps bit 31 for itself, passes over those that it
 * does not know, keeps their memory and shows them in /sys/kernel/boot_params/setup_data.
 */
export const setupDataType = {
  e820Extension: 1,
  deviceTree: 2,
  efi: 4,
  rngSeed: 9,
  slipwayRecord: 0x534c5052,
  slipwayEventLog: 0x534c5045,
} as const;

export interface SetupDataItem {
  /** One of {@link setupDataType}, or another that the target knows. */
  readonly type: number;
  readonly data: Uint8Array;
}

/** Most records of a chain; Linux knows ten types. */
export const setupDataItemsMax = 64;

const headerBytes = 16;
/** Records start at multiples of this from the chain's start: the header has 64-bit fields. */
const recordAlignmentBytes = 16;
const format = "setup data";

/** Bytes of memory that {@link setupDataChain} takes; 0 without items. */
export function setupDataBytes(items: readonly SetupDataItem[]): number {
  return items.reduce((sum, { data }) => sum + alignUp(headerBytes + data.length, recordAlignmentBytes), 0);
}

/**
 * A chain of `struct setup_data` (Linux, Documentation/arch/x86/boot.rst, "setup_data") in the given order, laid out
 * one after the other for the physical `address`, which is what boot_params then points to. The last one's `next` is 0.
 * Throws {@link FormatError} for an address that is not a multiple of 16 and for more than {@link setupDataItemsMax}
 * items.
 */
export function setupDataChain(items: readonly SetupDataItem[], address: number): Uint8Array {
  if (!Number.isSafeInteger(address) || address % recordAlignmentBytes !== 0) {
    throw new FormatError(format, `address ${address}: a multiple of ${recordAlignmentBytes} expected`);
  }
  if (items.length > setupDataItemsMax) {
    throw new FormatError(format, `${items.length} items, at most ${setupDataItemsMax} are taken`);
  }
  const writer = new ByteWriter(setupDataBytes(items), format);
  let offset = 0;
  items.forEach(({ type, data }, index) => {
    const end = alignUp(offset + headerBytes + data.length, recordAlignmentBytes);
    writer.u64(offset, index === items.length - 1 ? 0 : address + end, "next");
    writer.u32(offset + 8, type, "type");
    writer.u32(offset + 12, data.length, "len");
    writer.set(offset + headerBytes, data, "data");
    offset = end;
  });
  return writer.bytes;
}

/** A line of /sys/firmware/efi/runtime-map. */
export interface EfiRuntimeRange {
  readonly type: number;
  readonly physical: number;
  /** The whole 64 bits: runtime services stay where SetVirtualAddressMap() put them. */
  readonly virtual: bigint;
  readonly pages: number;
  readonly attributes: bigint;
}

/** What a kernel needs to go on using the firmware's runtime services. */
export interface EfiFacts {
  /** Physical address of the EFI system table. */
  readonly systemTable: bigint;
  /**
   * Addresses that SetVirtualAddressMap() overwrote in the system table: vendor string, runtime services, configuration
   * tables.
   */
  readonly vendor: bigint;
  readonly runtime: bigint;
  readonly tables: bigint;
  /** Of the SMBIOS entry point; null when the firmware has none. */
  readonly smbios: bigint | null;
  readonly runtimeMap: readonly EfiRuntimeRange[];
}

/**
 * Bytes of an EFI_MEMORY_DESCRIPTOR of version 1 (UEFI 2.10, section 7.2.3), without what firmware may put behind it.
 */
export const efiMemoryDescriptorBytes = 40;

const descriptorVersion = 1;
const efiSetupBytes = 96;
/** Bytes of `struct efi_info` (Linux, arch/x86/include/uapi/asm/bootparam.h). */
export const efiInfoBytes = 32;

/** Most ranges of a runtime map; firmware has a few dozen. */
export const efiRuntimeRangesMax = 4096;

/** The runtime map as EFI_MEMORY_DESCRIPTORs: what `efi_memmap` of {@link efiInfo} points to. */
export function efiMemoryMap(ranges: readonly EfiRuntimeRange[]): Uint8Array {
  const writer = new ByteWriter(ranges.length * efiMemoryDescriptorBytes, "efi memory map");
  if (ranges.length > efiRuntimeRangesMax) {
    writer.fail(`${ranges.length} ranges, at most ${efiRuntimeRangesMax} are taken`, 0, "map");
  }
  ranges.forEach((range, index) => {
    const at = index * efiMemoryDescriptorBytes;
    writer.u32(at, range.type, "Type");
    writer.u64(at + 8, range.physical, "PhysicalStart");
    writer.u64(at + 16, range.virtual, "VirtualStart");
    writer.u64(at + 24, range.pages, "NumberOfPages");
    writer.u64(at + 32, range.attributes, "Attribute");
  });
  return writer.bytes;
}

/** The payload of SETUP_EFI: `struct efi_setup_data` (Linux, arch/x86/include/asm/efi.h). */
export function setupEfi(facts: EfiFacts): Uint8Array {
  const writer = new ByteWriter(efiSetupBytes, "efi setup data");
  writer.u64(0, facts.vendor, "fw_vendor");
  writer.u64(8, facts.runtime, "runtime");
  writer.u64(16, facts.tables, "tables");
  writer.u64(24, facts.smbios ?? 0n, "smbios");
  return writer.bytes;
}

export interface EfiInfo {
  /** `EL64` for 64-bit firmware, `EL32` for 32-bit; other text when boot_params do not come from EFI. */
  readonly signature: string;
  /** Physical. */
  readonly systemTable: bigint;
  readonly descriptorBytes: number;
  readonly descriptorVersion: number;
  readonly memoryMapBytes: number;
}

export interface EfiInfoRequest {
  /** Physical. */
  readonly systemTable: bigint;
  /** Where {@link efiMemoryMap} lies: physical, any place. */
  readonly memoryMapAddress: number;
  readonly memoryMapBytes: number;
}

/** `struct efi_info` of boot_params for a 64-bit kernel on 64-bit firmware. */
export function efiInfo({ systemTable, memoryMapAddress, memoryMapBytes }: EfiInfoRequest): Uint8Array {
  const writer = new ByteWriter(efiInfoBytes, "efi info");
  writer.set(0, new TextEncoder().encode("EL64"), "efi_loader_signature");
  writer.u32(4, Number(systemTable & 0xffff_ffffn), "efi_systab");
  writer.u32(8, efiMemoryDescriptorBytes, "efi_memdesc_size");
  writer.u32(12, descriptorVersion, "efi_memdesc_version");
  writer.u32(16, memoryMapAddress % 2 ** 32, "efi_memmap");
  writer.u32(20, memoryMapBytes, "efi_memmap_size");
  writer.u32(24, Number(systemTable >> 32n), "efi_systab_hi");
  writer.u32(28, Math.floor(memoryMapAddress / 2 ** 32), "efi_memmap_hi");
  return writer.bytes;
}

/** Reads `struct efi_info`, 32 bytes; null when all are 0: the kernel was not started by EFI. */
export function readEfiInfo(bytes: Uint8Array): EfiInfo | null {
  const reader = new ByteReader(bytes, "efi info");
  if (reader.slice(0, efiInfoBytes, "efi_info").every((byte) => byte === 0)) return null;
  const wide = (low: number, high: number, field: string): bigint =>
    BigInt(reader.u32le(low, field)) | (BigInt(reader.u32le(high, field)) << 32n);
  return {
    signature: reader.latin1(0, 4, "efi_loader_signature"),
    systemTable: wide(4, 24, "efi_systab"),
    descriptorBytes: reader.u32le(8, "efi_memdesc_size"),
    descriptorVersion: reader.u32le(12, "efi_memdesc_version"),
    memoryMapBytes: reader.u32le(20, "efi_memmap_size"),
  };
}
