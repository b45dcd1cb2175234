import type { ReadAt } from "../../../src/formats/read-at.ts";
import type { Mapping, MappingPlace } from "../../../src/machine/mapping.ts";

const sectorBytes = 512n;

/** Reads through a mapping as the device mapper would (Documentation/admin-guide/device-mapper, linear and striped). */
export async function readMapped(
  mapping: Mapping,
  readerOf: (device: string) => ReadAt,
  sector: number,
): Promise<Uint8Array> {
  if (mapping.kind === "raid") throw new Error("only the RAID driver reads this");
  const piece = mapping.pieces.find(({ start, sectors }) => sector >= start && sector < start + sectors);
  if (piece === undefined) throw new Error(`sector ${sector} is not mapped`);
  const within = sector - piece.start;
  if (piece.chunkSectors === 0) return readPlace(piece.places[0], readerOf, within);
  const chunk = Math.floor(within / piece.chunkSectors);
  const row = Math.floor(chunk / piece.places.length);
  const place = piece.places[chunk % piece.places.length];
  return readPlace(place, readerOf, row * piece.chunkSectors + (within % piece.chunkSectors));
}

function readPlace(
  place: MappingPlace | undefined,
  readerOf: (device: string) => ReadAt,
  within: number,
): Promise<Uint8Array> {
  if (place === undefined) throw new Error("a piece without a place");
  const sector = place.sector + within;
  if ("mapping" in place.on) return readMapped(place.on.mapping, readerOf, sector);
  return readerOf(place.on.device)(BigInt(sector) * sectorBytes, Number(sectorBytes));
}

const patternSectors = 32768;
const blockSectors = 128;

/** The label that test/data/volume-layers has at each 64 KiB of the volume with pattern `number`. */
export function expectedLabel(number: number, sector: number): string {
  const block = (number * patternSectors + sector) / blockSectors;
  const blocks = patternSectors / blockSectors;
  return `pattern ${Math.floor(block / blocks)} block ${block % blocks}`;
}

/** The labels of every whole 64 KiB of a mapping, beside those that are expected. */
export async function labelsOf(
  mapping: Mapping,
  readerOf: (device: string) => ReadAt,
  number: number,
  sectors: number,
): Promise<{ found: string[]; expected: string[] }> {
  const found: string[] = [];
  const expected: string[] = [];
  for (let sector = 0; sector + blockSectors <= sectors; sector += blockSectors) {
    const bytes = await readMapped(mapping, readerOf, sector);
    found.push(Buffer.from(bytes).toString("latin1").split("\n")[0] ?? "");
    expected.push(expectedLabel(number, sector));
  }
  return { found, expected };
}
