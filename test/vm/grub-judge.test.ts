import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { listJson } from "../../src/cli/list.ts";
import { cloneRoot } from "./command.ts";
import { slipwayExecutable } from "./image.ts";
import { type GrubCase, readCorpus } from "./judge/grub-corpus.ts";
import { grubDifferences } from "./judge/grub-differences.ts";
import { expectAgreement } from "./judge/grub-expect.ts";
import { JudgedCase } from "./judge/grub-judge.ts";

/** The whole corpus, entry by entry, is the long run's (long/grub-judge.test.ts). */
const chosen = [
  "mkconfig-saved",
  "mkconfig-separate-boot",
  "mkconfig-ubuntu",
  "mkconfig-xen",
  "quoting",
  "functions",
  "positional",
  "submenus",
  "fallback",
  "next-entry",
  "loopback",
  "efi-stub",
];

let corpus: readonly GrubCase[];
beforeAll(async () => {
  corpus = await readCorpus();
});

function caseOf(name: string): GrubCase {
  const found = corpus.find((each) => each.name === name);
  if (found === undefined) throw new Error(`corpus of GRUB: no case "${name}"`);
  return found;
}

describe("GRUB boots what this program would boot", () => {
  it.each(chosen)("%s", (name) => expectAgreement(caseOf(name), "default"));

  it("and the packaged executable tells the same of a tree", async () => {
    await using judged = await JudgedCase.open(caseOf("mkconfig-os-prober"));
    const roots = judged.rootSpecs.flatMap((spec) => ["--root", spec]);
    const result = spawnSync(slipwayExecutable, ["list", "--json", ...roots], { encoding: "utf8" });
    expect(result).toMatchObject({ status: 0, stderr: "" });
    expect(JSON.parse(result.stdout)).toEqual(JSON.parse(JSON.stringify(listJson(judged.survey))));
  });
});

describe("the corpus", () => {
  it("has every case of the table of differences", () => {
    const names = corpus.map(({ name }) => name);
    for (const difference of grubDifferences) expect(names).toContain(difference.case);
    expect(names.length).toBeGreaterThanOrEqual(60);
  });

  it("differs for reasons that are documented", async () => {
    const text = (await readFile(path.join(cloneRoot, "docs/boot-formats.md"), "utf8")).replaceAll(/\s+/g, " ");
    for (const { reason } of grubDifferences) expect(text).toContain(reason);
  });
});
