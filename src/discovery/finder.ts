import type { EntryFormat, FoundMenu } from "./entry.ts";
import type { FileSource } from "./source.ts";

/** Bounds on what configuration may cost. */
export interface DiscoveryLimits {
  /** One configuration file, bytes. */
  readonly configBytesMax: number;
  /** Options of one entry, bytes. */
  readonly optionsBytesMax: number;
  /** Entries of one volume and format. */
  readonly entriesMax: number;
}

export const defaultDiscoveryLimits: DiscoveryLimits = {
  configBytesMax: 1 << 20,
  optionsBytesMax: 64 << 10,
  entriesMax: 1000,
};

/** All that a finder may look at. */
export interface FinderContext {
  /** The volume to search. */
  readonly source: FileSource;
  /** Every volume known now, the searched one among them, in device order: a configuration may refer to others. */
  readonly sources: readonly FileSource[];
  /** The machine's architecture in the words of `uname -m`: `x86_64`, `aarch64`. */
  readonly architecture: string;
  readonly limits: DiscoveryLimits;
}

/**
 * Finds the entries of one format on one volume. Returns an empty list where the volume holds no such configuration; a
 * volume may hold several menus. What is broken goes into `skipped` with file, line and reason; a finder does not reject.
 */
export interface Finder {
  readonly format: EntryFormat;
  find(context: FinderContext): Promise<readonly FoundMenu[]>;
}
