import { ByteReader } from "../bytes.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { isPowerOfTwo, labelText, type ProbedDevice, requireFits, utf16Label } from "./probe.ts";

// Layout: ECMA-119, section 8 (volume descriptors), from sector 16 of 2048 bytes; numbers stand in both byte orders.
const firstDescriptor = 16 * 2048;
const descriptorBytes = 2048;
/** As many as lie within the head of the device. */
const descriptorsMax = 16;

const typePrimary = 1;
const typeSupplementary = 2;
const typeTerminator = 255;
/** Joliet: UCS-2 in its levels 1 to 3. */
const jolietEscapes = ["%/@", "%/C", "%/E"];

/** ISO 9660, with or without Joliet. The UUID is the date of its last modification, or that of its creation. */
export async function probeIso9660(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const disc = new ByteReader(device.head, "iso9660");
  let primary: number | null = null;
  let joliet: number | null = null;
  for (let i = 0; i < descriptorsMax; i++) {
    const at = firstDescriptor + i * descriptorBytes;
    if (!disc.hasMagic(at + 1, "CD001")) break;
    const type = disc.u8(at, "descriptor type");
    if (type === typeTerminator) break;
    if (type === typePrimary) primary ??= at;
    if (type === typeSupplementary && jolietEscapes.some((sequence) => disc.hasMagic(at + 88, sequence))) joliet ??= at;
  }
  if (primary === null) {
    if (!disc.hasMagic(firstDescriptor + 1, "CD001")) return null;
    return disc.fail("no primary volume descriptor", firstDescriptor, "descriptor type");
  }
  const blockBytes = disc.u16le(primary + 128, "block size");
  if (!isPowerOfTwo(blockBytes) || blockBytes < 512 || blockBytes > 2048) {
    disc.fail(`${blockBytes}, 512, 1024 or 2048 expected`, primary + 128, "block size");
  }
  const blocks = disc.u32le(primary + 80, "size");
  requireFits("iso9660", primary + 80, BigInt(blocks) * BigInt(blockBytes), device.bytes);
  return {
    type: "iso9660",
    usage: "filesystem",
    uuid: dateText(disc, primary + 830) ?? dateText(disc, primary + 813),
    label: volumeLabel(disc, primary, joliet),
  };
}

/** 16 digits (section 8.4.26.1) as `YYYY-MM-DD-hh-mm-ss-cc`; null where they are all zero or no digits. */
function dateText(disc: ByteReader, offset: number): string | null {
  const date = /^(....)(..)(..)(..)(..)(..)(..)$/.exec(disc.latin1(offset, 16, "date"));
  if (date === null || !/^\d{16}$/.test(date[0]) || /^0+$/.test(date[0])) return null;
  return date.slice(1).join("-");
}

/**
 * The Joliet name, unless it only is the beginning of the plain one: it has room for 16 characters, that for 32. blkid
 * prints them the same way.
 */
function volumeLabel(disc: ByteReader, primary: number, joliet: number | null): string | null {
  const plain = disc.slice(primary + 40, 32, "label");
  if (joliet === null) return labelText(plain);
  const name = disc.slice(joliet + 40, 32, "label");
  const swapped = Uint8Array.from(name, (_, i) => name[i ^ 1] ?? 0);
  const same = plain.subarray(0, 16).every((byte, i) => swapped[2 * i] === byte && swapped[2 * i + 1] === 0);
  return same ? labelText(plain) : utf16Label(swapped);
}
