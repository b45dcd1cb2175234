/** The least window that an LZMA encoder has. */
const ringBytesMin = 4096;

/**
 * What LZMA has decoded last, which matches refer to (LZMA specification, "LZ window"), and at the same time the output
 * buffer: a ring. Memory is touched only as far as it is written.
 */
export class Dictionary {
  /** At least {@link size} bytes. */
  bytes = new Uint8Array(0);
  /** Where the next byte goes: below {@link size}, or equal to it until the output is taken. */
  position = 0;
  /** Of the ring, bytes. */
  size = 0;
  #isWrapped = false;
  #taken = 0;

  /** Starts an empty ring for matches that reach back up to `windowBytes`. Output that was not taken is lost. */
  prepare(windowBytes: number): void {
    // LZMA's contexts look at the position modulo 16, which the ring must not break.
    this.size = Math.max(ringBytesMin, Math.ceil(windowBytes / 16) * 16);
    if (this.bytes.length < this.size) this.bytes = new Uint8Array(this.size);
    this.reset();
  }

  /** Forgets what was written. Output that was not taken is lost. */
  reset(): void {
    this.position = 0;
    this.#taken = 0;
    this.#isWrapped = false;
  }

  /** Bytes that matches can refer to. */
  get filled(): number {
    return this.#isWrapped ? this.size : this.position;
  }

  /** The byte written last; 0 when there is none. */
  get previous(): number {
    if (this.position > 0) return this.bytes[this.position - 1] ?? 0;
    return this.#isWrapped ? (this.bytes[this.size - 1] ?? 0) : 0;
  }

  /** The byte that lies `distance` before the one written last. */
  before(distance: number): number {
    const index = this.position - distance - 1;
    return this.bytes[index < 0 ? index + this.size : index] ?? 0;
  }

  /** Repeats `length` bytes from `distance` before the one written last; both are inside the ring. */
  repeat(distance: number, length: number): void {
    const { bytes, size } = this;
    let from = this.position - distance - 1;
    if (from < 0) from += size;
    let to = this.position;
    const end = to + length;
    this.position = end;
    if (from + length > size) {
      while (from < size) bytes[to++] = bytes[from++] ?? 0;
      from = 0;
    }
    while (to < end) bytes[to++] = bytes[from++] ?? 0;
  }

  put(byte: number): void {
    this.bytes[this.position++] = byte;
  }

  /** Writes bytes; there is room for them. */
  append(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.position);
    this.position += bytes.length;
  }

  /** The bytes written since the last call: a view that is valid until the next write. */
  takeOutput(): Uint8Array {
    const output = this.bytes.subarray(this.#taken, this.position);
    if (this.position === this.size) {
      this.position = 0;
      this.#isWrapped = true;
    }
    this.#taken = this.position;
    return output;
  }
}
