import { type FileSource, SourceError } from "./source.ts";

/** An ISO 9660 image inside a file of another volume, as a volume. */
export class Iso9660Source {
  /** Rejects with SourceError where the file holds no ISO 9660 filesystem. */
  static async open(outer: FileSource, path: string, name: string): Promise<FileSource> {
    throw new SourceError(`open "${path}" on ${outer.volume.name} as ${name}: images are not read`);
  }
}
