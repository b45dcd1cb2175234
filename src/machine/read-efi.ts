import { FormatError, quote } from "../formats/format-error.ts";
import { type EfiFacts, type EfiInfo, type EfiRuntimeRange, efiRuntimeRangesMax } from "../formats/setup-data.ts";
import { listKernelDirectory, type Remarks, readKernelText } from "./kernel-files.ts";

/** Names of /sys/firmware/efi/systab with their addresses: `ACPI20`, `ACPI`, `SMBIOS3`, `SMBIOS`. */
export type SystemTableNames = ReadonlyMap<string, bigint>;

const systemTableLinesMax = 256;
const remark = "EFI runtime services are not passed on";

/**
 * The facts for a target's EFI runtime services (Linux, Documentation/ABI/testing/sysfs-firmware-efi and
 * sysfs-firmware-efi-runtime-map). Null without EFI; null with a remark when the running kernel does not show them all,
 * does not use runtime services itself, or runs on 32-bit firmware, whose services no kexec passes on.
 */
export function readEfi(sysfs: string, running: EfiInfo | null, remarks: Remarks): EfiFacts | null {
  if (running === null) return null;
  return remarks.attempt(remark, () => {
    if (running.signature !== "EL64") {
      throw new Error(`64-bit firmware ("EL64") expected, not ${quote(running.signature)}`);
    }
    const directory = `${sysfs}/firmware/efi`;
    const runtimeMap = readRuntimeMap(`${directory}/runtime-map`);
    if (runtimeMap.length === 0) throw new Error("the running kernel shows no /sys/firmware/efi/runtime-map");
    return {
      systemTable: running.systemTable,
      vendor: readWord(`${directory}/fw_vendor`),
      runtime: readWord(`${directory}/runtime`),
      tables: readWord(`${directory}/config_table`),
      smbios: readSystemTableNames(sysfs).get("SMBIOS") ?? null,
      runtimeMap,
    };
  });
}

/** In the order of their numbers; empty where there are none. */
function readRuntimeMap(directory: string): EfiRuntimeRange[] {
  const names = listKernelDirectory(directory);
  const numbers = names.filter((name) => /^\d{1,6}$/.test(name)).sort((a, b) => Number(a) - Number(b));
  if (numbers.length > efiRuntimeRangesMax) {
    throw new Error(`runtime-map has ${numbers.length} ranges, at most ${efiRuntimeRangesMax} are taken`);
  }
  return numbers.map((name) => readRuntimeRange(`${directory}/${name}`));
}

function readRuntimeRange(directory: string): EfiRuntimeRange {
  return {
    type: Number(readWord(`${directory}/type`)),
    physical: readAddress(`${directory}/phys_addr`),
    virtual: readWord(`${directory}/virt_addr`),
    pages: readAddress(`${directory}/num_pages`),
    attributes: readWord(`${directory}/attribute`),
  };
}

/** 64 bits as `0x…`. */
function readWord(path: string): bigint {
  return parseWord(readKernelText(path) ?? "", path);
}

function readAddress(path: string): number {
  const value = readWord(path);
  if (value >= 2n ** 52n) throw new Error(`read ${path}: below 2^52 expected, not 0x${value.toString(16)}`);
  return Number(value);
}

function parseWord(text: string, path: string): bigint {
  if (!/^0x[0-9a-f]{1,16}$/i.test(text)) throw new Error(`read ${path}: "0x…" expected, not ${quote(text)}`);
  return BigInt(text);
}

/** Empty where the kernel has no such file: there is no EFI, or a newer kernel shows it no more. */
export function readSystemTableNames(sysfs: string): SystemTableNames {
  return parseSystemTableNames(readKernelText(`${sysfs}/firmware/efi/systab`) ?? "");
}

/** Sample line: `ACPI20=0x7fb7e014`. Lines of another form are passed over: kernels add to this file. */
export function parseSystemTableNames(text: string): SystemTableNames {
  const lines = text.split("\n");
  if (lines.length > systemTableLinesMax) {
    throw new FormatError("systab", `${lines.length} lines, at most ${systemTableLinesMax} are taken`);
  }
  return new Map(
    lines.flatMap((line) => {
      const [, name, value] = /^([A-Z0-9]+)=(0x[0-9a-f]{1,16})$/i.exec(line) ?? [];
      return name === undefined || value === undefined ? [] : [[name, BigInt(value)] as const];
    }),
  );
}
