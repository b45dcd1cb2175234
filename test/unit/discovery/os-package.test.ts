import { describe, expect, test } from "vitest";
import type { FoundMenu } from "../../../src/discovery/entry.ts";
import { defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { OpenedImages } from "../../../src/discovery/image-volumes.ts";
import { osPackageFinder, osPackagesBytesMax } from "../../../src/discovery/os-package.ts";
import { type FileSource, SourceError } from "../../../src/discovery/source.ts";
import { bootEntry } from "../../fakes/boot-entry.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";
import { testData } from "../../fakes/tree-data.ts";

const data = (name: string): Uint8Array => testData(`os-package/${name}`);
const zip = data("acme-1.2.zip");
const descriptor = data("acme-1.2.json");
const unsigned = data("unsigned.json");

function find(source: FileSource, limits: Partial<typeof defaultDiscoveryLimits> = {}): Promise<readonly FoundMenu[]> {
  const context = { source, sources: [source], architecture: "x86_64", images: new OpenedImages() };
  return osPackageFinder.find({ ...context, limits: { ...defaultDiscoveryLimits, ...limits } });
}

async function findOne(files: MemoryFiles, limits: Partial<typeof defaultDiscoveryLimits> = {}): Promise<FoundMenu> {
  const [menu, ...more] = await find(memorySource("vda1", files), limits);
  if (menu === undefined) throw new Error("a menu expected");
  expect(more).toEqual([]);
  return menu;
}

const skippedLines = (menu: FoundMenu): string[] =>
  menu.skipped.map(({ source, reason }) => `${source.path}:${source.line}: ${reason}`);

test("a descriptor with its archive is an entry, of what the archive says", async () => {
  const menu = await findOne({ "/ospkg/acme-1.2.json": descriptor, "/ospkg/acme-1.2.zip": zip });
  const entry = bootEntry({
    id: "vda1:ospkg:acme-1.2",
    title: "Acme OS 1.2",
    format: "ospkg",
    source: { volume: "vda1", path: "/ospkg/acme-1.2.json", line: 1 },
    linux: { volume: "vda1", path: "/ospkg/acme-1.2.zip" },
    options: "console=ttyS0,115200n8 ro  quiet",
    embedded: true,
    aliases: ["acme-1.2", "acme-1.2.json", "acme-1.2.zip"],
    configs: [],
  });
  expect(menu).toEqual({
    volume: "vda1",
    format: "ospkg",
    entries: [entry],
    skipped: [],
    defaultId: "vda1:ospkg:acme-1.2",
    defaultReason: "newest name in /ospkg",
    timeoutSeconds: null,
  });
});

test("archives of other tools, unsigned, without a label", async () => {
  const menu = await findOne({
    "/ospkg/a.json": unsigned,
    "/ospkg/a.zip": data("infozip.zip"),
    "/ospkg/b.json": unsigned,
    "/ospkg/b.zip": data("infozip-stream.zip"),
    "/ospkg/c.json": unsigned,
    "/ospkg/c.zip": data("python.zip"),
  });
  expect(skippedLines(menu)).toEqual([]);
  expect(menu.entries.map(({ title, options }) => `${title}: ${options}`)).toEqual(
    ["c", "b", "a"].map((name) => `${name}: console=ttyS0,115200n8 ro  quiet`),
  );
});

test("the newest name comes first, and the second directory keeps ids apart", async () => {
  const menus = await find(
    memorySource("vda1", {
      "/ospkg/os-9.json": descriptor,
      "/ospkg/os-9.zip": zip,
      "/ospkg/os-10.json": descriptor,
      "/ospkg/os-10.zip": zip,
      "/boot/ospkg/os-9.json": descriptor,
      "/boot/ospkg/os-9.zip": zip,
    }),
  );
  expect(menus.map(({ defaultId, entries }) => [defaultId, ...entries.map(({ id }) => id)])).toEqual([
    ["vda1:ospkg:os-10", "vda1:ospkg:os-10", "vda1:ospkg:os-9"],
    ["vda1:ospkg:/boot/ospkg/os-9.json", "vda1:ospkg:/boot/ospkg/os-9.json"],
  ]);
});

test("a directory that both paths lead to is searched once", async () => {
  const files = { "/ospkg/a.json": descriptor, "/ospkg/a.zip": zip, "/boot/ospkg": { link: "/ospkg" } };
  expect(await find(memorySource("vda1", files))).toHaveLength(1);
});

test("nothing there", async () => {
  expect(await find(memorySource("vda1", {}))).toEqual([]);
  expect(await find(memorySource("vda1", { "/ospkg/a.zip": zip, "/ospkg/.a.json": descriptor }))).toEqual([]);
  expect(await find(memorySource("vda1", { "/ospkg": "a file" }))).toEqual([]);
});

describe("what is not offered", () => {
  test.each<[string, MemoryFiles, string]>([
    [
      "no archive",
      { "/ospkg/a.json": descriptor },
      '/ospkg/a.json:1: the archive "/ospkg/a.zip" is missing; os_pkg_url "https://example.org/os/acme-1.2.zip" is not fetched',
    ],
    [
      "no archive and no URL",
      { "/ospkg/a.json": '{"version":1}' },
      '/ospkg/a.json:1: the archive "/ospkg/a.zip" is missing',
    ],
    [
      "a directory for an archive",
      { "/ospkg/a.json": descriptor, "/ospkg/a.zip/b": "" },
      '/ospkg/a.json:1: the archive "/ospkg/a.zip": a regular file expected',
    ],
    [
      "another JSON file",
      { "/ospkg/a.json": '{"version":2}', "/ospkg/a.zip": zip },
      "/ospkg/a.json:1: OS package descriptor: version: version 1 expected, found 2",
    ],
    [
      "a large descriptor",
      { "/ospkg/a.json": " ".repeat(65_537), "/ospkg/a.zip": zip },
      '/ospkg/a.json:1: read "/ospkg/a.json" on vda1: 65537 bytes, at most 65536 are taken',
    ],
    [
      "an archive that is none",
      { "/ospkg/a.json": descriptor, "/ospkg/a.zip": "nothing" },
      '/ospkg/a.json:1: the archive "/ospkg/a.zip": zip: the end of a central directory expected at the end of the file',
    ],
    [
      "an archive without manifest",
      { "/ospkg/a.json": descriptor, "/ospkg/a.zip": data("python-empty.zip") },
      '/ospkg/a.json:1: the archive "/ospkg/a.zip": OS package: "manifest.json" expected in the archive',
    ],
    [
      "a control character in the name",
      { "/ospkg/a\u001b.json": descriptor, "/ospkg/a\u001b.zip": zip },
      '/ospkg/a\u001b.json:1: printable ASCII expected in the file name "a\\u{1b}"',
    ],
  ])("%s", async (_, files, line) => {
    const menu = await findOne(files);
    expect(skippedLines(menu)).toEqual([line]);
    expect(menu).toMatchObject({ entries: [], defaultId: null });
  });

  /** The archive with bytes of the manifest's packed data changed. */
  function changed(change: (bytes: Buffer, data: number) => void): MemoryFiles {
    const bytes = Buffer.from(zip);
    change(bytes, 307);
    return { "/ospkg/a.json": descriptor, "/ospkg/a.zip": new Uint8Array(bytes) };
  }
  const place = '/ospkg/a.json:1: the archive "/ospkg/a.zip": zip: offset 307: "manifest.json":';
  const central = zip.length - 22 - 59;

  test.each<[string, (bytes: Buffer, data: number) => void, RegExp | string]>([
    ["a flipped bit", (bytes, at) => bytes.writeUInt8((bytes[at + 60] ?? 0) ^ 4, at + 60), /CRC-32|expected|invalid/],
    ["a broken block", (bytes, at) => bytes.writeUInt8(0xff, at), /invalid block type/],
    [
      "another CRC-32",
      (bytes, at) => {
        bytes.writeUInt32LE(1, at + 134 + 4);
        bytes.writeUInt32LE(1, central + 16);
      },
      "CRC-32 00000001 expected, not 05669506",
    ],
    [
      "more bytes than it says",
      (bytes, at) => {
        bytes.writeUInt32LE(166, at + 134 + 12);
        bytes.writeUInt32LE(166, central + 24);
      },
      "more than its 166 bytes come out",
    ],
    [
      "fewer bytes than it says",
      (bytes, at) => {
        bytes.writeUInt32LE(168, at + 134 + 12);
        bytes.writeUInt32LE(168, central + 24);
      },
      "168 bytes expected, 167 came out",
    ],
  ])("%s in the packed manifest", async (_, change, reason) => {
    const [line = ""] = skippedLines(await findOne(changed(change)));
    expect(line.startsWith(`${place} `)).toBe(true);
    expect(line.slice(place.length + 1)).toMatch(reason);
  });

  test("options that are too long, and more packages than are taken", async () => {
    const files = Object.fromEntries(
      [1, 2, 3].flatMap((number) => [
        [`/ospkg/${number}.json`, descriptor],
        [`/ospkg/${number}.zip`, zip],
      ]),
    );
    const short = await findOne(files, { optionsBytesMax: 31 });
    expect(skippedLines(short)[0]).toBe("/ospkg/3.json:1: options of 32 bytes, at most 31 are taken");
    const few = await findOne(files, { entriesMax: 2 });
    expect(few.entries.map(({ id }) => id)).toEqual(["vda1:ospkg:3", "vda1:ospkg:2"]);
    expect(skippedLines(few)).toEqual(["/ospkg:1: 1 more packages, at most 2 are read"]);
  });

  test("archives that cannot be read", async () => {
    const source = memorySource("vda1", { "/ospkg/a.json": descriptor, "/ospkg/a.zip": zip });
    const broken: FileSource = {
      ...source,
      async open(path) {
        const file = await source.open(path);
        return {
          ...file,
          async read() {
            throw new SourceError(`read "${path}" on vda1: input/output error`);
          },
        };
      },
    };
    const [menu] = await find(broken);
    expect(menu === undefined ? [] : skippedLines(menu)).toEqual([
      '/ospkg/a.json:1: read "/ospkg/a.zip" on vda1: input/output error',
    ]);
  });

  test("what is read of all archives together", async () => {
    const long = Buffer.concat([new Uint8Array(65_535 - 512), Buffer.from("x")]);
    const files: Record<string, Uint8Array> = {};
    const count = Math.ceil(osPackagesBytesMax / 65_557) + 1;
    for (let number = 0; number < count; number++) {
      files[`/ospkg/${String(number).padStart(4, "0")}.json`] = unsigned;
      files[`/ospkg/${String(number).padStart(4, "0")}.zip`] = Buffer.concat([long, long]);
    }
    const lines = skippedLines(await findOne(files));
    expect(lines).toHaveLength(count);
    expect(lines.at(-1)).toBe(`/ospkg/0000.json:1: more than ${osPackagesBytesMax} bytes of directories and manifests`);
    expect(lines[0]).toContain("the end of a central directory expected");
  });
});
