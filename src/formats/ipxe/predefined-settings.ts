/** Settings that only blocks of a kind have. Null: DHCP options and everything that a script makes up. */
export type SettingScope = "builtin" | "smbios" | "netdev" | "ipv6" | "cpuid" | "pci" | "acpi" | "memory" | null;

export interface PredefinedSetting {
  readonly name: string;
  /** A DHCP option, an encapsulated one as `175 << 8 | option`, or iPXE's own number; 0: found by its name alone. */
  readonly tag: number;
  readonly type: string;
  readonly scope: SettingScope;
}

/** iPXE's encapsulated DHCP options (include/ipxe/dhcp.h). */
function own(option: number): number {
  return (175 << 8) | option;
}

/** Type, offset and length of a field of an SMBIOS structure, as a tag holds them; length 0 is a string. */
function smbios(type: number, offset: number, length: number): number {
  return (type << 16) | (offset << 8) | length;
}

function row(name: string, tag: number, type = "string", scope: SettingScope = null): PredefinedSetting {
  return { name, tag, type, scope };
}

/** The settings that iPXE knows by name (`__setting` in its source), with the type that their text has. */
export const predefinedSettings: readonly PredefinedSetting[] = [
  row("ip", 0, "ipv4"),
  row("netmask", 1, "ipv4"),
  row("gateway", 3, "ipv4"),
  row("dns", 6, "ipv4"),
  row("hostname", 12),
  row("domain", 15),
  row("root-path", 17),
  row("ntp-server", 42, "ipv4"),
  row("dhcp-server", 54, "ipv4"),
  row("vendor-class", 60),
  row("filename", 67),
  row("user-class", 77),
  row("dnssl", 119, "dnssl"),
  row("syslog", 7, "ipv4"),
  row("initiator-iqn", 203),
  row("next-server", 0, "ipv4"),
  row("priority", own(0x01), "int8"),
  row("keep-san", own(0x08), "int8"),
  row("skip-san-boot", own(0x09), "int8"),
  row("scriptlet", own(0x51)),
  row("cert", own(0x5b), "hex"),
  row("privkey", own(0x5c), "hex"),
  row("crosscert", own(0x5d)),
  row("trust", own(0x5a), "hex"),
  row("no-pxedhcp", own(0xb0), "int8"),
  row("use-cached", own(0xb2), "uint8"),
  row("username", own(0xbe)),
  row("password", own(0xbf)),
  row("reverse-username", own(0xc0)),
  row("reverse-password", own(0xc1)),
  row("dns6", 23, "ipv6", "ipv6"),
  row("ip6", 0, "ipv6", "ipv6"),
  row("gateway6", 0, "ipv6", "ipv6"),
  row("len6", 0, "uint8", "ipv6"),
  row("mac", 0, "hex", "netdev"),
  row("hwaddr", 0, "hex", "netdev"),
  row("bustype", 0, "string", "netdev"),
  row("busloc", 0, "busdevfn", "netdev"),
  row("busid", 0, "hex", "netdev"),
  row("chip", 0, "string", "netdev"),
  row("ifname", 0, "string", "netdev"),
  row("linktype", 0, "string", "netdev"),
  row("mtu", 26, "int16"),
  row("ssid", 0),
  row("manufacturer", smbios(1, 4, 0), "string", "smbios"),
  row("product", smbios(1, 5, 0), "string", "smbios"),
  row("serial", smbios(1, 7, 0), "string", "smbios"),
  row("uuid", smbios(1, 8, 16), "uuid", "smbios"),
  row("board-serial", smbios(2, 7, 0), "string", "smbios"),
  row("asset", smbios(3, 8, 0), "string", "smbios"),
  row("cpuvendor", 0, "string", "cpuid"),
  row("cpumodel", 0, "string", "cpuid"),
  row("errno", 0, "uint32", "builtin"),
  row("buildarch", 0, "string", "builtin"),
  row("platform", 0, "string", "builtin"),
  row("version", 0, "string", "builtin"),
  row("unixtime", 0, "uint32", "builtin"),
  row("memsize", 0, "int32", "builtin"),
  row("cwuri", 0, "string", "builtin"),
  row("cwduri", 0, "string", "builtin"),
];
