import { expect } from "vitest";
import type { GrubCase } from "./grub-corpus.ts";
import { grubDifferences } from "./grub-differences.ts";
import { type Booted, type Comparison, JudgedCase } from "./grub-judge.ts";

/** Of the log, in what a failed expectation shows. */
const shownLinesMax = 20;

/**
 * Boots a case's default, or all that is to be judged of it, and expects that GRUB and this program agree. Resolves with
 * what GRUB booted by default.
 */
export async function expectAgreement(each: GrubCase, extent: "default" | "all"): Promise<Booted | null> {
  await using judged = await JudgedCase.open(each);
  const byDefault = await judged.compareDefault();
  const comparisons = [byDefault];
  if (extent === "all") for (const number of judged.entries) comparisons.push(await judged.compareEntry(number));
  for (const comparison of comparisons) expectOne(each, comparison);
  // Where GRUB boots nothing of what is listed, the bench is broken.
  const isListed = judged.survey.found.entries.length > 0;
  if (extent === "all") expect(comparisons.some(({ grub }) => grub !== null)).toBe(isListed);
  return byDefault.grub;
}

function expectOne(each: GrubCase, { entry, grub, ours, log }: Comparison): void {
  const name = `${each.name}, entry ${entry}`;
  const known = grubDifferences.find(
    (difference) => difference.case === each.name && difference.entries.includes(entry),
  );
  if (known !== undefined) {
    expect(ours, `${name}: no longer differs, take it out of the table`).not.toEqual(grub);
    return;
  }
  if (each.fails.includes(entry)) expect(grub, `${name}: GRUB was expected to fail`).toBeNull();
  const lines = log.split("\n").filter((line) => line.trim() !== "");
  expect(ours, `${name}; GRUB said:\n${lines.slice(-shownLinesMax).join("\n")}`).toEqual(grub);
}
