import { createHash } from "node:crypto";
import { type FileHandle, lstat, open, rename, unlink } from "node:fs/promises";
import path from "node:path";
import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGzip, createZstdCompress } from "node:zlib";
import { ImageError, imageError } from "./image-error.ts";

/** How the archive is packed. */
export type Compression =
  | { readonly kind: "zstd"; readonly level: number }
  | { readonly kind: "gzip"; readonly level: number }
  | { readonly kind: "none" };

/**
 * The levels that each compression takes. zstd's default is the best that packs the runtime (116 MB) within about 20 s on a
 * slow machine: 32.2 MB; level 9 takes 1.2 s and gives 35.0 MB, level 19 takes 25 s and gives 30.5 MB.
 */
export const compressionLevels = {
  zstd: { min: 1, max: 22, default: 17 },
  gzip: { min: 1, max: 9, default: 9 },
} as const;

/**
 * zstd's window, as a power of two of bytes: what unpacking needs in memory. The kernel refuses more than 27
 * (lib/decompress_unzstd.c); levels over 19 would take up to that, which a small machine cannot spare.
 */
const zstdWindowLogMax = 23;
/** The highest level whose own window is within that. */
const zstdOwnWindowLevelMax = 19;

const outputChunkBytes = 1 << 20;

export interface WrittenOutput {
  readonly bytes: number;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

/**
 * Writes chunks, compressed, to a file that appears whole or not at all: a temporary file beside it is filled, flushed to
 * the disk and renamed.
 *
 * @param signal stops the work; the temporary file is removed then too
 */
export async function writeOutput(
  output: string,
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression,
  signal?: AbortSignal,
): Promise<WrittenOutput> {
  await checkOutput(output);
  const temporary = path.join(path.dirname(output), `.${path.basename(output)}.${process.pid}.tmp`);
  const handle = await openNew(temporary, output);
  try {
    const written = await fill(handle, chunks, compression, signal);
    await handle.sync();
    await handle.close();
    await rename(temporary, output);
    await syncDirectory(path.dirname(output));
    return written;
  } catch (error) {
    await handle.close().catch(() => {});
    await unlink(temporary).catch(() => {});
    throw error;
  }
}

async function fill(
  handle: FileHandle,
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression,
  signal?: AbortSignal,
): Promise<WrittenOutput> {
  const hash = createHash("sha256");
  let bytes = 0;
  const write = async (packed: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const chunk of packed) {
      hash.update(chunk);
      bytes += chunk.length;
      for (let done = 0; done < chunk.length; ) done += (await handle.write(chunk, done)).bytesWritten;
    }
  };
  const source = Readable.from(chunks, { objectMode: false });
  const compressor = makeCompressor(compression);
  const options = signal === undefined ? {} : { signal };
  if (compressor === null) await pipeline(source, write, options);
  else await pipeline(source, compressor, write, options);
  return { bytes, sha256: hash.digest("hex") };
}

/** zstd's checksum stays off: the kernel would spend time on it at every boot, and the image is signed or it is not. */
function makeCompressor(compression: Compression): Transform | null {
  if (compression.kind === "none") return null;
  if (compression.kind === "gzip") return createGzip({ level: compression.level, chunkSize: outputChunkBytes });
  const window = compression.level > zstdOwnWindowLevelMax ? { [constants.ZSTD_c_windowLog]: zstdWindowLogMax } : {};
  const params = { [constants.ZSTD_c_compressionLevel]: compression.level, ...window };
  return createZstdCompress({ chunkSize: outputChunkBytes, params });
}

async function checkOutput(output: string): Promise<void> {
  const stat = await lstat(output).catch(() => null);
  if (stat === null || stat.isFile()) return;
  throw new ImageError(`write "${output}": a new or a regular file expected, there is something else`);
}

/** Permissions are fixed: the umask of who builds is no input. */
async function openNew(temporary: string, output: string): Promise<FileHandle> {
  try {
    await unlink(temporary).catch(() => {});
    const handle = await open(temporary, "wx", 0o644);
    await handle.chmod(0o644);
    return handle;
  } catch (error) {
    throw imageError("write", output, error);
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
