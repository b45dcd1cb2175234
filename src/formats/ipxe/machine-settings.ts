import { toByteText } from "./byte-text.ts";
import type { IpxeMachineBlock } from "./host.ts";
import { settingType, stringType } from "./setting-types.ts";
import type { NamedSetting, SettingSource } from "./settings.ts";
import { unknownValue } from "./unknown-value.ts";

/** A network port as iPXE tells of it. */
export interface IpxePort {
  /** `52:54:00:12:34:56`; null: not known. */
  readonly mac: string | null;
  /** `PCI`, `USB`; null: not known. */
  readonly bus: string | null;
  /** Null where it is on another bus. Numbers may be unknown. */
  readonly pci: {
    readonly segment: number;
    readonly bus: number;
    readonly device: number;
    readonly function: number;
    readonly vendorId: number | null;
    readonly deviceId: number | null;
  } | null;
}

/** What is known of a machine. */
export interface IpxeMachineFacts {
  /** The string that an SMBIOS structure has at an offset; empty: none; null: not known. Byte text. */
  smbiosString(type: number, offset: number): string | null;
  readonly uuid: {
    /** Its 16 bytes as SMBIOS holds them; empty: it has none; null: not known. Byte text. */
    readonly raw: string | null;
    /** In network byte order; null: not known. Byte text. */
    readonly ordered: string | null;
  };
  /** In the order of their numbers, without a gap. */
  readonly ports: readonly IpxePort[];
  /** Whether there is no further port. */
  readonly hasAllPorts: boolean;
}

/** Settings of a port (net/netdev_settings.c). */
const portSettings = ["mac", "hwaddr", "bustype", "busloc", "busid", "chip", "ifname", "linktype"] as const;

/** Settings of the machine that nothing here can tell, besides the blocks of {@link unknownBlocks}. */
const unknownNames: readonly string[] = ["memsize", "unixtime", "cpuvendor", "cpumodel"];
const unknownBlocks: readonly string[] = ["pci", "cpuid", "acpi", "memory"];

/** SMBIOS first, as iPXE registers it, then the ports. */
export function machineBlocks(facts: IpxeMachineFacts): IpxeMachineBlock[] {
  return [
    { name: "smbios", values: [], source: smbiosSource(facts) },
    ...facts.ports.map((port, index) => ({ name: `net${index}`, values: portValues(port, index), source: null })),
  ];
}

/** Where the UUID stands in the structure of type 1. */
const uuidOffset = 8;
const uuidBytes = 16;

/** Whether a setting of a name without a value may have one on the machine (see `IpxeMachine.isUnknown`). */
export function isUnknownSetting({ ports, hasAllPorts }: IpxeMachineFacts, name: string): boolean {
  const slash = name.indexOf("/");
  const block = name.slice(0, Math.max(slash, 0));
  const own = name.slice(slash + 1);
  if (unknownBlocks.includes(block) || (["", "builtin"].includes(block) && unknownNames.includes(own))) return true;
  if (!portSettings.some((each) => each === own)) return false;
  if (block === "") return !hasAllPorts;
  // Which interface was opened last shows only where interfaces can be opened.
  if (block === "netX") return ports.length > 0 || !hasAllPorts;
  const number = /^net(\d{1,9})$/.exec(block)?.[1];
  return number !== undefined && Number(number) >= ports.length && !hasAllPorts;
}

/** `smbios_fetch`: fields of structures, by tags of an instance, a type, an offset and a length, a byte each. */
function smbiosSource({ smbiosString, uuid }: IpxeMachineFacts): SettingSource {
  const unknown = { raw: unknownValue(""), type: stringType };
  const hex = settingType("hex") ?? stringType;
  return {
    scope: "smbios",
    find({ tag, type }: NamedSetting) {
      if (tag === 0) return null;
      const instance = tag >>> 24;
      const [structure, offset, length] = [(tag >>> 16) & 0xff, (tag >>> 8) & 0xff, tag & 0xff];
      if (instance !== 0 || offset === 0) return unknown;
      if (length === 0) {
        const text = smbiosString(structure, offset);
        if (text === null) return unknown;
        return text === "" ? null : { raw: text, type: stringType };
      }
      const start = offset - uuidOffset;
      if (structure !== 1 || start < 0 || start + length > uuidBytes) return unknown;
      const isOrdered = length === uuidBytes && (type?.name === "uuid" || type?.name === "guid");
      const bytes = isOrdered ? uuid.ordered : uuid.raw;
      // Of a UUID that counts as none it is not known which one it is.
      return bytes === null || bytes === "" ? unknown : { raw: bytes.slice(start, start + length), type: hex };
    },
  };
}

function portValues({ mac, bus, pci }: IpxePort, index: number): [name: string, text: string][] {
  const unknown = unknownValue("");
  const known = (text: string | null): string => (text === null ? unknown : toByteText(text));
  const isPci = bus === "PCI" && pci !== null;
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
  const location = isPci
    ? hex(((pci.segment << 16) | (pci.bus << 8) | (pci.device << 3) | pci.function) >>> 0, 8)
    : null;
  const hasIds = isPci && pci.vendorId !== null && pci.deviceId !== null;
  // The bus's number, then those of the maker and of the device (struct dhcp_netdev_desc).
  const id = hasIds ? `${pciBusType}${hex(pci.vendorId, 4)}${hex(pci.deviceId, 4)}` : null;
  // The newest comes first in a block.
  return [
    ["linktype", "Ethernet"],
    ["ifname", `net${index}`],
    ["chip", unknown],
    ["busid:hexraw", known(id)],
    ["busloc:hexraw", known(location)],
    ["bustype", known(bus)],
    ["hwaddr:hex", known(mac)],
    ["mac:hex", known(mac)],
  ];
}

/** BUS_TYPE_PCI of include/ipxe/device.h. */
const pciBusType = "01";
