import { adler32 } from "../../src/formats/compression/adler32.ts";
import { crc32 } from "../../src/formats/crc32.ts";

/** For inputs whose checksums were right before they were changed. Each does nothing where the input is too short. */

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Where {@link mendPhysicalVolume} expects the metadata area. */
export const lvm2AreaOffset = 4096;
const lvm2HeaderBytes = 512;
const sectorBytes = 512;
const lvm2Seed = 0xf597a6cf;

/** A physical volume of LVM2 with its label in sector 1 and its metadata area at {@link lvm2AreaOffset}. */
export function mendPhysicalVolume(bytes: Uint8Array): Uint8Array {
  if (bytes.length < lvm2AreaOffset + lvm2HeaderBytes) return bytes;
  const view = viewOf(bytes);
  const sumOf = (start: number, end: number): number => ~crc32(bytes.subarray(start, end), ~lvm2Seed) >>> 0;
  const text = lvm2AreaOffset + Number(view.getBigUint64(lvm2AreaOffset + 40, true));
  const end = text + Number(view.getBigUint64(lvm2AreaOffset + 48, true));
  if (end <= bytes.length) view.setUint32(lvm2AreaOffset + 56, sumOf(text, end), true);
  view.setUint32(lvm2AreaOffset, sumOf(lvm2AreaOffset + 4, lvm2AreaOffset + lvm2HeaderBytes), true);
  view.setUint32(sectorBytes + 16, sumOf(sectorBytes + 20, 2 * sectorBytes), true);
  return bytes;
}

/** A superblock of md in version 1.1 at the start. */
export function mendRaidSuperblock(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 256) return bytes;
  const view = viewOf(bytes);
  const length = 256 + view.getUint32(220, true) * 2;
  if (length > bytes.length) return bytes;
  view.setUint32(216, 0, true);
  let sum = length % 4 === 0 ? 0 : view.getUint16(length - 2, true);
  for (let at = 0; at + 4 <= length; at += 4) sum += view.getUint32(at, true);
  view.setUint32(216, ((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32, true);
  return bytes;
}

/** The header of lzop's first member. */
export function mendLzo(bytes: Uint8Array): Uint8Array {
  const [first, end] = [9, 34 + (bytes[33] ?? 0)];
  if (end + 4 > bytes.length) return bytes;
  const view = viewOf(bytes);
  const isCrc = (view.getUint32(17) & 0x1000) !== 0;
  view.setUint32(end, (isCrc ? crc32 : adler32)(bytes.subarray(first, end)));
  return bytes;
}

/** The last copy of the auxiliary data vector of ldlinux.sys. */
export function mendAuxiliaryData(bytes: Uint8Array): Uint8Array {
  const start = bytes.length - 512;
  if (start < 0) return bytes;
  const view = viewOf(bytes);
  let sum = 0xa3041767;
  for (let at = start + 8; at < bytes.length - 4; at += 4) sum -= view.getUint32(at, true);
  view.setUint32(start, 0x5a2d2fa5, true);
  view.setUint32(start + 4, ((sum % 2 ** 32) + 2 ** 32) % 2 ** 32, true);
  view.setUint32(bytes.length - 4, 0xdd28bf64, true);
  return bytes;
}
