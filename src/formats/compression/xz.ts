import { hex } from "../bytes.ts";
import { crc32 } from "../crc32.ts";
import type { ReadRange } from "../ranges.ts";
import { Dictionary } from "./dictionary.ts";
import { arm64Filter, deltaFilter, type Filter, FilterChain, x86Filter } from "./filters.ts";
import { ForwardInput } from "./forward-input.ts";
import { type IntegrityCheck, integrityChecks, type RunningCheck, u32le } from "./integrity-check.ts";
import { dictionaryBytesMax, LzmaDecoder } from "./lzma-decoder.ts";
import { unpackLzma2 } from "./lzma2.ts";

/** Streams of one file. A kernel is one. */
const streamsMax = 1 << 16;
/** Blocks of one file. Their sizes are kept until the index, which repeats them. */
const blocksMax = 1 << 16;

const headerMagic = Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00);
const footerMagic = Uint8Array.of(0x59, 0x5a);
const crcBytes = 4;
/** Sizes of headers, blocks, index and padding are multiples of this. */
const alignment = 4;
/** Section 1.2: 63 bits, 7 in each byte. */
const vliBytesMax = 9;
/** Bytes that are compared, and shown when they differ, at a time. */
const compareBytes = 32;

const lzma2Id = 0x21;
/** Sections 5.3.2 and 5.3.3: the filters that are undone, other than LZMA2. */
const filterKinds: readonly FilterKind[] = [
  { id: 0x03, name: "delta", read: readDelta },
  { id: 0x04, name: "x86", read: (input, bytes) => x86Filter(readStart(input, bytes, 1)) },
  { id: 0x0a, name: "ARM64", read: (input, bytes) => arm64Filter(readStart(input, bytes, 4)) },
];

interface FilterKind {
  readonly id: number;
  readonly name: string;
  /** @param propertiesBytes bytes of the filter's properties, which come next */
  read(input: ForwardInput, propertiesBytes: number): Filter;
}

/** What a block's header says (section 3.1); null: nothing of it. */
interface BlockHeader {
  readonly bytes: number;
  readonly compressedBytes: number | null;
  readonly uncompressedBytes: number | null;
  /** In the order in which an encoder applies them. */
  readonly filters: readonly Filter[];
  readonly dictionaryBytes: number;
}

/** What the index repeats of a block (section 4.3). */
interface BlockRecord {
  /** Without the padding. */
  readonly bytes: number;
  readonly uncompressedBytes: number;
}

interface Unpacking {
  readonly input: ForwardInput;
  readonly decoder: LzmaDecoder;
  readonly outputBytesMax: number;
  outputBytes: number;
  blocks: number;
}

/**
 * Unpacks an `.xz` file (The .xz File Format 1.1.0): all streams and blocks; checks, index and footer are verified.
 * Filters are LZMA2, delta, and those for x86 and ARM64; other ones, and checks that are neither CRC-32, CRC-64, SHA-256
 * nor none, are refused. Yields views that are valid until the next step, of 2 MiB at most. A block's check comes behind
 * its bytes: what was yielded is verified when the generator has ended.
 *
 * @param size bytes of the file
 * @param outputBytesMax more than this many bytes of output are an error
 * @throws FormatError with the offset in the file.
 */
export function* unpackXz(
  read: ReadRange,
  size: number,
  outputBytesMax: number,
): Generator<Uint8Array, void, undefined> {
  const input = new ForwardInput(read, size, "xz");
  const decoder = new LzmaDecoder(new Dictionary());
  const unpacking = { input, decoder, outputBytesMax, outputBytes: 0, blocks: 0 };
  let streams = 0;
  do {
    if (++streams > streamsMax) input.fail(`at most ${streamsMax} streams are taken`);
    yield* unpackStream(unpacking);
    // Section 2.2.
    const padding = input.skipZeroes();
    if (padding % alignment !== 0) input.fail(`a multiple of 4 zeroes expected, not ${padding}`, "stream padding");
  } while (input.remaining > 0);
}

function* unpackStream(unpacking: Unpacking): Generator<Uint8Array, void, undefined> {
  const { input } = unpacking;
  const flags = readStreamHeader(input);
  const check = findCheck(input, flags);
  const records: BlockRecord[] = [];
  // A block's header begins with its size, the index with 0.
  while (input.peek("block header size") !== 0) {
    if (++unpacking.blocks > blocksMax) input.fail(`at most ${blocksMax} blocks are taken`);
    records.push(yield* unpackBlock(unpacking, check));
  }
  const index = encodeIndex(records);
  expectBytes(input, index, "index");
  readFooter(input, index.length, flags);
}

/** Section 2.1.1. Returns the stream flags. */
function readStreamHeader(input: ForwardInput): Uint8Array {
  expectBytes(input, headerMagic, "magic");
  const flags = input.take(2, "stream flags").slice();
  expectBytes(input, u32le(crc32(flags)), "CRC-32 of the stream flags");
  return flags;
}

/** Section 2.1.1.2. */
function findCheck(input: ForwardInput, flags: Uint8Array): IntegrityCheck {
  const check = integrityChecks.find(({ id }) => id === flags[1]);
  if (flags[0] === 0 && check !== undefined) return check;
  const expected = integrityChecks.map(({ id, name }) => `00${hex(Uint8Array.of(id))} (${name})`).join(", ");
  return input.fail(`one of ${expected} expected, not ${hex(flags)}`, "stream flags", input.offset - 6);
}

/** Section 2.1.2. */
function readFooter(input: ForwardInput, indexBytes: number, flags: Uint8Array): void {
  const fields = Uint8Array.of(...u32le(indexBytes / alignment - 1), ...flags);
  expectBytes(input, u32le(crc32(fields)), "CRC-32 of the footer");
  expectBytes(input, fields, "backward size and stream flags");
  expectBytes(input, footerMagic, "footer magic");
}

/** Section 3. */
function* unpackBlock(unpacking: Unpacking, check: IntegrityCheck): Generator<Uint8Array, BlockRecord, undefined> {
  const { input } = unpacking;
  const header = readBlockHeader(input);
  expectRoom(unpacking, header.uncompressedBytes ?? 0);
  const start = input.offset;
  const running = check.start();
  const uncompressedBytes = yield* unpackData(unpacking, header, running);
  const compressedBytes = input.offset - start;
  expectSize(input, compressedBytes, header.compressedBytes, "compressed size");
  expectSize(input, uncompressedBytes, header.uncompressedBytes, "uncompressed size");
  expectBytes(input, new Uint8Array(paddingAfter(compressedBytes)), "block padding");
  const digest = running.digest();
  expectBytes(input, digest, `${check.name} of the block`);
  return { bytes: header.bytes + compressedBytes + digest.length, uncompressedBytes };
}

/** Returns the bytes of output. */
function* unpackData(
  unpacking: Unpacking,
  header: BlockHeader,
  running: RunningCheck,
): Generator<Uint8Array, number, undefined> {
  const { input, decoder } = unpacking;
  const start = unpacking.outputBytes;
  decoder.dictionary.prepare(Math.min(header.dictionaryBytes, unpacking.outputBytesMax));
  const chain = new FilterChain(header.filters.toReversed());
  const deliver = function* (bytes: Uint8Array, isLast: boolean): Generator<Uint8Array, void, undefined> {
    const output = chain.undo(bytes, isLast);
    expectRoom(unpacking, output.length);
    unpacking.outputBytes += output.length;
    running.update(output);
    if (output.length > 0) yield output;
  };
  for (const bytes of unpackLzma2(input, decoder)) yield* deliver(bytes, false);
  yield* deliver(new Uint8Array(0), true);
  return unpacking.outputBytes - start;
}

function expectRoom({ input, outputBytesMax, outputBytes }: Unpacking, bytes: number): void {
  if (bytes > outputBytesMax - outputBytes) input.fail(`at most ${outputBytesMax} bytes of output are taken`);
}

/** Section 3.1. The fields are read only when their CRC-32 is right. */
function readBlockHeader(input: ForwardInput): BlockHeader {
  const start = input.offset;
  const bytes = (input.peek("block header size") + 1) * alignment;
  const end = start + bytes - crcBytes;
  checkHeaderCrc(input, bytes);
  input.u8("block header size");
  const flags = input.u8("block flags");
  if ((flags & 0x3c) !== 0) {
    input.fail(`bits 2 to 5 clear expected, not 0x${flags.toString(16)}`, "block flags", start + 1);
  }
  const compressedBytes = (flags & 0x40) === 0 ? null : readVli(input, "compressed size");
  const uncompressedBytes = (flags & 0x80) === 0 ? null : readVli(input, "uncompressed size");
  const filters = Array.from({ length: flags & 3 }, () => readFilter(input));
  const dictionaryBytes = readLzma2(input);
  if (input.offset > end) input.fail(`an end of the fields before ${end} expected`, "block header");
  expectBytes(input, new Uint8Array(end - input.offset), "header padding");
  input.take(crcBytes, "block header");
  return { bytes, compressedBytes, uncompressedBytes, filters, dictionaryBytes };
}

/** Leaves the input at the start of the header. */
function checkHeaderCrc(input: ForwardInput, bytes: number): void {
  const header = input.take(bytes, "block header");
  const actual = u32le(crc32(header.subarray(0, -crcBytes)));
  const stored = header.subarray(-crcBytes);
  if (hex(actual) !== hex(stored)) {
    input.fail(`${hex(actual)} expected, not ${hex(stored)}`, "CRC-32 of the block header", input.offset - crcBytes);
  }
  input.position -= bytes;
}

/** A filter before the last one (section 3.1.5). */
function readFilter(input: ForwardInput): Filter {
  const offset = input.offset;
  const id = readVli(input, "filter");
  const propertiesBytes = readVli(input, "filter properties size");
  const kind = filterKinds.find((known) => known.id === id);
  if (kind !== undefined) return kind.read(input, propertiesBytes);
  const expected = filterKinds.map(({ id, name }) => `0x${id.toString(16)} (${name})`).join(", ");
  return input.fail(`one of ${expected} expected before LZMA2, not 0x${id.toString(16)}`, "filter", offset);
}

/** Section 5.3.1, the last filter. Returns the size of its dictionary. */
function readLzma2(input: ForwardInput): number {
  const offset = input.offset;
  const id = readVli(input, "filter");
  if (id !== lzma2Id)
    input.fail(`LZMA2 (0x21) as the last filter expected, not 0x${id.toString(16)}`, "filter", offset);
  expectPropertiesSize(input, readVli(input, "filter properties size"), [1]);
  const bits = input.u8("dictionary size");
  if (bits > 40) input.fail(`at most 40 expected, not ${bits}`, "dictionary size", input.offset - 1);
  const bytes = bits === 40 ? 2 ** 32 - 1 : (2 | (bits & 1)) * 2 ** ((bits >> 1) + 11);
  if (bytes > dictionaryBytesMax) {
    input.fail(`at most ${dictionaryBytesMax} bytes are taken, not ${bytes}`, "dictionary size", input.offset - 1);
  }
  return bytes;
}

/** Section 5.3.3: the distance less one. */
function readDelta(input: ForwardInput, propertiesBytes: number): Filter {
  expectPropertiesSize(input, propertiesBytes, [1]);
  return deltaFilter(input.u8("delta distance") + 1);
}

/** Section 5.3.2: where the code starts; 0 when it is not told. */
function readStart(input: ForwardInput, propertiesBytes: number, instructionAlignment: number): number {
  expectPropertiesSize(input, propertiesBytes, [0, 4]);
  if (propertiesBytes === 0) return 0;
  const offset = input.offset;
  const [a = 0, b = 0, c = 0, d = 0] = input.take(4, "filter start");
  const start = a | (b << 8) | (c << 16) | (d << 24);
  if (start % instructionAlignment !== 0) {
    input.fail(`a multiple of ${instructionAlignment} expected, not ${start >>> 0}`, "filter start", offset);
  }
  return start;
}

function expectPropertiesSize(input: ForwardInput, bytes: number, expected: readonly number[]): void {
  if (!expected.includes(bytes))
    input.fail(`${expected.join(" or ")} expected, not ${bytes}`, "filter properties size");
}

/** A number of up to 63 bits, lowest 7 first (section 1.2); those that have no exact number here are refused. */
function readVli(input: ForwardInput, field: string): number {
  const offset = input.offset;
  let value = 0;
  for (let i = 0; i < vliBytesMax; i++) {
    const byte = input.u8(field);
    if (byte === 0 && i > 0) input.fail("a shorter form expected", field, offset);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte >= 0x80) continue;
    if (value > Number.MAX_SAFE_INTEGER) input.fail(`at most ${Number.MAX_SAFE_INTEGER} is taken`, field, offset);
    return value;
  }
  return input.fail(`a number of at most ${vliBytesMax} bytes expected`, field, offset);
}

function encodeVli(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return bytes;
}

/** Section 4: as there is one form of it only, it is made from the blocks and compared. */
function encodeIndex(records: readonly BlockRecord[]): Uint8Array {
  const fields = records.flatMap(({ bytes, uncompressedBytes }) => [
    ...encodeVli(bytes),
    ...encodeVli(uncompressedBytes),
  ]);
  const start = [0, ...encodeVli(records.length)];
  const unpadded = start.length + fields.length;
  const index = new Uint8Array(unpadded + paddingAfter(unpadded) + crcBytes);
  index.set(start);
  index.set(fields, start.length);
  index.set(u32le(crc32(index.subarray(0, -crcBytes))), index.length - crcBytes);
  return index;
}

/** Bytes up to the next multiple of 4. */
function paddingAfter(bytes: number): number {
  return -bytes & (alignment - 1);
}

function expectSize(input: ForwardInput, actual: number, announced: number | null, field: string): void {
  if (announced !== null && actual !== announced) {
    input.fail(`the header announces ${announced} byte(s), the block has ${actual}`, field);
  }
}

function expectBytes(input: ForwardInput, expected: Uint8Array, field: string): void {
  for (let done = 0; done < expected.length; done += compareBytes) {
    const wanted = expected.subarray(done, done + compareBytes);
    const actual = input.take(wanted.length, field);
    if (wanted.every((byte, index) => byte === actual[index])) continue;
    input.fail(`${hex(wanted)} expected, not ${hex(actual)}`, field, input.offset - wanted.length);
  }
}
