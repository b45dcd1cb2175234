import { expect, test } from "vitest";
import { loaderCommandLine } from "../../../../src/formats/grub/loader-command-line.ts";

// "Command line:" of a 6.1 kernel that GRUB 2.06 booted in QEMU with these words behind the kernel's path.
test.each<[string[], string]>([
  [["a=one", "n=2", "quo ted", "sq $o", "esc aped"], 'a=one n=2 "quo ted" "sq $o" "esc aped"'],
  [['q"uo"te', "it's"], 'q\\"uo\\"te it\\\'s'],
  [["back\\slash", "tail\\", "a\\x20b"], "back\\\\slash tail\\\\ a\\\\x20b"],
  [['s p"x', "", "last"], '"s p\\"x"  last'],
  [["x  two", "tab\tin"], '"x  two" tab\tin'],
  [[], ""],
])("%j → %j", (words, line) => {
  expect(loaderCommandLine(words)).toBe(line);
});
