import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type FileSource, type OpenFile, SourceError } from "../../src/discovery/source.ts";
import type { ReadAt } from "../../src/formats/read-at.ts";
import { memorySource } from "./memory-source.ts";

const sectorBytes = 2048;
const data = new URL("../data/iso9660/", import.meta.url);

/** What xorriso shows of a file of the image. */
export interface ListedFile {
  readonly path: string;
  readonly type: "file" | "directory" | "link" | "other";
  readonly size?: number;
  readonly target?: string;
}

/** An image of test/data/iso9660; only its sectors that are not zero are kept. */
export interface Iso9660Fixture {
  readonly name: string;
  readonly bytes: number;
  readonly runs: readonly (readonly [first: number, sectors: number])[];
  readonly entries: readonly ListedFile[];
}

export const iso9660Fixtures: readonly Iso9660Fixture[] = JSON.parse(
  readFileSync(new URL("fixtures.json", data), "utf8"),
);

/** What was put into the images: path without its first slash → text, `-> TARGET` for a link. */
export const iso9660Files: {
  readonly files: Readonly<Record<string, string>>;
  readonly marks: readonly (readonly [at: number, text: string])[];
  readonly bigBytes: number;
} = JSON.parse(readFileSync(new URL("files.json", data), "utf8"));

export function iso9660Fixture(name: string): Iso9660Fixture {
  const fixture = iso9660Fixtures.find((each) => each.name === name);
  if (fixture === undefined) throw new Error(`no image ${name}`);
  return fixture;
}

/** Reads the image as it was, without holding all of it. */
export function sparseReader({ name, bytes, runs }: Iso9660Fixture): ReadAt {
  const kept = gunzipSync(readFileSync(new URL(`${name}.gz`, data)));
  const sectors = new Map<number, Uint8Array>();
  let at = 0;
  for (const [first, count] of runs) {
    for (let sector = first; sector < first + count; sector++, at += sectorBytes) {
      sectors.set(sector, kept.subarray(at, at + sectorBytes));
    }
  }
  return async (offset, length) => {
    const start = Number(offset);
    const into = new Uint8Array(Math.max(0, Math.min(length, bytes - start)));
    for (let done = 0; done < into.length; ) {
      const place = start + done;
      const inside = place % sectorBytes;
      const count = Math.min(sectorBytes - inside, into.length - done);
      const sector = sectors.get((place - inside) / sectorBytes);
      if (sector !== undefined) into.set(sector.subarray(inside, inside + count), done);
      done += count;
    }
    return into;
  };
}

/** A whole image, for those that are small. */
export function imageBytes(fixture: Iso9660Fixture): Promise<Uint8Array> {
  return sparseReader(fixture)(0n, fixture.bytes);
}

/** How many files of a volume are open now, and how often one was opened. */
export interface OpenCount {
  open: number;
  opened: number;
}

/** A volume that holds nothing but an image, at `/images/NAME.iso`. */
export function imageVolume(fixture: Iso9660Fixture, count: OpenCount = { open: 0, opened: 0 }): FileSource {
  const path = `/images/${fixture.name}.iso`;
  const read = sparseReader(fixture);
  const outer = memorySource("vda1", { [path]: "" });
  return {
    ...outer,
    async open(asked): Promise<OpenFile> {
      if (asked !== path) throw new SourceError(`open ${asked}: no such file`);
      count.open++;
      count.opened++;
      return {
        size: fixture.bytes,
        async read(into, position) {
          const bytes = await read(BigInt(position), into.length);
          into.set(bytes);
          return bytes.length;
        },
        async [Symbol.asyncDispose]() {
          count.open--;
        },
      };
    },
  };
}
