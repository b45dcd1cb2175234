import { describe, expect, it } from "vitest";
import { applyOverlay, applyOverlays, fdtMergedBytesMax } from "../../../src/formats/fdt-overlay.ts";
import { type WritableFdtNode, writeFdt } from "../../../src/formats/fdt-writer.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { testData, treeLines } from "../../fakes/tree-data.ts";

const base = testData("fdt/base.dtb");
const first = testData("fdt/overlay-1.dtb");
const second = testData("fdt/overlay-2.dtb");

describe("as fdtoverlay does it", () => {
  it("nothing", () => expect(treeLines(applyOverlays(base, []))).toEqual(treeLines(base)));
  it("one overlay", () => {
    const merged = treeLines(applyOverlay(base, first));
    expect(merged).toEqual(treeLines(testData("fdt/merged-1.dtb")));
    expect(merged.length).toBeGreaterThan(treeLines(base).length);
  });
  it("two overlays", () => {
    expect(treeLines(applyOverlays(base, [first, second]))).toEqual(treeLines(testData("fdt/merged-2.dtb")));
  });
  it("what goes in stays as it is", () => {
    const [copy, overlay] = [base.slice(), first.slice()];
    applyOverlay(copy, overlay);
    expect([copy, overlay]).toEqual([base, first]);
  });
});

type Properties = Readonly<Record<string, string | number | Uint8Array>>;
interface Sketch {
  readonly [name: string]: readonly [Properties, Sketch?];
}

/** A tree from a sketch; texts get a NUL, numbers are one cell. */
function tree(properties: Properties, children: Sketch = {}): Uint8Array {
  const node = (name: string, own: Properties, below: Sketch): WritableFdtNode => ({
    name,
    properties: () => Object.entries(own).map(([key, value]) => [key, bytesOf(value)] as const),
    children: () => Object.entries(below).map(([key, [its, more = {}]]) => node(key, its, more)),
  });
  return writeFdt({ bootProcessor: 0, reservations: [], root: node("", properties, children) });
}
function bytesOf(value: string | number | Uint8Array): Uint8Array {
  if (typeof value === "string") return new Uint8Array(Buffer.from(`${value}\0`));
  if (typeof value !== "number") return value;
  const word = Buffer.alloc(4);
  word.writeUInt32BE(value);
  return new Uint8Array(word);
}

describe("overlays that are refused", () => {
  const root = tree({}, { a: [{ phandle: 1 }], __symbols__: [{ label: "/a", gone: "/b", mute: "/c" }], c: [{}] });
  const fragment = (own: Properties): Sketch => ({ f: [own, { __overlay__: [{ x: 1 }] }] });
  const fixup = (place: string, label = "label"): Sketch => ({
    ...fragment({ target: 0xffffffff }),
    __fixups__: [{ [label]: place }],
  });
  it("these are taken", () => {
    expect(treeLines(applyOverlay(root, tree({}, fixup("/f:target:0"))))).toContain("//a: x = 00000001");
    expect(treeLines(applyOverlay(root, tree({}, fragment({ "target-path": "/a" }))))).toContain("//a: x = 00000001");
    expect(treeLines(applyOverlay(root, tree({}, { other: [{ "target-path": "/nowhere" }] })))).toEqual(
      treeLines(root),
    );
  });
  it.each<readonly [string, Sketch, string]>([
    ["no target", fragment({}), '/f: "target" or "target-path" expected'],
    ["a target that is no number", fragment({ target: "ab" }), '/f: a phandle expected in "target"'],
    ["a target not put in", fragment({ target: 0xffffffff }), '/f: a phandle expected in "target"'],
    ["a phandle that is not there", fragment({ target: 9 }), "/f: a node with phandle 9 expected in the tree"],
    ["a path that is not there", fragment({ "target-path": "/b" }), '/f: a node "/b" expected in the tree'],
    ["an alias that is not there", fragment({ "target-path": "b" }), '/f: a node "b" expected in the tree'],
    ["a label that is not there", fixup("/f:target:0", "none"), '/__symbols__: a label "none" expected in the tree'],
    ["a label of nothing", fixup("/f:target:0", "gone"), '/b: a node "/b" expected in the tree, for label "gone"'],
    ["a label without phandle", fixup("/f:target:0", "mute"), '/c: a phandle expected, for label "mute"'],
    ["no place", fixup("/f:target"), '/__fixups__: PATH:PROPERTY:OFFSET expected, not "/f:target"'],
    ["a place that is not there", fixup("/f:x:0"), '/f: a property "x" expected in the overlay'],
    ["a place outside", fixup("/f:target:1"), '/f: 4 bytes expected at 1 of "target", which has 4'],
    [
      "a local place that is not there",
      { __local_fixups__: [{ p: 0 }] },
      '/: a property "p" expected, as /__local_fixups__ says',
    ],
    [
      "a local node that is not there",
      { __local_fixups__: [{}, { n: [{}] }] },
      '/: a node "n" expected, as /__local_fixups__ says',
    ],
    [
      "a local place outside",
      { n: [{ p: "abc" }], __local_fixups__: [{}, { n: [{ p: 4 }] }] },
      '/n: 4 bytes expected at 4 of "p", which has 4',
    ],
    [
      "a phandle of two cells",
      { n: [{ phandle: "1234567" }] },
      '/n: a property "phandle" of 4 bytes expected, not of 8',
    ],
    ["the last phandle", { n: [{ phandle: 0xfffffffe }] }, "/n: a phandle below 0xffffffff expected, not 4294967295"],
    ["a label that is no path", { __symbols__: [{ x: "f" }] }, '/__symbols__: a path expected for label "x", not "f"'],
    [
      "a label in no fragment",
      { __symbols__: [{ x: "/g/__overlay__/y" }] },
      '/__symbols__: a fragment "g" expected, for label "x"',
    ],
    [
      "a label that does not end",
      { __symbols__: [{ x: Uint8Array.of(0x2f) }] },
      "x: a text that ends with NUL expected",
    ],
  ])("%s", (_name, overlay, message) => {
    expect(formatErrorOf(() => applyOverlay(root, tree({}, overlay)))).toBe(`fdt-overlay: ${message}`);
  });
  it("an alias of an alias", () => {
    const looping = tree({}, { aliases: [{ a: "b", b: "a" }] });
    const error = formatErrorOf(() => applyOverlay(looping, tree({}, fragment({ "target-path": "a" }))));
    expect(error).toBe('fdt-overlay: /f: a node "a" expected in the tree');
  });
  it("more than is taken", () => {
    const big = new Uint8Array(fdtMergedBytesMax / 2);
    const overlay = tree({}, { f: [{ "target-path": "/" }, { __overlay__: [{ x: big }] }] });
    expect(formatErrorOf(() => applyOverlays(root, [overlay, overlay]))).toBe(
      "fdt-overlay: overlay: at most 16777216 bytes are taken",
    );
  });
});

it("only FormatError, cut or changed", () => {
  tortureParser({ bytes: first, parse: (bytes) => applyOverlay(base, bytes), rounds: 2000, seed: 0x0e1 });
  tortureParser({ bytes: second, parse: (bytes) => applyOverlays(base, [first, bytes]), rounds: 700, seed: 0x0e2 });
});
