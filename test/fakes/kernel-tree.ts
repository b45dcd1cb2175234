import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** Path without a leading slash → content. */
export type KernelTree = ReadonlyMap<string, Uint8Array>;

/** The files that a guest showed: test/data/platform/NAME.tree, in the form that the README there tells. */
export function kernelTree(name: string): KernelTree {
  const text = readFileSync(new URL(`../data/platform/${name}.tree`, import.meta.url), "utf8");
  const parts = text.split(/^@ /m).slice(1);
  return new Map(
    parts.map((part) => {
      const end = part.indexOf("\n");
      const [kind, file = "", bytes] = part.slice(0, end).split(" ");
      const body = part.slice(end + 1);
      return [file, kind === "text" ? new TextEncoder().encode(body) : binary(body, Number(bytes))] as const;
    }),
  );
}

function binary(rows: string, bytes: number): Uint8Array {
  const content = new Uint8Array(bytes);
  for (const row of rows.split("\n")) {
    const [offset = "", ...values] = row.split(" ");
    content.set(Buffer.from(values.join(""), "hex"), Number.parseInt(offset, 16) || 0);
  }
  return content;
}

/** A file's text without white space at its end; empty when there is none. */
export function treeText(tree: KernelTree, file: string): string {
  return new TextDecoder().decode(tree.get(file)).trimEnd();
}

export interface TreePlaces {
  /** The whole tree. */
  readonly root: string;
  readonly sysfs: string;
  readonly proc: string;
  readonly dev: string;
}

/** Writes a tree, with some files of its own (null: not there), into a new directory; the caller removes it. */
export function plantTree(
  tree: KernelTree,
  own: Readonly<Record<string, string | Uint8Array | null>> = {},
): TreePlaces {
  const root = mkdtempSync(path.join(tmpdir(), "slipway-tree-"));
  const files = new Map<string, string | Uint8Array | null>([...tree, ...Object.entries(own)]);
  for (const [file, content] of files) {
    if (content === null) continue;
    mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(root, file), content);
  }
  return { root, sysfs: `${root}/sys`, proc: `${root}/proc`, dev: `${root}/dev` };
}
