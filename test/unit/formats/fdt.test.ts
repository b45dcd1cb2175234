import { describe, expect, it } from "vitest";
import {
  type FdtNode,
  fdtChild,
  fdtDepthMax,
  fdtNameBytesMax,
  fdtNodesMax,
  fdtNumber,
  fdtText,
  fdtTexts,
  isFdt,
  readFdt,
} from "../../../src/formats/fdt.ts";
import { writeFdt } from "../../../src/formats/fdt-writer.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { testData } from "../../fakes/tree-data.ts";

const base = testData("fdt/base.dtb");
const read = (bytes: Uint8Array) => readFdt(rangesOf(bytes), bytes.length);

/** A copy with words changed, big-endian. */
function withWords(bytes: Uint8Array, ...changes: readonly (readonly [at: number, word: number])[]): Uint8Array {
  const copy = bytes.slice();
  for (const [at, word] of changes) new DataView(copy.buffer).setUint32(at, word);
  return copy;
}

const text = new TextEncoder();
/** A token, a length, a name. */
type Piece = number | string;

/** A tree of version 17 with this structure; texts are padded with zeroes to whole words. Its strings: "a", "b". */
function tree(...structure: readonly Piece[]): Uint8Array {
  const pieces = structure.map((piece) => {
    if (typeof piece === "string") return padded(text.encode(`${piece}\0`));
    const word = new Uint8Array(4);
    new DataView(word.buffer).setUint32(0, piece);
    return word;
  });
  const block = new Uint8Array(Buffer.concat(pieces));
  const bytes = new Uint8Array(56 + block.length + 4);
  bytes.set(block, 56);
  bytes.set(text.encode("a\0b\0"), 56 + block.length);
  const words = [0xd00dfeed, bytes.length, 56, 56 + block.length, 40, 17, 16, 0, 4, block.length];
  return withWords(bytes, ...words.map((word, index) => [index * 4, word] as const));
}
function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  whole.set(bytes);
  return whole;
}
const [begin, end, property, nop, last] = [1, 2, 3, 4, 9];

function childAt(root: FdtNode, ...names: readonly string[]): FdtNode {
  return names.reduce((node, name) => {
    const child = fdtChild(node, name);
    if (child === null) throw new Error(name);
    return child;
  }, root);
}

describe("a tree of dtc", () => {
  const { root, reservations } = read(base);
  const valueAt = (name: string, ...path: readonly string[]) => {
    const value = childAt(root, ...path).properties.get(name);
    if (value === undefined) throw new Error(name);
    return value;
  };
  it("nodes", () => {
    expect(isFdt(base)).toBe(true);
    expect([...root.children.keys()]).toEqual(["aliases", "chosen", "soc", "__symbols__"]);
    expect([...childAt(root, "soc").children.keys()]).toEqual(["serial@1000", "i2c@2000", "interrupt-controller@3000"]);
    expect(childAt(root, "soc", "serial").name).toBe("serial@1000");
    expect(fdtChild(root, "so")).toBeNull();
    expect(fdtChild(childAt(root, "soc"), "serial@2000")).toBeNull();
  });
  it("values", () => {
    const from = rangesOf(base);
    expect(fdtText(from, valueAt("compatible"), "compatible")).toBe("vendor,board");
    expect(fdtTexts(from, valueAt("bootargs", "chosen"), "bootargs")).toEqual(["console=ttyS0"]);
    expect(fdtNumber(from, valueAt("#size-cells", "soc", "i2c@2000"), "#size-cells")).toBe(0);
    expect(valueAt("reg", "soc", "serial@1000").length).toBe(8);
  });
  it("reservations", () => expect(reservations).toEqual([{ address: 0x10000000n, bytes: 0x4000n }]));
  it("version 16", () => {
    const old = testData("fdt/base-16.dtb");
    expect([...read(old).root.children.keys()]).toEqual(["aliases", "chosen", "soc"]);
  });
  it("values are not read", () => {
    const big = new Uint8Array(1 << 22);
    const whole = writeFdt({
      bootProcessor: 3,
      reservations: [],
      root: { name: "", properties: () => [["data", big]], children: () => [] },
    });
    let most = 0;
    const found = readFdt((offset, length) => {
      most = Math.max(most, length);
      return whole.subarray(offset, offset + length);
    }, whole.length);
    expect(found.root.properties.get("data")?.length).toBe(1 << 22);
    expect(found.bootProcessor).toBe(3);
    expect(most).toBeLessThanOrEqual(1 << 14);
  });
});

describe("structures by hand", () => {
  it("a node, a property, a child, words that mean nothing", () => {
    const bytes = tree(nop, begin, "", nop, property, 5, 2, "four", begin, "c", end, nop, end, nop, last);
    const { root } = read(bytes);
    expect(root.properties).toEqual(new Map([["b", { offset: 56 + 28, length: 5 }]]));
    expect([...root.children.keys()]).toEqual(["c"]);
  });
  it.each<readonly [string, Uint8Array, string]>([
    ["another token", tree(begin, "", 7), "offset 68, structure block: a token of 1, 2, 3, 4 or 9 expected, not 7"],
    ["no end", tree(begin, ""), "offset 64, token: 4 byte(s) expected, the structure block ends at 64"],
    ["nothing", tree(last), "offset 60, structure block: the end of every node expected before the tree's"],
    [
      "an open node",
      tree(begin, "", last),
      "offset 68, structure block: the end of every node expected before the tree's",
    ],
    ["an end too many", tree(begin, "", end, end), "offset 72, structure block: a node expected before its end"],
    [
      "two roots",
      tree(begin, "", end, begin, ""),
      "offset 72, structure block: the end of the tree expected, not a second root",
    ],
    ["a property of none", tree(property, 0, 0), "offset 60, structure block: a property inside a node expected"],
    [
      "a node twice",
      tree(begin, "", begin, "x", end, begin, "x"),
      'offset 84, structure block: one node "x" expected, not a second',
    ],
    [
      "a property twice",
      tree(begin, "", property, 0, 0, property, 0, 0),
      'offset 88, structure block: one property "a" expected, not a second',
    ],
    [
      "a property that leaves the block",
      tree(begin, "", property, 100, 0),
      "offset 76, structure block: 100 byte(s) expected, the structure block ends at 76",
    ],
    [
      "a name outside of the strings",
      tree(begin, "", property, 0, 4),
      "offset 76, structure block: a name that ends within 256 bytes expected at 4 of the strings",
    ],
    [
      "a name without end",
      tree(begin, "x".repeat(fdtNameBytesMax + 1)),
      "offset 60, node name: a name that ends within 256 bytes expected",
    ],
    [
      "nodes too deep",
      tree(...Array.from({ length: fdtDepthMax + 1 }, () => [begin, ""]).flat()),
      "offset 572, structure block: at most 64 nodes inside one another are taken",
    ],
  ])("%s", (_name, bytes, message) => expect(formatErrorOf(() => read(bytes))).toBe(`fdt: ${message}`));
  it("as many nodes as are taken", () => {
    const nodes = (count: number) => {
      const leaf = (name: string) => ({ name, properties: () => [], children: () => [] });
      const children = Array.from({ length: count - 1 }, (_, index) => leaf(`n${index}`));
      return writeFdt({ bootProcessor: 0, reservations: [], root: { ...leaf(""), children: () => children } });
    };
    expect(read(nodes(fdtNodesMax)).root.children.size).toBe(fdtNodesMax - 1);
    expect(formatErrorOf(() => read(nodes(fdtNodesMax + 1)))).toMatch(/at most 65536 nodes are taken$/);
  });
});

describe("headers that are refused", () => {
  it.each<readonly [string, Uint8Array, string]>([
    ["no tree", new Uint8Array(40), "offset 0, magic: 0xd00dfeed expected, not 0x0"],
    ["cut", base.subarray(0, 829), "offset 4, totalsize: 40 to 829 expected, not 830"],
    [
      "an old version",
      withWords(base, [20, 3]),
      "offset 20, version: version 16 or later, readable as 17 expected, not version 3, readable as 16",
    ],
    [
      "a version to come",
      withWords(base, [24, 18]),
      "offset 20, version: version 16 or later, readable as 17 expected, not version 17, readable as 18",
    ],
    [
      "strings outside",
      withWords(base, [32, 900]),
      /^fdt: offset 12, off_dt_strings: bytes \d+ to \d+ leave what is behind the header, 40 to 830$/.source,
    ],
    [
      "too many strings",
      withWords(base, [32, (1 << 20) + 1]),
      "offset 32, size_dt_strings: at most 1048576 bytes are taken, not 1048577",
    ],
    [
      "structure upon the header",
      withWords(base, [8, 36]),
      /^fdt: offset 8, off_dt_struct: bytes 36 to \d+ leave what is behind the header, 40 to 830$/.source,
    ],
    ["structure between words", withWords(base, [8, 74]), "offset 8, off_dt_struct: a multiple of 4 expected, not 74"],
    [
      "reservations outside",
      withWords(base, [16, 820]),
      "offset 820, memory reservation block: an entry of zeroes expected before 830",
    ],
  ])("%s", (_name, bytes, message) => {
    const error = formatErrorOf(() => read(bytes));
    if (message.startsWith("^")) expect(error).toMatch(new RegExp(message));
    else expect(error).toBe(`fdt: ${message}`);
  });
  it("reservations without end", () => {
    const bytes = new Uint8Array(40 + 16 * 1100).fill(1);
    const words = [0xd00dfeed, bytes.length, 40, 40, 40, 17, 16, 0, 0, 0];
    const whole = withWords(bytes, ...words.map((word, index) => [index * 4, word] as const));
    expect(formatErrorOf(() => read(whole))).toBe(
      "fdt: offset 16424, memory reservation block: at most 1024 reservations are taken",
    );
  });
});

it("values that are refused", () => {
  const bytes = Uint8Array.of(0x61, 0, 0xff, 0);
  const from = rangesOf(bytes);
  expect(formatErrorOf(() => fdtText(from, { offset: 0, length: 1 }, "x"))).toBe(
    "fdt: offset 0, x: a text that ends with NUL expected",
  );
  expect(formatErrorOf(() => fdtText(from, { offset: 0, length: 4 }, "x"))).toBe("fdt x: text in UTF-8 expected");
  expect(formatErrorOf(() => fdtNumber(from, { offset: 0, length: 2 }, "x"))).toBe(
    "fdt: offset 0, x: 4 bytes expected, not 2",
  );
  expect(formatErrorOf(() => fdtTexts(from, { offset: 0, length: 1 << 17 }, "x"))).toBe(
    "fdt: offset 0, x: 131072 bytes, at most 65536 are taken",
  );
});

it("only FormatError, cut or changed", () => {
  tortureParser({ bytes: base, parse: read, rounds: 4000, seed: 0xfd7 });
  tortureParser({ bytes: testData("fdt/base-16.dtb"), parse: read, rounds: 1000, seed: 0xfd6 });
});
