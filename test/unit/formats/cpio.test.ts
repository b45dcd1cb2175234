import { execFileSync } from "node:child_process";
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  CpioEncoder,
  type CpioNode,
  cpioFileBytesMax,
  cpioPadding,
  readCpio,
  symlinkContent,
} from "../../../src/formats/cpio.ts";
import { FormatError } from "../../../src/formats/format-error.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "slipway-cpio-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function archive(nodes: readonly (CpioNode & { readonly text?: string })[]): Uint8Array {
  const encoder = new CpioEncoder();
  const parts: Uint8Array[] = [];
  for (const node of nodes) {
    const content = node.type === "symlink" ? symlinkContent(node.target) : new TextEncoder().encode(node.text ?? "");
    parts.push(encoder.entry(node), content, cpioPadding(content.length));
  }
  return new Uint8Array(Buffer.concat([...parts, encoder.end()]));
}

const directory = (name: string): CpioNode => ({ type: "directory", name, permissions: 0o755 });
const file = (name: string, text: string, permissions = 0o644): CpioNode & { text: string } => ({
  type: "file",
  name,
  permissions,
  sizeBytes: Buffer.byteLength(text),
  text,
});

const sample = archive([
  directory("dev"),
  { type: "character", name: "dev/console", permissions: 0o600, major: 5, minor: 1 },
  directory("etc"),
  file("etc/empty", ""),
  file("etc/größe", "fünf\n"),
  file("init", "#!/bin/sh\nexit 0\n", 0o755),
  { type: "symlink", name: "lib64", target: "usr/lib64" },
  { type: "directory", name: "tmp", permissions: 0o1777 },
]);

const cpio = (args: readonly string[], cwd: string): string =>
  execFileSync("cpio", [...args], {
    cwd,
    input: sample,
    encoding: "utf8",
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, TZ: "UTC", LC_ALL: "C" },
  });

describe("written archives", () => {
  it("begin as the kernel's documentation has it", () => {
    // buffer-format.rst: magic, ino, mode, uid, gid, nlink, mtime, filesize, maj, min, rmaj, rmin, namesize, chksum.
    const header = new TextDecoder().decode(
      new CpioEncoder().entry({ type: "character", name: "console", permissions: 0o600, major: 5, minor: 1 }),
    );
    const fields = [
      "00000001",
      "00002180",
      "00000000",
      "00000000",
      "00000001",
      "00000000",
      "00000000",
      "00000000",
      "00000000",
      "00000005",
      "00000001",
      "00000008",
      "00000000",
    ];
    expect(header).toBe(`070701${fields.join("")}console\0\0\0`);
  });
  it("are listed by cpio(1)", () => {
    const lines = cpio(["-tv", "--numeric-uid-gid", "--quiet"], scratch).trim().split("\n");
    expect(lines.map((line) => line.replace(/ +/g, " "))).toEqual([
      "drwxr-xr-x 2 0 0 0 Jan 1 1970 dev",
      "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
      "drwxr-xr-x 2 0 0 0 Jan 1 1970 etc",
      "-rw-r--r-- 1 0 0 0 Jan 1 1970 etc/empty",
      "-rw-r--r-- 1 0 0 6 Jan 1 1970 etc/größe",
      "-rwxr-xr-x 1 0 0 17 Jan 1 1970 init",
      "lrwxrwxrwx 1 0 0 9 Jan 1 1970 lib64 -> usr/lib64",
      "drwxrwxrwt 2 0 0 0 Jan 1 1970 tmp",
    ]);
  });
  it("are unpacked by cpio(1)", () => {
    // Device nodes need a privilege that a test may lack.
    cpio(["-idm", "--quiet", "--no-absolute-filenames", "etc*", "init", "lib64", "tmp"], scratch);
    expect(readFileSync(path.join(scratch, "etc/größe"), "utf8")).toBe("fünf\n");
    expect(readFileSync(path.join(scratch, "etc/empty"), "utf8")).toBe("");
    expect(lstatSync(path.join(scratch, "init")).mode & 0o7777).toBe(0o755);
    expect(lstatSync(path.join(scratch, "tmp")).mode & 0o7777).toBe(0o1777);
    expect(readlinkSync(path.join(scratch, "lib64"))).toBe("usr/lib64");
  });
  it("are a multiple of 512 bytes", () => {
    expect(sample.length % 512).toBe(0);
    expect(archive([]).length).toBe(512);
  });
  it("are read back", () => {
    const { entries, endOffset } = readCpio(sample);
    expect(entries.map((entry) => [entry.inode, entry.type, entry.name, entry.permissions])).toEqual([
      [1, "directory", "dev", 0o755],
      [2, "character", "dev/console", 0o600],
      [3, "directory", "etc", 0o755],
      [4, "file", "etc/empty", 0o644],
      [5, "file", "etc/größe", 0o644],
      [6, "file", "init", 0o755],
      [7, "symlink", "lib64", 0o777],
      [8, "directory", "tmp", 0o1777],
    ]);
    expect(entries.map((entry) => entry.content.length)).toEqual([0, 0, 0, 0, 6, 17, 9, 0]);
    expect([entries[1]?.major, entries[1]?.minor]).toEqual([5, 1]);
    expect(sample.subarray(endOffset).every((byte) => byte === 0)).toBe(true);
  });
});

describe("refused nodes", () => {
  const expectRefused = (nodes: readonly CpioNode[], text: string): void => {
    const encoder = new CpioEncoder();
    expect(() => nodes.map((node) => encoder.entry(node))).toThrow(new FormatError("cpio", text));
  };
  const expected = `a relative path without ".", ".." and NUL expected`;
  it.each(["", "/etc", "etc/", "a//b", "..", "a/../b", ".", "a\0b", "TRAILER!!!"])("name %j", (name) => {
    const shown = name.replace("\0", "\\u{0}");
    expectRefused([directory(name)], `"${shown}": ${expected}`);
  });
  it("order, repetition and size", () => {
    expectRefused([file("a/b", "")], `"a/b": its directory "a" was expected before it`);
    expectRefused([file("a", ""), file("a/b", "")], `"a/b": its directory "a" was expected before it`);
    expectRefused([directory("a"), directory("a")], `"a": the name was written already`);
    expectRefused(
      [{ ...file("a", ""), type: "file", permissions: 0, sizeBytes: cpioFileBytesMax + 1 }],
      `"a": 4294967296 bytes, at most 4294967295 fit`,
    );
    expectRefused([directory("x".repeat(4096))], `"${"x".repeat(80)}…": 4097 bytes with NUL, at most 4096 are taken`);
  });
});

describe("archives of cpio(1)", () => {
  const made = (format: string): Uint8Array => {
    writeFileSync(path.join(scratch, "one"), "content\n");
    return new Uint8Array(execFileSync("cpio", ["-o", "-H", format, "--quiet"], { cwd: scratch, input: "one\n" }));
  };
  it.each(["newc", "crc"])("are read: %s", (format) => {
    const [entry] = readCpio(made(format)).entries;
    expect([entry?.name, entry?.type, new TextDecoder().decode(entry?.content)]).toEqual(["one", "file", "content\n"]);
  });
  it("are refused when the content does not fit its sum", () => {
    const bytes = made("crc");
    const at = Buffer.from(bytes).indexOf("content");
    bytes[at] = 0x43;
    // "content\n" sums to 773, "Content\n" to 32 less.
    expect(() => readCpio(bytes)).toThrow(
      new FormatError("cpio", `"one": the content's sum is 741, not 773`, { offset: 0, field: "c_chksum" }),
    );
  });
});

describe("broken archives", () => {
  const expectError = (bytes: Uint8Array, text: string): void => expect(() => readCpio(bytes)).toThrow(text);
  const edited = (offset: number, text: string): Uint8Array => {
    const bytes = sample.slice();
    bytes.set(new TextEncoder().encode(text), offset);
    return bytes;
  };
  it("say what is wrong where", () => {
    expectError(new Uint8Array(), `cpio: offset 0, c_magic: "070701" or "070702" expected`);
    expectError(edited(0, "070707"), `cpio: offset 0, c_magic: "070701" or "070702" expected`);
    expectError(edited(6, "0000000x"), `cpio: offset 6, c_ino: "0000000x": 8 hexadecimal digits expected`);
    expectError(edited(14, "00000000"), `cpio: offset 0, c_mode: 00: an unknown type of file`);
    expectError(edited(94, "00000001"), `cpio: offset 110, c_namesize: 1: 2 to 4096 bytes expected`);
    expectError(edited(94, "00001001"), `cpio: offset 110, c_namesize: 4097: 2 to 4096 bytes expected`);
    expectError(edited(94, "00000005"), `cpio: offset 110, name: one NUL, at the name's end, expected`);
    expectError(
      edited(54, "FFFFFFFF"),
      `cpio: offset 116, content: 4294967295 byte(s) expected, the input ends at ${sample.length}`,
    );
  });
  it("throw FormatError cut at every length", () => {
    const { endOffset } = readCpio(sample);
    for (let length = 0; length < endOffset; length++)
      expect(() => readCpio(sample.subarray(0, length))).toThrow(FormatError);
    expect(readCpio(sample.subarray(0, endOffset)).entries.length).toBe(8);
  });
  it("throw nothing else when mutated", () => {
    let state = 3;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 8;
    };
    for (let round = 0; round < 3000; round++) {
      const bytes = sample.slice();
      for (let i = 0; i < 3; i++) bytes[random() % bytes.length] = random();
      try {
        readCpio(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }
  });
});
