/** A device that can be searched: a filesystem that the machine knows. */
export interface GrubDevice {
  /** As GRUB writes it between parentheses: `hd0,gpt2`. */
  readonly name: string;
  readonly fsUuid: string | null;
  readonly label: string | null;
  /** GRUB's name of the filesystem (`ext2`, `fat`, `xfs`), as `probe --fs` prints it; null: not known. */
  readonly filesystem: string | null;
  readonly partUuid: string | null;
  /** `gpt`, `msdos`, or null where there is no partition or its table is not known. */
  readonly partitionMap: string | null;
}

export interface GrubFound {
  readonly type: "file" | "directory" | "other";
  /** Bytes. */
  readonly size: number;
  /** Absolute and normalised: no `.`, `..` or doubled slash. */
  readonly path: string;
}

/**
 * What a script may ask of the world. Every path is as the script wrote it, from the first `/`; every call may reject
 * with an error whose message is fit to be shown.
 */
export interface GrubHost {
  /** `grub_platform`: `efi`, `pc`, `ieee1275`. */
  readonly platform: string;
  /** `grub_cpu`: `x86_64`, `i386`, `arm64`. */
  readonly cpu: string;
  /** In the order in which `search` tries them. */
  readonly devices: readonly GrubDevice[];
  /** The one device of which nothing is known: what no other device answers to, it may be. Null where there is none. */
  readonly unknown: GrubDevice | null;
  /** The device that a name means (`hd0,2` may mean `hd0,gpt2`); null where there is none. */
  device(name: string): GrubDevice | null;
  /** Null where there is no such file. */
  find(device: GrubDevice, path: string): Promise<GrubFound | null>;
  /** A whole file; rejects where it is larger than `bytesMax`. */
  readFile(device: GrubDevice, path: string, bytesMax: number): Promise<Uint8Array>;
  /** Names in a directory; empty where there is none. */
  list(device: GrubDevice, path: string): Promise<readonly string[]>;
}
