import type { ForwardInput } from "./forward-input.ts";
import { type LzmaDecoder, rangeStartBytes } from "./lzma-decoder.ts";

/**
 * Unpacks LZMA2 chunks up to the one that ends them (the XZ format leaves them to LZMA SDK's Lzma2Dec.c; Linux
 * lib/xz/xz_dec_lzma2.c, "LZMA2 chunk"). The decoder's dictionary is prepared. Yields views that are valid until the next
 * step, of 2 MiB at most.
 *
 * @throws FormatError with the input's format and the offset in the file.
 */
export function* unpackLzma2(input: ForwardInput, decoder: LzmaDecoder): Generator<Uint8Array, void, undefined> {
  const { dictionary } = decoder;
  let needsDictionaryReset = true;
  let needsProperties = true;
  for (;;) {
    const offset = input.offset;
    const control = input.u8("LZMA2 control");
    if (control === 0x00) return;
    if (control === 0x01 || control >= 0xe0) {
      dictionary.reset();
      needsDictionaryReset = false;
      needsProperties = true;
    }
    if ((control > 0x02 && control < 0x80) || needsDictionaryReset) {
      const expected = needsDictionaryReset ? "0, 1 or 0xe0 to 0xff" : "0, 1, 2 or 0x80 to 0xff";
      input.fail(`${expected} expected, not 0x${control.toString(16)}`, "LZMA2 control", offset);
    }
    if (control < 0x80) {
      yield* unpackStoredChunk(input, decoder);
      continue;
    }
    if (control >= 0xc0) needsProperties = false;
    else if (needsProperties) input.fail("a chunk with properties (0xc0 to 0xff) expected", "LZMA2 control", offset);
    yield* unpackLzmaChunk(input, decoder, control);
  }
}

function* unpackStoredChunk(input: ForwardInput, { dictionary }: LzmaDecoder): Generator<Uint8Array, void, undefined> {
  let left = input.u16be("LZMA2 size") + 1;
  while (left > 0) {
    const fitting = Math.min(left, dictionary.size - dictionary.position);
    dictionary.append(input.take(fitting, "LZMA2 chunk"));
    left -= fitting;
    yield dictionary.takeOutput();
  }
}

function* unpackLzmaChunk(
  input: ForwardInput,
  decoder: LzmaDecoder,
  control: number,
): Generator<Uint8Array, void, undefined> {
  const { dictionary } = decoder;
  let left = ((control & 0x1f) << 16) + input.u16be("LZMA2 size") + 1;
  const compressedBytes = input.u16be("LZMA2 compressed size") + 1;
  if (control >= 0xc0) decoder.setProperties(input);
  else if (control >= 0xa0) decoder.resetState();
  if (compressedBytes < rangeStartBytes) {
    input.fail(`at least ${rangeStartBytes} bytes expected, not ${compressedBytes}`, "LZMA2 compressed size");
  }
  input.require(compressedBytes, "LZMA2 chunk");
  const end = input.position + compressedBytes;
  decoder.startRange(input);
  while (left > 0) {
    const start = dictionary.position;
    decoder.run(input, end, start + Math.min(left, dictionary.size - start));
    if (decoder.isEnded) input.fail("no end marker expected", "LZMA2 chunk");
    if (input.position > end) failBeyond(input, end);
    left -= dictionary.position - start;
    yield dictionary.takeOutput();
  }
  const isWhole = decoder.endsRange(input) && decoder.pendingBytes === 0;
  if (input.position > end) failBeyond(input, end);
  if (!isWhole || input.position < end) input.fail("the end of the chunk's data expected", "LZMA2 chunk");
}

/** The decoder looked beyond the chunk. */
function failBeyond(input: ForwardInput, end: number): never {
  input.position = end;
  return input.fail("more data expected, the chunk ends here", "LZMA2 chunk");
}
