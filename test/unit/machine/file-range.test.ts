import { closeSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { readRangeOf } from "../../../src/machine/file-range.ts";

const file = path.join(tmpdir(), `slipway-file-range-${process.pid}`);
writeFileSync(file, "0123456789");
const fd = openSync(file, "r");
afterAll(() => {
  closeSync(fd);
  rmSync(file);
});

const text = (offset: number, length: number, from: number, wanted: number): string =>
  Buffer.from(readRangeOf({ fd, offset, length })(from, wanted)).toString();

test.each([
  ["all of it", 2, 5, 0, 5, "23456"],
  ["a part", 2, 5, 1, 3, "345"],
  ["not beyond the range", 2, 5, 3, 100, "56"],
  ["nothing at its end", 2, 5, 5, 1, ""],
  ["nothing behind its end", 2, 5, 9, 1, ""],
  ["a file that ends before the range", 8, 5, 0, 5, "89"],
  ["a file that ends before the read", 8, 5, 3, 2, ""],
  ["no bytes", 0, 0, 0, 1, ""],
] as const)("%s", (_name, offset, length, from, wanted, expected) => {
  expect(text(offset, length, from, wanted)).toBe(expected);
});

test("a failed read throws as it is", () => {
  const directory = openSync(tmpdir(), "r");
  try {
    expect(() => readRangeOf({ fd: directory, offset: 0, length: 1 })(0, 1)).toThrow(/^EISDIR/);
  } finally {
    closeSync(directory);
  }
});
