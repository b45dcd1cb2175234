import { ByteWriter } from "./byte-writer.ts";
import { ByteReader, latin1, utf8 } from "./bytes.ts";
import { FormatError } from "./format-error.ts";
import { type ByteRange, type ReadRange, readExactly } from "./ranges.ts";

/*
 * Boot images of Android, versions 0 to 4: kernel and ramdisk in pages behind a header; from version 3 on, what the
 * device's maker adds stands in an image of its own.
 * Source: Android, system/tools/mkbootimg, include/bootimg/bootimg.h. All numbers are little-endian.
 */

const format = "android-boot";
const vendorFormat = "android-vendor-boot";

/** Bytes from the start of a file that tell whether it is such an image. */
export const androidMagicBytes = 8;
/** Ramdisks of a vendor boot image. */
export const androidRamdisksMax = 64;
/** Bootconfig that the kernel takes, bytes (include/linux/bootconfig.h, XBC_DATA_MAX). */
export const bootconfigBytesMax = 32_767;

const versionMax = 4;
/** The page of versions 3 and 4. */
const genericPageBytes = 4096;
const pageBytesMin = 2048;
const pageBytesMax = 1 << 17;
const commandLineBytes = 512;
const extraCommandLineBytes = 1024;
const vendorCommandLineBytes = 2048;
const versionOffset = 40;
const headerBytesMax = 1660;
const ramdiskEntryBytes = 108;

export interface AndroidBootImage {
  readonly version: number;
  /** Null in the image of a generic ramdisk alone (init_boot). */
  readonly kernel: ByteRange | null;
  readonly ramdisk: ByteRange | null;
  /** A second boot loader; null: there is none. */
  readonly second: ByteRange | null;
  readonly devicetree: ByteRange | null;
  readonly commandLine: string;
  /** `14.0.0`; null: it does not tell. */
  readonly systemVersion: string | null;
  /** Year and month of the last security patches: `2024-05`; null: it does not tell. */
  readonly patchLevel: string | null;
  /** Empty from version 3 on. */
  readonly board: string;
}

/** What the maker of a device adds to a boot image of version 3 or 4. */
export interface AndroidVendorBoot {
  readonly version: number;
  /** In order. */
  readonly ramdisks: readonly AndroidRamdisk[];
  readonly devicetree: ByteRange | null;
  readonly commandLine: string;
  /** Without what has to follow it; see {@link bootconfigTrailer}. */
  readonly bootconfig: ByteRange | null;
  readonly board: string;
}

export interface AndroidRamdisk {
  readonly name: string;
  readonly type: "none" | "platform" | "recovery" | "dlkm";
  readonly range: ByteRange;
}

export function isAndroidBoot(head: Uint8Array): boolean {
  return new ByteReader(head, format).hasMagic(0, "ANDROID!");
}

export function isAndroidVendorBoot(head: Uint8Array): boolean {
  return new ByteReader(head, vendorFormat).hasMagic(0, "VNDRBOOT");
}

/**
 * Reads the header of an image of `size` bytes. What stands behind its parts (signatures) is not looked at.
 *
 * @throws FormatError with offset and field: for what is no such image or is cut, another version, a page size that cannot
 * be, a command line that is not UTF-8.
 */
export function parseAndroidBoot(read: ReadRange, size: number): AndroidBootImage {
  const r = readExactly(read, { offset: 0, length: Math.min(size, headerBytesMax) }, format, "header");
  if (!isAndroidBoot(r.bytes)) r.fail('"ANDROID!" expected', 0, "magic");
  const version = r.u32le(versionOffset, "header_version");
  // Before there were versions, some makers had the size of their device trees here.
  if (version > versionMax) r.fail(`0 to ${versionMax} expected, not ${version}`, versionOffset, "header_version");
  return version < 3 ? parseOldHeader(r, version, size) : parseNewHeader(r, version, size);
}

function parseOldHeader(r: ByteReader, version: number, size: number): AndroidBootImage {
  const pageBytes = readPageBytes(r, 36);
  const parts = new Parts(r, pageBytes, size, pageBytes);
  const kernel = parts.next(8, "kernel_size");
  const ramdisk = parts.next(16, "ramdisk_size");
  const second = parts.next(24, "second_size");
  if (version >= 1) parts.next(1632, "recovery_dtbo_size");
  const devicetree = version >= 2 ? parts.next(1648, "dtb_size") : null;
  const commandLine = Uint8Array.of(
    ...untilNul(r.slice(64, commandLineBytes, "cmdline")),
    ...untilNul(r.slice(608, extraCommandLineBytes, "extra_cmdline")),
  );
  return {
    version,
    kernel,
    ramdisk,
    second,
    devicetree,
    commandLine: utf8(commandLine, `${format} cmdline`),
    ...readSystemVersion(r.u32le(44, "os_version")),
    board: latin1(untilNul(r.slice(48, 16, "name"))),
  };
}

function parseNewHeader(r: ByteReader, version: number, size: number): AndroidBootImage {
  const parts = new Parts(r, genericPageBytes, size, genericPageBytes);
  const commandLine = untilNul(r.slice(44, commandLineBytes + extraCommandLineBytes, "cmdline"));
  return {
    version,
    kernel: parts.next(8, "kernel_size"),
    ramdisk: parts.next(12, "ramdisk_size"),
    second: null,
    devicetree: null,
    commandLine: utf8(commandLine, `${format} cmdline`),
    ...readSystemVersion(r.u32le(16, "os_version")),
    board: "",
  };
}

/** Three numbers of 7 bits; a year from 2000 on in 7, a month in 4. */
function readSystemVersion(word: number): Pick<AndroidBootImage, "systemVersion" | "patchLevel"> {
  const version = word >>> 11;
  const patch = word & 0x7ff;
  const numbers = [version >> 14, (version >> 7) & 0x7f, version & 0x7f];
  return {
    systemVersion: version === 0 ? null : numbers.join("."),
    patchLevel: patch === 0 ? null : `${2000 + (patch >> 4)}-${String(patch & 15).padStart(2, "0")}`,
  };
}

/**
 * Reads a vendor boot image of `size` bytes: versions 3 and 4.
 *
 * @throws FormatError as {@link parseAndroidBoot} does, and for ramdisks that leave their section.
 */
export function parseAndroidVendorBoot(read: ReadRange, size: number): AndroidVendorBoot {
  const r = readExactly(read, { offset: 0, length: Math.min(size, 2128) }, vendorFormat, "header");
  if (!isAndroidVendorBoot(r.bytes)) r.fail('"VNDRBOOT" expected', 0, "magic");
  const version = r.u32le(8, "header_version");
  if (version !== 3 && version !== 4) r.fail(`3 or 4 expected, not ${version}`, 8, "header_version");
  const pageBytes = readPageBytes(r, 12);
  const parts = new Parts(r, pageBytes, size, version === 3 ? 2112 : 2128);
  const ramdisks = parts.next(24, "vendor_ramdisk_size");
  const devicetree = parts.next(2100, "dtb_size");
  const table = version === 4 ? parts.next(2112, "vendor_ramdisk_table_size") : null;
  const bootconfig = version === 4 ? parts.next(2124, "bootconfig_size") : null;
  if (bootconfig !== null && bootconfig.length > bootconfigBytesMax) {
    r.fail(`at most ${bootconfigBytesMax} bytes are taken, not ${bootconfig.length}`, 2124, "bootconfig_size");
  }
  return {
    version,
    ramdisks:
      version === 4
        ? readRamdisks(read, r, ramdisks, table)
        : ramdisks === null
          ? []
          : [{ name: "", type: "none", range: ramdisks }],
    devicetree,
    commandLine: utf8(untilNul(r.slice(28, vendorCommandLineBytes, "cmdline")), `${vendorFormat} cmdline`),
    bootconfig,
    board: latin1(untilNul(r.slice(2080, 16, "name"))),
  };
}

const ramdiskTypes = ["none", "platform", "recovery", "dlkm"] as const;

function readRamdisks(
  read: ReadRange,
  header: ByteReader,
  section: ByteRange | null,
  table: ByteRange | null,
): AndroidRamdisk[] {
  const count = header.u32le(2116, "vendor_ramdisk_table_entry_num");
  const entryBytes = header.u32le(2120, "vendor_ramdisk_table_entry_size");
  if (count > androidRamdisksMax) {
    header.fail(`at most ${androidRamdisksMax} are taken, not ${count}`, 2116, "vendor_ramdisk_table_entry_num");
  }
  if (count === 0) return section === null ? [] : [{ name: "", type: "none", range: section }];
  if (entryBytes < ramdiskEntryBytes || entryBytes > genericPageBytes || count * entryBytes > (table?.length ?? 0)) {
    const expected = `${count} entries of at least ${ramdiskEntryBytes} bytes expected in ${table?.length ?? 0}`;
    header.fail(`${expected}, not of ${entryBytes}`, 2120, "vendor_ramdisk_table_entry_size");
  }
  const start = table?.offset ?? 0;
  const r = readExactly(read, { offset: start, length: count * entryBytes }, vendorFormat, "vendor ramdisk table");
  return Array.from({ length: count }, (_, index) => {
    const at = index * entryBytes;
    const length = r.u32le(at, "ramdisk_size");
    const offset = r.u32le(at + 4, "ramdisk_offset");
    const number = r.u32le(at + 8, "ramdisk_type");
    const type = ramdiskTypes[number] ?? r.fail(`0 to 3 expected, not ${number}`, at + 8, "ramdisk_type");
    if (offset + length > (section?.length ?? 0)) {
      r.fail(`bytes ${offset} to ${offset + length} leave the ramdisks' ${section?.length ?? 0}`, at, "ramdisk_offset");
    }
    const name = latin1(untilNul(r.slice(at + 12, 32, "ramdisk_name")));
    return { name, type, range: { offset: (section?.offset ?? 0) + offset, length } };
  });
}

/** Parts that stand one after the other, each from the start of a page. */
class Parts {
  readonly #header: ByteReader;
  readonly #pageBytes: number;
  readonly #size: number;
  #offset: number;

  constructor(header: ByteReader, pageBytes: number, size: number, headerBytes: number) {
    this.#header = header;
    this.#pageBytes = pageBytes;
    this.#size = size;
    this.#offset = this.#pages(headerBytes);
  }

  /** The next one, whose size stands at `at` in the header; null when it has no bytes. */
  next(at: number, field: string): ByteRange | null {
    const range = { offset: this.#offset, length: this.#header.u32le(at, field) };
    if (range.length === 0) return null;
    const end = range.offset + range.length;
    if (end > this.#size) {
      this.#header.fail(`bytes ${range.offset} to ${end} expected, the file ends at ${this.#size}`, at, field);
    }
    this.#offset = this.#pages(end);
    return range;
  }

  #pages(bytes: number): number {
    return Math.ceil(bytes / this.#pageBytes) * this.#pageBytes;
  }
}

function readPageBytes(r: ByteReader, at: number): number {
  const bytes = r.u32le(at, "page_size");
  if (bytes < pageBytesMin || bytes > pageBytesMax || (bytes & (bytes - 1)) !== 0) {
    r.fail(`a power of two from ${pageBytesMin} to ${pageBytesMax} expected, not ${bytes}`, at, "page_size");
  }
  return bytes;
}

function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

const bootconfigMagic = "#BOOTCONFIG\n";

/**
 * What has to stand behind boot configuration at the end of an initrd (Linux, Documentation/admin-guide/bootconfig.rst):
 * zeroes, its size, its checksum, a magic. The archives before begin at multiples of 4 bytes, so does this.
 */
export function bootconfigTrailer(bootconfig: Uint8Array): Uint8Array {
  if (bootconfig.length > bootconfigBytesMax) {
    throw new FormatError("bootconfig", `at most ${bootconfigBytesMax} bytes are taken, not ${bootconfig.length}`);
  }
  const padding = -bootconfig.length & 3;
  const w = new ByteWriter(padding + 8 + bootconfigMagic.length, "bootconfig");
  w.u32(padding, bootconfig.length + padding, "size");
  w.u32(
    padding + 4,
    bootconfig.reduce((sum, byte) => sum + byte, 0),
    "checksum",
  );
  w.set(padding + 8, new TextEncoder().encode(bootconfigMagic), "magic");
  return w.bytes;
}
