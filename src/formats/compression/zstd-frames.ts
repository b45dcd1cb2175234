import type { ReadRange } from "../ranges.ts";
import { ForwardInput } from "./forward-input.ts";

/** RFC 8878, section 3.1.1. */
const frameMagic = 0xfd2fb528;
/** Section 3.1.2: the lowest 4 bits are the user's. */
const skippableMagic = 0x184d2a50;
const blockTypes = { raw: 0, rle: 1, compressed: 2, reserved: 3 } as const;
/** Bytes by the two bits that announce a field; the content size has one more rule. */
const dictionaryIdBytes = [0, 1, 2, 4] as const;
const contentSizeBytes = [0, 2, 4, 8] as const;
const checksumBytes = 4;

/**
 * Largest window that is taken, as a power of two of bytes: 128 MiB, what `zstd` and Linux unpack without being told to
 * (lib/decompress_unzstd.c).
 */
export const zstdWindowLogMax = 27;

/** Frames of one file. A kernel is one. */
const framesMax = 1 << 16;
/** Blocks of one file, most of which have 128 KiB of output. */
const blocksMax = 1 << 22;

/**
 * Looks at the structure of a file of Zstandard frames (RFC 8878): frames and blocks are whole, no frame needs a
 * dictionary or a window over 2 to the power of {@link zstdWindowLogMax}, and nothing but zeroes follows the last one. The
 * blocks' contents are the decoder's.
 *
 * @param size bytes of the file
 * @returns the bytes of all frames.
 * @throws FormatError with the offset in the file.
 */
export function checkZstdFrames(read: ReadRange, size: number): number {
  const input = new ForwardInput(read, size, "zstd");
  let end: number;
  let frames = 0;
  let blocks = 0;
  do {
    if (++frames > framesMax) input.fail(`at most ${framesMax} frames are taken`);
    blocks += checkFrame(input, blocksMax - blocks);
    end = input.offset;
  } while (input.remaining > 0 && input.peek("magic") !== 0);
  input.skipZeroes();
  if (input.remaining > 0) input.fail("a frame, zeroes or the end of the file expected");
  return end;
}

/** Returns the number of its blocks. */
function checkFrame(input: ForwardInput, blocksLeft: number): number {
  const offset = input.offset;
  const magic = input.u32le("magic");
  if ((magic & ~0xf) >>> 0 === skippableMagic) {
    input.skip(input.u32le("skippable frame size"), "skippable frame");
    return 0;
  }
  if (magic !== frameMagic) {
    const expected = `0x${frameMagic.toString(16)} or a skippable frame`;
    input.fail(`${expected} expected, not 0x${magic.toString(16)}`, "magic", offset);
  }
  const hasChecksum = checkFrameHeader(input);
  let blocks = 0;
  let isLast = false;
  while (!isLast) {
    if (++blocks > blocksLeft) input.fail(`at most ${blocksMax} blocks are taken`);
    isLast = checkBlock(input);
  }
  if (hasChecksum) input.skip(checksumBytes, "checksum");
  return blocks;
}

/** Section 3.1.1.1. Returns whether a checksum ends the frame. */
function checkFrameHeader(input: ForwardInput): boolean {
  const offset = input.offset;
  const descriptor = input.u8("frame header");
  if ((descriptor & 0x08) !== 0) input.fail("reserved bit 3 clear expected", "frame header", offset);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  // 2 to the power of 10 to 41, and up to seven eighths of that.
  const window = isSingleSegment ? 0 : input.u8("window");
  const windowBytes = 2 ** (10 + (window >> 3)) * (1 + (window & 7) / 8);
  if (!isSingleSegment) checkWindow(input, windowBytes, offset + 1);
  const idBytes = dictionaryIdBytes[descriptor & 3] ?? 0;
  if (readNumber(input, idBytes, "dictionary") !== 0) {
    input.fail("a frame that needs no dictionary expected", "dictionary", input.offset - idBytes);
  }
  const sizeBytes = contentSizeBytes[descriptor >> 6] || (isSingleSegment ? 1 : 0);
  const contentBytes = readNumber(input, sizeBytes, "content size");
  if (isSingleSegment) checkWindow(input, contentBytes, input.offset - sizeBytes);
  return (descriptor & 0x04) !== 0;
}

function checkWindow(input: ForwardInput, bytes: number, offset: number): void {
  if (bytes <= 2 ** zstdWindowLogMax) return;
  input.fail(`at most ${2 ** zstdWindowLogMax} bytes are taken, not ${bytes}`, "window", offset);
}

/** Little-endian. Large ones are rounded, which is of no matter for a comparison. */
function readNumber(input: ForwardInput, bytes: number, field: string): number {
  let value = 0;
  for (let i = 0; i < bytes; i++) value += input.u8(field) * 2 ** (8 * i);
  return value;
}

/** Section 3.1.1.2. Returns whether it was the frame's last one. */
function checkBlock(input: ForwardInput): boolean {
  const offset = input.offset;
  const header = readNumber(input, 3, "block header");
  const type = (header >> 1) & 3;
  if (type === blockTypes.reserved) input.fail("a block type up to 2 expected, not 3", "block header", offset);
  input.skip(type === blockTypes.rle ? 1 : header >> 3, "block");
  return (header & 1) !== 0;
}
