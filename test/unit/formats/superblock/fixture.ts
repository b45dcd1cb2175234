import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { ReadAt } from "../../../../src/formats/read-at.ts";

/** A device in memory: the parts that are not zero, and a size. */
export interface Fixture {
  readonly name: string;
  readonly deviceBytes: number;
  readonly parts: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

interface StoredFixture {
  readonly name: string;
  readonly deviceBytes: number;
  readonly extents: readonly (readonly [number, number])[];
}

/** Loads the fixtures that an index file beside them names. */
export function loadFixtures<T extends StoredFixture>(directory: URL): readonly (T & Fixture)[] {
  const index: readonly T[] = JSON.parse(readFileSync(new URL("fixtures.json", directory), "utf8"));
  return index.map((stored) => {
    const content = gunzipSync(readFileSync(new URL(`${stored.name}.gz`, directory)));
    let position = 0;
    const parts = stored.extents.map(([offset, length]) => {
      const bytes = Uint8Array.from(content.subarray(position, position + length));
      position += length;
      return { offset, bytes };
    });
    return { ...stored, parts };
  });
}

/** Reads from a fixture, zeros between its parts, nothing past its end. */
export function readerOf(fixture: Fixture): ReadAt {
  return async (offset, length) => {
    const start = Number(offset);
    const result = new Uint8Array(Math.max(0, Math.min(length, fixture.deviceBytes - start)));
    for (const part of fixture.parts) {
      const from = Math.max(start, part.offset);
      const to = Math.min(start + result.length, part.offset + part.bytes.length);
      if (from < to) result.set(part.bytes.subarray(from - part.offset, to - part.offset), from - start);
    }
    return result;
  };
}

/** The fixture with bytes written over it. */
export function patched(fixture: Fixture, offset: number, bytes: readonly number[] | Uint8Array): Fixture {
  return { ...fixture, parts: [...fixture.parts, { offset, bytes: Uint8Array.from(bytes) }] };
}

/** The fixture on a device of another size. */
export function resized(fixture: Fixture, deviceBytes: number): Fixture {
  return { ...fixture, deviceBytes };
}

/** A generator of 32-bit numbers with a fixed seed (xorshift32), so that a failure can be repeated. */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
