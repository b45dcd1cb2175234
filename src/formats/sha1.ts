/*
 * SHA-1, for names that others have fixed in terms of it (RFC 9562 version 5). Nothing is trusted because of it.
 * Source: FIPS 180-4, sections 5.1.1, 5.3.1 and 6.1.2.
 */

const blockBytes = 64;

/** The digest's 20 bytes. */
export function sha1(message: Uint8Array): Uint8Array {
  const state = Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const padded = pad(message);
  const schedule = new Uint32Array(80);
  for (let at = 0; at < padded.length; at += blockBytes) {
    addBlock(state, new DataView(padded.buffer, at, blockBytes), schedule);
  }
  const digest = new DataView(new ArrayBuffer(20));
  for (const [index, word] of state.entries()) digest.setUint32(index * 4, word);
  return new Uint8Array(digest.buffer);
}

/** One bit, zeroes, and the length in bits as 64 bits. */
function pad(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const padded = new Uint8Array(Math.ceil((message.length + 9) / blockBytes) * blockBytes);
  padded.set(message);
  padded[message.length] = 0x80;
  new DataView(padded.buffer).setBigUint64(padded.length - 8, BigInt(message.length) * 8n);
  return padded;
}

function addBlock(state: Uint32Array, block: DataView, schedule: Uint32Array): void {
  for (let t = 0; t < 80; t++) {
    const word = (back: number): number => schedule[t - back] ?? 0;
    schedule[t] = t < 16 ? block.getUint32(t * 4) : rotate(word(3) ^ word(8) ^ word(14) ^ word(16), 1);
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0] = state;
  for (let t = 0; t < 80; t++) {
    const next = (rotate(a, 5) + mix(t, b, c, d) + e + (schedule[t] ?? 0)) >>> 0;
    e = d;
    d = c;
    c = rotate(b, 30);
    b = a;
    a = next;
  }
  for (const [index, word] of [a, b, c, d, e].entries()) state[index] = ((state[index] ?? 0) + word) >>> 0;
}

function rotate(word: number, bits: number): number {
  return ((word << bits) | (word >>> (32 - bits))) >>> 0;
}

/** The function and the constant of step `t` (sections 4.1.1 and 4.2.1), added up. */
function mix(t: number, b: number, c: number, d: number): number {
  if (t < 20) return ((b & c) ^ (~b & d)) + 0x5a827999;
  if (t < 40) return (b ^ c ^ d) + 0x6ed9eba1;
  if (t < 60) return ((b & c) ^ (b & d) ^ (c & d)) + 0x8f1bbcdc;
  return (b ^ c ^ d) + 0xca62c1d6;
}
