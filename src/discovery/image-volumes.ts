import type { ImageVolumes } from "./finder.ts";
import { Iso9660Source } from "./iso9660-source.ts";
import type { FileSource } from "./source.ts";

/** The images that one discovery opens: each once, by its volume and its real path. */
export class OpenedImages implements ImageVolumes {
  readonly #opened = new Map<string, Promise<FileSource>>();
  readonly #ready: FileSource[] = [];

  get opened(): readonly FileSource[] {
    return this.#ready;
  }

  async open(outer: FileSource, path: string): Promise<FileSource> {
    const real = (await outer.realPath(path)) ?? path;
    const name = `${outer.volume.name}:${real}`;
    const known = this.#opened.get(name);
    if (known !== undefined) return known;
    const opening = Iso9660Source.open(outer, real, name).then((source) => {
      this.#ready.push(source);
      return source;
    });
    this.#opened.set(name, opening);
    return opening;
  }
}
