import { execFileSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gunzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { imageUsage, runImage } from "../../../src/cli/image.ts";
import { UsageError } from "../../../src/cli/verb.ts";
import { readCpio } from "../../../src/formats/cpio.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "slipway-image-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** minisign's own public key, from its README. */
const publicKey =
  "untrusted comment: minisign public key E7620F1842B4E81F\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";

let work = "";
const at = (name: string): string => path.join(work, name);

function put(name: string, content: string | Uint8Array): void {
  mkdirSync(path.dirname(at(name)), { recursive: true });
  writeFileSync(at(name), content);
}

/** The inputs of a small image, in a directory of their own. */
function makeInputs(directory: string): void {
  work = directory;
  put("program", gunzipSync(readFileSync(new URL("../../data/elf/static.gz", import.meta.url))));
  put("config.json", '{ "trust": "enforce" }\n');
  put("off.json", '{ "trust": "off" }\n');
  put("keys/release.pub", publicKey);
  put("1.2-test/modules.dep", "k/virtio_blk.ko.zst: k/virtio.ko\nk/virtio.ko:\nk/other.ko:\n");
  put("1.2-test/modules.alias", "alias virtio:d00000002v* virtio_blk\n");
  put("1.2-test/k/virtio_blk.ko.zst", zstdCompressSync("block"));
  put("1.2-test/k/virtio.ko", "virtio");
  put("extra/bin/tool", "#!/bin/sh\n");
  chmodSync(at("extra/bin/tool"), 0o750);
  put("extra/notes", "text\n");
  symlinkSync("bin/tool", at("extra/link"));
}

beforeEach(() => makeInputs(mkdtempSync(path.join(scratch, "w-"))));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(args: readonly string[], isTTY = false): Promise<Outcome> {
  let stdout = "";
  let stderr = "";
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { isTTY, write: (text: string) => (stderr += text) },
  };
  return { code: await runImage(args, io), stdout, stderr };
}

const build = (...args: string[]): Promise<Outcome> =>
  run(["build", "--output", at("out"), "--executable", at("program"), ...args]);
const full = (): string[] => [
  "--config",
  at("config.json"),
  "--keys",
  at("keys"),
  "--modules",
  at("1.2-test"),
  "--include",
  `${at("extra")}:/opt/extra`,
];

describe("an image", () => {
  it("holds what it is given", async () => {
    expect((await build(...full(), "--compression", "none")).stderr).toBe("");
    const { entries } = readCpio(readFileSync(at("out")));
    const modules = "lib/modules/1.2-test";
    expect(entries.map((entry) => `${entry.permissions.toString(8)} ${entry.name}`)).toEqual([
      "755 dev",
      "600 dev/console",
      "666 dev/null",
      "755 etc",
      "755 etc/slipway",
      "644 etc/slipway/config.json",
      "755 etc/slipway/keys",
      "644 etc/slipway/keys/release.pub",
      "755 init",
      "755 lib",
      "755 lib/modules",
      `755 ${modules}`,
      `755 ${modules}/k`,
      `644 ${modules}/k/virtio.ko`,
      `644 ${modules}/k/virtio_blk.ko`,
      `644 ${modules}/modules.alias`,
      `644 ${modules}/modules.builtin`,
      `644 ${modules}/modules.dep`,
      `644 ${modules}/modules.softdep`,
      "755 mnt",
      "755 opt",
      "755 opt/extra",
      "755 opt/extra/bin",
      "755 opt/extra/bin/tool",
      "777 opt/extra/link",
      "644 opt/extra/notes",
      "755 proc",
      "700 root",
      "755 run",
      "755 sys",
      "1777 tmp",
    ]);
    const text = (name: string): string =>
      Buffer.from(entries.find((entry) => entry.name === name)?.content ?? []).toString();
    expect(text("etc/slipway/config.json")).toBe('{ "trust": "enforce" }\n');
    expect(text("etc/slipway/keys/release.pub")).toBe(publicKey);
    expect(text(`${modules}/k/virtio_blk.ko`)).toBe("block");
    expect(text(`${modules}/modules.dep`)).toBe("k/virtio_blk.ko: k/virtio.ko\nk/virtio.ko:\n");
    expect(text("opt/extra/link")).toBe("bin/tool");
    expect(text("init")).toBe(readFileSync(at("program")).toString());
    const devices = entries.filter((entry) => entry.type === "character");
    expect(devices.map((entry) => [entry.name, entry.major, entry.minor])).toEqual([
      ["dev/console", 5, 1],
      ["dev/null", 1, 3],
    ]);
  });

  it("holds a real program's libraries where its linker finds them", async () => {
    expect((await build("--config", at("off.json"), "--executable", "/bin/bash", "--level", "1")).stderr).toBe("");
    mkdirSync(at("root"));
    const unpacked = zstdDecompressSync(readFileSync(at("out")));
    execFileSync("cpio", ["-idm", "--quiet", "--no-absolute-filenames", "init", "lib*", "usr*"], {
      cwd: at("root"),
      input: unpacked,
    });
    // The linker itself proves it: it lists what it would load from the unpacked directories and nowhere else.
    const linker =
      /program interpreter: (.*)\]/.exec(execFileSync("readelf", ["-lW", "/bin/bash"], { encoding: "utf8" }))?.[1] ??
      "";
    const directories = execFileSync("find", [at("root"), "-name", "*.so*", "-printf", "%h\\n"], { encoding: "utf8" });
    const search = [...new Set(directories.trim().split("\n"))].join(":");
    const found = execFileSync(
      at(`root${linker}`),
      ["--inhibit-cache", "--library-path", search, "--list", at("root/init")],
      { encoding: "utf8" },
    );
    const paths = [...found.matchAll(/=> (\S+)/g)].map((match) => match[1] ?? "");
    expect(paths.length).toBeGreaterThan(1);
    const linkerName = path.basename(linker);
    for (const each of paths.filter((p) => path.basename(p) !== linkerName))
      expect(each.startsWith(at("root"))).toBe(true);
  });

  it.each(["zstd", "gzip", "none"])("is the same bytes from the same inputs: %s", async (compression) => {
    const options = ["--compression", compression];
    expect((await build(...full(), ...options)).code).toBe(0);
    const first = readFileSync(at("out"));
    makeInputs(mkdtempSync(path.join(scratch, "elsewhere-")));
    for (const name of ["program", "extra/notes", "keys/release.pub"]) utimesSync(at(name), 1_000_000, 2_000_000);
    chmodSync(at("keys/release.pub"), 0o600);
    // Directory entries in another order.
    rmSync(at("extra/notes"));
    put("extra/notes", "text\n");
    chmodSync(at("program"), 0o700);
    const umask = process.umask(0o077);
    try {
      expect((await build(...full(), ...options)).code).toBe(0);
    } finally {
      process.umask(umask);
    }
    expect(readFileSync(at("out")).equals(first)).toBe(true);
    expect(statSync(at("out")).mode & 0o777).toBe(0o644);
  });

  it("is what zstd(1) and gzip(1) unpack", async () => {
    await build(...full(), "--compression", "none");
    const plain = readFileSync(at("out"));
    await build(...full(), "--level", "22");
    expect(execFileSync("zstd", ["-dcq"], { input: readFileSync(at("out")) }).equals(plain)).toBe(true);
    await build(...full(), "--compression", "gzip", "--level", "1");
    expect(execFileSync("gzip", ["-dc"], { input: readFileSync(at("out")) }).equals(plain)).toBe(true);
  });

  it("never asks the kernel for more than 8 MiB of window", async () => {
    put("extra/large", Buffer.alloc(20 << 20));
    await build(...full(), "--level", "22");
    const [descriptor = 0, window = 0] = readFileSync(at("out")).subarray(4, 6);
    // RFC 8878, 3.1.1.1: bit 2 of the descriptor announces a checksum; the window is 2^(10 + exponent) (1 + mantissa / 8).
    expect(descriptor & 0b0010_0100).toBe(0);
    expect([10 + (window >> 3), window & 7]).toEqual([23, 0]);
  });
});

describe("reports", () => {
  it("are a table", async () => {
    const { stdout, code } = await build(...full());
    expect(code).toBe(0);
    const bytes = readFileSync(at("out")).length;
    expect(stdout.replaceAll(work, "W")).toBe(
      [
        "executable     0.0 MB  W/program",
        "libraries      0.0 MB  0 files",
        "modules        0.0 MB  2 modules of 1.2-test",
        "included       0.0 MB  2 files",
        "trust         enforce  release.pub E7620F1842B4E81F",
        "unpacked       0.0 MB",
        "image          0.0 MB  zstd level 17, W/out",
        "",
      ].join("\n"),
    );
    expect(bytes).toBeGreaterThan(0);
  });
  it("are JSON", async () => {
    const report = JSON.parse((await build(...full(), "--json")).stdout);
    const sum = execFileSync("sha256sum", [at("out")], { encoding: "utf8" }).slice(0, 64);
    expect(report).toMatchObject({
      version: 1,
      output: at("out"),
      sha256: sum,
      format: "cpio",
      compression: "zstd",
      level: 17,
      compressedBytes: statSync(at("out")).size,
      executable: { source: at("program"), bytes: statSync(at("program")).size },
      libraries: { bytes: 0, files: [] },
      trust: "enforce",
      keys: [{ file: "release.pub", id: "E7620F1842B4E81F" }],
      included: { bytes: 15, files: 2 },
    });
    expect(report.modules).toMatchObject({ kernel: "1.2-test", files: ["k/virtio.ko", "k/virtio_blk.ko"] });
    expect(report.modules.absent).toContainEqual({ word: "nvme", list: "storage", status: "absent" });
  });
  it("are silent with --quiet, and progress is for terminals", async () => {
    put("keys/README", "");
    expect(await build(...full(), "--quiet")).toEqual({ code: 0, stdout: "", stderr: "" });
    const notice = `slipway image: "README" in "${at("keys")}" is no key, ignored\n`;
    expect((await build(...full())).stderr).toBe(notice);
    const shown = await run(["build", "--output", at("out"), "--executable", at("program"), ...full()], true);
    expect(shown.stderr).toBe(`${notice}\rpacking: 0.0 MB\r\u001b[K`);
  });
});

describe("refusals", () => {
  const expectRefused = async (args: readonly string[], text: string): Promise<void> => {
    rmSync(at("out"), { force: true });
    const before = readdirSync(work);
    expect(await build(...args)).toEqual({ code: 1, stdout: "", stderr: `slipway image: ${text}\n` });
    expect(readdirSync(work)).toEqual(before);
  };
  const waysOut =
    `nothing that this image finds could be verified. Either give --keys DIR with public keys, ` +
    `or set "trust": "off" in the file given with --config.`;

  it("no keys", async () => {
    await expectRefused([], `build an image: no keys are given, and trust is "enforce": ${waysOut}`);
    put("audit.json", '{ "trust": "audit" }');
    await expectRefused(
      ["--config", at("audit.json")],
      `build an image: no keys are given, and trust is "audit": ${waysOut}`,
    );
    mkdirSync(at("none"));
    await expectRefused(
      ["--keys", at("none")],
      `build an image: there is no trusted key in "${at("none")}", and trust is "enforce": ${waysOut}`,
    );
  });
  it("a key that is none", async () => {
    put("keys/bad.pub", "untrusted comment: x\nAAAA\n");
    const outcome = await build("--keys", at("keys"));
    expect(outcome.code).toBe(1);
    expect(
      outcome.stderr.startsWith(`slipway image: read key "${at("keys/bad.pub")}": minisign public key: line 2: `),
    ).toBe(true);
    put("keys/bad.pub", new Uint8Array(20_000));
    await expectRefused(["--keys", at("keys")], `read key "${at("keys/bad.pub")}": a key of no known kind`);
    await expectRefused(
      ["--keys", at("gone")],
      `read keys from "${at("gone")}": ENOENT: no such file or directory, scandir '${at("gone")}'`,
    );
  });
  it("a configuration that is not valid", async () => {
    put("bad.json", '{ "trust": "maybe" }');
    const outcome = await build("--config", at("bad.json"));
    expect(outcome.code).toBe(1);
    expect(outcome.stderr.startsWith(`slipway image: ${at("bad.json")}: `)).toBe(true);
  });
  it("an executable that is none", async () => {
    await expectRefused(
      ["--config", at("off.json"), "--executable", at("off.json")],
      `read "${at("off.json")}": elf: offset 0, e_ident: an ELF file expected`,
    );
    await expectRefused(["--config", at("off.json"), "--executable", work], `read "${work}": a regular file expected`);
    const unpackaged = await run(["build", "--output", at("out"), "--config", at("off.json")]);
    expect(unpackaged.stderr).toBe(
      `slipway image: build an image: this is not the packaged program (it runs under "${process.execPath}"): name that with --executable FILE\n`,
    );
  });
  it("with lockdown: a shell, and whatever else the kernel's command line could start", async () => {
    put("locked.json", '{ "lockdown": true }');
    put("shell.json", '{ "rescue": { "shell": true } }');
    const locked = ["--keys", at("keys"), "--policy", at("locked.json")];
    const shell = '"rescue.shell" is true, which does not go with "lockdown" of the policy';
    await expectRefused([...locked, "--config", at("shell.json")], `build an image: ${shell}`);
    const refusal = (place: string): string =>
      `build an image: include "${place}": with "lockdown" no program beside /init and no library is taken, for words on ` +
      `the kernel's command line ("rdinit=", "LD_PRELOAD=") could start it`;
    // What can be executed, under whatever name, and what the dynamic linker would run or load without that.
    const include = (name: string, place: string): Promise<void> =>
      expectRefused(
        [...locked, "--include", `${at(name)}:${place}`],
        refusal(place === "/usr" ? "/usr/bin/tool" : place),
      );
    await include("extra/bin/tool", "/bin/sh");
    await include("extra/bin/tool", "/opt/tool");
    await include("extra", "/usr");
    const elf = (type: number): Buffer => {
      const head = Buffer.alloc(64);
      head.writeUInt32BE(0x7f454c46);
      head.writeUInt16LE(type, 16);
      return head;
    };
    put("static", elf(2));
    put("library", elf(3));
    await include("static", "/opt/data");
    await include("library", "/lib/x.so");
    // A kernel module, a script that nobody can execute, and less than a header.
    put("module.ko", elf(1));
    put("script", "#!/init\n");
    put("short", elf(2).subarray(0, 17));
    const harmless = ["module.ko", "script", "short"].flatMap((name) => ["--include", `${at(name)}:/opt/${name}`]);
    expect((await build(...locked, ...harmless)).stderr).toBe("");
  });
  it("includes that decide about trust, or take a place that is taken", async () => {
    const include = (destination: string): string[] => [
      "--config",
      at("off.json"),
      "--include",
      `${at("extra/notes")}:${destination}`,
    ];
    const reserved = (destination: string): string =>
      `include "${at("extra/notes")}": "${destination}" is set by --config, --policy and --keys only`;
    await expectRefused(include("/etc/slipway/keys/more.pub"), reserved("/etc/slipway/keys/more.pub"));
    await expectRefused(include("/etc//slipway/x"), reserved("/etc//slipway/x"));
    await expectRefused(
      include("/init"),
      'put "/init" into the image: an unused path expected, there is a file already',
    );
    await expectRefused(
      include("/a/../etc"),
      'put "/a/../etc" into the image: an absolute path without ".", ".." and NUL expected',
    );
    symlinkSync("/etc/slipway/keys", at("extra/way"));
    put("second/more.pub", publicKey);
    const through = ["--include", `${at("extra")}:/extra`, "--include", `${at("second")}:/extra/way`];
    await expectRefused(
      ["--config", at("off.json"), ...through],
      `include "${at("second")}": "/extra/way" is set by --config, --policy and --keys only`,
    );
  });
  it("outputs that are no files", async () => {
    mkdirSync(at("directory"));
    await expectRefused(
      ["--config", at("off.json"), "--output", at("directory")],
      `write "${at("directory")}": a new or a regular file expected, there is something else`,
    );
    await expectRefused(
      ["--config", at("off.json"), "--output", at("program")],
      `write "${at("program")}": another file than the executable expected`,
    );
    const inside = at("gone/out");
    const outcome = await build("--config", at("off.json"), "--output", inside);
    expect(outcome.stderr.startsWith(`slipway image: write "${inside}": ENOENT: no such file or directory`)).toBe(true);
  });
  it("leave an older image as it was, also when stopped", async () => {
    put("out", "old");
    rmSync(at("1.2-test/k/virtio_blk.ko.zst"));
    put("1.2-test/k/virtio_blk.ko.zst", "broken");
    expect((await build(...full())).code).toBe(1);
    const stop = AbortSignal.abort(new Error("stopped"));
    const io = { stdout: { write: () => {} }, stderr: { write: () => {} } };
    const args = ["build", "--output", at("out"), "--executable", at("program"), "--config", at("off.json")];
    await expect(runImage(args, io, stop)).rejects.toThrow("stopped");
    expect(readFileSync(at("out"), "utf8")).toBe("old");
    expect(readdirSync(work).filter((name) => name.startsWith("."))).toEqual([]);
    expect(lstatSync(at("out")).isFile()).toBe(true);
  });
});

describe("usage", () => {
  const expectUsage = async (args: readonly string[], text: string): Promise<void> => {
    await expect(run(args)).rejects.toThrow(new UsageError(text));
  };
  const out = ["build", "--output", "x"];
  it("says what was expected", async () => {
    await expectUsage([], 'image: "build" expected');
    await expectUsage(["burn"], 'image: "build" expected, not "burn"');
    await expectUsage(["build"], "image build: --output FILE expected");
    await expectUsage([...out, "--format", "uki"], 'image build: --format "uki": only "cpio" is accepted');
    await expectUsage([...out, "--json", "--quiet"], "image build: --json and --quiet exclude each other");
    await expectUsage(
      [...out, "--compression", "xz"],
      'image build: --compression "xz": "zstd", "gzip" or "none" expected',
    );
    await expectUsage([...out, "--level", "23"], 'image build: --level "23": a number from 1 to 22 expected for zstd');
    await expectUsage(
      [...out, "--level", "fast"],
      'image build: --level "fast": a number from 1 to 22 expected for zstd',
    );
    await expectUsage(
      [...out, "--compression", "gzip", "--level", "0"],
      'image build: --level "0": a number from 1 to 9 expected for gzip',
    );
    await expectUsage(
      [...out, "--compression", "none", "--level", "1"],
      "image build: --level does not go with --compression none",
    );
    await expectUsage(
      [...out, "--include", "/a"],
      'image build: --include "/a": SOURCE:DESTINATION with an absolute DESTINATION expected',
    );
    await expectUsage(
      [...out, "--include", "a:b"],
      'image build: --include "a:b": SOURCE:DESTINATION with an absolute DESTINATION expected',
    );
    await expectUsage([...out, "--modules", ""], "image build: --modules: a kernel version or a directory expected");
    await expect(run([...out, "--bogus"])).rejects.toThrow(UsageError);
    await expect(run([...out, "word"])).rejects.toThrow(UsageError);
  });
  it("names every option", () => {
    for (const option of [
      "output",
      "config",
      "keys",
      "modules",
      "include",
      "compression",
      "level",
      "format",
      "executable",
      "json",
      "quiet",
    ]) {
      expect(imageUsage).toContain(`  --${option}`);
    }
  });
});
