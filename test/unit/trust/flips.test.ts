import { expect, test } from "vitest";
import { sweep, sweptSets } from "../../fakes/flip-sweep.ts";

// test/long/trust-flips.test.ts turns every bit.
test.each(Object.entries(sweptSets))("no turned bit gets past the policy: %s", async (_, make) => {
  const { refused, wrong } = await sweep(await make(), { step: 101, randomBits: 12, seed: 1 });
  expect(wrong).toEqual([]);
  expect(refused).toBeGreaterThan(100);
});
