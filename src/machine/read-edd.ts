import { type EddDisk, eddDisksMax, eddParametersBytes } from "../formats/edd.ts";
import { listKernelDirectory, readKernelBytes, readKernelText } from "./kernel-files.ts";

/** Lines of `extensions`, in the order of their bits (Linux, drivers/firmware/edd.c, edd_show_extensions()). */
const extensionLines = [
  "Fixed disk access",
  "Device locking and ejecting",
  "Enhanced Disk Drive support",
  "64-bit extensions",
];

/**
 * The BIOS disks of /sys/firmware/edd, in the order of their numbers, for a kernel that does not show its boot
 * parameters; empty where there are none. Rejects when what is there cannot be read or is no number.
 */
export function readEdd(directory: string): EddDisk[] {
  const names = listKernelDirectory(directory);
  const disks = names.filter((name) => /^int13_dev[0-9a-f]{2}$/.test(name)).sort();
  const found = disks.map((name) => readDisk(`${directory}/${name}`, name));
  return found.filter((disk) => disk !== null).slice(0, eddDisksMax);
}

/** Null for a disk of which the BIOS told nothing but the signature. */
function readDisk(directory: string, name: string): EddDisk | null {
  const version = readNumber(`${directory}/version`);
  if (version === null) return null;
  const number = (file: string): number => readNumber(`${directory}/${file}`) ?? 0;
  const extensions = (readKernelText(`${directory}/extensions`) ?? "").split("\n");
  const parameters = new Uint8Array(eddParametersBytes);
  parameters.set(readKernelBytes(`${directory}/raw_data`, eddParametersBytes) ?? []);
  return {
    device: Number.parseInt(name.slice(-2), 16),
    version,
    interfaceSupport: extensionLines.reduce((bits, line, bit) => bits | (extensions.includes(line) ? 1 << bit : 0), 0),
    legacyMaxCylinder: number("legacy_max_cylinder"),
    legacyMaxHead: number("legacy_max_head"),
    legacySectorsPerTrack: number("legacy_sectors_per_track"),
    parameters,
    mbrSignature: readNumber(`${directory}/mbr_signature`),
  };
}

function readNumber(path: string): number | null {
  const text = readKernelText(path);
  if (text === null) return null;
  if (!/^(0x[0-9a-f]{1,8}|\d{1,10})$/.test(text)) throw new Error(`read ${path}: a number expected`);
  return Number(text);
}
