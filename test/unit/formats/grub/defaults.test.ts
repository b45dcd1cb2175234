import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { evaluateGrubConfig } from "../../../../src/formats/grub/evaluate.ts";
import { chooseDefault } from "../../../../src/formats/grub/menu.ts";
import { memoryGrubHost } from "../../../fakes/memory-grub-host.ts";

interface Row {
  readonly default: string | null;
  readonly fallback: string | null;
  readonly chosen: string | null;
}

// What the real GRUB 2.06 booted; test/data/grub/README.md tells how it was run.
const data: { readonly menu: readonly string[]; readonly rows: readonly Row[] } = JSON.parse(
  readFileSync(new URL("../../../data/grub/defaults.json", import.meta.url), "utf8"),
);

async function choose(row: Row, refusedTitle: string | null = null) {
  const script = [
    ...data.menu,
    row.default === null ? "" : `set default='${row.default}'`,
    row.fallback === null ? "" : `set fallback='${row.fallback}'`,
    "set timeout=0",
  ].join("\n");
  const host = memoryGrubHost({ hd0: { files: { "/grub.cfg": script, "/k": "kernel" } } });
  const { menu } = await evaluateGrubConfig(host, { device: "hd0", path: "/grub.cfg" });
  if (menu === null) throw new Error("no menu");
  return chooseDefault(menu, (entry) => entry.outcome.kind === "boot" && entry.title !== refusedTitle);
}

test.each(data.rows)("default=$default fallback=$fallback boots $chosen", async (row) => {
  const { entry } = await choose(row);
  expect(entry?.outcome.kind === "boot" ? entry.outcome.load.options : null).toBe(row.chosen);
});

test.each([
  [null, null, "default is not set, which means the first entry"],
  ["", null, 'default="", which means the first entry'],
  ["9", null, 'default="9" names no entry, which means the first'],
  ["1>2>1", null, 'default="1>2>1", and in that sub-menu default="2>1", and in that sub-menu default="1"'],
  ["broken", "2", 'fallback="2", because default="broken" is not offered'],
  ["broken", null, 'default="broken", which is not offered'],
])("the reason for %j, %j", async (text, fallback, reason) => {
  expect((await choose({ default: text, fallback, chosen: null })).reason).toBe(reason);
});

const inner = 'default="1>0", and in that sub-menu default="0", which is not offered';
test.each([
  [null, inner],
  ["4", `fallback="4", because ${inner}`],
])("the reason for an entry of a sub-menu that is not offered, fallback %j", async (fallback, reason) => {
  expect((await choose({ default: "1>0", fallback, chosen: null }, "Inner")).reason).toBe(reason);
});
