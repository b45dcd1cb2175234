import { createHash } from "node:crypto";
import { crc32 } from "../../src/formats/crc32.ts";
import type { GrubDevice, GrubFound, GrubHost } from "../../src/formats/grub/host.ts";

/** A world for GRUB scripts in memory: for each device its facts and its files, path to text or bytes. */
export interface MemoryDevice extends Partial<Omit<GrubDevice, "name">> {
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** The file, with its device, that `loopback` opens to see this device: it is none of the machine's own. */
  readonly imageOf?: string;
}

export function memoryGrubHost(
  devices: Readonly<Record<string, MemoryDevice>>,
  platform = "efi",
  cpu = "x86_64",
): GrubHost {
  const all: GrubDevice[] = Object.entries(devices).map(([name, facts]) => ({
    name,
    fsUuid: facts.fsUuid ?? null,
    label: facts.label ?? null,
    filesystem: facts.filesystem ?? null,
    partUuid: facts.partUuid ?? null,
    partitionMap: facts.partitionMap ?? null,
  }));
  const known = all.filter(({ name }) => devices[name]?.imageOf === undefined);
  const files = (device: GrubDevice): Readonly<Record<string, string | Uint8Array>> =>
    devices[device.name]?.files ?? {};
  const normal = (path: string): string =>
    `/${path
      .split("/")
      .filter((part) => part !== "")
      .join("/")}`;
  const content = (device: GrubDevice, path: string): Uint8Array => {
    const file = files(device)[normal(path)];
    if (file === undefined) throw new Error(`read "${path}": no such file`);
    return typeof file === "string" ? new TextEncoder().encode(file) : file;
  };
  return {
    platform,
    cpu,
    devices: known,
    unknown: null,
    device: (name) => known.find((device) => device.name === name) ?? null,
    async entry(device, path) {
      const found = await this.find(device, path);
      return found === null ? null : { directory: found.type === "directory", size: found.size };
    },
    async find(device, path): Promise<GrubFound | null> {
      const wanted = normal(path);
      const file = files(device)[wanted];
      if (file !== undefined) return { type: "file", size: content(device, path).length, path: wanted };
      const inside = wanted === "/" ? "/" : `${wanted}/`;
      const isDirectory = wanted === "/" || Object.keys(files(device)).some((key) => key.startsWith(inside));
      return isDirectory ? { type: "directory", size: 0, path: wanted } : null;
    },
    async readFile(device, path, bytesMax) {
      const bytes = content(device, path);
      if (bytes.length > bytesMax)
        throw new Error(`read "${path}": ${bytes.length} bytes, at most ${bytesMax} are taken`);
      return bytes;
    },
    async openImage(device, path) {
      const image = all.find(({ name }) => devices[name]?.imageOf === `(${device.name})${normal(path)}`);
      if (image === undefined) throw new Error(`open "${path}": no filesystem`);
      return image;
    },
    async readRange(device, path, position, length) {
      return content(device, path).subarray(position, position + length);
    },
    async hash(device, path, algorithm, bytesMax) {
      const bytes = content(device, path);
      if (bytes.length > bytesMax) throw new Error(`hash "${path}": at most ${bytesMax} bytes are taken`);
      if (algorithm === "crc32") return crc32(bytes).toString(16).padStart(8, "0");
      return createHash(algorithm).update(bytes).digest("hex");
    },
    async list(device, path) {
      const inside = normal(path) === "/" ? "/" : `${normal(path)}/`;
      const names = Object.keys(files(device))
        .filter((key) => key.startsWith(inside))
        .map((key) => key.slice(inside.length).split("/")[0] ?? "");
      return [...new Set(names)].sort();
    },
  };
}
