import type { Dictionary } from "./dictionary.ts";
import type { ForwardInput } from "./forward-input.ts";

/**
 * Largest dictionary that is taken, in bytes. Linux packs kernels by xz with one of 128 MiB (scripts/xz_wrap.sh, since
 * 6.12), `xz -9` and `lzma -9` with 64 MiB.
 */
export const dictionaryBytesMax = 128 << 20;

/** Bytes that the range decoder starts with. */
export const rangeStartBytes = 5;

// The probabilities' places (LZMA specification, "The main loop of decoder"), all in one array.
const statesCount = 12;
const positionStatesMax = 16;
const isMatch = 0;
const isRep = isMatch + statesCount * positionStatesMax;
const isRepG0 = isRep + statesCount;
const isRepG1 = isRepG0 + statesCount;
const isRepG2 = isRepG1 + statesCount;
const isRep0Long = isRepG2 + statesCount;
const distanceSlots = isRep0Long + statesCount * positionStatesMax;
const distanceSpecial = distanceSlots + 4 * 64;
const distanceAlign = distanceSpecial + 115;
const matchLength = distanceAlign + 16;
const lengthLow = 2;
const lengthMiddle = lengthLow + positionStatesMax * 8;
const lengthHigh = lengthMiddle + positionStatesMax * 8;
const repLength = matchLength + lengthHigh + 256;
const literals = repLength + lengthHigh + 256;
const literalBytes = 0x300;
/** Literal context and position bits together; more needs memory that nobody uses (liblzma, LZMA_LCLP_MAX). */
const literalBitsMax = 4;
const matchLengthMin = 2;

/**
 * The decoder of LZMA symbols (LZMA SDK, lzma-specification.txt). It works on the window of its input without looking
 * whether there is input: whoever calls it keeps {@link spareBytes} behind the last byte, and sees at the end how far it
 * came. Range and code are kept as signed 32-bit numbers, which V8 holds without allocating, and compared unsigned.
 */
export class LzmaDecoder {
  readonly dictionary: Dictionary;
  /** The end marker was decoded. */
  isEnded = false;
  /** Bytes of a match for which the output had no room. */
  pendingBytes = 0;

  readonly #probabilities = new Uint16Array(literals + (literalBytes << literalBitsMax));
  #input = new Uint8Array(0);
  #position = 0;
  #range = 0;
  #code = 0;
  #state = 0;
  // Distances of the last matches, less one.
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;
  #literalContextBits = 0;
  #literalPositionMask = 0;
  #positionMask = 0;

  constructor(dictionary: Dictionary) {
    this.dictionary = dictionary;
  }

  /** Takes the properties byte, `(pb * 5 + lp) * 9 + lc`, and resets the state. */
  setProperties(input: ForwardInput): void {
    const properties = input.u8("properties");
    const contextBits = properties % 9;
    const positionBits = Math.floor(properties / 9) % 5;
    if (properties >= 9 * 5 * 5 || contextBits + positionBits > literalBitsMax) {
      const expected = "(pb * 5 + lp) * 9 + lc with pb up to 4 and lc + lp up to 4";
      input.fail(`${expected} expected, not ${properties}`, "properties", input.offset - 1);
    }
    this.#literalContextBits = contextBits;
    this.#literalPositionMask = (1 << positionBits) - 1;
    this.#positionMask = (1 << Math.floor(properties / 45)) - 1;
    this.resetState();
  }

  /** All probabilities one half, no matches remembered. */
  resetState(): void {
    this.#probabilities.fill(1024);
    this.#state = 0;
    this.#rep0 = 0;
    this.#rep1 = 0;
    this.#rep2 = 0;
    this.#rep3 = 0;
    this.isEnded = false;
    this.pendingBytes = 0;
  }

  /** Starts the range decoder with the next 5 bytes. */
  startRange(input: ForwardInput): void {
    const offset = input.offset;
    const first = input.u8("range");
    if (first !== 0) input.fail(`0 expected, not ${first}`, "range", offset);
    this.#code = (input.u16be("range") << 16) | input.u16be("range");
    this.#range = -1;
  }

  /** Whether the range decoder stands where an encoder leaves it. */
  endsRange(input: ForwardInput): boolean {
    this.#input = input.window;
    this.#position = input.position;
    this.#normalize();
    input.position = this.#position;
    return this.#code === 0;
  }

  /**
   * Decodes symbols until the dictionary's position is `outputEnd`, the input's position is beyond `inputEnd` (both are
   * indices), or the end marker is found. The last symbol may take up to 20 bytes beyond `inputEnd`.
   */
  run(input: ForwardInput, inputEnd: number, outputEnd: number): void {
    const { dictionary } = this;
    this.#input = input.window;
    this.#position = input.position;
    if (this.pendingBytes > 0) this.#repeat(this.pendingBytes, outputEnd);
    while (dictionary.position < outputEnd && this.#position <= inputEnd) {
      const positionState = dictionary.position & this.#positionMask;
      if (this.#bit(isMatch + (this.#state << 4) + positionState) === 0) {
        this.#literal();
        continue;
      }
      const length = this.#match(positionState);
      if (this.isEnded) break;
      if (this.#rep0 >>> 0 >= dictionary.filled) {
        if (this.#position > inputEnd) break;
        input.position = this.#position;
        input.fail(`a distance up to ${dictionary.filled} expected, not ${(this.#rep0 >>> 0) + 1}`, "match");
      }
      this.#repeat(length, outputEnd);
    }
    input.position = this.#position;
  }

  /** Copies a match as far as there is room. */
  #repeat(length: number, outputEnd: number): void {
    const fitting = Math.min(length, outputEnd - this.dictionary.position);
    this.pendingBytes = length - fitting;
    this.dictionary.repeat(this.#rep0, fitting);
  }

  #literal(): void {
    const { dictionary } = this;
    const context = dictionary.previous >> (8 - this.#literalContextBits);
    const position = dictionary.position & this.#literalPositionMask;
    const base = literals + literalBytes * ((position << this.#literalContextBits) + context);
    const state = this.#state;
    if (state < 7) dictionary.put(this.#tree(base, 0x100));
    else dictionary.put(this.#matchedLiteral(base, dictionary.before(this.#rep0)));
    this.#state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
  }

  /** Decodes what follows the bit that says "match": the length; the distance is the first of those remembered. */
  #match(positionState: number): number {
    const state = this.#state;
    if (this.#bit(isRep + state) === 0) {
      this.#rep3 = this.#rep2;
      this.#rep2 = this.#rep1;
      this.#rep1 = this.#rep0;
      this.#state = state < 7 ? 7 : 10;
      const length = this.#length(matchLength, positionState);
      this.#rep0 = this.#distance(length);
      this.isEnded = this.#rep0 === -1;
      return length;
    }
    if (this.#bit(isRepG0 + state) === 0) {
      if (this.#bit(isRep0Long + (state << 4) + positionState) === 0) {
        this.#state = state < 7 ? 9 : 11;
        return 1;
      }
    } else this.#recallDistance(state);
    this.#state = state < 7 ? 8 : 11;
    return this.#length(repLength, positionState);
  }

  /** Moves the second, third or fourth remembered distance to the front. */
  #recallDistance(state: number): void {
    let distance = this.#rep1;
    if (this.#bit(isRepG1 + state) !== 0) {
      distance = this.#rep2;
      if (this.#bit(isRepG2 + state) !== 0) {
        distance = this.#rep3;
        this.#rep3 = this.#rep2;
      }
      this.#rep2 = this.#rep1;
    }
    this.#rep1 = this.#rep0;
    this.#rep0 = distance;
  }

  #length(base: number, positionState: number): number {
    if (this.#bit(base) === 0) return matchLengthMin + this.#tree(base + lengthLow + (positionState << 3), 8);
    if (this.#bit(base + 1) === 0)
      return matchLengthMin + 8 + this.#tree(base + lengthMiddle + (positionState << 3), 8);
    return matchLengthMin + 16 + this.#tree(base + lengthHigh, 256);
  }

  /** The distance less one; -1 (0xffffffff) is the end marker. */
  #distance(length: number): number {
    const lengthState = Math.min(length - matchLengthMin, 3);
    const slot = this.#tree(distanceSlots + (lengthState << 6), 64);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const high = (2 | (slot & 1)) << bits;
    if (slot < 14) return high + this.#reverseTree(distanceSpecial + high - slot, bits);
    return (high | (this.#directBits(bits - 4) << 4)) + this.#reverseTree(distanceAlign, 4);
  }

  // Each of the following is the range decoder's step (specification, "Range Decoder"), for bits of one kind. It is
  // written out in each, because V8 keeps the numbers in registers only inside one function.

  #normalize(): void {
    if (this.#range >>> 24 !== 0) return;
    this.#range <<= 8;
    this.#code = (this.#code << 8) | (this.#input[this.#position++] ?? 0);
  }

  /** A bit with the probability at `index`. */
  #bit(index: number): 0 | 1 {
    this.#normalize();
    const probabilities = this.#probabilities;
    const probability = probabilities[index] ?? 0;
    const bound = Math.imul(this.#range >>> 11, probability);
    if (this.#code >>> 0 < bound >>> 0) {
      this.#range = bound;
      probabilities[index] = probability + ((2048 - probability) >> 5);
      return 0;
    }
    this.#range = (this.#range - bound) | 0;
    this.#code = (this.#code - bound) | 0;
    probabilities[index] = probability - (probability >> 5);
    return 1;
  }

  /** A number below `limit`, a power of two, highest bit first. */
  #tree(base: number, limit: number): number {
    const probabilities = this.#probabilities;
    const input = this.#input;
    let position = this.#position;
    let range = this.#range;
    let code = this.#code;
    let symbol = 1;
    while (symbol < limit) {
      if (range >>> 24 === 0) {
        range <<= 8;
        code = (code << 8) | (input[position++] ?? 0);
      }
      const index = base + symbol;
      const probability = probabilities[index] ?? 0;
      const bound = Math.imul(range >>> 11, probability);
      symbol <<= 1;
      if (code >>> 0 < bound >>> 0) {
        range = bound;
        probabilities[index] = probability + ((2048 - probability) >> 5);
      } else {
        range = (range - bound) | 0;
        code = (code - bound) | 0;
        probabilities[index] = probability - (probability >> 5);
        symbol |= 1;
      }
    }
    this.#position = position;
    this.#range = range;
    this.#code = code;
    return symbol - limit;
  }

  /** A literal after a match: while its bits are those of the byte at the match's distance, they choose the probabilities. */
  #matchedLiteral(base: number, matched: number): number {
    const probabilities = this.#probabilities;
    const input = this.#input;
    let position = this.#position;
    let range = this.#range;
    let code = this.#code;
    let symbol = 1;
    let offset = 0x100;
    let rest = matched;
    while (symbol < 0x100) {
      if (range >>> 24 === 0) {
        range <<= 8;
        code = (code << 8) | (input[position++] ?? 0);
      }
      rest <<= 1;
      const matchedBit = rest & offset;
      const index = base + offset + matchedBit + symbol;
      const probability = probabilities[index] ?? 0;
      const bound = Math.imul(range >>> 11, probability);
      symbol <<= 1;
      if (code >>> 0 < bound >>> 0) {
        range = bound;
        probabilities[index] = probability + ((2048 - probability) >> 5);
        offset &= ~matchedBit;
      } else {
        range = (range - bound) | 0;
        code = (code - bound) | 0;
        probabilities[index] = probability - (probability >> 5);
        symbol |= 1;
        offset &= matchedBit;
      }
    }
    this.#position = position;
    this.#range = range;
    this.#code = code;
    return symbol & 0xff;
  }

  /** A number of `bits` bits, lowest bit first. */
  #reverseTree(base: number, bits: number): number {
    let symbol = 1;
    let value = 0;
    for (let bit = 0; bit < bits; bit++) {
      const decoded = this.#bit(base + symbol);
      symbol = (symbol << 1) | decoded;
      value |= decoded << bit;
    }
    return value;
  }

  /** A number of up to 26 bits that are all equally probable, highest bit first. */
  #directBits(bits: number): number {
    const input = this.#input;
    let position = this.#position;
    let range = this.#range;
    let code = this.#code;
    let value = 0;
    for (let bit = 0; bit < bits; bit++) {
      if (range >>> 24 === 0) {
        range <<= 8;
        code = (code << 8) | (input[position++] ?? 0);
      }
      range >>>= 1;
      value <<= 1;
      if (code >>> 0 >= range) {
        code = (code - range) | 0;
        value |= 1;
      }
    }
    this.#position = position;
    this.#range = range;
    this.#code = code;
    return value;
  }
}
