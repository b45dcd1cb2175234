import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { judgeIpxe, printedByRealIpxe } from "../judge/ipxe.ts";
import { ipxeCorpus } from "../judge/ipxe-corpus.ts";

const directory = new URL("../../data/ipxe/language/", import.meta.url);
const scripts = readdirSync(directory).filter((name) => name.endsWith(".ipxe"));

describe("the real iPXE", () => {
  test.each(scripts)("prints what is expected of %s", async (name) => {
    const printed = await printedByRealIpxe(readFileSync(new URL(name, directory), "utf8"));
    const expected = readFileSync(new URL(name.replace(/ipxe$/, "txt"), directory), "utf8");
    expect(printed).toBe(expected.trimEnd());
  });

  test.each(ipxeCorpus)("boots $name", async (judged) => {
    expect(await judgeIpxe(judged)).toEqual(judged.boots);
  });
});
