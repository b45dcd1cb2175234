import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { parseAst } from "vitest/node";

/**
 * The floors of docs/architecture.md: a room imports from its own floor and from lower ones. `main.ts` stands on top.
 */
const floors: Readonly<Record<string, number>> = {
  formats: 0,
  linux: 1,
  machine: 2,
  discovery: 3,
  trust: 4,
  handoff: 5,
  boot: 6,
  ui: 6,
  image: 6,
  cli: 7,
  "main.ts": 8,
};

/** Folders beside src whose files are embedded. */
const embeddedFolders = ["../initramfs/", "../build/native/"];

/** What parsers must not reach for: the environment, the log, the clock. */
const impureGlobals = ["process", "console", "performance", "Buffer", "setTimeout", "setInterval", "fetch"];

/** Path from src → text. */
type Sources = Readonly<Record<string, string>>;

/** The room of a file: its folder in src, or its own name when it stands at the top. */
function roomOf(file: string): string {
  return file.split("/")[0] ?? "";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Calls `visit` with every node of the tree. */
function walk(value: unknown, visit: (node: Record<string, unknown>) => void): void {
  if (Array.isArray(value)) for (const item of value) walk(item, visit);
  else if (isRecord(value)) {
    if (typeof value["type"] === "string") visit(value);
    for (const child of Object.values(value)) walk(child, visit);
  }
}

interface Import {
  /** Null: computed while running. */
  readonly specifier: string | null;
  /** Fetched when it is needed, so that it takes no part in a cycle of evaluation. */
  readonly isLazy: boolean;
}

/** What a file imports and the global names that it uses. */
interface FileUse {
  readonly imports: readonly Import[];
  readonly names: ReadonlySet<string>;
}

function readUse(text: string): FileUse {
  const imports: Import[] = [];
  const names = new Set<string>();
  const take = (source: unknown, isLazy = false): void => {
    const specifier = isRecord(source) && typeof source["value"] === "string" ? source["value"] : null;
    imports.push({ specifier, isLazy });
  };
  walk(parseAst(text, { lang: "ts" }), (node) => {
    switch (node["type"]) {
      case "ImportDeclaration":
      case "ExportAllDeclaration":
      case "TSImportType":
        take(node["source"]);
        break;
      case "ImportExpression":
        take(node["source"], true);
        break;
      case "ExportNamedDeclaration":
        if (node["source"] !== null) take(node["source"]);
        break;
      case "TSExternalModuleReference":
        take(node["expression"]);
        break;
      case "CallExpression":
        if (isRecord(node["callee"]) && node["callee"]["name"] === "require") take([node["arguments"]].flat()[0]);
        break;
      case "MemberExpression":
        if (isRecord(node["object"]) && typeof node["object"]["name"] === "string") names.add(node["object"]["name"]);
        break;
      case "NewExpression":
        if (isRecord(node["callee"]) && node["callee"]["name"] === "Date" && [node["arguments"]].flat().length === 0) {
          names.add("new Date()");
        }
        break;
    }
  });
  return { imports, names };
}

/** Everything that breaks the rules of the house, as sentences. */
function problemsOf(sources: Sources): string[] {
  const problems: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [file, text] of Object.entries(sources)) {
    const room = roomOf(file);
    const floor = floors[room];
    if (floor === undefined) problems.push(`${file}: "${room}" is no room of the house`);
    let use: FileUse;
    try {
      use = readUse(text);
    } catch (error) {
      problems.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
      continue;
    }
    const imported: string[] = [];
    for (const { specifier, isLazy } of use.imports) {
      const problem = judgeImport(file, specifier, sources);
      if (problem !== null) problems.push(`${file}: ${problem}`);
      if (specifier?.startsWith(".") && !isLazy) imported.push(path.posix.join(path.posix.dirname(file), specifier));
    }
    graph.set(file, imported);
    if (room === "formats") {
      for (const name of [...impureGlobals, "new Date()"]) {
        if (use.names.has(name)) problems.push(`${file}: formats is pure, and this uses ${name}`);
      }
    }
    if (room !== "linux" && /koffi/i.test(text)) problems.push(`${file}: only src/linux knows koffi`);
  }
  const cycle = findCycle(graph);
  if (cycle !== null) problems.push(`import cycle: ${cycle.join(" → ")}`);
  return problems;
}

function judgeImport(file: string, specifier: string | null, sources: Sources): string | null {
  const room = roomOf(file);
  if (specifier === null) return "imports a name that is computed while running";
  if (!specifier.startsWith(".")) {
    if (room === "formats") return `formats is pure, and this imports "${specifier}"`;
    if (room === "linux" && specifier === "koffi") return null;
    return specifier.startsWith("node:") ? null : `imports the package "${specifier}"`;
  }
  const target = path.posix.join(path.posix.dirname(file), specifier);
  if (target.startsWith("../")) {
    const isEmbedded = embeddedFolders.some((folder) => target.startsWith(folder));
    return isEmbedded ? null : `imports "${specifier}" from outside the house`;
  }
  if (sources[target] === undefined) return `imports "${specifier}", which does not exist`;
  const [from, to] = [floors[room] ?? 0, floors[roomOf(target)] ?? 0];
  return to > from ? `${room} (floor ${from}) imports "${target}" (floor ${to})` : null;
}

/** The files of one cycle, the first one again at the end; null when there is none. */
function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): string[] | null => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
    if (done.has(file)) return null;
    for (const target of graph.get(file) ?? []) {
      const cycle = visit(target, [...trail, file]);
      if (cycle !== null) return cycle;
    }
    done.add(file);
    return null;
  };
  for (const file of graph.keys()) {
    const cycle = visit(file, []);
    if (cycle !== null) return cycle;
  }
  return null;
}

function readSources(): Sources {
  const root = path.resolve(import.meta.dirname, "../../src");
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(path.join(root, name), "utf8")]));
}

describe("the house", () => {
  test("keeps its floors", () => {
    const sources = readSources();
    expect(Object.keys(sources).length).toBeGreaterThan(10);
    expect(problemsOf(sources)).toEqual([]);
  });
});

describe("the check itself", () => {
  const below = { "linux/system.ts": "export const a = 1;" };

  const rows: readonly [name: string, sources: Sources, problems: readonly string[]][] = [
    ["a lower floor", { ...below, "machine/a.ts": 'import { a } from "../linux/system.ts";' }, []],
    ["the same floor, another room", { "ui/a.ts": "export {};", "boot/b.ts": 'import "../ui/a.ts";' }, []],
    ["Node's modules above floor 0", { "linux/a.ts": 'import fs from "node:fs";' }, []],
    ["an embedded list", { "image/a.ts": 'import list from "../../initramfs/modules.list";' }, []],
    ["an embedded binary", { "handoff/a.ts": 'import blob from "../../build/native/a.bin";' }, []],
    [
      "a static import upwards",
      { ...below, "formats/a.ts": 'import { a } from "../linux/system.ts";' },
      ['formats/a.ts: formats (floor 0) imports "linux/system.ts" (floor 1)'],
    ],
    [
      "a type import upwards",
      { "boot/b.ts": "export type B = 1;", "trust/a.ts": 'import type { B } from "../boot/b.ts";' },
      ['trust/a.ts: trust (floor 4) imports "boot/b.ts" (floor 6)'],
    ],
    [
      "a type written as an import",
      { "cli/b.ts": "export type B = 1;", "ui/a.ts": 'export type A = import("../cli/b.ts").B;' },
      ['ui/a.ts: ui (floor 6) imports "cli/b.ts" (floor 7)'],
    ],
    [
      "a re-export upwards",
      { "handoff/b.ts": "export const b = 1;", "trust/a.ts": 'export { b } from "../handoff/b.ts";' },
      ['trust/a.ts: trust (floor 4) imports "handoff/b.ts" (floor 5)'],
    ],
    [
      "a re-export of everything upwards",
      { "main.ts": "export {};", "cli/a.ts": 'export * from "../main.ts";' },
      ['cli/a.ts: cli (floor 7) imports "main.ts" (floor 8)'],
    ],
    [
      "a dynamic import upwards",
      { "discovery/b.ts": "export {};", "machine/a.ts": 'const b = await import("../discovery/b.ts");' },
      ['machine/a.ts: machine (floor 2) imports "discovery/b.ts" (floor 3)'],
    ],
    [
      "a computed import",
      { "cli/a.ts": "await import(name);" },
      ["cli/a.ts: imports a name that is computed while running"],
    ],
    ["koffi's types in linux", { "linux/a.ts": 'import type koffi from "koffi";' }, []],
    ["a lazy way back", { "cli/a.ts": 'import "./b.ts";', "cli/b.ts": 'await import("./a.ts");' }, []],
    ["a package", { "cli/a.ts": 'import x from "left";' }, ['cli/a.ts: imports the package "left"']],
    [
      "Node in formats",
      { "formats/a.ts": 'import fs from "node:fs";' },
      ['formats/a.ts: formats is pure, and this imports "node:fs"'],
    ],
    [
      "the log and the clock in formats",
      { "formats/a.ts": "console.log(new Date());" },
      [
        "formats/a.ts: formats is pure, and this uses console",
        "formats/a.ts: formats is pure, and this uses new Date()",
      ],
    ],
    ["koffi upstairs", { "cli/a.ts": "// koffi" }, ["cli/a.ts: only src/linux knows koffi"]],
    ["a new room", { "attic/a.ts": "export {};" }, ['attic/a.ts: "attic" is no room of the house']],
    [
      "a file that is not there",
      { "cli/a.ts": 'import "./b.ts";' },
      ['cli/a.ts: imports "./b.ts", which does not exist'],
    ],
    [
      "a way out of the house",
      { "cli/a.ts": 'import "../../test/fakes/a.ts";' },
      ['cli/a.ts: imports "../../test/fakes/a.ts" from outside the house'],
    ],
    [
      "a cycle",
      { "ui/a.ts": 'import "./b.ts";', "ui/b.ts": 'import "./c.ts";', "ui/c.ts": 'import type {} from "./b.ts";' },
      ["import cycle: ui/b.ts → ui/c.ts → ui/b.ts"],
    ],
  ];
  test.each(rows)("%s", (_name, sources, problems) => {
    expect(problemsOf(sources)).toEqual(problems);
  });
});
