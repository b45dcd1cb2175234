import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, it } from "vitest";
import { SyscallError } from "../../../src/linux/errno.ts";
import { nativeSystem } from "../../../src/linux/native.ts";

const directory = mkdtempSync(path.join(tmpdir(), "slipway-immutable-"));
afterAll(() => rmSync(directory, { recursive: true }));
const file = path.join(directory, "file");
const isRoot = process.getuid?.() === 0;

it.runIf(isRoot)("a marked file is not written until the mark is gone", () => {
  writeFileSync(file, "one");
  const fd = openSync(file, "r");
  try {
    const { setImmutable } = nativeSystem();
    expect(setImmutable(fd, false)).toBe(false);
    expect(setImmutable(fd, true)).toBe(false);
    expect(() => writeFileSync(file, "two")).toThrow(/EPERM/);
    expect(setImmutable(fd, true)).toBe(true);
    expect(setImmutable(fd, false)).toBe(true);
    writeFileSync(file, "two");
  } finally {
    closeSync(fd);
  }
});

it.runIf(!isRoot)("only root may mark", () => {
  writeFileSync(file, "one");
  const fd = openSync(file, "r");
  expect(() => nativeSystem().setImmutable(fd, true)).toThrow(/^ioctl\(\d+, "FS_IOC_SETFLAGS"\): EPERM/);
  closeSync(fd);
});

it("what has no marks says so", () => {
  const fd = openSync("/dev/null", "r");
  expect(() => nativeSystem().setImmutable(fd, true)).toThrow(SyscallError);
  closeSync(fd);
});
