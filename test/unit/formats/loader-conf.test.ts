import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import {
  type LoaderConf,
  loaderConfRemarksMax,
  parseChoice,
  parseLoaderConf,
  parseLoaderTimeout,
} from "../../../src/formats/loader-conf.ts";

function problems(text: string): string[] {
  return parseLoaderConf(text).problems.map(({ line, text: detail }) => `${line}: ${detail}`);
}

function expectTimeout(value: string, wanted: LoaderConf["timeout"]): void {
  expect(parseLoaderConf(`timeout ${value}\n`).timeout).toEqual(wanted);
}

// The example of loader.conf(5).
test("the manual page's example", () => {
  const conf = parseLoaderConf(
    "# /boot/efi/loader/loader.conf\ntimeout 0\ndefault 01234567890abcdef1234567890abdf0-*\neditor no\n",
  );
  expect(conf).toMatchObject({
    timeout: { kind: "seconds", seconds: 0 },
    default: { kind: "pattern", pattern: "01234567890abcdef1234567890abdf0-*", line: 3 },
    preferred: null,
    editor: false,
    notes: [],
    problems: [],
  });
});

test("an empty file says nothing", () => {
  expect(parseLoaderConf("")).toEqual({
    default: null,
    preferred: null,
    timeout: null,
    editor: null,
    notes: [],
    problems: [],
  });
});

describe("timeout", () => {
  test.each([
    ["5", { kind: "seconds", seconds: 5 }],
    ["4294967291", { kind: "seconds", seconds: 4_294_967_291 }],
    ["menu-force", { kind: "menu-force" }],
    ["menu-hidden", { kind: "menu-hidden" }],
    ["menu-disabled", { kind: "menu-disabled" }],
  ] as const)("%s", (value, wanted) => expectTimeout(value, wanted));

  test.each(["-1", "5s", "0x5", "1.5", "4294967292", "9".repeat(40), "menu", "MENU-FORCE"])(
    "%s is a problem",
    (value) => {
      const shown = value.length > 80 ? `${value.slice(0, 80)}…` : value;
      expect(problems(`timeout 3\ntimeout ${value}`)).toEqual([
        `2: timeout "${shown}": seconds up to 4294967291, "menu-force", "menu-hidden" or "menu-disabled" expected`,
      ]);
      expect(parseLoaderConf(`timeout 3\ntimeout ${value}`).timeout).toEqual({ kind: "seconds", seconds: 3 });
    },
  );
});

test("a file of bad lines is not read to its end", () => {
  const bad = "x\n".repeat(loaderConfRemarksMax - 1);
  expect(problems(`${bad}default a\nx`)).toHaveLength(loaderConfRemarksMax);
  expect(parseLoaderConf(`${bad}default a\nx`).default).toMatchObject({ pattern: "a" });
  const conf = parseLoaderConf(`default a\n${bad}console-mode max\n${bad}default b\n`);
  expect(conf.default).toMatchObject({ pattern: "a" });
  expect(conf.problems.at(-1)).toEqual({ line: 502, text: "500 lines before mean nothing, what follows is not read" });
  expect(conf.problems).toHaveLength(500);
});

describe("default and preferred", () => {
  test("@saved in any case", () => {
    expect(parseLoaderConf("default @saved\npreferred @SAVED")).toMatchObject({
      default: { kind: "saved", line: 1 },
      preferred: { kind: "saved", line: 2 },
    });
  });

  test("the last good line counts", () => {
    expect(parseLoaderConf("default a\ndefault b\ndefault @x\n").default).toMatchObject({ pattern: "b", line: 2 });
  });

  test("what cannot be a choice is a problem", () => {
    expect(problems("default @auto\ndefault [x\npreferred\n")).toEqual([
      `1: "@saved" or a pattern expected, not "@auto"`,
      `2: pattern "[x": "]" expected after "["`,
      `3: a value expected after "preferred"`,
    ]);
  });
});

describe("editor", () => {
  // parse_boolean() of systemd-boot knows these words.
  test.each([
    ["1 yes y true t on", true],
    ["0 no n false f off", false],
  ] as const)("%s", (words, wanted) => {
    for (const word of words.split(" ")) expect(parseLoaderConf(`editor ${word}`).editor).toBe(wanted);
  });

  test("anything else is a problem", () => {
    expect(problems("editor maybe")).toEqual([`1: "yes" or "no" expected, not "maybe"`]);
  });
});

test("keys that mean nothing here are notes with their lines, and unknown ones problems", () => {
  const text = "beep yes\n\n# x\nconsole-mode max\ndefualt red\r\n";
  expect(parseLoaderConf(text).notes).toEqual([
    { line: 1, text: `"beep" is for systemd-boot and its firmware alone` },
    { line: 4, text: `"console-mode" is for systemd-boot and its firmware alone` },
  ]);
  expect(problems(text)).toEqual([`5: "defualt" is not a key of loader.conf`]);
});

test("a timeout and a choice by themselves, as EFI variables have them", () => {
  expect(parseLoaderTimeout("menu-hidden")).toEqual({ kind: "menu-hidden" });
  expect(() => parseLoaderTimeout("soon")).toThrow(FormatError);
  expect(parseChoice("@Saved", 0)).toEqual({ kind: "saved", line: 0 });
  expect(parseChoice("Debian-*", 0)).toMatchObject({ kind: "pattern", pattern: "Debian-*" });
  expect(() => parseChoice("@other", 0)).toThrow('"@saved" or a pattern expected, not "@other"');
});

test("blanks around, tabs and CRLF", () => {
  expect(parseLoaderConf("\t timeout \t 7 \r\n  default\tx y \r\n")).toMatchObject({
    timeout: { seconds: 7 },
    default: { pattern: "x y" },
    problems: [],
  });
});

test("a bad line costs itself alone", () => {
  const text = `timeout 4\ndefault ${"x".repeat(70_000)}\ndefault a\0b\ndefault a\rb\ndefault good\n`;
  expect(problems(text)).toEqual([
    "2: 70008 characters, at most 65536 are taken",
    "3: NUL or carriage return inside the line",
    "4: NUL or carriage return inside the line",
  ]);
  expect(parseLoaderConf(text)).toMatchObject({ timeout: { seconds: 4 }, default: { pattern: "good" } });
});

test("a text over the limit is refused", () => {
  expect(() => parseLoaderConf("#".repeat((1 << 20) + 1))).toThrow(
    new FormatError("loader.conf", "1048577 characters, at most 1048576 are taken"),
  );
});

test("no text throws", () => {
  const sample = "timeout menu-force\ndefault debian-[0-9]*\npreferred @saved\neditor no\nbeep 1\n";
  let state = 11;
  for (let round = 0; round < 5000; round++) {
    const characters = [...sample];
    for (let change = 0; change < 4; change++) {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      characters[(state >> 8) % characters.length] = String.fromCharCode((state >> 4) % 256);
    }
    parseLoaderConf(characters.join(""));
  }
  for (let end = 0; end <= sample.length; end++) parseLoaderConf(sample.slice(0, end));
});
