import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** A file of test/data/kernel-image, which has a README that says what is in it. */
export function kernelImage(name: string): Uint8Array {
  return new Uint8Array(gunzipSync(readFileSync(new URL(`../data/kernel-image/${name}.gz`, import.meta.url))));
}

/** A copy with 32-bit words changed, little-endian. */
export function withWords(bytes: Uint8Array, ...changes: readonly (readonly [at: number, word: number])[]): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  for (const [at, word] of changes) view.setUint32(at, word, true);
  return copy;
}
