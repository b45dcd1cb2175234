import type { SyslinuxLocation } from "./host.ts";
import type { ByteText } from "./text.ts";

/** A configuration file with the bytes that were parsed. */
export interface SyslinuxConfigFile {
  readonly location: SyslinuxLocation;
  readonly bytes: Uint8Array;
}

/** `line` counts from 1. */
export interface SyslinuxPlace {
  readonly location: SyslinuxLocation;
  readonly line: number;
}

/** What a label loads, by the directive that names it. */
export type KernelType =
  | "none"
  | "localboot"
  | "kernel"
  | "linux"
  | "boot"
  | "bss"
  | "pxe"
  | "fdimage"
  | "comboot"
  | "com32"
  | "config";

/** What choosing an item of a menu does. */
export type ItemAction =
  /** Carries out {@link ParsedItem.command}. */
  | "command"
  | "submenu"
  | "goto"
  | "exit"
  | "quit"
  | "help"
  /** A heading or an empty line. */
  | "disabled";

/** A label, a separator or a sub-menu. */
export interface ParsedItem {
  /** Null where it has none to be called by: a separator, a heading, a sub-menu. */
  readonly label: ByteText | null;
  /** As it is shown, with `^` before the hot key; a sub-menu's may be given inside of it. */
  displayName: ByteText;
  action: ItemAction;
  /** What is carried out, as at the prompt: a kernel or a typed one (`.linux vmlinuz`), and options. Null: nothing. */
  readonly command: ByteText | null;
  /** Needed to choose it in the menu; null where none is. */
  password: ByteText | null;
  readonly place: SyslinuxPlace;
  /** The menu that it stands in. */
  readonly menu: ParsedMenu;
  /** Its number in that menu. */
  readonly index: number;
  /** What the label holds, for those who put it together in another way (`gfxboot.c32`). */
  readonly parts: LabelParts | null;
}

export interface LabelParts {
  readonly kernel: ByteText;
  readonly type: KernelType;
  readonly append: ByteText | null;
  readonly initrd: ByteText | null;
}

export interface ParsedMenu {
  /** `menu begin TAG`; `.top`, `.hidden`. */
  readonly tag: ByteText;
  title: ByteText;
  readonly parent: ParsedMenu | null;
  /** The item of the parent that leads here. */
  readonly parentItem: ParsedItem | null;
  readonly items: ParsedItem[];
  defaultIndex: number;
  /** Tenths of a second; 0: none. */
  timeout: number;
  ontimeout: ByteText | null;
  onerror: ByteText | null;
}

/** A parsed configuration with all that it includes. */
export interface ParsedConfig {
  readonly root: ParsedMenu;
  /** Labels with `menu hide`. */
  readonly hidden: ParsedMenu;
  start: ParsedMenu;
  /** In the order of the text. */
  readonly items: ParsedItem[];
  /** What is carried out without a choice: `ui`, else `default`. */
  defaultCommand: Stated | null;
  /** Whether a `ui` stands there. */
  hasUi: boolean;
  /** `default`, whether or not a `ui` stands there. */
  globalDefault: ByteText | null;
  ontimeout: Stated | null;
  onerror: Stated | null;
  /** Tenths of a second; 0: none. */
  timeout: number;
  totalTimeout: number;
  prompt: boolean;
  /** Whether a kernel may be started that no label names. */
  implicit: boolean;
  /** Whether options may stand behind such a kernel's name. */
  allowOptions: boolean;
  hiddenMenu: boolean;
  /** Whether the menu is shown only while shift is held. */
  shiftKey: boolean;
  /** Whether the last choice is the next default. */
  savesChoice: boolean;
  /** The last choice, where it is the default. */
  saved: ParsedItem | null;
  /** Bits of the global `sysappend`. */
  sysappend: number;
  /** The configuration and what it includes, each once. */
  readonly files: SyslinuxConfigFile[];
}

/** A value and the directive that gave it. */
export interface Stated {
  readonly directive: string;
  readonly value: ByteText;
  readonly place: SyslinuxPlace;
}
