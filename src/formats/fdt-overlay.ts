import { latin1 } from "./bytes.ts";
import { type Fdt, type FdtNode, fdtBaseName, readFdt } from "./fdt.ts";
import { writeFdt } from "./fdt-writer.ts";
import { FormatError, quote } from "./format-error.ts";
import { type ReadRange, rangesOf } from "./ranges.ts";

/*
 * Overlays: pieces of a device tree that change another one.
 * Source: dtc, Documentation/dt-object-internal.txt; fdtoverlay(1), whose order of properties and nodes is kept.
 */

const format = "fdt-overlay";

/** Bytes of a tree with its overlays. */
export const fdtMergedBytesMax = 1 << 24;

/**
 * A tree in memory that can be changed. As libfdt does, what is added to a node stands before what it has, the latest
 * first.
 */
export class FdtTreeNode {
  readonly name: string;
  readonly parent: FdtTreeNode | null;
  readonly #properties = new Map<string, Uint8Array>();
  readonly #addedProperties: string[] = [];
  readonly #children = new Map<string, FdtTreeNode>();
  /** By the name without unit address: the first in order. */
  readonly #byBaseName = new Map<string, FdtTreeNode>();
  readonly #added: FdtTreeNode[] = [];

  constructor(name: string, parent: FdtTreeNode | null, node: FdtNode | null = null, read: ReadRange = () => noBytes) {
    this.name = name;
    this.parent = parent;
    for (const [key, { offset, length }] of node?.properties ?? [])
      this.#properties.set(key, read(offset, length).slice());
    for (const [key, child] of node?.children ?? []) {
      const copy = new FdtTreeNode(key, this, child, read);
      this.#children.set(key, copy);
      const base = fdtBaseName(key);
      if (!this.#byBaseName.has(base)) this.#byBaseName.set(base, copy);
    }
  }

  /** In order. */
  *properties(): Generator<readonly [string, Uint8Array]> {
    const added = new Set(this.#addedProperties);
    for (const name of this.#addedProperties.toReversed()) yield [name, this.#properties.get(name) ?? noBytes];
    for (const entry of this.#properties) if (!added.has(entry[0])) yield entry;
  }

  /** In order. */
  *children(): Generator<FdtTreeNode> {
    const added = new Set(this.#added);
    yield* this.#added.toReversed();
    for (const child of this.#children.values()) if (!added.has(child)) yield child;
  }

  get(name: string): Uint8Array | null {
    return this.#properties.get(name) ?? null;
  }

  set(name: string, value: Uint8Array): void {
    if (!this.#properties.has(name)) this.#addedProperties.push(name);
    this.#properties.set(name, value);
  }

  /** By its name; one without unit address also finds the first that has one. */
  child(name: string): FdtTreeNode | null {
    return this.#children.get(name) ?? (name.includes("@") ? null : (this.#byBaseName.get(name) ?? null));
  }

  add(name: string): FdtTreeNode {
    const child = new FdtTreeNode(name, this);
    this.#children.set(name, child);
    this.#byBaseName.set(fdtBaseName(name), child);
    this.#added.push(child);
    return child;
  }

  get path(): string {
    if (this.parent === null) return "/";
    const above = this.parent.path;
    return above === "/" ? `/${this.name}` : `${above}/${this.name}`;
  }
}

const noBytes = new Uint8Array(0);

/**
 * Applies overlays to a tree, in order.
 *
 * @throws FormatError for a tree or an overlay that cannot be read, an overlay that refers to what is not there, and a result
 * of more than {@link fdtMergedBytesMax}.
 */
export function applyOverlays(base: Uint8Array, overlays: readonly Uint8Array[]): Uint8Array {
  const tree = readTree(base);
  const sizes = new Budget(base.length);
  for (const overlay of overlays) applyOne(tree.root, readTree(overlay).root, sizes);
  return writeFdt({ ...tree.fdt, root: tree.root });
}

/** Applies one overlay to a tree; see {@link applyOverlays}. */
export function applyOverlay(base: Uint8Array, overlay: Uint8Array): Uint8Array {
  return applyOverlays(base, [overlay]);
}

function readTree(bytes: Uint8Array): { readonly fdt: Fdt; readonly root: FdtTreeNode } {
  const read = rangesOf(bytes);
  const fdt = readFdt(read, bytes.length);
  return { fdt, root: new FdtTreeNode("", null, fdt.root, read) };
}

/** Counts the bytes that are written. */
class Budget {
  #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > fdtMergedBytesMax) fail(`at most ${fdtMergedBytesMax} bytes are taken`, "overlay");
  }
}

function applyOne(base: FdtTreeNode, overlay: FdtTreeNode, budget: Budget): void {
  const phandles = new Map<number, FdtTreeNode>();
  let highest = 0;
  for (const node of allNodes(base)) {
    const phandle = phandleOf(node);
    if (phandle === null) continue;
    if (!phandles.has(phandle)) phandles.set(phandle, node);
    highest = Math.max(highest, phandle);
  }
  movePhandles(overlay, highest);
  const local = overlay.child("__local_fixups__");
  if (local !== null) moveReferences(overlay, local, highest);
  fixReferences(base, overlay);
  const targets = new Map<FdtTreeNode, Target>();
  for (const fragment of overlay.children()) {
    const content = fragment.child("__overlay__");
    if (content === null) continue;
    const target = findTarget(base, phandles, fragment);
    targets.set(fragment, target);
    merge(target.node, content, phandles, budget);
  }
  addSymbols(base, overlay, targets, budget);
}

function* allNodes(node: FdtTreeNode): Generator<FdtTreeNode> {
  yield node;
  for (const child of node.children()) yield* allNodes(child);
}

const phandleNames = ["phandle", "linux,phandle"] as const;

/** Null when the node has none. */
function phandleOf(node: FdtTreeNode): number | null {
  for (const name of phandleNames) {
    const value = node.get(name);
    if (value?.length !== 4) continue;
    const phandle = u32(value, 0);
    return phandle === 0 || phandle === 0xffffffff ? null : phandle;
  }
  return null;
}

/** The overlay's own phandles come behind those of the tree. */
function movePhandles(overlay: FdtTreeNode, delta: number): void {
  for (const node of allNodes(overlay)) {
    for (const name of phandleNames) {
      const value = node.get(name);
      if (value === null) continue;
      if (value.length !== 4) fail(`a property ${quote(name)} of 4 bytes expected, not of ${value.length}`, node.path);
      const moved = u32(value, 0) + delta;
      if (moved >= 0xffffffff) fail(`a phandle below 0xffffffff expected, not ${moved}`, node.path);
      putU32(value, 0, moved);
    }
  }
}

/** `/__local_fixups__` has the overlay's nodes with the places in their properties where phandles of it stand. */
function moveReferences(node: FdtTreeNode, fixups: FdtTreeNode, delta: number): void {
  for (const [name, places] of fixups.properties()) {
    const value = node.get(name) ?? fail(`a property ${quote(name)} expected, as /__local_fixups__ says`, node.path);
    if (places.length % 4 !== 0) fail(`a list of numbers expected in ${quote(name)}`, fixups.path);
    for (let i = 0; i < places.length; i += 4) {
      const at = u32(places, i);
      if (at + 4 > value.length) fail(placeProblem(value, at, name), node.path);
      putU32(value, at, (u32(value, at) + delta) >>> 0);
    }
  }
  for (const fixupChild of fixups.children()) {
    const child = node.child(fixupChild.name);
    if (child === null) fail(`a node ${quote(fixupChild.name)} expected, as /__local_fixups__ says`, node.path);
    else moveReferences(child, fixupChild, delta);
  }
}

/** `/__fixups__` has, by label, the places where the phandle of the tree's node with that label has to stand. */
function fixReferences(base: FdtTreeNode, overlay: FdtTreeNode): void {
  const fixups = overlay.child("__fixups__");
  if (fixups === null) return;
  const symbols = base.child("__symbols__");
  for (const [label, places] of fixups.properties()) {
    const symbol = symbols?.get(label) ?? fail(`a label ${quote(label)} expected in the tree`, "/__symbols__");
    const path = textOf(symbol, label);
    const node =
      nodeAt(base, path) ?? fail(`a node ${quote(path)} expected in the tree, for label ${quote(label)}`, path);
    const phandle = phandleOf(node) ?? fail(`a phandle expected, for label ${quote(label)}`, path);
    for (const place of textsOf(places, label)) putReference(overlay, place, phandle);
  }
}

/** Sample: `/fragment@0:target:0`. */
function putReference(overlay: FdtTreeNode, place: string, phandle: number): void {
  const match = /^([^:]+):([^:]+):([0-9]{1,9})$/.exec(place);
  const [, path = "", name = "", at = ""] = match ?? [];
  if (match === null) fail(`PATH:PROPERTY:OFFSET expected, not ${quote(place)}`, "/__fixups__");
  const value = nodeAt(overlay, path)?.get(name) ?? fail(`a property ${quote(name)} expected in the overlay`, path);
  if (Number(at) + 4 > value.length) fail(placeProblem(value, Number(at), name), path);
  putU32(value, Number(at), phandle);
}

function placeProblem(value: Uint8Array, at: number, name: string): string {
  return `4 bytes expected at ${at} of ${quote(name)}, which has ${value.length}`;
}

interface Target {
  readonly node: FdtTreeNode;
  /** As symbols are made of it. */
  readonly path: string;
}

function findTarget(base: FdtTreeNode, phandles: ReadonlyMap<number, FdtTreeNode>, fragment: FdtTreeNode): Target {
  const target = fragment.get("target");
  if (target !== null && (target.length !== 4 || u32(target, 0) === 0xffffffff)) {
    fail('a phandle expected in "target"', fragment.path);
  }
  const phandle = target === null ? 0 : u32(target, 0);
  if (phandle !== 0) {
    const node = phandles.get(phandle) ?? fail(`a node with phandle ${phandle} expected in the tree`, fragment.path);
    return { node, path: node.path };
  }
  const value = fragment.get("target-path") ?? fail('"target" or "target-path" expected', fragment.path);
  const path = textOf(value, "target-path");
  const node = nodeAt(base, path) ?? fail(`a node ${quote(path)} expected in the tree`, fragment.path);
  return { node, path };
}

/** Later fragments may point to what this one brings. */
function merge(target: FdtTreeNode, content: FdtTreeNode, phandles: Map<number, FdtTreeNode>, budget: Budget): void {
  const before = phandleOf(target);
  for (const [name, value] of content.properties()) {
    budget.add(12 + value.length);
    target.set(name, value);
  }
  const phandle = phandleOf(target);
  if (before !== null && before !== phandle && phandles.get(before) === target) phandles.delete(before);
  if (phandle !== null && !phandles.has(phandle)) phandles.set(phandle, target);
  for (const child of content.children()) {
    budget.add(12 + child.name.length);
    merge(target.child(child.name) ?? target.add(child.name), child, phandles, budget);
  }
}

/** The overlay's labels become labels of the tree. */
function addSymbols(
  base: FdtTreeNode,
  overlay: FdtTreeNode,
  targets: ReadonlyMap<FdtTreeNode, Target>,
  budget: Budget,
): void {
  const labels = overlay.child("__symbols__");
  if (labels === null) return;
  const symbols = base.child("__symbols__") ?? base.add("__symbols__");
  for (const [label, value] of labels.properties()) {
    const path = textOf(value, label);
    if (!path.startsWith("/")) fail(`a path expected for label ${quote(label)}, not ${quote(path)}`, labels.path);
    // What is not inside a fragment's content does not become part of the tree.
    const match = /^\/([^/]+)\/__overlay__(?:\/(.*))?$/.exec(path);
    if (match === null) continue;
    const fragment = overlay.child(match[1] ?? "");
    const target = fragment === null ? undefined : targets.get(fragment);
    if (target === undefined)
      fail(`a fragment ${quote(match[1] ?? "")} expected, for label ${quote(label)}`, labels.path);
    else {
      const text = `${target.path === "/" ? "" : target.path}/${match[2] ?? ""}`;
      budget.add(12 + text.length);
      symbols.set(
        label,
        Uint8Array.from([...text, "\0"], (character) => character.charCodeAt(0)),
      );
    }
  }
}

/** By a path, or by an alias and a path below it. */
function nodeAt(root: FdtTreeNode, path: string): FdtTreeNode | null {
  const words = path.split("/");
  let node: FdtTreeNode | null = root;
  if (!path.startsWith("/")) {
    const alias = root.child("aliases")?.get(words.shift() ?? "") ?? null;
    const text = alias === null ? "" : textOf(alias, "aliases");
    // One that led to another alias could lead to itself.
    node = text.startsWith("/") ? nodeAt(root, text) : null;
  }
  for (const word of words) if (word !== "") node = node?.child(word) ?? null;
  return node;
}

/** One character a byte. */
function textOf(value: Uint8Array, name: string): string {
  return textsOf(value, name)[0] ?? "";
}

function textsOf(value: Uint8Array, name: string): string[] {
  if (value.at(-1) !== 0) fail("a text that ends with NUL expected", name);
  return latin1(value.subarray(0, -1)).split("\0");
}

function u32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at);
}

function putU32(bytes: Uint8Array, at: number, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).setUint32(at, value);
}

function fail(detail: string, field: string): never {
  throw new FormatError(format, detail, { field: quote(field).slice(1, -1) });
}
