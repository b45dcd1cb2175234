import type { ReadRange } from "../ranges.ts";
import { Dictionary } from "./dictionary.ts";
import { ForwardInput, spareBytes } from "./forward-input.ts";
import { dictionaryBytesMax, LzmaDecoder } from "./lzma-decoder.ts";

/** Bytes of output between two steps. */
const stepBytes = 1 << 20;

/**
 * Unpacks a `.lzma` file (LZMA SDK, lzma-specification.txt, "LZMA file format"): properties, dictionary and size in 13
 * bytes, little-endian, then the data, which ends at that size, at the end marker, or at both. Zeroes may follow. The
 * format has no checksum. Yields views that are valid until the next step.
 *
 * @param size bytes of the file
 * @param outputBytesMax more than this many bytes of output are an error
 * @throws FormatError with the offset in the file.
 */
export function* unpackLzma(
  read: ReadRange,
  size: number,
  outputBytesMax: number,
): Generator<Uint8Array, void, undefined> {
  const input = new ForwardInput(read, size, "lzma");
  const decoder = new LzmaDecoder(new Dictionary());
  const announced = readHeader(input, decoder, outputBytesMax);
  decoder.startRange(input);
  const written = yield* unpackData(input, decoder, announced, outputBytesMax);
  if (announced !== null && written < announced) {
    input.fail(`${announced} bytes of output expected, the data ends after ${written}`);
  }
  finish(input, decoder);
  input.skipZeroes();
  if (input.remaining > 0) input.fail(`the end of the file or zeroes expected, ${input.remaining} byte(s) follow`);
}

/** Prepares the decoder. Returns the size of the output; null when the header does not tell it. */
function readHeader(input: ForwardInput, decoder: LzmaDecoder, outputBytesMax: number): number | null {
  decoder.setProperties(input);
  const offset = input.offset;
  const dictionaryBytes = input.u32le("dictionary size");
  if (dictionaryBytes > dictionaryBytesMax) {
    input.fail(`at most ${dictionaryBytesMax} bytes are taken, not ${dictionaryBytes}`, "dictionary size", offset);
  }
  const low = input.u32le("size");
  const high = input.u32le("size");
  const announced = high * 2 ** 32 + low;
  const isKnown = low !== 0xffff_ffff || high !== 0xffff_ffff;
  if (isKnown && announced > outputBytesMax) {
    input.fail(`at most ${outputBytesMax} bytes of output are taken, not ${announced}`, "size", offset + 4);
  }
  decoder.dictionary.prepare(Math.min(dictionaryBytes, outputBytesMax));
  return isKnown ? announced : null;
}

/** Decodes up to the announced size or the end marker. Returns the bytes of output. */
function* unpackData(
  input: ForwardInput,
  decoder: LzmaDecoder,
  announced: number | null,
  outputBytesMax: number,
): Generator<Uint8Array, number, undefined> {
  const { dictionary } = decoder;
  let written = 0;
  while (!decoder.isEnded && written !== announced) {
    const start = dictionary.position;
    const left = Math.min(stepBytes, (announced ?? Number.POSITIVE_INFINITY) - written);
    advance(input, decoder, start + Math.min(left, dictionary.size - start));
    written += dictionary.position - start;
    if (written > outputBytesMax) input.fail(`at most ${outputBytesMax} bytes of output are taken`);
    yield dictionary.takeOutput();
  }
  return written;
}

/** Decodes until the input's window is used up or there is output up to `outputEnd`. */
function advance(input: ForwardInput, decoder: LzmaDecoder, outputEnd: number): void {
  if (!input.isComplete && input.end - input.position <= spareBytes) input.fill();
  decoder.run(input, input.isComplete ? input.end : input.end - spareBytes, outputEnd);
  checkInput(input);
}

/** The decoder looks for input without checking that there is any. */
function checkInput(input: ForwardInput): void {
  if (input.position <= input.end) return;
  input.position = input.end;
  input.fail("more data expected, the input ends");
}

/** Checks that the data ends here: at the announced size an end marker may follow, which then ends it. */
function finish(input: ForwardInput, decoder: LzmaDecoder): void {
  if (decoder.pendingBytes > 0) input.fail(`a match ends ${decoder.pendingBytes} byte(s) beyond the announced size`);
  input.fill();
  if (!decoder.isEnded && !decoder.endsRange(input)) {
    checkInput(input);
    advance(input, decoder, decoder.dictionary.position + 1);
    if (!decoder.isEnded) input.fail("the data goes on beyond the announced size");
  }
  const isWhole = decoder.endsRange(input);
  checkInput(input);
  if (!isWhole) input.fail("the end of the data expected after the end marker");
}
