import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { explainVerb } from "../../../src/cli/explain.ts";
import { capture } from "../../fakes/capture.ts";

const scratch = mkdtempSync(join(tmpdir(), "slipway-explain-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function root(name: string, files: Readonly<Record<string, string>>): string {
  const directory = join(scratch, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return `${directory},name=${name},disk=${name.slice(0, 3)},part=1,table=gpt`;
}

const config = join(scratch, "config.json");
writeFileSync(config, JSON.stringify({ trust: "off" }));
const explain = (...args: string[]) => capture(() => explainVerb.run(["--config", config, ...args]));

const specified = (lines: string): string => `title Linux\nlinux /vmlinuz\n${lines}`;
const vda1 = root("vda1", {
  vmlinuz: "kernel",
  "loader/entries/good.conf": specified("sort-key a\n"),
  "loader/entries/lost-initrd.conf": specified("title Lost\ninitrd /gone.img\n"),
  "loader/entries/arm.conf": specified("architecture aa64\n"),
  "loader/entries/spent+0-3.conf": specified("title Spent\n"),
});
const vdb1 = root("vdb1", {
  vmlinuz: "kernel",
  "boot/grub/grub.cfg": `set extra=debug
menuentry 'Plain' {
  linux /vmlinuz $extra
}
menuentry 'Odd' {
  frobnicate --now
  linux /vmlinuz
}
menuentry 'Windows' {
  chainloader /bootmgr
}
`,
});
const roots = ["--root", vda1, "--root", vdb1];

/** Lines of `explain`'s whole report below the one that begins with `head`, up to the next of the same depth. */
function below(text: string, head: string): string[] {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.startsWith(head));
  if (at < 0) return [];
  const depth = head.search(/\S/);
  const end = lines.findIndex((line, index) => index > at && line.search(/\S/) <= depth);
  return lines.slice(at + 1, end).map((line) => line.trim());
}

describe("why it did not boot", () => {
  it("what has a missing initrd", async () => {
    const { stdout, code } = await explain(...roots, "lost-initrd.conf");
    expect(stdout).toBe('skipped: vda1:/loader/entries/lost-initrd.conf:4  "Lost"\n  initrd "/gone.img" is missing\n');
    expect(code).toBe(3);
  });
  it("what has an unknown command", async () => {
    const { stdout } = await explain(...roots, "Odd");
    expect(stdout).toMatch(/^skipped: vdb1:\/boot\/grub\/grub\.cfg:6 {2}"Odd"\n {2}.*frobnicate/);
  });
  it("what is for another architecture", async () => {
    const { stdout } = await explain(...roots, "arm");
    expect(stdout).toBe(
      'skipped: vda1:/loader/entries/arm.conf:3  "Linux"\n  architecture "aa64": this machine is "x64"\n',
    );
  });
  it("what has no tries left", async () => {
    const { stdout } = await explain(...roots);
    expect(below(stdout, "  vda1:bls1:spent")).toEqual([
      "from vda1:/loader/entries/spent+0-3.conf:1",
      "here because: next in the bls1 menu on vda1; no tries left, so it comes after all others",
      "boot attempts: 0 left, 3 failed",
    ]);
    expect(stdout).toMatch(
      /^Default: vda1:bls1:good\n {2}because: first in Boot Loader Specification order, on vda1$/m,
    );
  });
  it("what lost to another volume", async () => {
    const { stdout, code } = await explain(...roots);
    expect(below(stdout, "  vdb1:grub:0")).toContain(
      "here because: default is not set, which means the first entry (/boot/grub/grub.cfg), on vdb1, behind the bls1 menu on vda1, which comes first in the order of devices",
    );
    expect(code).toBe(0);
  });
  it("what nothing is known of", async () => {
    await expect(explain(...roots, "nothing")).rejects.toThrow(
      'explain "nothing": no such entry; "slipway list" shows their ids',
    );
  });
});

describe("explain ENTRY", () => {
  it("the files, the options, the place in the order, and who is before it", async () => {
    const { stdout, code } = await explain(...roots, "Plain");
    expect(stdout).toMatch(/^vdb1:grub:0 {2}"Plain"$/m);
    expect(stdout).toMatch(/^ {2}from {6}vdb1:\/boot\/grub\/grub\.cfg:2$/m);
    expect(stdout).toMatch(/^ {2}linux {5}vdb1:\/vmlinuz$/m);
    expect(stdout).toMatch(/^ {2}options {3}debug$/m);
    expect(stdout).toMatch(/^ {2}tried as number 2 of 3: /m);
    expect(stdout).toMatch(/^ {2}the default is vda1:bls1:good: first in Boot Loader Specification order, on vda1$/m);
    expect(code).toBe(0);
  });
  it("the variables that made its options, and where they were set", async () => {
    const { stdout } = await explain(...roots, "Plain");
    expect(below(stdout, "  variables in its files and options:")).toEqual([
      'root="hd1,gpt1"  set by Slipway',
      'extra="debug"  set in vdb1:/boot/grub/grub.cfg:1',
    ]);
  });
});
