import { diskKey } from "./disk-key.ts";
import type { ImageVolumes } from "./finder.ts";
import { ImageDirectories } from "./image-directories.ts";
import { Iso9660Source } from "./iso9660-source.ts";
import { type FileSource, SourceError } from "./source.ts";

/** Files of one disk that are opened as images, those that hold none among them. */
export const diskImagesMax = 200;

/** What one disk's images share. */
interface DiskImages {
  readonly directories: ImageDirectories;
  opened: number;
}

/** The images that one discovery opens: each once, by its volume and its real path. */
export class OpenedImages implements ImageVolumes {
  readonly #opened = new Map<string, Promise<FileSource>>();
  readonly #ready: FileSource[] = [];
  /** By the name of the disk, or of a volume that is on none; and by the names of the images in it. */
  readonly #disks = new Map<string, DiskImages>();

  get opened(): readonly FileSource[] {
    return this.#ready;
  }

  async open(outer: FileSource, path: string): Promise<FileSource> {
    const real = (await outer.realPath(path)) ?? path;
    const name = `${outer.volume.name}:${real}`;
    const known = this.#opened.get(name);
    if (known !== undefined) return known;
    const disk = this.#diskOf(outer);
    if (disk.opened >= diskImagesMax) {
      throw new SourceError(
        `open the image ${JSON.stringify(real)} on ${outer.volume.name}: ${diskImagesMax} images of the disk are open`,
      );
    }
    disk.opened++;
    this.#disks.set(name, disk);
    const opening = Iso9660Source.open(outer, real, name, disk.directories).then((source) => {
      this.#ready.push(source);
      return source;
    });
    this.#opened.set(name, opening);
    return opening;
  }

  #diskOf({ volume }: FileSource): DiskImages {
    const key = diskKey(volume);
    const known = this.#disks.get(key) ?? { directories: new ImageDirectories(), opened: 0 };
    this.#disks.set(key, known);
    return known;
  }
}
