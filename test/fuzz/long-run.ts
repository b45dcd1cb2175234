import { describe, expect, it } from "vitest";
import { type FuzzTarget, fuzz } from "./engine.ts";

const inputMsMax = 30_000;

/**
 * A test for each target that runs inputs through it, with coverage: as many as `inputsByDefault`, or the target's share. The environment's SLIPWAY_FUZZ_INPUTS and
 * SLIPWAY_FUZZ_SEED change what a run tries, vitest's `-t` which targets.
 */
export function fuzzEach(title: string, targets: readonly FuzzTarget[], inputsByDefault: number): void {
  const inputs = Number(process.env["SLIPWAY_FUZZ_INPUTS"] ?? inputsByDefault);
  const seed = Number(process.env["SLIPWAY_FUZZ_SEED"] ?? 1);
  describe(`${title}, ${inputs} inputs each`, () => {
    it.each(targets.map((target) => [target.name, target] as const))("%s", async (_, target) => {
      const { failures, refused, kept, slowestMs, ...report } = await fuzz(target, {
        inputs: Math.ceil(inputs * (target.share ?? 1)),
        seed,
        inputMsMax,
        coverage: true,
      });
      console.log(
        `${target.name}: ${report.inputs} inputs, ${kept} kept, ${refused} refused, slowest ${slowestMs.toFixed(0)} ms`,
      );
      expect(failures.map(({ reason, input }) => ({ reason, input: Buffer.from(input).toString("base64") }))).toEqual(
        [],
      );
    });
  });
}
