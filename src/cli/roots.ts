import { closeSync, constants, openSync } from "node:fs";
import { DirectorySource } from "../discovery/directory-source.ts";
import type { FileSource, VolumeFacts, VolumeLayer } from "../discovery/source.ts";
import { messageOf } from "../formats/error-text.ts";
import { quote } from "../formats/format-error.ts";
import { nativeSystem } from "../linux/native.ts";
import { UsageError } from "./verb.ts";

export const rootUsage = `  --root SPEC      look at a directory as if it were a volume; may be given several times.
                   SPEC is DIR or DIR,name=vda1,uuid=U,label=L,partuuid=U,partlabel=L,
                   fstype=ext4,parttype=GUID,disk=vda,part=1,table=gpt|msdos,
                   lvm=VG/LV,lvmid=VGUUID/LVUUID,md=NAME,mduuid=HEX
                   A configuration that asks for a volume by its UUID or device gets a directory
                   of which nothing is said, if there is only one.
                   Without --root the machine's own disks are searched (as root).`;

/** A directory to be seen as a volume, with what is to be known of that volume. */
export interface RootSpec {
  readonly directory: string;
  readonly volume: VolumeFacts;
}

const keys = [
  "name",
  "uuid",
  "label",
  "partuuid",
  "partlabel",
  "fstype",
  "parttype",
  "disk",
  "part",
  "table",
  "lvm",
  "lvmid",
  "md",
  "mduuid",
] as const;
type Key = (typeof keys)[number];

/** Parses the values of `--root`. The pieces behind the directory are `KEY=VALUE`; a directory's name may itself hold commas. */
export function parseRoots(specs: readonly string[]): RootSpec[] {
  const roots = specs.map((spec, index) => parseRoot(spec, `root${index + 1}`));
  const names = roots.map((root) => root.volume.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new UsageError(`--root: two volumes have the name ${quote(twice)}, different names expected`);
  return roots;
}

function parseRoot(spec: string, defaultName: string): RootSpec {
  const pieces = spec.split(",");
  const values = new Map<Key, string>();
  while (pieces.length > 1) {
    const [, key = "", value = ""] = /^([a-z]+)=(.*)$/s.exec(pieces.at(-1) ?? "") ?? [];
    const known = keys.find((name) => name === key);
    if (known === undefined) break;
    if (values.has(known)) throw new UsageError(`--root ${quote(spec)}: ${known}= stands twice`);
    values.set(known, value);
    pieces.pop();
  }
  const directory = pieces.join(",");
  if (directory === "") throw new UsageError(`--root ${quote(spec)}: a directory expected before the first comma`);
  return { directory, volume: volumeOf(spec, values, defaultName) };
}

function volumeOf(spec: string, values: ReadonlyMap<Key, string>, defaultName: string): VolumeFacts {
  const name = values.get("name") ?? defaultName;
  if (!/^[\w!.+-]{1,64}$/.test(name)) {
    throw new UsageError(`--root ${quote(spec)}: name ${quote(name)}, letters, digits and _ ! . + - expected`);
  }
  const part = values.get("part");
  if (part !== undefined && !/^[1-9]\d{0,4}$/.test(part)) {
    throw new UsageError(`--root ${quote(spec)}: part ${quote(part)}, a partition number from 1 expected`);
  }
  const table = values.get("table");
  if (table !== undefined && table !== "gpt" && table !== "msdos") {
    throw new UsageError(`--root ${quote(spec)}: table ${quote(table)}, gpt or msdos expected`);
  }
  return {
    name,
    fstype: values.get("fstype") ?? null,
    uuid: values.get("uuid") ?? null,
    label: values.get("label") ?? null,
    partuuid: values.get("partuuid")?.toLowerCase() ?? null,
    partlabel: values.get("partlabel") ?? null,
    disk: values.get("disk") ?? null,
    part: part === undefined ? null : Number(part),
    table: table ?? null,
    parttype: values.get("parttype")?.toLowerCase() ?? null,
    layer: layerOf(spec, values),
  };
}

/** LVM: up to 127 of these in either name. An identifier has 32 characters, shown with dashes. */
const volumeNames = /^([\w+.-]{1,127})\/([\w+.-]{1,127})$/;
const volumeIdentifier = /^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6})$/;

function layerOf(spec: string, values: ReadonlyMap<Key, string>): VolumeLayer | null {
  const isVolume = values.has("lvm") || values.has("lvmid");
  const isArray = values.has("md") || values.has("mduuid");
  if (isVolume && isArray) {
    throw new UsageError(`--root ${quote(spec)}: lvm= or md=, not both, expected`);
  }
  if (isVolume) return logicalVolume(spec, values);
  return isArray ? raidArray(spec, values) : null;
}

function logicalVolume(spec: string, values: ReadonlyMap<Key, string>): VolumeLayer {
  const names = values.get("lvm") ?? "";
  const [, vg, lv] = volumeNames.exec(names) ?? [];
  if (vg === undefined || lv === undefined) {
    throw new UsageError(`--root ${quote(spec)}: lvm ${quote(names)}, VG/LV expected`);
  }
  const identifiers = values.get("lvmid");
  const [vgUuid = null, lvUuid = null] = identifiers === undefined ? [] : identifiers.split("/").map(withDashes);
  if (identifiers !== undefined && (vgUuid === null || lvUuid === null || identifiers.split("/").length !== 2)) {
    throw new UsageError(`--root ${quote(spec)}: lvmid ${quote(identifiers)}, VGUUID/LVUUID expected`);
  }
  return { kind: "lvm", vg, lv, vgUuid, lvUuid };
}

/** Null: not an identifier of LVM. */
function withDashes(identifier: string): string | null {
  const plain = identifier.replaceAll("-", "");
  if (!/^[0-9A-Za-z!#]{32}$/.test(plain)) return null;
  return plain.replace(volumeIdentifier, "$1-$2-$3-$4-$5-$6-$7");
}

function raidArray(spec: string, values: ReadonlyMap<Key, string>): VolumeLayer {
  const given = values.get("mduuid");
  // mdadm(8) shows four groups with colons, blkid(8) five with dashes.
  const uuid = given?.replaceAll(/[:-]/g, "").toLowerCase() ?? null;
  if (given !== undefined && !/^[0-9a-f]{32}$/.test(uuid ?? "")) {
    throw new UsageError(`--root ${quote(spec)}: mduuid ${quote(given)}, 32 hexadecimal digits expected`);
  }
  return { kind: "md", uuid, name: values.get("md") ?? null };
}

/** Opens a directory as a volume. */
export function openRoot(root: RootSpec, timeoutSeconds: number): FileSource {
  const fd = openDirectory(root.directory);
  try {
    return new DirectorySource(nativeSystem(), fd, root.volume, timeoutSeconds);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openDirectory(directory: string): number {
  try {
    return openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw new Error(`--root ${quote(directory)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
