import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configLines, LineReader } from "../../../../src/formats/grub/lex.ts";
import { parseUnit } from "../../../../src/formats/grub/parse.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

const file = { device: "hd0", path: "/grub.cfg" };

/** The syntax errors of a whole script, as `line N: message`. */
function errors(script: string): string[] {
  const reader = new LineReader({ file, lines: configLines(script) });
  const found: string[] = [];
  while (!reader.atEnd) {
    const parsed = parseUnit(reader, 100);
    if (!parsed.ok) found.push(`line ${parsed.line}: ${parsed.message}`);
  }
  return found;
}

// Both lists were answered by grub-script-check 2.06.
const accepted = [
  "menuentry a { true }",
  "menuentry a { true; }",
  "menuentry a {true}",
  "menuentry 'a'{\n true\n}",
  "menuentry a { menuentry b { true } }",
  "menuentry a { true\n}; true",
  "submenu a {\n menuentry b {\n true\n }\n}",
  "function f { true; }\nf",
  "function f\n\n{\ntrue\n}\nf",
  "if true\nthen true\nfi",
  "if\ntrue\nthen\ntrue\nfi",
  "if true; then true; elif true; then true; else true; fi",
  "if true; then true; else if true; then true; fi; fi",
  "if [ a = b ] ; then\n# comment\ntrue\nfi",
  "for i in a b; do echo $i; done",
  "for i in; do echo $i; done",
  "while true; do break; done",
  "until true\ndo\nbreak\ndone",
  "echo if then fi do done in case esac select",
  "echo 'abc\ndef'",
  "echo abc \\\n def",
  "true;\\\ntrue",
  "echo a#b # c",
  "# it's\ntrue",
  "true # it's\ntrue",
  "true #it's\ntrue",
  "true { true; }",
  "true a={b}",
  "a=b",
  "! true",
  'echo $"abc $x"',
  `echo $\{a} $1 $# $* $@ $? $\{1} $\{#}`,
  "echo `a`",
  'echo a\\"b',
];

const refused: readonly (readonly [string, string])[] = [
  ["menuentry a { }", 'line 1: syntax error: a command expected, not "}"'],
  ["menuentry a {\n}", 'line 2: syntax error: a command expected, not "}"'],
  ["menuentry a\n{\ntrue\n}", 'line 2: syntax error: a command expected, not "{"'],
  ["menuentry a { true\n} true", 'line 2: syntax error: ";" or the end of the line expected, not "true"'],
  ["function f { true }", 'line 1: syntax error: ";" or the end of the line expected, not "}"'],
  ["function f () {\ntrue\n}", 'line 1: syntax error: "{" expected, not "()"'],
  ["if true; then function f { true; } ; fi", 'line 1: syntax error: a command expected, not "function"'],
  ["if true; then; true; fi", 'line 1: syntax error: a command expected, not ";"'],
  ["if true; then true; fi true", 'line 1: syntax error: ";" or the end of the line expected, not "true"'],
  ["if true; then fi", 'line 1: syntax error: a command expected, not "fi"'],
  ["if true; then\n# comment\nfi", 'line 3: syntax error: a command expected, not "fi"'],
  ["if true; then true fi", "line 1: syntax error: the text ends inside a block or a compound command"],
  ["for i; do echo $i; done", 'line 1: syntax error: "in" expected, not ";"'],
  ["for if in a; do echo $i; done", 'line 1: syntax error: the name of a variable expected, not "if"'],
  ["for i in a b do echo; done", 'line 1: syntax error: "do" expected, not "done"'],
  ["true && true", 'line 1: syntax error: ";" or the end of the line expected, not "&&"'],
  ["true || true", 'line 1: syntax error: ";" or the end of the line expected, not "||"'],
  ["true | true", 'line 1: syntax error: ";" or the end of the line expected, not "|"'],
  ["true &", 'line 1: syntax error: ";" or the end of the line expected, not "&"'],
  ["true ;;", 'line 1: syntax error: ";" or the end of the line expected, not ";;"'],
  ["true > x", 'line 1: syntax error: ";" or the end of the line expected, not ">"'],
  ["; true", 'line 1: syntax error: a command expected, not ";"'],
  ["true ; ; true", 'line 1: syntax error: a command expected, not ";"'],
  ["echo $", 'line 1: syntax error: "$" is not followed by a variable\'s name'],
  ["echo $-", 'line 1: syntax error: "$" is not followed by a variable\'s name'],
  ["echo $(a)", 'line 1: syntax error: "$" is not followed by a variable\'s name'],
  ['echo "a$"', 'line 1: syntax error: "$" in double quotes is not followed by a variable\'s name'],
  [`echo "$\{a-b}"`, 'line 1: syntax error: "$" in double quotes is not followed by a variable\'s name'],
  ["echo [[ a ]]", 'line 1: syntax error: ";" or the end of the line expected, not "[["'],
  ["[[ a ]]", 'line 1: syntax error: a command expected, not "[["'],
  ["case a in", 'line 1: syntax error: a command expected, not "case"'],
  ['echo "abc', "line 1: syntax error: the quote that opens here is not closed"],
  ["true\necho 'abc\n", "line 2: syntax error: the quote that opens here is not closed"],
  ["echo abc \\", "line 1: syntax error: the text ends after a line join"],
  ["\\\n if true; then true; fi", 'line 2: syntax error: a command expected, not "then"'],
  ["{ true; }", 'line 1: syntax error: a command expected, not "{"'],
  ["true }", 'line 1: syntax error: ";" or the end of the line expected, not "}"'],
  ["}", 'line 1: syntax error: a command expected, not "}"'],
  ["fi", 'line 1: syntax error: a command expected, not "fi"'],
];

test.each(accepted)("%j", (script) => {
  expect(errors(`${script}\n`)).toEqual([]);
});

test.each(refused)("%j: %s", (script, message) => {
  expect(errors(script)[0]).toBe(message);
});

const checker = "grub-script-check";
const hasChecker = spawnSync(checker, ["--version"]).status === 0;

describe.runIf(hasChecker)("grub-script-check says the same", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "grub-syntax-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const check = (script: string): boolean => {
    const name = path.join(folder, "script.cfg");
    writeFileSync(name, script);
    try {
      execFileSync(checker, [name], { stdio: "pipe" });
      return true;
    } catch {
      return false;
    }
  };

  test("of the rows", () => {
    for (const script of accepted) expect(check(`${script}\n`), script).toBe(true);
    for (const [script] of refused) expect(check(script), script).toBe(false);
  });

  test("of scripts put together at random", () => {
    const pieces = ["true", "a", "'q'", '"d$x"', ";", "\n", "{", "}", "if", "then", "fi", "else", "\\\n", "#c", "&&"];
    const random = randomNumbers(3);
    for (let round = 0; round < 300; round++) {
      const words = Array.from({ length: 1 + (random() % 9) }, () => pieces[random() % pieces.length] ?? "");
      const script = `true\n${words.join(" ")}\ntrue\n`;
      expect(check(script), JSON.stringify(script)).toBe(errors(script).length === 0);
    }
  });
});

describe("hostile text", () => {
  const mkconfig = readFileSync(new URL("../../../data/grub/mkconfig/debian-12.cfg", import.meta.url), "utf8");

  test("cut at every place and changed at random, it ends and throws nothing", () => {
    for (let length = 0; length < mkconfig.length; length += 7) errors(mkconfig.slice(0, length));
    const random = randomNumbers(11);
    const odd = ["'", '"', "\\", "{", "}", "$", ";", "\n", "#", "\0", "\r", "if ", "fi", "\ufffd"];
    for (let round = 0; round < 300; round++) {
      const at = random() % mkconfig.length;
      errors(mkconfig.slice(0, at) + (odd[random() % odd.length] ?? "") + mkconfig.slice(at + (random() % 3)));
    }
  });

  test.each([
    [
      "blocks inside one another",
      "a {".repeat(5000),
      "line 1: syntax error: 101 blocks inside one another, at most 100 are taken",
    ],
    ["if inside if", "if ".repeat(5000), "line 1: syntax error: 101 blocks inside one another, at most 100 are taken"],
    [
      "a long word",
      "a".repeat(70_000),
      "line 1: syntax error: a word of more than 65536 characters or 1000 lines is not taken",
    ],
    [
      "an open quote",
      `'${"\n".repeat(300_000)}`,
      "line 1: syntax error: a quoted text of more than 1000 lines is not taken",
    ],
    [
      "line joins",
      "\\\n".repeat(300_000),
      "line 1: syntax error: a word of more than 65536 characters or 1000 lines is not taken",
    ],
  ])("%s", (_, script, message) => {
    expect(errors(script)[0]).toBe(message);
  });
});
