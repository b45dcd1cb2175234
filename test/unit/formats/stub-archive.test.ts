import { describe, expect, it } from "vitest";
import { readCpio } from "../../../src/formats/cpio.ts";
import { type StubDirectory, type StubFile, stubArchive } from "../../../src/formats/stub-archive.ts";
import { formatErrorOf } from "../../fakes/hostile-input.ts";

/* test/vm/stub-measurements.test.ts compares the archive with systemd-stub's own. */

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const credentials: StubDirectory = { path: ".extra/credentials", directoryMode: 0o500, mode: 0o400 };

function archive(directory: StubDirectory, files: readonly StubFile[]): Uint8Array {
  return new Uint8Array(Buffer.concat([...stubArchive(directory, files)]));
}

it("is an archive that Linux unpacks", () => {
  const bytes = archive(credentials, [
    { name: "b.cred", bytes: encode("second") },
    { name: "a.cred", bytes: encode("first") },
  ]);
  const { entries, endOffset } = readCpio(bytes);
  expect(
    entries.map(({ name, type, permissions, inode, content }) => [
      name,
      type,
      permissions,
      inode,
      Buffer.from(content).toString(),
    ]),
  ).toEqual([
    [".extra", "directory", 0o555, 1, ""],
    [".extra/credentials", "directory", 0o500, 2, ""],
    [".extra/credentials/a.cred", "file", 0o400, 3, "first"],
    [".extra/credentials/b.cred", "file", 0o400, 4, "second"],
  ]);
  expect(endOffset).toBe(bytes.length);
  expect(bytes.length % 4).toBe(0);
});

it("has the stub's own spelling: digits in lower case, in the trailer in upper case", () => {
  const text = Buffer.from(archive(credentials, [{ name: "a.cred", bytes: new Uint8Array(0xabc) }])).toString("latin1");
  expect(text).toContain("00000abc");
  expect(text.slice(text.lastIndexOf("070701"))).toBe(
    "07070100000000000000000000000000000000000000010000000000000000000000000000000000000000000000000000000B00000000TRAILER!!!\0\0\0\0",
  );
});

describe("names that the stub does not take", () => {
  it.each([
    ["", 'stub archive: "": a name of at most 255 ASCII characters expected'],
    ["a/b", 'stub archive: "a/b": a name of at most 255 ASCII characters expected'],
    ["ü.cred", 'stub archive: "ü.cred": a name of at most 255 ASCII characters expected'],
    ["a\0", 'stub archive: "a\\u{0}": a name of at most 255 ASCII characters expected'],
    ["x".repeat(256), `stub archive: "${"x".repeat(80)}…": a name of at most 255 ASCII characters expected`],
  ])("%j", (name, message) => {
    expect(formatErrorOf(() => archive(credentials, [{ name, bytes: encode("x") }]))).toBe(message);
  });
});
