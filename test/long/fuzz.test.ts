import { describe, expect, it } from "vitest";
import { fuzz } from "../fuzz/engine.ts";
import { fuzzTargets } from "../fuzz/targets.ts";

/** SLIPWAY_FUZZ_INPUTS and SLIPWAY_FUZZ_SEED change what a run tries. */
const inputs = Number(process.env["SLIPWAY_FUZZ_INPUTS"] ?? 1_000_000);
const seed = Number(process.env["SLIPWAY_FUZZ_SEED"] ?? 1);
const inputMsMax = 10_000;

describe(`every parser takes anything, ${inputs} inputs each`, () => {
  it.each(fuzzTargets.map((target) => [target.name, target] as const))("%s", async (_, target) => {
    const report = await fuzz(target, { inputs, seed, inputMsMax, coverage: true });
    console.log(
      `${target.name}: ${report.inputs} inputs, ${report.kept} kept, ${report.refused} refused, slowest ${report.slowestMs.toFixed(0)} ms`,
    );
    expect(
      report.failures.map(({ reason, input }) => ({ reason, input: Buffer.from(input).toString("base64") })),
    ).toEqual([]);
  });
});
