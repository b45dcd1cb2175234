import type { FileSource, FileStat, OpenFile, VolumeFacts } from "./source.ts";

/**
 * A filesystem with several roots as one volume: btrfs, whose top GRUB starts from, and whose default subvolume Linux and
 * openSUSE's GRUB start from. A path is the file of the first root that has it; a directory's names are those of all.
 */
export class SubvolumeSource implements FileSource {
  readonly volume: VolumeFacts;
  readonly #roots: readonly [FileSource, ...FileSource[]];

  /** @param roots of one filesystem, the first to be asked first; closed with the source */
  constructor(roots: readonly [FileSource, ...FileSource[]]) {
    this.volume = roots[0].volume;
    this.#roots = roots;
  }

  async stat(path: string): Promise<FileStat | null> {
    return (await this.#rootOf(path)).stat(path);
  }

  async readFile(path: string, bytesMax: number): Promise<Uint8Array> {
    return (await this.#rootOf(path)).readFile(path, bytesMax);
  }

  async list(path: string): Promise<readonly string[]> {
    const lists = await Promise.allSettled(this.#roots.map((root) => root.list(path)));
    const found = lists.filter((list) => list.status === "fulfilled").map(({ value }) => value);
    const failure = lists.find((list) => list.status === "rejected");
    if (found.length === 0 && failure !== undefined) throw failure.reason;
    const names = [...new Set(found.flat())];
    return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  async open(path: string): Promise<OpenFile> {
    return (await this.#rootOf(path)).open(path);
  }

  async realPath(path: string): Promise<string | null> {
    const root = await this.#rootOf(path);
    const real = await root.realPath(path);
    // A real path that would be another root's file is no path of this one: the one that was asked for stays it.
    return real !== null && (await this.#rootOf(real)) !== root ? path : real;
  }

  async close(): Promise<void> {
    await Promise.all(this.#roots.map((root) => root.close()));
  }

  /** The first root where something stands at the path; where it stands in none, the first of all, for the error it gives. */
  async #rootOf(path: string): Promise<FileSource> {
    const [top, ...others] = this.#roots;
    if (await hasPath(top, path)) return top;
    for (const root of others) if (await hasPath(root, path)) return root;
    return top;
  }
}

async function hasPath(root: FileSource, path: string): Promise<boolean> {
  return root.realPath(path).then(
    (real) => real !== null,
    () => false,
  );
}
