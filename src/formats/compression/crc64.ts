// ECMA-182's polynomial, reflected: 0xc96c5795d7870f42, as two halves of 32 bits.
const polynomialLow = 0xd7870f42 | 0;
const polynomialHigh = 0xc96c5795 | 0;

const tableLow = new Int32Array(256);
const tableHigh = new Int32Array(256);
for (let index = 0; index < 256; index++) {
  let low = index;
  let high = 0;
  for (let bit = 0; bit < 8; bit++) {
    const isOdd = (low & 1) !== 0;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (isOdd) {
      low ^= polynomialLow;
      high ^= polynomialHigh;
    }
  }
  tableLow[index] = low;
  tableHigh[index] = high;
}

/** CRC-64 of the XZ format (CRC-64/XZ: ECMA-182's polynomial, reflected, initial and final value inverted). */
export class Crc64 {
  #low = -1;
  #high = -1;

  update(bytes: Uint8Array): void {
    let low = this.#low;
    let high = this.#high;
    for (let i = 0; i < bytes.length; i++) {
      const index = (low ^ (bytes[i] ?? 0)) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ (tableLow[index] ?? 0);
      high = (high >>> 8) ^ (tableHigh[index] ?? 0);
    }
    this.#low = low;
    this.#high = high;
  }

  /** 8 bytes, little-endian. */
  digest(): Uint8Array {
    const view = new DataView(new ArrayBuffer(8));
    view.setInt32(0, ~this.#low, true);
    view.setInt32(4, ~this.#high, true);
    return new Uint8Array(view.buffer);
  }
}
