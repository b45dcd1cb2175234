import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runSign } from "../../../src/cli/sign.ts";
import { type Manifest, parseManifest } from "../../../src/formats/manifest.ts";
import { splitSignedDocument } from "../../../src/formats/signed-document.ts";
import { timelessClock } from "../../../src/trust/clock.ts";
import { minisignAnchorReader } from "../../../src/trust/schemes/minisign.ts";
import { noRevocations } from "../../../src/trust/schemes/scheme.ts";
import { readSignatureFile } from "../../../src/trust/schemes/schemes.ts";
import { sshAnchorReader } from "../../../src/trust/schemes/sshsig.ts";
import { anchorsOf, signedContent } from "../../fakes/signature-data.ts";

const data = (path: string): string => fileURLToPath(new URL(`../../data/signatures/${path}`, import.meta.url));
const minisignKey = ["--key", data("minisign/plain.key")];
const sshKey = ["--key", data("sshsig/ed25519")];
const anchors = [
  ...anchorsOf(minisignAnchorReader, "minisign/plain.pub", "plain"),
  ...anchorsOf(sshAnchorReader, "sshsig/ed25519.pub", "ssh"),
  ...anchorsOf(minisignAnchorReader, "signify/plain.pub", "signify"),
];

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "slipway-sign-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, content: string): string {
  const full = join(root, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, content);
  return full;
}

/** Two entries, and one that is skipped. */
function volume(): void {
  write(
    "loader/entries/b.conf",
    "title System\nlinux /vmlinuz\ninitrd /initrd\ninitrd /more\noptions root=/dev/vda2\noptions quiet\n",
  );
  write("loader/entries/a.conf", "title Rescue\nlinux /vmlinuz\ninitrd /initrd\ndevicetree /board.dtb\n");
  write("loader/entries/broken.conf", "title Broken\nlinux /absent\n");
  for (const name of ["vmlinuz", "initrd", "more", "board.dtb"]) write(name, `content of ${name}`);
}

const now = Date.UTC(2026, 10, 20, 9, 30) + 123;

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function sign(...args: string[]): Promise<Run> {
  const [out, err]: [string[], string[]] = [[], []];
  const stdout = { write: (text: string) => out.push(text) };
  const stderr = { write: (text: string) => err.push(text) };
  const nothing = { next: async () => ({ done: true, value: undefined }) as const };
  const input = { pause: () => null, [Symbol.asyncIterator]: () => nothing };
  const code = await runSign(args, { stdout, stderr, terminal: { input, output: stderr }, now: () => now });
  return { code, out: out.join(""), err: err.join("") };
}

/** Who signed a document, or why not, for each of its signatures. */
async function signersOf(path: string): Promise<(string | null)[]> {
  const { payload, blocks } = splitSignedDocument(new Uint8Array(readFileSync(path)));
  const signatures = (await Promise.all(blocks.map(readSignatureFile))).flat();
  const context = { anchors, clock: timelessClock, revocations: noRevocations };
  return signatures.map((signature) => {
    const { signer, reason } = signature.check(signedContent(payload), context);
    return signer?.label ?? reason;
  });
}

function manifestOf(path: string): Manifest {
  return parseManifest(splitSignedDocument(new Uint8Array(readFileSync(path))).payload);
}

const hashed = (path: string) => {
  const bytes = readFileSync(join(root, path));
  return { path, sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
};

const nothingMore = { part: null, modules: [], addons: [], overlays: [] };

describe("a manifest", () => {
  test("of a volume's entries, where the firmware looks for it", async () => {
    volume();
    const before = readdirSync(root);
    const { code, out, err } = await sign(...minisignKey, "--version", "7", "--root", root);
    const path = join(root, "slipway/boot.manifest");
    expect(code).toBe(0);
    expect(out).toBe(
      `${path}: signed with minisign key ${anchors[0]?.id}\n  version 7\n  entry "System", options "root=/dev/vda2 quiet"\n  entry "Rescue", options ""\n`,
    );
    expect(err).toBe(`slipway sign: 1 skipped; "slipway explain" tells why\n`);
    expect(await signersOf(path)).toEqual(["plain"]);
    expect(manifestOf(path)).toEqual({
      product: null,
      version: 7,
      notBefore: null,
      notAfter: null,
      entries: [
        {
          ...nothingMore,
          title: "System",
          linux: hashed("/vmlinuz"),
          initrd: [
            { ...hashed("/initrd"), archive: null },
            { ...hashed("/more"), archive: null },
          ],
          options: "root=/dev/vda2 quiet",
          devicetree: null,
        },
        {
          ...nothingMore,
          title: "Rescue",
          linux: hashed("/vmlinuz"),
          initrd: [{ ...hashed("/initrd"), archive: null }],
          options: "",
          devicetree: hashed("/board.dtb"),
        },
      ],
      files: [],
    });
    expect(readdirSync(root)).toEqual([...before, "slipway"].sort());
    expect(readdirSync(join(root, "slipway"))).toEqual(["boot.manifest"]);
  });

  test("of some entries and a file, with all that can be said", async () => {
    volume();
    const output = join(root, "out.manifest");
    const words = ["--product", "acme", "--not-before", "2026-11-20", "--not-after", "2027-01-02T03:04:05Z"];
    const file = join(root, "loader/entries/b.conf");
    const args = ["--version", "0", ...words, "--role", "config", "--root", root, "--output", output, "Rescue", file];
    const { code, out } = await sign(...minisignKey, ...sshKey, ...args, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({
      version: 1,
      output,
      sha256: createHash("sha256")
        .update(splitSignedDocument(readFileSync(output)).payload)
        .digest("hex"),
      manifest: { product: "acme", version: 0, entries: ["Rescue"], files: ["/loader/entries/b.conf"] },
      signedBy: [`minisign key ${anchors[0]?.id}`, `OpenSSH key ${anchors[1]?.id}`],
      signaturesKept: 0,
    });
    expect(await signersOf(output)).toEqual(["plain", "ssh"]);
    const { product, notBefore, notAfter, entries, files } = manifestOf(output);
    expect([product, notBefore, notAfter]).toEqual(["acme", Date.UTC(2026, 10, 20), Date.UTC(2027, 0, 2, 3, 4, 5)]);
    expect(entries.map(({ title }) => title)).toEqual(["Rescue"]);
    expect(files).toEqual([{ role: "config", ...hashed("/loader/entries/b.conf") }]);
    expect(existsSync(join(root, "slipway"))).toBe(false);
  });

  test("of files alone, of the same name too; valid for some days", async () => {
    const [a, b] = [write("a/image", "first"), write("b/image", "second")];
    const output = join(root, "out.manifest");
    const args = ["--version", "3", "--days", "10", "--output", output, a, b];
    expect((await sign(...minisignKey, ...args)).code).toBe(0);
    const { entries, files, notAfter } = manifestOf(output);
    expect(entries).toEqual([]);
    const facts = ["/a/image", "/b/image"].map((path) => ({ role: "file", ...hashed(path), path: join(root, path) }));
    expect(files).toEqual(facts);
    expect(notAfter).toBe(Date.UTC(2026, 10, 30, 9, 30));
  });

  test("replaces the one of yesterday", async () => {
    volume();
    for (const version of ["1", "2"]) await sign(...minisignKey, "--version", version, "--root", root);
    const path = join(root, "slipway/boot.manifest");
    expect(manifestOf(path).version).toBe(2);
    expect(await signersOf(path)).toEqual(["plain"]);
  });

  test("of nothing", async () => {
    const { code, out, err } = await sign(...minisignKey, "--version", "1", "--root", root);
    expect([code, out, err]).toEqual([3, "", "slipway sign: no entry was found, nothing is signed\n"]);
    expect(readdirSync(root)).toEqual([]);
  });
});

describe("a document", () => {
  test("gets one signature after the other, and its text stays", async () => {
    const path = write("policy.json", '{ "x": 1 }\n');
    expect((await sign(...minisignKey, "--document", path)).out).toBe(
      `${path}: signed with minisign key ${anchors[0]?.id}\n`,
    );
    expect((await sign(...sshKey, "--document", path)).out).toBe(
      `${path}: signed with OpenSSH key ${anchors[1]?.id}\n  1 signature kept\n`,
    );
    expect(await signersOf(path)).toEqual(["plain", "ssh"]);
    expect(readFileSync(path, "utf8")).toMatch(/^{ "x": 1 }\n--- signatures ---\nuntrusted comment: /);
  });

  test("signed again in the same way it has the signature once", async () => {
    const path = write("policy.json", "{}\n");
    for (const _ of [1, 2]) await sign(...sshKey, "--document", path);
    expect(await signersOf(path)).toEqual(["ssh"]);
  });

  test("a last line without its end gets one", async () => {
    const path = write("policy.json", "{}");
    await sign(...minisignKey, "--document", path);
    expect(readFileSync(path, "utf8")).toMatch(/^{}\n--- signatures ---\n/);
    expect(await signersOf(path)).toEqual(["plain"]);
  });

  test("--replace drops what was there, --output leaves the original", async () => {
    const path = write("policy.json", "{}\n");
    await sign(...minisignKey, "--document", path);
    const before = readFileSync(path);
    const output = join(root, "new.json");
    await sign(...sshKey, "--document", path, "--output", output, "--replace");
    expect(await signersOf(output)).toEqual(["ssh"]);
    expect(readFileSync(path)).toEqual(before);
  });

  test("a command signs", async () => {
    const path = write("policy.json", "signed by a throwaway test key\n");
    await sign("--command", `cat '${data("signify/detached.sig")}'`, "--document", path);
    expect(await signersOf(path)).toEqual(["signify"]);
  });

  test("--add takes manifests only", async () => {
    volume();
    await sign(...minisignKey, "--version", "7", "--root", root);
    const path = join(root, "slipway/boot.manifest");
    const { out } = await sign(...sshKey, "--add", path);
    expect(out).toContain("  version 7\n");
    expect(await signersOf(path)).toEqual(["plain", "ssh"]);
    const other = write("policy.json", "{}\n");
    await expect(sign(...sshKey, "--add", other)).rejects.toThrow(
      `sign "${other}": manifest: slipwayManifest: missing, a whole number from 1 to 1 expected`,
    );
    expect(readFileSync(other, "utf8")).toBe("{}\n");
  });

  test("one that cannot be signed stays as it is", async () => {
    const path = write("policy.json", "{}\n");
    const failing = sign(...minisignKey, "--command", "exit 1", "--document", path);
    await expect(failing).rejects.toThrow('command "exit 1": it ended with exit code 1, 0 expected');
    expect(readFileSync(path, "utf8")).toBe("{}\n");
    const broken = write("broken", "{}\n--- signatures ---\nhello\n");
    await expect(sign(...minisignKey, "--document", broken)).rejects.toThrow(
      `sign "${broken}": signed document: line 3: "hello", a signature expected`,
    );
  });
});

describe("refused", () => {
  test.each([
    [[], "sign: --key FILE or --command COMMAND expected"],
    [[...minisignKey], "sign: --version N expected"],
    [[...minisignKey, "--version", "-1"], "argument is ambiguous"],
    [[...minisignKey, "--version=-1"], 'sign: --version "-1", a whole number from 0 to 9007199254740991 expected'],
    [[...minisignKey, "--version", "1.5"], 'sign: --version "1.5", a whole number from 0 to 9007199254740991 expected'],
    [[...minisignKey, "--version", "9007199254740992"], 'sign: --version "9007199254740992", a whole number'],
    [[...minisignKey, "--version", "1"], "sign: --output FILE expected without --root"],
    [
      [...minisignKey, "--version", "1", "--root", "/a", "--root", "/b"],
      "sign: --output FILE expected with several --root",
    ],
    [[...minisignKey, "--version", "1", "--replace"], "sign: --replace does not go with a new manifest"],
    [[...minisignKey, "--version", "1", "--product", ""], "sign: --product NAME expected, the name is empty"],
    [
      [...minisignKey, "--version", "1", "--role", "kernel"],
      'sign: --role "kernel", one of config, environment, linux, initrd, devicetree, module, addon, overlay, file expected',
    ],
    [[...minisignKey, "--version", "1", "--days", "0"], 'sign: --days "0", a whole number from 1 to 36525 expected'],
    [
      [...minisignKey, "--version", "1", "--days", "1", "--not-after", "2026-11-20"],
      "sign: --days does not go with --not-after",
    ],
    [
      [...minisignKey, "--version", "1", "--output", "/x", "--not-after", "tomorrow"],
      'sign: --not-after "tomorrow", 2026-11-20 or 2026-11-20T09:30:00Z expected',
    ],
    [[...minisignKey, "--version", "1", "--output", "/x", "/no/such"], 'sign "/no/such": no such file'],
    [[...minisignKey, "--document", "a", "--add", "b"], "sign: --document and --add exclude each other"],
    [[...minisignKey, "--document", "a", "--version", "1"], "sign: --version does not go with --document"],
    [[...minisignKey, "--add", "a", "--root", "b"], "sign: --root does not go with --add"],
    [[...minisignKey, "--add", "a", "b"], 'sign: "b" does not go with --add'],
    [[...minisignKey, "--document", "/no/such"], `sign "/no/such": ENOENT: no such file or directory, stat '/no/such'`],
    [["--key", "/no/such", "--version", "1"], `--key "/no/such": ENOENT: no such file or directory, stat '/no/such'`],
    [["--key", "/", "--version", "1"], '--key "/": a regular file expected'],
    [
      ["--key", data("minisign/locked.key"), "--version", "1"],
      "there is no terminal to ask at; --password-file FILE reads it from a file",
    ],
  ])("row %#", async (args, reason) => {
    await expect(sign(...args)).rejects.toThrow(reason);
  });

  test("a word that is nothing", async () => {
    volume();
    await expect(sign(...minisignKey, "--version", "1", "--root", root, "Sistem")).rejects.toThrow(
      'sign "Sistem": neither an entry nor a file; "slipway list" shows the entries\' ids',
    );
    expect(existsSync(join(root, "slipway"))).toBe(false);
  });

  test("valid until before it is valid from", async () => {
    const output = join(root, "out");
    const args = ["--version", "1", "--not-before", "2026-11-20", "--not-after", "2026-11-19", "--output", output];
    await expect(sign(...minisignKey, ...args, write("x", "x"))).rejects.toThrow(
      "manifest: notAfter: 2026-11-19T00:00:00Z is before notBefore, 2026-11-20T00:00:00Z",
    );
    expect(existsSync(output)).toBe(false);
  });
});
