import { alignUp, ByteWriter, cString } from "./byte-writer.ts";
import { FormatError } from "./format-error.ts";
import type { MemoryRange, MemoryType } from "./memory-map.ts";
import type { FrameBuffer } from "./screen-info.ts";

/** A file that the loader put into memory beside the kernel. */
export interface MultibootModule {
  /** Physical, below 4 GiB. */
  readonly address: number;
  readonly bytes: number;
  /** By custom the file's name first. */
  readonly commandLine: string;
}

export interface MultibootInfoRequest {
  /** Physical address where the information will lie; below 4 GiB, a multiple of 8. */
  readonly address: number;
  readonly commandLine: string;
  /** The boot loader's name. */
  readonly loader: string;
  readonly modules: readonly MultibootModule[];
  /** Sorted, not overlapping. */
  readonly memory: readonly MemoryRange[];
  /** Null: not told. */
  readonly frameBuffer: FrameBuffer | null;
}

export interface Multiboot2InfoRequest extends MultibootInfoRequest {
  /** Physical address that the image was loaded to; null for one that cannot be moved. */
  readonly loadBase: number | null;
  /** The ACPI root pointer as it lies in memory: 20 bytes for ACPI 1.0, else its `length`. Null: not told. */
  readonly rsdp: Uint8Array | null;
  /** Physical address of the 64-bit EFI system table; null: not told. */
  readonly efi64SystemTable: bigint | null;
}

/** Most modules; loaders and kernels have far fewer. */
export const multibootModulesMax = 1024;

const addressAlignment = 8;
const textMemory = 0xb8000;

/**
 * What a Multiboot kernel finds by ebx, with eax = 0x2BADB002 (Multiboot Specification 0.6.96, section 3.3): the
 * structure and behind it strings, modules and memory map, all little-endian with absolute addresses. Throws {@link
 * FormatError} for an address that 32 bits do not hold, NUL in a text, too many modules.
 */
export function writeMultibootInfo(request: MultibootInfoRequest): Uint8Array {
  const format = "multiboot information";
  checkRequest(request, format);
  const { address, memory, modules, frameBuffer } = request;
  const texts = [request.commandLine, request.loader, ...modules.map((module) => module.commandLine)].map((text) =>
    cString(text, format, "string"),
  );
  const mmapAt = 120;
  const modulesAt = mmapAt + memory.length * 24;
  let textAt = modulesAt + modules.length * 16;
  const textBytes = texts.reduce((sum, text) => sum + text.length, 0);
  const info = new ByteWriter(alignUp(textAt + textBytes, addressAlignment), format);
  const [commandLine = 0, loader = 0, ...moduleTexts] = texts.map((text) => {
    const at = textAt;
    info.set(at, text, "string");
    textAt += text.length;
    return address + at;
  });
  const flags = { memory: 1 << 0, commandLine: 1 << 2, modules: 1 << 3, map: 1 << 6, loader: 1 << 9 };
  info.u32(0, Object.values(flags).reduce((sum, flag) => sum | flag) | (frameBuffer === null ? 0 : 1 << 12), "flags");
  const { lowerKib, upperKib } = basicMemory(memory);
  info.u32(4, lowerKib, "mem_lower");
  info.u32(8, upperKib, "mem_upper");
  info.u32(16, commandLine, "cmdline");
  info.u32(20, modules.length, "mods_count");
  info.u32(24, address + modulesAt, "mods_addr");
  modules.forEach((module, index) => {
    const at = modulesAt + index * 16;
    info.u32(at, module.address, "mod_start");
    info.u32(at + 4, module.address + module.bytes, "mod_end");
    info.u32(at + 8, moduleTexts[index] ?? 0, "string");
  });
  info.u32(44, memory.length * 24, "mmap_length");
  info.u32(48, address + mmapAt, "mmap_addr");
  memory.forEach(({ start, end, type }, index) => {
    const at = mmapAt + index * 24;
    info.u32(at, 20, "size");
    info.u64(at + 4, start, "base_addr");
    info.u64(at + 12, end - start, "length");
    info.u32(at + 20, mapType(type), "type");
  });
  info.u32(64, loader, "boot_loader_name");
  if (frameBuffer !== null) writeFrameBuffer(info, 88, 110, frameBuffer);
  return info.bytes;
}

/**
 * What a Multiboot2 kernel finds by ebx, with eax = 0x36D76289 (Multiboot2 Specification 2.0, section 3.6): a list of
 * tags, each at a multiple of 8. Throws {@link FormatError} as {@link writeMultibootInfo} does.
 */
export function writeMultiboot2Info(request: Multiboot2InfoRequest): Uint8Array {
  const format = "multiboot2 information";
  checkRequest(request, format);
  const tags = [
    stringTag(1, request.commandLine),
    stringTag(2, request.loader),
    ...request.modules.map((module) => moduleTag(module)),
    basicMemoryTag(request.memory),
    memoryMapTag(request.memory),
    ...optional(request.frameBuffer, frameBufferTag),
    ...optional(request.efi64SystemTable, (table) => tag(12, 8, (w) => w.u64(8, table, "pointer"))),
    ...optional(request.rsdp, rsdpTag),
    ...optional(request.loadBase, (base) => tag(21, 4, (w) => w.u32(8, base, "load_base_addr"))),
    tag(0, 0, () => undefined),
  ];
  const total = tags.reduce((sum, bytes) => sum + alignUp(bytes.length, 8), 8);
  const info = new ByteWriter(total, format);
  info.u32(0, total, "total_size");
  let at = 8;
  for (const bytes of tags) {
    info.set(at, bytes, "tag");
    at += alignUp(bytes.length, 8);
  }
  return info.bytes;
}

function optional<T>(value: T | null, make: (value: T) => Uint8Array): Uint8Array[] {
  return value === null ? [] : [make(value)];
}

/** A tag of `type` with `bytes` behind its header of 8. */
function tag(type: number, bytes: number, fill: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(8 + bytes, "multiboot2 information");
  writer.u32(0, type, "type");
  writer.u32(4, 8 + bytes, "size");
  fill(writer);
  return writer.bytes;
}

function stringTag(type: number, text: string): Uint8Array {
  const content = cString(text, "multiboot2 information", "string");
  return tag(type, content.length, (w) => w.set(8, content, "string"));
}

function moduleTag({ address, bytes, commandLine }: MultibootModule): Uint8Array {
  const text = cString(commandLine, "multiboot2 information", "string");
  return tag(3, 8 + text.length, (w) => {
    w.u32(8, address, "mod_start");
    w.u32(12, address + bytes, "mod_end");
    w.set(16, text, "string");
  });
}

function basicMemoryTag(memory: readonly MemoryRange[]): Uint8Array {
  const { lowerKib, upperKib } = basicMemory(memory);
  return tag(4, 8, (w) => {
    w.u32(8, lowerKib, "mem_lower");
    w.u32(12, upperKib, "mem_upper");
  });
}

function memoryMapTag(memory: readonly MemoryRange[]): Uint8Array {
  return tag(6, 8 + memory.length * 24, (w) => {
    w.u32(8, 24, "entry_size");
    memory.forEach(({ start, end, type }, index) => {
      const at = 16 + index * 24;
      w.u64(at, start, "base_addr");
      w.u64(at + 8, end - start, "length");
      w.u32(at + 16, mapType(type), "type");
    });
  });
}

/** The specification's table has the colors at 31, its C header and every loader at 32. */
function frameBufferTag(frameBuffer: FrameBuffer): Uint8Array {
  const colorBytes = frameBuffer.kind === "linear" ? 6 : 0;
  return tag(8, 24 + colorBytes, (w) => writeFrameBuffer(w, 8, 32, frameBuffer));
}

/** ACPI 1.0 has revision 0 and 20 bytes; 2.0 and later tell the length at 20 (ACPI 6.5, section 5.2.5.3). */
function rsdpTag(rsdp: Uint8Array): Uint8Array {
  return tag(rsdp[15] === 0 ? 14 : 15, rsdp.length, (w) => w.set(8, rsdp, "RSDP"));
}

/** Address, pitch, width, height, depth, type: alike in both specifications. */
function writeFrameBuffer(writer: ByteWriter, at: number, colorsAt: number, frameBuffer: FrameBuffer): void {
  const text = frameBuffer.kind === "text";
  writer.u64(at, text ? textMemory : frameBuffer.address, "framebuffer_addr");
  writer.u32(at + 8, text ? frameBuffer.columns * 2 : frameBuffer.pitchBytes, "framebuffer_pitch");
  writer.u32(at + 12, text ? frameBuffer.columns : frameBuffer.width, "framebuffer_width");
  writer.u32(at + 16, text ? frameBuffer.lines : frameBuffer.height, "framebuffer_height");
  writer.u8(at + 20, text ? 16 : frameBuffer.bitsPerPixel, "framebuffer_bpp");
  writer.u8(at + 21, text ? 2 : 1, "framebuffer_type");
  if (text) return;
  [frameBuffer.red, frameBuffer.green, frameBuffer.blue].forEach(({ position, bits }, index) => {
    writer.u8(colorsAt + index * 2, position, "framebuffer_field_position");
    writer.u8(colorsAt + index * 2 + 1, bits, "framebuffer_mask_size");
  });
}

/** KiB from 0, at most 640, and KiB from 1 MiB to the first hole. */
function basicMemory(memory: readonly MemoryRange[]): { lowerKib: number; upperKib: number } {
  const ramEndFrom = (address: number): number =>
    memory.find(({ start, end, type }) => type === "ram" && start <= address && end > address)?.end ?? address;
  // Page 0 is often taken out of the RAM that Linux shows.
  const lower = Math.min(ramEndFrom(0x1000), 640 * 1024);
  const upper = ramEndFrom(0x10_0000) - 0x10_0000;
  return {
    lowerKib: lower === 0x1000 ? 0 : Math.floor(lower / 1024),
    upperKib: Math.min(Math.floor(upper / 1024), 0xffff_ffff),
  };
}

/** Types of both specifications: 1 available, 2 reserved, 3 ACPI reclaimable, 4 NVS, 5 defective. */
function mapType(type: MemoryType): number {
  const numbers: Partial<Record<MemoryType, number>> = { ram: 1, acpi: 3, "acpi-nvs": 4, unusable: 5 };
  return numbers[type] ?? 2;
}

function checkRequest({ address, modules }: MultibootInfoRequest, format: string): void {
  if (!Number.isSafeInteger(address) || address < 0 || address >= 2 ** 32 || address % addressAlignment !== 0) {
    throw new FormatError(format, `address ${address}: a multiple of ${addressAlignment} below 2^32 expected`);
  }
  if (modules.length > multibootModulesMax) {
    throw new FormatError(format, `${modules.length} modules, at most ${multibootModulesMax} are taken`);
  }
}
