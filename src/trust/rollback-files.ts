import { readdir, readFile, realpath, stat } from "node:fs/promises";
import path from "node:path";
import type { FileSource, VolumeFacts } from "../discovery/source.ts";
import { errorCode } from "../formats/error-text.ts";
import { quote } from "../formats/format-error.ts";
import { findMountPoint } from "../machine/mounts.ts";
import { replaceFile } from "../machine/replace-file.ts";
import { splitVolumePattern } from "./policy-schema.ts";

/** A file that is known by its volume, `uuid=…`, and its path there. */
export interface RollbackFiles {
  /** Its content on each volume that fits and has it. Rejects when there is no such volume or it cannot be read. */
  read(volume: string, file: string, bytesMax: number): Promise<readonly Uint8Array[]>;
  /** Replaces it; it is there whole or as it was before. */
  write(volume: string, file: string, bytes: Uint8Array): Promise<void>;
}

/** Whether a volume is the one that `uuid=…`, `partuuid=…`, `label=…` or `partlabel=…` names. */
export function isVolume(facts: VolumeFacts, named: string): boolean {
  const { fact, value } = splitName(named);
  const own = facts[fact];
  if (own === null) return false;
  return ignoresCase(fact) ? sameText(own, value) : own === value;
}

function ignoresCase(fact: keyof typeof factDirectories): boolean {
  return fact === "uuid" || fact === "partuuid";
}

function sameText(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

const factDirectories = {
  uuid: "by-uuid",
  partuuid: "by-partuuid",
  label: "by-label",
  partlabel: "by-partlabel",
} as const;

function splitName(named: string): { readonly fact: keyof typeof factDirectories; readonly value: string } {
  const split = splitVolumePattern(named);
  const fact = split?.fact;
  if (split === null || (fact !== "uuid" && fact !== "partuuid" && fact !== "label" && fact !== "partlabel")) {
    throw new Error(`volume ${quote(named)}: uuid=…, partuuid=…, label=… or partlabel=… expected`);
  }
  return { fact, value: split.pattern };
}

/** The volumes that the boot loader has open, for reading. */
export function sourceFiles(sources: readonly FileSource[]): RollbackFiles {
  return {
    async read(volume, file, bytesMax) {
      const fitting = sources.filter((source) => isVolume(source.volume, volume));
      if (fitting.length === 0) throw new Error(`no volume with ${quote(volume)} is there`);
      const found: Uint8Array[] = [];
      for (const source of fitting) {
        if ((await source.stat(file)) !== null) found.push(await source.readFile(file, bytesMax));
      }
      return found;
    },
    async write(volume, file) {
      throw new Error(`write ${quote(file)} on ${quote(volume)}: the boot loader only reads volumes`);
    },
  };
}

/** Where a running system shows its disks and mounts. */
export interface SystemPlaces {
  /** `/dev/disk` */
  readonly disks: string;
  /** `/proc/self/mountinfo` */
  readonly mounts: string;
  /** `major:minor` of a device node; null for anything else. */
  readonly deviceNumber: (node: string) => Promise<string | null>;
}

export const systemPlaces: SystemPlaces = { disks: "/dev/disk", mounts: "/proc/self/mountinfo", deviceNumber };

/** The volumes that a running system has mounted. */
export function mountedFiles(places: SystemPlaces = systemPlaces): RollbackFiles {
  return {
    async read(volume, file, bytesMax) {
      const full = path.join(await mountPointOf(volume, places), path.join("/", file));
      const facts = await stat(full).catch((error: unknown) => {
        if (errorCode(error) === "ENOENT") return null;
        throw error;
      });
      if (facts === null) return [];
      if (!facts.isFile()) throw new Error(`read ${quote(full)}: a regular file expected`);
      if (facts.size > bytesMax) {
        throw new Error(`read ${quote(full)}: ${facts.size} bytes, at most ${bytesMax} are taken`);
      }
      return [await readFile(full)];
    },
    async write(volume, file, bytes) {
      await replaceFile(path.join(await mountPointOf(volume, places), path.join("/", file)), bytes, 0o644);
    },
  };
}

/** Where a volume is mounted. udev makes a link for each (systemd, rules.d/60-persistent-storage.rules). */
async function mountPointOf(volume: string, places: SystemPlaces): Promise<string> {
  const { fact, value } = splitName(volume);
  const directory = `${places.disks}/${factDirectories[fact]}`;
  const wanted = encodeLinkName(value);
  const isSame = (name: string): boolean => (ignoresCase(fact) ? sameText(name, wanted) : name === wanted);
  const link = (await readdir(directory).catch(() => [])).find(isSame);
  if (link === undefined) throw new Error(`no volume with ${quote(volume)} is there (${directory}/${wanted})`);
  const node = await realpath(`${directory}/${link}`);
  const number = await places.deviceNumber(node);
  if (number === null) throw new Error(`volume ${quote(volume)}: ${quote(node)} is no block device`);
  const mountPoint = findMountPoint(await readFile(places.mounts, "utf8"), number);
  if (mountPoint === null) throw new Error(`volume ${quote(volume)}: ${node} is not mounted with its root directory`);
  return mountPoint;
}

/** What may not stand in a link's name is written `\xNN` (systemd, src/shared/device-nodes.c). */
function encodeLinkName(value: string): string {
  return value.replace(
    /[^0-9A-Za-z#+\-.:=@_\u0080-\u{10ffff}]/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

async function deviceNumber(node: string): Promise<string | null> {
  const facts = await stat(node);
  if (!facts.isBlockDevice()) return null;
  // glibc's gnu_dev_major() and gnu_dev_minor(); Linux itself has 12 and 20 bits.
  const major = (facts.rdev >> 8) & 0xfff;
  const minor = (facts.rdev & 0xff) | ((facts.rdev >> 12) & 0xfff00);
  return `${major}:${minor}`;
}
