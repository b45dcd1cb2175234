import { describe, expect, test } from "vitest";
import {
  osPackageArchivePath,
  osPackageDescriptorBytesMax,
  osPackageFiles,
  osPackageSignaturesMax,
  parseOsPackageDescriptor,
  parseOsPackageManifest,
  readOsPackageArchive,
} from "../../../src/formats/os-package.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { testData } from "../../fakes/tree-data.ts";

const bytesOf = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const acme = testData("os-package/acme-1.2.json");

describe("parseOsPackageDescriptor", () => {
  test("what stmgr's libraries write", () => {
    const { packageUrl, signatures } = parseOsPackageDescriptor(acme);
    expect(packageUrl).toBe("https://example.org/os/acme-1.2.zip");
    expect(signatures.map(({ signature }) => signature.length)).toEqual([64, 64]);
    for (const { certificate } of signatures) {
      expect(Buffer.from(certificate).toString("latin1")).toMatch(/^-----BEGIN CERTIFICATE-----\n/);
    }
  });

  test("nobody signed: Go writes null for an empty list", () => {
    const unsigned = testData("os-package/unsigned.json");
    expect(Buffer.from(unsigned).toString("latin1")).toContain('"certificates": null');
    expect(parseOsPackageDescriptor(unsigned).signatures).toEqual([]);
  });

  test("fields that it does not know, and no URL", () => {
    const parsed = parseOsPackageDescriptor(bytesOf({ version: 1, os_pkg_url: "", signed_by: ["x"] }));
    expect(parsed).toEqual({ packageUrl: null, signatures: [] });
  });

  const good = { version: 1, os_pkg_url: "", certificates: ["AAAA"], signatures: ["AAAA"] };
  test.each<[string, unknown, string]>([
    [
      "no JSON",
      "{",
      "OS package descriptor: JSON expected: \"Expected property name or '}' in JSON at position 1 (line 1 column 2)\"",
    ],
    ["a list", [], "OS package descriptor: a JSON object expected"],
    ["no version", { ...good, version: undefined }, "OS package descriptor: version: version 1 expected, found none"],
    ["another version", { ...good, version: 2 }, "OS package descriptor: version: version 1 expected, found 2"],
    ["text as version", { ...good, version: "1" }, 'OS package descriptor: version: version 1 expected, found "1"'],
    ["a number as URL", { ...good, os_pkg_url: 1 }, "OS package descriptor: os_pkg_url: text expected, found 1"],
    [
      "a long URL",
      { ...good, os_pkg_url: "x".repeat(4097) },
      "OS package descriptor: os_pkg_url: 4097 characters, at most 4096 are taken",
    ],
    ["no list", { ...good, certificates: "AAAA" }, "OS package descriptor: certificates: a list expected"],
    ["no text", { ...good, signatures: [1] }, "OS package descriptor: signatures[0]: base64 expected"],
    [
      "no base64",
      { ...good, signatures: ["AAA"] },
      "OS package descriptor: signatures[0]: base64 in groups of 4 characters expected, not 3 characters",
    ],
    [
      "no certificate",
      { ...good, certificates: [] },
      "OS package descriptor: a certificate for each signature expected, found 0 certificates and 1 signatures",
    ],
    [
      "many signatures",
      { ...good, signatures: Array(65).fill("AAAA") },
      `OS package descriptor: signatures: 65 items, at most ${osPackageSignaturesMax} are taken`,
    ],
    [
      "a large file",
      " ".repeat(65_537),
      `OS package descriptor: 65537 bytes, at most ${osPackageDescriptorBytesMax} are taken`,
    ],
    ["deep lists", "[".repeat(30_000), 'OS package descriptor: JSON expected: "Unexpected end of JSON input"'],
  ])("%s", (_, value, message) => {
    expect(formatErrorOf(() => parseOsPackageDescriptor(bytesOf(value)))).toBe(message);
  });

  test("cut and changed", () => {
    tortureParser({ bytes: acme.subarray(0, 600), parse: parseOsPackageDescriptor, rounds: 1000, seed: 3 });
  });
});

describe("parseOsPackageManifest", () => {
  const good = { version: 1, label: "Acme", kernel: "boot/k", initramfs: "boot/i", cmdline: 'a="b c" d' };

  test("every field, and those that need not be there", () => {
    expect(parseOsPackageManifest(bytesOf(good))).toEqual({
      label: "Acme",
      kernel: "boot/k",
      initramfs: "boot/i",
      commandLine: 'a="b c" d',
    });
    const { label, cmdline, ...required } = good;
    const bare = { label: null, kernel: "boot/k", initramfs: "boot/i", commandLine: "" };
    expect(parseOsPackageManifest(bytesOf({ ...required, tboot: "boot/tboot.gz" }))).toEqual(bare);
    expect(parseOsPackageManifest(bytesOf({ ...required, label: "", cmdline: null }))).toEqual(bare);
  });

  test.each<[string, unknown, string]>([
    ["no object", null, "OS package manifest: a JSON object expected"],
    ["another version", { ...good, version: 3 }, "OS package manifest: version: version 1 expected, found 3"],
    ["no kernel", { ...good, kernel: "" }, "OS package manifest: kernel: the name of a file in the archive expected"],
    [
      "no initramfs",
      { ...good, initramfs: null },
      "OS package manifest: initramfs: the name of a file in the archive expected",
    ],
    ["a list", { ...good, cmdline: [] }, "OS package manifest: cmdline: text expected, found a list"],
    [
      "two lines",
      { ...good, cmdline: "a\nb" },
      "OS package manifest: cmdline: a command line without control characters expected",
    ],
    [
      "a long command line",
      { ...good, cmdline: "x".repeat(65_537) },
      "OS package manifest: cmdline: 65537 characters, at most 65536 are taken",
    ],
    ["a large file", " ".repeat(131_073), "OS package manifest: 131073 bytes, at most 131072 are taken"],
  ])("%s", (_, value, message) => {
    expect(formatErrorOf(() => parseOsPackageManifest(bytesOf(value)))).toBe(message);
  });
});

describe("the archive", () => {
  const open = (name: string): ReturnType<typeof readOsPackageArchive> => {
    const bytes = testData(`os-package/${name}.zip`);
    return readOsPackageArchive(rangesOf(bytes), bytes.length);
  };

  test("its manifest and the files that it names", () => {
    const { archive, manifest } = open("infozip");
    expect(manifest).toMatchObject({ name: "manifest.json", size: 123 });
    const named = { label: null, kernel: "boot/vmlinuz", initramfs: "boot/initrd.img", commandLine: "" };
    const { kernel, initramfs } = osPackageFiles(archive, named);
    expect([kernel.size, initramfs.size]).toEqual([2576, 1080]);
    const without = (own: Partial<typeof named>): string | null =>
      formatErrorOf(() => osPackageFiles(archive, { ...named, ...own }));
    expect(without({ kernel: "vmlinuz" })).toBe('OS package: kernel "vmlinuz" is not in the archive');
    expect(without({ initramfs: "boot/" })).toBe('OS package: initramfs "boot/" is not in the archive');
    const empty = { members: archive.members.map((member) => ({ ...member, size: 0 })) };
    expect(formatErrorOf(() => osPackageFiles(empty, named))).toBe('OS package: kernel "boot/vmlinuz" is empty');
  });

  test("no manifest", () => {
    expect(formatErrorOf(() => open("python-empty"))).toBe('OS package: "manifest.json" expected in the archive');
  });

  test("a large manifest", () => {
    // Its size in the central directory, and behind its data.
    const bytes = Buffer.from(testData("os-package/acme-1.2.zip"));
    bytes.writeUInt32LE(131_073, bytes.lastIndexOf("PK\x01\x02") + 24);
    bytes.writeUInt32LE(131_073, bytes.lastIndexOf("PK\x07\x08") + 12);
    const message = formatErrorOf(() => readOsPackageArchive(rangesOf(bytes), bytes.length));
    expect(message).toBe("OS package manifest: 131073 bytes, at most 131072 are taken");
  });
});

test("an archive and its descriptor differ in the suffix", () => {
  expect(osPackageArchivePath("/ospkg/a.b.json")).toBe("/ospkg/a.b.zip");
  expect(osPackageArchivePath("/ospkg/a.zip")).toBeNull();
});
