import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** A file of test/data/uki, which has a README that says what is in it. */
export function ukiData(name: string): Uint8Array {
  return new Uint8Array(gunzipSync(readFileSync(new URL(`../data/uki/${name}.gz`, import.meta.url))));
}
