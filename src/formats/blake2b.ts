/*
 * BLAKE2b with a digest of 256 bits, for the checksum in minisign's secret keys: no signature is judged by it.
 * Source: RFC 7693, sections 2.6 and 3.
 */

const blockBytes = 128;
const digestBytes = 32;
const mask = 0xffff_ffff_ffff_ffffn;

/** Section 2.6. */
const initial: readonly bigint[] = [
  0x6a09e667f3bcc908n,
  0xbb67ae8584caa73bn,
  0x3c6ef372fe94f82bn,
  0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n,
  0x9b05688c2b3e6c1fn,
  0x1f83d9abfb41bd6bn,
  0x5be0cd19137e2179n,
];

/** Section 2.7: the order of the message's words in a round, a hexadecimal digit each; rounds 10 and 11 repeat 0 and 1. */
const orders: readonly string[] = [
  "0123456789abcdef",
  "ea489fd61c02b753",
  "b8c052fdae367194",
  "7931dcbe265a40f8",
  "905724afe1bc683d",
  "2c6a0b834d75fe19",
  "c51fed4a0763928b",
  "db7ec13950f4862a",
  "6fe9b308c2d714a5",
  "a2847615fb9e3cd0",
];

/** Section 3.1: which words of the state are mixed: columns, then diagonals. */
const mixed: readonly (readonly [number, number, number, number])[] = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
];

/** The digest's 32 bytes, without a key. */
export function blake2b256(message: Uint8Array): Uint8Array {
  const state = BigUint64Array.from(initial);
  state[0] = (state[0] ?? 0n) ^ BigInt(0x01010000 | digestBytes);
  const blocks = Math.max(1, Math.ceil(message.length / blockBytes));
  for (let index = 0; index < blocks; index++) {
    const block = new Uint8Array(blockBytes);
    block.set(message.subarray(index * blockBytes, (index + 1) * blockBytes));
    const isLast = index === blocks - 1;
    compress(state, block, isLast ? message.length : (index + 1) * blockBytes, isLast);
  }
  const digest = new DataView(new ArrayBuffer(digestBytes));
  for (let index = 0; index < digestBytes / 8; index++) digest.setBigUint64(index * 8, state[index] ?? 0n, true);
  return new Uint8Array(digest.buffer);
}

/** Section 3.2. */
function compress(state: BigUint64Array, block: Uint8Array, countBytes: number, isLast: boolean): void {
  const view = new DataView(block.buffer);
  const words = Array.from({ length: 16 }, (_, index) => view.getBigUint64(index * 8, true));
  const work = BigUint64Array.from([...state, ...initial]);
  work[12] = (work[12] ?? 0n) ^ BigInt(countBytes);
  if (isLast) work[14] = (work[14] ?? 0n) ^ mask;
  for (let round = 0; round < 12; round++) {
    const order = orders[round % 10] ?? "";
    for (const [index, places] of mixed.entries()) {
      const word = (at: number): bigint => words[Number.parseInt(order.charAt(at), 16)] ?? 0n;
      mix(work, places, word(2 * index), word(2 * index + 1));
    }
  }
  for (let index = 0; index < 8; index++) {
    state[index] = (state[index] ?? 0n) ^ (work[index] ?? 0n) ^ (work[index + 8] ?? 0n);
  }
}

/** Section 3.1: G. */
function mix(
  work: BigUint64Array,
  [a, b, c, d]: readonly [number, number, number, number],
  x: bigint,
  y: bigint,
): void {
  const at = (index: number): bigint => work[index] ?? 0n;
  work[a] = at(a) + at(b) + x;
  work[d] = rotate(at(d) ^ at(a), 32n);
  work[c] = at(c) + at(d);
  work[b] = rotate(at(b) ^ at(c), 24n);
  work[a] = at(a) + at(b) + y;
  work[d] = rotate(at(d) ^ at(a), 16n);
  work[c] = at(c) + at(d);
  work[b] = rotate(at(b) ^ at(c), 63n);
}

/** To the right. */
function rotate(value: bigint, bits: bigint): bigint {
  return ((value >> bits) | (value << (64n - bits))) & mask;
}
