import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  type BlsSortData,
  blsKeysMax,
  compareBlsEntries,
  goodEntryFileName,
  parseBls,
  parseEntryFileName,
  triedEntryFileName,
} from "../../../src/formats/bls.ts";
import { FormatError } from "../../../src/formats/format-error.ts";

function data(name: string): string {
  return readFileSync(new URL(`../../data/bls/${name}`, import.meta.url), "utf8");
}

function expectError(text: string, message: string, line?: number): void {
  expect(() => parseBls(text)).toThrow(new FormatError("bls", message, line === undefined ? {} : { line }));
}

const nothing = parseBls("");

describe("entries", () => {
  test("the specification's example", () => {
    const directory = "/6a9857a393724b7a981ebb5b8495b9ea/3.8.0-2.fc19.x86_64";
    expect(parseBls(data("specification.conf"))).toEqual({
      ...nothing,
      title: "Fedora 19 (Rawhide)",
      sortKey: "fedora",
      machineId: "6a9857a393724b7a981ebb5b8495b9ea",
      version: "3.8.0-2.fc19.x86_64",
      options: "root=UUID=6d3376e4-fc93-4509-95ec-a21d68011da2 quiet",
      architecture: "x64",
      linux: `${directory}/linux`,
      initrd: [`${directory}/initrd`],
      lines: new Map([
        ["title", [2]],
        ["sort-key", [3]],
        ["machine-id", [4]],
        ["version", [5]],
        ["options", [6]],
        ["architecture", [7]],
        ["linux", [8]],
        ["initrd", [9]],
      ]),
    });
  });

  test("every key, repeated keys in order, CRLF", () => {
    const { lines, ...entry } = parseBls(data("every-key.conf"));
    expect(entry).toEqual({
      title: "Every key",
      version: "1.2-3",
      machineId: "4098b3f648d74c13b1f04ccfba7798e8",
      sortKey: "every",
      linux: "/a/linux",
      initrd: ["/a/ucode", "/a/initrd"],
      efi: "/a/b.efi",
      uki: "/a/c.efi",
      ukiUrl: ":d.efi",
      options: 'root=UUID=1 quiet x="a  b"',
      devicetree: "/a/board.dtb",
      devicetreeOverlay: ["/a/o1.dtbo", "/a/o2.dtbo"],
      architecture: "AA64",
      profile: "1",
      extra: ["/a/one.confext.raw", "/a/two.cred"],
      grubHotkey: "k",
      grubUsers: "root",
      grubClass: ["kernel", "fedora"],
      grubArg: ["--unrestricted", "--hotkey=k"],
      leftOut: [],
    });
    expect(lines.get("initrd")).toEqual([6, 7]);
    expect(lines.get("options")).toEqual([11, 13]);
  });

  test("RHEL's form: GRUB's variables stay as they are, its own key is left out", () => {
    const entry = parseBls(data("rhel.conf"));
    expect(entry.initrd).toEqual(["/initramfs-4.18.0-80.el8.x86_64.img $tuned_initrd"]);
    expect(entry.options).toBe("$kernelopts $tuned_params");
    expect(entry.leftOut).toEqual([
      { line: 6, key: "id", value: "rhel-20190313123447-4.18.0-80.el8.x86_64", why: "unknown key" },
    ]);
  });

  test("nothing at all", () => {
    expect(nothing).toMatchObject({
      title: null,
      linux: null,
      initrd: [],
      options: "",
      devicetreeOverlay: [],
      leftOut: [],
    });
  });

  test("of a single key the last line counts", () => {
    const entry = parseBls("title a\ntitle b\nlinux /x\ntitle c\n");
    expect(entry.title).toBe("c");
    expect(entry.lines.get("title")).toEqual([4]);
    expect(entry.leftOut).toEqual([
      { line: 1, key: "title", value: "a", why: "replaced by a later line" },
      { line: 2, key: "title", value: "b", why: "replaced by a later line" },
    ]);
  });

  test("the value is the literal rest", () => {
    expect(parseBls(`title "quoted"  # not a comment\noptions a=b c=d=e \\ $x\n`)).toMatchObject({
      title: '"quoted"  # not a comment',
      options: "a=b c=d=e \\ $x",
    });
  });

  test("keys have one spelling, and one without a value is as if absent", () => {
    const entry = parseBls("Title a\nsort_key b\nlinux\ninitrd   \n\toptions\tx\n");
    expect(entry).toMatchObject({ title: null, sortKey: null, linux: null, initrd: [], options: "x" });
    expect(entry.leftOut.map(({ line, why }) => `${line}: ${why}`)).toEqual([
      "1: unknown key",
      "2: unknown key",
      "3: no value",
      "4: no value",
    ]);
  });

  test("keys named like an object's own are unknown", () => {
    expect(parseBls("__proto__ x\nconstructor y\n").leftOut).toHaveLength(2);
  });
});

describe("entries that are refused", () => {
  test.each([
    ["title a\0b\n", "text expected, NUL found", 1],
    ["title a\n\0\n", "text expected, NUL found", 2],
    ["title a\roptions b\n", "carriage return inside the line", 1],
    [`title a\noptions ${"x".repeat(65_529)}\n`, "65537 characters, at most 65536 are taken", 2],
    ["options x\n".repeat(blsKeysMax + 1), "at most 4096 key lines are taken", 4097],
  ] as const)("row %#", (text, message, line) => expectError(text, message, line));

  test("options of 10 MB", () => {
    expectError(`options ${"x ".repeat(5 << 20)}\n`, "10485769 characters, at most 1048576 are taken");
  });

  test("options at the line limit are taken", () => {
    expect(parseBls(`options ${"x".repeat(65_528)}\n`).options).toHaveLength(65_528);
  });
});

test("every truncation and any change gives an entry or a FormatError", () => {
  const sample = data("every-key.conf");
  const parse = (text: string): void => {
    try {
      parseBls(text);
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
    }
  };
  for (let end = 0; end <= sample.length; end++) parse(sample.slice(0, end));
  let state = 13;
  for (let round = 0; round < 5000; round++) {
    const characters = [...sample];
    for (let change = 0; change < 4; change++) {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      characters[(state >> 8) % characters.length] = String.fromCharCode((state >> 4) % 256);
    }
    parse(characters.join(""));
  }
});

describe("file names and counters", () => {
  // The names of systemd's own test (test-bootspec.c) with its answers; -1: not written.
  test.each([
    ["foo.conf", "foo", null],
    ["foo+0.conf", "foo", [0, 0]],
    ["foo+1.conf", "foo", [1, 0]],
    ["foo+33.conf", "foo", [33, 0]],
    ["foo+2147483647.conf", "foo", [2147483647, 0]],
    ["foo+33-0.conf", "foo", [33, 0]],
    ["foo+33-107.conf", "foo", [33, 107]],
    ["foo+33-2147483647.conf", "foo", [33, 2147483647]],
    ["foo+007-000008.conf", "foo", [7, 8]],
    ["foo-1.conf", "foo-1", null],
    ["foo-999.conf", "foo-999", null],
    ["foo-.conf", "foo-", null],
    ["foo+.conf", "foo+", null],
    ["+.conf", "+", null],
    ["-.conf", "-", null],
    ["+1.conf", "", [1, 0]],
    ["some+name+24324-22.conf", "some+name", [24324, 22]],
    ["sels+2-3+7-6.conf", "sels+2-3", [7, 6]],
    ["a+1-2..conf", "a+1-2.", null],
    ["ses.sgesge.+4-1.conf", "ses.sgesge.", [4, 1]],
    ["abc+0x4.conf", "abc+0x4", null],
    ["def+1-0x3.conf", "def+1-0x3", null],
  ] as const)("%s", (fileName, name, tries) => {
    const parsed = parseEntryFileName(fileName, ".conf");
    expect(parsed?.name).toBe(name);
    expect(parsed?.tries).toEqual(tries === null ? null : { left: tries[0], done: tries[1] });
  });

  test.each(["foo+2147483648.conf", "foo+33-2147483648.conf", `foo+${"9".repeat(200)}.conf`])(
    "%s is refused",
    (name) => {
      expect(() => parseEntryFileName(name, ".conf")).toThrow(
        /^bls: name: counters of ".*": at most 2147483647 expected$/,
      );
    },
  );

  test("the suffix has no case, and another suffix is not this one's", () => {
    expect(parseEntryFileName("A+1.CONF", ".conf")).toMatchObject({ name: "A", suffix: ".CONF" });
    expect(parseEntryFileName("a+1.efi", ".efi")).toMatchObject({ name: "a", tries: { left: 1, done: 0 } });
    expect(parseEntryFileName("a.efi", ".conf")).toBeNull();
    expect(parseEntryFileName("conf", ".conf")).toBeNull();
    expect(parseEntryFileName("", ".conf")).toBeNull();
  });

  // The series of systemd's AUTOMATIC_BOOT_ASSESSMENT, and counters whose width is kept.
  test.each([
    ["foobar+3.conf", "foobar+2-1.conf"],
    ["foobar+2-1.conf", "foobar+1-2.conf"],
    ["foobar+1-2.conf", "foobar+0-3.conf"],
    ["foobar+4-0.conf", "foobar+3-1.conf"],
    ["a+10.conf", "a+09-1.conf"],
    ["a+10-09.conf", "a+09-10.conf"],
    ["a+100-9.CONF", "a+099-10.CONF"],
    ["a+b+1.conf", "a+b+0-1.conf"],
    ["a+0-3.conf", "a+0-4.conf"],
    ["a+00.conf", "a+00-1.conf"],
    ["a+1-2147483647.conf", "a+0-2147483647.conf"],
  ])("%s is tried as %s", (fileName, next) => {
    const parsed = parseEntryFileName(fileName, ".conf");
    expect(parsed && triedEntryFileName(parsed)).toBe(next);
  });

  test("success strips the counters; what is not counted has no next name", () => {
    const counted = parseEntryFileName("a+b+07-1.conf", ".conf");
    expect(counted && goodEntryFileName(counted)).toBe("a+b.conf");
    const plain = parseEntryFileName("a+b.conf", ".conf");
    expect(plain && triedEntryFileName(plain)).toBeNull();
    expect(plain && goodEntryFileName(plain)).toBe("a+b.conf");
  });
});

function item(name: string, rest: Partial<BlsSortData> = {}): BlsSortData {
  return { name, tries: null, sortKey: null, machineId: null, version: null, ...rest };
}

/** Sorts from the reverse order, so that no order comes out by chance. */
function expectSorted(items: readonly BlsSortData[]): void {
  expect([...items].reverse().sort(compareBlsEntries)).toEqual(items);
  for (const [index, a] of items.entries()) {
    for (const b of items.slice(index + 1)) {
      expect(compareBlsEntries(a, b), `${a.name} before ${b.name}`).toBeLessThan(0);
      expect(compareBlsEntries(b, a), `${b.name} after ${a.name}`).toBeGreaterThan(0);
    }
  }
}

describe("order (UAPI.1, Sorting)", () => {
  test("entries and order of systemd's test-bootspec.c", () => {
    expectSorted([
      item("d", { sortKey: "kkkk", version: "100", machineId: "81c6e3147cf544c19006af023e22b292" }),
      item("cx", { sortKey: "xxxx", version: "10", machineId: "309de666fd5044268a9a26541ac93176" }),
      item("c", { sortKey: "xxxx", version: "5", machineId: "309de666fd5044268a9a26541ac93176" }),
      item("b", { version: "3", machineId: "b75451ad92f94feeab50b0b442768dbd" }),
      item("a-10", { version: "10", machineId: "dd235d00696545768f6f693bfd23b15f" }),
      item("a-5", { version: "5", machineId: "dd235d00696545768f6f693bfd23b15f" }),
    ]);
  });

  test("rule 1: bad entries last, whatever else they have", () => {
    expectSorted([
      item("a-1", { tries: { left: 1, done: 9 } }),
      item("z-9", { sortKey: "a", version: "99", tries: { left: 0, done: 3 } }),
      item("z-8", { tries: { left: 0, done: 3 } }),
    ]);
  });

  test("rule 2: sort-key up, machine-id up, version down, unset machine-id and version as the lowest", () => {
    expectSorted([
      item("e", { sortKey: "A" }),
      item("f", { sortKey: "a", version: "2" }),
      item("g", { sortKey: "a", machineId: "1", version: "10" }),
      item("h", { sortKey: "a", machineId: "1", version: "9" }),
      item("i", { sortKey: "a", machineId: "1" }),
      item("j", { sortKey: "a", machineId: "2", version: "11" }),
      item("k", { sortKey: "b" }),
      item("l", { sortKey: "\uffee" }),
      // Above U+FFFF in UTF-8, below it in UTF-16 units.
      item("m", { sortKey: "\u{10000}" }),
    ]);
  });

  test("rule 4: names by version, downwards; version and machine-id count for nothing without sort-key", () => {
    expectSorted([
      item("x-6.10", { version: "1" }),
      item("x-6.9", { version: "2", machineId: "0" }),
      item("x-6.9~rc1"),
      item("w-7"),
    ]);
  });

  test("names with their suffix and without regard to case, as systemd-boot", () => {
    expectSorted([
      item("linux"),
      item("Linux-6.9"),
      item("linux-zen"),
      item("LINUX-fallback"),
      item("a", { suffix: ".efi" }),
      item("a"),
      item("a-1", { suffix: ".efi" }),
    ]);
  });

  test("profiles by their numbers, before tries", () => {
    expectSorted([
      item("x", { suffix: ".efi", tries: { left: 1, done: 0 } }),
      item("x", { suffix: ".efi", profile: 1, tries: { left: 2, done: 0 } }),
      item("x", { suffix: ".efi", profile: 2, tries: { left: 3, done: 0 } }),
      item("x", { suffix: ".efi", profile: 10, tries: { left: 3, done: 0 } }),
    ]);
  });

  test("one entry in several stages", () => {
    expectSorted([
      item("x"),
      item("x", { tries: { left: 3, done: 0 } }),
      item("x", { tries: { left: 2, done: 0 } }),
      item("x", { tries: { left: 2, done: 1 } }),
      item("x", { tries: { left: 0, done: 3 } }),
      item("x", { tries: { left: 0, done: 4 } }),
    ]);
    expect(compareBlsEntries(item("x"), item("x"))).toBe(0);
  });
});
