import { ByteReader } from "../formats/bytes.ts";
import { findRsdp, parseRsdp, rsdpBytesMax } from "../formats/rsdp.ts";
import { readPart } from "./kernel-files.ts";
import type { SystemTableNames } from "./read-efi.ts";

export interface RsdpSources {
  /** The value of `acpi_rsdp=`. */
  readonly commandLine: string | null;
  /** `acpi_rsdp_addr` of the running kernel's boot parameters. */
  readonly bootParams: number | null;
  /** Null when it could not be read. */
  readonly systemTable: SystemTableNames | null;
  /** Path of /dev/mem. */
  readonly memory: string;
}

/** Where a BIOS says, as a segment, that its extended data area lies. */
const dataAreaPointer = 0x40e;
const dataAreaBytes = 1024;
const biosStart = 0xe_0000;
const biosEnd = 0x10_0000;

/**
 * Physical address of the ACPI root pointer, from the first that tells, in the order that Linux asks them
 * (arch/x86/boot/ compressed/acpi.c): the command line, the boot parameters, EFI's configuration tables, and the places
 * of ACPI 6.5, section 5.2.5.1. Null when nobody tells; a kernel started by a BIOS then looks at those places itself.
 */
export function findRsdpAddress(sources: RsdpSources): number | null {
  const { commandLine, bootParams, systemTable, memory } = sources;
  const wanted = /^(0x)?[0-9a-f]{1,13}$/i.test(commandLine ?? "") ? Number.parseInt(commandLine ?? "", 16) : 0;
  const listed = Number(systemTable?.get("ACPI20") ?? systemTable?.get("ACPI") ?? 0n);
  const told = [wanted, bootParams, listed].find((address) => address !== null && address > 0 && address < 2 ** 52);
  if (told !== undefined) return told;
  return systemTable !== null && systemTable.size > 0 ? null : scanBios(memory);
}

/** Null also when the kernel lets nobody look (lockdown, no /dev/mem): the target can do without. */
function scanBios(memory: string): number | null {
  try {
    const segment = new ByteReader(readPart(memory, dataAreaPointer, 2), "bios data").u16le(0, "EBDA");
    const dataArea = segment * 16;
    // A pointer elsewhere than into the top of conventional memory is none.
    if (dataArea >= 0x8_0000 && dataArea < 0xa_0000) {
      const found = findRsdp(readPart(memory, dataArea, dataAreaBytes));
      if (found !== null) return dataArea + found;
    }
    const found = findRsdp(readPart(memory, biosStart, biosEnd - biosStart));
    return found === null ? null : biosStart + found;
  } catch {
    return null;
  }
}

/** The root pointer's bytes; null when the kernel lets nobody look, or when there is none. */
export function readRsdpBytes(memory: string, address: number): Uint8Array | null {
  try {
    const short = readShort(memory, address);
    const length = new ByteReader(short, "rsdp").has(20, 4) ? new ByteReader(short, "rsdp").u32le(20, "Length") : 0;
    return parseRsdp(length > 36 && length <= rsdpBytesMax ? readPart(memory, address, length) : short);
  } catch {
    return null;
  }
}

/** The pointer may stand at the end of what may be read: then its first version is. */
function readShort(memory: string, address: number): Uint8Array {
  try {
    return readPart(memory, address, 36);
  } catch {
    return readPart(memory, address, 20);
  }
}
