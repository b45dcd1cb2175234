import { describe, expect, it, test } from "vitest";
import { readCpio } from "../../../src/formats/cpio.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import {
  extraFileBytesMax,
  type InitrdPiece,
  optionsAtLoad,
  profileOf,
  rangesOfPieces,
  readHandover,
  type SealedFile,
} from "../../../src/handoff/uki-options.ts";
import { readRangeOf } from "../../../src/machine/file-range.ts";
import { bootEntry, configText } from "../../fakes/boot-entry.ts";
import { formatErrorOf } from "../../fakes/hostile-input.ts";
import { kernelImage } from "../../fakes/kernel-image.ts";
import { fakeSystem } from "../../fakes/system.ts";
import { ukiData } from "../../fakes/uki-data.ts";
import { peImage, ukiImage } from "../../fakes/uki-image.ts";

const sealed = (bytes: Uint8Array): SealedFile => ({ read: rangesOf(bytes), size: bytes.length });
const handoverOf = (bytes: Uint8Array, part: string | null, ...addons: Uint8Array[]) =>
  readHandover(rangesOf(bytes), bytes.length, part, addons.map(sealed));

const board = ukiData("board");
const [options, initrd] = [ukiData("addon-options"), ukiData("addon-initrd")];

/** Pieces for people: where they come from, and their text, or the archive's names, modes and text. */
function shown(pieces: readonly InitrdPiece[], image: Uint8Array, addons: readonly Uint8Array[]): unknown[] {
  const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return pieces.map((piece) => {
    if (piece.kind === "archive") {
      return readCpio(piece.bytes).entries.map(
        ({ name, type, permissions, content }) => `${type} ${name} ${permissions.toString(8)} ${decode(content)}`,
      );
    }
    const file = piece.kind === "image" ? image : (addons[piece.addon] ?? new Uint8Array(0));
    return decode(file.subarray(piece.range.offset, piece.range.offset + piece.range.length));
  });
}

describe("what an image and its add-ons hand over", () => {
  it("microcode of the last add-on first, initrds of add-ons last", () => {
    const second = peImage([
      [".ucode", "microcode of the second"],
      [".initrd", "initrd of the second"],
    ]);
    const addons = [initrd, options, second];
    const handover = handoverOf(board, null, ...addons);
    expect(handover.options).toBe("root=LABEL=board ro debug");
    expect(shown(handover.microcode, board, addons)).toEqual([
      "microcode of the second",
      "more microcode",
      "microcode",
    ]);
    expect(shown(handover.initrd, board, addons)).toEqual(["an initrd would be here"]);
    expect(shown(handover.closing, board, addons)).toEqual([
      ["directory .extra 555 ", 'file .extra/tpm2-pcr-signature.json 444 {"sha256":[]}'],
      ["directory .extra 555 ", "file .extra/tpm2-pcr-public-key.pem 444 a public key would be here\n"],
      [
        "directory .extra 555 ",
        'file .extra/os-release 444 ID=acme\nNAME="Acme Linux"\nVERSION_ID=7\nIMAGE_ID=acme-board\nIMAGE_VERSION=7.2\n',
      ],
      "more of the initrd",
      "initrd of the second",
    ]);
  });
  it("of a profile", () => {
    const image = kernelImage("uki-profiles");
    const handover = handoverOf(image, "@2", initrd);
    expect(handover.options).toBe("quiet rd.systemd.unit=storage-target-mode.target");
    expect(shown(handover.initrd, image, [])).toEqual(["another initrd"]);
    expect(shown(handover.closing, image, [initrd])[1]).toEqual([
      "directory .extra 555 ",
      "file .extra/profile 444 ID=storagetm\n",
    ]);
  });
  it("nothing but a kernel", () => {
    expect(handoverOf(peImage([[".linux", "k"]]), null)).toMatchObject({
      options: "",
      microcode: [],
      initrd: [],
      closing: [],
    });
  });
  it("archives stay aligned", () => {
    for (const piece of handoverOf(board, null).closing) {
      expect(piece.kind === "archive" && piece.bytes.length % 4).toBe(0);
    }
  });
});

it("pieces become ranges of open files, archives of one sealed in memory", () => {
  const handover = handoverOf(board, null, initrd);
  const image = { fd: 100, offset: 8, length: board.length };
  const addon = { fd: 101, offset: 1000, length: initrd.length };
  using keeper = new DisposableStack();
  const system = fakeSystem();
  const files = (pieces: readonly InitrdPiece[]) => rangesOfPieces(system, keeper, pieces, image, [addon]);
  expect(files(handover.microcode)).toEqual([
    { fd: 101, offset: 1000 + 0x11400, length: 0xe },
    { fd: 100, offset: 8 + 0x11c00, length: 9 },
  ]);
  const closing = files(handover.closing);
  expect(closing.at(-1)).toEqual({ fd: 101, offset: 1000 + 0x11600, length: 0x12 });
  const archives = closing.slice(0, -1).map((range) => readRangeOf(range)(0, range.length));
  expect(archives.map((bytes) => readCpio(bytes).entries.at(-1)?.name)).toEqual([
    ".extra/tpm2-pcr-signature.json",
    ".extra/tpm2-pcr-public-key.pem",
    ".extra/os-release",
  ]);
  expect(() => rangesOfPieces(system, keeper, handover.closing, image, [])).toThrow("a file for each add-on expected");
});

describe("options", () => {
  it("embedded", () => {
    expect(readHandover(rangesOf(board), board.length, null, [sealed(options)]).options).toBe(
      "root=LABEL=board ro debug",
    );
    const profiles = kernelImage("uki-profiles");
    expect(readHandover(rangesOf(profiles), profiles.length, "@1", []).options).toBe(
      "quiet systemd.unit=factory-reset.target",
    );
  });
  test.each([
    ["an image's own", { embedded: true }, "root=LABEL=board ro debug"],
    ["of an image without a text", { embedded: true, configs: [] }, "root=LABEL=board ro debug"],
    ["of the text in place of the image's", { embedded: false }, "from the text debug"],
    // What was shown is not believed: the verified bytes are.
    ["whatever was shown", { embedded: false, options: "evil debug" }, "from the text debug"],
  ])("%s", (_, own, found) => {
    const text = configText("vda1", "/loader/entries/a.conf", "linux /a.efi\noptions from\noptions the text\n");
    expect(optionsAtLoad(bootEntry({ configs: [text], ...own }), handoverOf(board, null, options))).toBe(found);
  });
});

describe("parts", () => {
  test.each([
    [null, 0],
    ["@0", 0],
    ["@12", 12],
  ])("%j", (part, profile) => expect(profileOf(part)).toBe(profile));
  test.each(["#conf-1", "@", "@x", "@1234", ""])("%j is none", (part) => {
    expect(formatErrorOf(() => profileOf(part))).toBe(`uki: "@" and a profile's number expected, not "${part}"`);
  });
});

// The entry was made from files that were fit: these are others.
describe("refused", () => {
  const large = ukiImage("", [[".pcrsig", new Uint8Array(extraFileBytesMax + 1)]]);
  test.each<[string, Uint8Array, string | null, Uint8Array[], string]>([
    ["a profile that is not there", board, "@1", [], "uki: .profile: profile 1 expected, the image has 0"],
    ["no image", options, null, [], "uki: .linux: a kernel expected"],
    ["an image as an add-on", board, null, [board], "addon: .linux: a unified kernel image: an add-on has no kernel"],
    [
      "an add-on for another kernel",
      board,
      null,
      [
        peImage([
          [".cmdline", "x"],
          [".uname", "6.2"],
        ]),
      ],
      "addon: .uname: the add-on is for another kernel version than the image",
    ],
    [
      "an add-on for another machine",
      board,
      null,
      [peImage([[".cmdline", "x"]], 0xaa64)],
      "addon: the add-on is for aa64, the image for x64",
    ],
    [
      "a large file",
      large,
      null,
      [],
      "uki: offset 1536, /.extra/tpm2-pcr-signature.json: 4194305 bytes, at most 4194304 are taken",
    ],
  ])("%s", (_, image, part, addons, message) =>
    expect(formatErrorOf(() => handoverOf(image, part, ...addons))).toBe(message),
  );
});
