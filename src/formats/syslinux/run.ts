import type { ParsedConfig, ParsedItem, SyslinuxPlace } from "./config.ts";
import type { SyslinuxLocation } from "./host.ts";
import type { SyslinuxLoad } from "./menu.ts";
import type { ByteText } from "./text.ts";

/** What shows a configuration: the prompt of the loader, menu.c32 and vesamenu.c32, gfxboot.c32. */
export type Front = "prompt" | "menu" | "gfxboot";

/** A configuration as one of them shows it. */
export interface Run {
  readonly front: Front;
  readonly config: ParsedConfig;
  readonly location: SyslinuxLocation;
  /** The working directory. */
  readonly directory: string;
  /** The prompt whose labels commands mean: the run itself, or the one that started the menu. */
  readonly prompt: Run | null;
  /** What led here. */
  readonly opener: Run | null;
  readonly records: Map<ParsedItem, Command>;
  /** What no label stands for, by its text. */
  readonly further: Map<ByteText, Command>;
  /** In the order in which they are tried. */
  attempts: Attempt[];
  timeoutSeconds: number | null;
  /** What is tried before them, at once, in the next boot alone. */
  once: Attempt | null;
}

/** A command and what it does. */
export interface Command {
  readonly run: Run;
  readonly item: ParsedItem | null;
  readonly text: ByteText;
  readonly place: SyslinuxPlace;
  /** Whether its text comes from ldlinux.sys. */
  readonly isRemembered: boolean;
  readonly result: Result;
}

export type Result =
  | { readonly kind: "load"; readonly load: SyslinuxLoad }
  | { readonly kind: "run"; readonly run: Run }
  | { readonly kind: "refused"; readonly reason: string; readonly leaves: boolean };

export interface Attempt {
  /** Null where nothing is carried out. */
  readonly command: Command | null;
  readonly reason: string;
}
