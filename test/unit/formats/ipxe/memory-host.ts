import { bytesOf, toByteText } from "../../../../src/formats/ipxe/byte-text.ts";
import type { IpxeHost, IpxeMenu } from "../../../../src/formats/ipxe/host.ts";
import type { IpxeLimits } from "../../../../src/formats/ipxe/limits.ts";
import {
  type IpxeMachineFacts,
  isUnknownSetting,
  machineBlocks,
} from "../../../../src/formats/ipxe/machine-settings.ts";
import type { IpxeRun } from "../../../../src/formats/ipxe/outcome.ts";
import { runIpxeScript } from "../../../../src/formats/ipxe/run.ts";
import { isIpxeScript } from "../../../../src/formats/ipxe/script.ts";
import { settingType } from "../../../../src/formats/ipxe/setting-types.ts";
import { formatUri } from "../../../../src/formats/ipxe/uri.ts";

/** A world for iPXE scripts in memory. A file's name is its URI, or its path where the server is 10.0.2.2. */
export interface MemoryIpxe {
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Whether there is a network interface and a server that tells its address. */
  readonly hasNetwork?: boolean;
  /** What is chosen from each menu in turn: a label, `"cancel"`, or null for nobody. */
  readonly choices?: readonly (string | null)[];
  readonly keys?: readonly (number | null)[];
  readonly lines?: readonly (string | null)[];
  readonly multiboot?: boolean | "packed";
  readonly pciDevices?: readonly number[];
  readonly facts?: IpxeMachineFacts;
  readonly features?: (leaf: number, register: string, bit: number) => boolean | null;
  readonly limits?: Partial<IpxeLimits>;
  /** Where the script is; null: nowhere. */
  readonly uri?: string;
}

/** The strings of SMBIOS that the judged machine has. */
const smbiosStrings: Readonly<Record<string, string>> = {
  "1.4": "ACME",
  "1.5": "Model A/1",
  "1.7": "S-1",
  "3.8": "A-1",
};

function uuidBytes(hex: string): string {
  return settingType("hexraw")?.parse(hex) ?? "";
}

/** What the judged machine tells of itself. */
export const judgedFacts: IpxeMachineFacts = {
  smbiosString: (type, offset) => smbiosStrings[`${type}.${offset}`] ?? "",
  // A UUID of SMBIOS has its first parts the other way round.
  uuid: {
    raw: uuidBytes("00004d56111122223333444455556666"),
    ordered: uuidBytes("564d0000111122223333444455556666"),
  },
  ports: [],
  hasAllPorts: true,
};

export function memoryIpxeHost(world: MemoryIpxe): IpxeHost<string> & { readonly menus: IpxeMenu[] } {
  const choices = [...(world.choices ?? [])];
  const keys = [...(world.keys ?? [])];
  const lines = [...(world.lines ?? [])];
  const menus: IpxeMenu[] = [];
  let isConfigured = false;
  const network = world.hasNetwork === true ? [{ name: "net0", values: netdev, source: null }] : [];
  return {
    menus,
    machine: {
      platform: "pcbios",
      buildArchitecture: "i386",
      version: "1.0.0+",
      blocks: [...machineBlocks(world.facts ?? judgedFacts), ...network],
      isUnknown: (name) => isUnknownSetting(world.facts ?? judgedFacts, name),
      pciDevices: world.pciDevices ?? [],
      cpuFeature: world.features ?? (() => true),
    },
    newestInterface: () => (isConfigured ? "net0" : null),
    missingFor(uri) {
      const isMissing = uri.scheme === "http" && world.hasNetwork !== true;
      return isMissing ? `needs the network: ${formatUri(uri)}` : null;
    },
    async fetch(uri, parameters) {
      const text = formatUri(uri);
      const query = parameters === null ? "" : `##${JSON.stringify(parameters)}`;
      const name = text.startsWith("tftp://10.0.2.2/") ? text.slice("tftp://10.0.2.2".length) : text + query;
      const file = world.files?.[name];
      if (file === undefined) throw new Error(`fetch "${name}": there is no such file`);
      const bytes = typeof file === "string" ? new TextEncoder().encode(file) : file;
      return { file: name, size: bytes.length, script: isIpxeScript(bytes) ? bytes : null };
    },
    isMultiboot: async () => world.multiboot ?? false,
    async network(command) {
      if (world.hasNetwork !== true) return { problem: `needs the network: ${command}`, settings: [] };
      if (command === "dhcp" || command === "ifconf") isConfigured = true;
      return { problem: null, settings: isConfigured ? lease : [] };
    },
    async choose(menu) {
      menus.push(menu);
      const label = choices.shift() ?? null;
      if (label === "cancel") return label;
      return label === null ? null : menu.items.findIndex((item) => item.label === label);
    },
    prompt: async () => keys.shift() ?? null,
    read: async () => lines.shift() ?? null,
    sleep: async () => undefined,
  };
}

const netdev = [["mac:hex", "52:54:00:12:34:56"]] as const;
const lease = [
  ["net0.dhcp/ip:ipv4", "10.0.2.15"],
  ["net0.dhcp/netmask:ipv4", "255.255.255.0"],
  ["net0.dhcp/gateway:ipv4", "10.0.2.2"],
  ["net0.dhcp/dns:ipv4", "10.0.2.3"],
  ["net0.dhcp/next-server:ipv4", "10.0.2.2"],
] as const;

/** Runs a script: its text, or its bytes. */
export function runScript(script: string | Uint8Array, world: MemoryIpxe = {}): Promise<IpxeRun<string>> {
  const bytes = typeof script === "string" ? bytesOf(toByteText(script)) : script;
  const start = { file: "script", uri: world.uri ?? "", bytes };
  return runIpxeScript(memoryIpxeHost(world), start, world.limits ?? {});
}

/** What a run came to, in a line. */
export function outcomeRow({ outcome }: IpxeRun<string>): string {
  const at = `${outcome.place.script}:${outcome.place.line}`;
  if (outcome.kind !== "boot") return `${outcome.kind} ${at} ${outcome.reason}`;
  const initrds = outcome.initrds.map(({ file, archive }) => {
    if (archive === null) return file;
    return `${file} as ${archive.path} ${archive.mode.toString(8)} ${archive.directories}`;
  });
  const modules = outcome.modules.map(({ file, options }) => `${file} (${options})`);
  const tree = outcome.devicetree === null ? [] : [`devicetree ${outcome.devicetree.file}`];
  return [`boot ${at} ${outcome.kernel.file}`, outcome.options, ...initrds, ...modules, ...tree].join(" | ");
}
