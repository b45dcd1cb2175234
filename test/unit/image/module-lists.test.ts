import { describe, expect, it } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { moduleLists, parseModuleList } from "../../../src/image/module-lists.ts";

describe("module lists", () => {
  it("are one word a line, with comments", () => {
    expect(parseModuleList("x", "# a\n\none # first\n  two\n")).toEqual({ purpose: "x", words: ["one", "two"] });
    expect(() => parseModuleList("x", "one\ntwo three\n")).toThrow(
      new FormatError("x.list", '"two three": one name expected', { line: 2 }),
    );
  });
  it("are compiled in and name nothing twice", () => {
    expect(moduleLists.map((list) => list.purpose)).toEqual([
      "storage",
      "filesystems",
      "crypto",
      "console",
      "efi",
      "platform",
    ]);
    const words = moduleLists.flatMap((list) => list.words);
    expect(words.filter((word, index) => words.indexOf(word) !== index)).toEqual([]);
    expect(words).toEqual(expect.arrayContaining(["virtio_blk", "nvme", "ext4", "efivarfs"]));
  });
});
