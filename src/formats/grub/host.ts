/** A device that can be searched: a filesystem that the machine knows. */
export interface GrubDevice {
  /** As GRUB writes it between parentheses: `hd0,gpt2`. Unique; for a filesystem inside a file the host's own name. */
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

export interface GrubListed {
  readonly directory: boolean;
  /** Bytes; 0 where a link leads nowhere. */
  readonly size: number;
}

/** What `hashsum` and its kin compute. */
export const hashAlgorithms = ["crc32", "md5", "sha1", "sha256", "sha512"] as const;
export type HashAlgorithm = (typeof hashAlgorithms)[number];

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
  /** The filesystem inside a file, as a device that is not among {@link devices}. Rejects where there is none. */
  openImage(device: GrubDevice, path: string): Promise<GrubDevice>;
  /**
   * What a directory's listing says of a path, as `test` asks: a symbolic link is not followed and is no directory, wherever
   * it leads; the size is that of the file it leads to. Null where there is none.
   */
  entry(device: GrubDevice, path: string): Promise<GrubListed | null>;
  /** Null where there is no such file. */
  find(device: GrubDevice, path: string): Promise<GrubFound | null>;
  /** A whole file; rejects where it is larger than `bytesMax`. */
  readFile(device: GrubDevice, path: string, bytesMax: number): Promise<Uint8Array>;
  /** `length` bytes of a file from `position` on, fewer where it ends before. */
  readRange(device: GrubDevice, path: string, position: number, length: number): Promise<Uint8Array>;
  /** The hash of a whole file in lower-case hexadecimal digits; rejects where it is larger than `bytesMax`. */
  hash(device: GrubDevice, path: string, algorithm: HashAlgorithm, bytesMax: number): Promise<string>;
  /** Names in a directory; empty where there is none. */
  list(device: GrubDevice, path: string): Promise<readonly string[]>;
}
