import { createHash } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { BootEntry } from "../../../src/discovery/entry.ts";
import { type Manifest, manifestText, parseManifest } from "../../../src/formats/manifest.ts";
import { joinSignedDocument } from "../../../src/formats/signed-document.ts";
import { measureInputOf } from "../../../src/handoff/boot-measurements.ts";
import { readArtifacts } from "../../../src/trust/artifacts.ts";
import { noFirmwareLists, type ReadKeys, readKeys, resolvePolicy } from "../../../src/trust/policy.ts";
import { parsePolicy } from "../../../src/trust/policy-schema.ts";
import type { KeptMinimum } from "../../../src/trust/rollback.ts";
import { readAnchorFile } from "../../../src/trust/schemes/schemes.ts";
import { signaturesCheckedMax, type Verdict, verify } from "../../../src/trust/verify.ts";
import { bootEntry } from "../../fakes/boot-entry.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";
import { minisign, newSigner, type Signer } from "../../fakes/minisign-signer.ts";
import { signatureData } from "../../fakes/signature-data.ts";
import { fakeSystem } from "../../fakes/system.ts";

// What somebody without a key puts on a disk, and what a careless policy says.

const limits = { kernelBytesMax: 4 << 20, initrdBytesMax: 4 << 20, devicetreeBytesMax: 1 << 20 };
const alice = newSigner("alicekey");
const bob = newSigner("bobkey  ");
const now = Date.parse("2027-06-01T00:00:00Z");
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

async function keysOf(files: Readonly<Record<string, Uint8Array>>): Promise<ReadKeys> {
  const read = Object.entries(files).map(async ([name, bytes]) => ({
    name,
    bytes,
    anchors: (await readAnchorFile(name.replace(/\.[^.]+$/, ""), bytes)) ?? [],
  }));
  return { files: await Promise.all(read), problems: [], ignored: [] };
}

const pub = (signer: Signer): Uint8Array => bytesOf(signer.publicFile);
const teamKeys = { "alice.pub": pub(alice), "bob.pub": pub(bob) };

interface Case {
  readonly policy?: object;
  readonly keys?: Readonly<Record<string, Uint8Array>>;
  readonly files: MemoryFiles;
  readonly entry: BootEntry;
  readonly kept?: Readonly<Record<string, KeptMinimum>>;
}

async function judged({ policy = {}, keys = teamKeys, files, entry, kept = {} }: Case): Promise<Verdict> {
  const document = parsePolicy(JSON.stringify(policy), "policy");
  const resolved = (await resolvePolicy(document, await keysOf(keys), noFirmwareLists, now)).policy;
  using artifacts = await readArtifacts({
    system: fakeSystem(),
    sources: [memorySource("vda1", files)],
    entry,
    policy: resolved,
    limits,
    memoryBytes: null,
  });
  return verify(artifacts, resolved, new Map(Object.entries(kept)));
}

async function trusts(case_: Case): Promise<Verdict> {
  const verdict = await judged(case_);
  expect(verdict.ok ? "trusted" : verdict.reason).toBe("trusted");
  return verdict;
}

async function refuses(case_: Case, reason: string): Promise<void> {
  const verdict = await judged(case_);
  expect(verdict.ok ? "trusted" : verdict.reason).toContain(reason);
}

const fileOf = (path: string, content: string): { path: string; sha256: string; size: number } => ({
  path,
  sha256: createHash("sha256").update(content).digest("hex"),
  size: content.length,
});

function manifestOf(own: Partial<Manifest> = {}, options = "root=/dev/vda2"): string {
  const listed = {
    title: "Entry",
    linux: fileOf("/vmlinuz", "the kernel"),
    part: null,
    initrd: [],
    options,
    modules: [],
    addons: [],
    devicetree: null,
    overlays: [],
  };
  return manifestText({
    product: null,
    version: 1,
    notBefore: null,
    notAfter: null,
    entries: [listed],
    files: [],
    ...own,
  });
}

function signedBy(payload: string, ...signers: readonly Signer[]): Uint8Array {
  return joinSignedDocument(
    bytesOf(payload),
    signers.map((signer) => bytesOf(minisign(signer, payload))),
  );
}

const plain = { "/entry.conf": "config", "/vmlinuz": "the kernel" };
const entry = bootEntry({ options: "root=/dev/vda2" });
const signedFiles = Object.fromEntries(
  Object.entries(plain).map(([path, text]) => [`${path}.minisig`, minisign(alice, text)]),
);

describe("a signature inside a file that is taken for something else", () => {
  const root = { "root.crt": new Uint8Array(signatureData("authenticode/root.crt")) };
  // Small, and no kernel: an add-on for images, say.
  const image = new Uint8Array(signatureData("authenticode/addon.efi"));
  // The table behind what is signed: an entry that nobody understands costs itself alone.
  const withTail = (tail: Uint8Array): Uint8Array => {
    const head = Buffer.alloc(8);
    const length = 8 + tail.length;
    head.writeUInt32LE(length);
    head.writeUInt16LE(0x0200, 4);
    head.writeUInt16LE(0x0ef0, 6);
    const whole = Buffer.concat([image, head, tail, Buffer.alloc(-length & 7)]);
    const directory = whole.readUInt32LE(60) + 24 + 112 + 4 * 8;
    whole.writeUInt32LE(whole.readUInt32LE(directory + 4) + whole.length - image.length, directory + 4);
    return new Uint8Array(whole);
  };
  const own = (kernel: Uint8Array): MemoryFiles => ({ ...plain, "/vmlinuz": kernel, ...signedConfig });
  const signedConfig = { "/entry.conf.minisig": minisign(alice, "config") };
  const keys = { ...teamKeys, ...root };

  it("a table entry of a strange type changes nothing for a kernel", () =>
    trusts({ keys, files: own(withTail(new Uint8Array(16))), entry }));

  it("vouches for no OS package: an archive is read from the end of the file, where nobody signed it", async () => {
    const packaged = bootEntry({ format: "ospkg", embedded: true, configs: [], options: "quiet" });
    await refuses(
      { keys, files: own(withTail(new Uint8Array(16))), entry: packaged },
      "a signature of the kind authenticode does not vouch for a file of the kind package",
    );
  });

  it("vouches for no multiboot kernel: the header is searched for, and tells what to load", async () => {
    const header = Buffer.alloc(32);
    const flags = 0x10000;
    const values = [0x1badb002, flags, (0x1_0000_0000 - 0x1badb002 - flags) >>> 0, 0x100000, 0x100000, 0, 0, 0x100020];
    for (const [index, value] of values.entries()) header.writeUInt32LE(value, index * 4);
    await refuses(
      { keys, files: own(withTail(header)), entry },
      "a signature of the kind authenticode does not vouch for a kernel of the kind multiboot-x86",
    );
  });
});

describe("a key for kernels", () => {
  it("vouches for no OS package, which is more than a kernel", async () => {
    const packaged = bootEntry({ format: "ospkg", embedded: true, configs: [], options: "quiet" });
    const files = { ...plain, ...signedFiles };
    await trusts({ files, entry: packaged });
    const policy = { keys: [{ file: "alice.pub", purposes: ["linux"] }] };
    await refuses({ policy, files, entry: packaged }, 'signed by "alice", who may not sign a package');
  });
});

describe("words that a pattern allows", () => {
  const policy = { optionsAllowed: ["console=*"] };
  const files = { ...plain, "/slipway/a.manifest": signedBy(manifestOf(), alice) };
  const refusesWord = (options: string): Promise<void> =>
    refuses({ policy, files, entry: bootEntry({ options }) }, 'does not fit "optionsAllowed"');

  it("are single words to every reader of the line, quoted or not", async () => {
    await trusts({ policy, files, entry: bootEntry({ options: "root=/dev/vda2 console=ttyS0,115200n8" }) });
    // One word to the kernel, three to a shell that reads /proc/cmdline.
    await refusesWord('root=/dev/vda2 console="x init=/bin/sh y"');
    await refusesWord('root=/dev/vda2 console="x');
    await refusesWord("root=/dev/vda2 console='x");
    await refusesWord("root=/dev/vda2 console=x\\");
  });

  it("are nothing that the kernel divides otherwise", async () => {
    // The kernel's white space holds the byte 0xA0, which "à" has.
    await refusesWord("console=ttyS0\u00e0init=/bin/sh");
    const signed = { ...plain, "/vmlinuz.minisig": signedFiles["/vmlinuz.minisig"] ?? "" };
    await refuses(
      { policy, files: signed, entry: bootEntry({ options: "console=ttyS0\u00e0init=/bin/sh" }) },
      'does not fit "optionsAllowed"',
    );
  });
});

describe("the place of an initrd, which an unsigned configuration names", () => {
  const initrd = { volume: "vda1", path: "/tool" };
  const archive = { path: "/init", mode: 0o755, directories: Number.POSITIVE_INFINITY };
  const files = { ...plain, ...signedFiles, "/tool": "a tool", "/tool.minisig": minisign(alice, "a tool") };
  const unsigned = { ...files, "/entry.conf.minisig": minisign(newSigner(), "config") };

  it("is no matter of the patterns for options", async () => {
    const policy = { optionsAllowed: ["root=*"] };
    await trusts({ policy, files: unsigned, entry: { ...entry, initrd: [initrd] } });
    await refuses(
      { policy, files: unsigned, entry: { ...entry, initrd: [{ ...initrd, archive }] } },
      'which is not authenticated, and so does the place "/init" of "/tool" on vda1 in the initrd',
    );
    await refuses(
      { policy, files: unsigned, entry: { ...entry, modules: [{ file: initrd, options: "x" }] } },
      "which is not authenticated, and so do those of a module",
    );
  });

  it("is measured, and so is the part of a kernel file", async () => {
    const wrapped = { ...entry, part: "#conf-1", initrd: [initrd, { ...initrd, archive }] };
    const verdict = await trusts({ files, entry: wrapped });
    if (!verdict.ok) return;
    const { part, initrdMembers } = measureInputOf(verdict.boot, { commandLine: "", unified: null }, "");
    expect(part).toBe("#conf-1");
    expect(initrdMembers).toEqual(["2 0755 all 0755 /init"]);
    const unified = { fd: -1, offset: 0, length: 0 };
    const companion = { ...archive, path: "/.extra/credentials/a.cred", directoryMode: 0o500 };
    const image = {
      ...entry,
      part: "@1",
      initrd: [
        { ...initrd, archive: companion },
        { ...initrd, archive },
      ],
    };
    const other = await trusts({ files, entry: image });
    if (!other.ok) return;
    const input = measureInputOf(other.boot, { commandLine: "", unified }, "");
    expect([input.part, input.initrdMembers]).toEqual([null, ["2 0755 all 0755 /init"]]);
  });
});

describe("the version of an entry", () => {
  const guarded = { threshold: 2, rollback: { store: "efi", products: [{ name: "acme" }] } };
  const kept = { acme: { where: "EFI variable", minimum: 5, problem: null } };
  const acme = (version: number, ...signers: readonly Signer[]): Uint8Array =>
    signedBy(manifestOf({ product: "acme", version }), ...signers);

  it("is what enough signers say: one of two cannot make an old entry new", async () => {
    const byBob = Object.fromEntries(
      Object.entries(plain).map(([path, text]) => [`${path}.minisig`, minisign(bob, text)]),
    );
    const files = { ...plain, ...byBob, "/slipway/a.manifest": acme(9, alice) };
    await refuses(
      { policy: guarded, files, entry, kept },
      'version refused: no manifest says its product and version, which "rollback" of the policy asks for, signed by 2 different signers',
    );
    await trusts({ policy: guarded, files: { ...files, "/slipway/b.manifest": acme(9, bob) }, entry, kept });
  });

  it("is the highest that they say, whatever the files are called", async () => {
    const files = { ...plain, "/slipway/a.manifest": acme(6, alice, bob), "/slipway/b.manifest": acme(7, alice, bob) };
    const verdict = await trusts({ policy: guarded, files, entry, kept });
    expect(verdict.ok && verdict.boot.release).toEqual({ product: "acme", version: 7 });
    const lonely = { ...files, "/slipway/c.manifest": acme(100, alice) };
    const other = await trusts({ policy: guarded, files: lonely, entry, kept });
    expect(other.ok && other.boot.release).toEqual({ product: "acme", version: 7 });
  });
});

describe("a revoked key", () => {
  const files = { ...plain, ...signedFiles };
  const revoked = 'signed by "alice", whose key the policy has revoked';

  it("does not count out of another file either", async () => {
    const keys = { "team.pub": pub(alice), "stolen.pub": pub(alice), "alice.pub": pub(alice) };
    const policy = { keys: [{ file: "alice.pub" }, { file: "team.pub" }, { file: "stolen.pub", revoked: true }] };
    await trusts({ keys, policy: { keys: policy.keys.slice(0, 2) }, files, entry });
    await refuses({ keys, policy, files, entry }, revoked);
  });

  it("of a certificate: nor below its issuer, in another certificate, or as a copy of the issuer", async () => {
    const crt = (name: string): Uint8Array => new Uint8Array(signatureData(`authenticode/${name}.crt`));
    const image = { ...plain, "/vmlinuz": new Uint8Array(signatureData("authenticode/sbsign.efi")) };
    const signed = { ...image, "/entry.conf.minisig": minisign(bob, "config") };
    const keys = { ...teamKeys, "root.crt": crt("root"), "copy.crt": crt("root"), "leaf.crt": crt("leaf") };
    const trusted = [{ file: "bob.pub" }, { file: "root.crt" }];
    await trusts({ keys, policy: { keys: trusted }, files: signed, entry });
    for (const file of ["leaf.crt", "copy.crt"]) {
      await refuses(
        { keys, policy: { keys: [...trusted, { file, revoked: true }] }, files: signed, entry },
        "whose key the policy has revoked",
      );
    }
  });

  it("of OpenPGP: nor out of a keyring", async () => {
    const gpg = (name: string): Uint8Array => new Uint8Array(signatureData(`openpgp/${name}`));
    const message = new Uint8Array(signatureData("openpgp/message.txt"));
    const signed = {
      ...plain,
      "/vmlinuz": message,
      "/vmlinuz.sig": gpg("ed25519.sig"),
      "/entry.conf.minisig": minisign(bob, "config"),
    };
    const keys = { ...teamKeys, "ring.gpg": gpg("ed25519.gpg"), "stolen.gpg": gpg("ed25519.gpg") };
    const trusted = [{ file: "bob.pub" }, { file: "ring.gpg" }];
    await trusts({ keys, policy: { keys: trusted }, files: signed, entry });
    await refuses(
      { keys, policy: { keys: [...trusted, { file: "stolen.gpg", revoked: true }] }, files: signed, entry },
      'signed by "ring", whose key the policy has revoked',
    );
  });
});

describe("a file whose digest is revoked", () => {
  it("does not boot where nobody has to vouch for it either, and says so whoever signed it", async () => {
    const initrd = [{ volume: "vda1", path: "/old" }];
    const files = { ...plain, ...signedFiles, "/old": "old" };
    const policy = { cover: ["options", "linux"] };
    await trusts({ policy, files, entry: { ...entry, initrd } });
    await refuses(
      { policy: { ...policy, revoked: [fileOf("/old", "old").sha256] }, files, entry: { ...entry, initrd } },
      'initrd "/old" on vda1 refused: the policy has revoked its SHA-256',
    );
  });
});

describe("a careless policy", () => {
  const problemsOf = async (policy: object, keys: Readonly<Record<string, Uint8Array>> = teamKeys): Promise<unknown> =>
    (await resolvePolicy(parsePolicy(JSON.stringify(policy), "policy"), await keysOf(keys), noFirmwareLists, now))
      .problems;

  it("names signers that nobody is, or that two are", async () => {
    expect(await problemsOf({ signers: ["alice", "bbo"], rules: [{ signers: ["eve"] }] })).toEqual([
      'policy: signers: no key is called "bbo"',
      'policy: signers: no key is called "eve"',
    ]);
    const keys = { ...teamKeys, "alice.pem": pub(bob) };
    expect(await problemsOf({ signers: ["alice"] }, keys)).toEqual(['policy: signers: 2 keys are called "alice"']);
    expect(await problemsOf({ signers: ["firmware db#2"], firmware: { db: true } })).toEqual([]);
  });

  it("says nothing twice, for who reads it and who obeys it may take different ones", () => {
    const parse = (text: string) => (): unknown => parsePolicy(text, "policy");
    expect(parse('{"mode":"enforce","serial":1,"mo\\u0064e":"off"}')).toThrow(
      'policy: the field "mode" stands twice in one object',
    );
    expect(parse('{"rules":[{"name":"a"},{"name":"b","name":"c"}]}')).toThrow('"name" stands twice');
    expect(parse('{"rules":[{"name":"a\\"\\\\"},{"name":"name"}], "schemes" : ["cms"]}')).not.toThrow();
    const twice = manifestOf().replace('"version": 1', '"version": 1, "version": 9');
    expect(() => parseManifest(bytesOf(twice))).toThrow('manifest: the field "version" stands twice in one object');
  });

  const bad = (document: object, reason: string): void =>
    expect(() => parsePolicy(JSON.stringify({ lockdown: true, ...document }), "policy")).toThrow(reason);
  it("cannot demand less by a rule with lockdown", () => {
    bad({ threshold: 2, rules: [{ volumes: ["label=X"] }] }, "policy: rules[0].threshold: at least 2 expected");
    bad(
      { schemes: ["minisign"], rules: [{ schemes: ["minisign", "authenticode"] }] },
      'policy: rules[0].schemes: "authenticode" does not count outside of the rules, nor may it with "lockdown"',
    );
    bad({ evidence: ["manifest"], rules: [{}] }, 'policy: rules[0].evidence: "detached" does not count');
    bad({ signers: ["a"], rules: [{}] }, "policy: rules[0].signers: some have to be named");
    bad({ signers: ["a"], rules: [{ signers: ["a", "b"] }] }, 'policy: rules[0].signers: "b" does not count');
    const stricter = { threshold: 3, schemes: ["minisign"], evidence: ["manifest"], signers: ["a"] };
    const locked = { lockdown: true, threshold: 2, signers: ["a", "b"], rules: [stricter] };
    expect(parsePolicy(JSON.stringify(locked), "policy").rules[0]?.threshold).toBe(3);
  });

  it("with a list of revocations that cannot be understood is none", async () => {
    const directory = mkdtempSync(join(tmpdir(), "keys-"));
    writeFileSync(join(directory, "firmware.dbx"), "no list");
    await expect(readKeys(directory)).rejects.toThrow(`read key "${directory}/firmware.dbx": efi signature list`);
  });

  it("the firmware's list is not asked where no key is one that it is about", async () => {
    const firmware = { db: null, dbx: bytesOf("a list of the future, which is not understood"), sbat: null };
    const document = parsePolicy("{}", "policy");
    expect((await resolvePolicy(document, await keysOf(teamKeys), firmware, now)).problems).toEqual([]);
    const keys = await keysOf({ "root.crt": new Uint8Array(signatureData("authenticode/root.crt")) });
    await expect(resolvePolicy(document, keys, firmware, now)).rejects.toThrow("efi signature list");
  });
});

describe("work", () => {
  it("of signatures by the thousand is bounded, and so is what is told of them", async () => {
    const text = Buffer.from(minisign(newSigner("alicekey"), "the kernel")).toString("utf8");
    const blocks = Array.from({ length: 32 }, () => bytesOf(text));
    const many = Object.fromEntries(
      [0, 1, 2].map((n) => [`/slipway/${n}.manifest`, joinSignedDocument(bytesOf("{}\n"), blocks)]),
    );
    const verdict = await judged({ files: { ...plain, ...many }, entry });
    const reason = verdict.ok ? "" : verdict.reason;
    expect(reason).toContain("and 88 more reasons");
    expect(reason.length).toBeLessThan(3000);
    const signers = Array.from({ length: signaturesCheckedMax }, () => newSigner("bobkey  "));
    const late = signedBy(manifestOf(), ...signers.slice(0, 31), bob);
    await trusts({ files: { ...plain, "/slipway/a.manifest": late }, entry });
    const keys = { ...teamKeys, "ring.gpg": new Uint8Array(signatureData("openpgp/ed25519.gpg")) };
    const junk = new Uint8Array(signatureData("openpgp/ed25519.sig"));
    const own = {
      ...plain,
      ...signedFiles,
      "/vmlinuz.minisig": "",
      "/vmlinuz.cms": signedFiles["/vmlinuz.minisig"] ?? "",
    };
    const half = (count: number): Uint8Array => Buffer.concat(Array.from({ length: count }, () => junk));
    await trusts({ keys, files: { ...own, "/vmlinuz.sig": half(16), "/vmlinuz.gpg": half(15) }, entry });
    await refuses(
      { keys, files: { ...own, "/vmlinuz.sig": half(16), "/vmlinuz.gpg": half(16) }, entry },
      `and 26 more reasons`,
    );
  });
});
