import type { MachineDescription } from "../../src/machine/machine-description.ts";
import type { NetworkPort } from "../../src/machine/network-ports.ts";

/** A port of a virtual machine. */
export function networkPort(parts: Partial<NetworkPort> = {}): NetworkPort {
  const pci = { segment: 0, bus: 0, device: 3, function: 0, vendorId: 0x1af4, deviceId: 0x1000 };
  return { name: "eth0", mac: "52:54:00:12:34:56", bus: "PCI", pci, ...parts };
}

const strings: Readonly<Record<string, string>> = { "1.4": "ACME", "1.5": "Model A", "1.7": "S-1", "3.8": "" };
const bytes = (hex: string): string => Buffer.from(hex, "hex").toString("latin1");

/** A machine with two ports and SMBIOS. */
export function machineDescription(parts: Partial<MachineDescription> = {}): MachineDescription {
  return {
    smbios: {
      smbiosString: (type, offset) => strings[`${type}.${offset}`] ?? null,
      uuid: {
        raw: bytes("00004d56111122223333444455556666"),
        ordered: bytes("564d0000111122223333444455556666"),
      },
      chassisType: 1,
    },
    network: {
      ports: [networkPort(), networkPort({ name: "eth1", mac: "52:54:00:12:34:57" })],
      hasAllPorts: true,
    },
    compatible: [],
    ...parts,
  };
}
