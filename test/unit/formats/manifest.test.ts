import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Manifest, manifestBytesMax, manifestText, parseManifest } from "../../../src/formats/manifest.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const encoder = new TextEncoder();
const bytes = new Uint8Array(readFileSync(new URL("../../data/manifest/full.json", import.meta.url)));

const digest = (digit: string): string => digit.repeat(64);

/** What full.json says, written by hand from it. */
const full: Manifest = {
  product: "acme-os",
  version: 7,
  notBefore: Date.UTC(2026, 10, 20, 9, 30),
  notAfter: Date.UTC(2027, 10, 20),
  entries: [
    {
      title: "Acme OS 7",
      linux: { path: "/vmlinuz-7", sha256: digest("1"), size: 12_345_678 },
      part: "@1",
      initrd: [
        { path: "/initrd-7", sha256: digest("2"), size: 0, archive: null },
        {
          path: "/preseed.cfg",
          sha256: digest("3"),
          size: 17,
          archive: { path: "/etc/preseed.cfg", mode: 0o644, directories: Number.POSITIVE_INFINITY },
        },
        {
          path: "/key",
          sha256: digest("4"),
          size: 32,
          archive: { path: "/run/key", mode: 0o400, directories: 1, directoryMode: 0o700 },
        },
      ],
      options: "root=/dev/vda2 quiet",
      modules: [{ path: "/dom0", sha256: digest("5"), size: 5, options: "console=hvc0" }],
      addons: [{ path: "/extra.addon.efi", sha256: digest("6"), size: 6 }],
      devicetree: { path: "/board.dtb", sha256: digest("7"), size: 7 },
      overlays: [{ path: "/more.dtbo", sha256: digest("8"), size: 8 }],
    },
  ],
  files: [{ role: "config", path: "/loader/loader.conf", sha256: digest("9"), size: 9 }],
};

describe("a manifest with everything", () => {
  test("is read", () => expect(parseManifest(bytes)).toEqual(full));
  test("is written as it was", () => expect(encoder.encode(manifestText(full))).toEqual(bytes));
});

const least = `{"slipwayManifest":1,"version":0}`;

test("the least that a manifest may say", () => {
  expect(parseManifest(encoder.encode(least))).toEqual({
    product: null,
    version: 0,
    notBefore: null,
    notAfter: null,
    entries: [],
    files: [],
  });
});

test("null is as good as absent where something is optional", () => {
  const file = `{"path":"/k","sha256":"${digest("a")}","size":1}`;
  const initrd = `[{"path":"/i","sha256":"${digest("b")}","size":2,"archive":null}]`;
  const entry = `{"title":"","linux":${file},"part":null,"initrd":${initrd},"options":"","devicetree":null}`;
  const text = `{"slipwayManifest":1,"version":1,"product":null,"notBefore":null,"notAfter":null,"entries":[${entry}]}`;
  const { product, notAfter, entries } = parseManifest(encoder.encode(text));
  expect([product, notAfter, entries[0]?.part, entries[0]?.devicetree, entries[0]?.initrd[0]?.archive]).toEqual([
    null,
    null,
    null,
    null,
    null,
  ]);
});

/** Changes full.json in one place. */
function changed(from: string | RegExp, to: string): string {
  const text = new TextDecoder().decode(bytes);
  const other = text.replace(from, to);
  expect(other).not.toBe(text);
  return other;
}

describe("refused", () => {
  test.each([
    ["[]", "a list, an object expected"],
    ["7", "7, an object expected"],
    ["{", `JSON expected: "Expected property name or '}' in JSON at position 1 (line 1 column 2)"`],
    [`{"version":1}`, "slipwayManifest: missing, a whole number from 1 to 1 expected"],
    [`{"slipwayManifest":2,"version":1}`, "slipwayManifest: 2, a whole number from 1 to 1 expected"],
    [`{"slipwayManifest":1}`, "version: missing, a whole number from 0 to 9007199254740991 expected"],
    [changed('"version": 7', '"version": -1'), "version: -1, a whole number from 0 to 9007199254740991 expected"],
    [changed('"version": 7', '"version": "7"'), 'version: "7", a whole number from 0 to 9007199254740991 expected'],
    [
      changed('"version": 7', '"version": 7, "kernel": 1'),
      'unknown field "kernel", one of slipwayManifest, product, version, notBefore, notAfter, entries, files expected',
    ],
    [changed('"acme-os"', "7"), "product: 7, text expected"],
    [changed('"acme-os"', `"${"x".repeat(4097)}"`), "product: 4097 characters, at most 4096 are taken"],
    [
      changed("2027-11-20T00:00:00Z", "2027-02-30"),
      'notAfter: "2027-02-30", a time like "2026-11-20T09:30:00Z" expected',
    ],
    [changed("2027-11-20", "2025-11-20"), "notAfter: 2025-11-20T00:00:00Z is before notBefore, 2026-11-20T09:30:00Z"],
    [changed('"title": "Acme OS 7",', ""), "entries[0].title: missing, text expected"],
    [changed(/"linux": \{[^}]*\},/, ""), "entries[0].linux: missing, an object expected"],
    [changed(/"linux": \{[^}]*\}/, '"linux": "/vmlinuz"'), 'entries[0].linux: "/vmlinuz", an object expected'],
    [changed(/"options": "root[^"]*",/, ""), "entries[0].options: missing, text expected"],
    [
      changed(digest("2"), digest("A")),
      `entries[0].initrd[0].sha256: "${digest("A")}", 64 lower-case hexadecimal digits expected`,
    ],
    [
      changed('"size": 32', '"size": 1.5'),
      "entries[0].initrd[2].size: 1.5, a whole number from 0 to 9007199254740991 expected",
    ],
    [
      changed('"size": 17', '"size": 17, "sha1": ""'),
      'entries[0].initrd[1]: unknown field "sha1", one of path, sha256, size, archive expected',
    ],
    [
      changed('"directories": "all"', '"directories": "some"'),
      'entries[0].initrd[1].archive.directories: "some", a whole number from 0 to 4096 expected',
    ],
    [changed('"0400"', '"400"'), 'entries[0].initrd[2].archive.mode: "400", four octal digits expected'],
    [changed('"0700"', "448"), "entries[0].initrd[2].archive.directoryMode: 448, four octal digits expected"],
    [changed('"options": "console=hvc0"', '"options": null'), "entries[0].modules[0].options: null, text expected"],
    [changed(/"overlays": \[[^\]]*\]/, '"overlays": {}'), "entries[0].overlays: an object, a list expected"],
    [
      changed('"role": "config"', '"role": "kernel"'),
      'files[0].role: "kernel", one of "config", "environment", "linux", "initrd", "devicetree", "module", "addon", "overlay", "file" expected',
    ],
    [
      `{"slipwayManifest":1,"version":1,"entries":[${"0,".repeat(1000)}0]}`,
      "entries: 1001 items, at most 1000 are taken",
    ],
    [
      `{"slipwayManifest":1,"version":1,"files":[${"0,".repeat(10_000)}0]}`,
      "files: 10001 items, at most 10000 are taken",
    ],
    [`{"slipwayManifest":1,"version":${"[".repeat(100)}`, "version"],
  ])("row %#", (text, reason) => {
    const error = formatErrorOf(() => parseManifest(encoder.encode(text)));
    if (reason === "version") expect(error).toMatch(/^manifest: JSON expected: /);
    else expect(error).toBe(`manifest: ${reason}`);
  });

  test("too large", () => {
    const error = formatErrorOf(() => parseManifest(new Uint8Array(manifestBytesMax + 1)));
    expect(error).toBe("manifest: 4194305 bytes, at most 4194304 are taken");
  });

  test("nested as deep as four MiB can be", () => {
    const deep = `{"slipwayManifest":1,"version":1,"files":${"[".repeat(2_000_000)}${"]".repeat(2_000_000)}}`;
    const error = formatErrorOf(() => parseManifest(encoder.encode(deep)));
    expect(error).toBe("manifest: files[0]: a list, an object expected");
  });

  test("what would not be read is not written", () => {
    const error = formatErrorOf(() => manifestText({ ...full, version: -1 }));
    expect(error).toBe("manifest: version: -1, a whole number from 0 to 9007199254740991 expected");
  });
});

test("hostile input", () => {
  tortureParser({ bytes, parse: parseManifest, rounds: 1000, seed: 5 });
});
