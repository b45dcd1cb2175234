import { kernelPlaces, type Remarks } from "./kernel-files.ts";
import { readCompatible } from "./machine-identity.ts";
import { type NetworkPorts, readNetworkPorts, unknownNetworkPorts } from "./network-ports.ts";
import { readSmbios, type Smbios, unknownSmbios } from "./smbios.ts";

/** What a machine says of itself, which boot configurations may ask for. */
export interface MachineDescription {
  readonly smbios: Smbios;
  readonly network: NetworkPorts;
  /** The `compatible` strings of its device tree; empty without one. */
  readonly compatible: readonly string[];
}

/** A machine of which nothing is known: that of directories. */
export const unknownMachineDescription: MachineDescription = {
  smbios: unknownSmbios,
  network: unknownNetworkPorts,
  compatible: [],
};

/** Reads all of it once. What cannot be read is not known, with a remark. */
export function readMachineDescription(remarks: Remarks, sysfs: string = kernelPlaces.sysfs): MachineDescription {
  return {
    smbios: readSmbios(remarks, sysfs),
    network: readNetworkPorts(remarks, sysfs),
    compatible: remarks.attempt("the machine's device tree is not known", () => readCompatible(sysfs)) ?? [],
  };
}
