import type { GrubDevice, GrubFound, GrubHost } from "../formats/grub/host.ts";
import type { FileSource, VolumeFacts } from "./source.ts";

/** GRUB's names of filesystems where they differ from the kernel's (`probe --fs`). */
const filesystemNames: ReadonlyMap<string, string> = new Map([
  ["ext2", "ext2"],
  ["ext3", "ext2"],
  ["ext4", "ext2"],
  ["vfat", "fat"],
  ["squashfs", "squash4"],
]);

/** GRUB's names of architectures (`grub_cpu`) for those of `uname -m`. */
const cpuNames: ReadonlyMap<string, string> = new Map([
  ["aarch64", "arm64"],
  ["armv7l", "arm"],
  ["i486", "i386"],
  ["i586", "i386"],
  ["i686", "i386"],
  ["ppc64le", "powerpc"],
]);

/**
 * The names by which GRUB would know the volumes. Disks are numbered `hd0`, `hd1` … in the order in which their names
 * first appear among the volumes; a partition is `hd0,gpt2` or `hd0,msdos1`, a filesystem on a whole disk `hd0`. A volume
 * of no known disk is `volume/NAME`, which no device of GRUB's is called.
 */
export function grubDeviceNames(volumes: readonly VolumeFacts[]): string[] {
  const disks = [...new Set(volumes.map(({ disk }) => disk).filter((disk) => disk !== null))];
  return volumes.map(({ name, disk, part, table }) => {
    if (disk === null) return `volume/${name.replace(/[^A-Za-z0-9._-]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)}`;
    const number = `hd${disks.indexOf(disk)}`;
    return part === null ? number : `${number},${table ?? ""}${part}`;
  });
}

/** The volumes as the world of GRUB scripts. */
export class GrubVolumes implements GrubHost {
  /** Configurations are written for the loader of the firmware, and that is UEFI on every machine but old PCs. */
  readonly platform = "efi";
  readonly cpu: string;
  readonly devices: readonly GrubDevice[];
  /** A directory given with nothing but its path, where there is just one: then it is what its configuration means. */
  readonly unknown: GrubDevice | null;
  readonly #sources: ReadonlyMap<string, FileSource>;
  readonly #byName: ReadonlyMap<string, GrubDevice>;

  constructor(sources: readonly FileSource[], architecture: string) {
    const names = grubDeviceNames(sources.map(({ volume }) => volume));
    this.cpu = cpuNames.get(architecture) ?? architecture;
    this.devices = sources.map(({ volume }, index) => device(names[index] ?? "", volume));
    const unknown = this.devices.filter((_, index) => isUnknown(sources[index]?.volume));
    this.unknown = unknown.length === 1 ? (unknown[0] ?? null) : null;
    this.#sources = new Map(sources.map((source, index) => [names[index] ?? "", source]));
    // Later names never take the place of earlier ones: the first of two volumes is the one that GRUB would find.
    const known = new Map<string, GrubDevice>();
    for (const [index, { volume }] of sources.entries()) {
      const found = this.devices[index];
      if (found === undefined) continue;
      for (const name of otherNames(found.name, volume)) if (!known.has(name)) known.set(name, found);
    }
    this.#byName = known;
  }

  device(name: string): GrubDevice | null {
    const known = this.#byName.get(name) ?? null;
    return known === null && /^hd\d+(,(gpt|msdos)?\d+)?$/.test(name) ? this.unknown : known;
  }

  /** The volume behind a device's name. */
  source(device: string): FileSource | null {
    return this.#sources.get(device) ?? null;
  }

  /** The device's name of a volume. */
  nameOf(source: FileSource): string | null {
    for (const [name, other] of this.#sources) if (other === source) return name;
    return null;
  }

  async find(device: GrubDevice, path: string): Promise<GrubFound | null> {
    const source = this.#source(device);
    const normal = await normalPath(source, path);
    const stat = normal === null ? null : await source.stat(normal);
    return stat === null || normal === null ? null : { type: stat.type, size: stat.size, path: normal };
  }

  async readFile(device: GrubDevice, path: string, bytesMax: number): Promise<Uint8Array> {
    const source = this.#source(device);
    return source.readFile((await normalPath(source, path)) ?? path, bytesMax);
  }

  async list(device: GrubDevice, path: string): Promise<readonly string[]> {
    const source = this.#source(device);
    const normal = await normalPath(source, path);
    return normal === null ? [] : source.list(normal);
  }

  #source(device: GrubDevice): FileSource {
    const source = this.#sources.get(device.name);
    if (source === undefined) throw new Error(`no volume is known as (${device.name})`);
    return source;
  }
}

function device(name: string, volume: VolumeFacts): GrubDevice {
  return {
    name,
    fsUuid: volume.uuid,
    label: volume.label,
    filesystem: volume.fstype === null ? null : (filesystemNames.get(volume.fstype) ?? volume.fstype),
    partUuid: volume.partuuid,
    partitionMap: volume.table,
  };
}

/** Whether nothing is known of a volume. A volume of the machine itself has a filesystem at least. */
function isUnknown(volume: VolumeFacts | undefined): boolean {
  if (volume === undefined) return false;
  const { fstype, uuid, label, partuuid, disk } = volume;
  return [fstype, uuid, label, partuuid, disk].every((fact) => fact === null);
}

/** `hd0,gpt2` is `hd0,2` too; where the table is not known, the number stands for either kind. */
function otherNames(name: string, { disk, part, table }: VolumeFacts): string[] {
  const number = name.split(",")[0] ?? name;
  if (disk === null || part === null) return [name];
  if (table !== null) return [name, `${number},${part}`];
  return [name, `${number},gpt${part}`, `${number},msdos${part}`];
}

/**
 * The path without `.`, `..` and doubled slashes; null where there is no such file. Behind a symbolic link `..` is not the
 * directory that the text says, so the source is asked; it refuses a path that leaves the volume.
 */
async function normalPath(source: FileSource, path: string): Promise<string | null> {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const text = `/${parts.join("/")}`;
  return parts.includes("..") ? source.realPath(text) : text;
}
