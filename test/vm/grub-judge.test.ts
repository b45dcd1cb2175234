import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { listJson } from "../../src/cli/list.ts";
import { cloneRoot } from "./command.ts";
import { slipwayExecutable } from "./image.ts";
import { type GrubCase, readCorpus } from "./judge/grub-corpus.ts";
import { grubDifferences } from "./judge/grub-differences.ts";
import { expectAgreement } from "./judge/grub-expect.ts";
import { JudgedCase } from "./judge/grub-judge.ts";
import { judgedKernel } from "./judge/payload-kernel.ts";
import { runJudged } from "./judge/run.ts";

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
  it.each(chosen)("%s", async (name) => {
    expect(await expectAgreement(caseOf(name), "default")).not.toBeNull();
  });

  it("and the packaged executable tells the same of a tree", async () => {
    await using judged = await JudgedCase.open(caseOf("mkconfig-os-prober"));
    const roots = judged.rootSpecs.flatMap((spec) => ["--root", spec]);
    const result = spawnSync(slipwayExecutable, ["list", "--json", ...roots], { encoding: "utf8" });
    expect(result).toMatchObject({ status: 0, stderr: "" });
    expect(JSON.parse(result.stdout)).toEqual(JSON.parse(JSON.stringify(listJson(judged.survey))));
  });
});

describe("the judged kernel", () => {
  it("tells what QEMU gave it", async () => {
    const directory = await mkdtemp(path.join(tmpdir(), "slipway-judged-"));
    try {
      const [kernel, initrd] = [path.join(directory, "kernel"), path.join(directory, "initrd")];
      await writeFile(kernel, await judgedKernel("a name"));
      await writeFile(initrd, "an initrd\n");
      const words = ["-kernel", kernel, "-initrd", initrd, "-append", 'one  "two" ü'];
      const { judgement } = await runJudged({ words, timeLimitMs: 30_000 });
      expect(judgement).toEqual({
        kernel: "a name",
        protocol: "linux",
        options: 'one  "two" ü',
        initrd: { data: Buffer.from("an initrd\n"), bytes: 10, sum: 899, options: "" },
        modules: [],
      });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
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
