import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseAuxiliaryData } from "../../../../src/formats/syslinux/auxiliary-data.ts";
import { tortureParser } from "../../../fakes/hostile-input.ts";
import { evaluateText } from "./memory-syslinux-host.ts";

// What `extlinux --once` and `--menu-save` wrote; test/data/syslinux/README.md tells how it was recorded.
const judged: Readonly<Record<string, { readonly remembered: string | null }>> = JSON.parse(
  readFileSync(new URL("../../../data/syslinux/judged.json", import.meta.url), "utf8"),
);

function written(name: string): Uint8Array {
  return new Uint8Array(Buffer.from(judged[name]?.remembered ?? "", "base64"));
}

test.each([
  ["once", "b y", null],
  ["once-menu", "b", null],
  ["menu-save", null, "b"],
])("%s", (name, once, saved) => {
  const bytes = written(name);
  expect(parseAuxiliaryData(bytes)).toEqual({ once, saved });
  // Behind the loader itself, and with one of the two copies broken.
  expect(parseAuxiliaryData(Buffer.concat([Buffer.alloc(700, 1), bytes]))).toEqual({ once, saved });
  for (const at of [0, 9, 511]) {
    const [first, second, both] = [bytes.slice(), bytes.slice(), bytes.slice()];
    for (const [copy, places] of [
      [first, [at]],
      [second, [at + 512]],
      [both, [at, at + 512]],
    ] as const) {
      for (const place of places) copy[place] = (copy[place] ?? 0) ^ 1;
      expect(parseAuxiliaryData(copy)).toEqual(copy === both ? null : { once, saved });
    }
  }
});

test("hostile bytes", () => {
  expect(parseAuxiliaryData(new Uint8Array())).toBe(null);
  tortureParser({ bytes: written("once"), parse: parseAuxiliaryData, rounds: 500, seed: 11 });
});

const labels = "label a\nmenu label A\nlinux /a\nlabel b\nmenu label B\nlinux /b\n";

test.each([
  ["ui menu.c32\n", "once-menu", ["a", "b"], "b", false],
  ["ui menu.c32\n", "once", ["a", "b", "b y"], "b y", true],
  ["default a\n", "once", ["b y", "a", "b"], "b y", true],
  ["ui menu.c32\nmenu save\n", "menu-save", ["a", "b"], "b", false],
  ["ui menu.c32\n", "menu-save", ["a", "b"], "a", false],
])("%j with %s", async (lines, name, names, first, isRemembered) => {
  const { menu } = await evaluateText(lines + labels, {}, { loaderFile: async () => written(name) });
  expect(menu?.entries.map(({ label }) => label)).toEqual(names);
  expect(menu?.choices[0]?.entry).toMatchObject({ label: first, isRemembered });
  expect(menu?.timeoutSeconds).toBe(name.startsWith("once") ? 0 : lines.startsWith("ui") ? null : 0);
});

test("the reasons tell where a choice comes from", async () => {
  const reason = async (lines: string, name: string) => {
    const { menu } = await evaluateText(lines + labels, {}, { loaderFile: async () => written(name) });
    return menu?.choices[0]?.reason;
  };
  expect(await reason("default a\n", "once")).toBe('"b y" is the choice for the next boot in ldlinux.sys');
  expect(await reason("ui menu.c32\nmenu save\n", "menu-save")).toBe(
    'ui "menu.c32" in /syslinux.cfg: "b" was chosen last in the menu of /syslinux.cfg',
  );
});

test("a loader's file that cannot be read is told", async () => {
  const loaderFile = () => Promise.reject(new Error("the disk is broken"));
  const { menu, messages } = await evaluateText(`default a\n${labels}`, {}, { loaderFile });
  expect(messages.map(({ text }) => text)).toEqual(["ldlinux.sys: the disk is broken"]);
  expect(menu?.choices[0]?.entry?.label).toBe("a");
});
