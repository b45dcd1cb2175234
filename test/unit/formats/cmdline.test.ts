import { describe, expect, test } from "vitest";
import {
  allValues,
  appendWords,
  consoles,
  formatParameter,
  hasParameter,
  joinWords,
  lastValue,
  parameters,
  parseParameter,
  removeParameter,
  sameName,
  splitCommandLine,
} from "../../../src/formats/cmdline.ts";
import { FormatError } from "../../../src/formats/format-error.ts";

function expectError(action: () => unknown, message: string, offset?: number): void {
  expect(action).toThrow(new FormatError("command line", message, offset === undefined ? {} : { offset }));
}

describe("splitCommandLine", () => {
  test.each([
    ["", []],
    ["   ", []],
    ["quiet", ["quiet"]],
    ["  root=UUID=1  ro\tquiet\n", ["root=UUID=1", "ro", "quiet"]],
    ['a="b c" d', ['a="b c"', "d"]],
    ['"a=b c" d', ['"a=b c"', "d"]],
    ['a"b c"d e', ['a"b c"d', "e"]],
    ["a='b c'", ["a='b", "c'"]],
    ['a="b\\" c" d', ['a="b\\"', 'c" d']],
    ['a="open to the end', ['a="open to the end']],
    ["a\v\f\rb", ["a", "b"]],
    ["name=größe", ["name=größe"]],
  ] as const)("%j", (text, words) => expect(splitCommandLine(text)).toEqual(words));

  test("what the kernel would split elsewhere is refused", () => {
    expectError(() => splitCommandLine("a\0b"), "NUL inside the line", 1);
    // U+00E0 is C3 A0 in UTF-8, and A0 is white space to the kernel: "init=/bin/sh" would be a word of its own.
    const hidden = "x=\u00e0init=/bin/sh";
    expectError(
      () => splitCommandLine(hidden),
      'the kernel splits the line inside "à": put the word in double quotes',
      2,
    );
    expect(splitCommandLine('x="\u00e0 la carte"')).toEqual(['x="à la carte"']);
  });

  test("a line over the limit is refused", () => {
    expectError(() => splitCommandLine("x".repeat(10 << 20)), "10485760 characters, at most 1048576 are taken");
  });
});

// Wanted values follow next_arg() of the kernel's lib/cmdline.c, step by step.
describe("parseParameter", () => {
  test.each([
    ["quiet", "quiet", null],
    ["root=UUID=6d33-76e4", "root", "UUID=6d33-76e4"],
    ["init=", "init", ""],
    ['a="b c"', "a", "b c"],
    ['"a=b c"', "a", "b c"],
    ['"a b"', "a b", null],
    ['"a="b"', "a", "b"],
    ['a="', "a", ""],
    ['a=""', "a", ""],
    ['a=b"c d"', "a", 'b"c d"'],
    ['a="b"c', "a", 'b"c'],
    ['"a b"=c', 'a b"', "c"],
    ['"', "", null],
    ['""', "", null],
    ["=", "=", null],
    ["=a", "=a", null],
    ["=a=b", "=a", "b"],
    ["", "", null],
  ] as const)("%j", (word, name, value) => expect(parseParameter(word)).toEqual({ name, value }));
});

test("sameName takes dash and underscore alike", () => {
  expect(sameName("log-buf_len", "log_buf-len")).toBe(true);
  expect(sameName("log_buf_len", "log_buf_lens")).toBe(false);
  expect(sameName("Quiet", "quiet")).toBe(false);
});

describe("looking up", () => {
  const line = 'console=tty0 root=/dev/a console=ttyS0,115200n8 root="UUID=b c" quiet a-b=1 -- console=none single';

  test("the last value counts", () => {
    expect(lastValue(line, "root")).toBe("UUID=b c");
    expect(lastValue(line, "a_b")).toBe("1");
    expect(lastValue(line, "quiet")).toBeNull();
    expect(lastValue(line, "none")).toBeNull();
    expect(allValues(line, "root")).toEqual(["/dev/a", "UUID=b c"]);
  });

  test("consoles in order, without what goes to init", () => {
    expect(consoles(line)).toEqual(["tty0", "ttyS0,115200n8"]);
    expect(hasParameter(line, "quiet")).toBe(true);
    expect(hasParameter(line, "single")).toBe(false);
    expect(parameters(line)).toHaveLength(6);
  });

  test("a dash pair with a value is a parameter like others", () => {
    expect(hasParameter("--=x quiet", "quiet")).toBe(true);
    expect(hasParameter('"--" quiet', "quiet")).toBe(false);
  });
});

describe("editing", () => {
  test("removeParameter takes every occurrence and leaves init's words", () => {
    expect(removeParameter("a=1 quiet  a b-c=2 -- a=3", "a")).toBe("quiet b-c=2 -- a=3");
    expect(removeParameter('x="b c" b-c=2 d', "b_c")).toBe('x="b c" d');
    expect(removeParameter("", "a")).toBe("");
  });

  test("appendWords adds before what goes to init", () => {
    expect(appendWords("", ["quiet"])).toBe("quiet");
    expect(appendWords(" ro  quiet ", ["a=1", "b"])).toBe("ro quiet a=1 b");
    expect(appendWords("ro -- single", ["quiet"])).toBe("ro quiet -- single");
    expect(appendWords('a="open', [])).toBe('a="open');
    expectError(
      () => appendWords('ro a="open b', ["quiet"]),
      `a closing quote expected in "a=\\"open b" before something can be added`,
    );
  });

  test.each(["", "a b", " a", 'a="b', "a\n"])("appendWords takes no %j", (word) => {
    const shown = JSON.stringify(word).replace("\\n", "\\u{a}");
    expectError(() => appendWords("ro", [word]), `one word with its quotes closed expected, not ${shown}`);
  });

  test.each([
    ["quiet", null, "quiet"],
    ["root", "UUID=1", "root=UUID=1"],
    ["a", "", "a="],
    ["a", "b c", 'a="b c"'],
    ["a", "à", 'a="à"'],
  ] as const)("formatParameter(%j, %j) is %j", (name, value, word) => {
    expect(formatParameter(name, value)).toBe(word);
    expect(splitCommandLine(word)).toEqual([word]);
    expect(parseParameter(word)).toEqual({ name, value });
  });

  test("formatParameter refuses what the kernel cannot be told", () => {
    const name = (text: string): string => `parameter name ${text}: text without space, "=" and quotes expected`;
    expectError(() => formatParameter("", "x"), name('""'));
    expectError(() => formatParameter("a b", "x"), name('"a b"'));
    expectError(() => formatParameter("a=b", null), name('"a=b"'));
    expectError(() => formatParameter("à", "x"), name('"à"'));
    expectError(
      () => formatParameter("a", 'x"y'),
      `value "x\\"y" of "a": the kernel knows no escape for a quote or NUL`,
    );
  });
});

test("splitting and joining is stable on any text", () => {
  const characters = 'ab= "\t-';
  let state = 3;
  for (let round = 0; round < 20_000; round++) {
    let text = "";
    do {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      text += characters[(state >> 8) % characters.length];
    } while ((state >> 16) % 12 !== 0);
    const words = splitCommandLine(text);
    expect(splitCommandLine(joinWords(words))).toEqual(words);
    for (const word of words) parseParameter(word);
  }
});
