import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { judgeIpxe, judgeIpxeMultiboot, printedByRealIpxe } from "./judge/ipxe.ts";
import { ipxeCorpus } from "./judge/ipxe-corpus.ts";

const directory = new URL("../data/ipxe/language/", import.meta.url);

function languageText(name: string): string {
  return readFileSync(new URL(name, directory), "utf8");
}

describe("the real iPXE", () => {
  // The unit tests hold the interpreter against the same texts.
  test.each(["language", "menus", "settings", "types"])("prints what %s.txt says", async (name) => {
    expect(await printedByRealIpxe(languageText(`${name}.ipxe`))).toBe(languageText(`${name}.txt`).trimEnd());
  });

  // The others run in long/ipxe-judge.test.ts.
  const shortNames = ["files in archives", "a script that was chained to stays an image", "matchbox", "netboot.xyz"];
  test.each(ipxeCorpus.filter(({ name }) => shortNames.includes(name)))("boots $name", async (judged) => {
    expect(await judgeIpxe(judged)).toEqual(judged.boots);
  });

  test("gives a multiboot kernel modules, and puts the URI before every string", async () => {
    const script = "#!ipxe\ndhcp\nkernel xen dom0\nmodule initrd.img a b\nmodule extra.img\nboot\n";
    expect(await judgeIpxeMultiboot(script)).toEqual([
      "multiboot",
      "tftp://10.0.2.2/xen dom0",
      "<initrd.img> tftp://10.0.2.2/initrd.img a b",
      "<extra.img> tftp://10.0.2.2/extra.img",
    ]);
  });
});
