import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { cloneRoot, runCommand } from "./command.ts";
import { slipwayExecutable } from "./image.ts";

// Real tools make keys and signatures, the executable judges them.

export type Content = string | Uint8Array;
export type Files = Readonly<Record<string, Content>>;

/** What is signed. */
export const message = "a kernel would be here\n";

let scratch = "";
let directoriesMade = 0;

/** Gives a test file a place for its files; to be called once, at its top. */
export function useScratch(): void {
  beforeAll(async () => {
    scratch = await mkdtemp(path.join(tmpdir(), "slipway-signatures-"));
  });
  afterAll(() => rm(scratch, { recursive: true, force: true }));
}

/** A new directory with these files, by their paths. */
export function directory(files: Files): string {
  const made = path.join(scratch, String(directoriesMade++));
  mkdirSync(made, { mode: 0o700 });
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(made, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content, { mode: 0o600 });
  }
  return made;
}

/** What the judged words are judged by. */
export interface Trust {
  /** Key files by name. */
  readonly keys: Files;
  readonly policy?: Readonly<Record<string, unknown>>;
}

/** The lists of the machine that the test runs on are left out of it. */
export const ownLists = { db: false, dbx: false };

export interface Result {
  readonly problem: string | null;
  readonly trusted: boolean;
  readonly artifacts: readonly {
    readonly role: string;
    readonly trusted: boolean;
    readonly by: string | null;
    readonly reason: string | null;
  }[];
}

/** `slipway verify --json`; what its exit code and its word for all of it say has to fit. */
export function verify({ keys, policy = {} }: Trust, words: readonly string[]): readonly Result[] {
  const document = directory({ "policy.json": JSON.stringify({ firmware: ownLists, ...policy }) });
  const trust = ["--keys", directory(keys), "--policy", path.join(document, "policy.json")];
  const run = spawnSync(slipwayExecutable, ["verify", "--json", ...trust, ...words], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  const { trusted, results } = JSON.parse(run.stdout);
  expect(trusted).toBe(results.every((result: Result) => result.trusted));
  expect(run.status).toBe(trusted ? 0 : 2);
  return results;
}

/** `by LABEL`, or why it is refused. */
export function verdictText({ problem, artifacts }: Result, role: string): string {
  const verdict = artifacts.find((each) => each.role === role);
  if (verdict === undefined) return problem ?? `no verdict of ${role}`;
  return verdict.trusted ? `by ${verdict.by}` : (verdict.reason ?? "");
}

/** What stands beside a file, by suffix, and what is said of the file then. */
export type Row = readonly [signatures: Files, said: string, content?: Content];

/** Judges a file for every row. Good ones and refused ones are given apart, so that the exit code speaks of each. */
export function expectVerdicts(trust: Trust, rows: Readonly<Record<string, Row>>): void {
  const isGood = ([, said]: Row): boolean => said.startsWith("by ");
  for (const wanted of [true, false]) {
    const chosen = Object.entries(rows).filter(([, row]) => isGood(row) === wanted);
    if (chosen.length === 0) continue;
    const files = chosen.map(([, [signatures, , content = message]]) => {
      const beside = Object.entries(signatures).map(([suffix, signature]) => [`file${suffix}`, signature] as const);
      return path.join(directory({ file: content, ...Object.fromEntries(beside) }), "file");
    });
    const said = verify(trust, files).map((result) => verdictText(result, "file"));
    const named = Object.fromEntries(chosen.map(([name], index) => [name, said[index]]));
    expect(named).toEqual(Object.fromEntries(chosen.map(([name, row]) => [name, row[1]])));
  }
}

/** A policy that says something of one key. */
export function of(file: string, words: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { keys: [{ file, ...words }] };
}

export function withoutEnd(content: Uint8Array, bytes: number): Uint8Array {
  return content.subarray(0, content.length - bytes);
}

export function withMore(content: Uint8Array, more: string): Uint8Array {
  return Buffer.concat([content, Buffer.from(more, "latin1")]);
}

/** A directory in which tools are run; it begins with the file `message`. */
export class Workshop {
  readonly place: string;
  readonly #environment: Readonly<Record<string, string>>;

  constructor(files: Files = {}, environment: Readonly<Record<string, string>> = {}) {
    this.place = directory({ message, ...files });
    this.#environment = { LC_ALL: "C", TZ: "UTC", ...environment };
  }

  run(command: string, args: readonly string[], input = ""): Promise<string> {
    return runCommand(command, args, { cwd: this.place, env: this.#environment, input });
  }

  read(name: string): Uint8Array {
    return new Uint8Array(readFileSync(path.join(this.place, name)));
  }

  text(name: string): string {
    return readFileSync(path.join(this.place, name), "latin1");
  }

  write(name: string, content: Content): void {
    writeFileSync(path.join(this.place, name), content);
  }
}

export function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(path.join(cloneRoot, "test/data", name)));
}

export const noMatch = "the signature does not match the file";

/** With one bit turned. */
export function changed(content: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(content);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}
