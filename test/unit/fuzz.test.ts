import { describe, expect, it } from "vitest";
import { fuzz } from "../fuzz/engine.ts";
import { fuzzTargets } from "../fuzz/targets.ts";

/** The short form; test/long/fuzz.test.ts runs a million inputs through each. */
const inputs = 1500;
const inputMsMax = 10_000;

describe("every parser takes anything", () => {
  it.each(fuzzTargets.map((target) => [target.name, target] as const))("%s", async (_, target) => {
    const report = await fuzz(target, { inputs, seed: 4, inputMsMax, coverage: false });
    expect(report.failures).toEqual([]);
    expect(report.inputs).toBe(inputs);
  });
});

describe("the engine", () => {
  const target = {
    name: "toy",
    seeds: [new TextEncoder().encode("abc")],
    tokens: ["boom"],
    text: true,
    isExpected: (error: unknown): boolean => error instanceof RangeError,
  };
  const options = { inputs: 5000, seed: 1, inputMsMax: 10_000, coverage: false };

  it("finds what throws something else", async () => {
    const run = (bytes: Uint8Array): void => {
      const text = new TextDecoder().decode(bytes);
      if (text.includes("boom")) throw new TypeError("found");
      if (text.includes("a")) throw new RangeError("expected");
    };
    const report = await fuzz({ ...target, run }, options);
    expect(report.failures.length).toBeGreaterThan(0);
    expect(new TextDecoder().decode(report.failures[0]?.input)).toContain("boom");
    expect(report.refused).toBeGreaterThan(0);
  });
  it("gives the same inputs again", async () => {
    const inputsOf = async (): Promise<string[]> => {
      const all: string[] = [];
      await fuzz(
        { ...target, run: (bytes) => void all.push(Buffer.from(bytes).toString("hex")) },
        { ...options, inputs: 300 },
      );
      return all;
    };
    const first = await inputsOf();
    expect(new Set(first).size).toBeGreaterThan(100);
    expect(await inputsOf()).toEqual(first);
  });
  it("keeps inputs that reach new code, though nothing else tells them from others", async () => {
    const pe = fuzzTargets.find(({ name }) => name === "PE");
    if (pe === undefined) throw new Error("no such target");
    const silent = (bytes: Uint8Array): void => {
      try {
        pe.run(bytes);
      } catch {
        // What the parser says is left out: only the coverage is there to tell.
      }
    };
    const kept = async (coverage: boolean): Promise<number> =>
      (await fuzz({ ...pe, run: silent }, { inputs: 1500, seed: 2, inputMsMax, coverage })).kept;
    expect(await kept(false)).toBe(2);
    expect(await kept(true)).toBeGreaterThan(7);
  });
});
