import type { VolumeFacts } from "./source.ts";

/**
 * Whose share of a limit a volume counts against: its disk's. A volume group is one however many volumes its metadata
 * names, and an array or a directory stands for itself.
 */
export function diskKey({ disk, layer, name }: VolumeFacts): string {
  if (disk !== null) return disk;
  return layer?.kind === "lvm" ? `lvm/${layer.vgUuid ?? layer.vg}` : name;
}
