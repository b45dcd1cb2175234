import { expect, test } from "vitest";
import { imageSet, sweep, sweptSets } from "../../fakes/flip-sweep.ts";

// test/long/trust-flips.test.ts turns every bit.
test.each(Object.entries(sweptSets))("no turned bit gets past the policy: %s", async (_, make) => {
  const { refused, wrong } = await sweep(await make(), { step: 101, randomBits: 12, seed: 1 });
  expect(wrong).toEqual([]);
  expect(refused).toBeGreaterThan(100);
});

test("the sweep tells what gets past: the checksum of an image, were it to be covered", async () => {
  const set = await imageSet();
  const once = { step: 1, randomBits: 0, seed: 1 };
  const covered = await sweep({ ...set, signatures: set.uncovered, uncovered: [] }, once);
  expect(covered.wrong).toHaveLength(32);
  expect(covered.wrong[0]).toMatch(/^\/EFI\/Linux\/system\.efi bit \d+: trusted$/);
  expect(await sweep({ ...set, signatures: set.uncovered }, once)).toEqual({
    refused: 0,
    uncovered: 32,
    wrong: [],
  });
});
