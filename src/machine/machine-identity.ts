import { computerHardwareIds, type SmbiosStrings } from "../formats/hardware-ids.ts";
import type { MachineIdentity } from "../formats/uki-devicetree.ts";
import { kernelPlaces, type Remarks, readKernelBytes } from "./kernel-files.ts";

/** Longest attribute that is read, in bytes: SMBIOS itself has shorter ones. */
const attributeBytesMax = 4096;

/**
 * Who this machine is: from the device tree that the running kernel was given, and from SMBIOS (Linux,
 * Documentation/ABI/testing/sysfs-firmware-ofw and sysfs-devices-virtual-dmi-id). What cannot be read is as if unknown,
 * with a remark.
 */
export function readMachineIdentity(remarks: Remarks, sysfs: string = kernelPlaces.sysfs): MachineIdentity {
  return {
    compatible: remarks.attempt("the machine's device tree is not known", () => readCompatible(sysfs)[0] ?? null),
    hardwareIds: computerHardwareIds(readSmbiosStrings(remarks, sysfs)),
  };
}

/** The board's names, the most exact first; each ends with NUL. None without a device tree. */
export function readCompatible(sysfs: string): string[] {
  const text = readText(`${sysfs}/firmware/devicetree/base/compatible`);
  return text === null ? [] : text.split("\0").filter((name) => name !== "");
}

/** What SMBIOS says of the machine. */
export function readSmbiosStrings(remarks: Remarks, sysfs: string = kernelPlaces.sysfs): SmbiosStrings {
  const text = (name: string): string | null =>
    remarks.attempt(`SMBIOS ${name} is not known`, () => {
      const value = readText(`${sysfs}/class/dmi/id/${name}`);
      return value === null ? null : value.replace(/\n$/, "");
    });
  const [, major, minor] = /^(\d{1,3})\.(\d{1,3})$/.exec(text("bios_release") ?? "") ?? [];
  const chassis = /^\d{1,3}$/.exec(text("chassis_type") ?? "")?.[0];
  return {
    manufacturer: text("sys_vendor"),
    family: text("product_family"),
    productName: text("product_name"),
    productSku: text("product_sku"),
    baseboardManufacturer: text("board_vendor"),
    baseboardProduct: text("board_name"),
    biosVendor: text("bios_vendor"),
    biosVersion: text("bios_version"),
    biosMajor: byteOf(major),
    biosMinor: byteOf(minor),
    enclosureType: byteOf(chassis),
  };
}

function byteOf(digits: string | undefined): number | null {
  const value = Number(digits ?? Number.NaN);
  return value <= 0xff ? value : null;
}

function readText(path: string): string | null {
  const bytes = readKernelBytes(path, attributeBytesMax);
  return bytes === null ? null : new TextDecoder("latin1").decode(bytes);
}
