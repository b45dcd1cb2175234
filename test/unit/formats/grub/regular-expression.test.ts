import { describe, expect, test } from "vitest";
import { compileRegularExpression } from "../../../../src/formats/grub/regular-expression.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";

function match(pattern: string, text: string) {
  return compileRegularExpression(pattern).match(text, () => {});
}

describe("what would be too deep", () => {
  const deep = "with back-references a match of at most 600 parts is looked for";

  test("long matches with back-references", () => {
    const half = "abc".repeat(90);
    expect(match("(.*)-\\1", `${half}-${half}`)).toEqual([`${half}-${half}`, half]);
    expect(formatErrorOf(() => match("(.*)-\\1", "a".repeat(1000)))).toBe(`regexp: "(.*)-\\\\1": ${deep}`);
    expect(formatErrorOf(() => match("(((a)))*\\1", "a".repeat(900)))).toBe(`regexp: "(((a)))*\\\\1": ${deep}`);
  });

  // Found by the fuzzer.
  test("rounds that match nothing", () => {
    const pattern = "((^|((((\\.([^[:alpha:]]))|))|)\\3)|){255,}{9,}$";
    expect(formatErrorOf(() => match(pattern, "é1.2-3b"))).toBe(
      `regexp: "${pattern.replaceAll("\\", "\\\\")}": ${deep}`,
    );
  });

  test("repetitions of repetitions", () => {
    expect(match(`a${"{1}".repeat(50)}`, "a")).toEqual(["a"]);
    const pattern = `a${"{1}".repeat(10_000)}`;
    expect(formatErrorOf(() => match(pattern, "a"))).toBe(
      `regexp: offset 154: "${pattern.slice(0, 80)}…": repetitions of repetitions are taken up to 50 deep`,
    );
  });
});
