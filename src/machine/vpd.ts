import { quote } from "../formats/format-error.ts";
import { readKernelBytes } from "./kernel-files.ts";

/*
 * Vital Product Data: names with values in two regions of a coreboot machine's flash chip; `ro` lies in the part that is
 * write-protected. The kernel shows each value as a file, ro/NAME or rw/NAME; it reads the flash chip's content once, from
 * where coreboot put it. Source: Linux, drivers/firmware/google/vpd.c and vpd_decode.c.
 */

/** Where the kernel shows them. */
export const vpdDirectory = "/sys/firmware/vpd";

export type VpdRegion = "ro" | "rw";

/** Longest name that can be a file's (NAME_MAX), in characters. */
const vpdNameCharactersMax = 255;

/** Whether the kernel can show a value of that name; others it leaves out. */
export function isVpdName(name: string): boolean {
  return name.length <= vpdNameCharactersMax && /^[A-Za-z0-9_]+$/.test(name);
}

/**
 * A value; null when there is none of that name, or the machine has no such region. Throws when it cannot be read or is
 * longer than `bytesMax`.
 */
export function readVpd(
  region: VpdRegion,
  name: string,
  bytesMax: number,
  directory: string = vpdDirectory,
): Uint8Array | null {
  if (!isVpdName(name)) throw new Error(`read VPD ${quote(name)}: a name of letters, digits and "_" expected`);
  return readKernelBytes(`${directory}/${region}/${name}`, bytesMax);
}
