import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type FdtNode, readFdt } from "../../src/formats/fdt.ts";
import { rangesOf } from "../../src/formats/ranges.ts";

/** A file below test/data, unwrapped when its name ends in `.gz`. */
export function testData(path: string): Uint8Array {
  const bytes = readFileSync(new URL(`../data/${path}`, import.meta.url));
  return new Uint8Array(path.endsWith(".gz") ? gunzipSync(bytes) : bytes);
}

/** Everything in a flattened device tree, in order. */
export function treeLines(bytes: Uint8Array): string[] {
  const lines = (node: FdtNode, path: string): string[] => [
    `${path}/${node.name}`,
    ...[...node.properties].map(([name, { offset, length }]) => {
      return `${path}/${node.name}: ${name} = ${Buffer.from(bytes.subarray(offset, offset + length)).toString("hex")}`;
    }),
    ...[...node.children.values()].flatMap((child) => lines(child, `${path}/${node.name}`)),
  ];
  const fdt = readFdt(rangesOf(bytes), bytes.length);
  return [...fdt.reservations.map(({ address, bytes: size }) => `${address} ${size}`), ...lines(fdt.root, "")];
}
