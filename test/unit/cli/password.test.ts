import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { askNewPassword, askPassword, type PasswordTerminal, readPasswordFile } from "../../../src/cli/password.ts";
import { latin1Bytes } from "../../fakes/signature-data.ts";

/** A terminal at which the given pieces are typed, one after the other; `shown` is what it shows and does. */
function terminal(...typed: string[]): PasswordTerminal & { readonly shown: string[] } {
  const shown: string[] = [];
  const pieces = typed.map((piece) => latin1Bytes(piece));
  return {
    shown,
    input: {
      isTTY: true,
      setRawMode: (isRaw: boolean) => shown.push(isRaw ? "<raw>" : "<cooked>"),
      pause: () => shown.push("<paused>"),
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          const value = pieces.shift();
          return value === undefined ? { done: true, value: undefined } : { done: false, value };
        },
      }),
    },
    output: { write: (text: string) => shown.push(text) },
  };
}

describe("asked at a terminal", () => {
  test.each([
    [["secret\r"], "secret"],
    [["s", "e", "c", "\r"], "sec"],
    [["secret\n"], "secret"],
    [["sex\x7fcret\r"], "secret"],
    [["x\x08\x7f\x7fy\r"], "y"],
    [["wrong\x15right\r"], "right"],
    [["a\xc3\xa4\x7fb\r"], "ab"],
    [["p\xc3", "\xa4ss\r"], "p\u00e4ss"],
    [["\r"], ""],
  ])("row %#", async (typed, password) => {
    const at = terminal(...typed);
    expect(await askPassword("password", at)).toBe(password);
    expect(at.shown).toEqual(["password: ", "<raw>", "<cooked>", "<paused>", "\n"]);
  });

  test.each([
    [["sec\x03"], "no password was given"],
    [["\x04"], "no password was given"],
    [["sec"], "the terminal was closed"],
    [["x".repeat(1025)], "a password longer than 1024 bytes"],
  ])("not given: row %#", async (typed, reason) => {
    const at = terminal(...typed);
    await expect(askPassword("password", at)).rejects.toThrow(reason);
    // However it ends, the terminal is as it was.
    expect(at.shown.slice(-3)).toEqual(["<cooked>", "<paused>", "\n"]);
  });

  test("no terminal", async () => {
    const at = { ...terminal(), input: { ...terminal().input, isTTY: undefined } };
    await expect(askPassword("password", at)).rejects.toThrow(
      "password: there is no terminal to ask at; --password-file FILE reads it from a file",
    );
    expect(at.shown).toEqual([]);
  });

  test("a new one is asked for twice", async () => {
    expect(await askNewPassword(terminal("a\r", "a\r"))).toBe("a");
    await expect(askNewPassword(terminal("a\r", "b\r"))).rejects.toThrow("the two passwords differ");
    await expect(askNewPassword(terminal("\r"))).rejects.toThrow(
      "an empty password; --no-password makes a key without one",
    );
  });
});

describe("in a file", () => {
  const directory = mkdtempSync(join(tmpdir(), "slipway-password-"));
  afterAll(() => rmSync(directory, { recursive: true }));
  const file = (text: string): string => {
    const path = join(directory, "file");
    writeFileSync(path, text);
    return path;
  };

  test.each([
    ["secret\n", "secret"],
    ["secret", "secret"],
    [" two words \r\nmore\n", " two words "],
  ])("%j", async (text, password) => expect(await readPasswordFile(file(text))).toBe(password));

  test.each([
    ["", "a password in its first line expected"],
    ["\nx", "a password in its first line expected"],
    ["x".repeat(1025), "longer than 1024 bytes"],
  ])("refused: row %#", async (text, reason) => {
    const path = file(text);
    await expect(readPasswordFile(path)).rejects.toThrow(`--password-file "${path}": ${reason}`);
  });

  test("no such file", async () => {
    await expect(readPasswordFile("/nowhere")).rejects.toThrow(
      `--password-file "/nowhere": ENOENT: no such file or directory, open '/nowhere'`,
    );
  });
});
