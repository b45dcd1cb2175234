const blockBytes = 64;

// FIPS 180-4, section 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes.
const constants = Int32Array.of(
  ...[0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5],
  ...[0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174],
  ...[0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da],
  ...[0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967],
  ...[0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85],
  ...[0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070],
  ...[0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3],
  ...[0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2],
);

/** SHA-256 (FIPS 180-4) for this floor, which has no access to the runtime's; the floors above use that. */
export class Sha256 {
  // Section 5.3.3.
  readonly #state = Int32Array.of(
    ...[0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19],
  );
  readonly #schedule = new Int32Array(64);
  readonly #block = new Uint8Array(blockBytes);
  readonly #blockView = new DataView(this.#block.buffer);
  #blockLength = 0;
  #length = 0;

  update(bytes: Uint8Array): void {
    this.#length += bytes.length;
    for (let done = 0; done < bytes.length; ) {
      const fitting = Math.min(blockBytes - this.#blockLength, bytes.length - done);
      this.#block.set(bytes.subarray(done, done + fitting), this.#blockLength);
      this.#blockLength += fitting;
      done += fitting;
      if (this.#blockLength < blockBytes) return;
      this.#compress();
      this.#blockLength = 0;
    }
  }

  /** 32 bytes. Nothing can be added afterwards. */
  digest(): Uint8Array {
    const length = this.#length;
    const zeroes = (2 * blockBytes - 9 - (length % blockBytes)) % blockBytes;
    const padding = new DataView(new ArrayBuffer(1 + zeroes + 8));
    padding.setUint8(0, 0x80);
    // The length in bits.
    padding.setUint32(1 + zeroes, Math.floor(length / 2 ** 29));
    padding.setUint32(5 + zeroes, (length % 2 ** 29) * 8);
    this.update(new Uint8Array(padding.buffer));
    const result = new DataView(new ArrayBuffer(32));
    this.#state.forEach((word, index) => {
      result.setInt32(index * 4, word);
    });
    return new Uint8Array(result.buffer);
  }

  /** Section 6.2.2. */
  #compress(): void {
    const schedule = this.#expand();
    const state = this.#state;
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
    for (let t = 0; t < 64; t++) {
      const sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const choice = (e & f) ^ (~e & g);
      const first = (h + sum1 + choice + (constants[t] ?? 0) + (schedule[t] ?? 0)) | 0;
      const sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const majority = (a & b) ^ (a & c) ^ (b & c);
      h = g;
      g = f;
      f = e;
      e = (d + first) | 0;
      d = c;
      c = b;
      b = a;
      a = (first + sum0 + majority) | 0;
    }
    const words = [a, b, c, d, e, f, g, h];
    for (let i = 0; i < 8; i++) state[i] = (state[i] ?? 0) + (words[i] ?? 0);
  }

  #expand(): Int32Array {
    const w = this.#schedule;
    for (let t = 0; t < 16; t++) w[t] = this.#blockView.getInt32(t * 4);
    for (let t = 16; t < 64; t++) {
      const w15 = w[t - 15] ?? 0;
      const w2 = w[t - 2] ?? 0;
      const sigma0 = rotate(w15, 7) ^ rotate(w15, 18) ^ (w15 >>> 3);
      const sigma1 = rotate(w2, 17) ^ rotate(w2, 19) ^ (w2 >>> 10);
      w[t] = (w[t - 16] ?? 0) + sigma0 + (w[t - 7] ?? 0) + sigma1;
    }
    return w;
  }
}

function rotate(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}
