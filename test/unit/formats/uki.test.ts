import { describe, expect, it, test } from "vitest";
import { readPe } from "../../../src/formats/pe.ts";
import { type ByteRange, rangesOf } from "../../../src/formats/ranges.ts";
import {
  efiArchitecture,
  isUki,
  joinUkiCommandLines,
  openUki,
  readAddon,
  readUki,
  type UkiImage,
  type UkiSectionName,
  ukiProfilesMax,
  ukiProfileTitle,
  ukiSystem,
  ukiTextRanges,
} from "../../../src/formats/uki.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { kernelImage, withWords } from "../../fakes/kernel-image.ts";
import { ukiData } from "../../fakes/uki-data.ts";
import { type ImageSection, peImage, ukiImage } from "../../fakes/uki-image.ts";

const uki = kernelImage("uki");
const profiles = kernelImage("uki-profiles");
const readAll = (bytes: Uint8Array, profile?: number): UkiImage => readUki(rangesOf(bytes), bytes.length, profile);

function textOf(bytes: Uint8Array, range: ByteRange | null): string | null {
  return range === null ? null : new TextDecoder().decode(bytes.subarray(range.offset, range.offset + range.length));
}

/** Section table of `uki` and `uki-profiles`: at 0x188, 40 bytes each, eight sections of the stub first. */
const section = (index: number): number => 0x188 + index * 40;
const [osrel, cmdline, , , initrd, linux, firstProfile] = [8, 9, 10, 11, 12, 13, 14].map(section);
if (!osrel || !cmdline || !initrd || !linux || !firstProfile) throw new Error("sections expected");

/** A section's bytes replaced, and its size in memory. */
function withText(bytes: Uint8Array, at: number, text: string | Uint8Array): Uint8Array {
  const content = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const copy = withWords(bytes, [at + 8, content.length]);
  copy.set(content, new DataView(copy.buffer).getUint32(at + 20, true));
  return copy;
}

function renamed(bytes: Uint8Array, at: number, name: string): Uint8Array {
  const copy = bytes.slice();
  copy.set(new TextEncoder().encode(name.padEnd(8, "\0")), at);
  return copy;
}

describe("one that objcopy made from systemd's stub (test/data/kernel-image/README.md)", () => {
  it("sections and texts", () => {
    const image = readAll(uki);
    expect(image).toMatchObject({
      machine: 0x8664,
      linux: { offset: 0x11e00, length: 0x16 },
      initrd: { offset: 0x11c00, length: 0x17 },
      ucode: { offset: 0x11a00, length: 9 },
      commandLine: "root=LABEL=system ro quiet",
      osRelease: 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
      kernelVersion: "6.1.0-56-amd64",
      devicetree: null,
      splash: null,
      profiles: [],
    });
    expect(textOf(uki, image.linux)).toBe("a kernel would be here");
    expect(textOf(uki, image.initrd)).toBe("an initrd would be here");
    expect(textOf(uki, image.ucode)).toBe("microcode");
    expect(image.sections.map((found) => `${found.name} ${found.profile}`)).toEqual([
      ".sbat null",
      ".osrel null",
      ".cmdline null",
      ".uname null",
      ".ucode null",
      ".initrd null",
      ".linux null",
    ]);
  });
  it("only .linux is required", () => {
    const bare = [osrel, cmdline, initrd].reduce((bytes, at) => renamed(bytes, at, ".other"), uki);
    expect(readAll(bare)).toMatchObject({ commandLine: null, osRelease: null, initrd: null });
    expect(isUki(readPe(rangesOf(uki), uki.length))).toBe(true);
    expect(isUki(readPe(rangesOf(kernelImage("pe32")), 1 << 20))).toBe(false);
  });
});

describe("profiles (UAPI.5, Multi-Profile UKIs)", () => {
  it("say what they are", () => {
    expect(readAll(profiles).profiles).toEqual([
      { id: "regular", title: "Regular boot" },
      { id: "factory-reset", title: "Reset Device to Factory Defaults" },
      { id: "storagetm", title: null },
    ]);
  });
  it.each([
    [undefined, "root=LABEL=system ro quiet", "an initrd would be here"],
    [0, "root=LABEL=system ro quiet", "an initrd would be here"],
    [1, "quiet systemd.unit=factory-reset.target", "an initrd would be here"],
    [2, "quiet rd.systemd.unit=storage-target-mode.target", "another initrd"],
  ])("%s has the base and overrides it", (profile, commandLine, initrdText) => {
    const image = readAll(profiles, profile);
    expect(image.commandLine).toBe(commandLine);
    expect(textOf(profiles, image.initrd)).toBe(initrdText);
    expect(textOf(profiles, image.linux)).toBe("a kernel would be here");
  });
  it("that are not there", () => {
    const message = (bytes: Uint8Array, profile: number) => formatErrorOf(() => readAll(bytes, profile));
    expect(message(profiles, 3)).toBe("uki: .profile: profile 3 expected, the image has 3");
    expect(message(profiles, -1)).toBe("uki: .profile: profile -1 expected, the image has 3");
    expect(message(uki, 1)).toBe("uki: .profile: profile 1 expected, the image has 0");
  });
  it("a kernel in a profile only", () => {
    // The base's kernel becomes the first profile's by standing behind its marker.
    const swapped = renamed(renamed(profiles, linux, ".profile"), firstProfile, ".linux");
    expect(readAll(swapped, 0).linux.length).toBe(0x20);
    expect(formatErrorOf(() => readAll(swapped, 1))).toBe("uki: .linux: a kernel expected");
  });
});

describe("the command line is what systemd-stub makes of it", () => {
  it.each([
    ["  a\tb\nc \n\n", "a b c"],
    ["a  b", "a  b"],
    ["a\u007fb", "a b"],
    ["x=é", "x=é"],
    ["a\0b", "a"],
    ["\0", ""],
    [" \n", ""],
    ["a\u00a0", "a\u00a0"],
  ])("%j", (text, found) => expect(readAll(withText(uki, cmdline, text)).commandLine).toBe(found));
  it("an empty section is an empty command line", () => {
    expect(readAll(withWords(uki, [cmdline + 8, 0])).commandLine).toBe("");
    expect(readAll(withWords(uki, [cmdline + 16, 0])).commandLine).toBe("");
  });
});

it("content is what both file and memory have", () => {
  // 0x200 bytes are in the file.
  expect(readAll(withWords(uki, [initrd + 8, 0x1000])).initrd).toEqual({ offset: 0x11c00, length: 0x200 });
  expect(readAll(withWords(uki, [initrd + 8, 0])).initrd).toBeNull();
});

describe("what is refused", () => {
  const long = withWords(uki, [osrel + 8, 65_537], [osrel + 16, 65_537], [osrel + 20, 0x400]);
  it.each([
    ["no kernel", renamed(uki, linux, ".lunix"), "uki: .linux: a kernel expected"],
    ["an empty kernel", withWords(uki, [linux + 8, 0]), "uki: .linux: a kernel expected"],
    [
      "two command lines",
      renamed(uki, osrel, ".cmdline"),
      'uki: .cmdline: one section ".cmdline" expected in the base, not a second',
    ],
    [
      "two in a profile",
      renamed(profiles, section(17), ".cmdline"),
      'uki: .cmdline: one section ".cmdline" expected in profile 1, not a second',
    ],
    [
      "a command line that is not UTF-8",
      withText(uki, cmdline, Uint8Array.of(0xc3)),
      "uki .cmdline: text in UTF-8 expected",
    ],
    ["a text too long", long, "uki: offset 1024, .osrel: 65537 bytes, at most 65536 are taken"],
    ["no PE image", new Uint8Array(100), 'pe: offset 0, e_magic: "MZ" expected'],
  ])("%s", (_, bytes, message) => expect(formatErrorOf(() => readAll(bytes))).toBe(message));
});

it("several device trees are no mistake, the first counts", () => {
  const two = renamed(renamed(uki, osrel, ".dtb"), section(10), ".dtb");
  expect(readAll(two).devicetree).toEqual({ offset: 0x11400, length: 0x37 });
});

describe("an image with all that there is (test/data/uki/README.md)", () => {
  const board = ukiData("board");
  it("device trees, hardware ids, and what becomes a file", () => {
    expect(readAll(board)).toMatchObject({
      uname: "6.1.0-board",
      devicetree: { offset: 0x11e00, length: 0xbd },
      boardDevicetrees: [
        { offset: 0x12000, length: 0xbd },
        { offset: 0x12200, length: 0xbd },
      ],
      hwids: { offset: 0x12400, length: 0xb3 },
      extraFiles: [
        { path: "/.extra/tpm2-pcr-signature.json", range: { offset: 0x12800, length: 0xd } },
        { path: "/.extra/tpm2-pcr-public-key.pem", range: { offset: 0x12a00, length: 0x1b } },
        { path: "/.extra/os-release", range: { offset: 0x11600, length: 0x4d } },
      ],
    });
  });
  it("a profile becomes a file of its own", () => {
    const files = (profile: number) => readAll(profiles, profile).extraFiles.map(({ path }) => path);
    expect(files(0)).toEqual(["/.extra/os-release", "/.extra/profile"]);
    const texts = readAll(profiles, 2).extraFiles.map(({ range }) => textOf(profiles, range));
    expect(texts[1]).toBe("ID=storagetm\n");
  });
  it("nothing but headers and texts is read", () => {
    const asked = new Set<UkiSectionName>([
      ".linux",
      ".initrd",
      ".ucode",
      ".dtb",
      ".dtbauto",
      ".hwids",
      ".pcrsig",
      ".pcrpkey",
    ]);
    const { sections } = openUki(rangesOf(board), board.length);
    const forbidden = sections.filter(({ name }) => asked.has(name)).map(({ range }) => range);
    const image = readUki((offset, length) => {
      for (const range of forbidden) {
        expect(offset + length <= range.offset || offset >= range.offset + range.length, `${offset}`).toBe(true);
      }
      return board.subarray(offset, offset + length);
    }, board.length);
    expect(image.commandLine).toBe("root=LABEL=board ro");
    expect(ukiTextRanges(readPe(rangesOf(board), board.length))).toEqual([
      { offset: 0x11600, length: 0x4d },
      { offset: 0x11800, length: 0x13 },
      { offset: 0x11a00, length: 0xb },
    ]);
  });
});

describe("add-ons", () => {
  const read = (bytes: Uint8Array) => readAddon(rangesOf(bytes), bytes.length);
  it("options for a kernel version", () => {
    expect(read(ukiData("addon-options"))).toEqual({
      machine: 0x8664,
      commandLine: "debug",
      initrd: null,
      ucode: null,
      devicetree: null,
      boardDevicetrees: [],
      hwids: null,
      uname: "6.1.0-board",
    });
  });
  it("microcode and an initrd", () => {
    expect(read(ukiData("addon-initrd"))).toMatchObject({
      commandLine: null,
      ucode: { offset: 0x11400, length: 0xe },
      initrd: { offset: 0x11600, length: 0x12 },
      uname: null,
    });
  });
  test.each<[string, ImageSection[], string]>([
    [
      "a kernel",
      [
        [".cmdline", "a"],
        [".linux", "k"],
      ],
      "addon: .linux: a unified kernel image: an add-on has no kernel",
    ],
    [
      "nothing to apply",
      [
        [".uname", "a"],
        [".osrel", "ID=a"],
      ],
      "addon: one of .cmdline, .initrd, .ucode, .dtb and .dtbauto expected",
    ],
    [
      "only in a profile",
      [
        [".profile", "ID=a"],
        [".cmdline", "a"],
      ],
      "addon: one of .cmdline, .initrd, .ucode, .dtb and .dtbauto expected",
    ],
    [
      "twice",
      [
        [".cmdline", "a"],
        [".cmdline", "b"],
      ],
      'uki: .cmdline: one section ".cmdline" expected in the base, not a second',
    ],
    [
      "a text too long",
      [[".cmdline", "a".repeat(65_537)]],
      "uki: offset 512, .cmdline: 65537 bytes, at most 65536 are taken",
    ],
  ])("refused: %s", (_, sections, message) => expect(formatErrorOf(() => read(peImage(sections)))).toBe(message));
  test.each<[string | null, (string | null)[], string]>([
    ["a", ["b", "c"], "a b c"],
    [null, ["b"], "b"],
    ["", ["", null, "c"], "c"],
    ["a", [null, ""], "a"],
    [null, [], ""],
  ])("%j with %j", (image, addons, joined) =>
    expect(
      joinUkiCommandLines(
        { commandLine: image },
        addons.map((commandLine) => ({ commandLine })),
      ),
    ).toBe(joined),
  );
  it("only FormatError, cut or changed", () => {
    tortureParser({ bytes: ukiData("addon-options"), parse: read, rounds: 500, seed: 72, within: 0x400 });
  });
});

// systemd's bootspec_pick_name_version_sort_key(), and os-release(5) for what the fields are.
describe("what a menu shows and sorts by", () => {
  test.each([
    [
      'PRETTY_NAME="Acme 7"\nIMAGE_ID=img\nNAME=Acme\nID=acme\nIMAGE_VERSION=3\nVERSION="7 (x)"\nVERSION_ID=7\nBUILD_ID=b',
      { title: "Acme 7", version: "3", sortKey: "img" },
    ],
    [
      "IMAGE_ID=img\nNAME=Acme\nID=acme\nVERSION='7 (x)'\nVERSION_ID=7",
      { title: "img", version: "7 (x)", sortKey: "img" },
    ],
    ["NAME=Acme\nID=acme\nVERSION_ID=7\nBUILD_ID=b", { title: "Acme", version: "7", sortKey: "acme" }],
    ["ID=acme\nBUILD_ID=b", { title: "acme", version: "b", sortKey: "acme" }],
    ['PRETTY_NAME=""\nNAME=Acme', { title: "Acme", version: null, sortKey: null }],
    ["VERSION_ID=7", null],
    ["", null],
  ])("%j", (text, found) => expect(ukiSystem(text)).toEqual(found));
  test.each([
    [null, 0, "Acme"],
    [{ id: "main", title: null }, 0, "Acme"],
    [{ id: "main", title: "Regular" }, 0, "Acme (Regular)"],
    [{ id: "reset", title: "Factory" }, 1, "Acme (Factory)"],
    [{ id: "reset", title: null }, 1, "Acme (reset)"],
    [{ id: null, title: null }, 1, "Acme (Profile #2)"],
  ])("profile %j as number %i", (profile, number, title) =>
    expect(ukiProfileTitle("Acme", profile, number)).toBe(title),
  );
  test.each([
    [0x8664, "x64"],
    [0xaa64, "aa64"],
    [0x14c, "ia32"],
    [0x1234, "0x1234"],
  ])("machine %i", (machine, name) => expect(efiArchitecture(machine)).toBe(name));
});

it("many profiles and much text are refused, many sections are not slow", () => {
  const markers = (count: number): ImageSection[] => Array.from({ length: count }, (_, n) => [".profile", `ID=p${n}`]);
  expect(openUki(...parts(ukiImage("a", markers(ukiProfilesMax)))).profiles).toHaveLength(256);
  expect(formatErrorOf(() => openUki(...parts(ukiImage("a", markers(ukiProfilesMax + 1)))))).toBe(
    "uki: .profile: at most 256 profiles are taken",
  );
  const texts = Array.from({ length: 17 }, (): ImageSection[] => [
    [".profile", "ID=a"],
    [".cmdline", "a".repeat(65_536)],
  ]);
  expect(formatErrorOf(() => openUki(...parts(ukiImage("a", texts.flat()))))).toBe(
    "uki: 1114241 bytes of text, at most 1048576 are taken",
  );
  const trees = Array.from({ length: 4000 }, (): ImageSection => [".dtbauto", "x"]);
  const image = ukiImage("a", [...trees, ...markers(50)]);
  const uki = openUki(...parts(image));
  for (let profile = 0; profile < 50; profile++) readUki(rangesOf(image), image.length, profile);
  expect(uki.sections).toHaveLength(4053);
});

function parts(bytes: Uint8Array): [ReturnType<typeof rangesOf>, number] {
  return [rangesOf(bytes), bytes.length];
}

it("only FormatError, cut or changed", () => {
  const parse = (bytes: Uint8Array): void => {
    for (const profile of [0, 2]) {
      const image = readAll(bytes, profile);
      for (const { range } of image.sections) expect(range.offset + range.length <= bytes.length).toBe(true);
    }
  };
  // Sections are padded to 512 bytes; cutting within the headers and at every section's edges is what matters.
  tortureParser({ bytes: profiles, parse, rounds: 2000, seed: 71, within: section(20) });
  for (let end = 0x600; end <= profiles.length; end += 509) formatErrorOf(() => parse(profiles.subarray(0, end)));
});
