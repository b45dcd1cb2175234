import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runKeygen } from "../../../src/cli/keygen.ts";
import { minisignAnchorReader, minisignScheme } from "../../../src/trust/schemes/minisign.ts";
import { openSecretKey } from "../../../src/trust/signing.ts";
import { verdictOf } from "../../fakes/signature-data.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "slipway-keygen-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

async function keygen(...args: string[]): Promise<string> {
  const written: string[] = [];
  const input = { pause: () => null, [Symbol.asyncIterator]: () => ({ next: async () => noInput }) };
  const terminal = { input, output: { write: (text: string) => written.push(text) } };
  expect(await runKeygen(args, { stdout: { write: (text) => written.push(text) }, terminal })).toBe(0);
  return written.join("");
}

const noInput = { done: true, value: undefined } as const;
const message = new TextEncoder().encode("hello\n");

describe("a key without a password", () => {
  test("its two files, and what is told", async () => {
    const name = join(directory, "release");
    const told = await keygen("--no-password", name);
    const publicKey = new Uint8Array(readFileSync(`${name}.pub`));
    const [anchor] = minisignAnchorReader.readAnchors("mine", publicKey);
    expect(told).toBe(`public key: ${name}.pub\nsecret key: ${name}.key, keep it secret\nkey id: ${anchor?.id}\n`);
    expect(readFileSync(`${name}.pub`, "utf8")).toMatch(
      /^untrusted comment: minisign public key [0-9A-F]{16}\nRW.{54}\n$/,
    );
    expect(statSync(`${name}.key`).mode & 0o777).toBe(0o600);
    const signer = await openSecretKey(new Uint8Array(readFileSync(`${name}.key`)), async () => "never asked");
    const block = await signer.sign(message, { fileName: "x", now: 0 });
    expect(verdictOf(minisignScheme, block, message, anchor === undefined ? [] : [anchor])).toBe("by mine");
  });

  test("two are never the same", async () => {
    const names = ["a", "b"].map((name) => join(directory, name));
    for (const name of names) await keygen("--no-password", name);
    const [a, b] = names.map((name) => readFileSync(`${name}.pub`, "utf8"));
    expect(a).not.toBe(b);
  });

  test("a comment", async () => {
    await keygen("--no-password", "--comment", "Acme, releases", join(directory, "k"));
    expect(readFileSync(join(directory, "k.pub"), "utf8")).toMatch(/^untrusted comment: Acme, releases\n/);
  });
});

describe("minisign takes it", () => {
  test.each([
    ["without a password", ["--no-password"], ["-W"], ""],
    ["with a password", ["--password-file", "password"], [], "open sesame\n"],
  ])("%s", async (_, options, flags, typed) => {
    const name = join(directory, "release");
    const passwordFile = join(directory, "password");
    writeFileSync(passwordFile, "open sesame\n");
    await keygen(...options.map((word) => (word === "password" ? passwordFile : word)), name);
    const file = join(directory, "message");
    writeFileSync(file, message);
    execFileSync("minisign", ["-S", ...flags, "-s", `${name}.key`, "-m", file], { input: typed, stdio: "pipe" });
    const verified = execFileSync("minisign", ["-V", "-p", `${name}.pub`, "-m", file], { encoding: "utf8" });
    expect(verified).toMatch(/^Signature and comment signature verified\n/);
  });
});

describe("refused", () => {
  test.each([
    [[], "keygen: one NAME expected"],
    [["a", "b"], "keygen: one NAME expected"],
    [["--no-password", ""], 'keygen: "", a file name expected'],
    [["--no-password", "keys/"], 'keygen: "keys/", a file name expected'],
    [["--no-password", "a.pub"], 'keygen: "a.pub", a NAME without .pub or .key expected'],
    [["--no-password", "--password-file", "x", "a"], "keygen: --no-password and --password-file exclude each other"],
    [["--pasword", "a"], "Unknown option '--pasword'"],
    [
      ["--no-password", "--comment", "a\nb", "a"],
      'minisign public key: comment "a\\u{a}b", one line without NUL expected',
    ],
    [
      ["--no-password", "/nowhere/at/all"],
      `write "/nowhere/at/all.key": ENOENT: no such file or directory, open '/nowhere/at/all.key'`,
    ],
  ])("row %#", async (args, reason) => {
    await expect(keygen(...args)).rejects.toThrow(reason);
  });

  test.each([".pub", ".key"])("a %s that exists stays as it is, and nothing is made", async (suffix) => {
    const name = join(directory, "k");
    writeFileSync(name + suffix, "mine");
    await expect(keygen("--no-password", name)).rejects.toThrow(
      `write "${name}${suffix}": it exists; keys are never overwritten`,
    );
    expect(readFileSync(name + suffix, "utf8")).toBe("mine");
    expect(existsSync(name + (suffix === ".pub" ? ".key" : ".pub"))).toBe(false);
  });

  test("no terminal to ask at", async () => {
    const name = join(directory, "k");
    await expect(keygen(name)).rejects.toThrow(
      "new password for the secret key: there is no terminal to ask at; --password-file FILE reads it from a file",
    );
    expect(existsSync(`${name}.key`)).toBe(false);
  });
});
