import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it, test } from "vitest";
import { isVpdName, readVpd } from "../../../src/machine/vpd.ts";

const directory = mkdtempSync(path.join(tmpdir(), "slipway-vpd-"));
afterAll(() => rmSync(directory, { recursive: true }));
mkdirSync(path.join(directory, "ro"));
writeFileSync(path.join(directory, "ro/slipway_policy"), "policy");

it("a value", () => expect(readVpd("ro", "slipway_policy", 6, directory)).toEqual(new TextEncoder().encode("policy")));
it("none of that name", () => expect(readVpd("ro", "other", 100, directory)).toBeNull());
it("no such region", () => expect(readVpd("rw", "slipway_policy", 100, directory)).toBeNull());
it("no VPD", () => expect(readVpd("ro", "slipway_policy", 100, "/nowhere")).toBeNull());
it("a value that is too long", () => {
  expect(() => readVpd("ro", "slipway_policy", 5, directory)).toThrow(
    `read ${directory}/ro/slipway_policy: at most 5 bytes expected`,
  );
});

describe("names that the kernel does not show", () => {
  test.each(["", "S/N", "../ro", "a.b", "a-b", "a\0", "ä", "x".repeat(256)])("%j", (name) => {
    expect(isVpdName(name)).toBe(false);
    expect(() => readVpd("ro", name, 100, directory)).toThrow(
      /^read VPD ".*: a name of letters, digits and "_" expected$/s,
    );
  });
});
