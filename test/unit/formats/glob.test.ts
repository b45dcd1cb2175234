import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { globMatches, parseGlob } from "../../../src/formats/glob.ts";

function matches(pattern: string, text: string): boolean {
  return globMatches(parseGlob(pattern), text);
}

function expectError(pattern: string, message: string): void {
  expect(() => parseGlob(pattern)).toThrow(new FormatError("glob", message));
}

// Wanted answers from fnmatch(3) with flags 0 (glibc 2.36), as Python's ctypes calls it.
describe("as fnmatch(3)", () => {
  test.each([
    ["", "", true],
    ["", "a", false],
    ["a", "a", true],
    ["a", "A", false],
    ["?", "a", true],
    ["?", "", false],
    ["?", "ä", true],
    ["*", "", true],
    ["*", "anything/at.all", true],
    ["debian-*", "debian-6.1", true],
    ["debian-*", "fedora-6.1", false],
    ["*-6.1*.conf", "debian-6.1.0-13.conf", true],
    ["*-6.1*.conf", "debian-6.1.0-13.efi", false],
    ["a*b*c", "aXbYbZc", true],
    ["a*b*c", "aXbYbZ", false],
    ["a**c", "abc", true],
    ["*a", "aaab", false],
    ["*ab", "aab", true],
    [".*", ".hidden", true],
    ["*", ".hidden", true],
    ["[abc]", "b", true],
    ["[abc]", "d", false],
    ["[a-c]x", "bx", true],
    ["[a-c]x", "dx", false],
    ["[!a-c]", "d", true],
    ["[!a-c]", "b", false],
    ["[^a]", "b", true],
    ["[]]", "]", true],
    ["[!]]", "]", false],
    ["[!]]", "x", true],
    ["[a-]", "-", true],
    ["[-a]", "-", true],
    ["[a\\]]", "]", true],
    ["[0-9][0-9]", "42", true],
    ["a]", "a]", true],
    ["\\*", "*", true],
    ["\\*", "x", false],
    ["\\[a]", "[a]", true],
    ["*[0-9]", "linux-6", true],
    ["*?*", "", false],
  ] as const)("%j on %j: %s", (pattern, text, wanted) => expect(matches(pattern, text)).toBe(wanted));
});

describe("patterns that are refused", () => {
  test.each([
    ["[", `pattern "[": "]" expected after "["`],
    ["[]", `pattern "[]": "]" expected after "["`],
    ["x[abc", `pattern "x[abc": "]" expected after "["`],
    ["[a\\", `pattern "[a\\\\": the pattern ends inside a set or after a backslash`],
    ["abc\\", `pattern "abc\\\\": the pattern ends inside a set or after a backslash`],
    ["[z-a]", `pattern "[z-a]": range "z-a" runs backwards`],
    ["[[:alpha:]]", `pattern "[[:alpha:]]": "[:" inside a set is not supported`],
    ["*".repeat(257), "257 characters, at most 256 are taken"],
  ])("%j", (pattern, message) => expectError(pattern, message));
});

test("many stars do not backtrack exponentially", () => {
  const started = performance.now();
  expect(matches("*a".repeat(120), "a".repeat(4000))).toBe(true);
  expect(matches(`${"*a".repeat(120)}b`, "a".repeat(4000))).toBe(false);
  expect(matches(`*${"a".repeat(200)}b`, "a".repeat(4000))).toBe(false);
  expect(performance.now() - started).toBeLessThan(5000);
});

test("any text is a pattern or a FormatError", () => {
  const characters = "ab-*?[]!^\\:=.";
  let state = 7;
  for (let round = 0; round < 20_000; round++) {
    let pattern = "";
    do {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      pattern += characters[(state >> 8) % characters.length];
    } while ((state >> 16) % 8 !== 0);
    try {
      matches(pattern, "ab-b]a");
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
    }
  }
});
