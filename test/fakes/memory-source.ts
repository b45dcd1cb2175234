import {
  type FileSource,
  type FileStat,
  type OpenFile,
  SourceError,
  type VolumeFacts,
} from "../../src/discovery/source.ts";

/** A volume in memory: absolute paths to text, bytes, or `{ link: target }` for a symbolic link. */
export type MemoryFiles = Readonly<Record<string, string | Uint8Array | { readonly link: string }>>;

const encoder = new TextEncoder();

export function memorySource(name: string, files: MemoryFiles, facts: Partial<VolumeFacts> = {}): FileSource {
  const volume: VolumeFacts = {
    name,
    fstype: "ext4",
    uuid: null,
    label: null,
    partuuid: null,
    partlabel: null,
    disk: null,
    part: null,
    table: null,
    parttype: null,
    layer: null,
    ...facts,
  };
  const resolve = (path: string): string => {
    const seen: string[] = [];
    let rest = path.split("/").filter((part) => part !== "");
    for (let steps = 0; rest.length > 0; steps++) {
      if (steps > 200) throw new SourceError(`follow ${path}: too many links`);
      const part = rest.shift() ?? "";
      if (part === ".") continue;
      if (part === "..") {
        if (seen.length === 0) throw new SourceError(`open "${path}" on ${name}: the path leaves the volume`);
        seen.pop();
        continue;
      }
      const file = files[`/${[...seen, part].join("/")}`];
      if (typeof file === "object" && "link" in file) {
        if (file.link.startsWith("/")) seen.length = 0;
        rest = [...file.link.split("/").filter((p) => p !== ""), ...rest];
      } else seen.push(part);
    }
    return `/${seen.join("/")}`;
  };
  const content = (path: string): Uint8Array | null => {
    const file = files[resolve(path)];
    if (file === undefined || (typeof file === "object" && "link" in file)) return null;
    return typeof file === "string" ? encoder.encode(file) : file;
  };
  const isDirectory = (path: string): boolean => {
    const real = resolve(path);
    return real === "/" || Object.keys(files).some((key) => key.startsWith(`${real}/`));
  };
  const read = (path: string): Uint8Array => {
    const bytes = content(path);
    if (bytes === null) throw new SourceError(`open "${path}" on ${name}: no such file`);
    return bytes;
  };
  return {
    volume,
    async stat(path): Promise<FileStat | null> {
      const bytes = content(path);
      if (bytes !== null) return { type: "file", size: bytes.length };
      return isDirectory(path) ? { type: "directory", size: 0 } : null;
    },
    async readFile(path, bytesMax) {
      const bytes = read(path);
      if (bytes.length > bytesMax) {
        throw new SourceError(`read "${path}" on ${name}: ${bytes.length} bytes, at most ${bytesMax} are taken`);
      }
      return bytes;
    },
    async list(path) {
      const real = resolve(path);
      const prefix = real === "/" ? "/" : `${real}/`;
      const names = new Set<string>();
      for (const key of Object.keys(files)) {
        if (key.startsWith(prefix)) names.add(key.slice(prefix.length).split("/")[0] ?? "");
      }
      return [...names].sort();
    },
    async open(path): Promise<OpenFile> {
      const bytes = read(path);
      return {
        size: bytes.length,
        async read(into, position) {
          const part = bytes.subarray(position, position + into.length);
          into.set(part);
          return part.length;
        },
        async [Symbol.asyncDispose]() {},
      };
    },
    async realPath(path) {
      const real = resolve(path);
      return content(real) !== null || isDirectory(real) ? real : null;
    },
    async close() {},
  };
}
