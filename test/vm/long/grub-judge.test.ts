import { describe, expect, it } from "vitest";
import { readCorpus } from "../judge/grub-corpus.ts";
import { expectAgreement } from "../judge/grub-expect.ts";
import { randomCase, scriptKinds } from "../judge/grub-random.ts";

const corpus = await readCorpus();

describe("GRUB boots what this program would boot, each default and each entry", () => {
  it.each(corpus.map((each) => [each.name, each.what, each] as const))("%s: %s", async (_name, _what, each) => {
    await expectAgreement(each, "all");
  });
});

describe("GRUB makes the same of random scripts", () => {
  const seeds = Array.from({ length: 10 }, (_, index) => index + 1);
  it.each(scriptKinds.flatMap((kind) => seeds.map((seed) => [kind, seed] as const)))(
    "%s, seed %i",
    async (kind, seed) => {
      const plain = corpus.find(({ name }) => name === "quoting");
      if (plain === undefined) throw new Error('corpus of GRUB: no case "quoting"');
      const booted = await expectAgreement(randomCase(plain, kind, seed), "default");
      expect(booted?.options).toMatch(/ 0:\[.* 39:\[/s);
    },
  );

  it("whose grammar makes the same scripts of the same seed", () => {
    const [plain] = corpus;
    if (plain === undefined) throw new Error("corpus of GRUB: it is empty");
    const texts = scriptKinds.map((kind) => JSON.stringify(randomCase(plain, kind, 1)));
    expect(scriptKinds.map((kind) => JSON.stringify(randomCase(plain, kind, 1)))).toEqual(texts);
  });
});
