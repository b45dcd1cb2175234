import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { BootEntry } from "../../../src/discovery/entry.ts";
import { type Manifest, manifestText } from "../../../src/formats/manifest.ts";
import { joinSignedDocument } from "../../../src/formats/signed-document.ts";
import { readArtifacts } from "../../../src/trust/artifacts.ts";
import { noFirmwareLists, type Policy, type ReadKeys, resolvePolicy } from "../../../src/trust/policy.ts";
import { type PolicyDocument, parsePolicy } from "../../../src/trust/policy-schema.ts";
import type { KeptMinimum } from "../../../src/trust/rollback.ts";
import { readAnchorFile } from "../../../src/trust/schemes/schemes.ts";
import { type Verdict, verify } from "../../../src/trust/verify.ts";
import { bootEntry } from "../../fakes/boot-entry.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";
import { minisign, newSigner, type Signer } from "../../fakes/minisign-signer.ts";
import { fakeSystem } from "../../fakes/system.ts";

const limits = { kernelBytesMax: 4 << 20, initrdBytesMax: 4 << 20, devicetreeBytesMax: 1 << 20 };
const alice = newSigner("alicekey");
const bob = newSigner("bobkey  ");
const carol = newSigner("carolkey");
const stranger = newSigner("stranger");
const now = Date.parse("2027-06-01T00:00:00Z");

async function keysOf(signers: Readonly<Record<string, Signer>>): Promise<ReadKeys> {
  const files = await Promise.all(
    Object.entries(signers).map(async ([name, signer]) => {
      const bytes = new TextEncoder().encode(signer.publicFile);
      return { name: `${name}.pub`, bytes, anchors: (await readAnchorFile(name, bytes)) ?? [] };
    }),
  );
  return { files, problems: [], ignored: [] };
}

async function policyOf(
  document: object,
  signers: Readonly<Record<string, Signer>> = { alice, bob, carol },
): Promise<Policy> {
  const parsed: PolicyDocument = parsePolicy(JSON.stringify(document), "policy");
  const { policy, problems } = await resolvePolicy(parsed, await keysOf(signers), noFirmwareLists, now);
  expect(problems).toEqual([]);
  return policy;
}

const contents = { "/entry.conf": "config", "/vmlinuz": "the kernel", "/a": "first", "/b": "second" };
const entryOf = (own: Partial<BootEntry> = {}): BootEntry =>
  bootEntry({ initrd: ["/a", "/b"].map((path) => ({ volume: "vda1", path })), options: "root=/dev/vda2 ro", ...own });

function fileOf(path: string, text: string): { path: string; sha256: string; size: number } {
  return { path, sha256: createHash("sha256").update(text).digest("hex"), size: text.length };
}

const listed = {
  title: "Entry",
  linux: fileOf("/vmlinuz", contents["/vmlinuz"]),
  part: null,
  initrd: ["first", "second"].map((text, index) => ({ ...fileOf(`/${index}`, text), archive: null })),
  options: "root=/dev/vda2 ro",
  modules: [],
  addons: [],
  devicetree: null,
  overlays: [],
};

function manifestOf(own: Partial<Manifest> = {}, entry: Partial<typeof listed> = {}): string {
  return manifestText({
    product: null,
    version: 1,
    notBefore: null,
    notAfter: null,
    entries: [{ ...listed, ...entry }],
    files: [],
    ...own,
  });
}

function signedBy(payload: string, ...signers: readonly Signer[]): Uint8Array {
  const bytes = new TextEncoder().encode(payload);
  const blocks = signers.map((signer) => new TextEncoder().encode(minisign(signer, payload)));
  return joinSignedDocument(bytes, blocks);
}

const place = "/slipway/boot.manifest";

interface Case {
  readonly policy?: object;
  readonly files?: MemoryFiles;
  readonly entry?: BootEntry;
  readonly label?: string;
  readonly kept?: Readonly<Record<string, KeptMinimum>>;
  readonly signers?: Readonly<Record<string, Signer>>;
}

async function judged({
  policy = {},
  files = {},
  entry = entryOf(),
  label,
  kept = {},
  signers,
}: Case): Promise<Verdict> {
  const resolved = await policyOf(policy, signers);
  const facts = label === undefined ? {} : { label };
  using artifacts = await readArtifacts({
    system: fakeSystem(),
    sources: [memorySource("vda1", { ...contents, ...files }, facts)],
    entry,
    policy: resolved,
    limits,
    memoryBytes: null,
  });
  return verify(artifacts, resolved, new Map(Object.entries(kept)));
}

const trusts = async (case_: Case): Promise<void> => {
  const verdict = await judged(case_);
  expect(verdict.ok ? "trusted" : verdict.reason).toBe("trusted");
};

const refuses = async (case_: Case, ...phrases: readonly string[]): Promise<void> => {
  const verdict = await judged(case_);
  if (verdict.ok) throw new Error("trusted");
  for (const phrase of phrases) expect(verdict.reason).toContain(phrase);
};

const withManifest = (payload: string, ...signers: readonly Signer[]): MemoryFiles => ({
  [place]: signedBy(payload, ...signers),
});

describe("a manifest", () => {
  it("vouches for kernel, initrds and options of an entry whose configuration nobody signed", async () => {
    const verdict = await judged({ files: withManifest(manifestOf({ product: "acme", version: 7 }), alice) });
    expect(verdict.ok && verdict.boot).toMatchObject({ by: ["alice"], release: { product: "acme", version: 7 } });
    expect(verdict.artifacts.map(({ role, trusted, by }) => [role, trusted, by])).toEqual([
      ["options", true, "alice"],
      ["linux", true, "alice"],
      ["initrd", true, "alice"],
      ["initrd", true, "alice"],
    ]);
  });

  const where = `manifest "${place}" on vda1`;
  it("by a stranger counts for nothing, whatever it says", () =>
    refuses({ files: withManifest(manifestOf(), stranger) }, `${place}: made with key`, "which is not trusted"));
  it("without a signature", () => refuses({ files: { [place]: manifestOf() } }, `${place}: no signature`));
  it("that was changed", () => {
    const text = Buffer.from(signedBy(manifestOf(), alice)).toString("utf8").replace('"version": 1', '"version": 2');
    return refuses({ files: { [place]: text } }, `${place}: the signature does not match the file`);
  });
  it("that is none, although it is signed", () => refuses({ files: withManifest("hello\n", alice) }, where));
  it("with another kernel", () =>
    refuses(
      { files: withManifest(manifestOf({}, { linux: fileOf("/vmlinuz", "old") }), alice) },
      `${where}: it lists no entry with this kernel`,
    ));
  it("with the initrds in another order", () =>
    refuses(
      { files: withManifest(manifestOf({}, { initrd: [...listed.initrd].reverse() }), alice) },
      `${where}: it lists this kernel with another initrd than "/a" on vda1`,
    ));
  it("with an initrd less", () =>
    refuses(
      { files: withManifest(manifestOf({}, { initrd: listed.initrd.slice(1) }), alice) },
      `${where}: it lists this kernel with 1 initrd, not 2`,
    ));
  it("with other options", () =>
    refuses(
      { files: withManifest(manifestOf({}, { options: "root=/dev/vda2 rw" }), alice) },
      `${where}: it lists this kernel with other options: "root=/dev/vda2 rw"`,
    ));
  it("with a part of the kernel that is not booted", () =>
    refuses(
      { files: withManifest(manifestOf(), alice), entry: entryOf({ part: "@1" }) },
      `${where}: it lists the default part of the kernel, not part "@1"`,
    ));
  it("that puts an initrd elsewhere in its archive", () =>
    refuses(
      {
        files: withManifest(manifestOf(), alice),
        entry: entryOf({
          initrd: [
            { volume: "vda1", path: "/a", archive: { path: "/.extra/a", mode: 0o444, directories: 1 } },
            { volume: "vda1", path: "/b" },
          ],
        }),
      },
      `${where}: it lists the initrd "/a" on vda1 with another name or place in its archive`,
    ));
  it("that has expired", () =>
    refuses(
      { files: withManifest(manifestOf({ notAfter: now - 1000 }), alice) },
      `${where}: expired on 2027-05-31T23:59:59Z`,
    ));
  it("that is not valid yet", () =>
    refuses({ files: withManifest(manifestOf({ notBefore: now + 1000 }), alice) }, `${where}: not valid before`));
  it("does not vouch for more than one word before the options", async () => {
    const files = withManifest(manifestOf(), alice);
    await trusts({ files, entry: entryOf({ bootImage: "BOOT_IMAGE=(hd0,gpt2)/vmlinuz-6.1" }) });
    const strange = [
      "BOOT_IMAGE=/a init=/bin/sh",
      "init=/bin/sh",
      'BOOT_IMAGE="/a',
      "BOOT_IMAGE=/a\u00a0x",
      "BOOT_IMAGE=",
    ];
    for (const bootImage of strange) {
      await refuses({ files, entry: entryOf({ bootImage }) }, "is not the one word BOOT_IMAGE=PATH");
    }
  });
  it("of files: each counts in its role only", async () => {
    const files = Object.entries({ linux: "/vmlinuz", config: "/entry.conf" } as const).map(([role, path]) => ({
      role: role as "linux" | "config",
      ...fileOf(path, contents[path]),
    }));
    const initrds = ["first", "second"].map((text) => ({ role: "initrd" as const, ...fileOf("/i", text) }));
    const all = { entries: [], files: [...files, ...initrds] };
    await trusts({ files: withManifest(manifestOf(all), alice) });
    const misplaced = {
      entries: [],
      files: [...files, ...initrds.map((file) => ({ ...file, role: "module" as const }))],
    };
    await refuses({ files: withManifest(manifestOf(misplaced), alice) }, 'initrd "/a" on vda1 refused');
  });
});

describe("threshold", () => {
  const two = { threshold: 2 };
  it("two signers of three", () => trusts({ policy: two, files: withManifest(manifestOf(), alice, carol) }));
  it("one signer", () =>
    refuses(
      { policy: two, files: withManifest(manifestOf(), alice) },
      "signed by alice: 2 different signers expected, not 1",
    ));
  it("one signer twice", () =>
    refuses(
      { policy: two, files: withManifest(manifestOf(), alice, alice) },
      "signed by alice: 2 different signers expected, not 1",
    ));
  it("one key under two names", () =>
    refuses(
      {
        policy: two,
        files: { ...withManifest(manifestOf(), alice), "/slipway/second.manifest": signedBy(manifestOf(), alice) },
        signers: { alice, again: alice },
      },
      "2 different signers expected, not 1",
    ));
  it("a stranger does not count", () =>
    refuses(
      { policy: two, files: withManifest(manifestOf(), alice, stranger) },
      "2 different signers expected, not 1",
    ));
  it("two manifests, one signer each", () =>
    trusts({
      policy: two,
      files: { ...withManifest(manifestOf(), alice), "/slipway/second.manifest": signedBy(manifestOf(), bob) },
    }));
});

describe("keys of the policy", () => {
  const key = (own: object): object => ({ keys: [{ file: "alice.pub", ...own }] });
  const files = withManifest(manifestOf(), alice);
  it("only those that it names", () =>
    refuses({ policy: { keys: [{ file: "bob.pub" }] }, files }, "which is not trusted"));
  it("purposes", () =>
    refuses({ policy: key({ purposes: ["linux"] }), files }, 'signed by "alice", who may not sign a manifest'));
  it("a label", async () => {
    const verdict = await judged({ policy: key({ label: "The release key" }), files });
    expect(verdict.ok && verdict.boot.by).toEqual(["The release key"]);
  });
  it("revoked", () =>
    refuses({ policy: key({ revoked: true }), files }, 'signed by "alice", whose key the policy has revoked'));
  it("expired", () =>
    refuses(
      { policy: key({ notAfter: "2027-05-01" }), files },
      'signed by "alice", whose key is expired on 2027-05-01T00:00:00Z by the policy',
    ));
  it("not valid yet", () => refuses({ policy: key({ notBefore: "2027-07-01" }), files }, "not valid before"));
  it("a clock that is not set is not believed for what begins later", () =>
    trusts({ policy: { ...key({ notBefore: "2027-07-01" }), clock: { atLeast: "2027-06-15" } }, files }));
  it("what has ended before the time that is known for certain stays ended", () =>
    refuses({ policy: { ...key({ notAfter: "2027-06-10" }), clock: { atLeast: "2027-06-15" } }, files }, "expired on"));
  it("a clock from before this program is not believed either", async () => {
    const document = parsePolicy(JSON.stringify(key({ notBefore: "2030-01-01" })), "policy");
    const { policy } = await resolvePolicy(document, await keysOf({ alice }), noFirmwareLists, 0);
    expect(policy.clock).toEqual({ now: null, atLeast: Date.parse("2026-11-20") });
  });
  it("clock none", () => trusts({ policy: { ...key({ notAfter: "2027-05-01" }), clock: { source: "none" } }, files }));
  it("the key's own text", () =>
    trusts({ policy: { keys: [{ text: alice.publicFile, label: "inline" }] }, files, signers: {} }));
  it("a file whose digest the policy has revoked", () =>
    refuses(
      { policy: { revoked: [fileOf("", contents["/a"]).sha256] }, files },
      'initrd "/a" on vda1 refused: the policy has revoked its SHA-256',
    ));
});

describe("rules", () => {
  const files = withManifest(manifestOf(), alice);
  it("by label: audit for one volume, enforce for the others", async () => {
    const policy = { rules: [{ name: "lab", volumes: ["label=LAB*"], mode: "audit" }] };
    const verdict = await judged({ policy, label: "LAB1" });
    expect(verdict.ok && verdict.boot.mode).toBe("audit");
    await refuses({ policy, label: "OTHER" }, "no signature");
  });
  it("by format", () => trusts({ policy: { rules: [{ formats: ["bls1"], mode: "off" }] } }));
  it("the first that fits", () =>
    refuses(
      { policy: { rules: [{ formats: ["bls1"], threshold: 2 }, { mode: "off" }] }, files },
      "2 different signers expected",
    ));
  it("signers", () =>
    refuses(
      { policy: { rules: [{ name: "only bob", signers: ["bob"] }] }, files },
      'signed by "alice", whose signatures do not count under the rule "only bob"',
    ));
  it("schemes", () =>
    refuses({ policy: { schemes: ["openpgp"] }, files }, "signatures of the kind minisign do not count"));
  it("evidence", () => refuses({ policy: { evidence: ["detached"] }, files }, "no signature"));
  it("what need not be covered", async () => {
    const kernel = { "/vmlinuz.minisig": minisign(alice, contents["/vmlinuz"]) };
    await trusts({ policy: { cover: ["linux"] }, files: kernel });
    await refuses({ policy: { cover: ["linux", "initrd"] }, files: kernel }, 'initrd "/a" on vda1 refused');
  });
});

describe("options that nobody signed", () => {
  const files = withManifest(manifestOf({}, { options: "root=/dev/vda2 ro" }), alice);
  const policy = { optionsAllowed: ["quiet", "console=*"] };
  it("are taken where a pattern allows each word", () =>
    trusts({ policy, files, entry: entryOf({ options: "quiet root=/dev/vda2 console=ttyS0 ro" }) }));
  it("are refused where none does", () =>
    refuses(
      { policy, files, entry: entryOf({ options: "root=/dev/vda2 ro init=/bin/sh" }) },
      '"init=/bin/sh" does not fit',
    ));
  it("signed words stay", () =>
    refuses({ policy, files, entry: entryOf({ options: "quiet root=/dev/vda2" }) }, 'of which "ro" is missing'));
  it("signed words keep their order", () =>
    refuses({ policy, files, entry: entryOf({ options: "ro root=/dev/vda2" }) }, '"ro" does not fit'));
  it("added at the console", async () => {
    await trusts({ policy, files, entry: entryOf({ addedOptions: "quiet console=ttyS1" }) });
    await refuses(
      { policy, files, entry: entryOf({ addedOptions: "quiet init=/bin/sh" }) },
      'options refused: "init=/bin/sh" was added at the console and does not fit "optionsAllowed"',
    );
    await refuses({ files, entry: entryOf({ addedOptions: "quiet" }) }, '"quiet" was added at the console');
  });
  it("nothing is handed to init behind --", () =>
    refuses(
      { policy: { optionsAllowed: ["*"] }, files, entry: entryOf({ options: "root=/dev/vda2 ro -- sh" }) },
      '"--"',
    ));
  it("of an unsigned configuration, every word has to fit", async () => {
    const signed = Object.fromEntries(
      Object.entries(contents)
        .filter(([path]) => path !== "/entry.conf")
        .map(([path, text]) => [`${path}.minisig`, minisign(alice, text)]),
    );
    const petitboot = { optionsAllowed: ["root=/dev/vd*", "ro"] };
    await trusts({ policy: petitboot, files: signed });
    await refuses({ policy: petitboot, files: signed, entry: entryOf({ options: "ro rdinit=/x" }) }, '"rdinit=/x"');
  });
});

describe("versions", () => {
  const guarded = (own: object = {}): object => ({ rollback: { store: "efi", products: [{ name: "acme", ...own }] } });
  const at = (minimum: number | null, problem: string | null = null): Readonly<Record<string, KeptMinimum>> => ({
    acme: { where: "EFI variable", minimum, problem },
  });
  const acme = (version: number): MemoryFiles => withManifest(manifestOf({ product: "acme", version }), alice);
  it("the minimum itself", () => trusts({ policy: guarded(), files: acme(2), kept: at(2) }));
  it("below the minimum", () =>
    refuses(
      { policy: guarded(), files: acme(1), kept: at(2) },
      `version refused: manifest "${place}" on vda1: version 1 of "acme", at least 2 expected (EFI variable); options`,
    ));
  it("below the policy's own minimum", () =>
    refuses({ policy: guarded({ minimum: 5 }), files: acme(4), kept: at(2) }, "at least 5 expected (policy)"));
  it("a store that cannot be read", () =>
    refuses({ policy: guarded(), files: acme(3), kept: at(null, "it is gone") }, "it is gone"));
  it("an entry that is signed without a version", async () => {
    const signed = Object.fromEntries(
      Object.entries(contents).map(([path, text]) => [`${path}.minisig`, minisign(alice, text)]),
    );
    await trusts({ files: signed });
    await refuses({ policy: guarded(), files: signed, kept: at(2) }, "version refused: no manifest says its product");
  });
  it("another product, signed by the same key", () =>
    refuses(
      { policy: guarded(), files: withManifest(manifestOf({ product: "other", version: 9 }), alice), kept: at(2) },
      'product "other" is not in "rollback.products"',
    ));
});

describe("lockdown", () => {
  const bad = (document: object, reason: string): void =>
    expect(() => parsePolicy(JSON.stringify({ lockdown: true, ...document }), "policy")).toThrow(reason);
  it("allows no loose rule", () => {
    bad({ mode: "audit" }, 'policy: mode: "audit" is not possible with "lockdown"');
    bad({ rules: [{ mode: "off" }] }, 'policy: rules[0].mode: "off" is not possible with "lockdown"');
    bad({ optionsAllowed: ["quiet"] }, 'policy: optionsAllowed: an empty list expected with "lockdown"');
    bad({ rules: [{ cover: ["linux"] }] }, 'policy: rules[0].cover: everything has to be covered with "lockdown"');
    bad(
      { threshold: 2, rules: [{ schemes: ["authenticode"] }] },
      'policy: rules[0].threshold: at least 2 expected, as outside of the rules, with "lockdown"',
    );
    bad(
      { signers: ["release"], rules: [{ volumes: ["label=X"] }] },
      'policy: rules[0].signers: some have to be named, as outside of the rules, with "lockdown"',
    );
  });
});

describe("what a policy cannot say", () => {
  const rows: readonly (readonly [object, string])[] = [
    [{ modes: "enforce" }, 'unknown field "modes"'],
    [{ threshold: 0 }, "threshold: "],
    [{ cover: [] }, "cover: nothing would be checked"],
    [{ schemes: [] }, "schemes: at least one expected"],
    [{ evidence: [] }, "evidence: at least one expected"],
    [{ keys: [{}] }, 'keys[0]: either "file" or "text" expected'],
    [{ keys: [{ text: "x" }] }, 'keys[0].label: a label expected with "text"'],
    [{ keys: [{ file: "../a" }] }, "keys[0].file: the name of a file, without a directory, expected"],
    [{ keys: [{ file: "a" }, { file: "a" }] }, 'keys[1].label: a second key called "a"'],
    [{ revoked: ["XX"] }, 'revoked: "XX", 64 lower-case hexadecimal digits expected'],
    [{ rules: [{ volumes: ["nolabel"] }] }, 'rules[0].volumes: "nolabel", FACT=PATTERN expected'],
    [{ rules: [{ volumes: ["label=[a"] }] }, "rules[0].volumes: glob"],
    [{ optionsAllowed: ["[a"] }, "optionsAllowed: glob"],
    [{ clock: { atLeast: "2026-02-30" } }, "clock.atLeast: "],
    [{ rollback: { store: "tpm", products: [{ name: "a" }] } }, "rollback.products[0].nvIndex: an NV index expected"],
    [{ rollback: { products: [{}] } }, "rollback.products[0].name: a product's name expected"],
    [{ rollback: { store: "file" } }, "rollback.volume: "],
    [{ rollback: { store: "file", volume: "uuid=1" } }, "rollback.path: "],
    [
      {
        rollback: {
          store: "tpm",
          products: [
            { name: "a", nvIndex: 0x01800001 },
            { name: "b", nvIndex: 0x01800002 },
          ],
        },
      },
      "rollback.products: NV indices overlap",
    ],
  ];
  for (const [document, reason] of rows) {
    it(reason, () => expect(() => parsePolicy(JSON.stringify(document), "policy")).toThrow(reason));
  }
  it("is no JSON", () => expect(() => parsePolicy("{", "policy")).toThrow("policy: JSON expected"));
  it("a key that is not there is told, and trusted with nothing", async () => {
    const document = parsePolicy('{"keys":[{"file":"nosuch.pub"}]}', "policy");
    const { policy, problems } = await resolvePolicy(document, await keysOf({ alice }), noFirmwareLists, now);
    expect(problems).toEqual(['policy: key "nosuch.pub": there is no such key file']);
    expect(policy.anchors).toEqual([]);
  });
});
