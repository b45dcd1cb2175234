import { ByteReader } from "./bytes.ts";
import { quote } from "./format-error.ts";

/**
 * The setup header of a bzImage. Fields that the protocol version does not have stand at the value that the text gives
 * for it.
 */
export interface BzImage {
  /** `(major << 8) + minor`: 0x020f is 2.15. */
  readonly protocol: number;
  /** Sectors of setup code of 512 bytes after the boot sector; the 0 that stands for 4 is resolved. */
  readonly setupSectors: number;
  /** Bytes of boot sector and setup code: where the protected-mode kernel starts in the file. */
  readonly setupBytes: number;
  /** Offset where the header ends, from the jump over it: 0x202 + its displacement. */
  readonly headerEnd: number;
  /** Bytes of the protected-mode kernel (syssize × 16); null before 2.04, which has 16 bits of it only. */
  readonly systemBytes: number | null;
  /** Raw pointer to the version text, less 0x200; 0 when there is none. See {@link kernelVersionText}. */
  readonly kernelVersionPointer: number;
  readonly loadFlags: number;
  /** Physical address at which the protected-mode kernel expects to be entered, unless it is moved. */
  readonly code32Start: number;
  /** Highest address that the initrd's last byte may have. */
  readonly initrdAddressMax: number;
  readonly relocatable: boolean;
  /** Bytes; 0 before 2.05. A power of two when the kernel is relocatable. */
  readonly kernelAlignmentBytes: number;
  /** Bytes; null before 2.10 and where the kernel names none. */
  readonly alignmentBytesMin: number | null;
  readonly xloadFlags: number;
  /** XLF_KERNEL_64: there is a 64-bit entry point at 0x200 of the protected-mode kernel. */
  readonly kernel64: boolean;
  /** XLF_CAN_BE_LOADED_ABOVE_4G: kernel, boot_params, command line and initrd may lie above 4 GiB. */
  readonly canBeLoadedAbove4G: boolean;
  readonly efiHandover32: boolean;
  readonly efiHandover64: boolean;
  /** XLF_EFI_KEXEC: the kernel can be started by kexec with EFI runtime services. */
  readonly efiKexec: boolean;
  /** XLF_5LEVEL: the kernel knows 5-level paging, and can be entered while it is in use. */
  readonly fiveLevelPaging: boolean;
  /** XLF_5LEVEL_ENABLED: the kernel uses 5-level paging where the processor has it. */
  readonly fiveLevelPagingEnabled: boolean;
  /** XLF_MEM_ENCRYPTION: the kernel's entry point copes with memory that is encrypted (AMD SEV). */
  readonly memoryEncryption: boolean;
  /** hardware_subarch: 0 is a PC; 0 before 2.07. */
  readonly hardwareSubarch: number;
  /** Physical address of the first setup_data that the image brings along; 0: none, as always before 2.09. */
  readonly setupData: bigint;
  /** Longest command line without its NUL, in bytes. */
  readonly commandLineBytesMax: number;
  /** From the start of the protected-mode kernel; 0 before 2.08. */
  readonly payloadOffset: number;
  readonly payloadBytes: number;
  /** Preferred load address; null before 2.10 and where the kernel has none. */
  readonly preferredAddress: bigint | null;
  /** Bytes of memory from the runtime start that the kernel needs before it reads its memory map; 0 before 2.10. */
  readonly initBytes: number;
  /** EFI handover entry from the start of the protected-mode kernel; 0 before 2.11. */
  readonly handoverOffset: number;
  /** kernel_info from the start of the protected-mode kernel; 0 before 2.15. */
  readonly kernelInfoOffset: number;
}

/**
 * Bytes from the start of an image that {@link parseBzImage} and {@link kernelVersionText} need at most: 255 sectors of
 * setup.
 */
export const bzImageHeadBytesMax = 256 * 512;

/** Longest kernel version text, in bytes. */
export const kernelVersionBytesMax = 256;

const initrdAddressMaxDefault = 0x37ffffff;
const commandLineBytesMaxDefault = 255;

/** Whether these are the first bytes of a Linux x86 image with the boot protocol 2.00 or later (0xAA55 and `HdrS`). */
export function isBzImage(bytes: Uint8Array): boolean {
  const reader = new ByteReader(bytes, "bzimage");
  return reader.has(0x1fe, 0x0a) && reader.u16le(0x1fe, "boot_flag") === 0xaa55 && reader.hasMagic(0x202, "HdrS");
}

/**
 * Parses the setup header from the first bytes of an image (Linux, Documentation/arch/x86/boot.rst, "The Real-Mode
 * Kernel Header"). All fields are little-endian. Throws {@link FormatError} with offset and field: for an image that is
 * not one, that is older than protocol 2.00, that loads low (zImage), or whose header contradicts itself. Whether the
 * file is as long as the header says is for {@link bzImageFileProblem}.
 */
export function parseBzImage(bytes: Uint8Array): BzImage {
  const r = new ByteReader(bytes, "bzimage");
  const boot = r.u16le(0x1fe, "boot_flag");
  if (boot !== 0xaa55) r.fail(`0xaa55 expected, not 0x${boot.toString(16)}`, 0x1fe, "boot_flag");
  if (!r.hasMagic(0x202, "HdrS"))
    r.fail(`"HdrS" expected, not ${quote(r.latin1(0x202, 4, "header"))}`, 0x202, "header");
  const protocol = r.u16le(0x206, "version");
  if (protocol < 0x200) r.fail(`protocol 2.00 or later expected, not 0x${protocol.toString(16)}`, 0x206, "version");
  const loadFlags = r.u8(0x211, "loadflags");
  if ((loadFlags & 1) === 0) r.fail("LOADED_HIGH expected: this is a zImage, not a bzImage", 0x211, "loadflags");
  const setupSectors = r.u8(0x1f1, "setup_sects") || 4;
  return {
    protocol,
    setupSectors,
    setupBytes: (setupSectors + 1) * 512,
    headerEnd: headerEnd(r),
    systemBytes: protocol >= 0x204 ? r.u32le(0x1f4, "syssize") * 16 : null,
    kernelVersionPointer: r.u16le(0x20e, "kernel_version"),
    loadFlags,
    code32Start: r.u32le(0x214, "code32_start"),
    initrdAddressMax: protocol >= 0x203 ? r.u32le(0x22c, "initrd_addr_max") : initrdAddressMaxDefault,
    ...placement(r, protocol),
    ...extendedFlags(r, protocol),
    commandLineBytesMax: protocol >= 0x206 ? r.u32le(0x238, "cmdline_size") : commandLineBytesMaxDefault,
    hardwareSubarch: protocol >= 0x207 ? r.u32le(0x23c, "hardware_subarch") : 0,
    setupData: protocol >= 0x209 ? r.u64le(0x250, "setup_data") : 0n,
    payloadOffset: protocol >= 0x208 ? r.u32le(0x248, "payload_offset") : 0,
    payloadBytes: protocol >= 0x208 ? r.u32le(0x24c, "payload_length") : 0,
    initBytes: protocol >= 0x20a ? r.u32le(0x260, "init_size") : 0,
    handoverOffset: protocol >= 0x20b ? r.u32le(0x264, "handover_offset") : 0,
    kernelInfoOffset: protocol >= 0x20f ? r.u32le(0x268, "kernel_info_offset") : 0,
  };
}

function headerEnd(r: ByteReader): number {
  const jump = r.u8(0x200, "jump");
  if (jump !== 0xeb) r.fail(`short jump 0xeb expected, not 0x${jump.toString(16)}`, 0x200, "jump");
  const end = 0x202 + r.u8(0x201, "jump");
  // The header of protocol 2.00 ends at 0x224; a displacement over 0x7f would jump backwards.
  if (end < 0x224 || end > 0x281) r.fail(`header end 0x${end.toString(16)} outside 0x224..0x281`, 0x201, "jump");
  return end;
}

type Placement = Pick<BzImage, "relocatable" | "kernelAlignmentBytes" | "alignmentBytesMin" | "preferredAddress">;

function placement(r: ByteReader, protocol: number): Placement {
  const relocatable = protocol >= 0x205 && r.u8(0x234, "relocatable_kernel") !== 0;
  const alignment = protocol >= 0x205 ? r.u32le(0x230, "kernel_alignment") : 0;
  if (relocatable && !isPowerOfTwo(alignment)) {
    r.fail(`power of two expected, not 0x${alignment.toString(16)}`, 0x230, "kernel_alignment");
  }
  const exponent = protocol >= 0x20a ? r.u8(0x235, "min_alignment") : 0;
  if (exponent > 31) r.fail(`exponent up to 31 expected, not ${exponent}`, 0x235, "min_alignment");
  const preferred = protocol >= 0x20a ? r.u64le(0x258, "pref_address") : 0n;
  return {
    relocatable,
    kernelAlignmentBytes: alignment,
    alignmentBytesMin: exponent === 0 ? null : 2 ** exponent,
    preferredAddress: preferred === 0n ? null : preferred,
  };
}

function isPowerOfTwo(value: number): boolean {
  return value !== 0 && (value & (value - 1)) === 0;
}

type ExtendedFlags = Pick<
  BzImage,
  | "xloadFlags"
  | "kernel64"
  | "canBeLoadedAbove4G"
  | "efiHandover32"
  | "efiHandover64"
  | "efiKexec"
  | "fiveLevelPaging"
  | "fiveLevelPagingEnabled"
  | "memoryEncryption"
>;

function extendedFlags(r: ByteReader, protocol: number): ExtendedFlags {
  const flags = protocol >= 0x20c ? r.u16le(0x236, "xloadflags") : 0;
  const bit = (n: number): boolean => (flags & (1 << n)) !== 0;
  return {
    xloadFlags: flags,
    kernel64: bit(0),
    canBeLoadedAbove4G: bit(1),
    efiHandover32: bit(2),
    efiHandover64: bit(3),
    efiKexec: bit(4),
    fiveLevelPaging: bit(5),
    fiveLevelPagingEnabled: bit(6),
    memoryEncryption: bit(7),
  };
}

/** syssize counts in these: what it says may be rounded up. */
const systemUnitBytes = 16;

/**
 * Why a file of `size` bytes cannot be the whole of an image with this header; null when it can. It may well be longer:
 * a signature may follow.
 */
export function bzImageFileProblem(image: BzImage, size: number): string | null {
  const { setupBytes, systemBytes, payloadOffset, payloadBytes } = image;
  const cut = (part: string, end: number): string =>
    `the file is cut: going by the header, ${part} ends at byte ${end}, but the file at byte ${size}`;
  if (size <= setupBytes) return cut("the setup code", setupBytes);
  if (systemBytes !== null && setupBytes + systemBytes > size + systemUnitBytes - 1) {
    return cut("the kernel", setupBytes + systemBytes);
  }
  const payloadEnd = setupBytes + payloadOffset + payloadBytes;
  return payloadEnd > size ? cut("the compressed kernel", payloadEnd) : null;
}

/**
 * The version text that the kernel shows of itself (`6.1.0-56-cloud-amd64 (debian-kernel@…) #1 SMP …`); its first word
 * is what `uname -r` says. Null when the image names none. Informational: nothing that loads a kernel needs it. Throws
 * {@link FormatError} when the pointer leaves the setup code or the bytes given, or the text does not end within {@link
 * kernelVersionBytesMax}.
 */
export function kernelVersionText(bytes: Uint8Array, image: BzImage): string | null {
  if (image.kernelVersionPointer === 0) return null;
  const r = new ByteReader(bytes, "bzimage");
  const start = image.kernelVersionPointer + 0x200;
  if (image.kernelVersionPointer >= image.setupSectors * 512) {
    r.fail(`pointer 0x${image.kernelVersionPointer.toString(16)} leaves the setup code`, 0x20e, "kernel_version");
  }
  const rest = Math.min(kernelVersionBytesMax, image.setupBytes - start);
  const available = r.slice(start, Math.min(rest, Math.max(1, r.length - start)), "kernel_version");
  const end = available.indexOf(0);
  if (end < 0) r.fail(`text that ends within ${rest} bytes expected`, start, "kernel_version");
  return r.latin1(start, end, "kernel_version");
}
