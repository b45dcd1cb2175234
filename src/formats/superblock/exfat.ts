import { ByteReader } from "../bytes.ts";
import type { SuperblockFacts } from "../volume-facts.ts";
import { chainPieces } from "./cluster-chain.ts";
import { type ProbedDevice, requireFits, serialText, utf16Label } from "./probe.ts";

// Layout: Microsoft, "exFAT file system specification", sections 3.1, 3.4 and 7.3; little-endian.

const entryBytes = 32;
const entryEnd = 0x00;
const entryLabel = 0x83;
const labelCharactersMax = 11;

/** exFAT; the label is that of the root directory. */
export async function probeExfat(device: ProbedDevice): Promise<SuperblockFacts | null> {
  const boot = new ByteReader(device.head, "exfat");
  if (!boot.hasMagic(3, "EXFAT   ")) return null;
  if (boot.u16le(510, "signature") !== 0xaa55) boot.fail("55 AA expected", 510, "signature");
  const sectorLog = boot.u8(108, "sector size");
  if (sectorLog < 9 || sectorLog > 12) boot.fail(`2^${sectorLog} bytes, 2^9 to 2^12 expected`, 108, "sector size");
  const clusterLog = sectorLog + boot.u8(109, "cluster size");
  if (clusterLog > 25) boot.fail(`2^${clusterLog} bytes, at most 2^25 expected`, 109, "cluster size");
  checkBootRegion(boot, 1 << sectorLog);
  const sectors = boot.u64le(72, "size");
  if (sectors < 1n << BigInt(20 - sectorLog)) boot.fail(`${sectors} sectors, at least 1 MiB expected`, 72, "size");
  requireFits("exfat", 72, sectors << BigInt(sectorLog), device.bytes);
  const bytesOf = (sector: number): bigint => BigInt(sector) << BigInt(sectorLog);
  const directory = chainPieces(device, {
    format: "exfat",
    firstCluster: boot.u32le(96, "root directory"),
    clusterBytes: 1 << clusterLog,
    clusterCount: boot.u32le(92, "cluster count"),
    dataOffset: bytesOf(boot.u32le(88, "cluster heap")),
    tableOffset: bytesOf(boot.u32le(80, "FAT offset")),
    entryMask: 0xffffffff,
  });
  return {
    type: "exfat",
    usage: "filesystem",
    uuid: serialText(boot.slice(100, 4, "serial number")),
    label: await findLabel(directory),
  };
}

/** Section 3.4: the first 11 sectors summed up, without the bytes that change in use; the 12th repeats the sum. */
function checkBootRegion(boot: ByteReader, sectorBytes: number): void {
  const region = boot.slice(0, 12 * sectorBytes, "boot region");
  const sumOffset = 11 * sectorBytes;
  let sum = 0;
  for (let i = 0; i < sumOffset; i++) {
    if (i === 106 || i === 107 || i === 112) continue;
    sum = (((sum << 31) | (sum >>> 1)) + (region[i] ?? 0)) >>> 0;
  }
  for (let i = 0; i < sectorBytes; i += 4) {
    if (boot.u32le(sumOffset + i, "checksum") === sum) continue;
    boot.fail("the checksum does not match the boot region", sumOffset + i, "checksum");
  }
}

async function findLabel(directory: AsyncGenerator<Uint8Array>): Promise<string | null> {
  for await (const piece of directory) {
    for (let offset = 0; offset + entryBytes <= piece.length; offset += entryBytes) {
      const entry = piece.subarray(offset, offset + entryBytes);
      if (entry[0] === entryEnd) return null;
      if (entry[0] !== entryLabel) continue;
      const characters = Math.min(entry[1] ?? 0, labelCharactersMax);
      return utf16Label(entry.subarray(2, 2 + characters * 2));
    }
  }
  return null;
}
