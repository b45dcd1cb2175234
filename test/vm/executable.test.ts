import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildDirectory } from "./cache.ts";
import { slipwayExecutable } from "./image.ts";
import { distributionKernel } from "./kernels.ts";
import { type SigningKeys, signFile, throwawayKeys } from "./sign.ts";

/** The packaged program on a live system, as an operator runs it. */
function slipway(...args: string[]): { code: number | null; out: string; errors: string } {
  const result = spawnSync(slipwayExecutable, args, { encoding: "utf8" });
  return { code: result.status, out: result.stdout, errors: result.stderr };
}

let directory: string;
let keys: SigningKeys;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "slipway-executable-"));
  keys = await throwawayKeys(path.join(buildDirectory, "test-keys"));
  const kernel = await distributionKernel();
  const files: Readonly<Record<string, string | Uint8Array>> = {
    "esp/loader/loader.conf": "default system-*\ntimeout 3\n",
    "esp/loader/entries/system-1.conf":
      "title One\nversion 1\nlinux /vmlinuz\ninitrd /a.img\ninitrd /b.img\noptions root=/dev/vda2 ro\n",
    "esp/loader/entries/system-2+2-1.conf":
      "title Two\nversion 2\nlinux /vmlinuz\noptions root=/dev/vda2\noptions quiet\n",
    "esp/loader/entries/arm.conf": "title Arm\narchitecture aa64\nlinux /vmlinuz\n",
    "esp/vmlinuz": await readFile(kernel.vmlinuz),
    "esp/a.img": "a",
    "esp/b.img": "b",
    "root/boot/grub/grub.cfg": [
      "set default=1",
      "set timeout=7",
      "search --no-floppy --fs-uuid --set=root 1234-5678",
      "menuentry 'First' --id first { linux /vmlinuz quiet }",
      "submenu 'More' {",
      "  menuentry 'Second' { linux /vmlinuz second=1; initrd /a.img /b.img }",
      "  menuentry 'Third' { linux /missing }",
      "}",
      "menuentry 'Windows' { chainloader /bootmgfw.efi }",
      "",
    ].join("\n"),
    "empty/readme": "nothing to boot\n",
  };
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  for (const name of ["esp/vmlinuz", "esp/a.img", "esp/b.img", "esp/loader/entries/system-1.conf"]) {
    const file = path.join(directory, name);
    writeFileSync(`${file}.minisig`, await signFile(keys, file));
  }
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const esp = (): string => `${directory}/esp,name=vda1,uuid=1234-5678,label=ESP,fstype=vfat,disk=vda,part=1,table=gpt`;
const root = (): string => `${directory}/root,name=vda2,uuid=0a1b,fstype=ext4,disk=vda,part=2,table=gpt`;

describe("the executable", () => {
  it("tells its version, its verbs and their options", () => {
    expect(slipway("--version")).toMatchObject({ code: 0, out: "slipway 0.1.0\n" });
    const help = slipway("--help");
    expect(help.code).toBe(0);
    for (const verb of ["list", "explain", "verify", "image", "help"]) {
      expect(help.out).toMatch(new RegExp(`^  ${verb} `, "m"));
      expect(slipway("help", verb).out).toMatch(/^usage: slipway /);
      expect(slipway(verb, "--help").out).toBe(slipway("help", verb).out);
    }
    expect(slipway("dance")).toMatchObject({ code: 1, errors: expect.stringContaining('"dance" is no verb') });
    expect(slipway("list", "--jsn")).toMatchObject({ code: 1, errors: expect.stringContaining("--jsn") });
  });

  it("is called by the name of a link", () => {
    const link = path.join(directory, "slipway-verify");
    symlinkSync(slipwayExecutable, link);
    const result = spawnSync(link, ["--help"], { encoding: "utf8" });
    expect(result.stdout).toMatch(/^usage: slipway verify/);
  });

  it("takes no options for its runtime from the environment", () => {
    const env = { ...process.env, NODE_OPTIONS: "--no-such-option" };
    const result = spawnSync(slipwayExecutable, ["--version"], { encoding: "utf8", env });
    expect(result).toMatchObject({ status: 0, stdout: "slipway 0.1.0\n", stderr: "" });
  });

  it("leaves nothing behind", () => {
    const home = path.join(directory, "home");
    mkdirSync(home);
    const result = spawnSync(slipwayExecutable, ["list", "--root", esp()], {
      encoding: "utf8",
      env: { HOME: home, TMPDIR: home, XDG_CACHE_HOME: home },
    });
    expect(result.status).toBe(0);
    expect(spawnSync("find", [home, "-mindepth", "1"], { encoding: "utf8" }).stdout).toBe("");
  });
});

describe("list", () => {
  it("prints the public contract's JSON for several roots", () => {
    const result = slipway("list", "--json", "--root", esp(), "--root", root());
    expect(result.errors).toBe("");
    expect(result.code).toBe(0);
    const common = { devicetree: null, architecture: null, version: null, tries: null };
    expect(JSON.parse(result.out)).toEqual({
      version: 1,
      default: "vda1:bls1:system-2",
      timeoutSeconds: 3,
      entries: [
        {
          ...common,
          id: "vda1:bls1:system-2",
          title: "Two",
          submenu: [],
          format: "bls1",
          source: { volume: "vda1", path: "/loader/entries/system-2+2-1.conf", line: 1 },
          linux: { volume: "vda1", path: "/vmlinuz" },
          initrd: [],
          options: "root=/dev/vda2 quiet",
          version: "2",
          tries: { left: 2, done: 1 },
        },
        {
          ...common,
          id: "vda1:bls1:system-1",
          title: "One",
          submenu: [],
          format: "bls1",
          source: { volume: "vda1", path: "/loader/entries/system-1.conf", line: 1 },
          linux: { volume: "vda1", path: "/vmlinuz" },
          initrd: [
            { volume: "vda1", path: "/a.img" },
            { volume: "vda1", path: "/b.img" },
          ],
          options: "root=/dev/vda2 ro",
          version: "1",
        },
        {
          ...common,
          id: "vda2:grub:0",
          title: "First",
          submenu: [],
          format: "grub",
          source: { volume: "vda2", path: "/boot/grub/grub.cfg", line: 4 },
          linux: { volume: "vda1", path: "/vmlinuz" },
          initrd: [],
          options: "quiet",
        },
        {
          ...common,
          id: "vda2:grub:1>0",
          title: "Second",
          submenu: ["More"],
          format: "grub",
          source: { volume: "vda2", path: "/boot/grub/grub.cfg", line: 6 },
          linux: { volume: "vda1", path: "/vmlinuz" },
          initrd: [
            { volume: "vda1", path: "/a.img" },
            { volume: "vda1", path: "/b.img" },
          ],
          options: "second=1",
        },
      ],
      skipped: [
        {
          source: { volume: "vda1", path: "/loader/entries/arm.conf", line: 2 },
          title: "Arm",
          reason: 'architecture "aa64": this machine is "x64"',
        },
        {
          source: { volume: "vda2", path: "/boot/grub/grub.cfg", line: 7 },
          title: "Third",
          reason: expect.stringContaining("/missing"),
        },
        {
          source: { volume: "vda2", path: "/boot/grub/grub.cfg", line: 9 },
          title: "Windows",
          reason: expect.stringMatching(/^chainloader: /),
        },
      ],
    });
  });

  it("exits 3 with no entries and 1 on failure", () => {
    const none = slipway("list", "--json", "--root", `${directory}/empty`);
    expect(none.code).toBe(3);
    expect(JSON.parse(none.out)).toEqual({ version: 1, default: null, timeoutSeconds: null, entries: [], skipped: [] });
    expect(slipway("list", "--root", `${directory}/nowhere`)).toMatchObject({
      code: 1,
      out: "",
      errors: expect.stringContaining("nowhere"),
    });
    expect(slipway("explain", "--root", `${directory}/empty`).code).toBe(3);
  });
});

describe("explain", () => {
  it("tells where each entry comes from, what was skipped and why the default is the default", () => {
    const { code, out } = slipway("explain", "--root", esp(), "--root", root());
    expect(code).toBe(0);
    expect(out).toContain('vda1:bls1:system-2  "Two"');
    expect(out).toContain("from vda1:/loader/entries/system-2+2-1.conf:1");
    expect(out).toContain("boot attempts: 2 left, 1 failed");
    expect(out).toContain('architecture "aa64": this machine is "x64"');
    expect(out).toMatch(
      /Default: vda1:bls1:system-2\n {2}because: default "system-\*" in \/loader\/loader.conf, on vda1/,
    );
  });

  it("tells an entry's files, options and verdict", () => {
    const publicKeys = path.dirname(keys.publicKey);
    const good = slipway("explain", "--keys", publicKeys, "--root", esp(), "system-1");
    expect(good.code).toBe(0);
    expect(good.out).toContain("handed over as: root=/dev/vda2 ro");
    expect(good.out).toContain("linux vda1:/vmlinuz trusted by test");
    expect(good.out).toContain("  would boot\n");
    const bad = slipway("explain", "--keys", publicKeys, "--root", esp(), "system-2");
    expect(bad.out).toContain("would not boot: the policy refuses it");
    expect(slipway("explain", "--root", esp(), "none").code).toBe(1);
  });
});

describe("verify", () => {
  it("exits 0 when all is trusted, 2 when something is refused, 1 on failure", () => {
    const publicKeys = path.dirname(keys.publicKey);
    const words = ["--keys", publicKeys, "--root", esp()];
    const good = slipway("verify", "--json", ...words, "system-1");
    expect(good.code).toBe(0);
    const verdict = JSON.parse(good.out);
    expect(verdict.trusted).toBe(true);
    expect(verdict.results[0].artifacts.map((a: { role: string }) => a.role)).toEqual([
      "options",
      "config",
      "linux",
      "initrd",
      "initrd",
    ]);
    expect(slipway("verify", ...words, "system-2").code).toBe(2);
    expect(slipway("verify", ...words, "system-1", "system-2").code).toBe(2);
    expect(slipway("verify", ...words, "none").code).toBe(1);
    expect(slipway("verify", "--keys", publicKeys, `${directory}/esp/vmlinuz`)).toMatchObject({ code: 0 });
    expect(slipway("verify", "--keys", publicKeys, `${directory}/empty/readme`)).toMatchObject({
      code: 2,
      out: expect.stringContaining("refused: no signature"),
    });
  });
});

describe("image build", () => {
  it("is refused without keys, with the two ways out", () => {
    const output = path.join(directory, "image");
    const result = slipway("image", "build", "--output", output);
    expect(result.code).toBe(1);
    expect(result.errors).toContain("--keys");
    expect(result.errors).toContain('"trust": "off"');
  });

  it("refuses a key file that is not a key, and a configuration with an unknown field", () => {
    const bad = path.join(directory, "bad-keys");
    mkdirSync(bad);
    writeFileSync(path.join(bad, "no.pub"), "this is no key\n");
    const output = path.join(directory, "image");
    expect(slipway("image", "build", "--output", output, "--keys", bad)).toMatchObject({
      code: 1,
      errors: expect.stringContaining("no.pub"),
    });
    const config = path.join(directory, "config.json");
    writeFileSync(config, '{"trust": "off", "colour": 1}');
    expect(slipway("image", "build", "--output", output, "--config", config)).toMatchObject({
      code: 1,
      errors: expect.stringContaining('unknown field "colour"'),
    });
  });
});
