import { Readable, type Transform } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { constants, createGunzip, createZstdDecompress, type Zlib } from "node:zlib";
import { ForwardInput } from "../formats/compression/forward-input.ts";
import { errorCode, messageOf } from "../formats/error-text.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import type { ReadRange } from "../formats/ranges.ts";
import type { FileRange, System } from "../linux/system.ts";
import { readRangeOf } from "../machine/file-range.ts";
import { MemoryFile } from "../trust/memory-file.ts";

/** A compression that is undone here. */
export type Compression = "gzip" | "zstd" | "xz" | "lzma" | "lz4" | "bzip2" | "lzo";

export interface DecompressOptions {
  /** Most bytes that may come out. */
  readonly bytesMax: number;
  /** Called as bytes of the file are used. */
  readonly progress?: (input: number, total: number) => void;
}

/** A file that is not what it claims to be, is cut, or becomes too large. The message names file, wrapping and place. */
export class DecompressError extends Error {
  override readonly name = "DecompressError";
}

/** Bytes of input and output that the runtime's decoders handle at a time. */
const chunkBytes = 1 << 18;
/** memfd_create(2) takes 249 bytes of UTF-8. */
const memoryNameCharactersMax = 80;

/** Bytes that came out, valid until the next step, and how many went in so far. */
interface Step {
  readonly bytes: Uint8Array;
  readonly inputBytes: number;
}

/**
 * Unwraps a file into sealed memory, holding little more of it at a time than the format's dictionary or block: gzip
 * (RFC 1952, any number of members), zstd (RFC 8878, frames whose window is 128 MiB at most), xz (with LZMA2, delta and
 * the filters for x86 and ARM64), lzma, lz4 (frames, also the old ones that Linux's build makes), bzip2, lzo (as lzop
 * writes it). Every checksum that the file has is verified. Zeroes may follow the end; anything else there is refused, also
 * after gzip, where gzip(1) ignores it. Everything is read from the descriptor by position.
 *
 * @param name of the file, for messages
 * @throws DecompressError when the file is bad or larger than allowed. What reading and writing throw passes as it is.
 */
export async function decompress(
  system: System,
  from: FileRange,
  wrapping: Compression,
  name: string,
  options: DecompressOptions,
): Promise<MemoryFile> {
  const memory = new MemoryFile(system, name.slice(-memoryNameCharactersMax));
  try {
    for await (const { bytes, inputBytes } of unpack(from, wrapping, options.bytesMax)) {
      if (memory.size + bytes.length > options.bytesMax) {
        throw new FormatError(wrapping, `at most ${options.bytesMax} bytes of output are taken`);
      }
      memory.append(bytes);
      options.progress?.(inputBytes, from.length);
    }
    memory.seal();
    return memory;
  } catch (error) {
    memory[Symbol.dispose]();
    if (!(error instanceof FormatError)) throw error;
    throw new DecompressError(`cannot unwrap ${quote(name)}: ${error.message}`, { cause: error });
  }
}

/** Throws FormatError. */
async function* unpack(
  from: FileRange,
  wrapping: Compression,
  bytesMax: number,
): AsyncGenerator<Step, void, undefined> {
  switch (wrapping) {
    case "gzip":
      return yield* unpackGzip(from);
    case "zstd":
      return yield* unpackZstd(from);
    case "xz":
      return yield* unpackHere(from, (await import("../formats/compression/xz.ts")).unpackXz, bytesMax);
    case "lzma":
      return yield* unpackHere(from, (await import("../formats/compression/lzma.ts")).unpackLzma, bytesMax);
    case "lz4":
      return yield* unpackHere(from, (await import("../formats/compression/lz4.ts")).unpackLz4, bytesMax);
    case "bzip2":
      return yield* unpackHere(from, (await import("../formats/compression/bzip2.ts")).unpackBzip2, bytesMax);
    case "lzo":
      return yield* unpackHere(from, (await import("../formats/compression/lzo.ts")).unpackLzo, bytesMax);
  }
}

async function* unpackGzip(from: FileRange): AsyncGenerator<Step, void, undefined> {
  const used = yield* unpackByRuntime("gzip", from, createGunzip({ chunkSize: chunkBytes }));
  expectZeroes("gzip", from, used);
}

async function* unpackZstd(from: FileRange): AsyncGenerator<Step, void, undefined> {
  const { checkZstdFrames, zstdWindowLogMax } = await import("../formats/compression/zstd-frames.ts");
  // The runtime's decoder tells neither a frame that is cut in its header nor, always, what follows the last one.
  const frames = { ...from, length: checkZstdFrames(readRangeOf(from), from.length) };
  const params = { [constants.ZSTD_d_windowLogMax]: zstdWindowLogMax };
  const used = yield* unpackByRuntime("zstd", frames, createZstdDecompress({ chunkSize: chunkBytes, params }));
  expectZeroes("zstd", from, used);
}

/** From `offset` to the end of the file. */
function expectZeroes(wrapping: Compression, from: FileRange, offset: number): void {
  const input = new ForwardInput(readRangeOf(from), from.length, wrapping);
  input.skip(offset, "data");
  input.skipZeroes();
  if (input.remaining > 0) input.fail("zeroes or the end of the file expected");
}

/** Runs a file through one of the runtime's decoders. Returns how much of it was used. */
async function* unpackByRuntime(
  wrapping: Compression,
  from: FileRange,
  decoder: Transform & Zlib,
): AsyncGenerator<Step, number, undefined> {
  const source = Readable.from(chunksOf(from), { objectMode: false, highWaterMark: chunkBytes });
  // Not stream.pipeline(): a decoder that comes to its end leaves the rest unread, and that takes it for a failure.
  source.on("error", (error) => decoder.destroy(error));
  source.pipe(decoder);
  try {
    for await (const bytes of decoder) yield { bytes, inputBytes: decoder.bytesWritten };
  } catch (error) {
    throw isDecoderError(error) ? explain(wrapping, error, from.length, decoder.bytesWritten) : error;
  } finally {
    source.destroy();
    decoder.destroy();
  }
  return decoder.bytesWritten;
}

function* chunksOf(from: FileRange): Generator<Uint8Array, void, undefined> {
  const read = readRangeOf(from);
  for (let offset = 0; ; ) {
    const bytes = read(offset, chunkBytes);
    if (bytes.length === 0) return;
    yield bytes;
    offset += bytes.length;
  }
}

function isDecoderError(error: unknown): boolean {
  return /^Z_|^ZSTD_error_/.test(errorCode(error) ?? "");
}

/** @param used where the decoder was at last: it tells no place */
function explain(wrapping: Compression, error: unknown, length: number, used: number): FormatError {
  if (errorCode(error) === "Z_BUF_ERROR") {
    return new FormatError(wrapping, "more data expected, the input ends", { offset: length });
  }
  const message = messageOf(error);
  // What zlib says of anything that stands behind a member and is none.
  const detail = message === "incorrect header check" ? "a member expected, or zeroes behind the last one" : message;
  return new FormatError(wrapping, `${detail}, after offset ${used}`);
}

type Unpacker = (read: ReadRange, size: number, bytesMax: number) => Iterable<Uint8Array>;

/** Runs a file through one of our own decoders; between its steps others get their turn. */
async function* unpackHere(
  from: FileRange,
  unpacker: Unpacker,
  bytesMax: number,
): AsyncGenerator<Step, void, undefined> {
  const read = readRangeOf(from);
  let inputBytes = 0;
  const readAndCount: ReadRange = (offset, length) => {
    const bytes = read(offset, length);
    inputBytes = offset + bytes.length;
    return bytes;
  };
  for (const bytes of unpacker(readAndCount, from.length, bytesMax)) {
    yield { bytes, inputBytes };
    await setImmediate();
  }
}
