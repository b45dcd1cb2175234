/**
 * `npm run bench`: measures in virtual machines whose clock counts instructions, so that the figures are those of the
 * program and not of the host, and writes docs/benchmarks.md.
 */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { cloneRoot, runCommand } from "../vm/command.ts";
import { type BootRow, benchBoot } from "./boot.ts";
import { benchList, type ListResult } from "./list.ts";
import { benchLoad, type LoadResult } from "./load.ts";
import { benchVerify, type VerifyResult } from "./verify.ts";

const paper = path.join(cloneRoot, "docs/benchmarks.md");
/** What the load of an 8 MiB kernel and a 2 MiB initrd may take, in virtual seconds. */
const loadSecondsMax = 0.8;
/** How much more an entry may cost among 1000 on 20 volumes than among 100 on 2. */
const listCostRatioMax = 3;
/** How much more memory kernels and initrds of 10 GiB together may cost a list, MiB: when garbage is collected differs. */
const listImageMiBMax = 16;
/** How much longer the verification of a file by a manifest may take than its digest by OpenSSL. */
const verifyCostRatioMax = 1.1;
/** Memory that it may take besides the file's own size, MiB. */
const verifyMemoryMiBMax = 32;

const say = (line: string): void => console.log(`[bench] ${line}`);
const load = await benchLoad(say);
const boot = await benchBoot(say);
const list = await benchList(say);
const verify = await benchVerify(say);
const emulator = (await runCommand("qemu-system-x86_64", ["--version"])).split("\n")[0] ?? "";
const measured = render(load, boot, list, verify, emulator);
const text = await readFile(paper, "utf8");
const place = /(?<=<!-- measured: begin -->\n).*?(?=<!-- measured: end -->)/s;
if (!place.test(text)) throw new Error(`${paper}: a place between "measured: begin" and "measured: end" expected`);
await writeFile(
  paper,
  text.replace(place, () => measured),
);
say(`written to ${path.relative(process.cwd(), paper)}`);
const chosen = load.rows[0];
if (chosen === undefined || chosen.seconds > loadSecondsMax) {
  say(`a load takes ${chosen?.seconds ?? "?"} s, at most ${loadSecondsMax} s expected`);
  process.exitCode = 1;
}
const [, , small, large] = list.rows;
const imageMiB = (large?.residentMiB ?? 0) - (small?.residentMiB ?? 0);
if (list.costRatio > listCostRatioMax || imageMiB > listImageMiBMax) {
  say(
    `list: cost ratio ${list.costRatio.toFixed(2)}, ${imageMiB} MiB for large images; ${listCostRatioMax} and ${listImageMiBMax} MiB are allowed`,
  );
  process.exitCode = 1;
}
const [digest, manifest] = verify.rows;
const verifyCostRatio = (manifest?.seconds ?? Number.NaN) / (digest?.seconds ?? Number.NaN);
const verifyMemoryMiB = Math.max(...verify.rows.map(({ memoryMiB }) => memoryMiB)) - verify.fileMiB;
if (!(verifyCostRatio <= verifyCostRatioMax && verifyMemoryMiB <= verifyMemoryMiBMax)) {
  say(
    `verify: cost ratio ${verifyCostRatio.toFixed(2)}, ${verifyMemoryMiB.toFixed(1)} MiB more than the file has; ${verifyCostRatioMax} and ${verifyMemoryMiBMax} MiB are allowed`,
  );
  process.exitCode = 1;
}

function render(
  result: LoadResult,
  rows: readonly BootRow[],
  list: ListResult,
  { rows: verifyRows, fileMiB }: VerifyResult,
  qemu: string,
): string {
  const mebibytes = (bytes: number): string => (bytes / (1 << 20)).toFixed(1);
  const names = rows[0]?.steps.map(({ name }) => name) ?? [];
  return [
    "",
    `Linux ${result.kernelVersion}, ${qemu}, \`-cpu max\`. Seconds of virtual time.`,
    "",
    "### Loading a kernel on a running system",
    "",
    `A kernel of ${mebibytes(result.kernelBytes)} MiB and an initrd of ${mebibytes(result.initrdBytes)} MiB, from start to end of the program, everything in the page cache.`,
    "",
    "| load | seconds |",
    "|---|---|",
    ...result.rows.map(({ what, seconds }) => `| ${what} | ${seconds.toFixed(2)} |`),
    "",
    "### Booting",
    "",
    'From "Run /init" to each mark, one virtio disk with ext4 and one signed entry.',
    "",
    `| handoff | ${names.join(" | ")} |`,
    `|---|${names.map(() => "---|").join("")}`,
    ...rows.map(({ what, steps }) => `| ${what} | ${steps.map(({ seconds }) => seconds.toFixed(2)).join(" | ")} |`),
    "",
    "### Listing entries",
    "",
    "`slipway list --json` on directories, from start to end of the program. Half of the entries are files of the Boot Loader Specification, half stand in GRUB configurations. The last row has the same text with larger kernels and initrds.",
    "",
    "| entries | volumes | each kernel and initrd, MiB | seconds | resident memory, MiB |",
    "|---|---|---|---|---|",
    ...list.rows.map(
      (row) => `| ${row.entries} | ${row.volumes} | ${row.imageMiB} | ${row.seconds.toFixed(2)} | ${row.residentMiB} |`,
    ),
    "",
    `An entry costs ${list.costRatio.toFixed(2)} times as much among 1000 on 20 volumes as among 100 on 2.`,
    "",
    "### Verifying a file",
    "",
    `A file of ${fileMiB} MiB in the page cache. Start: what a file of 16 bytes takes; it is not in the other columns. Memory: the most at a time, the sealed copy of the file included.`,
    "",
    "| program | start, seconds | seconds | of OpenSSL's | memory, MiB |",
    "|---|---|---|---|---|",
    ...verifyRows.map((row) => {
      const percent = Math.round((100 * row.seconds) / (verifyRows[0]?.seconds ?? Number.NaN));
      return `| ${row.what} | ${row.startSeconds.toFixed(2)} | ${row.seconds.toFixed(2)} | ${percent} % | ${row.memoryMiB.toFixed(0)} |`;
    }),
    "",
    "",
  ].join("\n");
}
