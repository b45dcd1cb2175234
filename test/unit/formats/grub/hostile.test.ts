import { describe, expect, it, test } from "vitest";
import { evaluateGrubConfig, type GrubEvaluation } from "../../../../src/formats/grub/evaluate.ts";
import { type EnvironmentInput, joinInputs, valueInputsMax } from "../../../../src/formats/grub/inputs.ts";
import { defaultGrubLimits } from "../../../../src/formats/grub/limits.ts";
import { type MemoryDevice, memoryGrubHost } from "../../../fakes/memory-grub-host.ts";

/** Scripts of somebody who has no key, and what signed scripts make of what nobody signed. */

function evaluate(
  config: string,
  files: MemoryDevice["files"] = {},
  more: Readonly<Record<string, MemoryDevice>> = {},
): Promise<GrubEvaluation> {
  const host = memoryGrubHost({ hd0: { files: { "/grub.cfg": config, "/k": "", ...files } }, ...more });
  return evaluateGrubConfig(host, { device: "hd0", path: "/grub.cfg" });
}

/** Of each entry: its options, and the unsigned variables that shaped it. */
async function shaped(work: Promise<GrubEvaluation>): Promise<string[]> {
  const { menu } = await work;
  return (menu?.entries ?? []).map(({ outcome, inputs }) => {
    const text = outcome.kind === "boot" ? `${outcome.load.kernel.path} ${outcome.load.options}` : outcome.kind;
    return `${text} < ${inputs.map(({ variable }) => variable).join(" ")}`;
  });
}

const block = (lines: string): string => `# GRUB Environment Block\n${lines}`.padEnd(1024, "#");
const entry = (text: string): string => `menuentry a {\n${text}\n}\n`;

describe("unsigned values that shape", () => {
  const image = { imageOf: "(hd0)/x.iso", files: { "/k": "", "/marker": "" } };
  it("which image is opened", async () => {
    const config = `load_env --file /e\nloopback loop $iso\n${entry("linux (loop)/k a")}`;
    const files = { "/e": block("iso=/x.iso\n"), "/x.iso": "" };
    expect(await shaped(evaluate(config, files, { image }))).toEqual(["/k a < iso"]);
  });
  it("the name of an image, which a search gives on", async () => {
    const config = `load_env --file /e\nloopback $n /x.iso\nsearch --set=d --file /marker\n${entry("linux /k $d")}`;
    const files = { "/e": block("n=init=/bin/sh\n"), "/x.iso": "" };
    expect(await shaped(evaluate(config, files, { image }))).toEqual(["/k init=/bin/sh < n"]);
  });
  it("no wildcard's words: such an image is left out", async () => {
    const config = `load_env --file /e\nloopback $n /x.iso\nfor d in (*); do ${entry("linux /k $d")} done\n`;
    const files = { "/e": block("n=init=/bin/sh\n"), "/x.iso": "" };
    expect(await shaped(evaluate(config, files, { image }))).toEqual(["/k (hd0) < "]);
  });
  it("an image of the script's own is none", async () => {
    const config = `loopback loop /x.iso\nsearch --set=d --file /marker\n${entry("linux (loop)/k $d")}`;
    expect(await shaped(evaluate(config, { "/x.iso": "" }, { image }))).toEqual(["/k loop < "]);
  });
  it("where the paths of a syslinux configuration begin", async () => {
    const config = "load_env --file /e\nsyslinux_configfile --root (hd0)/$d --cwd (hd0)/$d /s.cfg\n";
    const files = { "/e": block("d=other\n"), "/s.cfg": "label a\nkernel k\nappend x\n", "/other/k": "" };
    const { menu } = await evaluate(config, files);
    expect(menu?.entries.map(({ inputs }) => inputs.map(({ variable }) => variable))).toEqual([["d"]]);
  });
});

test("entry files whose names could be more than a name are not taken", async () => {
  const text = "title a\nlinux /k\noptions id=$chosen\n";
  const files = {
    "/loader/entries/a.conf": text,
    "/loader/entries/b init=x.conf": text,
    "/loader/entries/c'.conf": text,
  };
  const evaluation = await evaluate("blscfg\n", files);
  expect(evaluation.menu?.entries.map(({ id }) => id)).toEqual(["a"]);
  expect(evaluation.problems.map((problem) => problem.text)).toEqual([
    "blscfg: 2 files whose names have white space, quotes or the like",
  ]);
});

describe("what stands for many unsigned inputs", () => {
  const input = (path: string, variable: string): EnvironmentInput => ({ file: { device: "hd0", path }, variable });
  const names = (from: number, count: number, path: string): ReadonlySet<EnvironmentInput> =>
    new Set(Array.from({ length: count }, (_, i) => input(path, `v${from + i}`)));

  it("up to the limit each stands for itself", () => {
    expect(joinInputs(names(0, valueInputsMax - 1, "/a"), names(0, 1, "/b")).size).toBe(valueInputsMax);
  });
  it("beyond it the first of each file", () => {
    const joined = joinInputs(names(0, valueInputsMax, "/a"), names(7, 2, "/b"), new Set([input("/a", "z")]));
    expect([...joined].map(({ file, variable }) => file.path + variable)).toEqual(["/av0", "/bv7"]);
  });
  it("what adds nothing copies nothing", () => {
    const all = names(0, 9, "/a");
    expect(joinInputs(all, new Set([...all].slice(3)))).toBe(all);
  });
  it("so many blocks are read, and the limit marks every entry", async () => {
    const { environmentsMax } = defaultGrubLimits;
    const files = Object.fromEntries(
      Array.from({ length: environmentsMax + 1 }, (_, i) => [`/e${i}`, block(`v${i}=1\n`)]),
    );
    const loads = Object.keys(files).map((path) => `load_env --file ${path}\n`);
    const evaluation = await evaluate(`${loads.join("")}${entry("linux /k")}`, files);
    expect(evaluation.problems.map((problem) => problem.text)).toEqual([
      `load_env "/e${environmentsMax}": more than ${environmentsMax} environment blocks are read`,
    ]);
    expect(evaluation.menu?.entries[0]?.inputs.length).toBe(environmentsMax);
  });
});

describe("scripts that would take hours end soon", () => {
  const ends = (what: string, config: string, files: MemoryDevice["files"] = {}, facts: MemoryDevice = {}): void => {
    it(what, async () => {
      const host = memoryGrubHost({ hd0: { ...facts, files: { "/grub.cfg": config, ...files } } });
      await evaluateGrubConfig(host, { device: "hd0", path: "/grub.cfg" }, { stepsMax: 100_000 });
    }, 10_000); // Each took minutes before it was bounded.
  };
  const letters = [..."abcdefghijklmnop"];
  const loops = letters.map((letter) => `for ${letter} in ${letter} ${letter.toUpperCase()}; do `).join("");
  const word = letters.map((letter) => `$${letter}`).join("");
  ends(
    "a search in every spelling of a UUID",
    `${loops} search --set=x --fs-uuid ${word}\n${"done;".repeat(letters.length)}`,
    {},
    { fsUuid: letters.join("") },
  );
  ends("a long list of sums, again and again", "while true; do md5sum --check /list; done\n", {
    "/list": new Uint8Array(1 << 20).fill(0x30),
  });
  const sixty = Array.from({ length: 60 }, (_, i) => `v${i}`);
  ends(
    "commands that add variables to an entry",
    `${sixty.map((name) => `${name}=1;`).join("")}\nfunction f { while true; do initrd; done\n }\nf ${sixty.map((name) => `$${name}`).join(" ")}\n`,
  );
  ends(
    "entry files with long names",
    "while true; do blscfg; done\n",
    Object.fromEntries(
      Array.from({ length: 600 }, (_, i) => [`/loader/entries/a${"1.".repeat(100)}${i}.conf`, "title a\nlinux /k\n"]),
    ),
  );
});

test("a multiboot kernel has so many modules", async () => {
  const { modulesMax } = defaultGrubLimits;
  const modules = "module2 /m\n".repeat(modulesMax + 1);
  const { menu } = await evaluate(entry(`multiboot2 /k\n${modules}`), { "/m": "" });
  expect(menu?.entries[0]?.outcome).toMatchObject({
    kind: "refused",
    reason: `module2 "/m": at most ${modulesMax} modules are taken`,
  });
});

test("the options of all entries together have a limit, and the entries before it stay", async () => {
  const config = Array.from({ length: 3 }, (_, i) => `menuentry ${i} { linux /k 12345678\n }\n`).join("");
  const host = memoryGrubHost({ hd0: { files: { "/grub.cfg": config, "/k": "" } } });
  const limits = { allOptionsCharactersMax: 16 };
  const { menu, optionCharacters } = await evaluateGrubConfig(host, { device: "hd0", path: "/grub.cfg" }, limits);
  expect(menu?.entries.map(({ outcome }) => outcome.kind)).toEqual(["boot", "boot", "refused"]);
  expect(menu?.entries[2]?.outcome).toMatchObject({ reason: 'linux "/k": more than 16 characters in all options' });
  expect(optionCharacters).toBe(24);
});
