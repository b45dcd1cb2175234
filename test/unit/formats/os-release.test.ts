import { expect, it } from "vitest";
import { parseOsRelease } from "../../../src/formats/os-release.ts";

it.each([
  ["NAME=Fedora", "Fedora"],
  ['NAME="Fedora Linux"', "Fedora Linux"],
  ["NAME='Fedora $x \\'", "Fedora $x \\"],
  ['NAME="a \\"b\\" \\$c \\`d\\` \\\\ \\e"', 'a "b" $c `d` \\ \\e'],
  ["  NAME=x  \r", "x"],
  ["NAME=", ""],
  ["NAME=first\n# NAME=comment\nNAME=last\n", "last"],
  ['NAME="open', '"open'],
  ['NAME="a"b"', '"a"b"'],
  ["NAME=\u001b[2J", "?[2J"],
  ["name=small", undefined],
  ["NAME", undefined],
  ["=x", undefined],
  ["N A=x", undefined],
])("%j", (text, value) => expect(parseOsRelease(text).get("NAME")).toBe(value));

it("does not take long for long lines", () => {
  const spaces = " ".repeat(1_000_000);
  expect(parseOsRelease(`NAME=a${spaces}b\nX="${spaces}`).get("NAME")).toBe(`a${spaces}b`);
});
