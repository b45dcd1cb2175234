import type { ReadRange } from "../ranges.ts";
import { BlockOutput, BlockReader, copyBytes, repeatBytes } from "./blocks.ts";
import { ForwardInput } from "./forward-input.ts";
import { XxHash32, xxHash32 } from "./xxhash32.ts";

/*
 * Sources: "LZ4 Frame Format Description" 1.6.x and "LZ4 Block Format Description", both of lz4; Linux,
 * scripts/Makefile.lib (lz4_with_size) and lib/decompress_unlz4.c.
 */

/** Frames of one file, those that are skipped among them. A kernel is one. */
export const lz4FramesMax = 1 << 16;

const frameMagic = 0x184d2204;
const legacyMagic = 0x184c2102;
/** The lowest 4 bits are the user's. */
const skippableMagic = 0x184d2a50;

/** Bytes by which a match can reach back. */
const windowBytes = 1 << 16;
/** "Legacy frame": output of every block but the last. */
const legacyBlockBytes = 1 << 23;
/** Most compressed bytes of such a block: LZ4_COMPRESSBOUND of lz4.h. */
const legacyStoredBytesMax = legacyBlockBytes + Math.floor(legacyBlockBytes / 255) + 16;
const matchBytesMin = 4;

interface Unpacking {
  readonly input: ForwardInput;
  readonly blocks: BlockReader;
  readonly outputBytesMax: number;
  outputBytes: number;
  /** Shared by all frames: what they yield between them costs no memory of its own. */
  output: BlockOutput;
}

/** What a frame's header says of its blocks and of what follows them. */
interface FrameHeader {
  readonly blockBytesMax: number;
  readonly areLinked: boolean;
  readonly hasBlockChecks: boolean;
  readonly hasContentCheck: boolean;
  readonly contentBytes: number | null;
}

/**
 * Unpacks an LZ4 file: frames, legacy frames, frames that are to be skipped. Every checksum is verified, so are sizes that
 * are announced, and the size of 4 bytes that Linux's build puts behind a legacy frame. Zeroes may follow. Frames that need
 * a dictionary are refused. Yields views that are valid until the next step. A frame's check comes behind its bytes:
 * what was yielded is verified when the generator has ended.
 *
 * @param size bytes of the file
 * @param outputBytesMax more than this many bytes of output are an error
 * @throws FormatError with the offset in the file.
 */
export function* unpackLz4(
  read: ReadRange,
  size: number,
  outputBytesMax: number,
): Generator<Uint8Array, void, undefined> {
  const input = new ForwardInput(read, size, "lz4");
  const output = new BlockOutput(windowBytes, 0);
  const unpacking = { input, blocks: new BlockReader(input), outputBytesMax, outputBytes: 0, output };
  let frames = 0;
  do {
    if (++frames > lz4FramesMax) input.fail(`at most ${lz4FramesMax} frames are taken`);
    const offset = input.offset;
    const magic = input.u32le("magic");
    if (magic === frameMagic) yield* unpackFrame(unpacking);
    else if (magic === legacyMagic) yield* unpackLegacyFrame(unpacking);
    else if ((magic & ~0xf) >>> 0 === skippableMagic) {
      input.skip(input.u32le("skippable frame size"), "skippable frame");
    } else {
      const expected = `0x${frameMagic.toString(16)}, 0x${legacyMagic.toString(16)} or a skippable frame`;
      input.fail(`${expected} expected, not 0x${magic.toString(16)}`, "magic", offset);
    }
  } while (input.remaining > 0 && input.peek("magic") !== 0);
  yield* unpacking.output.takeAll();
  input.skipZeroes();
  if (input.remaining > 0) input.fail("a frame, zeroes or the end of the file expected");
}

/** Output that has room for blocks of a size. Yields what has to leave for that. */
function* outputFor(unpacking: Unpacking, blockBytesMax: number): Generator<Uint8Array, BlockOutput, undefined> {
  const wanted = Math.min(blockBytesMax, unpacking.outputBytesMax);
  if (unpacking.output.blockBytesMax < wanted) {
    yield* unpacking.output.takeAll();
    unpacking.output = new BlockOutput(windowBytes, wanted);
  }
  return unpacking.output;
}

function* unpackFrame(unpacking: Unpacking): Generator<Uint8Array, void, undefined> {
  const { input, blocks } = unpacking;
  const header = readFrameHeader(unpacking);
  const output = yield* outputFor(unpacking, header.blockBytesMax);
  const check = header.hasContentCheck ? new XxHash32() : null;
  const start = unpacking.outputBytes;
  // The start of a frame is as far as matches of its first blocks reach; later only what is kept.
  let reach = 0;
  for (;;) {
    const word = input.u32le("block size");
    if (word === 0) break;
    const length = word & 0x7fffffff;
    if (length > header.blockBytesMax || length === 0) {
      input.fail(`1 to ${header.blockBytesMax} bytes expected, not ${length}`, "block size", input.offset - 4);
    }
    yield* output.makeRoom();
    const offset = input.offset;
    const block = blocks.read(length, "block");
    if (header.hasBlockChecks) expectWord(input, xxHash32(block), "checksum of the block");
    const from = output.position;
    if (!header.areLinked) reach = 0;
    if (word >= 0x80000000) storeBlock(unpacking, output, block);
    else decodeBlock(unpacking, output, block, header.blockBytesMax, reach, offset);
    reach = Math.min(windowBytes, reach + output.position - from);
    check?.update(output.bytes.subarray(from, output.position));
  }
  if (check !== null) expectWord(input, check.digest(), "checksum of the frame");
  const written = unpacking.outputBytes - start;
  if (header.contentBytes !== null && header.contentBytes !== written) {
    input.fail(`${header.contentBytes} bytes of output expected, the frame has ${written}`);
  }
}

/** "Frame Descriptor". */
function readFrameHeader({ input, outputBytesMax, outputBytes }: Unpacking): FrameHeader {
  const start = input.offset;
  const descriptor: number[] = [input.u8("FLG"), input.u8("BD")];
  const [flags = 0, blockDescriptor = 0] = descriptor;
  if (flags >> 6 !== 1) input.fail(`version 1 expected, not ${flags >> 6}`, "FLG", start);
  if ((flags & 0x02) !== 0) input.fail("reserved bit 1 clear expected", "FLG", start);
  if ((flags & 0x01) !== 0) input.fail("a frame that needs no dictionary expected", "FLG", start);
  const sizeId = blockDescriptor >> 4;
  if (sizeId < 4 || sizeId > 7 || (blockDescriptor & 0x0f) !== 0) {
    const expected = "0x40, 0x50, 0x60 or 0x70 expected";
    input.fail(`${expected}, not 0x${blockDescriptor.toString(16).padStart(2, "0")}`, "BD", start + 1);
  }
  let contentBytes: number | null = null;
  if ((flags & 0x08) !== 0) {
    const size = input.take(8, "content size").slice();
    descriptor.push(...size);
    contentBytes = readSize(size);
  }
  const expected = (xxHash32(Uint8Array.from(descriptor)) >>> 8) & 0xff;
  const actual = input.u8("header checksum");
  if (actual !== expected) {
    input.fail(
      `${hexadecimal(expected, 2)} expected, not ${hexadecimal(actual, 2)}`,
      "header checksum",
      input.offset - 1,
    );
  }
  if (contentBytes !== null && contentBytes > outputBytesMax - outputBytes) {
    input.fail(`at most ${outputBytesMax} bytes of output are taken, not ${contentBytes}`, "content size", start + 2);
  }
  return {
    blockBytesMax: 2 ** (8 + 2 * sizeId),
    areLinked: (flags & 0x20) === 0,
    hasBlockChecks: (flags & 0x10) !== 0,
    hasContentCheck: (flags & 0x04) !== 0,
    contentBytes,
  };
}

/** Little-endian. A large one is rounded, which is of no matter: it is too large then. */
function readSize(bytes: Uint8Array): number {
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}

/** "Legacy frame": blocks up to the end of the file or to the next frame. */
function* unpackLegacyFrame(unpacking: Unpacking): Generator<Uint8Array, void, undefined> {
  const { input, blocks } = unpacking;
  const output = yield* outputFor(unpacking, legacyBlockBytes);
  const start = unpacking.outputBytes;
  while (input.remaining > 0) {
    if (input.remaining === 4 && isTrailer(unpacking, unpacking.outputBytes - start)) break;
    // Padding, or the next frame's magic.
    if (input.remaining < 4) break;
    const length = peekWord(input);
    if (length === 0 || isMagic(length)) break;
    if (length > legacyStoredBytesMax) {
      input.fail(`at most ${legacyStoredBytesMax} bytes expected, not ${length}`, "block size");
    }
    input.u32le("block size");
    yield* output.makeRoom();
    const offset = input.offset;
    decodeBlock(unpacking, output, blocks.read(length, "block"), legacyBlockBytes, 0, offset);
  }
}

/** What Linux's build puts behind: the size of the output. Consumes it. */
function isTrailer({ input }: Unpacking, written: number): boolean {
  if (written === 0 || peekWord(input) !== written % 2 ** 32) return false;
  input.take(4, "size");
  return true;
}

function isMagic(word: number): boolean {
  return word === frameMagic || word === legacyMagic || (word & ~0xf) >>> 0 === skippableMagic;
}

function peekWord(input: ForwardInput): number {
  const word = input.u32le("block size");
  input.position -= 4;
  return word;
}

function storeBlock(unpacking: Unpacking, output: BlockOutput, block: Uint8Array): void {
  expectRoom(unpacking, block.length);
  output.bytes.set(block, output.position);
  output.position += block.length;
  unpacking.outputBytes += block.length;
}

/**
 * "LZ4 Block Format Description": sequences of literals and a match; the last one has literals only.
 *
 * @param reach bytes before the block that its matches may refer to
 * @param offset of the block in the file
 */
function decodeBlock(
  unpacking: Unpacking,
  output: BlockOutput,
  block: Uint8Array,
  blockBytesMax: number,
  reach: number,
  offset: number,
): void {
  const { input } = unpacking;
  const { bytes } = output;
  const lowest = output.position - reach;
  const room = Math.min(blockBytesMax, unpacking.outputBytesMax - unpacking.outputBytes);
  const limit = output.position + room;
  let from = 0;
  let to = output.position;
  const fail = (detail: string): never => input.fail(detail, "block", offset + Math.min(from, block.length));
  const expectOutput = (length: number): void => {
    if (to + length <= limit) return;
    if (room < blockBytesMax) input.fail(`at most ${unpacking.outputBytesMax} bytes of output are taken`);
    fail(`at most ${blockBytesMax} bytes of output expected`);
  };
  /** The rest of a length whose bits were all set. */
  const more = (): number => {
    let length = 0;
    for (;;) {
      const byte = block[from++] ?? fail("more bytes of a length expected, the block ends");
      length += byte;
      if (byte !== 255) return length;
    }
  };
  for (;;) {
    const token = block[from++] ?? fail("literals expected after the last match, the block ends");
    let length = token >> 4;
    if (length === 15) length += more();
    if (length > 0) {
      if (from + length > block.length) fail(`${length} literal(s) expected, the block ends`);
      expectOutput(length);
      copyBytes(block, from, bytes, to, length);
      from += length;
      to += length;
    }
    if (from === block.length) break;
    if (from + 2 > block.length) fail("a distance of 2 bytes expected, the block ends");
    const distance = (block[from] ?? 0) | ((block[from + 1] ?? 0) << 8);
    if (distance === 0 || distance > to - lowest) fail(`a distance of 1 to ${to - lowest} expected, not ${distance}`);
    from += 2;
    length = (token & 15) + matchBytesMin;
    if (length === 15 + matchBytesMin) length += more();
    expectOutput(length);
    repeatBytes(bytes, to, distance, length);
    to += length;
  }
  unpacking.outputBytes += to - output.position;
  output.position = to;
}

function expectRoom({ input, outputBytesMax, outputBytes }: Unpacking, bytes: number): void {
  if (bytes > outputBytesMax - outputBytes) input.fail(`at most ${outputBytesMax} bytes of output are taken`);
}

function expectWord(input: ForwardInput, expected: number, field: string): void {
  const actual = input.u32le(field);
  if (actual === expected) return;
  input.fail(`${hexadecimal(expected, 8)} expected, not ${hexadecimal(actual, 8)}`, field, input.offset - 4);
}

function hexadecimal(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}
