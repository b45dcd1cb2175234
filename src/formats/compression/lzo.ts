import { crc32 } from "../crc32.ts";
import type { ReadRange } from "../ranges.ts";
import { adler32 } from "./adler32.ts";
import { BlockOutput, BlockReader, copyBytes, repeatBytes } from "./blocks.ts";
import { ForwardInput } from "./forward-input.ts";

/*
 * The container is lzop's (as Linux's lib/decompress_unlzo.c reads it, and lzop 1.04 writes it); all of its numbers are
 * big-endian. The data is LZO1X: Linux, Documentation/staging/lzo.rst.
 */

/** Output of one block, bytes. lzop writes 256 KiB, and Linux takes no more. */
export const lzoBlockBytesMax = 1 << 20;
/** Files in one archive. A kernel is one. */
export const lzoMembersMax = 1 << 16;
/** Extra field of a header, bytes. */
export const lzoExtraBytesMax = 1 << 16;

const magic = Uint8Array.of(0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a);
/** The first version whose header has the fields of today. */
const versionMin = 0x0940;

const flag = {
  adler32OfData: 0x1,
  adler32OfStored: 0x2,
  extraField: 0x40,
  crc32OfData: 0x100,
  crc32OfStored: 0x200,
  multipart: 0x400,
  filter: 0x800,
  crc32OfHeader: 0x1000,
} as const;
/** All but the known ones, the operating system's byte and the character set's bits. */
const reservedFlags = 0x000fc000;
/** LZO1X-1, LZO1X-1(15), LZO1X-999: what they make is undone alike. */
const methods = [1, 2, 3];

interface Unpacking {
  readonly input: ForwardInput;
  readonly blocks: BlockReader;
  readonly output: BlockOutput;
  readonly outputBytesMax: number;
  outputBytes: number;
}

/**
 * Unpacks a file of lzop. All checksums (Adler-32, CRC-32) of headers, blocks and what they hold are verified. Archives of
 * several files are taken as one, as `lzop -dc` does; zeroes may follow. Filters, archives in parts and other methods than
 * LZO1X are refused. Yields views that are valid until the next step.
 *
 * @param size bytes of the file
 * @param outputBytesMax more than this many bytes of output are an error
 * @throws FormatError with the offset in the file.
 */
export function* unpackLzo(
  read: ReadRange,
  size: number,
  outputBytesMax: number,
): Generator<Uint8Array, void, undefined> {
  const input = new ForwardInput(read, size, "lzo");
  const output = new BlockOutput(0, Math.min(lzoBlockBytesMax, outputBytesMax));
  const unpacking = { input, blocks: new BlockReader(input), output, outputBytesMax, outputBytes: 0 };
  let members = 0;
  do {
    if (++members > lzoMembersMax) input.fail(`at most ${lzoMembersMax} members are taken`);
    const flags = readHeader(input);
    while (unpackBlock(unpacking, flags)) yield* output.makeRoom();
  } while (input.remaining > 0 && input.peek("magic") !== 0);
  yield* output.takeAll();
  input.skipZeroes();
  if (input.remaining > 0) input.fail("a member, zeroes or the end of the file expected");
}

/** Returns the flags. */
function readHeader(input: ForwardInput): number {
  const start = input.offset;
  const found = input.take(magic.length, "magic");
  if (!magic.every((byte, index) => byte === found[index])) input.fail("the magic of lzop expected", "magic", start);
  const fields = new CheckedFields(input);
  const version = fields.number(2, "version");
  if (version < versionMin) input.fail(`0x0940 or later expected, not 0x${hex(version, 4)}`, "version", start + 9);
  fields.number(2, "library version");
  fields.number(2, "version needed");
  const method = fields.number(1, "method");
  if (!methods.includes(method)) input.fail(`1, 2 or 3 (LZO1X) expected, not ${method}`, "method", input.offset - 1);
  fields.number(1, "level");
  const flags = fields.number(4, "flags");
  refuseFlags(input, flags);
  fields.number(4, "mode");
  fields.number(4, "modification time");
  fields.number(4, "modification time");
  fields.skip(fields.number(1, "name length"), "name");
  const check = (flags & flag.crc32OfHeader) !== 0 ? crc32 : adler32;
  expectWord(input, check(fields.bytes()), "checksum of the header");
  if ((flags & flag.extraField) !== 0) skipExtraField(input, check);
  return flags;
}

function refuseFlags(input: ForwardInput, flags: number): void {
  const refuse = (detail: string): never => input.fail(detail, "flags", input.offset - 4);
  if ((flags & reservedFlags) !== 0) refuse(`reserved bits clear expected in 0x${hex(flags, 8)}`);
  if ((flags & flag.multipart) !== 0) refuse("a whole archive expected, not one in parts");
  if ((flags & flag.filter) !== 0) refuse("data without a filter expected");
}

function skipExtraField(input: ForwardInput, check: (bytes: Uint8Array) => number): void {
  const fields = new CheckedFields(input);
  const length = fields.number(4, "extra field size");
  if (length > lzoExtraBytesMax) {
    input.fail(`at most ${lzoExtraBytesMax} bytes are taken, not ${length}`, "extra field size", input.offset - 4);
  }
  fields.skip(length, "extra field");
  expectWord(input, check(fields.bytes()), "checksum of the extra field");
}

/** Fields that a checksum covers. */
class CheckedFields {
  readonly #input: ForwardInput;
  readonly #bytes: Uint8Array[] = [];

  constructor(input: ForwardInput) {
    this.#input = input;
  }

  number(length: number, field: string): number {
    const bytes = this.#input.take(length, field).slice();
    this.#bytes.push(bytes);
    return bytes.reduce((value, byte) => value * 256 + byte, 0);
  }

  skip(length: number, field: string): void {
    this.#bytes.push(this.#input.take(length, field).slice());
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes.flatMap((bytes) => [...bytes]));
  }
}

/** There is room for a block in the output. Returns false at the end of the member. */
function unpackBlock(unpacking: Unpacking, flags: number): boolean {
  const { input, output } = unpacking;
  const dataBytes = u32be(input, "block size");
  if (dataBytes === 0) return false;
  if (dataBytes > lzoBlockBytesMax) {
    input.fail(`at most ${lzoBlockBytesMax} bytes are taken, not ${dataBytes}`, "block size", input.offset - 4);
  }
  if (dataBytes > unpacking.outputBytesMax - unpacking.outputBytes) {
    input.fail(`at most ${unpacking.outputBytesMax} bytes of output are taken`);
  }
  const storedBytes = u32be(input, "compressed size");
  if (storedBytes === 0 || storedBytes > dataBytes) {
    input.fail(`1 to ${dataBytes} expected, not ${storedBytes}`, "compressed size", input.offset - 4);
  }
  const checkOf = (bit: number): Announced | null => {
    if ((flags & bit) === 0) return null;
    const offset = input.offset;
    return { value: u32be(input, "checksum"), offset };
  };
  const isStored = storedBytes === dataBytes;
  const adlerOfData = checkOf(flag.adler32OfData);
  const crcOfData = checkOf(flag.crc32OfData);
  // What is stored as it is has no checksum of its own.
  const adlerOfStored = isStored ? null : checkOf(flag.adler32OfStored);
  const crcOfStored = isStored ? null : checkOf(flag.crc32OfStored);
  const offset = input.offset;
  const block = unpacking.blocks.read(storedBytes, "block");
  expectCheck(input, adlerOfStored, () => adler32(block), "Adler-32 of the compressed block");
  expectCheck(input, crcOfStored, () => crc32(block), "CRC-32 of the compressed block");
  const start = output.position;
  if (isStored) output.bytes.set(block, start);
  else decodeBlock(input, output.bytes, start, dataBytes, block, offset);
  output.position += dataBytes;
  unpacking.outputBytes += dataBytes;
  const data = output.bytes.subarray(start, output.position);
  expectCheck(input, adlerOfData, () => adler32(data), "Adler-32 of the block");
  expectCheck(input, crcOfData, () => crc32(data), "CRC-32 of the block");
  return true;
}

interface Announced {
  readonly value: number;
  readonly offset: number;
}

function expectCheck(input: ForwardInput, announced: Announced | null, compute: () => number, field: string): void {
  if (announced === null) return;
  const expected = compute();
  if (announced.value === expected) return;
  input.fail(`0x${hex(expected, 8)} expected, not 0x${hex(announced.value, 8)}`, field, announced.offset);
}

/**
 * LZO1X: instructions that copy literals, or what was written before. `state` is what the last one leaves to the next: how
 * many literals it copied; 4 stands for 4 and more.
 *
 * @param offset of the block in the file
 */
function decodeBlock(
  input: ForwardInput,
  bytes: Uint8Array,
  start: number,
  length: number,
  block: Uint8Array,
  offset: number,
): void {
  const limit = start + length;
  let from = 0;
  let to = start;
  let state = 0;
  const fail = (detail: string): never => input.fail(detail, "block", offset + Math.min(from, block.length));
  const next = (): number => block[from++] ?? fail("more data expected, the block ends");
  const literals = (count: number): void => {
    if (from + count > block.length) fail(`${count} literal(s) expected, the block ends`);
    if (to + count > limit) fail(`at most ${length} bytes of output expected`);
    copyBytes(block, from, bytes, to, count);
    from += count;
    to += count;
  };
  /** A length whose bits are all 0 goes on in bytes. */
  const extended = (bits: number, most: number): number => {
    if (bits !== 0) return bits;
    let sum = most;
    for (;;) {
      const byte = next();
      if (byte !== 0) return sum + byte;
      sum += 255;
    }
  };
  const match = (distance: number, count: number, literalsBehind: number): void => {
    if (distance > to - start) fail(`a distance of at most ${to - start} expected, not ${distance}`);
    if (to + count > limit) fail(`at most ${length} bytes of output expected`);
    repeatBytes(bytes, to, distance, count);
    to += count;
    state = literalsBehind;
    if (state > 0) literals(state);
  };
  const first = block[0] ?? 0;
  if (first > 17) {
    from = 1;
    state = Math.min(first - 17, 4);
    literals(first - 17);
  }
  for (;;) {
    const code = next();
    if (code >= 64) {
      const high = next();
      match((high << 3) + ((code >> 2) & 7) + 1, (code >> 5) + 1, code & 3);
    } else if (code >= 32) {
      const count = 2 + extended(code & 31, 31);
      const low = next();
      const word = low | (next() << 8);
      match((word >> 2) + 1, count, word & 3);
    } else if (code >= 16) {
      const count = 2 + extended(code & 7, 7);
      const low = next();
      const word = low | (next() << 8);
      const distance = 16384 + ((code & 8) << 11) + (word >> 2);
      if (distance === 16384) break;
      match(distance, count, word & 3);
    } else if (state === 0) {
      literals(3 + extended(code, 15));
      state = 4;
    } else {
      const high = next();
      const distance = (high << 2) + (code >> 2) + 1;
      if (state === 4) match(distance + 2048, 3, code & 3);
      else match(distance, 2, code & 3);
    }
  }
  if (from !== block.length) fail(`the end of the block expected, ${block.length - from} byte(s) follow`);
  if (to !== limit) fail(`${length} bytes of output expected, the block has ${to - start}`);
}

function u32be(input: ForwardInput, field: string): number {
  const bytes = input.take(4, field);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
}

function expectWord(input: ForwardInput, expected: number, field: string): void {
  const offset = input.offset;
  expectCheck(input, { value: u32be(input, field), offset }, () => expected, field);
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
