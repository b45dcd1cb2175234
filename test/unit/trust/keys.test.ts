import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type KeyFile, readKeys, readKeysIfAny } from "../../../src/trust/policy.ts";

const directory = mkdtempSync(join(tmpdir(), "slipway-keys-"));
afterAll(() => rmSync(directory, { recursive: true }));

const publicKey = readFileSync(new URL("../../data/minisign/throwaway-test.pub", import.meta.url), "utf8");
let count = 0;

const anchorsOf = (files: readonly KeyFile[]): KeyFile["anchors"] => files.flatMap(({ anchors }) => anchors);

/** A directory with these files; null makes a directory. */
function keysOf(files: Readonly<Record<string, string | null>>): string {
  const place = join(directory, String(count++));
  mkdirSync(place);
  for (const [name, text] of Object.entries(files)) {
    if (text === null) mkdirSync(join(place, name));
    else writeFileSync(join(place, name), text);
  }
  return place;
}

describe("readKeys", () => {
  it("takes the key of minisign's own file, by the file's name", async () => {
    const { files, problems, ignored } = await readKeys(keysOf({ "release.pub": publicKey }));
    // The id is the one that minisign prints for this key (test/data/minisign/README.md).
    expect(anchorsOf(files).map(({ label, kind, id }) => ({ label, kind, id }))).toEqual([
      { label: "release", kind: "minisign", id: "DFD0210565BC72C1" },
    ]);
    expect(problems).toEqual([]);
    expect(ignored).toEqual([]);
  });

  it("reads keys in the order of their names", async () => {
    const { files } = await readKeys(keysOf({ "b.pub": publicKey, "a.pub": publicKey }));
    expect(anchorsOf(files).map((key) => key.label)).toEqual(["a", "b"]);
  });

  it("names what it does not take for a key", async () => {
    const { files, ignored, problems } = await readKeys(keysOf({ "release.pub": publicKey, README: "", sub: null }));
    expect(files).toHaveLength(1);
    expect(ignored).toEqual(["README", "sub"]);
    expect(problems).toEqual([]);
  });

  const refused = async (content: string | null, reason: string | RegExp): Promise<void> => {
    const place = keysOf({ "bad.pub": content, "good.pub": publicKey });
    const { files, problems } = await readKeys(place);
    expect(anchorsOf(files).map((key) => key.label)).toEqual(["good"]);
    expect(problems).toHaveLength(1);
    if (typeof reason === "string") expect(problems[0]).toBe(`read key "${place}/bad.pub": ${reason}`);
    else expect(problems[0]).toMatch(reason);
  };
  it("a file that is no key costs itself", () => refused("hello\n", "a key of no known kind"));
  it("an empty file costs itself", () => refused("", "a key of no known kind"));
  it("a cut key costs itself", () =>
    refused(publicKey.slice(0, -10), /line 2: 56 characters of base64 expected, not 47$/));
  it("a file that is too large costs itself", () =>
    refused("x".repeat(1_048_577), "1048577 bytes, at most 1048576 are taken"));
  it("a secret key is refused loudly", () =>
    refused(
      "untrusted comment: minisign encrypted secret key\nRWRTY0Iy\n",
      "a secret key: only public keys belong here",
    ));
  it("a directory costs itself", () => refused(null, "a regular file expected"));

  it("a missing directory holds none", async () => {
    const none = { files: [], problems: [], ignored: [] };
    expect(await readKeysIfAny(join(directory, "nowhere"))).toEqual(none);
    await expect(readKeys(join(directory, "nowhere"))).rejects.toThrow("ENOENT");
  });

  it("a place that is no directory is an error: nobody knows which keys it was to hold", async () => {
    const place = keysOf({ file: "" });
    await expect(readKeysIfAny(join(place, "file"))).rejects.toThrow("ENOTDIR");
  });
});
