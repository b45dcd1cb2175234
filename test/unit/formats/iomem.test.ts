import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { iomemDepthMax, iomemLinesMax, parseIomem, walkIomem } from "../../../src/formats/iomem.ts";
import { kernelTree, treeText } from "../../fakes/kernel-tree.ts";
import { randomNumbers } from "../../fakes/random-numbers.ts";

const sample = treeText(kernelTree("bios"), "proc/iomem");

describe("a guest's /proc/iomem", () => {
  const nodes = parseIomem(sample);

  test("every line is a node, in order", () => {
    const lines = sample.split("\n").map((line) => line.trim());
    const shown = [...walkIomem(nodes)].map(
      ({ start, end, name }) =>
        `${start.toString(16).padStart(8, "0")}-${(end - 1).toString(16).padStart(8, "0")} : ${name}`,
    );
    expect(shown).toEqual(lines);
  });
  test("nesting is that of the indentation", () => {
    expect(nodes.filter(({ name }) => name === "System RAM")).toEqual([
      { start: 0x1000, end: 0x9fc00, name: "System RAM", children: [] },
      {
        start: 0x10_0000,
        end: 0x7ffd_c000,
        name: "System RAM",
        children: [{ start: 0x6f00_0000, end: 0x7f00_0000, name: "Crash kernel", children: [] }],
      },
      {
        start: 0x1_0000_0000,
        end: 0x1_c000_0000,
        name: "System RAM",
        children: [
          { start: 0x1_9de0_0000, end: 0x1_9ec0_1ef2, name: "Kernel code", children: [] },
          { start: 0x1_9ee0_0000, end: 0x1_9f62_7000, name: "Kernel rodata", children: [] },
          { start: 0x1_9f80_0000, end: 0x1_9fa4_5e00, name: "Kernel data", children: [] },
          { start: 0x1_a00b_1000, end: 0x1_a060_0000, name: "Kernel bss", children: [] },
        ],
      },
    ]);
    const mmconfig = nodes.find(({ start }) => start === 0xb000_0000);
    expect(mmconfig?.children[0]?.children[0]).toEqual({
      start: 0xb000_0000,
      end: 0xc000_0000,
      name: "pnp 00:04",
      children: [],
    });
  });
});

describe("forms", () => {
  test("nothing is nothing", () => expect(parseIomem("")).toEqual([]));
  test("a name may be empty or look like anything", () => {
    expect(parseIomem("0-f : \n10-1f : a : b\n").map(({ name }) => name)).toEqual(["", "a : b"]);
  });

  const rows: readonly (readonly [string, string])[] = [
    [
      "00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n",
      "iomem: every address is 0, as the kernel shows them to those without CAP_SYS_ADMIN",
    ],
    ["hello\n", 'iomem: line 1: "hello": "START-END : NAME" expected, indented by two spaces a level'],
    [
      "0-f : a\n   10-1f : b\n",
      'iomem: line 2: "   10-1f : b": "START-END : NAME" expected, indented by two spaces a level',
    ],
    ["0-f : a\n    0-f : b\n", 'iomem: line 2: "    0-f : b": at most 1 levels expected'],
    ["  0-f : a\n", 'iomem: line 1: "  0-f : a": at most 0 levels expected'],
    ["0-1fffffffffffff : a\n", "iomem: line 1: 0x1fffffffffffff: below 2^53 expected"],
    ["0-ffffffffffffffff : a\n", "iomem: line 1: 0xffffffffffffffff: below 2^53 expected"],
  ];
  test.each(rows)("%j", (text, message) => {
    expect(() => parseIomem(text)).toThrow(FormatError);
    expect(() => parseIomem(text)).toThrow(expect.objectContaining({ message }));
  });
  test("depth and number of lines have limits", () => {
    const deep = (levels: number): string =>
      Array.from({ length: levels }, (_, level) => `${"  ".repeat(level)}0-f : ${level}`).join("\n");
    expect([...walkIomem(parseIomem(deep(iomemDepthMax)))]).toHaveLength(iomemDepthMax);
    expect(() => parseIomem(deep(iomemDepthMax + 1))).toThrow("at most 15 levels expected");
    expect(parseIomem("0-f : x\n".repeat(iomemLinesMax))).toHaveLength(iomemLinesMax);
    expect(() => parseIomem("0-f : x\n".repeat(iomemLinesMax + 1))).toThrow("65537 lines, at most 65536 are taken");
  });
  test("changed characters give nodes or a FormatError", () => {
    const random = randomNumbers(11);
    for (let round = 0; round < 500; round++) {
      const at = random() % sample.length;
      const text = sample.slice(0, at) + String.fromCharCode(random() % 128) + sample.slice(at + 1);
      try {
        parseIomem(text);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }
  });
});
