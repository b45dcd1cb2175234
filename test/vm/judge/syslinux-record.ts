/**
 * Asks the real programs what they boot of every case and writes it to test/data/syslinux/judged.json, which the unit tests
 * hold Slipway against: `node test/vm/judge/syslinux-record.ts`, or with names of cases for these alone. Needs syslinux, extlinux, isolinux, xorriso, mtools, QEMU,
 * and root for extlinux.
 */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { cloneRoot } from "../command.ts";
import { judgeSyslinux } from "./syslinux.ts";
import { syslinuxCorpus } from "./syslinux-corpus.ts";
import type { Booted } from "./syslinux-slipway.ts";

type Results = Record<string, { readonly booted: Booted | null; readonly remembered: string | null }>;

const file = path.join(cloneRoot, "test/data/syslinux/judged.json");
const names = process.argv.slice(2);
const known: Results = names.length === 0 ? {} : JSON.parse(await readFile(file, "utf8"));
const results: Results = {};
for (const judged of syslinuxCorpus) {
  const kept = names.includes(judged.name) ? undefined : known[judged.name];
  const { booted, remembered } = kept ?? (await judgeSyslinux(judged));
  results[judged.name] = { booted, remembered };
}
await writeFile(file, `${JSON.stringify(results, null, 1)}\n`);
