import type { MappedLayer } from "./mapping.ts";

/** A volume's name, characters; what is longer is cut, and told apart by a piece of its identifier. */
const nameMax = 64;
const markCharacters = 8;

/** A volume's name as this machine shows it: letters, digits and `_ ! . + -`. */
export function layerName(layer: MappedLayer): string {
  const name =
    layer.kind === "lvm"
      ? `${doubled(layer.vg)}-${doubled(layer.lv)}`
      : `md-${layer.name === null ? layerMark(layer) : ownName(layer.name)}`;
  const plain = name.replace(/[^\w!.+-]/g, "_");
  return plain.length <= nameMax ? plain : markedName(plain, layer);
}

/** As {@link layerName}, with a piece of the identifier behind it: for a name that is taken. */
export function markedName(name: string, layer: MappedLayer): string {
  return `${name.slice(0, nameMax - markCharacters - 1)}-${layerMark(layer)}`;
}

function layerMark(layer: MappedLayer): string {
  return ((layer.kind === "lvm" ? layer.lvUuid : layer.uuid) ?? "").replaceAll("-", "").slice(0, markCharacters);
}

/** The device mapper's names of logical volumes: dashes in either part are doubled. */
function doubled(part: string): string {
  return part.replaceAll("-", "--");
}

/** `host:boot` is the array `boot` of a host. */
function ownName(name: string): string {
  return name.slice(name.indexOf(":") + 1);
}

const activeVolume = /^LVM-([0-9A-Za-z!#]{32})([0-9A-Za-z!#]{32})$/;

/**
 * What the device mapper's name and identifier say of an active logical volume; null for anything else, parts of logical
 * volumes among them (`LVM-…-real`).
 */
export function activeLogicalVolume(name: string, uuid: string): (MappedLayer & { readonly kind: "lvm" }) | null {
  const [, vgUuid, lvUuid] = activeVolume.exec(uuid) ?? [];
  const [, vg, lv] = /^((?:[^-]|--)+)-((?:[^-]|--)+)$/.exec(name) ?? [];
  if (vgUuid === undefined || lvUuid === undefined || vg === undefined || lv === undefined) return null;
  const single = (part: string): string => part.replaceAll("--", "-");
  return { kind: "lvm", vg: single(vg), lv: single(lv), vgUuid: withDashes(vgUuid), lvUuid: withDashes(lvUuid) };
}

/** The device mapper's identifier of a logical volume while it is active. */
export function logicalVolumeUuid(vgUuid: string, lvUuid: string): string {
  return `LVM-${vgUuid.replaceAll("-", "")}${lvUuid.replaceAll("-", "")}`;
}

function withDashes(uuid: string): string {
  return uuid.replace(/^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6})$/, "$1-$2-$3-$4-$5-$6-$7");
}
