import { describe, expect, it } from "vitest";
import { readOptions } from "../../../../src/cli/kexec/getopt.ts";
import { kexecOptions } from "../../../../src/cli/kexec/option-table.ts";

/** `-l --append=x K`: what is handed out before the mistake, if there is one. */
function read(...args: readonly string[]): string {
  const seen: string[] = [];
  try {
    for (const item of readOptions("kexec", kexecOptions, args)) {
      if (item.kind === "word") seen.push(item.word);
      else seen.push(`${item.option.id}${item.option.argument === null ? "" : `(${item.argument})`}`);
    }
  } catch (error) {
    seen.push(error instanceof Error ? error.message : "?");
  }
  return seen.join(", ");
}

describe("words as getopt_long(3) reads them", () => {
  const rows: readonly (readonly [words: readonly string[], read: string])[] = [
    [[], ""],
    [["-l", "K"], "load, K"],
    [["K", "-l", "more"], "K, load, more"],
    [["-lx"], "load, no-ifdown"],
    [["-lxtbzImage", "K"], "load, no-ifdown, type(bzImage), K"],
    [["-t", "bzImage"], "type(bzImage)"],
    [["-t", "-l"], "type(-l)"],
    [["-lt", "uki", "K"], "load, type(uki), K"],
    [["-t="], "type(=)"],
    [["--append", "-h"], "append(-h)"],
    [["--append=a=b c"], "append(a=b c)"],
    [["--append="], "append()"],
    [["--append", "--"], "append(--)"],
    [["--command-line=x", "--ramdisk", "f"], "append(x), initrd(f)"],
    [["-l", "--", "-e", "--exec"], "load, -e, --exec"],
    [["--", "--"], "--"],
    [["-", "-l"], "-, load"],
    [["-?"], "question"],
    // Abbreviations, as kexec-tools 2.0.25 was seen to take them.
    [["--vers"], "version"],
    [["--load-pa"], "load-panic"],
    [["--app=x"], "append(x)"],
    [["--com=x"], "append(x)"],
    [["--ini=f"], "initrd(f)"],
    [["--de"], "debug"],
    [["--kexec-syscall"], "kexec-syscall"],
    [["--pr"], "print-ckr-size"],
    // Extensions make nothing ambiguous: they have to be written in full.
    [["--ch"], "kexec: unrecognized option '--ch'"],
    [["--check", "--dry-run", "--json"], "check, dry-run, json"],
  ];
  for (const [words, expected] of rows) {
    it(words.join(" "), () => expect(read(...words)).toBe(expected));
  }
});

describe("mistakes, in the words of the GNU C library", () => {
  const rows: readonly (readonly [words: readonly string[], message: string])[] = [
    [["-l", "--foo"], "load, kexec: unrecognized option '--foo'"],
    [["--foo=1"], "kexec: unrecognized option '--foo=1'"],
    [["-lZ"], "load, kexec: invalid option -- 'Z'"],
    [["-:"], "kexec: invalid option -- ':'"],
    [["--load=x"], "kexec: option '--load' doesn't allow an argument"],
    [["--vers=x"], "kexec: option '--version' doesn't allow an argument"],
    [["--mem-min"], "kexec: option '--mem-min' requires an argument"],
    [["--app"], "kexec: option '--append' requires an argument"],
    [["-lt"], "load, kexec: option requires an argument -- 't'"],
    [
      ["--lo"],
      "kexec: option '--lo' is ambiguous; possibilities: '--load' '--load-preserve-context' '--load-jump-back-helper' '--load-live-update' '--load-panic'",
    ],
    [["--e=1"], expect.stringMatching(/'--e=1' is ambiguous; possibilities: '--exec' '--exec-live-update' '--entry' /)],
    [
      ["--re"],
      "kexec: option '--re' is ambiguous; possibilities: '--reuseinitrd' '--reset-vga' '--reuse-video-type' '--reuse-cmdline' '--real-mode'",
    ],
    [
      ["--c=1"],
      "kexec: option '--c=1' is ambiguous; possibilities: '--console-vga' '--console-serial' '--command-line'",
    ],
  ];
  for (const [words, message] of rows) {
    it(words.join(" "), () => expect(read(...words)).toEqual(message));
  }
});

it("no name and no letter stands twice", () => {
  const names = kexecOptions.flatMap(({ long }) => long);
  expect(new Set(names).size).toBe(names.length);
  const letters = kexecOptions.flatMap(({ short }) => short ?? []);
  expect(new Set(letters).size).toBe(letters.length);
  // kexec-tools' KEXEC_OPT_STR.
  expect(letters.sort().join("")).toBe([..."h?vdfixyluetpscaS"].sort().join(""));
});
