import { expect, test } from "vitest";
import { sweep, sweptSets } from "../fakes/flip-sweep.ts";

test.each(Object.entries(sweptSets))("no turned bit gets past the policy: %s", async (_, make) => {
  const set = await make();
  const { refused, uncovered, wrong } = await sweep(set, { step: 1, randomBits: 10_000, seed: 20_261_120 });
  expect(wrong).toEqual([]);
  const bits = set.signatures.reduce((sum, { length }) => sum + length * 8, 0);
  expect(refused + uncovered).toBe(bits + set.artifacts.length * 10_000);
  // What nothing covers is a comment, or a checksum.
  expect(uncovered).toBeLessThan((refused + uncovered) / 20);
});
