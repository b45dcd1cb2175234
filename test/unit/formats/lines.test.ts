import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { lineCharactersMax, numberedLines } from "../../../src/formats/lines.ts";

function texts(text: string): string[] {
  return numberedLines(text, "test").map((line) => line.text);
}

describe("numberedLines", () => {
  test.each([
    ["", []],
    ["a", ["a"]],
    ["a\n", ["a"]],
    ["a\nb", ["a", "b"]],
    ["a\r\nb\r\n", ["a", "b"]],
    ["\n\na\n", ["", "", "a"]],
    ["a\n\n", ["a", ""]],
    ["a\rb\n", ["a\rb"]],
    ["a\r\r\n", ["a\r"]],
    ["\n", [""]],
    ["\r\n", [""]],
    [" a \n", [" a "]],
  ] as const)("%j", (text, lines) => expect(texts(text)).toEqual(lines));

  test("numbers count from 1", () => {
    expect(numberedLines("\na\n", "test")).toEqual([
      { number: 1, text: "" },
      { number: 2, text: "a" },
    ]);
  });

  test("a line at the limit is taken, a longer one refused", () => {
    expect(texts(`${"x".repeat(lineCharactersMax)}\r\n`)).toHaveLength(1);
    expect(() => numberedLines(`a\n${"x".repeat(lineCharactersMax + 1)}\n`, "test")).toThrow(
      new FormatError("test", "65537 characters, at most 65536 are taken", { line: 2 }),
    );
  });
});
