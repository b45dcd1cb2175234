import { FormatError } from "./format-error.ts";
import { hasGptSignature, readGpt } from "./gpt.ts";
import { parseMbr, readMbrPartitions } from "./mbr.ts";
import type { ReadAt } from "./read-at.ts";
import type { PartitionFacts } from "./volume-facts.ts";

export interface PartitionTable {
  /** Null: the disk has none that is known; a filesystem may stand on the whole disk. */
  readonly table: "gpt" | "msdos" | null;
  /** By number. */
  readonly partitions: readonly PartitionFacts[];
  /** What was refused or repaired, one sentence each, for a person to read. */
  readonly problems: readonly string[];
}

const sectorBytesAllowed: readonly number[] = [512, 1024, 2048, 4096];

/**
 * Reads a disk's partition table. As for Linux, a GPT counts only behind a protective MBR. Damage is told in
 * `problems` and costs as little as it can; a failed read rejects with the reader's error.
 *
 * @param diskBytes size of the disk
 * @param sectorBytes size of a logical block: 512, 1024, 2048 or 4096, others are a {@link FormatError}
 */
export async function readPartitionTable(
  read: ReadAt,
  diskBytes: bigint,
  sectorBytes: number,
): Promise<PartitionTable> {
  if (!sectorBytesAllowed.includes(sectorBytes)) {
    throw new FormatError("partition table", `sectors of ${sectorBytes} bytes, 512, 1024, 2048 or 4096 expected`);
  }
  // The first two sectors: an MBR, and where a GPT would begin.
  const startBytes = diskBytes < BigInt(2 * sectorBytes) ? Number(diskBytes) : 2 * sectorBytes;
  const start = startBytes === 0 ? new Uint8Array() : await read(0n, startBytes);
  const mbr = parseMbr(start.subarray(0, sectorBytes));
  if (mbr?.protective) return { table: "gpt", ...(await readGpt(read, diskBytes, sectorBytes)) };
  const problems: string[] = [];
  if (hasGptSignature(start.subarray(sectorBytes))) {
    problems.push("gpt: a header stands at sector 1, but no protective MBR in front of it; it is not used");
  }
  if (mbr === null) return { table: null, partitions: [], problems };
  const found = await readMbrPartitions(read, mbr, diskBytes, sectorBytes);
  return { table: "msdos", partitions: found.partitions, problems: [...problems, ...found.problems] };
}
