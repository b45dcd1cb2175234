import { ByteReader, guidText, hex, uuidText } from "./bytes.ts";
import { sha1 } from "./sha1.ts";

/*
 * Computer hardware ids (CHIDs): version 5 UUIDs of a machine's SMBIOS strings, from the most specific to the least.
 * Source: Microsoft, "Specifying Hardware IDs for a Computer"; RFC 9562, section 5.5; fwupd, docs/hwids.md, for how the
 * strings are tidied. The section `.hwids` of a unified kernel image, which binds them to device trees: UAPI.5, "UKI
 * Components", and systemd's src/boot/chid.h for its layout. All fields are little-endian.
 */

/** What SMBIOS says of a machine, as it stands there; null where it does not say. */
export interface SmbiosStrings {
  readonly manufacturer: string | null;
  readonly family: string | null;
  readonly productName: string | null;
  readonly productSku: string | null;
  readonly baseboardManufacturer: string | null;
  readonly baseboardProduct: string | null;
  readonly biosVendor: string | null;
  readonly biosVersion: string | null;
  /** System BIOS release, one byte each. */
  readonly biosMajor: number | null;
  readonly biosMinor: number | null;
  /** The chassis type without the lock's bit. */
  readonly enclosureType: number | null;
}

export type SmbiosField = keyof SmbiosStrings;

/** The fields of the id with each number, in the order in which they are hashed. */
const idFields: readonly (readonly SmbiosField[])[] = [
  ["manufacturer", "family", "productName", "productSku", "biosVendor", "biosVersion", "biosMajor", "biosMinor"],
  ["manufacturer", "family", "productName", "biosVendor", "biosVersion", "biosMajor", "biosMinor"],
  ["manufacturer", "productName", "biosVendor", "biosVersion", "biosMajor", "biosMinor"],
  ["manufacturer", "family", "productName", "productSku", "baseboardManufacturer", "baseboardProduct"],
  ["manufacturer", "family", "productName", "productSku"],
  ["manufacturer", "family", "productName"],
  ["manufacturer", "productSku", "baseboardManufacturer", "baseboardProduct"],
  ["manufacturer", "productSku"],
  ["manufacturer", "productName", "baseboardManufacturer", "baseboardProduct"],
  ["manufacturer", "productName"],
  ["manufacturer", "family", "baseboardManufacturer", "baseboardProduct"],
  ["manufacturer", "family"],
  ["manufacturer", "enclosureType"],
  ["manufacturer", "baseboardManufacturer", "baseboardProduct"],
  ["manufacturer"],
];

/** The namespace of the ids, `70ffd812-4c7f-4c7d-0000-000000000000`, most significant byte first. */
const namespace = Uint8Array.of(0x70, 0xff, 0xd8, 0x12, 0x4c, 0x7f, 0x4c, 0x7d, 0, 0, 0, 0, 0, 0, 0, 0);

/** The machine's ids by their number, 0 to 14; one whose strings are not all known is not there. */
export function computerHardwareIds(strings: SmbiosStrings): ReadonlyMap<number, string> {
  const ids = new Map<number, string>();
  for (const [number, fields] of idFields.entries()) {
    const values = fields.map((field) => hashedText(strings, field)).filter((value) => value !== null);
    if (values.length === fields.length) ids.set(number, nameUuid(values.join("&")));
  }
  return ids;
}

/** Spaces around and zeroes in front are dropped; of an empty string there is no id. Numbers are hexadecimal. */
function hashedText(strings: SmbiosStrings, field: SmbiosField): string | null {
  const value = strings[field];
  if (value === null) return null;
  if (typeof value === "number") {
    return value.toString(16).padStart(field === "enclosureType" ? 1 : 2, "0");
  }
  const text = value.replace(/^ +/, "").replace(/^0+/, "");
  let end = text.length;
  while (end > 0 && text[end - 1] === " ") end--;
  return end === 0 ? null : text.slice(0, end);
}

/** A version 5 UUID (RFC 9562, section 5.5) of the text in UTF-16, little-endian. */
function nameUuid(text: string): string {
  const bytes = new Uint8Array(namespace.length + text.length * 2);
  bytes.set(namespace);
  const view = new DataView(bytes.buffer, namespace.length);
  for (let i = 0; i < text.length; i++) view.setUint16(i * 2, text.charCodeAt(i), true);
  const uuid = sha1(bytes).slice(0, 16);
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x50;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  return uuidText(uuid);
}

/** Longest section `.hwids`, in bytes. */
export const hwidsBytesMax = 1 << 20;
/** Longest string in it, in bytes. */
export const hwidsTextBytesMax = 1024;
/** Devices taken. */
export const hwidsDevicesMax = 4096;

const format = "hwids";
const deviceBytes = 28;
const deviceTypes: ReadonlyMap<number, HardwareDevice["type"]> = new Map([
  [1, "devicetree"],
  [2, "firmware"],
]);

/** A resource for machines with an id. */
export interface HardwareDevice {
  readonly type: "devicetree" | "firmware";
  /** In lower case, as {@link computerHardwareIds} gives them. */
  readonly id: string;
  readonly name: string | null;
  /** The device tree's first `compatible`; the firmware's id. Null: none is said. */
  readonly key: string | null;
}

/**
 * Parses the content of a section `.hwids`: devices of 28 bytes up to one whose descriptor is 0 or to the end, then the
 * strings that they point to.
 *
 * @throws FormatError with the offset and the field: for devices of an unknown type or size, offsets beyond the section,
 * strings without an end or not in ASCII, and what is over the limits.
 */
export function parseHwids(bytes: Uint8Array): readonly HardwareDevice[] {
  const reader: ByteReader = new ByteReader(bytes, format);
  if (bytes.length > hwidsBytesMax) reader.fail(`${bytes.length} bytes, at most ${hwidsBytesMax} are taken`);
  const devices: HardwareDevice[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += deviceBytes) {
    const descriptor = reader.u32le(at, "descriptor");
    if (descriptor === 0) break;
    if (devices.length === hwidsDevicesMax) reader.fail(`at most ${hwidsDevicesMax} devices are taken`, at);
    const type = deviceTypes.get(descriptor >>> 28);
    if (type === undefined || (descriptor & 0x0fff_ffff) !== deviceBytes) {
      reader.fail(
        `a device tree (0x1000001c) or firmware (0x2000001c) expected, not 0x${hex(bigEndian(descriptor))}`,
        at,
        "descriptor",
      );
    }
    devices.push({
      type,
      id: guidText(reader.slice(at + 4, 16, "chid")),
      name: textAt(reader, at + 20, "name offset"),
      key: textAt(reader, at + 24, type === "devicetree" ? "compatible offset" : "firmware id offset"),
    });
  }
  return devices;
}

function bigEndian(word: number): Uint8Array {
  return Uint8Array.of(word >>> 24, word >>> 16, word >>> 8, word);
}

/** The string whose offset stands at `at`; 0: there is none. */
function textAt(reader: ByteReader, at: number, field: string): string | null {
  const offset = reader.u32le(at, field);
  if (offset === 0) return null;
  if (offset >= reader.length) reader.fail(`${offset}: an offset below ${reader.length} expected`, at, field);
  const longest = reader.slice(offset, Math.min(hwidsTextBytesMax + 1, reader.length - offset), field);
  const length = longest.indexOf(0);
  if (length < 0)
    reader.fail(`a string of at most ${hwidsTextBytesMax} bytes that ends with NUL expected`, offset, field);
  if (longest.subarray(0, length).some((byte) => byte < 0x20 || byte > 0x7e)) {
    reader.fail("printable ASCII expected", offset, field);
  }
  return reader.latin1(offset, length, field);
}

/** Numbers of ids, the most specific first, in which a device is looked for; others name no device. */
const matchOrder = [3, 6, 8, 10, 4, 5, 7, 9, 11] as const;

/** The device of a type for a machine with these ids, and the number of the id that it has; null when there is none. */
export function matchDevice(
  devices: readonly HardwareDevice[],
  type: HardwareDevice["type"],
  ids: ReadonlyMap<number, string>,
): { readonly device: HardwareDevice; readonly idNumber: number } | null {
  for (const idNumber of matchOrder) {
    const id = ids.get(idNumber);
    const device = devices.find((each) => each.type === type && each.id === id);
    if (device !== undefined) return { device, idNumber };
  }
  return null;
}

/** A machine of which nothing is known. */
export const unknownMachine: SmbiosStrings = {
  manufacturer: null,
  family: null,
  productName: null,
  productSku: null,
  baseboardManufacturer: null,
  baseboardProduct: null,
  biosVendor: null,
  biosVersion: null,
  biosMajor: null,
  biosMinor: null,
  enclosureType: null,
};
