import { describe, it } from "vitest";
import { readCorpus } from "../judge/grub-corpus.ts";
import { expectAgreement } from "../judge/grub-expect.ts";

const corpus = await readCorpus();

describe("GRUB boots what this program would boot, each default and each entry", () => {
  it.each(corpus.map((each) => [each.name, each.what, each] as const))("%s: %s", (_name, _what, each) =>
    expectAgreement(each, "all"),
  );
});
