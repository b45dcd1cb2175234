import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runScript } from "./memory-host.ts";

/** Scripts with the lines that the real iPXE printed for them (see the README beside them). */
const directory = new URL("../../../data/ipxe/language/", import.meta.url);
const names = readdirSync(directory)
  .filter((name) => name.endsWith(".ipxe"))
  .map((name) => name.slice(0, -".ipxe".length));

describe("what the real iPXE prints", () => {
  test.each(names)("%s", async (name) => {
    const { output } = await runScript(readFileSync(new URL(`${name}.ipxe`, directory)));
    const printed = output.split("\n").filter((line) => line.startsWith("> "));
    expect(printed.join("\n")).toBe(readFileSync(new URL(`${name}.txt`, directory), "utf8").trimEnd());
  });
});
