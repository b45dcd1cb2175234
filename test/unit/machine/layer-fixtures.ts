import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { ReadAt } from "../../../src/formats/read-at.ts";

const directory = new URL("../../data/volume-layers/", import.meta.url);
const pageBytes = 4096;

interface StoredDisk {
  readonly set: string;
  readonly name: string;
  readonly deviceBytes: number;
  /** Of the set's first disk: lines of what the real tools said. */
  readonly facts?: readonly string[];
}

/** A disk that lvm(8) and mdadm(8) have written, in memory. */
export interface LayerDisk {
  readonly name: string;
  readonly deviceBytes: number;
  readonly read: ReadAt;
}

export interface LayerSet {
  readonly disks: readonly LayerDisk[];
  readonly facts: readonly string[];
}

/** The disks of one set of test/data/volume-layers (see its README). */
export function layerSet(set: string): LayerSet {
  const stored: readonly StoredDisk[] = JSON.parse(readFileSync(new URL("fixtures.json", directory), "utf8"));
  const own = stored.filter((disk) => disk.set === set);
  if (own.length === 0) throw new Error(`no disks of the set "${set}"`);
  return { disks: own.map(loadDisk), facts: own.flatMap(({ facts }) => facts ?? []) };
}

/** Pages that are not zero, each behind its number in 4 bytes. */
function loadDisk({ name, deviceBytes }: StoredDisk): LayerDisk {
  const content = gunzipSync(readFileSync(new URL(`${name}.gz`, directory)));
  const pages = new Map<number, Uint8Array>();
  for (let at = 0; at < content.length; at += 4 + pageBytes) {
    pages.set(content.readUInt32LE(at), Uint8Array.from(content.subarray(at + 4, at + 4 + pageBytes)));
  }
  return { name, deviceBytes, read: readerOf(pages, deviceBytes) };
}

function readerOf(pages: ReadonlyMap<number, Uint8Array>, deviceBytes: number): ReadAt {
  return async (offset, length) => {
    const start = Number(offset);
    const bytes = new Uint8Array(Math.max(0, Math.min(length, deviceBytes - start)));
    for (let at = 0; at < bytes.length; ) {
      const within = (start + at) % pageBytes;
      const part = Math.min(pageBytes - within, bytes.length - at);
      const page = pages.get(Math.floor((start + at) / pageBytes));
      if (page !== undefined) bytes.set(page.subarray(within, within + part), at);
      at += part;
    }
    return bytes;
  };
}
