import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Console, openConsoles } from "../../../src/machine/consoles.ts";

const scratch = mkdtempSync(join(tmpdir(), "slipway-console-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Consoles stay open as long as the program runs. */
const kept: Console[] = [];

describe("openConsoles", () => {
  const opens = async (values: readonly string[], names: readonly string[]): Promise<void> => {
    const consoles = await openConsoles(values);
    expect(consoles.map((console) => console.name)).toEqual(names);
    kept.push(...consoles);
  };
  afterAll(async () => {
    for (const console of kept) await console.flush(1);
  });
  // /dev/null and /dev/full stand for lines that open everywhere.
  it("in the order of the command line, options dropped", () => opens(["null,115200n8", "zero"], ["null", "zero"]));
  it("each once", () => opens(["null", "null,9600"], ["null"]));
  it("one that does not open is left out", () => opens(["nosuch0", "null"], ["null"]));
  it("a value that leaves /dev is none", () => opens(["../etc/passwd", "null/x", "", "0", "null"], ["null"]));
});

describe("Console", () => {
  it("writes in order, with carriage returns", async () => {
    const path = join(scratch, "log");
    await using file = await open(path, "w");
    const console = new Console("test", file);
    for (let i = 0; i < 50; i++) console.write(`${i}\n`);
    await console.flush(5);
    expect(readFileSync(path, "utf8")).toBe(Array.from({ length: 50 }, (_, i) => `${i}\r\n`).join(""));
  });

  it("one that takes nothing loses text and stops nobody", async () => {
    await using file = await open("/dev/full", "w");
    const console = new Console("full", file);
    for (let i = 0; i < 100; i++) console.write("x".repeat(4096));
    await console.flush(5);
    console.write("again");
    await console.flush(5);
  });
});
