/**
 * The papers agree with the code. What is generated is rewritten by
 * `UPDATE_DOCS=1 node build.mjs test unit docs.test`; the rest is for a person to mend.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, describe, expect, it, test, vi } from "vitest";
import { configSchema, overrideConfig, parseConfig } from "../../src/boot/config.ts";
import { schemaDocument, settingsTable } from "../../src/boot/config-docs.ts";
import { confirmVerbOn } from "../../src/cli/confirm.ts";
import { runImage } from "../../src/cli/image.ts";
import { kernelTypes } from "../../src/cli/kexec/kernel-type.ts";
import { kexecOptions } from "../../src/cli/kexec/option-table.ts";
import { kexecUsage } from "../../src/cli/kexec/usage.ts";
import { listJson } from "../../src/cli/list.ts";
import { measureVerb } from "../../src/cli/measure.ts";
import { rollbackVerbOn } from "../../src/cli/rollback.ts";
import { runSign } from "../../src/cli/sign.ts";
import type { Verb } from "../../src/cli/verb.ts";
import { verbs } from "../../src/cli/verbs.ts";
import { verifyVerb } from "../../src/cli/verify.ts";
import { discover } from "../../src/discovery/discover.ts";
import { defaultDiscoveryLimits } from "../../src/discovery/finder.ts";
import { parameters } from "../../src/formats/cmdline.ts";
import { grubCommands } from "../../src/formats/grub/commands.ts";
import { defaultGrubLimits } from "../../src/formats/grub/limits.ts";
import { rank } from "../../src/handoff/rank.ts";
import { filesystems } from "../../src/machine/filesystems.ts";
import { policySchema } from "../../src/trust/policy-schema.ts";
import { capture } from "../fakes/capture.ts";
import { KexecBench, kernelBytes } from "../fakes/kexec-side.ts";
import { memorySource } from "../fakes/memory-source.ts";
import { minisign, newSigner } from "../fakes/minisign-signer.ts";
import { bootRecord, rollbackMachine } from "../fakes/rollback-machine.ts";
import { tpmLog } from "../fakes/tpm-exchanges.ts";

/** What the last call of parseArgs was told to accept. */
const declared = vi.hoisted((): { options: Readonly<Record<string, unknown>> } => ({ options: {} }));
vi.mock("node:util", async (original) => {
  const util = await original<typeof import("node:util")>();
  const parseArgs: typeof util.parseArgs = (config) => {
    declared.options = config?.options ?? {};
    return util.parseArgs(config);
  };
  return { ...util, parseArgs };
});

const root = path.resolve(import.meta.dirname, "../..");
const isUpdating = process.env["UPDATE_DOCS"] === "1";

const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

/** Every paper, by its path from the top. */
const papers = [
  "README.md",
  "initramfs/README.md",
  ...readdirSync(path.join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
].sort();

const scratch = mkdtempSync(path.join(tmpdir(), "slipway-docs-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Compares a generated text with what stands in a file, or puts it there. */
function agree(file: string, actual: string, expected: string): void {
  if (isUpdating && actual !== expected) writeFileSync(path.join(root, file), expected);
  else expect(actual).toBe(expected);
}

describe("generated parts", () => {
  const documents = [
    { file: "docs/configuration.md", document: "docs/config.schema.json", schema: configSchema },
    { file: "docs/policy.md", document: "docs/policy.schema.json", schema: policySchema },
  ];

  it.each(documents)("$file has the table of all settings", ({ file, schema }) => {
    const text = read(file);
    const place = /(?<=<!-- settings: begin -->\n).*?(?=<!-- settings: end -->)/s;
    expect(text).toMatch(place);
    agree(
      file,
      text,
      text.replace(place, () => `\n${settingsTable(schema)}\n`),
    );
  });

  it.each(documents)("$document is the schema of its file", ({ document, schema }) =>
    agree(document, read(document), schemaDocument(schema)),
  );
});

// ---- Markdown -------------------------------------------------------------------------------------------------------

interface Fence {
  readonly language: string;
  readonly text: string;
}

/** Fenced blocks of a paper. */
function fences(text: string): Fence[] {
  return [...text.matchAll(/^```(\w*)[^\n]*\n(.*?)^```$/gms)].map(([, language = "", body = ""]) => ({
    language,
    text: body,
  }));
}

function withoutFences(text: string): string {
  return text.replace(/^```\w*[^\n]*\n.*?^```$/gms, "");
}

/** The names that links to headings use, as GitHub and others make them. */
function anchors(text: string): string[] {
  const headings = [...withoutFences(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test.each(papers)("%s: relative links lead to files and headings that exist", (paper) => {
  const broken: string[] = [];
  for (const [, target = ""] of withoutFences(read(paper)).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [file = "", anchor] = target.split("#");
    const place = file === "" ? paper : path.posix.join(path.posix.dirname(paper), file);
    if (!existsSync(path.join(root, place))) broken.push(target);
    else if (anchor !== undefined && !anchors(read(place)).includes(anchor)) broken.push(target);
  }
  expect(broken).toEqual([]);
});

// ---- command lines --------------------------------------------------------------------------------------------------

/** Commands of a paper's shell blocks, continued lines joined, comments left out. */
function shellCommands(text: string): string[] {
  return fences(text)
    .filter(({ language }) => language === "sh")
    .flatMap(({ text: body }) => body.replaceAll("\\\n", " ").split("\n"))
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .filter((line) => line !== "");
}

/** Words behind `slipway` in shell blocks and in inline code; marks (`slipway: init`) and settings (`slipway.entry`) are none. */
function slipwayCalls(text: string): string[][] {
  const inline = [...withoutFences(text).matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
  return [...shellCommands(text).flatMap((line) => line.split(/\s*(?:&&|\||;)\s*/)), ...inline].flatMap((command) => {
    const [, rest] = /^(?:sudo )?(?:\S*\/)?slipway(?: (.*))?$/.exec(command) ?? [];
    return rest === undefined
      ? []
      : [
          rest
            .replace(/"?\$\([^)]*\)"?/g, "SUBSTITUTED")
            .split(/\s+/)
            .map((word) => word.replace(/[.,]+$/, "")),
        ];
  });
}

const optionWord = /^--?[a-z]/;

describe("command lines", () => {
  test.each(papers)("%s: `slipway …` uses verbs and options that exist", async (paper) => {
    const wrong: string[] = [];
    for (const [name = "", ...words] of slipwayCalls(read(paper))) {
      if (/^(VERB|--version|--help|-h|-V)$/.test(name)) continue;
      const verb = verbs.find((candidate) => candidate.name === name);
      if (verb === undefined) {
        wrong.push(`${name}: no such verb`);
        continue;
      }
      const { usage } = await verb.load();
      for (const word of words) {
        const [option = ""] = word.replace(/^\[|\]$/g, "").split("=");
        if (optionWord.test(option) && !hasOption(usage, option)) wrong.push(`${name} ${option}: no such option`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test.each(papers)("%s: npm scripts and verbs of build.mjs exist", (paper) => {
    const scripts: object = JSON.parse(read("package.json")).scripts;
    const buildVerbs = [...read("build.mjs").matchAll(/^ {2}\{ name: "(\w+)", run:/gm)].map(([, name]) => name);
    const text = read(paper);
    for (const [, name = ""] of text.matchAll(/\bnpm run ([a-z]+)/g)) expect(scripts).toHaveProperty(name);
    for (const [, name] of text.matchAll(/\bnode build\.mjs ([a-z]+)/g)) expect(buildVerbs).toContain(name);
  });

  it("the options in a verb's help are those that it takes", async () => {
    for (const { load, ownsHelp } of verbs) {
      if (ownsHelp === true) continue;
      const verb = await load();
      const documented = [...verb.usage.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, option]) => option);
      const accepted = await acceptedOptions(verb);
      expect({ verb: verb.name, options: documented.sort() }).toEqual({ verb: verb.name, options: accepted.sort() });
    }
  });
});

function hasOption(usage: string, option: string): boolean {
  return new RegExp(`(^|[\\s[])${RegExp.escape(option)}(?![a-z-])`, "m").test(usage);
}

/** The options that a verb declares: what it hands to parseArgs when it is run with a word that no verb takes. */
async function acceptedOptions(verb: Verb): Promise<string[]> {
  declared.options = {};
  const words = verb.name === "image" ? ["build", "--no-such-option"] : ["--no-such-option"];
  await expect(verb.run(words)).rejects.toThrow("--no-such-option");
  return Object.keys(declared.options).map((name) => `--${name}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

// ---- configuration --------------------------------------------------------------------------------------------------

describe("examples of configuration", () => {
  const blocks = papers.flatMap((paper) =>
    fences(read(paper))
      .filter(
        ({ language, text }) =>
          language === "json" &&
          /"(trust|entry|rescue|discovery|handoff|limits)":/.test(text) &&
          !text.includes('"version"'),
      )
      .map(({ text }) => text),
  );
  it("are valid", () => {
    expect(blocks.length).toBeGreaterThan(0);
    for (const text of blocks) parseConfig(text, "example");
  });

  it("override on the command line what may be overridden", () => {
    const words = papers.flatMap((paper) => [
      ...(read(paper).match(/(?<=[\s"`])slipway\.[A-Za-z.]+=(?:"[^"]*"|[^\s`"]+)/g) ?? []),
    ]);
    const shown = words.filter((word) => !/^slipway\.(KEY|trust)=/.test(word));
    expect(shown.length).toBeGreaterThan(0);
    expect(overrideConfig(parseConfig("{}", "example"), parameters(shown.join(" "))).refused).toEqual([]);
  });
});

// ---- formats --------------------------------------------------------------------------------------------------------

describe("docs/boot-formats.md", () => {
  const text = read("docs/boot-formats.md");
  const codes = new Set([...text.matchAll(/`([^`\n]+)`/g)].flatMap(([, code = ""]) => code.split(" ")));

  it("names every GRUB command that is known", () => {
    expect(grubCommands.flatMap(({ names }) => names).filter((name) => !codes.has(name))).toEqual([]);
  });

  it("names every filesystem that is read, with its mount options", () => {
    for (const { type, options } of filesystems) {
      const row = text.split("\n").find((line) => line.startsWith(`| \`${type}\` |`));
      expect(row, type).toBeDefined();
      for (const [name, value] of options) expect(row).toContain(`\`${value === null ? name : `${name}=${value}`}\``);
    }
  });

  it("tells the limits of a GRUB configuration", () => {
    for (const [name, value] of Object.entries(defaultGrubLimits)) {
      if (name === "configBytesMax" || name === "entriesMax") continue;
      expect(text).toMatch(new RegExp(`^\\| \`${name}\` \\| ${value} \\|`, "m"));
    }
  });
});

// ---- JSON -----------------------------------------------------------------------------------------------------------

/** The example in a paper behind `<!-- example: NAME -->`. */
function example(name: string, file = "docs/json.md"): unknown {
  const [, json] = new RegExp(`<!-- example: ${name} -->\\s+\`\`\`json\\n(.*?)^\`\`\``, "ms").exec(read(file)) ?? [];
  expect(json, `the example of ${name}`).toBeDefined();
  return JSON.parse(json ?? "");
}

/** Dotted paths of all fields: `results[].artifacts[].role`. */
function fields(value: unknown, prefix = ""): string[] {
  if (Array.isArray(value)) return [...new Set(value.flatMap((item) => fields(item, `${prefix}[]`)))].sort();
  if (!isRecord(value)) return [];
  const own = Object.entries(value).flatMap(([key, child]) => {
    const place = prefix === "" ? key : `${prefix}.${key}`;
    return [place, ...fields(child, place)];
  });
  return [...new Set(own)].sort();
}

/**
 * That the example has the fields that the program gives, and that a table row tells of each.
 *
 * @param open objects whose own fields have no fixed names: such are not compared
 */
function expectFields(name: string, actual: unknown, file = "docs/json.md", open: readonly string[] = []): void {
  const fixed = (value: unknown): string[] =>
    fields(value).filter((field) => !open.some((object) => field.startsWith(`${object}.`)));
  const expected = fixed(actual);
  expect(fixed(example(name, file))).toEqual(expected);
  const text = read(file);
  for (const field of expected) expect(text).toMatch(new RegExp(`^\\| \`${RegExp.escape(field)}\`[ |,]`, "m"));
}

function put(name: string, content: string | Uint8Array): string {
  const file = path.join(scratch, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

describe("docs/json.md", () => {
  it("list: the example is what these volumes give", async () => {
    const esp = memorySource(
      "vda1",
      {
        "/loader/loader.conf": "timeout 3\n",
        "/loader/entries/system-6.2+2-1.conf":
          "title System\nversion 6.2\narchitecture x64\nlinux /vmlinuz-6.2\ninitrd /initrd-6.2\noptions root=/dev/vda2\noptions quiet\n",
        "/loader/entries/old.conf": "title Old\nlinux /vmlinuz-5.10\n",
        "/vmlinuz-6.2": "",
        "/initrd-6.2": "",
      },
      { disk: "vda", part: 1, table: "gpt" },
    );
    const system = memorySource(
      "vda2",
      {
        "/boot/grub/grub.cfg": "submenu 'More' {\n  menuentry 'Rescue' {\n    linux /boot/vmlinuz single\n  }\n}\n",
        "/boot/vmlinuz": "",
      },
      { disk: "vda", part: 2, table: "gpt" },
    );
    const found = await discover([esp, system], "x86_64", defaultDiscoveryLimits);
    const result: unknown = listJson({ found, ranking: rank(found.menus, null) });
    expect(example("list")).toEqual(result);
    expectFields("list", result);
  });

  it("verify: the examples have the fields of an entry and of a file", async () => {
    const signer = newSigner();
    const keys = path.dirname(put("keys/release.pub", signer.publicFile));
    for (const [name, content] of [
      ["esp/loader/entries/demo.conf", "linux /vmlinuz\ninitrd /initrd\n"],
      ["esp/vmlinuz", "kernel"],
      ["esp/initrd", "initrd"],
    ] as const) {
      put(`${name}.minisig`, minisign(signer, content));
      put(name, content);
    }
    writeFileSync(path.join(scratch, "esp/initrd"), "changed");
    const ofEntry = await capture(() =>
      verifyVerb.run(["--json", "--keys", keys, "--root", path.join(scratch, "esp"), "demo"]),
    );
    expect(ofEntry.code).toBe(2);
    expectFields("verify", JSON.parse(ofEntry.stdout));
    const ofFile = await capture(() => verifyVerb.run(["--json", "--keys", keys, path.join(scratch, "esp/vmlinuz")]));
    expect(ofFile.code).toBe(0);
    expectFields("verify-file", JSON.parse(ofFile.stdout));
  });

  it("sign: the example has the fields of the report", async () => {
    put("sign/loader/entries/demo.conf", "title Demo\nlinux /vmlinuz\n");
    put("sign/vmlinuz", "kernel");
    let stdout = "";
    const stderr = { write: () => true };
    const words = ["--key", path.join(root, "test/data/signatures/minisign/plain.key"), "--version", "1"];
    const code = await runSign([...words, "--json", "--root", path.join(scratch, "sign")], {
      stdout: { write: (text) => (stdout += text) },
      stderr,
      terminal: { input: process.stdin, output: stderr },
      now: Date.now,
    });
    expect(code).toBe(0);
    expectFields("sign", JSON.parse(stdout));
  });

  it("measure: the example has the fields of events, values and differences", async () => {
    const pcrs = new Map([["sha256", new Map([[8, new Uint8Array(32)]])]]);
    const verb = measureVerb(() => Promise.reject(new Error("no entry")), {
      eventLog: async () => tpmLog("ovmf"),
      pcrs: async () => pcrs,
    });
    const { code, stdout } = await capture(() => verb.run(["--json", "--log", "auto", "--check", "--bank", "sha256"]));
    expect(code).toBe(2);
    expectFields("measure", JSON.parse(stdout), "docs/json.md", ["events[].digests", "values"]);
  });

  it("confirm and rollback: the examples have the fields of what is kept", async () => {
    const record = bootRecord({ store: "efi", products: [{ name: "acme-os" }] });
    const machine = rollbackMachine({ record, variable: '{"slipwayRollback":1,"products":[]}' });
    const confirmed = await capture(() => confirmVerbOn(machine).run(["--json"]));
    expect(confirmed.code).toBe(0);
    expectFields("confirm", JSON.parse(confirmed.stdout));
    const shown = await capture(() => rollbackVerbOn(machine).run(["show", "--json"]));
    expect(shown.code).toBe(0);
    expectFields("rollback", JSON.parse(shown.stdout));
  });

  it("image: the example has the fields of the report", async () => {
    const program = put("program", gunzipSync(readFileSync(new URL("../data/elf/static.gz", import.meta.url))));
    put("image-keys/release.pub", newSigner().publicFile);
    put("6.1-test/modules.dep", "virtio.ko:\n");
    put("6.1-test/modules.alias", "");
    put("6.1-test/virtio.ko", "module");
    let stdout = "";
    const io = { stdout: { write: (text: string) => (stdout += text) }, stderr: { write: () => true } };
    const at = (name: string): string => path.join(scratch, name);
    const words = ["--executable", program, "--keys", at("image-keys"), "--modules", at("6.1-test")];
    expect(await runImage(["build", "--json", "--output", at("image"), ...words], io)).toBe(0);
    const report: unknown = JSON.parse(stdout);
    // A static program brings no library; what one looks like is in the example only.
    const shown = fields(example("image")).filter((field) => !field.startsWith("libraries.files[]"));
    expect(shown).toEqual(fields(report));
    const text = read("docs/json.md");
    for (const field of fields(example("image"))) {
      expect(text).toMatch(new RegExp(`^\\| \`${RegExp.escape(field)}\`[ |,]`, "m"));
    }
  });
});

// ---- kexec(8) -------------------------------------------------------------------------------------------------------

describe("docs/kexec.md", () => {
  const text = read("docs/kexec.md");
  const codes = new Set([...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code));

  it("tells of every option, as the help does", () => {
    const names = kexecOptions.flatMap(({ long, short }) => [
      ...long.map((name) => `--${name}`),
      ...(short === null ? [] : [`-${short}`]),
    ]);
    expect(names.filter((name) => !codes.has(name))).toEqual([]);
    // -? is -h with another exit code.
    expect(names.filter((name) => name !== "-?" && !hasOption(kexecUsage(), name))).toEqual([]);
  });

  it("tells of every type of kernel", () => {
    expect(kernelTypes.filter((type) => !codes.has(type))).toEqual([]);
  });

  it("--dry-run --json: the example has the fields of the document", async () => {
    using bench = new KexecBench();
    bench.put("vmlinuz.gz", gzipSync(kernelBytes));
    bench.put("initrd", "initrd");
    const words = ["-l", "-c", "--dry-run", "--json", "@vmlinuz.gz", "--initrd=@initrd"];
    const { code, stdout } = await bench.run(...words);
    expect(code).toBe(0);
    expectFields("kexec", JSON.parse(stdout), "docs/kexec.md");
  });
});
