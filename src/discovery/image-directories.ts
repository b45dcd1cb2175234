import type { Iso9660Node } from "../formats/iso9660.ts";

/** What is read of the directories of all images of one disk, bytes; a read costs {@link smallReadBytes} at least. */
export const imageDirectoryBytesMax = 64 << 20;
/** Small reads cost time, not bytes: an image may have a directory whose every name needs one. */
const smallReadBytes = 2048;
/** Files in the directories of all images of one disk that are kept in memory; when more come, the older ones are read again. */
const cachedNodesMax = 50_000;

/** The names of a directory that is kept. */
export interface ImageDirectory {
  readonly nodes: readonly Iso9660Node[];
  readonly byName: ReadonlyMap<string, Iso9660Node>;
}

/** The directories of the images of one disk: what is kept of them, and what reading them may cost. */
export class ImageDirectories {
  readonly #kept = new Map<string, ImageDirectory>();
  #keptNodes = 0;
  #bytesRead = 0;

  /** @param key of the image and of the place in it: a directory that many paths lead to is kept once */
  get(key: string): ImageDirectory | null {
    return this.#kept.get(key) ?? null;
  }

  keep(key: string, directory: ImageDirectory): void {
    const { length } = directory.nodes;
    if (this.#kept.has(key)) return;
    if (this.#keptNodes + length > cachedNodesMax) {
      this.#kept.clear();
      this.#keptNodes = 0;
    }
    this.#keptNodes += length;
    this.#kept.set(key, directory);
  }

  /** Counts a read that is about to be made; false where it is too much. */
  mayRead(bytes: number): boolean {
    this.#bytesRead += Math.max(bytes, smallReadBytes);
    return this.#bytesRead <= imageDirectoryBytesMax;
  }
}
