import { describe, expect, test } from "vitest";
import { FormatError, type FormatPlace, quote } from "../../../src/formats/format-error.ts";

function expectMessage(place: FormatPlace, message: string): void {
  expect(new FormatError("gpt", "oops", place).message).toBe(message);
}

describe("FormatError", () => {
  test.each([
    [{}, "gpt: oops"],
    [{ line: 3 }, "gpt: line 3: oops"],
    [{ offset: 0 }, "gpt: offset 0: oops"],
    [{ field: "size" }, "gpt: size: oops"],
    [{ line: 1, offset: 512, field: "size" }, "gpt: line 1, offset 512, size: oops"],
  ] as const)("%j", (place, message) => expectMessage(place, message));

  test("keeps its parts", () => {
    const error = new FormatError("gpt", "oops", { offset: 7 });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "FormatError", format: "gpt", detail: "oops", place: { offset: 7 } });
  });
});

describe("quote", () => {
  test.each([
    ["", '""'],
    ["plain text", '"plain text"'],
    ['a"b\\c', '"a\\"b\\\\c"'],
    ["a\nb\0\x1b[31m", '"a\\u{a}b\\u{0}\\u{1b}[31m"'],
    ["\x7f\x9f", '"\\u{7f}\\u{9f}"'],
    // Line separator, right-to-left override, isolate: they would change how a terminal shows the message.
    ["\u2028\u202e\u2066", '"\\u{2028}\\u{202e}\\u{2066}"'],
    ["größe", '"größe"'],
    ["x".repeat(80), `"${"x".repeat(80)}"`],
    ["x".repeat(81), `"${"x".repeat(80)}…"`],
  ])("%j", (text, quoted) => expect(quote(text)).toBe(quoted));
});
