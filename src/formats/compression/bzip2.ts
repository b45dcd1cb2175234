import type { ReadRange } from "../ranges.ts";
import { ForwardInput } from "./forward-input.ts";

/*
 * Sources: bzip2 1.0.8 and its manual; "BZIP2: Format Specification" by J. Tsai, whose names are used here. Numbers have
 * their highest bit first.
 */

/** Streams of one file. */
export const bzip2StreamsMax = 1 << 16;

/** Bytes of a block's data before the initial run-length encoding is undone, by each level of `BZh1` to `BZh9`. */
const levelBytes = 100_000;
const blockMagic = [0x314159, 0x265359] as const;
const endMagic = [0x177245, 0x385090] as const;
/** Symbols between two changes of the code. */
const groupSymbols = 50;
/** 900,000 symbols, and one to end them, in groups. Some encoders write more, which nothing uses. */
const selectorsMax = 18_002;
const codeBitsMax = 20;
/** Codes of up to so many bits are looked up at once. */
const quickBits = 10;
/** 256 bytes less one, two for runs, one for the end. */
const symbolsMax = 258;
/** Bytes of output that are handed on at a time. */
const stepBytes = 1 << 20;

interface Unpacking {
  readonly bits: BitInput;
  readonly outputBytesMax: number;
  outputBytes: number;
  /** Of the inverse transform: a byte in the lowest bits, the place of the next one above. */
  chain: Uint32Array;
}

/**
 * Unpacks a file of bzip2: any number of streams; the checksums of blocks and streams are verified. Zeroes may follow.
 * Randomised blocks, which only bzip2 before 0.9.5 made, are refused. Yields views that are valid until the next step. A
 * block's check comes before its bytes, but is compared behind them: what was yielded is verified when the generator has
 * ended.
 *
 * @param size bytes of the file
 * @param outputBytesMax more than this many bytes of output are an error
 * @throws FormatError with the offset in the file.
 */
export function* unpackBzip2(
  read: ReadRange,
  size: number,
  outputBytesMax: number,
): Generator<Uint8Array, void, undefined> {
  const input = new ForwardInput(read, size, "bzip2");
  const bits = new BitInput(input);
  const unpacking = { bits, outputBytesMax, outputBytes: 0, chain: new Uint32Array(0) };
  let streams = 0;
  do {
    if (++streams > bzip2StreamsMax) input.fail(`at most ${bzip2StreamsMax} streams are taken`);
    yield* unpackStream(unpacking, input);
    bits.align();
  } while (input.remaining > 0 && input.peek("magic") !== 0);
  input.skipZeroes();
  if (input.remaining > 0) input.fail("a stream, zeroes or the end of the file expected");
}

function* unpackStream(unpacking: Unpacking, input: ForwardInput): Generator<Uint8Array, void, undefined> {
  const { bits } = unpacking;
  const offset = input.offset;
  const magic = bits.read(24, "magic");
  if (magic !== 0x425a68) input.fail(`"BZh" expected, not 0x${hex(magic, 6)}`, "magic", offset);
  const level = bits.read(8, "block size") - 0x30;
  if (level < 1 || level > 9)
    input.fail(`"1" to "9" expected, not 0x${hex(level + 0x30, 2)}`, "block size", offset + 3);
  let combined = 0;
  for (;;) {
    const start = input.offset;
    const high = bits.read(24, "block magic");
    const low = bits.read(24, "block magic");
    const checksum = bits.read(16, "checksum") * 0x10000 + bits.read(16, "checksum");
    if (high === endMagic[0] && low === endMagic[1]) {
      expectChecksum(input, combined, checksum, "checksum of the stream");
      return;
    }
    if (high !== blockMagic[0] || low !== blockMagic[1]) {
      input.fail(`the magic of a block or of the end expected, not 0x${hex(high, 6)}${hex(low, 6)}`, "block", start);
    }
    const actual = yield* unpackBlock(unpacking, input, level * levelBytes);
    expectChecksum(input, actual, checksum, "checksum of the block");
    combined = (((combined << 1) | (combined >>> 31)) ^ actual) >>> 0;
  }
}

function expectChecksum(input: ForwardInput, expected: number, actual: number, field: string): void {
  if (expected !== actual) input.fail(`0x${hex(expected, 8)} expected, not 0x${hex(actual, 8)}`, field);
}

/** Returns the checksum of its output. */
function* unpackBlock(
  unpacking: Unpacking,
  input: ForwardInput,
  bytesMax: number,
): Generator<Uint8Array, number, undefined> {
  const { bits } = unpacking;
  if (bits.read(1, "randomised") !== 0) {
    input.fail("a block that is not randomised expected; only bzip2 before 0.9.5 made such", "randomised");
  }
  const origin = bits.read(24, "origin pointer");
  const used = readUsedBytes(bits);
  if (used.length === 0) input.fail("a byte that is used expected", "symbol map");
  const tables = readTables(bits, input, used.length + 2);
  if (unpacking.chain.length < bytesMax) unpacking.chain = new Uint32Array(bytesMax);
  const chain = unpacking.chain;
  const length = readSymbols(bits, input, tables, used, chain.subarray(0, bytesMax));
  if (origin >= length) input.fail(`less than ${length} expected, not ${origin}`, "origin pointer");
  linkChain(chain, length);
  return yield* undoRuns(unpacking, input, chain, origin, length);
}

/** The bytes that occur, in order. */
function readUsedBytes(bits: BitInput): Uint8Array {
  const rows = bits.read(16, "symbol map");
  const used: number[] = [];
  for (let row = 0; row < 16; row++) {
    if ((rows & (0x8000 >> row)) === 0) continue;
    const columns = bits.read(16, "symbol map");
    for (let column = 0; column < 16; column++) {
      if ((columns & (0x8000 >> column)) !== 0) used.push(row * 16 + column);
    }
  }
  return Uint8Array.from(used);
}

interface Tables {
  readonly codes: readonly PrefixCode[];
  /** Which code each group of symbols uses. */
  readonly selectors: Uint8Array;
}

function readTables(bits: BitInput, input: ForwardInput, symbols: number): Tables {
  const count = bits.read(3, "number of tables");
  if (count < 2 || count > 6) input.fail(`2 to 6 expected, not ${count}`, "number of tables");
  const selectorCount = bits.read(15, "number of selectors");
  if (selectorCount === 0) input.fail("at least 1 expected", "number of selectors");
  const selectors = new Uint8Array(Math.min(selectorCount, selectorsMax));
  const order = Array.from({ length: count }, (_, index) => index);
  for (let i = 0; i < selectorCount; i++) {
    let place = 0;
    while (bits.read(1, "selector") === 1) {
      if (++place >= count) input.fail(`at most ${count - 1} expected`, "selector");
    }
    const [table = 0] = order.splice(place, 1);
    order.unshift(table);
    if (i < selectors.length) selectors[i] = table;
  }
  const codes = Array.from({ length: count }, () => readCode(bits, input, symbols));
  return { codes, selectors };
}

function readCode(bits: BitInput, input: ForwardInput, symbols: number): PrefixCode {
  const lengths = new Uint8Array(symbols);
  let length = bits.read(5, "code length");
  for (let symbol = 0; symbol < symbols; symbol++) {
    for (;;) {
      if (length < 1 || length > codeBitsMax) input.fail(`1 to ${codeBitsMax} expected, not ${length}`, "code length");
      if (bits.read(1, "code length") === 0) break;
      length += bits.read(1, "code length") === 0 ? 1 : -1;
    }
    lengths[symbol] = length;
  }
  const code = new PrefixCode(lengths);
  if (code.isOverfull) input.fail("codes of which none is the start of another expected", "code length");
  return code;
}

/** A canonical prefix code: shorter codes come first, those of one length by symbol. */
class PrefixCode {
  /** By length: the highest code, -1 when there is none of that length. */
  readonly #limits = new Int32Array(codeBitsMax + 2).fill(-1);
  /** By length: what to subtract from a code for its place in the symbols. */
  readonly #bases = new Int32Array(codeBitsMax + 2);
  readonly #symbols = new Uint16Array(symbolsMax);
  readonly #shortest: number;
  /** Whether there are more symbols than codes of these lengths. */
  readonly isOverfull: boolean;
  /** By the next {@link quickBits} bits: a symbol above, the length of its code in the lowest 5 bits; 0: it is longer. */
  readonly #quick = new Uint16Array(1 << quickBits);

  constructor(lengths: Uint8Array) {
    let isOverfull = false;
    let code = 0;
    let place = 0;
    let shortest = codeBitsMax;
    for (let length = 1; length <= codeBitsMax; length++) {
      this.#bases[length] = code - place;
      const first = place;
      for (let symbol = 0; symbol < lengths.length; symbol++) {
        if (lengths[symbol] !== length) continue;
        if (length <= quickBits) {
          const start = (code + place - first) << (quickBits - length);
          this.#quick.fill((symbol << 5) | length, start, start + (1 << (quickBits - length)));
        }
        this.#symbols[place++] = symbol;
      }
      if (place > first) shortest = Math.min(shortest, length);
      code += place - first;
      this.#limits[length] = code - 1;
      isOverfull ||= code > 2 ** length;
      code *= 2;
    }
    this.#shortest = shortest;
    this.isOverfull = isOverfull;
  }

  /** The next symbol; -1 when the bits are no code. */
  read(bits: BitInput): number {
    const quick = this.#quick[bits.peek(quickBits)] ?? 0;
    if (quick !== 0) {
      bits.drop(quick & 31, "symbol");
      return quick >>> 5;
    }
    let length = this.#shortest;
    let code = bits.read(length, "symbol");
    while (code > (this.#limits[length] ?? 0)) {
      if (++length > codeBitsMax) return -1;
      code = code * 2 + bits.read(1, "symbol");
    }
    return this.#symbols[code - (this.#bases[length] ?? 0)] ?? -1;
  }
}

/** Undoes the codes, the runs of zeroes and "move to front". Returns how many bytes were put into `chain`. */
function readSymbols(
  bits: BitInput,
  input: ForwardInput,
  { codes, selectors }: Tables,
  used: Uint8Array,
  chain: Uint32Array,
): number {
  const front = used.slice();
  const end = used.length + 1;
  let length = 0;
  let group = 0;
  let left = 0;
  let code = codes[0];
  /** Of a run that is not yet written: its length, and what its next digit counts. */
  let run = 0;
  let weight = 1;
  for (;;) {
    if (left === 0) {
      code = codes[selectors[group++] ?? -1];
      left = groupSymbols;
    }
    if (code === undefined) return input.fail("the end of the block expected, the selectors end", "block");
    left--;
    const symbol = code.read(bits);
    if (symbol < 0 || symbol > end) return input.fail("a code of the table expected", "block");
    if (symbol < 2) {
      run += weight << symbol;
      weight *= 2;
      if (run > chain.length - length) return input.fail(`at most ${chain.length} bytes expected`, "block");
      continue;
    }
    if (run > 0) {
      chain.fill(front[0] ?? 0, length, length + run);
      length += run;
      run = 0;
      weight = 1;
    }
    if (symbol === end) return length;
    if (length === chain.length) return input.fail(`at most ${chain.length} bytes expected`, "block");
    const place = symbol - 1;
    const byte = front[place] ?? 0;
    if (place > 32) front.copyWithin(1, 0, place);
    else for (let i = place; i > 0; i--) front[i] = front[i - 1] ?? 0;
    front[0] = byte;
    chain[length++] = byte;
  }
}

/** The inverse Burrows-Wheeler transform: puts above each byte where the next one is found. */
function linkChain(chain: Uint32Array, length: number): void {
  const starts = new Uint32Array(256);
  for (let i = 0; i < length; i++) {
    const byte = chain[i] ?? 0;
    starts[byte] = (starts[byte] ?? 0) + 1;
  }
  let sum = 0;
  for (let byte = 0; byte < 256; byte++) {
    const count = starts[byte] ?? 0;
    starts[byte] = sum;
    sum += count;
  }
  for (let i = 0; i < length; i++) {
    const byte = (chain[i] ?? 0) & 0xff;
    const place = starts[byte] ?? 0;
    starts[byte] = place + 1;
    chain[place] = (chain[place] ?? 0) | (i << 8);
  }
}

/** Walks the chain and undoes the first run-length encoding: four equal bytes, and how many more. Returns the checksum. */
function* undoRuns(
  unpacking: Unpacking,
  input: ForwardInput,
  chain: Uint32Array,
  origin: number,
  length: number,
): Generator<Uint8Array, number, undefined> {
  const output = new Uint8Array(Math.min(stepBytes, length * 52) + 255);
  let written = 0;
  let checksum = 0xffffffff;
  let link = (chain[origin] ?? 0) >>> 8;
  let previous = -1;
  let equal = 0;
  for (let i = 0; i < length; i++) {
    const entry = chain[link] ?? 0;
    const byte = entry & 0xff;
    link = entry >>> 8;
    if (equal === 4) {
      output.fill(previous, written, written + byte);
      written += byte;
      equal = 0;
      previous = -1;
    } else {
      output[written++] = byte;
      equal = byte === previous ? equal + 1 : 1;
      previous = byte;
    }
    if (written < output.length - 255 && i < length - 1) continue;
    if (written > unpacking.outputBytesMax - unpacking.outputBytes) {
      input.fail(`at most ${unpacking.outputBytesMax} bytes of output are taken`);
    }
    unpacking.outputBytes += written;
    const bytes = output.subarray(0, written);
    checksum = crc(bytes, checksum);
    yield bytes;
    written = 0;
  }
  return ~checksum >>> 0;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index << 24;
  for (let bit = 0; bit < 8; bit++) value = (value << 1) ^ (value < 0 ? 0x04c11db7 : 0);
  return value;
});

/** CRC-32 of ISO 3309 with the highest bit first; the register, not inverted. */
function crc(bytes: Uint8Array, register: number): number {
  let value = register;
  for (let i = 0; i < bytes.length; i++) {
    value = (value << 8) ^ (crcTable[((value >>> 24) ^ (bytes[i] ?? 0)) & 0xff] ?? 0);
  }
  return value;
}

/** Bits, the highest of each byte first. */
class BitInput {
  readonly #input: ForwardInput;
  #buffer = 0;
  #count = 0;

  constructor(input: ForwardInput) {
    this.#input = input;
  }

  /** The next `count` bits as a number, at most 24. */
  read(count: number, field: string): number {
    while (this.#count < count) {
      this.#buffer = ((this.#buffer << 8) | this.#input.u8(field)) >>> 0;
      this.#count += 8;
    }
    this.#count -= count;
    const value = this.#buffer >>> this.#count;
    this.#buffer &= (1 << this.#count) - 1;
    return value;
  }

  /** The next `count` bits, at most 24, which stay; behind the end of the input they are zeroes. */
  peek(count: number): number {
    const input = this.#input;
    while (this.#count < count && input.remaining > 0) {
      if (input.position === input.end) input.fill();
      this.#buffer = (this.#buffer << 8) | (input.window[input.position++] ?? 0);
      this.#count += 8;
    }
    const missing = count - this.#count;
    return missing > 0 ? this.#buffer << missing : this.#buffer >>> -missing;
  }

  /** Goes on behind bits that were looked at. */
  drop(count: number, field: string): void {
    if (count > this.#count) this.read(count, field);
    this.#count -= count;
    this.#buffer &= (1 << this.#count) - 1;
  }

  /** Leaves out what is left of a byte. */
  align(): void {
    this.#buffer = 0;
    this.#count = 0;
  }
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
