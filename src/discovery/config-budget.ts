import type { ImageVolumes } from "./finder.ts";
import { type FileSource, SourceError } from "./source.ts";

/** What the configuration files of one disk's volumes may have together, bytes: they are kept until the boot. */
export const diskConfigBytesMax = 32 << 20;

/** How much of configuration may still be read for one disk. */
export class ConfigBudget {
  readonly bytesMax: number;
  #bytesRead = 0;

  constructor(bytesMax: number = diskConfigBytesMax) {
    this.bytesMax = bytesMax;
  }

  /**
   * The same source, whose whole files are charged to this budget: to the disk that is searched, wherever its
   * configuration leads, so that one disk cannot use up what another one needs.
   */
  charge(source: FileSource): FileSource {
    return {
      volume: source.volume,
      stat: (path) => source.stat(path),
      list: (path) => source.list(path),
      open: (path) => source.open(path),
      realPath: (path) => source.realPath(path),
      close: () => source.close(),
      readFile: async (path, bytesMax) => {
        if (this.#bytesRead > this.bytesMax) {
          const place = `read ${JSON.stringify(path)} on ${source.volume.name}`;
          throw new SourceError(`${place}: more than ${this.bytesMax} bytes of configuration on one disk`);
        }
        const bytes = await source.readFile(path, bytesMax);
        this.#bytesRead += bytes.length;
        return bytes;
      },
    };
  }

  /** The same images, whose files are charged to this budget; each image stays one source. */
  chargeImages(images: ImageVolumes): ImageVolumes {
    const charged = new Map<FileSource, FileSource>();
    return {
      open: async (outer, path) => {
        const image = await images.open(outer, path);
        const known = charged.get(image) ?? this.charge(image);
        charged.set(image, known);
        return known;
      },
      get opened() {
        return images.opened;
      },
    };
  }
}
