import { ByteReader } from "../bytes.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { isPowerOfTwo, type ProbedDevice, requireFits, utf16Label } from "./probe.ts";

// Layout: Linux, fs/ntfs3/ntfs.h (boot sector, file record, attribute); little-endian.

const fileRecordBytesMax = 4096;
/** The file record of `$Volume`. */
const volumeRecord = 3n;
const attributeVolumeName = 0x60;
const attributesEnd = 0xffffffff;
const attributesMax = 64;

/** NTFS, recognised so that a Windows disk has its name; Slipway does not mount it. */
export async function probeNtfs(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const boot = new ByteReader(device.head, "ntfs");
  if (!boot.hasMagic(3, "NTFS    ")) return null;
  const sectorBytes = boot.u16le(11, "sector size");
  if (!isPowerOfTwo(sectorBytes) || sectorBytes < 256 || sectorBytes > 4096) {
    boot.fail(`${sectorBytes}, a power of two from 256 to 4096 expected`, 11, "sector size");
  }
  const clusterBytes = sectorBytes * clusterSectors(boot);
  requireFits("ntfs", 40, boot.u64le(40, "size") * BigInt(sectorBytes), device.bytes);
  const recordBytes = fileRecordBytes(boot, clusterBytes);
  const table = boot.u64le(48, "file table") * BigInt(clusterBytes);
  const serial = boot.u64le(72, "serial number");
  return {
    type: "ntfs",
    usage: "other",
    uuid: serial === 0n ? null : serial.toString(16).toUpperCase().padStart(16, "0"),
    label: findLabel(await device.read(table + volumeRecord * BigInt(recordBytes), recordBytes), sectorBytes),
  };
}

/** Plain up to 128; above, a negative power of two. */
function clusterSectors(boot: ByteReader): number {
  const value = boot.u8(13, "cluster size");
  const sectors = value > 0x80 ? 2 ** (256 - value) : value;
  if (!isPowerOfTwo(sectors) || sectors > 4096) boot.fail(`${value}, a power of two expected`, 13, "cluster size");
  return sectors;
}

/** In clusters; negative, a power of two in bytes. */
function fileRecordBytes(boot: ByteReader, clusterBytes: number): number {
  const value = boot.u8(64, "file record size");
  const bytes = value < 0x80 ? value * clusterBytes : 2 ** (256 - value);
  if (!isPowerOfTwo(bytes) || bytes < 512 || bytes > fileRecordBytesMax) {
    boot.fail(`${bytes} bytes, a power of two from 512 to ${fileRecordBytesMax} expected`, 64, "file record size");
  }
  return bytes;
}

/** The volume name in the file record of `$Volume`; null where the record holds none. */
function findLabel(bytes: Uint8Array, sectorBytes: number): string | null {
  const record = new ByteReader(bytes, "ntfs");
  if (!record.hasMagic(0, "FILE")) record.fail('"FILE" expected', undefined, "file record of $Volume");
  const whole = new ByteReader(withoutFixups(record, Math.min(sectorBytes, 512)), "ntfs");
  let offset = whole.u16le(20, "first attribute");
  for (let count = 0; count < attributesMax; count++) {
    const type = whole.u32le(offset, "attribute type");
    if (type === attributesEnd) return null;
    if (type === attributeVolumeName) {
      const start = offset + whole.u16le(offset + 20, "volume name");
      return utf16Label(whole.slice(start, whole.u32le(offset + 16, "volume name"), "volume name"));
    }
    const length = whole.u32le(offset + 4, "attribute length");
    if (length < 16) whole.fail(`${length}, at least 16 expected`, offset + 4, "attribute length of $Volume");
    offset += length;
  }
  return null;
}

/** A copy of the record with the last two bytes of every block put back from the update sequence array. */
function withoutFixups(record: ByteReader, blockBytes: number): Uint8Array {
  const copy = record.bytes.slice();
  const array = record.u16le(4, "update sequence");
  const count = record.u16le(6, "update sequence");
  for (let block = 1; block < count && block * blockBytes <= copy.length; block++) {
    copy.set(record.slice(array + block * 2, 2, "update sequence"), block * blockBytes - 2);
  }
  return copy;
}
