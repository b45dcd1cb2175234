import type { SettingSource } from "./settings.ts";
import type { IpxeUri } from "./uri.ts";

/** A file as the host has it: what is known of it before it is booted. `H` is the host's own name of it. */
export interface IpxeFetched<H> {
  readonly file: H;
  /** Bytes. */
  readonly size: number;
  /** The whole file where it is a script ({@link isIpxeScript}); null for any other file. */
  readonly script: Uint8Array | null;
}

/** Values that a settings block has from the start; byte text. */
export interface IpxeMachineBlock {
  /** `net0`, `net0.dhcp`, `smbios`. */
  readonly name: string;
  /** Values that a script may change; names as in a script, with their type (`mac:hex`). */
  readonly values: readonly (readonly [name: string, text: string])[];
  /** What the block answers to beside them; such a block cannot be changed. */
  readonly source: SettingSource | null;
}

/** What a script may know of the machine. */
export interface IpxeMachine {
  /** `efi` or `pcbios`. */
  readonly platform: string;
  /** `x86_64`, `i386`, `arm64`. */
  readonly buildArchitecture: string;
  readonly version: string;
  /** In the order in which they are searched. */
  readonly blocks: readonly IpxeMachineBlock[];
  /** Addresses of PCI devices as `bus << 8 | device << 3 | function`, in ascending order. */
  readonly pciDevices: readonly number[];
  /**
   * Whether a setting that has no value, in no block, has one on the machine, which is not known. The name is as a script
   * writes it, without a type: `net0/mac`, `memsize`. A value in a block that is not known is an `unknownValue`.
   */
  isUnknown(name: string): boolean;
  /** A bit that CPUID tells; null: not known. */
  cpuFeature(leaf: number, register: "ecx" | "edx", bit: number): boolean | null;
}

export interface IpxeMenuItem {
  /** What is stored when it is chosen; null: it cannot be chosen. Byte text. */
  readonly label: string | null;
  /** Byte text. */
  readonly text: string;
}

/** A menu at the moment when a script shows it. */
export interface IpxeMenu {
  /** Byte text. */
  readonly title: string;
  readonly items: readonly IpxeMenuItem[];
  /** Index of the item that is chosen when the time is over. */
  readonly selected: number;
  /** 0: it waits for a person, for ever. */
  readonly timeoutMs: number;
}

/** What a command of the network came to. */
export interface IpxeNetworkAnswer {
  /** Why it failed; null: it succeeded. */
  readonly problem: string | null;
  /** Settings that it made: `net0.dhcp/filename:string`; byte text. */
  readonly settings: readonly (readonly [name: string, text: string])[];
}

/**
 * What a script may ask of the world. A call that cannot be answered rejects with an error whose message is fit to be
 * shown; the command then fails, and the script may go on behind `||`.
 */
export interface IpxeHost<H> {
  readonly machine: IpxeMachine;
  /** The network interface that was opened last, which `netX` means: `net0`; null: none. */
  newestInterface(): string | null;
  /** @param parameters form parameters to send (`##params`), null: none */
  fetch(uri: IpxeUri, parameters: readonly (readonly [name: string, value: string])[] | null): Promise<IpxeFetched<H>>;
  /** Why nothing of the kind can be fetched, whatever its name is: it needs a network that is not there. Null: it can. */
  missingFor(uri: IpxeUri): string | null;
  /**
   * Whether a kernel is a multiboot one, which gets modules in place of an initrd; `"packed"`: it is compressed, so this
   * does not show.
   */
  isMultiboot(file: H): Promise<boolean | "packed">;
  /** `dhcp`, `ifconf`, `ifopen`, `ping`, `nslookup` and their like, with all words behind them. */
  network(command: string, words: readonly string[]): Promise<IpxeNetworkAnswer>;
  /** The index of an item, `"cancel"`, or null where there is nobody to choose: then the time-out decides. */
  choose(menu: IpxeMenu): Promise<number | "cancel" | null>;
  /** The key that was pressed, or null where there is nobody. */
  prompt(text: string, timeoutMs: number): Promise<number | null>;
  /** A line that a person typed, or null where there is nobody. */
  read(setting: string, current: string): Promise<string | null>;
  sleep(seconds: number): Promise<void>;
}
