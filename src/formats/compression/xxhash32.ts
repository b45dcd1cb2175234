// xxHash specification, "XXH32 Algorithm Description".
const prime1 = 0x9e3779b1 | 0;
const prime2 = 0x85ebca77 | 0;
const prime3 = 0xc2b2ae3d | 0;
const prime4 = 0x27d4eb2f;
const prime5 = 0x165667b1;
const stripeBytes = 16;

/** xxHash of 32 bits (XXH32) with seed 0: the checksum of LZ4 frames. */
export class XxHash32 {
  #a = (prime1 + prime2) | 0;
  #b = prime2;
  #c = 0;
  #d = -prime1 | 0;
  readonly #stripe = new Uint8Array(stripeBytes);
  #pending = 0;
  #length = 0;

  update(bytes: Uint8Array): void {
    this.#length += bytes.length;
    let done = 0;
    if (this.#pending > 0) {
      done = Math.min(stripeBytes - this.#pending, bytes.length);
      this.#stripe.set(bytes.subarray(0, done), this.#pending);
      this.#pending += done;
      if (this.#pending < stripeBytes) return;
      this.#consume(this.#stripe, 0, stripeBytes);
    }
    const end = done + Math.floor((bytes.length - done) / stripeBytes) * stripeBytes;
    this.#consume(bytes, done, end);
    this.#stripe.set(bytes.subarray(end));
    this.#pending = bytes.length - end;
  }

  /** Unsigned. More may be added afterwards. */
  digest(): number {
    const isLong = this.#length >= stripeBytes;
    let hash = isLong
      ? (rotate(this.#a, 1) + rotate(this.#b, 7) + rotate(this.#c, 12) + rotate(this.#d, 18)) | 0
      : prime5;
    hash = (hash + (this.#length % 2 ** 32)) | 0;
    let at = 0;
    for (; at + 4 <= this.#pending; at += 4) {
      hash = Math.imul(rotate((hash + Math.imul(word(this.#stripe, at), prime3)) | 0, 17), prime4);
    }
    for (; at < this.#pending; at++) {
      hash = Math.imul(rotate((hash + Math.imul(this.#stripe[at] ?? 0, prime5)) | 0, 11), prime1);
    }
    hash = Math.imul(hash ^ (hash >>> 15), prime2);
    hash = Math.imul(hash ^ (hash >>> 13), prime3);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  /** Whole stripes. */
  #consume(bytes: Uint8Array, start: number, end: number): void {
    let a = this.#a;
    let b = this.#b;
    let c = this.#c;
    let d = this.#d;
    for (let at = start; at < end; at += stripeBytes) {
      a = round(a, word(bytes, at));
      b = round(b, word(bytes, at + 4));
      c = round(c, word(bytes, at + 8));
      d = round(d, word(bytes, at + 12));
    }
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#d = d;
  }
}

/** XXH32 of all bytes, unsigned. */
export function xxHash32(bytes: Uint8Array): number {
  const hash = new XxHash32();
  hash.update(bytes);
  return hash.digest();
}

function round(lane: number, input: number): number {
  return Math.imul(rotate((lane + Math.imul(input, prime2)) | 0, 13), prime1);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
}
