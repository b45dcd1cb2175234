import { readFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneRoot } from "./command.ts";
import type { DiskFiles } from "./disk.ts";
import { type CommandResult, type Guest, guestCommands, liveGuest } from "./guest.ts";
import { shortKernel, unifiedKernel, vmlinuxOf, wrappedKernel, wrapperNames } from "./guest-kernels.ts";
import { distributionKernel, type Kernel } from "./kernels.ts";
import {
  crashRegion,
  type KexecJump,
  type KexecRow,
  kexecJumps,
  kexecTable,
  type Loaded,
  tableFiles,
  tableVariables,
} from "./kexec-table.ts";

/** A guest that runs rows, and knows what is loaded in it. */
interface Bench {
  readonly guest: Guest;
  loaded: Loaded;
}

async function startBench(kernel: Kernel): Promise<Bench> {
  const files = { ...tableFiles, ...(await kernelFiles(kernel)) };
  // What costs time and changes nothing for the rows.
  const quick = "init_on_alloc=0 mitigations=off";
  const append = `crashkernel=${crashRegion.mebibytes}M ${quick}`;
  return { guest: await liveGuest({ kernel, files, append }), loaded: "nothing" };
}

async function kernelFiles(kernel: Kernel): Promise<DiskFiles> {
  const short = await shortKernel(kernel);
  const commandLine = "console=ttyS0 panic=-1";
  const uki = { linux: short, version: kernel.version, initrd: Buffer.from("an initrd\n"), commandLine };
  const files: DiskFiles = {
    "/files/short": short,
    "/files/vmlinux": { copyOf: await vmlinuxOf(kernel) },
    "/files/uki": { copyOf: await unifiedKernel(uki) },
  };
  for (const name of wrapperNames) files[`/files/${name}`] = { copyOf: await wrappedKernel(short, name) };
  return files;
}

async function runOn(bench: Bench, line: string): Promise<CommandResult> {
  const result = await bench.guest.run(`${tableVariables}; ${line}`);
  bench.loaded = loadedNow(result);
  return result;
}

async function runRow(bench: Bench, row: KexecRow, command: string): Promise<CommandResult> {
  await bringAbout(bench, row.before ?? "nothing");
  return runOn(bench, `${command} ${row.words}`);
}

function loadedNow(result: CommandResult): Loaded {
  if (result.loaded) return result.crashLoaded ? "both" : "kernel";
  return result.crashLoaded ? "crash" : "nothing";
}

function has(loaded: Loaded, kernel: "kernel" | "crash"): boolean {
  return loaded === kernel || loaded === "both";
}

/** By kexec-tools, whichever command is looked at. */
async function bringAbout(bench: Bench, wanted: Loaded): Promise<void> {
  const steps: string[] = [];
  for (const [kernel, load, unload] of [
    ["kernel", "-c -i -l $K", "-u"],
    ["crash", "-c -i -p $K", "-p -u"],
  ] as const) {
    if (has(bench.loaded, kernel) === has(wanted, kernel)) continue;
    steps.push(`${guestCommands.kexecTools} ${has(wanted, kernel) ? load : unload}`);
  }
  if (steps.length === 0) return;
  const { stderr } = await runOn(bench, steps.join("; "));
  if (bench.loaded !== wanted) throw new Error(`have "${wanted}" loaded: it is "${bench.loaded}"\n${stderr}`);
}

describe.each([
  ["older", "cloud"],
  ["younger", "cloud-6.12"],
] as const)("kexec(8), on the %s kernel", (age, flavour) => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await startBench(await distributionKernel(flavour));
  });
  afterAll(() => bench.guest[Symbol.asyncDispose]());

  describe("a jump", () => {
    const jumps = kexecJumps.filter(({ on }) => on === age);
    const rows = jumps.flatMap((jump) =>
      Object.entries(guestCommands).map(([who, command]) => ({ who, command, jump })),
    );
    it.each(rows)("by $who: kexec $jump.words", ({ command, jump }) => expectJump(bench, command, jump));
  });

  for (const { about, prepare, rows } of kexecTable.filter(({ on }) => on === "both" || on === age)) {
    describe(about, () => {
      if (prepare !== undefined) beforeAll(() => prepareFor(bench, prepare));
      it.each(rows.map((row) => [title(row), row] as const))("%s", (_title, row) => compare(bench, row));
    });
  }
});

/** What was loaded may stay loaded for good afterwards. */
async function prepareFor(bench: Bench, prepare: string): Promise<void> {
  await bringAbout(bench, "nothing");
  await runOn(bench, prepare);
}

function title({ words, before }: KexecRow): string {
  return `kexec ${words}${before === undefined ? "" : ` with ${before} loaded`}`;
}

/** Both start the guest anew, with a word of its own on the command line. */
async function expectJump(bench: Bench, command: string, { words, starts }: KexecJump): Promise<void> {
  await bringAbout(bench, "nothing");
  const again = `${guestCommands.kexecTools} -c -i -l $R --initrd=$I --reuse-cmdline --append=`;
  const loaded = await runOn(bench, `${again}started=loaded`);
  expect(loaded).toMatchObject({ code: 0, loaded: true });
  bench.guest.start(`${tableVariables}; ${command} ${words}`);
  await bench.guest.ready();
  bench.loaded = "nothing";
  const { stdout } = await bench.guest.run("cat /proc/cmdline");
  expect(stdout.trim().split(" ").at(-1)).toBe(`started=${starts}`);
}

async function compare(bench: Bench, row: KexecRow): Promise<void> {
  const theirs = await runRow(bench, row, guestCommands.kexecTools);
  const ours = await runRow(bench, row, guestCommands.slipway);
  const said = (result: CommandResult): string => `${result.stdout}${result.stderr}`;
  const { code, after } = row.difference ?? { code: theirs.code, after: loadedNow(theirs) };
  const context = `kexec-tools: ${said(theirs)}\nours: ${said(ours)}`;
  expect({ code: ours.code, after: loadedNow(ours) }, context).toEqual({ code, after });
  if (row.says === undefined) return;
  expect(said(theirs)).toContain(row.says);
  expect(said(ours)).toContain(row.says);
}

describe("docs/kexec.md", () => {
  const differences = kexecTable.flatMap(({ rows }) => rows.flatMap(({ difference }) => difference ?? []));
  it.each([...new Set(differences.map(({ phrase }) => phrase))])("tells of: %s", async (phrase) => {
    const text = await readFile(path.join(cloneRoot, "docs/kexec.md"), "utf8");
    const [, section = ""] = text.split(/^## Differences from kexec-tools$/m);
    expect(section.replaceAll(/\s+/g, " ")).toContain(phrase);
  });
});
