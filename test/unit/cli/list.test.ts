import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { explainVerb } from "../../../src/cli/explain.ts";
import { helpVerb } from "../../../src/cli/help.ts";
import { listJson, listVerb } from "../../../src/cli/list.ts";
import { verbs } from "../../../src/cli/verbs.ts";
import type { BootEntry } from "../../../src/discovery/entry.ts";
import { printable } from "../../../src/formats/printable.ts";
import { rank } from "../../../src/handoff/rank.ts";
import { bootEntry } from "../../fakes/boot-entry.ts";
import { capture } from "../../fakes/capture.ts";

const scratch = mkdtempSync(join(tmpdir(), "slipway-list-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let count = 0;

function root(files: Readonly<Record<string, string>>): string {
  const directory = join(scratch, String(count++));
  mkdirSync(directory);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

const config = join(scratch, "config.json");
writeFileSync(config, "{}");
const list = (...args: string[]) => capture(() => listVerb.run(["--config", config, ...args]));

const debian = root({
  "loader/loader.conf": "timeout 5\ndefault debian-*\n",
  "loader/entries/debian-6.1+2-1.conf": `title Debian GNU/Linux
version 6.1
linux /vmlinuz
initrd /initrd
options root=UUID=1234 ro
options quiet
architecture x64
devicetree /board.dtb
`,
  "loader/entries/broken.conf": "title Broken\nlinux /gone\n",
  vmlinuz: "kernel",
  initrd: "initrd",
  "board.dtb": "tree",
});

describe("list --json", () => {
  it("is the public contract", async () => {
    const { code, stdout } = await list("--json", "--root", `${debian},name=vda1`);
    expect(code).toBe(0);
    const answer: unknown = JSON.parse(stdout);
    expect(answer).toEqual({
      version: 1,
      default: "vda1:bls1:debian-6.1",
      timeoutSeconds: 5,
      entries: [
        {
          id: "vda1:bls1:debian-6.1",
          title: "Debian GNU/Linux",
          submenu: [],
          format: "bls1",
          source: { volume: "vda1", path: "/loader/entries/debian-6.1+2-1.conf", line: 1 },
          linux: { volume: "vda1", path: "/vmlinuz" },
          initrd: [{ volume: "vda1", path: "/initrd" }],
          options: "root=UUID=1234 ro quiet",
          devicetree: { volume: "vda1", path: "/board.dtb" },
          architecture: "x64",
          version: "6.1",
          tries: { left: 2, done: 1 },
        },
      ],
      skipped: [
        {
          source: { volume: "vda1", path: "/loader/entries/broken.conf", line: expect.any(Number) },
          title: "Broken",
          reason: expect.stringContaining("/gone"),
        },
      ],
    });
  });

  it("keys are always there, null where there is nothing", () => {
    const entry: BootEntry = bootEntry({ submenu: ["Advanced"], format: "grub" });
    const found = { menus: [], entries: [entry], skipped: [], images: [] };
    expect(JSON.parse(JSON.stringify(listJson({ found, ranking: rank([], null) })))).toEqual({
      version: 1,
      default: null,
      timeoutSeconds: null,
      entries: [
        {
          id: "vda1:bls1:entry",
          title: "Entry",
          submenu: ["Advanced"],
          format: "grub",
          source: { volume: "vda1", path: "/entry.conf", line: 1 },
          linux: { volume: "vda1", path: "/vmlinuz" },
          initrd: [],
          options: "quiet",
          devicetree: null,
          architecture: null,
          version: null,
          tries: null,
        },
      ],
      skipped: [],
    });
  });

  it("without an entry: the same keys, exit code 3", async () => {
    const { code, stdout } = await list("--json", "--root", root({}));
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toEqual({ version: 1, default: null, timeoutSeconds: null, entries: [], skipped: [] });
  });

  it("a GRUB configuration", async () => {
    const grub = root({
      "boot/grub/grub.cfg": `set default=0
set timeout=7
menuentry 'One' { linux /boot/vmlinuz root=/dev/vda1 ro
  initrd /boot/initrd
}
submenu 'More' { menuentry 'Two' { linux /boot/vmlinuz single } }
menuentry 'Windows' { chainloader +1 }
`,
      "boot/vmlinuz": "kernel",
      "boot/initrd": "initrd",
    });
    const { code, stdout } = await list("--json", "--root", `${grub},name=vda1,disk=vda,part=1,table=gpt,fstype=ext4`);
    expect(code).toBe(0);
    const answer = JSON.parse(stdout);
    expect(answer).toMatchObject({ default: "vda1:grub:0", timeoutSeconds: 7 });
    expect(answer.entries).toMatchObject([
      {
        id: "vda1:grub:0",
        title: "One",
        submenu: [],
        format: "grub",
        options: "root=/dev/vda1 ro",
        source: { line: 3 },
      },
      { id: "vda1:grub:1>0", title: "Two", submenu: ["More"], options: "single", initrd: [] },
    ]);
    expect(answer.skipped).toMatchObject([{ title: "Windows", reason: expect.stringMatching(/^chainloader: /) }]);
  });
});

describe("list", () => {
  it("marks what boots unattended", async () => {
    const { code, stdout, stderr } = await list("--root", `${debian},name=vda1`);
    expect(code).toBe(0);
    expect(stderr).toBe("");
    expect(stdout.split("\n")).toEqual([
      "   ID                    TITLE             KERNEL",
      "*  vda1:bls1:debian-6.1  Debian GNU/Linux  /vmlinuz",
      '1 skipped; "slipway explain" tells why',
      "",
    ]);
  });
  it("without an entry", async () => {
    expect(await list("--root", root({}))).toEqual({ code: 3, stdout: "no boot entries\n", stderr: "" });
  });
  it("escape sequences of a disk do not reach the terminal", async () => {
    const hostile = root({ "loader/entries/x.conf": "title \u001b[31mred\u009b\u202e\nlinux /k\n", k: "" });
    const { stdout } = await list("--root", hostile);
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  });

  const fails = async (args: readonly string[], message: string | RegExp): Promise<void> =>
    expect(capture(() => listVerb.run(args))).rejects.toThrow(message);
  it("a directory that is not there", () =>
    fails(["--config", config, "--root", "/nowhere"], /^--root "\/nowhere": ENOENT/));
  it("an option that it does not know", () => fails(["--jsn"], "Unknown option '--jsn'"));
  it("words that it does not take", () => fails(["word"], "Unexpected argument 'word'"));
  it("a configuration that is not there", () => fails(["--config", "/nowhere"], 'configuration "/nowhere": ENOENT'));
  it("a configuration that is not valid", () => {
    const bad = join(scratch, "bad.json");
    writeFileSync(bad, '{"x":1}');
    return fails(["--config", bad], `${bad}: unknown field "x"`);
  });
});

describe("explain", () => {
  const explain = (...args: string[]) => capture(() => explainVerb.run(["--config", config, ...args]));
  it("tells of every volume, entry, refusal and of the default", async () => {
    const { code, stdout } = await explain("--root", `${debian},name=vda1,label=boot`);
    expect(code).toBe(0);
    expect(stdout).toContain("Volumes searched:\n  vda1: label boot\n");
    expect(stdout).toContain(
      '  vda1:bls1:debian-6.1  "Debian GNU/Linux"\n    from vda1:/loader/entries/debian-6.1+2-1.conf:1\n',
    );
    expect(stdout).toContain("    boot attempts: 2 left, 1 failed\n");
    expect(stdout).toMatch(/Skipped:\n {2}vda1:\/loader\/entries\/broken\.conf:\d+ {2}"Broken"\n {4}.*\/gone/);
    expect(stdout).toContain("\nDefault: vda1:bls1:debian-6.1\n");
    expect(stdout).toContain("  its menu time-out of 5 s is not waited for: Slipway boots at once\n");
  });
  it("without an entry, exit code 3", async () => {
    const { code, stdout } = await explain("--root", root({}));
    expect(code).toBe(3);
    expect(stdout).toContain("Default: none\n  because: no boot entry was found\n");
  });
  it("one entry, with its verdict", async () => {
    const { code, stdout } = await explain("--keys", scratch, "--root", `${debian},name=vda1`, "debian-6.1");
    expect(code).toBe(0);
    expect(stdout).toContain("  options   root=UUID=1234 ro quiet\n");
    expect(stdout).toContain("    linux vda1:/vmlinuz refused: no signature\n");
    expect(stdout).toContain("  would not boot: the policy refuses it\n");
  });
  it("one that there is not", async () => {
    await expect(explain("--root", debian, "nosuch")).rejects.toThrow(
      'explain "nosuch": no such entry; "slipway list" shows their ids',
    );
  });
});

describe("help", () => {
  it("lists every verb", async () => {
    const { code, stdout } = await capture(() => helpVerb(verbs).run([]));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^slipway \d+\.\d+\.\d+: a bootloader that is a Linux program\n/);
    for (const name of ["list", "explain", "verify", "image", "help"]) expect(stdout).toContain(`\n  ${name} `);
  });
  it("of a verb", async () => {
    expect((await capture(() => helpVerb(verbs).run(["list"]))).stdout).toBe(listVerb.usage);
  });
  it("of no verb", async () => {
    await expect(capture(() => helpVerb(verbs).run(["x"]))).rejects.toThrow(/^help: "x" is no verb; list, explain, /);
  });
});

describe("printable", () => {
  const gives = (text: string, shown: string): void => expect(printable(text)).toBe(shown);
  it("leaves text", () => gives("Debian GNU/Linux ä 日本 😀", "Debian GNU/Linux ä 日本 😀"));
  it("C0, DEL and C1 controls", () => gives("a\u0000\n\t\u001b[0m\u007f\u0080\u009bb", "a????[0m???b"));
  it("line separators and changes of direction", () => gives("\u2028\u2029\u202a\u202e\u2066\u2069", "??????"));
});
