import { ByteReader } from "../bytes.ts";
import type { ProbedDevice } from "./probe.ts";

/** A directory of FAT32 or exFAT: clusters linked by the file allocation table. */
export interface ClusterChain {
  readonly format: string;
  readonly firstCluster: number;
  readonly clusterBytes: number;
  /** Clusters count from 2; this is how many there are. */
  readonly clusterCount: number;
  /** Where cluster 2 stands on the device, bytes. */
  readonly dataOffset: bigint;
  /** Where the file allocation table stands on the device, bytes. */
  readonly tableOffset: bigint;
  /** Bits of a table entry (32 bits, little-endian) that hold the next cluster's number. */
  readonly entryMask: number;
}

/** A volume label is looked for in so much of a root directory; it usually is its first entry. */
export const directoryBytesMax = 256 << 10;
/** Longest chain that is followed, so that one which loops ends. */
const clustersMax = 100;
/** One read of a directory. */
const pieceBytes = 16 << 10;

/** The bytes from `offset` on in pieces, up to `length` bytes or the device's end. */
export async function* pieces(device: ProbedDevice, offset: bigint, length: number): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < length; done += pieceBytes) {
    const piece = await device.read(offset + BigInt(done), Math.min(pieceBytes, length - done));
    if (piece.length === 0) return;
    yield piece;
  }
}

/** The chain's bytes in pieces, until it ends, leaves the volume or reaches a limit. */
export async function* chainPieces(device: ProbedDevice, chain: ClusterChain): AsyncGenerator<Uint8Array> {
  let cluster = chain.firstCluster;
  let left = directoryBytesMax;
  for (let clusters = 0; clusters < clustersMax && left > 0; clusters++) {
    if (cluster < 2 || cluster >= chain.clusterCount + 2) return;
    const offset = chain.dataOffset + BigInt(cluster - 2) * BigInt(chain.clusterBytes);
    yield* pieces(device, offset, Math.min(chain.clusterBytes, left));
    left -= chain.clusterBytes;
    const entry = await device.read(chain.tableOffset + BigInt(cluster) * 4n, 4);
    if (entry.length < 4) return;
    cluster = (new ByteReader(entry, chain.format).u32le(0, "next cluster") & chain.entryMask) >>> 0;
  }
}
