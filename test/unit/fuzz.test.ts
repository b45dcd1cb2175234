import { describe, expect, it } from "vitest";
import { randomNumbers } from "../fakes/random-numbers.ts";
import { type FuzzTarget, fuzz } from "../fuzz/engine.ts";
import { type Grammar, generateText } from "../fuzz/grammar.ts";
import { grubGrammar, regexGrammar } from "../fuzz/grub-grammar.ts";
import { ipxeGrammar } from "../fuzz/ipxe-grammar.ts";
import { syslinuxGrammar } from "../fuzz/syslinux-grammar.ts";
import { tokensOf } from "../fuzz/target-kinds.ts";
import { fuzzTargets, parserTargets, searchTargets } from "../fuzz/targets.ts";

/** The short form; test/long/fuzz.test.ts and fuzz-programs.test.ts run a million inputs through each. */
const parserInputs = 1000;
const searchInputs = 300;
const inputMsMax = 10_000;

describe.each([
  ["every parser takes anything", parserTargets, parserInputs],
  ["every program ends, and every search", searchTargets, searchInputs],
] as const)("%s", (_, targets, inputs) => {
  it.each(targets.map((target) => [target.name, target] as const))("%s", async (_, target) => {
    const report = await fuzz(target, { inputs, seed: 4, inputMsMax, coverage: false });
    expect(report.failures).toEqual([]);
    expect(report.inputs).toBe(inputs);
  });
});

describe("targets", () => {
  it("have names of their own", () => {
    expect(new Set(fuzzTargets.map(({ name }) => name)).size).toBe(fuzzTargets.length);
  });
  it.each(fuzzTargets.map((target) => [target.name, target] as const))("%s takes a seed", async (_, target) => {
    const taken = [];
    for (const seed of target.seeds) {
      try {
        await target.run(seed.slice());
        taken.push(seed);
      } catch (error) {
        if (!target.isExpected(error)) throw error;
      }
    }
    expect(taken.length).toBeGreaterThan(0);
  });
});

describe("grammars", () => {
  const grammars: readonly (readonly [string, Grammar, string])[] = [
    ["GRUB", grubGrammar, "program"],
    ["regular expressions", regexGrammar, "input"],
    ["syslinux", syslinuxGrammar, "config"],
    ["iPXE", ipxeGrammar, "script"],
  ];
  it.each(grammars)("%s: every symbol is there and used, and comes to an end", (_, grammar, start) => {
    const used = Object.values(grammar).flatMap((productions) =>
      productions.flatMap((production) => [...production.matchAll(/<([a-z-]+)>/g)].map((match) => match[1] ?? "")),
    );
    expect([...new Set([start, ...used])].sort()).toEqual(Object.keys(grammar).sort());
    for (const symbol of Object.keys(grammar)) expect(generateText(grammar, symbol, () => 0)).toBeTypeOf("string");
  });
  it("a symbol that is not there", () => {
    expect(() => generateText({ a: ["x<b>"] }, "a", () => 0)).toThrow("no symbol <b> in the grammar");
  });
  it("texts are made of productions, and end though these do not", () => {
    const grammar = { list: ["<item>", "<item>,<list>", "<list>,<list>"], item: ["1", "2"] };
    const random = randomNumbers(1);
    const texts = Array.from({ length: 200 }, () => generateText(grammar, "list", random));
    for (const text of texts) expect(text).toMatch(/^[12](?:,[12])*$/);
    expect(new Set(texts).size).toBeGreaterThan(20);
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThan(5000);
    expect(tokensOf(grammar)).toEqual([",", "1", "2"]);
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
  it("makes inputs by the grammar and mends what it changed", async () => {
    const inputs: string[] = [];
    const made: FuzzTarget = {
      ...target,
      seeds: [],
      generate: () => new TextEncoder().encode("made"),
      mend: (bytes) => Uint8Array.of(0x21, ...bytes),
      run: (bytes) => void inputs.push(new TextDecoder().decode(bytes)),
    };
    await fuzz(made, { ...options, inputs: 400 });
    expect(inputs.filter((input) => input === "!made").length).toBeGreaterThan(50);
    expect(inputs.filter((input) => /^!.*ma/s.test(input) && input !== "!made").length).toBeGreaterThan(50);
    expect(inputs.filter((input) => !input.startsWith("!"))).toEqual([]);
  });
  it("tells of an input that takes too long", async () => {
    const run = (bytes: Uint8Array): void => {
      const end = performance.now() + (bytes.length > 3 ? 20 : 0);
      while (performance.now() < end);
    };
    const report = await fuzz({ ...target, run }, { ...options, inputs: 200, inputMsMax: 19 });
    expect(report.failures.map(({ reason }) => reason.replace(/\d+/, "N"))).toContain("took N ms");
    expect(report.slowestMs).toBeGreaterThanOrEqual(19);
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
