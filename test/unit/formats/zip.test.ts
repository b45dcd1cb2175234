import { describe, expect, test } from "vitest";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { findZipMember, readZip, type ZipArchive, zipMembersMax } from "../../../src/formats/zip.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { testData } from "../../fakes/tree-data.ts";

const parse = (bytes: Uint8Array): ZipArchive => readZip(rangesOf(bytes), bytes.length);
const archive = (name: string): Uint8Array => testData(`os-package/${name}.zip`);
const lines = (name: string): string[] =>
  parse(archive(name)).members.map(({ name: member, method, crc32, size, data }) =>
    [member, method, crc32.toString(16), size, data.length].join(" "),
  );

/** Names, methods, CRC-32 and sizes as `unzip -v` prints them of the same files. */
test.each([
  [
    "acme-1.2",
    [
      "boot/vmlinuz-6.1.0 deflate 58f133bc 2576 55",
      "boot/initrd.img-6.1.0 deflate 5a263f80 1080 43",
      "manifest.json deflate 5669506 167 134",
    ],
  ],
  [
    "infozip",
    [
      "boot/vmlinuz deflate 58f133bc 2576 49",
      "boot/initrd.img deflate 5a263f80 1080 40",
      "manifest.json deflate 5b5a09be 123 105",
    ],
  ],
  [
    "infozip-stream",
    [
      "boot/vmlinuz stored 58f133bc 2576 2576",
      "boot/initrd.img stored 5a263f80 1080 1080",
      "manifest.json stored 5b5a09be 123 123",
    ],
  ],
  [
    "python",
    [
      "manifest.json deflate 5b5a09be 123 105",
      "boot/vmlinuz deflate 58f133bc 2576 49",
      "boot/initrd.img stored 5a263f80 1080 1080",
      "boot/größe.txt stored 533993d3 14 14",
    ],
  ],
  ["python-empty", []],
])("the members of %s.zip", (name, expected) => {
  expect(lines(name)).toEqual(expected);
});

test("a member is found by its whole name", () => {
  const found = parse(archive("infozip-stream"));
  const initrd = findZipMember(found, "boot/initrd.img");
  expect(Buffer.from(archive("infozip-stream")).toString("latin1", initrd?.data.offset).slice(0, 27)).toBe(
    "an initramfs would be here\n",
  );
  expect(findZipMember(found, "initrd.img")).toBeNull();
  expect(findZipMember(found, "boot/")).toBeNull();
});

test.each([
  ["infozip-encrypted", 'zip: offset 212: "manifest.json" is encrypted'],
  ["infozip-bzip2", 'zip: offset 175: "boot/initrd.img": method 0 (stored) or 8 (deflate) expected, not 12 (bzip2)'],
  ["infozip-link", 'zip: offset 112: "boot/link": a regular file expected, not one of type 10'],
  [
    "infozip-prefixed",
    "zip: offset 841: a central directory that ends where this record starts expected, not offset 471 with 325 bytes",
  ],
  ["infozip-zip64", "zip: offset 347: an archive without ZIP64 expected"],
  ["python-twice", 'zip: offset 150: "manifest.json" stands twice'],
  ["python-upwards", 'zip: offset 89: "../etc/passwd": a relative path expected, without "." and ".."'],
  ["python-absolute", 'zip: offset 87: "/etc/passwd": a relative path expected, without "." and ".."'],
  ["python-lzma", 'zip: offset 76: "manifest.json": method 0 (stored) or 8 (deflate) expected, not 14 (LZMA)'],
])("%s.zip is refused", (name, message) => {
  expect(formatErrorOf(() => parse(archive(name)))).toBe(message);
});

/** A small archive to break: members `a` and `b` as they are, laid out from APPNOTE.TXT 4.3.7, 4.3.12 and 4.3.16. */
interface Layout {
  readonly names?: readonly (string | Uint8Array)[];
  readonly flags?: number;
  readonly extra?: Uint8Array;
  readonly comment?: Uint8Array;
  /** What the end says of the number of members. */
  readonly count?: number;
  /** 16-bit or 32-bit words over those of the first local header, by their offset in it. */
  readonly local?: readonly (readonly [at: number, value: number, bytes: 2 | 4])[];
  /** The same of the first central header. */
  readonly central?: Layout["local"];
  readonly end?: Layout["local"];
  /** Behind the data of each member. */
  readonly behind?: Uint8Array;
}

const content = Buffer.from("content");
const crc = 0x6a8ffb8f;

function build(layout: Layout = {}): Uint8Array {
  const { names = ["a", "b"], flags = 0, extra = new Uint8Array(0), behind = new Uint8Array(0) } = layout;
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [index, given] of names.entries()) {
    const name = Buffer.from(given);
    const isDirectory = name.toString("latin1").endsWith("/");
    const data = isDirectory ? Buffer.alloc(0) : content;
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(flags, 2);
    fields.writeUInt32LE(isDirectory ? 0 : crc, 10);
    fields.writeUInt32LE(data.length, 14);
    fields.writeUInt32LE(data.length, 18);
    fields.writeUInt16LE(name.length, 22);
    fields.writeUInt16LE(extra.length, 24);
    const local = change(Buffer.concat([Buffer.from("PK\x03\x04"), fields]), index === 0 ? layout.local : []);
    files.push(local, name, Buffer.from(extra), data, Buffer.from(behind));
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    const head = Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), fields, rest]);
    directory.push(change(head, index === 0 ? layout.central : []), name, Buffer.from(extra));
    offset += local.length + name.length + extra.length + data.length + behind.length;
  }
  const directoryBytes = Buffer.concat(directory).length;
  const comment = Buffer.from(layout.comment ?? []);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(layout.count ?? names.length, 4);
  end.writeUInt16LE(layout.count ?? names.length, 6);
  end.writeUInt32LE(directoryBytes, 8);
  end.writeUInt32LE(offset, 12);
  end.writeUInt16LE(comment.length, 16);
  const record = change(Buffer.concat([Buffer.from("PK\x05\x06"), end]), layout.end);
  return new Uint8Array(Buffer.concat([...files, ...directory, record, comment]));
}

function change(bytes: Buffer, words: Layout["local"] = []): Buffer {
  for (const [at, value, length] of words) bytes.writeUIntLE(value, at, length);
  return bytes;
}

const words = (...values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
const refusal = (layout: Layout): string | null => formatErrorOf(() => parse(build(layout)));

test("the small archive is a good one", () => {
  expect(parse(build()).members.map(({ name, size }) => `${name} ${size}`)).toEqual(["a 7", "b 7"]);
  expect(parse(build({ comment: Buffer.from("a comment") })).members).toHaveLength(2);
  expect(parse(build({ names: ["d/", "d/a", "d/e/b"] })).members.map(({ name }) => name)).toEqual(["d/a", "d/e/b"]);
  expect(parse(build({ extra: Uint8Array.of(1, 2, 1, 0, 9) })).members).toHaveLength(2);
  expect(parse(build({ names: ["ä"], flags: 0x800 })).members[0]?.name).toBe("ä");
});

test("sizes and CRC-32 behind the data, with a signature and without", () => {
  const flags = 8;
  const zeroes = [14, 18, 22].map((at) => [at, 0, 4] as const);
  expect(refusal({ flags, local: zeroes, behind: words(0x08074b50, crc, 7, 7) })).toBeNull();
  expect(refusal({ flags, local: zeroes, behind: words(crc, 7, 7) })).toBeNull();
  const message = 'zip: offset 38: "a": CRC-32 and sizes of the central directory expected behind the data';
  expect(refusal({ flags, local: zeroes, behind: words(0x08074b50, crc, 7, 8) })).toBe(message);
  expect(refusal({ flags, local: zeroes, behind: words(0x08074b50, crc + 1, 7, 7) })).toBe(message);
  expect(refusal({ flags, local: zeroes })).toBe(message);
});

describe("what is refused of the end", () => {
  test.each<[string, Layout, string]>([
    ["parts", { end: [[4, 1, 2]] }, "zip: offset 174: an archive in one part expected, not one of several disks"],
    [
      "entries on this disk",
      { end: [[8, 1, 2]] },
      "zip: offset 174: an archive in one part expected, not one of several disks",
    ],
    ["no offset", { end: [[16, 0xffffffff, 4]] }, "zip: offset 178: an archive without ZIP64 expected"],
    ["more members", { count: 257 }, `zip: offset 180: 257 members, at most ${zipMembersMax} are taken`],
    [
      "a large directory",
      { end: [[12, 262_145, 4]] },
      "zip: offset 182: 262145 bytes of central directory, at most 262144 are taken",
    ],
    [
      "a gap",
      { end: [[16, 77, 4]] },
      "zip: offset 186: a central directory that ends where this record starts expected, not offset 77 with 94 bytes",
    ],
    ["fewer members", { count: 1 }, "zip: offset 123: the end of the central directory expected behind 1 entries"],
    ["one member more", { count: 3 }, "zip: offset 170, signature: 4 byte(s) expected, the input ends at 170"],
    [
      "a second end",
      { comment: change(Buffer.from("PK\x05\x06.................."), [[20, 0, 2]]) },
      "zip: offset 170: one end of a central directory expected, found two",
    ],
  ])("%s", (_, layout, message) => {
    expect(refusal(layout)).toBe(message);
  });

  test("trailing data, and nothing at all", () => {
    const message = "zip: the end of a central directory expected at the end of the file";
    expect(formatErrorOf(() => parse(Buffer.concat([build(), Buffer.from("x")])))).toBe(message);
    expect(formatErrorOf(() => parse(new Uint8Array(0)))).toBe(message);
    expect(formatErrorOf(() => parse(new Uint8Array(100_000)))).toBe(message);
  });
});

describe("what is refused of a member", () => {
  const relative = 'a relative path expected, without "." and ".."';
  test.each<[string, Layout, string]>([
    ["no header", { central: [[0, 0, 4]] }, "zip: offset 76: an entry of the central directory expected"],
    ["strong encryption", { flags: 0x41 }, 'zip: offset 84: "a" is encrypted'],
    ["masked headers", { flags: 0x2000 }, 'zip: offset 84: "a" is encrypted'],
    ["a patch", { flags: 0x20 }, 'zip: offset 84: "a" is a patch of another file'],
    ["unknown flags", { flags: 0x10 }, 'zip: offset 84: "a": flags 0x10 are not known'],
    [
      "an unknown method",
      { central: [[10, 77, 2]] },
      'zip: offset 86: "a": method 0 (stored) or 8 (deflate) expected, not 77',
    ],
    ["an empty name", { names: [""] }, `zip: offset 83: "": ${relative}`],
    ["an empty part", { names: ["a//b"] }, `zip: offset 87: "a//b": ${relative}`],
    ["a dot", { names: ["./a"] }, `zip: offset 86: "./a": ${relative}`],
    ["a backslash", { names: ["a\\b"] }, `zip: offset 86: "a\\\\b": ${relative}`],
    ["NUL", { names: ["a\0b"] }, `zip: offset 86: "a\\u{0}b": ${relative}`],
    [
      "a name in CP437",
      { names: [Uint8Array.of(0x84)] },
      'zip: offset 84: "\\u{84}": a name in ASCII, or one that is marked as UTF-8, expected',
    ],
    ["a name that is not UTF-8", { names: [Uint8Array.of(0xff)], flags: 0x800 }, "zip: text in UTF-8 expected"],
    ["a long name", { names: ["a".repeat(257)] }, "zip: offset 322: a name of 257 bytes, at most 256 are taken"],
    [
      "a long comment",
      { central: [[32, 1025, 2]] },
      "zip: offset 108: a comment of 1025 bytes, at most 1024 are taken",
    ],
    [
      "a comment past the end",
      { names: ["a"], central: [[32, 1024, 2]] },
      "zip: offset 85, comment: 1024 byte(s) expected, the input ends at 85",
    ],
    ["a file and a directory", { names: ["a", "a/"] }, 'zip: offset 117: "a" stands twice'],
    ["a file above another", { names: ["a", "a/b"] }, 'zip: "a" is a file and the directory of "a/b"'],
    ["another disk", { central: [[34, 1, 2]] }, 'zip: offset 110: "a": an archive in one part expected'],
    ["a size in ZIP64", { central: [[24, 0xffffffff, 4]] }, 'zip: offset 76: "a": a member without ZIP64 expected'],
    ["a field of ZIP64", { extra: words(0x00000001) }, 'zip: offset 131: "a": a member without ZIP64 expected'],
    ["half a field", { extra: Uint8Array.of(2, 0) }, 'zip: offset 127: "a": an extra field expected, 2 byte(s) found'],
    [
      "a field past the end",
      { extra: Uint8Array.of(2, 0, 1, 0) },
      'zip: offset 135: "a": an extra field passes the end of them all',
    ],
    [
      "many fields",
      { extra: new Uint8Array(1025) },
      'zip: offset 2173: "a": 1025 bytes of extra fields, at most 1024 are taken',
    ],
    [
      "a device",
      {
        central: [
          [4, 0x0314, 2],
          [38, 0x60000000, 4],
        ],
      },
      'zip: offset 114: "a": a regular file expected, not one of type 6',
    ],
    [
      "a directory that is a file",
      {
        names: ["d/"],
        central: [
          [4, 0x0314, 2],
          [38, 0x80000000, 4],
        ],
      },
      'zip: offset 70: "d/": a directory expected, not one of type 8',
    ],
    [
      "a directory with content",
      { names: ["d/"], central: [[24, 1, 4]] },
      'zip: offset 56: "d/": a directory without content expected',
    ],
    [
      "stored bytes that are fewer",
      { central: [[24, 8, 4]] },
      'zip: offset 96: "a": 8 bytes expected as they are, not 7',
    ],
    [
      "more than deflate can make",
      {
        central: [
          [10, 8, 2],
          [24, 7225, 4],
        ],
      },
      'zip: offset 100: "a": 7225 bytes of 7, at most 1032 of one are possible',
    ],
  ])("%s", (_, layout, message) => {
    expect(refusal(layout)).toBe(message);
  });
});

describe("a member's own header has to agree with the directory", () => {
  test.each<[string, NonNullable<Layout["local"]>, string]>([
    ["signature", [[0, 0, 4]], 'zip: offset 0: the header of "a" expected'],
    ["flags", [[6, 2, 2]], 'zip: offset 6: "a": flags 0 of the central directory expected, not 2'],
    ["method", [[8, 8, 2]], 'zip: offset 8: "a": method 0 of the central directory expected, not 8'],
    ["CRC-32", [[14, 1, 4]], `zip: offset 14: "a": CRC-32 ${crc} of the central directory expected, not 1`],
    ["packed size", [[18, 6, 4]], 'zip: offset 18: "a": packed size 7 of the central directory expected, not 6'],
    ["size", [[22, 6, 4]], 'zip: offset 22: "a": size 7 of the central directory expected, not 6'],
    ["length of the name", [[26, 2, 2]], 'zip: offset 26: the name "a" of the central directory expected'],
    ["extra fields", [[28, 1025, 2]], 'zip: offset 28: "a": 1025 bytes of extra fields, at most 1024 are taken'],
  ])("%s", (_, local, message) => {
    expect(refusal({ local })).toBe(message);
  });

  test("name", () => {
    const bytes = build();
    bytes[30] = 0x63;
    expect(formatErrorOf(() => parse(bytes))).toBe('zip: offset 30: the name "a" of the central directory expected');
  });

  test("two entries for one member, and a member that reaches into the directory", () => {
    expect(refusal({ names: ["a", "a"] })).toBe('zip: offset 123: "a" stands twice');
    const inner = build({ names: ["a", "b"] });
    // The second entry shows where the first member is, whose header is made to fit.
    const shared = Buffer.from(inner);
    shared.writeUInt32LE(0, 123 + 42);
    shared.write("a", 123 + 46);
    shared.write("A", 76 + 46);
    expect(formatErrorOf(() => parse(shared))).toBe('zip: offset 30: the name "A" of the central directory expected');
    const long: Layout["local"] = [
      [18, 90, 4],
      [22, 90, 4],
    ];
    expect(
      refusal({
        local: long,
        central: [
          [20, 90, 4],
          [24, 90, 4],
        ],
      }),
    ).toBe('zip: offset 0: "a" passes the start of the central directory');
  });

  test("members that overlap", () => {
    const long: Layout["local"] = [
      [18, 10, 4],
      [22, 10, 4],
    ];
    expect(
      refusal({
        local: long,
        central: [
          [20, 10, 4],
          [24, 10, 4],
        ],
      }),
    ).toBe("zip: offset 38: the members at 0 and 38 overlap");
  });
});

test("cut and changed archives are read or refused", () => {
  for (const [index, name] of ["acme-1.2", "infozip", "python"].entries()) {
    tortureParser({ bytes: archive(name), parse, rounds: 2000, seed: 41 + index });
  }
});
