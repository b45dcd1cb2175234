import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { UsageError } from "../../../src/cli/verb.ts";
import { verifyVerb } from "../../../src/cli/verify.ts";
import { capture } from "../../fakes/capture.ts";
import { minisign, readSigner } from "../../fakes/minisign-signer.ts";

const scratch = mkdtempSync(join(tmpdir(), "slipway-verify-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const data = (name: string): URL => new URL(`../../data/minisign/${name}`, import.meta.url);
const signer = readSigner(data("throwaway-test.key"));

function put(path: string, content: string | Uint8Array): string {
  const full = join(scratch, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, content);
  return full;
}

put("keys/release.pub", readFileSync(data("throwaway-test.pub")));
const policy = put("policy.json", '{"trust":"off"}');
const conf = "title One\nlinux /vmlinuz\n";
for (const place of ["good", "bad"]) {
  put(`${place}/loader/entries/one.conf`, conf);
  put(`${place}/loader/entries/one.conf.minisig`, minisign(signer, conf));
  put(`${place}/vmlinuz`, place === "good" ? "kernel" : "kernel with a virus");
  put(`${place}/vmlinuz.minisig`, minisign(signer, "kernel"));
}
const message = put("message.txt", readFileSync(data("message.txt")));
put("message.txt.minisig", readFileSync(data("message.txt.minisig")));
const unsigned = put("unsigned.txt", "x");

const verify = (...args: string[]) =>
  capture(() => verifyVerb.run(["--keys", join(scratch, "keys"), "--policy", policy, ...args]));
const good = ["--root", `${join(scratch, "good")},name=vda1`];
const bad = ["--root", `${join(scratch, "bad")},name=vda1`];

describe("exit codes", () => {
  it("0: an entry that is trusted", async () => {
    const { code, stdout } = await verify(...good, "vda1:bls1:one");
    expect(stdout).toBe(`vda1:bls1:one: trusted
  options: trusted, signed by release
  config vda1:/loader/entries/one.conf: trusted, signed by release
  linux vda1:/vmlinuz: trusted, signed by release
`);
    expect(code).toBe(0);
  });
  it("2: an entry that is refused, whatever mode the policy file names", async () => {
    const { code, stdout } = await verify(...bad, "One");
    expect(stdout).toContain("vda1:bls1:one: REFUSED\n");
    expect(stdout).toContain(
      "  linux vda1:/vmlinuz: refused: /vmlinuz.minisig: the signature does not match the file\n",
    );
    expect(code).toBe(2);
  });
  it("0: a file that minisign signed", async () => {
    expect(await verify(message)).toEqual({
      code: 0,
      stdout: `${message}: trusted\n  file: trusted, signed by release\n`,
      stderr: "",
    });
  });
  it("2: a file without a signature, beside one that is good", async () => {
    const { code, stdout } = await verify(message, unsigned);
    expect(code).toBe(2);
    expect(stdout).toContain(`${unsigned}: REFUSED\n  file: refused: no signature\n`);
  });
  it("2: without a key nothing is trusted", async () => {
    const { code, stdout } = await verify("--keys", scratch, message);
    expect(code).toBe(2);
    expect(stdout).toContain("message.txt.minisig: made with key DFD0210565BC72C1, which is not trusted\n");
  });
  it("a signed document is judged by the signatures in it", async () => {
    const signed = (name: string, payload: string, by = minisign(signer, payload)): string =>
      put(name, `${payload}--- signatures ---\n${by}`);
    const manifest = '{ "slipwayManifest": 1, "version": 1 }\n';
    const reasonOf = async (file: string): Promise<string> => {
      const { code, stdout } = await verify(file);
      const [, line = ""] = stdout.split("\n");
      return `${code}: ${line.trim().replaceAll(file, "FILE")}`;
    };
    expect(await reasonOf(signed("ok.manifest", manifest))).toBe("0: file: trusted, signed by release");
    const changed = signed("changed.manifest", manifest.replace("1 }", "2 }"), minisign(signer, manifest));
    expect(await reasonOf(changed)).toBe("2: file: refused: FILE: the signature does not match the file");
    expect(await reasonOf(put("bare.manifest", `${manifest}--- signatures ---\n`))).toBe(
      "2: file: refused: no signature",
    );
    const broken = signed("broken.manifest", '{ "slipwayManifest": 1, "versions": 1 }\n');
    expect(await reasonOf(broken)).toMatch(/^2: file: refused: manifest: .*"versions"/);
    const old = signed("old.manifest", '{ "slipwayManifest": 1, "version": 1, "notAfter": "2020-01-01T00:00:00Z" }\n');
    expect(await reasonOf(old)).toBe("2: file: refused: expired on 2020-01-01T00:00:00Z");
    // Keys without a policy may sign everything but policies.
    expect(await reasonOf(signed("policy.signed", '{ "serial": 3 }\n'))).toBe(
      '2: file: refused: FILE: signed by "release", who may not sign a policy',
    );
  });
  it("failures: nothing named, nothing found", async () => {
    await expect(verify()).rejects.toThrow(new UsageError("verify: an entry or a file expected"));
    await expect(verify(...good, "nosuch")).rejects.toThrow(
      'verify "nosuch": neither an entry nor a file; "slipway list" shows the entries\' ids',
    );
  });
});

describe("--json", () => {
  it("an entry that is refused", async () => {
    const { code, stdout } = await verify("--json", ...bad, "vda1:bls1:one");
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      version: 1,
      trusted: false,
      results: [
        {
          entry: "vda1:bls1:one",
          trusted: false,
          problem: null,
          artifacts: [
            {
              role: "options",
              volume: "vda1",
              path: "/loader/entries/one.conf",
              trusted: true,
              by: "release",
              reason: null,
            },
            {
              role: "config",
              volume: "vda1",
              path: "/loader/entries/one.conf",
              trusted: true,
              by: "release",
              reason: null,
            },
            {
              role: "linux",
              volume: "vda1",
              path: "/vmlinuz",
              trusted: false,
              by: null,
              reason: "/vmlinuz.minisig: the signature does not match the file",
            },
          ],
        },
      ],
    });
  });
  it("a file", async () => {
    const { code, stdout } = await verify("--json", message);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      version: 1,
      trusted: true,
      results: [{ file: message, trusted: true, problem: null, artifacts: [{ path: message, by: "release" }] }],
    });
  });
  it("an entry that cannot be read says why", async () => {
    const limited = put("limited.json", '{"limits":{"kernelBytesMax":1048576}}');
    put("good/vmlinuz-big", Buffer.alloc((1 << 20) + 1));
    put("good/loader/entries/big.conf", "title Big\nlinux /vmlinuz-big\n");
    const { code, stdout } = await verify("--policy", limited, "--json", ...good, "vda1:bls1:big");
    expect(code).toBe(2);
    expect(JSON.parse(stdout).results).toMatchObject([
      { trusted: false, problem: expect.stringContaining("1048577 bytes, at most 1048576 are taken"), artifacts: [] },
    ]);
  });
});
