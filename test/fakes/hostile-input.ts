import { FormatError } from "../../src/formats/format-error.ts";
import { randomNumbers } from "./random-numbers.ts";

/** What `parse` throws, which has to be a FormatError; null when it returns. */
export function formatErrorOf(parse: () => unknown): string | null {
  try {
    parse();
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
  return null;
}

export interface HostileInput {
  readonly bytes: Uint8Array;
  /** Has to return or to throw FormatError. */
  readonly parse: (bytes: Uint8Array) => unknown;
  readonly rounds: number;
  readonly seed: number;
  /** Places that the mutations hit: the first so many bytes, or the given ones. */
  readonly within?: number;
}

/** Values that break arithmetic more often than any byte by chance. */
const nastyWords = [0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

/** Parses the input cut at every length of its first `within` bytes, and changed in a few places again and again. */
export function tortureParser({ bytes, parse, rounds, seed, within = bytes.length }: HostileInput): void {
  const reach = Math.min(within, bytes.length);
  for (let length = 0; length <= reach; length++) formatErrorOf(() => parse(bytes.subarray(0, length)));
  const random = randomNumbers(seed);
  for (let round = 0; round < rounds; round++) {
    const changed = bytes.slice();
    for (let change = 0; change <= round % 4; change++) {
      const at = random() % reach;
      if (random() % 3 === 0 && at + 4 <= changed.length) {
        new DataView(changed.buffer).setUint32(at, nastyWords[random() % nastyWords.length] ?? 0, true);
      } else changed[at] = random() >>> 3;
    }
    formatErrorOf(() => parse(changed));
  }
}
