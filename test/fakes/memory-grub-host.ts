import type { GrubDevice, GrubFound, GrubHost } from "../../src/formats/grub/host.ts";

/** A world for GRUB scripts in memory: for each device its facts and its files, path to text or bytes. */
export interface MemoryDevice extends Partial<Omit<GrubDevice, "name">> {
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

export function memoryGrubHost(
  devices: Readonly<Record<string, MemoryDevice>>,
  platform = "efi",
  cpu = "x86_64",
): GrubHost {
  const known: GrubDevice[] = Object.entries(devices).map(([name, facts]) => ({
    name,
    fsUuid: facts.fsUuid ?? null,
    label: facts.label ?? null,
    filesystem: facts.filesystem ?? null,
    partUuid: facts.partUuid ?? null,
    partitionMap: facts.partitionMap ?? null,
  }));
  const files = (device: GrubDevice): Readonly<Record<string, string | Uint8Array>> =>
    devices[device.name]?.files ?? {};
  const normal = (path: string): string =>
    `/${path
      .split("/")
      .filter((part) => part !== "")
      .join("/")}`;
  return {
    platform,
    cpu,
    devices: known,
    unknown: null,
    device: (name) => known.find((device) => device.name === name) ?? null,
    async find(device, path): Promise<GrubFound | null> {
      const wanted = normal(path);
      const file = files(device)[wanted];
      if (file !== undefined)
        return { type: "file", size: new TextEncoder().encode(String(file)).length, path: wanted };
      const inside = wanted === "/" ? "/" : `${wanted}/`;
      const isDirectory = wanted === "/" || Object.keys(files(device)).some((key) => key.startsWith(inside));
      return isDirectory ? { type: "directory", size: 0, path: wanted } : null;
    },
    async readFile(device, path, bytesMax) {
      const file = files(device)[normal(path)];
      if (file === undefined) throw new Error(`read "${path}": no such file`);
      const bytes = typeof file === "string" ? new TextEncoder().encode(file) : file;
      if (bytes.length > bytesMax)
        throw new Error(`read "${path}": ${bytes.length} bytes, at most ${bytesMax} are taken`);
      return bytes;
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
