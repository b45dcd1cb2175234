import { existsSync, realpathSync } from "node:fs";
import { kernelPlaces, listKernelDirectory, type Remarks, readKernelText } from "./kernel-files.ts";

/** Interfaces, and devices of PCI, that are looked at. */
export const networkInterfacesMax = 4096;
export const pciDevicesMax = 4096;

/** A place on PCI. */
export interface PciFunction {
  readonly segment: number;
  readonly bus: number;
  readonly device: number;
  readonly function: number;
  /** Null: not known. */
  readonly vendorId: number | null;
  readonly deviceId: number | null;
}

/** A port for Ethernet cables, or what a hypervisor gives for one. */
export interface NetworkPort {
  /** The kernel's name: `eth0`. */
  readonly name: string;
  /** The address that it has of itself, `52:54:00:12:34:56`; null: not known. */
  readonly mac: string | null;
  /** `PCI` or `USB`; null: another one. */
  readonly bus: "PCI" | "USB" | null;
  /** Where its bus is PCI; null for any other. */
  readonly pci: PciFunction | null;
}

export interface NetworkPorts {
  /** In order: PCI by address, then USB, then others. */
  readonly ports: readonly NetworkPort[];
  /** Whether there is no further one: a network card without a driver ends the list where its ports would stand. */
  readonly hasAllPorts: boolean;
}

export const unknownNetworkPorts: NetworkPorts = { ports: [], hasAllPorts: false };

/**
 * The machine's own Ethernet ports (Documentation/ABI/testing/sysfs-class-net): without loopback, what the kernel has made up
 * (bridges, bonds, VLANs), wireless ones, and PCI's virtual functions. A port that cannot be read keeps its place, with a
 * remark.
 */
export function readNetworkPorts(remarks: Remarks, sysfs: string = kernelPlaces.sysfs): NetworkPorts {
  const read = remarks.attempt("the network ports are not known", () => {
    const names = bounded(listKernelDirectory(`${sysfs}/class/net`), networkInterfacesMax, "interfaces");
    const places = names.flatMap((name) => placeOf(remarks, sysfs, name) ?? []);
    places.sort(comparePlaces);
    const first = firstWithoutDriver(sysfs, new Set(places.map(({ address }) => address)));
    const known = places.filter(({ bus, address }) => first === null || (bus === "PCI" && address < first));
    return { ports: known.map((place) => readPort(remarks, sysfs, place)), hasAllPorts: first === null };
  });
  return read ?? unknownNetworkPorts;
}

function bounded(names: readonly string[], max: number, what: string): readonly string[] {
  if (names.length > max) throw new Error(`${names.length} ${what}, at most ${max} are looked at`);
  return names;
}

/** Where an interface is. */
interface Place {
  readonly name: string;
  readonly bus: NetworkPort["bus"];
  /** Of the PCI device that it is on or behind; empty without one. As the kernel writes it, all of one length. */
  readonly address: string;
  /** Several ports of one device have numbers. */
  readonly port: number;
  readonly path: string;
}

/** `0000:00:1f.6`, with more digits in front on machines with many segments. */
const pciAddress = /^[\da-f]{4,8}:[\da-f]{2}:[\da-f]{2}\.[0-7]$/;

/** Null for an interface that is no port. */
function placeOf(remarks: Remarks, sysfs: string, name: string): Place | null {
  const at = `${sysfs}/class/net/${name}`;
  return remarks.attempt(`network port ${name}`, () => {
    const path = realpathSync(at);
    const parts = path.split("/");
    if (parts.includes("virtual") || existsSync(`${at}/phy80211`) || existsSync(`${at}/device/physfn`)) return null;
    if (readKernelText(`${at}/type`) !== ethernetType) return null;
    const functions = parts.filter((part) => pciAddress.test(part));
    const bus = parts.some((part) => /^usb\d+$/.test(part)) ? "USB" : isOnPci(parts, functions.at(-1)) ? "PCI" : null;
    const port = Number.parseInt(readKernelText(`${at}/dev_port`) ?? "", 10);
    return { name, bus, address: sortable(functions.at(-1) ?? ""), port: port || 0, path };
  });
}

/** ARPHRD_ETHER of include/uapi/linux/if_arp.h. */
const ethernetType = "1";

/** An interface of the function itself, or of the virtio device behind it. */
function isOnPci(parts: readonly string[], address: string | undefined): boolean {
  if (address === undefined) return false;
  const behind = parts.slice(parts.lastIndexOf(address) + 1, -2);
  return behind.every((part) => /^virtio\d+$/.test(part));
}

function sortable(address: string): string {
  return address === "" ? "" : address.padStart("00000000:00:00.0".length, "0");
}

function comparePlaces(a: Place, b: Place): number {
  const rank = ({ bus }: Place): number => (bus === "PCI" ? 0 : bus === "USB" ? 1 : 2);
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  if (a.port !== b.port) return a.port - b.port;
  return a.path < b.path ? -1 : 1;
}

/** The address of the first Ethernet controller that no interface is on; null: there is none. */
function firstWithoutDriver(sysfs: string, used: ReadonlySet<string>): string | null {
  const devices = `${sysfs}/bus/pci/devices`;
  let first: string | null = null;
  for (const address of bounded(listKernelDirectory(devices), pciDevicesMax, "devices of PCI")) {
    const key = sortable(address);
    if (!pciAddress.test(address) || used.has(key) || (first !== null && key > first)) continue;
    const kind = readKernelText(`${devices}/${address}/class`);
    if (kind?.startsWith(ethernetClass) === true && !existsSync(`${devices}/${address}/physfn`)) first = key;
  }
  return first;
}

/** PCI Code and ID Assignment Specification: network controller, Ethernet. */
const ethernetClass = "0x0200";

function readPort(remarks: Remarks, sysfs: string, { name, bus, address }: Place): NetworkPort {
  const attempt = <T>(read: () => T): T | null => remarks.attempt(`network port ${name}`, read);
  return {
    name,
    mac: attempt(() => ownAddress(`${sysfs}/class/net/${name}`)),
    bus,
    pci: bus === "PCI" ? (attempt(() => pciFunction(sysfs, address)) ?? null) : null,
  };
}

/** NET_ADDR_PERM and NET_ADDR_RANDOM of include/uapi/linux/netdevice.h: what the driver gave it. */
const ownAssignments: readonly (string | null)[] = ["0", "1"];

/** Null where another one was set, and its own does not show. */
function ownAddress(at: string): string | null {
  const isOwn = ownAssignments.includes(readKernelText(`${at}/addr_assign_type`));
  // In a bond all ports have one address.
  const text = readKernelText(`${at}/bonding_slave/perm_hwaddr`) ?? (isOwn ? readKernelText(`${at}/address`) : null);
  return text !== null && /^[\da-f]{2}(?::[\da-f]{2}){5}$/.test(text) ? text : null;
}

function pciFunction(sysfs: string, key: string): PciFunction | null {
  const [, segment, bus, device, number] = /^([\da-f]{8}):([\da-f]{2}):([\da-f]{2})\.([0-7])$/.exec(key) ?? [];
  if (segment === undefined || bus === undefined || device === undefined || number === undefined) return null;
  const name = `${segment.replace(/^0{1,4}/, "")}:${bus}:${device}.${number}`;
  const id = (attribute: string): number | null => {
    const text = readKernelText(`${sysfs}/bus/pci/devices/${name}/${attribute}`);
    return text !== null && /^0x[\da-f]{4}$/.test(text) ? Number(text) : null;
  };
  return {
    segment: Number.parseInt(segment, 16),
    bus: Number.parseInt(bus, 16),
    device: Number.parseInt(device, 16),
    function: Number(number),
    vendorId: id("vendor"),
    deviceId: id("device"),
  };
}
