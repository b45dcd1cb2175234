import type { ByteWriter } from "./byte-writer.ts";
import type { ByteReader } from "./bytes.ts";
import { FormatError } from "./format-error.ts";

/** A BIOS disk as int 13h told the boot code (BIOS Enhanced Disk Drive Services 3.0; linux/edd.h). */
export interface EddDisk {
  /** BIOS number: 0x80, 0x81… */
  readonly device: number;
  readonly version: number;
  readonly interfaceSupport: number;
  readonly legacyMaxCylinder: number;
  readonly legacyMaxHead: number;
  readonly legacySectorsPerTrack: number;
  /** The device parameters as the BIOS gave them (74 bytes). */
  readonly parameters: Uint8Array;
  readonly mbrSignature: number | null;
}

/** EDDMAXNR, EDD_MBR_SIG_MAX, EDDPARMSIZE of linux/edd.h. */
export const eddDisksMax = 6;
export const eddSignaturesMax = 16;
export const eddParametersBytes = 74;

const recordBytes = 8 + eddParametersBytes;
const firstDisk = 0x80;
/** Where `struct boot_params` has them (Linux, Documentation/arch/x86/zero-page.rst). */
const at = { entries: 0x1e9, signatureEntries: 0x1ea, signatures: 0x290, disks: 0xd00 } as const;

/**
 * Writes what the BIOS said of its disks into boot_params: records one after the other, signatures by the disk's
 * number, since the kernel finds both by their place. Throws {@link FormatError} for more than {@link eddDisksMax}
 * records.
 */
export function writeEdd(params: ByteWriter, disks: readonly EddDisk[]): void {
  if (disks.length > eddDisksMax) {
    throw new FormatError(params.format, `${disks.length} BIOS disks, at most ${eddDisksMax} are taken`, {
      field: "eddbuf",
    });
  }
  params.u8(at.entries, disks.length, "eddbuf_entries");
  disks.forEach((disk, index) => {
    writeRecord(params, at.disks + index * recordBytes, disk);
  });
  let signatures = 0;
  for (const { device, mbrSignature } of disks) {
    const index = device - firstDisk;
    if (mbrSignature === null || index < 0 || index >= eddSignaturesMax) continue;
    params.u32(at.signatures + index * 4, mbrSignature, "edd_mbr_sig_buffer");
    signatures = Math.max(signatures, index + 1);
  }
  params.u8(at.signatureEntries, signatures, "edd_mbr_sig_buf_entries");
}

function writeRecord(params: ByteWriter, offset: number, disk: EddDisk): void {
  if (disk.parameters.length > eddParametersBytes) {
    params.fail(`${disk.parameters.length} bytes, ${eddParametersBytes} expected`, offset + 8, "edd_info.params");
  }
  params.u8(offset, disk.device, "edd_info.device");
  params.u8(offset + 1, disk.version, "edd_info.version");
  params.u16(offset + 2, disk.interfaceSupport, "edd_info.interface_support");
  params.u16(offset + 4, disk.legacyMaxCylinder, "edd_info.legacy_max_cylinder");
  params.u8(offset + 6, disk.legacyMaxHead, "edd_info.legacy_max_head");
  params.u8(offset + 7, disk.legacySectorsPerTrack, "edd_info.legacy_sectors_per_track");
  params.set(offset + 8, disk.parameters, "edd_info.params");
}

/** Reads the disks from boot_params; a count over what the table holds is a {@link FormatError}. */
export function readEdd(params: ByteReader): EddDisk[] {
  const count = params.u8(at.entries, "eddbuf_entries");
  if (count > eddDisksMax) params.fail(`${count}: at most ${eddDisksMax} expected`, at.entries, "eddbuf_entries");
  const signatures = Math.min(params.u8(at.signatureEntries, "edd_mbr_sig_buf_entries"), eddSignaturesMax);
  return Array.from({ length: count }, (_, index) => {
    const offset = at.disks + index * recordBytes;
    const device = params.u8(offset, "edd_info.device");
    const place = device - firstDisk;
    const hasSignature = place >= 0 && place < signatures;
    return {
      device,
      version: params.u8(offset + 1, "edd_info.version"),
      interfaceSupport: params.u16le(offset + 2, "edd_info.interface_support"),
      legacyMaxCylinder: params.u16le(offset + 4, "edd_info.legacy_max_cylinder"),
      legacyMaxHead: params.u8(offset + 6, "edd_info.legacy_max_head"),
      legacySectorsPerTrack: params.u8(offset + 7, "edd_info.legacy_sectors_per_track"),
      parameters: new Uint8Array(params.slice(offset + 8, eddParametersBytes, "edd_info.params")),
      mbrSignature: hasSignature ? params.u32le(at.signatures + place * 4, "edd_mbr_sig_buffer") : null,
    };
  });
}
