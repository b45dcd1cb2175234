import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, it } from "vitest";
import { replaceFile } from "../../../src/machine/replace-file.ts";

const directory = mkdtempSync(path.join(tmpdir(), "slipway-replace-"));
afterAll(() => rmSync(directory, { recursive: true }));

it("a new file, then another content; nothing is left beside it", async () => {
  const file = path.join(directory, "minimums");
  await replaceFile(file, Buffer.from("one"), 0o600);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const first = statSync(file).ino;
  await replaceFile(file, Buffer.from("two"), 0o600);
  expect(readFileSync(file, "utf8")).toBe("two");
  expect(statSync(file).ino).not.toBe(first);
  expect(readdirSync(directory)).toEqual(["minimums"]);
});

it("what cannot be replaced stays, and nothing is left beside it", async () => {
  const own = path.join(directory, "own");
  mkdirSync(path.join(own, "taken"), { recursive: true });
  writeFileSync(path.join(own, "taken/file"), "");
  await expect(replaceFile(path.join(own, "taken"), Buffer.from("x"), 0o644)).rejects.toThrow(
    /EISDIR|ENOTEMPTY|EEXIST/,
  );
  expect(readdirSync(own)).toEqual(["taken"]);
});

it("no directory", async () => {
  await expect(replaceFile("/nowhere/at/all", Buffer.from("x"), 0o644)).rejects.toThrow(/ENOENT/);
});
