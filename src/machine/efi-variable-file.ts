import { closeSync, constants, openSync, unlinkSync, writeSync } from "node:fs";
import { ByteWriter } from "../formats/byte-writer.ts";
import {
  type EfiVariable,
  efiVariableBytesMax,
  efiVariableFileName,
  parseEfiVariable,
} from "../formats/efi-variable.ts";
import { errorCode, messageOf } from "../formats/error-text.ts";
import type { System } from "../linux/system.ts";
import { efiVariablesDirectory } from "./efi-variables.ts";
import { openIfThere, readKernelBytes } from "./kernel-files.ts";

/** What errors of efivarfs mean (fs/efivarfs; drivers/firmware/efi, efi_status_to_err). */
const errorHints: Readonly<Record<string, string>> = {
  ENOENT: "this machine has no EFI variables, or efivarfs is not mounted",
  EROFS: "efivarfs is mounted read-only, or the firmware takes no variables once it has started a system",
  EACCES: "only root may, and the firmware may ask for a signature",
  EPERM: "only root may",
  EINVAL: "the firmware refuses it; other attributes than it has, perhaps",
  ENOSPC: "the firmware has no room left for variables",
  EIO: "the firmware failed",
};

/**
 * One variable; null when there is none. efivarfs shows one that is being made as an empty file, which counts as none.
 *
 * @throws FormatError for what is no variable, and the system's error when it cannot be read
 */
export function readEfiVariable(
  name: string,
  vendor: string,
  directory: string = efiVariablesDirectory,
): EfiVariable | null {
  const bytes = readKernelBytes(`${directory}/${efiVariableFileName(name, vendor)}`, efiVariableBytesMax);
  return bytes === null || bytes.length === 0 ? null : parseEfiVariable(bytes);
}

/**
 * Writes one variable, in place of the one that is there: the firmware takes the new value as a whole or keeps the old one
 * (UEFI 2.10, section 8.2, SetVariable()). efivarfs has most files marked against changes; the mark is taken away and set
 * again (Linux, Documentation/filesystems/efivarfs.rst).
 *
 * @param vendor a GUID in lower case
 * @throws Error that names the variable and says what the system refused
 */
export function writeEfiVariable(
  system: Pick<System, "setImmutable">,
  name: string,
  vendor: string,
  variable: EfiVariable,
  directory: string = efiVariablesDirectory,
): void {
  const path = `${directory}/${efiVariableFileName(name, vendor)}`;
  try {
    writeFile(system, path, variableBytes(variable));
  } catch (error) {
    const code = errorCode(error);
    const hint = code === null ? undefined : errorHints[code];
    throw new Error(`write EFI variable ${name}: ${messageOf(error)}${hint === undefined ? "" : ` (${hint})`}`, {
      cause: error,
    });
  }
}

function variableBytes({ attributes, data }: EfiVariable): Uint8Array {
  const bytes = new ByteWriter(4 + data.length, "efi variable");
  if (bytes.bytes.length > efiVariableBytesMax) {
    bytes.fail(`${bytes.bytes.length} bytes, at most ${efiVariableBytesMax} are written`, 0, "data");
  }
  bytes.u32(0, attributes, "attributes");
  bytes.set(4, data, "data");
  return bytes.bytes;
}

function writeFile(system: Pick<System, "setImmutable">, path: string, bytes: Uint8Array): void {
  const present = openIfThere(path);
  if (present === null) {
    makeFile(system, path, bytes);
    return;
  }
  try {
    const wasMarked = system.setImmutable(present, false);
    try {
      writeAtOnce(openSync(path, constants.O_WRONLY), bytes);
    } finally {
      if (wasMarked) system.setImmutable(present, true);
    }
  } finally {
    closeSync(present);
  }
}

/** A variable that the firmware does not take leaves an empty file behind in older kernels; that is taken away. */
function makeFile(system: Pick<System, "setImmutable">, path: string, bytes: Uint8Array): void {
  const made = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644);
  try {
    writeAtOnce(made, bytes);
  } catch (error) {
    removeLeftOver(system, path);
    throw error;
  }
}

/** Writes in one call, which is one call of the firmware, and closes. */
function writeAtOnce(fd: number, bytes: Uint8Array): void {
  try {
    const written = writeSync(fd, bytes);
    if (written !== bytes.length) throw new Error(`${written} of ${bytes.length} bytes were taken`);
  } finally {
    closeSync(fd);
  }
}

function removeLeftOver(system: Pick<System, "setImmutable">, path: string): void {
  try {
    const fd = openIfThere(path);
    if (fd === null) return;
    try {
      system.setImmutable(fd, false);
    } finally {
      closeSync(fd);
    }
    unlinkSync(path);
  } catch {
    // Nothing is lost: an empty file reads as no variable.
  }
}
