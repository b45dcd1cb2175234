import { alignUp, ByteWriter } from "./byte-writer.ts";
import { ByteReader } from "./bytes.ts";
import { parseBzImage } from "./bzimage.ts";
import { type EddDisk, readEdd, writeEdd } from "./edd.ts";
import { FormatError } from "./format-error.ts";
import { e820Number, type MemoryRange } from "./memory-map.ts";
import { screenInfoBytes } from "./screen-info.ts";
import { type EfiInfo, efiInfoBytes, readEfiInfo } from "./setup-data.ts";

export interface BootParamsRequest {
  /**
   * The first bytes of the bzImage, whose setup header is taken over; null makes one up, for a kernel without
   * (vmlinux).
   */
  readonly head: Uint8Array | null;
  /**
   * Physical address of the protected-mode kernel: `code32_start`. Above 4 GiB it is left at 0: only 32-bit entries use
   * it.
   */
  readonly kernelAddress: number;
  /** Physical. */
  readonly commandLineAddress: number;
  /** Physical address and bytes. */
  readonly initrd: { readonly address: number; readonly bytes: number } | null;
  /** Sorted, not overlapping. What does not fit goes into {@link extendedE820}. */
  readonly memory: readonly MemoryRange[];
  /** 64 bytes; null: no screen. */
  readonly screenInfo: Uint8Array | null;
  /** Physical address of the ACPI root pointer; null when nobody tells: a BIOS kernel then looks for it itself. */
  readonly rsdp: number | null;
  /** 32 bytes; null: no EFI runtime services. */
  readonly efiInfo: Uint8Array | null;
  /** As the running kernel was told (`hardware_subarch`): 0 is a PC. */
  readonly hardwareSubarch: number;
  /** As the running kernel was told (`secure_boot`): 0 unset, 1 unknown, 2 disabled, 3 enabled. */
  readonly secureBoot: number;
  readonly edd: readonly EddDisk[];
  /** Physical address of the first `struct setup_data`; 0: none. */
  readonly setupData: number;
}

/** Bytes of `struct boot_params`. */
export const bootParamsBytes = 4096;

/** E820_MAX_ENTRIES_ZEROPAGE. */
export const e820EntriesMax = 128;

const e820EntryBytes = 20;
const format = "boot parameters";
/** kexec-tools in the list of boot loaders (boot.rst, "type_of_loader"): Slipway hands over as kexec(8) does. */
const loaderType = 0xd0;
const loadedHigh = 1 << 0;
const canUseHeap = 1 << 7;
const initrdAddressMaxDefault = 0x37ff_ffff;
/** What a kernel without a setup header is told: the protocol of this layout, and as much command line as x86 takes. */
const madeUp = { protocol: 0x20f, commandLineBytesMax: 2047 } as const;

/**
 * The zero page for the 64-bit and 32-bit boot protocol (Linux, Documentation/arch/x86/boot.rst and zero-page.rst;
 * struct boot_params of arch/x86/include/uapi/asm/bootparam.h). All is zero but what is asked for and the image's own
 * setup header, from 0x1f1 to where its jump ends. In `loadflags` the image's LOADED_HIGH stays, which boot.rst marks
 * as the kernel's to say (kexec-tools and the kernel's own loader write 0); the other flags are the loader's and are 0.
 *
 * Throws {@link FormatError} for a head that is no bzImage's, and for what the image's protocol cannot be told:
 * addresses from 4 GiB on before 2.12, setup data before 2.09.
 */
export function writeBootParams(request: BootParamsRequest): Uint8Array {
  const params = new ByteWriter(bootParamsBytes, format);
  const protocol = request.head === null ? writeMadeUpHeader(params) : writeImageHeader(params, request.head);
  params.u8(0x210, loaderType, "type_of_loader");
  params.u32(0x214, request.kernelAddress < 2 ** 32 ? request.kernelAddress : 0, "code32_start");
  writeWide(params, protocol, 0x228, 0x0c8, request.commandLineAddress, "cmd_line_ptr");
  writeWide(params, protocol, 0x218, 0x0c0, request.initrd?.address ?? 0, "ramdisk_image");
  writeWide(params, protocol, 0x21c, 0x0c4, request.initrd?.bytes ?? 0, "ramdisk_size");
  if (protocol >= 0x207) params.u32(0x23c, request.hardwareSubarch, "hardware_subarch");
  if (protocol >= 0x209) params.u64(0x250, request.setupData, "setup_data");
  else if (request.setupData !== 0) refuse(protocol, "2.09", "setup data");
  writeFixed(params, 0, screenInfoBytes, request.screenInfo, "screen_info");
  params.u64(0x070, request.rsdp ?? 0, "acpi_rsdp_addr");
  writeFixed(params, 0x1c0, efiInfoBytes, request.efiInfo, "efi_info");
  params.u8(0x1ec, request.secureBoot, "secure_boot");
  writeMemory(params, request.memory);
  writeEdd(params, request.edd);
  return params.bytes;
}

/** Copies the image's header; returns its protocol. */
function writeImageHeader(params: ByteWriter, head: Uint8Array): number {
  const { protocol, headerEnd } = parseBzImage(head);
  params.set(0x1f1, new ByteReader(head, format).slice(0x1f1, headerEnd - 0x1f1, "setup header"), "setup header");
  params.u8(0x211, loadedHigh, "loadflags");
  return protocol;
}

function writeMadeUpHeader(params: ByteWriter): number {
  params.u16(0x1fe, 0xaa55, "boot_flag");
  params.set(0x202, new TextEncoder().encode("HdrS"), "header");
  params.u16(0x206, madeUp.protocol, "version");
  params.u8(0x211, loadedHigh, "loadflags");
  params.u32(0x22c, initrdAddressMaxDefault, "initrd_addr_max");
  params.u32(0x238, madeUp.commandLineBytesMax, "cmdline_size");
  return madeUp.protocol;
}

/** A value whose high word stands elsewhere in the zero page, where kernels look for it since protocol 2.12. */
function writeWide(
  params: ByteWriter,
  protocol: number,
  at: number,
  highAt: number,
  value: number,
  field: string,
): void {
  const high = Math.floor(value / 2 ** 32);
  if (high !== 0 && protocol < 0x20c) refuse(protocol, "2.12", `${field} 0x${value.toString(16)}`);
  params.u32(at, value - high * 2 ** 32, field);
  params.u32(highAt, high, `ext_${field}`);
}

function refuse(protocol: number, needed: string, what: string): never {
  const found = `${protocol >> 8}.${String(protocol & 0xff).padStart(2, "0")}`;
  throw new FormatError(
    format,
    `${what}: a kernel of boot protocol ${needed} or later expected, this one has ${found}`,
  );
}

function writeFixed(params: ByteWriter, at: number, bytes: number, content: Uint8Array | null, field: string): void {
  if (content === null) return;
  if (content.length !== bytes) params.fail(`${content.length} bytes, ${bytes} expected`, at, field);
  params.set(at, content, field);
}

function writeMemory(params: ByteWriter, memory: readonly MemoryRange[]): void {
  const listed = memory.slice(0, e820EntriesMax);
  params.u8(0x1e8, listed.length, "e820_entries");
  params.set(0x2d0, e820Table(listed), "e820_table");
  // For kernels that know no e820 table: KiB from 1 MiB to the end of that RAM.
  const high = memory.find(({ start, end, type }) => type === "ram" && start <= 0x10_0000 && end > 0x10_0000);
  const kib = high === undefined ? 0 : Math.floor((high.end - 0x10_0000) / 1024);
  params.u16(0x002, Math.min(kib, 0xfc00), "ext_mem_k");
  params.u32(0x1e0, Math.min(kib, 0xffff_ffff), "alt_mem_k");
}

/** Entries of `struct boot_e820_entry`: address, size, type. */
function e820Table(memory: readonly MemoryRange[]): Uint8Array {
  const table = new ByteWriter(memory.length * e820EntryBytes, format);
  memory.forEach(({ start, end, type }, index) => {
    const at = index * e820EntryBytes;
    table.u64(at, start, "e820 addr");
    table.u64(at + 8, end - start, "e820 size");
    table.u32(at + 16, e820Number(type), "e820 type");
  });
  return table.bytes;
}

/** The payload of SETUP_E820_EXT with what the zero page has no room for; null when all fits. */
export function extendedE820(memory: readonly MemoryRange[]): Uint8Array | null {
  return memory.length <= e820EntriesMax ? null : e820Table(memory.slice(e820EntriesMax));
}

/** What a kernel is entered with in 16-bit mode. Everything else is asked from the BIOS by its setup code. */
export interface RealModeRequest {
  /** The image's boot sector and setup code: `setupBytes` of {@link parseBzImage}. */
  readonly setup: Uint8Array;
  /** Physical address of the boot sector, below 1 MiB; the setup code starts 512 bytes behind. */
  readonly address: number;
  /** Physical address of the protected-mode kernel, below 4 GiB. */
  readonly kernelAddress: number;
  /** Physical, within the 64 KiB from `address`, behind the setup's heap. */
  readonly commandLineAddress: number;
  /** Below 4 GiB. */
  readonly initrd: { readonly address: number; readonly bytes: number } | null;
}

/** Where the stack and heap of real-mode setup code end, from its start (boot.rst, "SAMPLE BOOT CONFIGURATION"). */
export const realModeHeapEnd = 0xe000;

/**
 * Boot sector and setup code with the header filled in for the 16-bit boot protocol (boot.rst, "THE REAL-MODE KERNEL
 * HEADER"): a copy of the same length. The kernel is entered at `address >> 4` + 0x20 : 0. Throws {@link FormatError}
 * for what does not fit.
 */
export function writeRealModeSetup(request: RealModeRequest): Uint8Array {
  const { protocol, setupBytes } = parseBzImage(request.setup);
  const setup = new Uint8Array(new ByteReader(request.setup, format).slice(0, setupBytes, "setup code"));
  const header = new ByteWriter(setup, format);
  header.u8(0x210, loaderType, "type_of_loader");
  header.u8(0x211, protocol >= 0x201 ? loadedHigh | canUseHeap : loadedHigh, "loadflags");
  header.u32(0x214, request.kernelAddress, "code32_start");
  header.u32(0x218, request.initrd?.address ?? 0, "ramdisk_image");
  header.u32(0x21c, request.initrd?.bytes ?? 0, "ramdisk_size");
  if (protocol >= 0x201) header.u16(0x224, realModeHeapEnd - 0x200, "heap_end_ptr");
  if (protocol >= 0x202) {
    header.u32(0x228, request.commandLineAddress, "cmd_line_ptr");
    return setup;
  }
  const offset = request.commandLineAddress - request.address;
  header.u16(0x20, 0xa33f, "cl_magic");
  header.u16(0x22, offset, "cl_offset");
  header.u16(0x212, alignUp(offset + 256, 16), "setup_move_size");
  return setup;
}

/** What the running kernel was told and the next one is told again. */
export interface RunningBootParams {
  readonly rsdp: number | null;
  /** Null: the machine was not started by EFI. */
  readonly efi: EfiInfo | null;
  readonly hardwareSubarch: number;
  readonly secureBoot: number;
  readonly edd: readonly EddDisk[];
}

/**
 * Reads /sys/kernel/boot_params/data (4096 bytes). Throws {@link FormatError} for fewer, or for a count or address out
 * of bounds.
 */
export function readBootParams(bytes: Uint8Array): RunningBootParams {
  const params = new ByteReader(bytes, format);
  if (bytes.length < bootParamsBytes) params.fail(`${bytes.length} bytes, ${bootParamsBytes} expected`);
  const rsdp = params.u64le(0x070, "acpi_rsdp_addr");
  if (rsdp >= 2n ** 52n) params.fail(`0x${rsdp.toString(16)}: a physical address expected`, 0x070, "acpi_rsdp_addr");
  return {
    rsdp: rsdp === 0n ? null : Number(rsdp),
    efi: readEfiInfo(params.slice(0x1c0, efiInfoBytes, "efi_info")),
    hardwareSubarch: params.u32le(0x23c, "hardware_subarch"),
    secureBoot: params.u8(0x1ec, "secure_boot"),
    edd: readEdd(params),
  };
}
