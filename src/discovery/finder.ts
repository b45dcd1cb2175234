import type { MachineDescription } from "../machine/machine-description.ts";
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

/** Opens filesystems inside files: ISO images. */
export interface ImageVolumes {
  /**
   * The filesystem inside a file, as a volume named `VOLUME:/path/of.iso`; the same one whenever it is asked for. Rejects
   * with SourceError where the file holds none that can be read.
   */
  open(outer: FileSource, path: string): Promise<FileSource>;
  /** All that were opened so far. They hold nothing open: each use opens the outer file anew. */
  readonly opened: readonly FileSource[];
}

/** All that a finder may look at. */
export interface FinderContext {
  /** The volume to search. */
  readonly source: FileSource;
  /** Every volume known now, the searched one among them, in device order: a configuration may refer to others. */
  readonly sources: readonly FileSource[];
  /** The machine's architecture in the words of `uname -m`: `x86_64`, `aarch64`. */
  readonly architecture: string;
  /** Files of volumes seen as volumes themselves. */
  readonly images: ImageVolumes;
  readonly limits: DiscoveryLimits;
  /** What `@saved` of loader.conf means: the EFI variable LoaderEntryLastBooted. Null where it is not known. */
  readonly lastBooted?: string | null;
  /** What the machine that is to boot says of itself, read when first asked for; without it nothing is known. */
  readonly machine?: () => MachineDescription;
}

/**
 * Finds the entries of one format on one volume. Returns an empty list where the volume holds no such configuration; a
 * volume may hold several menus. What is broken goes into `skipped` with file, line and reason; a finder does not reject.
 */
export interface Finder {
  readonly format: EntryFormat;
  find(context: FinderContext): Promise<readonly FoundMenu[]>;
}
