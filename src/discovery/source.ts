import type { PartitionFacts, SuperblockFacts } from "../formats/volume-facts.ts";
import type { MappedLayer } from "../machine/mapping.ts";

/** What a volume is made of that is no partition or disk. */
export type VolumeLayer =
  | MappedLayer
  /** A filesystem inside a file of another volume. */
  | { readonly kind: "image"; readonly volume: string; readonly path: string };

/** What is known of the volume behind a source; null where it does not apply or is not known. */
export interface VolumeFacts {
  /** `vda1`; unique among the sources of one discovery. */
  readonly name: string;
  readonly fstype: SuperblockFacts["type"] | null;
  readonly uuid: string | null;
  readonly label: string | null;
  readonly partuuid: PartitionFacts["partuuid"] | null;
  readonly partlabel: string | null;
  /** The disk's kernel name: `vda`. */
  readonly disk: string | null;
  /** Partition number from 1; null for a filesystem on a whole disk. */
  readonly part: number | null;
  readonly table: "gpt" | "msdos" | null;
  /** GPT type GUID in lower case, or `0xNN` for MBR. */
  readonly parttype: string | null;
  /** Null for a partition or a whole disk. */
  readonly layer: VolumeLayer | null;
}

/** The facts of a volume of which little is known: what is not given is null. */
export function volumeFacts(known: Partial<VolumeFacts> & Pick<VolumeFacts, "name">): VolumeFacts {
  return {
    fstype: null,
    uuid: null,
    label: null,
    partuuid: null,
    partlabel: null,
    disk: null,
    part: null,
    table: null,
    parttype: null,
    layer: null,
    ...known,
  };
}

export type FileType = "file" | "directory" | "other";

export interface FileStat {
  readonly type: FileType;
  /** Bytes. */
  readonly size: number;
}

/** A refusal or failure of a source: action, path in quotes, and what was expected or what the system said. */
export class SourceError extends Error {
  override readonly name = "SourceError";
}

/** A file held open for reading. The owner closes it. */
export interface OpenFile extends AsyncDisposable {
  readonly size: number;
  /** Reads at `position`; returns the number of bytes read, 0 at the end. Rejects with {@link SourceError}. */
  read(into: Uint8Array, position: number): Promise<number>;
}

/**
 * A place that holds files: a mounted volume, a directory given with `--root`, a server: alike.
 *
 * Paths are absolute from the root of the source. Symbolic links are followed inside the source (an absolute target
 * starts at its root); a link or a `..` that would leave the root is refused with {@link SourceError}, and so is anything
 * that is not a regular file or a directory. Every call may reject with {@link SourceError}.
 */
export interface FileSource {
  readonly volume: VolumeFacts;
  /** After following links; null when there is no such file. */
  stat(path: string): Promise<FileStat | null>;
  /** Whole small file; refused when it is larger than `bytesMax`. */
  readFile(path: string, bytesMax: number): Promise<Uint8Array>;
  /** Names in a directory, in byte order, without `.` and `..`; empty when there is no such directory. */
  list(path: string): Promise<readonly string[]>;
  open(path: string): Promise<OpenFile>;
  /** The real path (links resolved) of an existing file, from the root of the source; null when there is none. */
  realPath(path: string): Promise<string | null>;
  close(): Promise<void>;
}
