import { fdtCompatible } from "./fdt-compatible.ts";
import { FormatError, quote } from "./format-error.ts";
import { hwidsBytesMax, matchDevice, parseHwids } from "./hardware-ids.ts";
import { type ByteRange, type ReadRange, readExactly } from "./ranges.ts";
import type { UkiAddon, UkiImage } from "./uki.ts";

/** Who the machine is, as far as a device tree is chosen by it. */
export interface MachineIdentity {
  /** The first `compatible` of the device tree that the machine runs with; null where it runs without one. */
  readonly compatible: string | null;
  /** Its hardware ids; see `computerHardwareIds`. */
  readonly hardwareIds: ReadonlyMap<number, string>;
}

/** A device tree of a unified kernel image or an add-on, and why it is the one. */
export interface ChosenDevicetree {
  readonly range: ByteRange;
  /** For people: `its first compatible "acme,board" is the machine's`. */
  readonly reason: string;
}

/**
 * The device tree that systemd-stub would hand over (systemd-stub(7), UAPI.5 "UKI Components"): of those in `.dtbauto` the
 * first whose name is the machine's own, or, on a machine without a device tree, the one that `.hwids` names for it; else
 * the one of `.dtb`. Null when none is for the machine, or there is none.
 *
 * @param problems told what is broken and was passed over
 */
export function chooseDevicetree(
  read: ReadRange,
  image: Pick<UkiImage | UkiAddon, "devicetree" | "boardDevicetrees" | "hwids">,
  machine: MachineIdentity,
  problems: (problem: string) => void,
): ChosenDevicetree | null {
  const wanted = wantedCompatible(read, image, machine, problems);
  if (wanted !== null) {
    for (const range of image.boardDevicetrees) {
      const compatible = attempt(() => fdtCompatible(read, range), problems);
      if (compatible === wanted.compatible) return { range, reason: wanted.reason };
    }
  }
  if (image.devicetree === null) return null;
  return { range: image.devicetree, reason: "the image has it for all machines" };
}

interface Wanted {
  readonly compatible: string;
  readonly reason: string;
}

function wantedCompatible(
  read: ReadRange,
  image: Pick<UkiImage, "boardDevicetrees" | "hwids">,
  machine: MachineIdentity,
  problems: (problem: string) => void,
): Wanted | null {
  if (image.boardDevicetrees.length === 0) return null;
  const { compatible } = machine;
  if (compatible !== null) return { compatible, reason: `its first compatible ${quote(compatible)} is the machine's` };
  const { hwids } = image;
  if (hwids === null) return null;
  const devices = attempt(() => parseHwids(readHwids(read, hwids)), problems);
  const match = devices === null ? null : matchDevice(devices, "devicetree", machine.hardwareIds);
  if (match === null || match.device.key === null) return null;
  const { device, idNumber } = match;
  const name = device.name === null ? "" : ` (${quote(device.name)})`;
  return { compatible: match.device.key, reason: `the machine has hardware id ${idNumber}, ${device.id}${name}` };
}

function readHwids(read: ReadRange, range: ByteRange): Uint8Array {
  if (range.length > hwidsBytesMax) {
    throw new FormatError("hwids", `${range.length} bytes, at most ${hwidsBytesMax} are taken`);
  }
  return readExactly(read, range, "hwids", ".hwids").bytes;
}

function attempt<T>(parse: () => T, problems: (problem: string) => void): T | null {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    problems(error.message);
    return null;
  }
}
