import { FormatError, quote } from "../format-error.ts";

/** What pxelinux knows of its client when it looks for a configuration. */
export interface PxelinuxClient {
  /** Option 209: the configuration's name, tried first; null where the server gave none. */
  readonly configFile: string | null;
  /** Option 210: put in front of all names; null: the directory of the boot file. */
  readonly pathPrefix: string | null;
  /** The name of the boot file (`boot/pxelinux.0`), whose directory is the prefix where option 210 is not there. */
  readonly bootFile: string;
  /**
   * The client's UUID with its bytes in the order in which the firmware hands them over (SMBIOS, option 97), any case: Linux
   * shows the first three fields of SMBIOS 2.6 and later the other way round. Null where the firmware has none.
   */
  readonly uuid: string | null;
  /** ARP hardware type: 1 for Ethernet. */
  readonly hardwareType: number;
  /** Six pairs of hexadecimal digits between colons or dashes. */
  readonly mac: string;
  /** Dotted decimal; null without IPv4. */
  readonly ipv4: string | null;
}

/** What pxelinux puts in front of names: option 210, or the boot file's directory with its slash. */
export function pxelinuxPrefix({ pathPrefix, bootFile }: PxelinuxClient): string {
  return pathPrefix ?? bootFile.slice(0, bootFile.lastIndexOf("/") + 1);
}

/**
 * The configurations that pxelinux asks for, in its order (core/fs/pxe/pxe.c, `pxe_open_config`), without the prefix: option
 * 209, the UUID, the hardware address, the IPv4 address in upper-case hexadecimal shortened digit by digit, `default`.
 *
 * Throws {@link FormatError} where an address is none.
 */
export function pxelinuxConfigNames(client: PxelinuxClient): string[] {
  const { configFile, uuid, hardwareType, mac, ipv4 } = client;
  const names = configFile === null || configFile === "" ? [] : [configFile];
  const add = (name: string) => names.push(`pxelinux.cfg/${name}`);
  if (uuid !== null && isPlausibleUuid(uuid)) add(uuid.toLowerCase());
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(mac)) {
    throw new FormatError("pxelinux", `hardware address ${quote(mac)}: six pairs of hexadecimal digits expected`);
  }
  if (!Number.isInteger(hardwareType) || hardwareType < 0 || hardwareType > 0xff) {
    throw new FormatError("pxelinux", `hardware type ${hardwareType}: 0 to 255 expected`);
  }
  add(`${byteHex(hardwareType)}-${mac.toLowerCase().replaceAll(":", "-")}`);
  if (ipv4 !== null) {
    const address = ipv4Bytes(ipv4)
      .map((byte) => byteHex(byte).toUpperCase())
      .join("");
    for (let digits = 8; digits > 0; digits--) add(address.slice(0, digits));
  }
  add("default");
  return names;
}

/** pxelinux takes a UUID for one when its version is neither 0 nor 15 (core/sysappend.c). */
function isPlausibleUuid(uuid: string): boolean {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid)) {
    throw new FormatError("pxelinux", `UUID ${quote(uuid)}: 32 hexadecimal digits with dashes expected`);
  }
  return !/^.{14}[0fF]/.test(uuid);
}

function ipv4Bytes(address: string): number[] {
  const bytes = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address)?.slice(1).map(Number) ?? [];
  if (bytes.length !== 4 || bytes.some((byte) => byte > 0xff)) {
    throw new FormatError("pxelinux", `address ${quote(address)}: IPv4 in dotted decimal expected`);
  }
  return bytes;
}

function byteHex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
