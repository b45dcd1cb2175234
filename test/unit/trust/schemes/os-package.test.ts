import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type TrustClock, timelessClock } from "../../../../src/trust/clock.ts";
import { readOsPackageSignatures } from "../../../../src/trust/schemes/os-package.ts";
import {
  type Anchor,
  type CheckContext,
  type CheckResult,
  noRevocations,
  type Revocations,
  type SignedContent,
} from "../../../../src/trust/schemes/scheme.ts";
import { x509AnchorReader } from "../../../../src/trust/schemes/x509-anchors.ts";
import { formatErrorOf, tortureParser } from "../../../fakes/hostile-input.ts";
import { testData } from "../../../fakes/tree-data.ts";

const data = (name: string): Uint8Array => testData(`os-package/${name}`);
const textOf = (name: string): string => Buffer.from(data(name)).toString("utf8");
const anchors = (...names: readonly string[]): Anchor[] =>
  names.flatMap((name) => x509AnchorReader.readAnchors(name, data(`${name}.pem`)));

function content(bytes: Uint8Array): SignedContent {
  return { size: bytes.length, digest: (name) => createHash(name).update(bytes).digest(), bytes: () => bytes };
}
const archive = content(data("acme-1.2.zip"));
const at = (time: string): TrustClock => ({ now: Date.parse(time), atLeast: Date.parse(time) });

interface Setting {
  readonly roots?: readonly string[];
  readonly clock?: TrustClock;
  readonly revocations?: Partial<Revocations>;
  readonly archive?: SignedContent;
}

function check(descriptor: Uint8Array, setting: Setting = {}): CheckResult[] {
  const context: CheckContext = {
    anchors: anchors(...(setting.roots ?? ["root"])),
    clock: setting.clock ?? at("2026-01-01T00:00:00Z"),
    revocations: { ...noRevocations, ...setting.revocations },
  };
  return readOsPackageSignatures(descriptor).map((each) => each.check(setting.archive ?? archive, context));
}

/** Whose key a certificate's common name is the digest of. */
const owners: ReadonlyMap<string, string> = new Map(Object.entries(JSON.parse(textOf("names.json"))));
const named = (text: string): string => text.replace(/[0-9a-f]{64}/g, (digest) => owners.get(digest) ?? digest);

/** The labels of the good signers, and why the others are none. */
function judge(descriptor: Uint8Array, setting: Setting = {}): string[] {
  return check(descriptor, setting).map(({ signer, reason }) => named(signer === null ? reason : `by ${signer.label}`));
}

describe("signatures that Go made", () => {
  test.each<[string, readonly string[], Setting?]>([
    ["acme-1.2", ["by root: CN=alice", "by root: CN=bob"]],
    ["der", ["by root: CN=alice"]],
    ["by-root", ["by root", "by root: CN=alice"]],
    ["mixed", ["by ec-root: CN=mixed"], { roots: ["root", "ec-root"] }],
    ["nameless", ["by nameless: serial number 12", "by nameless: serial number 13"], { roots: ["nameless"] }],
    ["code", ["by root: CN=code"]],
    ["expired", ['certificate "CN=expired" expired on 2021-01-01T00:00:00Z']],
    ["expired", ["by root: CN=expired"], { clock: timelessClock }],
    ["expired", ["by root: CN=expired"], { clock: { now: null, atLeast: Date.parse("2020-06-01T00:00:00Z") } }],
    ["future", ['certificate "CN=future" is not valid before 2040-01-01T00:00:00Z, and it is 2026-01-01T00:00:00Z']],
    ["foreign", ['certificate "CN=mallory" is issued by "CN=foreign", which is not trusted', "by root: CN=bob"]],
    ["below-leaf", ['certificate "CN=below" is issued by "CN=alice", which is not trusted']],
    ["ecdsa", ["its certificate has a key of the kind ec, Ed25519 expected"]],
    ["web", ["its certificate is for server authentication, not for code signing"]],
    ["crypt", ["its certificate is not for signatures: its key usage lacks digitalSignature"]],
    ["sigsum", ["it is a proof of a Sigsum log, which is not judged"]],
    ["whole", ["it does not match the archive"]],
    ["other-archive", ["it does not match the archive"]],
    [
      "acme-1.2",
      ["it does not match the archive", "it does not match the archive"],
      { archive: content(data("infozip.zip")) },
    ],
    [
      "der",
      ['certificate "CN=alice" is issued by "CN=root", which is not trusted'],
      { roots: ["foreign", "nameless", "ec-root"] },
    ],
  ])("%s", (name, expected, setting) => {
    expect(judge(data(`${name}.json`), setting)).toEqual(expected);
  });

  test("a certificate of the chain is revoked", () => {
    const [anchor] = anchors("root");
    const revocations = { certificates: new Set([anchor?.id ?? ""]) };
    expect(judge(data("der.json"), { revocations })).toEqual(['certificate "CN=root" is revoked']);
  });
});

/** What is judged otherwise than by stboot, which looks neither at usages nor at keys. */
const differing: Readonly<Record<string, string>> = { web: "0 of 1", crypt: "0 of 1", "same-key": "1 of 2" };

test.each(
  textOf("judged.txt")
    .trim()
    .split("\n")
    .map((line) => line.split(": ") as [string, string])
    .filter(([name]) => name !== "unsigned"),
)("%s: signers are counted as by stboot's rule", (name, judged) => {
  const results = check(data(`${name}.json`), {
    roots: name === "nameless" ? [name] : name === "mixed" ? ["ec-root"] : ["root"],
  });
  // Two signers that share an identity are one.
  const seen = new Set<string>();
  let signers = 0;
  for (const { signer } of results) {
    if (signer === null) continue;
    if (!signer.identities.some((identity) => seen.has(identity))) signers++;
    for (const identity of signer.identities) seen.add(identity);
  }
  expect(`${signers} of ${results.length}`).toBe(differing[name] ?? judged);
});

test("what tells signers apart: the key, and the name that the root gave", () => {
  const [signer] = check(data("der.json")).map((result) => result.signer);
  const [root] = anchors("root");
  const digest = [...owners].find(([, owner]) => owner === "alice")?.[0] ?? "";
  const name = Buffer.from(digest).toString("hex");
  expect(signer).toMatchObject({ scheme: "ospkg", anchor: { label: "root" } });
  expect(signer?.identities[0]).toBe(`spki:${digest}`);
  expect(signer?.identities[1]).toMatch(new RegExp(`^x509:${root?.id}:[0-9a-f]+${name}$`));
  const nameless = check(data("nameless.json"), { roots: ["nameless"] });
  expect(nameless.map((result) => result.signer?.identities.length)).toEqual([1, 1]);
});

test("a descriptor that nobody signed", () => {
  expect(formatErrorOf(() => readOsPackageSignatures(data("unsigned.json")))).toBe(
    "OS package descriptor: signatures expected, found none",
  );
});

describe("signatures that are broken cost themselves alone", () => {
  interface Descriptor {
    certificates: string[];
    signatures: string[];
  }
  function changed(change: (descriptor: Descriptor) => void): Uint8Array {
    const descriptor = JSON.parse(textOf("acme-1.2.json")) as Descriptor;
    change(descriptor);
    return new TextEncoder().encode(JSON.stringify(descriptor));
  }
  const base64 = (value: string | Uint8Array): string => Buffer.from(value).toString("base64");

  test.each<[string, (descriptor: Descriptor) => void, string]>([
    [
      "no certificate",
      (d) => d.certificates.splice(0, 1, ""),
      "its certificate cannot be read: pem: one certificate expected, and nothing else",
    ],
    [
      "two certificates",
      (d) => d.certificates.splice(0, 1, base64(textOf("root.pem").repeat(2))),
      "its certificate cannot be read: pem: one certificate expected, and nothing else",
    ],
    [
      "text before",
      (d) => d.certificates.splice(0, 1, base64(`alice\n${textOf("root.pem")}`)),
      "its certificate cannot be read: pem: one certificate expected, and nothing else",
    ],
    [
      "a key",
      (d) => d.certificates.splice(0, 1, base64(textOf("root.pem").replaceAll("CERTIFICATE", "PUBLIC KEY"))),
      "its certificate cannot be read: pem: one certificate expected, and nothing else",
    ],
    [
      "a certificate that is cut",
      (d) => d.certificates.splice(0, 1, base64(Buffer.from("3003020101", "hex"))),
      "its certificate cannot be read: x509: offset 2, tbsCertificate: ",
    ],
    [
      "a short signature",
      (d) => d.signatures.splice(0, 1, base64(new Uint8Array(63))),
      "64 bytes of Ed25519 signature expected, found 63",
    ],
    [
      "trailing data",
      (d) => d.signatures.splice(0, 1, base64(new Uint8Array(65))),
      "64 bytes of Ed25519 signature expected, found 65",
    ],
    [
      "a signature of zeroes",
      (d) => d.signatures.splice(0, 1, base64(new Uint8Array(64))),
      "it does not match the archive",
    ],
    ["another's signature", (d) => d.signatures.reverse(), "it does not match the archive"],
  ])("%s", (what, change, reason) => {
    const [first, second] = judge(changed(change));
    expect(first).toContain(reason);
    expect(second).toBe(what === "another's signature" ? reason : "by root: CN=bob");
  });

  test("every bit of a signature", () => {
    for (let bit = 0; bit < 512; bit++) {
      const descriptor = changed((d) => {
        const signature = Buffer.from(d.signatures[0] ?? "", "base64");
        signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        d.signatures[0] = base64(signature);
      });
      expect(judge(descriptor)[0]).toBe("it does not match the archive");
    }
  });

  test("cut and changed descriptors", () => {
    tortureParser({ bytes: data("der.json"), parse: (bytes) => judge(bytes), rounds: 500, seed: 9 });
  });
});

test("whether a trusted certificate may have made it", () => {
  const mayBe = (name: string, ...roots: readonly string[]): boolean[] =>
    readOsPackageSignatures(data(`${name}.json`)).map((signature) => signature.mayBeBy(anchors(...roots)));
  expect(mayBe("foreign", "root")).toEqual([false, true]);
  expect(mayBe("by-root", "root")).toEqual([true, true]);
  expect(mayBe("by-root")).toEqual([false, false]);
  expect(mayBe("nameless", "root")).toEqual([false, false]);
});
