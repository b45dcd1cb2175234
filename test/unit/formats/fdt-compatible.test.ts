import { describe, expect, it, test } from "vitest";
import { fdtCompatible, fdtRootTokensMax } from "../../../src/formats/fdt-compatible.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { openUki } from "../../../src/formats/uki.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { ukiData } from "../../fakes/uki-data.ts";

const board = ukiData("board");
/** Device trees of test/data/uki/board, as dtc made them. */
const trees = openUki(rangesOf(board), board.length)
  .sections.filter(({ name }) => name === ".dtb" || name === ".dtbauto")
  .map(({ range }) => board.slice(range.offset, range.offset + range.length));
const [tree] = trees;
if (tree === undefined) throw new Error("a device tree expected");

const compatibleOf = (bytes: Uint8Array): string | null =>
  fdtCompatible(rangesOf(bytes), { offset: 0, length: bytes.length });

/** A copy with big-endian words changed. */
function withWords(bytes: Uint8Array, ...changes: readonly (readonly [at: number, word: number])[]): Uint8Array {
  const copy = bytes.slice();
  for (const [at, word] of changes) new DataView(copy.buffer).setUint32(at, word);
  return copy;
}

/** A tree of words behind a header of 40 bytes; strings at its end. */
function treeOf(words: readonly number[], strings = "compatible\0"): Uint8Array {
  const bytes = new Uint8Array(40 + words.length * 4 + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xd00dfeed);
  view.setUint32(8, 40);
  view.setUint32(12, 40 + words.length * 4);
  for (const [index, word] of words.entries()) view.setUint32(40 + index * 4, word);
  bytes.set(new TextEncoder().encode(strings), 40 + words.length * 4);
  return bytes;
}

it("the first name, as fdtget tells it (README)", () => {
  expect(trees.map(compatibleOf)).toEqual(["acme,board-any", "acme,board-one", "acme,board-two"]);
});

describe("nodes and properties", () => {
  const root = [1, 0] as const;
  test.each([
    ["none", [...root, 2, 9], null],
    ["only in a node below", [...root, 1, 0x61000000, 3, 2, 0, 0x62000000], null],
    ["behind others and nothing", [4, ...root, 4, 3, 5, 11, 0, 0, 3, 2, 0, 0x62000000], "b"],
  ])("%s", (_, words, found) => expect(compatibleOf(treeOf(words, "compatible\0model\0"))).toBe(found));
  test.each([
    ["no node", [2], "fdt: offset 40, token: a node expected, not token 2"],
    [
      "a value without end",
      [...root, 3, 4, 0, 0x61616161],
      "fdt: offset 60, compatible: a name of 1 to 255 bytes and NUL expected",
    ],
    ["an empty value", [...root, 3, 1, 0, 0], "fdt: offset 60, compatible: a name of 1 to 255 bytes and NUL expected"],
    ["a value that is no text", [...root, 3, 2, 0, 0x1b000000], "fdt: offset 60, compatible: printable ASCII expected"],
    [
      "a value that leaves the tree",
      [...root, 3, 99, 0],
      "fdt: offset 60, compatible: 99 byte(s) expected, the tree ends at 71",
    ],
    [
      "a property that leaves the tree",
      [...root, 3, 0xffffffff, 5],
      "fdt: offset 4294967356, token: 4 byte(s) expected, the tree ends at 71",
    ],
    [
      "too many",
      [...root, ...new Array<number>(fdtRootTokensMax).fill(4)],
      "fdt: at most 1024 properties of the root are taken",
    ],
  ])("refused: %s", (_, words, message) => expect(formatErrorOf(() => compatibleOf(treeOf(words)))).toBe(message));
  test.each([
    ["no tree", withWords(tree, [0, 0xd00dfeee]), "fdt: offset 0, magic: 0xd00dfeed expected"],
    ["cut", tree.slice(0, 39), "fdt: offset 0, header: 40 byte(s) expected, the tree ends at 39"],
  ])("refused: %s", (_, bytes, message) => expect(formatErrorOf(() => compatibleOf(bytes))).toBe(message));
});

it("only FormatError, cut or changed", () => {
  tortureParser({ bytes: tree, parse: compatibleOf, rounds: 3000, seed: 3 });
});
