import { kernelPlaces, listKernelDirectory, type Remarks, readKernelBytes } from "./kernel-files.ts";

/** Longest attribute that is read, in bytes: the kernel writes no longer ones. */
const attributeBytesMax = 4096;

/**
 * What SMBIOS tells of the machine (DMTF DSP0134), as far as the kernel passes it on. Text has one character for each byte
 * (Latin-1): SMBIOS names no character set.
 */
export interface Smbios {
  /**
   * The string that the first structure of a type has at an offset: empty where it has none, null where that is not known.
   * System information is type 1, its serial number at 7.
   */
  smbiosString(type: number, offset: number): string | null;
  readonly uuid: SmbiosUuid;
  /** Type of the chassis without the lock's bit; 0: none is told; null: not known. */
  readonly chassisType: number | null;
}

/** Section 7.2.1: the first three fields are little-endian, which nothing says before version 2.6. */
export interface SmbiosUuid {
  /** 16 bytes in the order in which they stand there; empty: none, or one of zeroes or ones alone; null: not known. */
  readonly raw: string | null;
  /** 16 bytes in network byte order (RFC 9562); null: none or not known. */
  readonly ordered: string | null;
}

export const unknownSmbios: Smbios = {
  smbiosString: () => null,
  uuid: { raw: null, ordered: null },
  chassisType: null,
};

/** Where the strings of structures stand (DSP0134, 7.1 to 7.4), by the names that the kernel has for them. */
const strings: readonly (readonly [name: string, type: number, offset: number])[] = [
  ["bios_vendor", 0, 0x04],
  ["bios_version", 0, 0x05],
  ["bios_date", 0, 0x08],
  ["sys_vendor", 1, 0x04],
  ["product_name", 1, 0x05],
  ["product_version", 1, 0x06],
  ["product_serial", 1, 0x07],
  ["product_sku", 1, 0x19],
  ["product_family", 1, 0x1a],
  ["board_vendor", 2, 0x04],
  ["board_name", 2, 0x05],
  ["board_version", 2, 0x06],
  ["board_serial", 2, 0x07],
  ["board_asset_tag", 2, 0x08],
  ["chassis_vendor", 3, 0x04],
  ["chassis_version", 3, 0x06],
  ["chassis_serial", 3, 0x07],
  ["chassis_asset_tag", 3, 0x08],
];

/**
 * Reads what the kernel shows below `class/dmi/id` (Documentation/ABI/testing/sysfs-devices-virtual-dmi-id). All is unknown
 * where it shows nothing: whether the machine has SMBIOS is not known then. What cannot be read is not known, with a remark.
 */
export function readSmbios(remarks: Remarks, sysfs: string = kernelPlaces.sysfs): Smbios {
  const directory = `${sysfs}/class/dmi/id`;
  const names = remarks.attempt("SMBIOS is not known", () => listKernelDirectory(directory)) ?? [];
  if (names.length === 0) return unknownSmbios;
  const text = (name: string): string | null =>
    remarks.attempt(`SMBIOS ${name} is not known`, () => {
      const bytes = readKernelBytes(`${directory}/${name}`, attributeBytesMax);
      return bytes === null ? "" : latin1(bytes).replace(/\n$/, "");
    });
  const known = new Map(strings.map(([name, type, offset]) => [fieldKey(type, offset), text(name)]));
  const chassis = text("chassis_type");
  return {
    smbiosString: (type, offset) => known.get(fieldKey(type, offset)) ?? null,
    uuid: uuidOf(text("product_uuid"), readVersion(remarks, sysfs)),
    chassisType: chassis === null || !/^\d{0,3}$/.test(chassis) ? null : Number(chassis),
  };
}

function fieldKey(type: number, offset: number): number {
  return (type << 8) | offset;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** How the bytes of a UUID are to be read, by Linux and by what goes by the version alone. */
interface UuidOrders {
  readonly linuxTurns: boolean;
  readonly versionTurns: boolean;
}

/** The kernel leaves out a UUID of zeroes or ones alone, and shows any other with its fields in order. */
function uuidOf(shown: string | null, orders: UuidOrders | null): SmbiosUuid {
  if (shown === "") return { raw: "", ordered: null };
  const digits = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(shown ?? "")
    ? shown?.replaceAll("-", "")
    : undefined;
  if (digits === undefined) return { raw: null, ordered: null };
  const ordered = latin1(Buffer.from(digits, "hex"));
  if (orders === null) return { raw: null, ordered };
  const raw = orders.linuxTurns ? turned(ordered) : ordered;
  return { raw, ordered: orders.versionTurns ? turned(raw) : raw };
}

/** The first three fields the other way round. */
function turned(uuid: string): string {
  const part = (start: number, end: number): string => Array.from(uuid.slice(start, end)).reverse().join("");
  return part(0, 4) + part(4, 6) + part(6, 8) + uuid.slice(8);
}

/** Fields are little-endian from this version on. */
const turnedSince = 0x0206;

/** Versions that some firmware writes by mistake, and what Linux takes them for (drivers/firmware/dmi_scan.c). */
const mistakenVersions: ReadonlyMap<number, number> = new Map([
  [0x021f, 0x0203],
  [0x0221, 0x0203],
  [0x0233, 0x0206],
]);

function readVersion(remarks: Remarks, sysfs: string): UuidOrders | null {
  return remarks.attempt("the version of SMBIOS is not known", () => {
    const bytes = readKernelBytes(`${sysfs}/firmware/dmi/tables/smbios_entry_point`, attributeBytesMax);
    return bytes === null ? null : ordersOf(bytes);
  });
}

/** Of an entry point (DSP0134, section 5.2): 64 bits wide, 32 bits wide, or that of DMI, whose version is in BCD. */
function ordersOf(entry: Uint8Array): UuidOrders | null {
  const anchor = latin1(entry.subarray(0, 5));
  const [at, isBcd] = anchor === "_SM3_" ? [7, false] : anchor.startsWith("_SM_") ? [6, false] : [14, true];
  const major = entry[at];
  const minor = isBcd ? major : entry[at + 1];
  if (major === undefined || minor === undefined || (isBcd && anchor !== "_DMI_")) return null;
  const version = isBcd ? ((major & 0xf0) << 4) | (minor & 0x0f) : (major << 8) | minor;
  const byLinux = anchor === "_SM3_" ? version : (mistakenVersions.get(version) ?? version);
  return { linuxTurns: byLinux >= turnedSince, versionTurns: version >= turnedSince };
}
