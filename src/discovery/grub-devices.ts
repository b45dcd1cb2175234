import { createHash } from "node:crypto";
import { crc32 } from "../formats/crc32.ts";
import type { GrubDevice, GrubFound, GrubHost, GrubListed, HashAlgorithm } from "../formats/grub/host.ts";
import type { ImageVolumes } from "./finder.ts";
import { type FileSource, SourceError, type VolumeFacts } from "./source.ts";

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
 * first appear among the volumes; a partition is `hd0,gpt2` or `hd0,msdos1`, a filesystem on a whole disk `hd0`. A logical
 * volume is `lvm/vg-lv`, an array `md/name` or `mduuid/…` (disk/diskfilter.c). A volume of no known disk is `volume/NAME`,
 * which no device of GRUB's is called.
 */
export function grubDeviceNames(volumes: readonly VolumeFacts[]): string[] {
  const disks = [...new Set(volumes.filter((volume) => !isLayered(volume)).map(({ disk }) => disk))].filter(
    (disk) => disk !== null,
  );
  return volumes.map((volume) => {
    const { name, disk, part, table } = volume;
    const [layered] = layerNames(volume);
    if (layered !== undefined) return part === null ? layered : `${layered},${table ?? ""}${part}`;
    if (disk === null || isLayered(volume))
      return `volume/${name.replace(/[^A-Za-z0-9._-]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)}`;
    const number = `hd${disks.indexOf(disk)}`;
    return part === null ? number : `${number},${table ?? ""}${part}`;
  });
}

function isLayered({ layer }: VolumeFacts): boolean {
  return layer?.kind === "lvm" || layer?.kind === "md";
}

/**
 * What a name on a disk may hold to be a device's name. Nobody signs it, and a script can put a device's name into options,
 * where another character could begin a word of its own.
 */
const plainName = /^[A-Za-z0-9_.+-]+$/;

/** The names that GRUB has for a logical volume or an array, without a partition on it. */
function layerNames({ layer }: VolumeFacts): string[] {
  if (layer?.kind === "lvm") {
    // The device mapper's way: a dash in a name is doubled.
    const [vg, lv] = [layer.vg, layer.lv].map((name) => name.replaceAll("-", "--"));
    const byName = plainName.test(layer.vg + layer.lv) ? [`lvm/${vg}-${lv}`] : [];
    const byId = layer.vgUuid !== null && layer.lvUuid !== null ? [`lvmid/${layer.vgUuid}/${layer.lvUuid}`] : [];
    return [...byName, ...byId];
  }
  if (layer?.kind === "md") {
    // The host that made the array stands before a colon.
    const name = layer.name?.slice(layer.name.indexOf(":") + 1) ?? "";
    const names = plainName.test(name) ? [`md/${name}`, ...(/^[0-9]+$/.test(name) ? [`md${name}`] : [])] : [];
    return [...names, ...(layer.uuid === null ? [] : [`mduuid/${layer.uuid.toLowerCase()}`])];
  }
  return [];
}

/** A symbolic link that leads nowhere is in its directory all the same. */
const danglingLink: GrubListed = { directory: false, size: 0 };

/** Names of directories that are looked through for symbolic links which lead nowhere, in one search. */
export const listedNamesMax = 200_000;

/** Bytes of a file that are hashed at once. */
const hashChunkBytes = 1 << 20;

/** The volumes as the world of GRUB scripts. */
export class GrubVolumes implements GrubHost {
  /** Configurations are written for the loader of the firmware, and that is UEFI on every machine but old PCs. */
  readonly platform = "efi";
  readonly cpu: string;
  readonly devices: readonly GrubDevice[];
  /** A directory given with nothing but its path, where there is just one: then it is what its configuration means. */
  readonly unknown: GrubDevice | null;
  readonly #sources: Map<string, FileSource>;
  readonly #byName: ReadonlyMap<string, GrubDevice>;
  readonly #images: ImageVolumes;
  /** Names in the directories of files that are missing. */
  #listed = 0;
  /** Filesystems inside files that were opened. */
  readonly #opened = new Map<FileSource, GrubDevice>();

  constructor(sources: readonly FileSource[], architecture: string, images: ImageVolumes) {
    this.#images = images;
    const names = grubDeviceNames(sources.map(({ volume }) => volume));
    this.cpu = cpuNames.get(architecture) ?? architecture;
    const all = sources.map(({ volume }, index) => device(names[index] ?? "", volume));
    this.devices = searchOrder(all, sources);
    const unknown = all.filter((_, index) => isUnknown(sources[index]?.volume));
    this.unknown = unknown.length === 1 ? (unknown[0] ?? null) : null;
    this.#sources = new Map(sources.map((source, index) => [names[index] ?? "", source]));
    // Later names never take the place of earlier ones: the first of two volumes is the one that GRUB would find.
    const known = new Map<string, GrubDevice>();
    for (const [index, { volume }] of sources.entries()) {
      const found = all[index];
      if (found === undefined) continue;
      for (const name of otherNames(found.name, volume)) if (!known.has(name)) known.set(name, found);
    }
    this.#byName = known;
  }

  async openImage(outer: GrubDevice, path: string): Promise<GrubDevice> {
    const source = this.#source(outer);
    const image = await this.#images.open(source, (await normalPath(source, path)) ?? path);
    const known = this.#opened.get(image);
    if (known !== undefined) return known;
    const opened = device(`image/${this.#opened.size}`, image.volume);
    this.#opened.set(image, opened);
    this.#sources.set(opened.name, image);
    return opened;
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

  async entry(device: GrubDevice, path: string): Promise<GrubListed | null> {
    const source = this.#source(device);
    const normal = await normalPath(source, path);
    if (normal === null) return null;
    const slash = normal.lastIndexOf("/");
    const parent = await source.realPath(normal.slice(0, slash) || "/");
    if (parent === null) return null;
    const here = `${parent === "/" ? "" : parent}${normal.slice(slash)}`;
    const real = await source.realPath(normal);
    const isLink = normal !== "/" && real !== here;
    if (real === null)
      return (await this.#names(source, parent)).includes(normal.slice(slash + 1)) ? danglingLink : null;
    const stat = await source.stat(real);
    return stat === null ? null : { directory: stat.type === "directory" && !isLink, size: stat.size };
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

  async readRange(device: GrubDevice, path: string, position: number, length: number): Promise<Uint8Array> {
    const source = this.#source(device);
    await using file = await source.open((await normalPath(source, path)) ?? path);
    const bytes = new Uint8Array(Math.max(0, Math.min(length, file.size - position)));
    let done = 0;
    while (done < bytes.length) {
      const read = await file.read(bytes.subarray(done), position + done);
      if (read === 0) break;
      done += read;
    }
    return bytes.subarray(0, done);
  }

  async hash(device: GrubDevice, path: string, algorithm: HashAlgorithm, bytesMax: number): Promise<string> {
    const source = this.#source(device);
    await using file = await source.open((await normalPath(source, path)) ?? path);
    if (file.size > bytesMax) {
      const place = `hash ${JSON.stringify(path)} on ${source.volume.name}`;
      throw new SourceError(`${place}: ${file.size} bytes, at most ${bytesMax} are taken`);
    }
    const hash = algorithm === "crc32" ? null : createHash(algorithm);
    let crc = 0;
    const chunk = new Uint8Array(Math.min(hashChunkBytes, file.size));
    for (let done = 0; done < file.size; ) {
      const length = await file.read(chunk, done);
      if (length === 0) break;
      const bytes = chunk.subarray(0, length);
      if (hash === null) crc = crc32(bytes, crc);
      else hash.update(bytes);
      done += length;
    }
    return hash === null ? crc.toString(16).padStart(8, "0") : hash.digest("hex");
  }

  async list(device: GrubDevice, path: string): Promise<readonly string[]> {
    const source = this.#source(device);
    const normal = await normalPath(source, path);
    return normal === null ? [] : source.list(normal);
  }

  /** A directory may hold many names, and a script may ask for a missing file often. */
  async #names(source: FileSource, directory: string): Promise<readonly string[]> {
    if (this.#listed > listedNamesMax) {
      const place = `list ${JSON.stringify(directory)} on ${source.volume.name}`;
      throw new SourceError(`${place}: more than ${listedNamesMax} names were looked through for missing files`);
    }
    const names = await source.list(directory);
    this.#listed += names.length;
    return names;
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

/**
 * The order in which GRUB looks through devices (kern/device.c, `grub_device_iterate`): disk by disk, the disk itself before
 * its partitions, and of these the last one first.
 */
function searchOrder(devices: readonly GrubDevice[], sources: readonly FileSource[]): GrubDevice[] {
  const keys = new Map(
    devices.map((each, index) => {
      const volume = sources[index]?.volume;
      const disk = volume?.disk ?? null;
      const first = disk === null ? index : sources.findIndex((other) => other.volume.disk === disk);
      return [each, { first, part: volume?.part ?? Number.POSITIVE_INFINITY }] as const;
    }),
  );
  const none = { first: 0, part: 0 };
  return [...devices].sort((a, b) => {
    const [x, y] = [keys.get(a) ?? none, keys.get(b) ?? none];
    return x.first - y.first || (x.part === y.part ? 0 : y.part - x.part);
  });
}

/** Whether nothing is known of a volume. A volume of the machine itself has a filesystem at least. */
function isUnknown(volume: VolumeFacts | undefined): boolean {
  if (volume === undefined) return false;
  const { fstype, uuid, label, partuuid, disk } = volume;
  return [fstype, uuid, label, partuuid, disk].every((fact) => fact === null);
}

/** `hd0,gpt2` is `hd0,2` too; where the table is not known, the number stands for either kind. */
function otherNames(name: string, volume: VolumeFacts): string[] {
  const { disk, part, table } = volume;
  if (isLayered(volume)) {
    const layered = layerNames(volume);
    const kinds = table === null ? ["", "gpt", "msdos"] : ["", table];
    return [
      name,
      ...(part === null ? layered : layered.flatMap((each) => kinds.map((kind) => `${each},${kind}${part}`))),
    ];
  }
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
