import { messageOf } from "../formats/error-text.ts";
import { FormatError } from "../formats/format-error.ts";
import { type Iso9660Layout, type Iso9660Node, readIso9660, readIso9660Directory } from "../formats/iso9660.ts";
import type { ReadAt } from "../formats/read-at.ts";
import { probeIso9660 } from "../formats/superblock/iso9660.ts";
import { ProbedDevice } from "../formats/superblock/probe.ts";
import { ImageDirectories, type ImageDirectory, imageDirectoryBytesMax } from "./image-directories.ts";
import { type FileSource, type FileStat, type OpenFile, SourceError, type VolumeFacts, volumeFacts } from "./source.ts";

/** Links followed for one path, as many as Linux follows (MAXSYMLINKS). */
const linksMax = 40;
/** PATH_MAX of Linux, bytes. */
const pathBytesMax = 4096;

/**
 * An ISO 9660 image inside a file of another volume, as a volume. It holds nothing open: each use opens the outer file,
 * reads what it needs and closes it again, so that the outer volume can be unmounted at any time. Directories are kept in
 * memory. An open file keeps the outer one open until it is closed.
 */
export class Iso9660Source implements FileSource {
  readonly volume: VolumeFacts;
  readonly #outer: FileSource;
  readonly #path: string;
  readonly #layout: Iso9660Layout;
  readonly #directories: ImageDirectories;

  private constructor(
    outer: FileSource,
    path: string,
    volume: VolumeFacts,
    layout: Iso9660Layout,
    directories: ImageDirectories,
  ) {
    this.#directories = directories;
    this.#outer = outer;
    this.#path = path;
    this.volume = volume;
    this.#layout = layout;
  }

  /**
   * @param path of the image on `outer`
   * @param name of the new volume
   * @param directories shared with the other images of a disk
   *
   * Rejects with {@link SourceError} where the file holds no ISO 9660 filesystem, or more than the file has.
   */
  static async open(
    outer: FileSource,
    path: string,
    name: string,
    directories: ImageDirectories = new ImageDirectories(),
  ): Promise<FileSource> {
    const failed = (detail: string, cause?: unknown): SourceError =>
      new SourceError(`open the image ${JSON.stringify(path)} on ${outer.volume.name}: ${detail}`, { cause });
    await using file = await outer.open(path);
    const read = readerOf(file);
    const bytes = BigInt(file.size);
    try {
      const facts = await probeIso9660(await ProbedDevice.open(read, bytes));
      if (facts === null) throw failed("no ISO 9660 filesystem");
      const { type: fstype, uuid, label } = facts;
      const layer = { kind: "image", volume: outer.volume.name, path } as const;
      const volume = volumeFacts({ name, fstype, uuid, label, layer });
      return new Iso9660Source(outer, path, volume, await readIso9660(read, bytes), directories);
    } catch (error) {
      if (error instanceof FormatError) throw failed(error.message, error);
      throw error;
    }
  }

  async stat(path: string): Promise<FileStat | null> {
    const found = await this.#resolve(path);
    if (found === null) return null;
    const { type, size } = found.node;
    return { type: type === "link" ? "other" : type, size: type === "file" ? size : 0 };
  }

  async readFile(path: string, bytesMax: number): Promise<Uint8Array> {
    await using file = await this.open(path);
    if (file.size > bytesMax) throw this.#error("read", path, `${file.size} bytes, at most ${bytesMax} are taken`);
    const bytes = new Uint8Array(file.size);
    let done = 0;
    while (done < bytes.length) {
      const length = await file.read(bytes.subarray(done), done);
      if (length === 0) throw this.#error("read", path, `it ended after ${done} of ${bytes.length} bytes`);
      done += length;
    }
    return bytes;
  }

  async list(path: string): Promise<readonly string[]> {
    const found = await this.#resolve(path);
    if (found === null) return [];
    if (found.node.type !== "directory") throw this.#error("list", path, "a directory expected");
    const { byName, nodes } = await this.#directory(found.node, path);
    const names = nodes.filter((node) => byName.get(this.#key(node.name)) === node).map(({ name }) => name);
    return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  async open(path: string): Promise<OpenFile> {
    const found = await this.#resolve(path);
    if (found === null) throw this.#error("open", path, "no such file");
    const { node } = found;
    if (node.refusal !== null) throw this.#error("open", path, node.refusal);
    if (node.type !== "file") throw this.#error("open", path, "a regular file expected");
    const file = await this.#outer.open(this.#path);
    return {
      size: node.size,
      read: (into, position) => readExtents(file, node, into, position),
      [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
    };
  }

  async realPath(path: string): Promise<string | null> {
    return (await this.#resolve(path))?.path ?? null;
  }

  /** Nothing is held open. */
  async close(): Promise<void> {}

  /** What stands at a path, links followed, with its real path; null when nothing does. */
  async #resolve(path: string): Promise<{ readonly path: string; readonly node: Iso9660Node } | null> {
    if (Buffer.byteLength(path) > pathBytesMax || path.includes("\0")) {
      throw this.#error("open", path, `a path of at most ${pathBytesMax} bytes without NUL expected`);
    }
    const above: Iso9660Node[] = [];
    let here = this.#layout.root;
    let rest = components(path);
    for (let links = 0; rest.length > 0; ) {
      const name = rest.shift() ?? "";
      if (here.type !== "directory") return null;
      if (name === "..") {
        const parent = above.pop();
        if (parent === undefined) throw this.#error("open", path, "the path leaves the volume");
        here = parent;
        continue;
      }
      const { byName } = await this.#directory(here, path);
      const node = byName.get(this.#key(name));
      if (node === undefined) return null;
      if (node.type !== "link" || node.refusal !== null) {
        above.push(here);
        here = node;
        continue;
      }
      if (++links > linksMax) throw this.#error("open", path, `more than ${linksMax} symbolic links`);
      const target = node.target ?? "";
      if (target.startsWith("/")) {
        above.length = 0;
        here = this.#layout.root;
      }
      rest = [...components(target), ...rest];
      if (rest.length > pathBytesMax) throw this.#error("open", path, "its symbolic links make the path too long");
    }
    return { path: pathOf([...above, here]), node: here };
  }

  /** @param asked the path that is named when reading fails */
  async #directory(node: Iso9660Node, asked: string): Promise<ImageDirectory> {
    // A hostile image has directories that lead back to themselves: the place tells them apart, the path does not.
    const [extent] = node.extents;
    const key = `${this.volume.name}\n${extent?.offset}\n${extent?.length}`;
    const known = this.#directories.get(key);
    if (known !== null) return known;
    if (node.refusal !== null) throw this.#error("list", asked, node.refusal);
    const nodes = await this.#read(node, asked);
    const byName = new Map<string, Iso9660Node>();
    // Of two files with one name the first is the one that is found.
    for (const each of nodes) if (!byName.has(this.#key(each.name))) byName.set(this.#key(each.name), each);
    const directory: ImageDirectory = { nodes, byName };
    this.#directories.keep(key, directory);
    return directory;
  }

  async #read(node: Iso9660Node, asked: string): Promise<readonly Iso9660Node[]> {
    await using file = await this.#outer.open(this.#path);
    const readAt = readerOf(file);
    const read: ReadAt = (offset, length) => {
      if (this.#directories.mayRead(length)) return readAt(offset, length);
      throw this.#error("list", asked, `more than ${imageDirectoryBytesMax} bytes of directories in images of a disk`);
    };
    try {
      return await readIso9660Directory(read, this.#layout, node);
    } catch (error) {
      throw error instanceof SourceError ? error : this.#error("list", asked, messageOf(error), error);
    }
  }

  #key(name: string): string {
    return this.#layout.ignoresCase ? name.toLowerCase() : name;
  }

  #error(action: string, path: string, detail: string, cause?: unknown): SourceError {
    return new SourceError(`${action} ${JSON.stringify(path)} on ${this.volume.name}: ${detail}`, { cause });
  }
}

function components(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

/** The path of the last of these nodes, each in the one before it; the first is the root. */
function pathOf(nodes: readonly Iso9660Node[]): string {
  return `/${nodes
    .slice(1)
    .map(({ name }) => name)
    .join("/")}`;
}

/** Reads as much of the file's extents as lies at `position`, from one of them at a time. */
async function readExtents(file: OpenFile, node: Iso9660Node, into: Uint8Array, position: number): Promise<number> {
  let start = 0;
  for (const { offset, length } of node.extents) {
    const inside = position - start;
    if (inside >= 0 && inside < length) {
      return file.read(into.subarray(0, Math.min(into.length, length - inside)), offset + inside);
    }
    start += length;
  }
  return 0;
}

function readerOf(file: OpenFile): ReadAt {
  return async (offset, length) => {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const count = await file.read(bytes.subarray(done), Number(offset) + done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  };
}
