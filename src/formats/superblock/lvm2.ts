import { ByteReader } from "../bytes.ts";
import { crc32 } from "../crc32.ts";
import { quote } from "../format-error.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { type ProbedDevice, requireFits } from "./probe.ts";

// Layout: LVM2, lib/label/label.h and lib/format_text/layout.h (label_header, pv_header); little-endian.
const sectorBytes = 512;
/** The label stands in one of the first sectors; the second by default. */
const sectorsMax = 4;
const checksumSeed = 0xf597a6cf;
const uuidCharacters = 32;
const groups = /^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6})$/;

/** A physical volume of LVM2. */
export async function probeLvm2(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const label = new ByteReader(device.head, "LVM2_member");
  for (let sector = 0; sector < sectorsMax; sector++) {
    const at = sector * sectorBytes;
    if (label.hasMagic(at, "LABELONE") && label.hasMagic(at + 24, "LVM2 001")) return readLabel(label, sector, device);
  }
  return null;
}

function readLabel(label: ByteReader, sector: number, device: ProbedDevice): SuperblockFacts {
  const at = sector * sectorBytes;
  const ownSector = label.u64le(at + 8, "own sector");
  if (ownSector !== BigInt(sector)) label.fail(`${ownSector}, ${sector} expected`, at + 8, "own sector");
  // CRC-32 with LVM's own seed, the register not inverted at the end, from the next field to the sector's end.
  const covered = label.slice(at + 20, sectorBytes - 20, "label");
  if (label.u32le(at + 16, "checksum") !== ~crc32(covered, ~checksumSeed) >>> 0) {
    label.fail("the checksum does not match the label", at + 16, "checksum");
  }
  const header = label.u32le(at + 20, "header offset");
  if (header < 32 || header > sectorBytes - 40) {
    label.fail(`${header}, 32 to ${sectorBytes - 40} expected`, at + 20, "header offset");
  }
  const uuid = label.latin1(at + header, uuidCharacters, "uuid");
  if (!/^[0-9A-Za-z!#]{32}$/.test(uuid)) label.fail(`${quote(uuid)} is not an LVM identifier`, at + header, "uuid");
  const sizeOffset = at + header + uuidCharacters;
  requireFits("LVM2_member", sizeOffset, label.u64le(sizeOffset, "size"), device.bytes);
  return { type: "LVM2_member", usage: "lvm", uuid: groups.exec(uuid)?.slice(1).join("-") ?? null, label: null };
}
