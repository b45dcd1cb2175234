import type { BootEntry, ConfigText } from "../../src/discovery/entry.ts";

/** A configuration file of a volume in memory. */
export function configText(volume: string, path: string, text: string): ConfigText {
  return { ref: { volume, path }, bytes: new TextEncoder().encode(text) };
}

/** An entry with a kernel at `/vmlinuz` and a configuration at `/entry.conf`, both on `vda1`. */
export function bootEntry(own: Partial<BootEntry> = {}): BootEntry {
  return {
    id: "vda1:bls1:entry",
    title: "Entry",
    submenu: [],
    format: "bls1",
    source: { volume: "vda1", path: "/entry.conf", line: 1 },
    linux: { volume: "vda1", path: "/vmlinuz" },
    part: null,
    initrd: [],
    modules: [],
    options: "quiet",
    embedded: false,
    addons: [],
    bootImage: null,
    devicetree: null,
    overlays: [],
    architecture: null,
    version: null,
    tries: null,
    aliases: [],
    configs: [configText("vda1", "/entry.conf", "config")],
    unsignedInputs: [],
    variables: [],
    ...own,
  };
}
