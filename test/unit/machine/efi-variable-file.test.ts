import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { errno, SyscallError } from "../../../src/linux/errno.ts";
import { readEfiVariable, writeEfiVariable } from "../../../src/machine/efi-variable-file.ts";

const vendor = "48bc4257-1044-435a-9991-c5ef002459a9";
const directory = mkdtempSync(path.join(tmpdir(), "slipway-efivarfs-"));
const file = path.join(directory, `Test-${vendor}`);
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(() => {
  for (const name of readdirSync(directory)) rmSync(path.join(directory, name), { recursive: true });
});

/** Marks that are only remembered; what was asked for, in order, with what the file held then. */
function markingSystem(marked: boolean): { log: string[]; setImmutable(fd: number, immutable: boolean): boolean } {
  const log: string[] = [];
  let now = marked;
  return {
    log,
    setImmutable(fd, immutable) {
      log.push(`${immutable ? "mark" : "unmark"} with ${readFileSync(`/proc/self/fd/${fd}`).toString("hex")}`);
      const was = now;
      now = immutable;
      return was;
    },
  };
}

const data = Uint8Array.of(0xaa, 0xbb);
const variable = { attributes: 7, data };

it("a new variable: attributes, little-endian, then the data", () => {
  const system = markingSystem(true);
  writeEfiVariable(system, "Test", vendor, variable, directory);
  expect(readFileSync(file).toString("hex")).toBe("07000000aabb");
  expect(system.log).toEqual([]);
  expect(readEfiVariable("Test", vendor, directory)).toEqual(variable);
});

it("a marked variable is unmarked, written and marked again", () => {
  writeFileSync(file, Uint8Array.of(7, 0, 0, 0, 1, 2));
  const system = markingSystem(true);
  writeEfiVariable(system, "Test", vendor, variable, directory);
  expect(system.log).toEqual(["unmark with 070000000102", "mark with 07000000aabb"]);
});

it("one that was not marked stays so", () => {
  writeFileSync(file, Uint8Array.of(7, 0, 0, 0, 1, 2));
  const system = markingSystem(false);
  writeEfiVariable(system, "Test", vendor, variable, directory);
  expect(system.log).toEqual(["unmark with 070000000102"]);
  expect(readFileSync(file).toString("hex")).toBe("07000000aabb");
});

it("it is marked again also when it cannot be written", () => {
  mkdirSync(file);
  const calls: boolean[] = [];
  const system = {
    setImmutable(_fd: number, immutable: boolean) {
      calls.push(immutable);
      return true;
    },
  };
  expect(() => writeEfiVariable(system, "Test", vendor, variable, directory)).toThrow(
    /^write EFI variable Test: EISDIR/,
  );
  expect(calls).toEqual([false, true]);
});

it("says what a refusal means", () => {
  writeFileSync(file, Uint8Array.of(7, 0, 0, 0));
  const system = {
    setImmutable() {
      throw new SyscallError("ioctl", [3, "FS_IOC_SETFLAGS"], errno.EPERM);
    },
  };
  expect(() => writeEfiVariable(system, "Test", vendor, variable, directory)).toThrow(
    'write EFI variable Test: ioctl(3, "FS_IOC_SETFLAGS"): EPERM: operation not permitted (only root may)',
  );
  expect(() => writeEfiVariable(markingSystem(false), "Test", vendor, variable, "/nowhere")).toThrow(
    /^write EFI variable Test: ENOENT: .* \(this machine has no EFI variables, or efivarfs is not mounted\)$/,
  );
});

it("nothing is written of what is too large", () => {
  const large = { attributes: 7, data: new Uint8Array(65_533) };
  expect(() => writeEfiVariable(markingSystem(false), "Test", vendor, large, directory)).toThrow(
    "write EFI variable Test: efi variable: offset 0, data: 65537 bytes, at most 65536 are written",
  );
  expect(readdirSync(directory)).toEqual([]);
});

it("one that is not there, or only being made, is none", () => {
  expect(readEfiVariable("Test", vendor, directory)).toBeNull();
  expect(readEfiVariable("Test", vendor, "/nowhere")).toBeNull();
  writeFileSync(file, "");
  expect(readEfiVariable("Test", vendor, directory)).toBeNull();
});

it("one that is cut is an error", () => {
  writeFileSync(file, Uint8Array.of(7, 0, 0));
  expect(() => readEfiVariable("Test", vendor, directory)).toThrow(FormatError);
});
