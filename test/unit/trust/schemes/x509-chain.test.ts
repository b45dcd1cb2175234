import { spawnSync } from "node:child_process";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { oid } from "../../../../src/formats/object-identifiers.ts";
import { type Certificate, parseCertificate } from "../../../../src/formats/x509.ts";
import { timelessClock } from "../../../../src/trust/clock.ts";
import { type CertificateAnchor, noRevocations, type Revocations } from "../../../../src/trust/schemes/scheme.ts";
import {
  buildChain,
  type ChainOptions,
  chainCertificatesMax,
  chainSignaturesMax,
} from "../../../../src/trust/schemes/x509-chain.ts";
import { certificateAnchor, certificateOf, cmsPath, fixtureTime } from "../../../fakes/certificates.ts";
import { der, derOidOf, integer, octets, sequence, setOf, tagged } from "../../../fakes/der-writer.ts";

const options: ChainOptions = {
  clock: { now: fixtureTime, atLeast: fixtureTime },
  revocations: noRevocations,
  checkTimes: true,
  usage: "codeSigning",
};

/** The subjects of a chain, or the reason; `roots` are trusted, the rest is enclosed. */
function chainOf(leaf: string, enclosed: string[], roots = ["root"], changed: Partial<ChainOptions> = {}): string {
  const found = buildChain(certificateOf(leaf), enclosed.map(certificateOf), roots.map(certificateAnchor), {
    ...options,
    ...changed,
  });
  if (found.anchor === null) return found.reason;
  return [
    ...found.chain.map(({ subjectText }) => subjectText.replace(/CN=([^,]*),?.*/, "$1")),
    `[${found.anchor.label}]`,
  ].join(" ");
}

const goodChain = "p256 Acme Signing CA Acme Root [root]";

const goodChains: [what: string, leaf: string, enclosed: string[], roots: string[], wanted: string][] = [
  ["over an intermediate", "p256", ["signing-ca"], ["root"], goodChain],
  ["whatever else is enclosed", "p256", ["root", "child", "sub-ca", "signing-ca", "p256"], ["root"], goodChain],
  ["the intermediate is trusted", "p256", [], ["signing-ca"], "p256 Acme Signing CA [signing-ca]"],
  [
    "it ends at the first that is trusted",
    "p256",
    ["signing-ca"],
    ["root", "signing-ca"],
    "p256 Acme Signing CA [signing-ca]",
  ],
  ["the certificate itself is trusted", "p256", [], ["p256"], "p256 [p256]"],
  ["self-signed, no CA, no usages", "pinned", [], ["root", "pinned"], "pinned [pinned]"],
  ["past an expired twin", "p256", ["expired-ca", "signing-ca"], ["root"], goodChain],
  ["past a root of the same name", "p256", ["signing-ca"], ["other-root", "root"], goodChain],
  [
    "past a root of the same name without key identifier",
    "p256",
    ["signing-ca"],
    ["other-root-plain", "root"],
    goodChain,
  ],
  [
    "a root that was signed with SHA-1",
    "p256",
    ["signing-ca"],
    ["root-sha1"],
    "p256 Acme Signing CA Acme Root [root-sha1]",
  ],
  ["a name that its CA permits", "inside", ["constrained"], ["root"], "inside Constrained CA Acme Root [root]"],
  [
    "a CA that restricts names that nobody has",
    "inside",
    ["mail-ca"],
    ["root"],
    "inside Constrained CA Acme Root [root]",
  ],
  ["RSA-PSS keys, P-384", "pss", ["signing-ca"], ["root"], "pss Acme Signing CA Acme Root [root]"],
  ["P-384", "p384", ["signing-ca"], ["root"], "p384 Acme Signing CA Acme Root [root]"],
  ["Ed25519", "ed25519", ["signing-ca"], ["root"], "ed25519 Acme Signing CA Acme Root [root]"],
];

describe("chains", () => {
  test.each(goodChains)("%s", (_what, leaf, enclosed, roots, wanted) => {
    expect(chainOf(leaf, enclosed, roots)).toBe(wanted);
  });

  // openssl takes the first of two roots with the same name and no key identifier, and does not go back.
  const judged = goodChains.filter(([, , , roots]) => !roots.includes("other-root-plain"));

  test.each(judged)("%s: openssl finds one too", (_what, leaf, enclosed, roots) => {
    const flags = ["-partial_chain", "-x509_strict", "-attime", String(fixtureTime / 1000)];
    const given = enclosed.flatMap((name) => ["-untrusted", cmsPath(`${name}.pem`)]);
    const trusted = roots.flatMap((name) => ["-trusted", cmsPath(`${name}.pem`)]);
    const { status } = spawnSync("openssl", ["verify", ...flags, ...given, ...trusted, cmsPath(`${leaf}.pem`)]);
    expect(status).toBe(0);
  });

  test.each<[string, string, string[], string[], string]>([
    [
      "nothing is trusted",
      "p256",
      ["signing-ca", "root"],
      [],
      'certificate "CN=Acme Root,O=Acme" is issued by itself, which is not trusted',
    ],
    [
      "the intermediate is missing",
      "p256",
      [],
      ["root"],
      'certificate "CN=p256,O=Acme" is issued by "CN=Acme Signing CA,O=Acme", which is not trusted',
    ],
    ["nobody is known", "pinned", [], ["root"], 'certificate "CN=pinned" is issued by itself, which is not trusted'],
    [
      "another root of the same name",
      "p256",
      ["signing-ca"],
      ["other-root"],
      'certificate "CN=Acme Signing CA,O=Acme" is issued by "CN=Acme Root,O=Acme", which is not trusted',
    ],
    [
      "another root, without key identifier",
      "p256",
      ["signing-ca"],
      ["other-root-plain"],
      'the signature of certificate "CN=Acme Signing CA,O=Acme" does not match the key of "CN=Acme Root,O=Acme"',
    ],
    [
      "another root with another kind of key",
      "p256",
      ["signing-ca"],
      ["other-kind"],
      'the signature of certificate "CN=Acme Signing CA,O=Acme" is made with another kind of key',
    ],
    ["expired", "expired", ["signing-ca"], ["root"], 'certificate "CN=expired,O=Acme" expired on 2025-01-01T00:00:00Z'],
    [
      "expired and trusted itself",
      "expired",
      [],
      ["expired"],
      'certificate "CN=expired,O=Acme" expired on 2025-01-01T00:00:00Z',
    ],
    [
      "not yet valid",
      "future",
      ["signing-ca"],
      ["root"],
      'certificate "CN=future,O=Acme" is not valid before 2040-01-01T00:00:00Z, and it is 2026-06-01T00:00:00Z',
    ],
    [
      "the intermediate expired",
      "p256",
      ["expired-ca"],
      ["root"],
      'certificate "CN=Acme Signing CA,O=Acme" expired on 2024-01-01T00:00:00Z',
    ],
    [
      "another usage",
      "server",
      ["signing-ca"],
      ["root"],
      'certificate "CN=server,O=Acme" is for server authentication, not for code signing',
    ],
    [
      "any usage is not enough",
      "any-usage",
      ["signing-ca"],
      ["root"],
      'certificate "CN=any-usage,O=Acme" is for any usage, not for code signing',
    ],
    [
      "no usage",
      "no-usage",
      ["signing-ca"],
      ["root"],
      'certificate "CN=no-usage,O=Acme" does not say that it is for code signing',
    ],
    [
      "trusted itself, for another usage",
      "pinned-server",
      [],
      ["pinned-server"],
      'certificate "CN=pinned-server" is for server authentication, not for code signing',
    ],
    [
      "no digitalSignature",
      "encipher",
      ["signing-ca"],
      ["root"],
      'certificate "CN=encipher,O=Acme" is not for signatures: its key usage lacks digitalSignature',
    ],
    [
      "a critical extension",
      "critical",
      ["signing-ca"],
      ["root"],
      'certificate "CN=critical,O=Acme" has a critical extension that is not understood: 1.2.3.4',
    ],
    [
      "signed with SHA-1",
      "sha1",
      ["signing-ca"],
      ["root"],
      'the signature of certificate "CN=sha1,O=Acme" is made with SHA-1, which is too weak',
    ],
    [
      "signed with MD5",
      "md5",
      [],
      ["root"],
      'the signature of certificate "CN=md5,O=Acme" is made with MD5, which is too weak',
    ],
    [
      "signed with SHA-224",
      "sha224",
      ["signing-ca"],
      ["root"],
      'the signature of certificate "CN=sha224,O=Acme" is made with SHA-224, which is not taken',
    ],
    [
      "RSA of 1024 bits",
      "rsa1024",
      ["signing-ca"],
      ["root"],
      'certificate "CN=rsa1024,O=Acme" has an RSA key of 1024 bits, at least 2048 are asked for',
    ],
    [
      "RSA of 1024 bits, trusted itself",
      "rsa1024",
      [],
      ["rsa1024"],
      'certificate "CN=rsa1024,O=Acme" has an RSA key of 1024 bits, at least 2048 are asked for',
    ],
    [
      "another curve",
      "k256",
      ["signing-ca"],
      ["root"],
      'certificate "CN=k256,O=Acme" has an EC key on the curve secp256k1, which is not taken',
    ],
    [
      "a curve without a name",
      "explicit",
      ["signing-ca"],
      ["root"],
      'certificate "CN=explicit,O=Acme" has an EC key whose curve has no name',
    ],
    [
      "Ed448",
      "ed448",
      ["signing-ca"],
      ["root"],
      'certificate "CN=ed448,O=Acme" has a key of a kind that is not taken: Ed448',
    ],
    [
      "issued by no CA",
      "child",
      ["p256", "signing-ca"],
      ["root"],
      'certificate "CN=p256,O=Acme" is no CA, and issued "CN=child,O=Acme"',
    ],
    [
      "issued by no CA that is trusted",
      "child",
      [],
      ["p256"],
      'certificate "CN=p256,O=Acme" is no CA, and issued "CN=child,O=Acme"',
    ],
    [
      "a CA without basic constraints",
      "p256",
      ["signing-ca-v1ish"],
      ["root"],
      'certificate "CN=Acme Signing CA,O=Acme" is no CA, and issued "CN=p256,O=Acme"',
    ],
    [
      "a CA that may not sign",
      "p256",
      ["signing-ca-nosign"],
      ["root"],
      'certificate "CN=Acme Signing CA,O=Acme" may not sign certificates: its key usage lacks keyCertSign',
    ],
    [
      "a CA for another usage",
      "p256",
      ["signing-ca-tls"],
      ["root"],
      'certificate "CN=Acme Signing CA,O=Acme" is for server authentication, not for code signing',
    ],
    [
      "a CA too many",
      "deep",
      ["sub-ca", "signing-ca"],
      ["root"],
      'certificate "CN=Acme Signing CA,O=Acme" allows 0 CA(s) below it, there are 1',
    ],
    [
      "a CA too many below a trusted one",
      "deep",
      ["sub-ca"],
      ["signing-ca"],
      'certificate "CN=Acme Signing CA,O=Acme" allows 0 CA(s) below it, there are 1',
    ],
    [
      "a name that its CA does not permit",
      "outside",
      ["constrained"],
      ["root"],
      'certificate "CN=Constrained CA,O=Acme" does not permit the name "CN=outside,O=Other"',
    ],
    [
      "excluded names",
      "outside",
      ["excluding"],
      ["root"],
      'certificate "CN=Constrained CA,O=Acme" excludes directory names, which is not compared',
    ],
    [
      "a restricted kind of name",
      "mail",
      ["mail-ca"],
      ["root"],
      'certificate "CN=Constrained CA,O=Acme" restricts kinds of names that are not compared, and "emailAddress=a@acme.example,CN=mail,O=Acme" has one',
    ],
  ])("%s: refused", (_what, leaf, enclosed, roots, wanted) => {
    expect(chainOf(leaf, enclosed, roots)).toBe(wanted);
  });

  test("usage any: neither usages nor key usage are looked at, but CAs have to be ones", () => {
    const any = { usage: "any" } as const;
    for (const leaf of ["server", "no-usage", "encipher"]) {
      expect(chainOf(leaf, ["signing-ca"], ["root"], any)).toBe(`${leaf} Acme Signing CA Acme Root [root]`);
    }
    expect(chainOf("p256", ["signing-ca-tls"], ["root"], any)).toBe(goodChain);
    expect(chainOf("child", ["p256", "signing-ca"], ["root"], any)).toMatch(/is no CA/);
  });

  test("times are looked at where asked for and known", () => {
    expect(chainOf("expired", ["signing-ca"], ["root"], { checkTimes: false })).toMatch(/\[root\]$/);
    expect(chainOf("future", ["signing-ca"], ["root"], { checkTimes: false })).toMatch(/\[root\]$/);
    expect(chainOf("expired", ["signing-ca"], ["root"], { clock: timelessClock })).toMatch(/\[root\]$/);
    expect(chainOf("expired", ["signing-ca"], ["root"], { clock: { now: null, atLeast: fixtureTime } })).toMatch(
      /expired on/,
    );
    expect(chainOf("future", ["signing-ca"], ["root"], { clock: { now: null, atLeast: fixtureTime } })).toMatch(
      /\[root\]$/,
    );
  });
});

describe("revocation", () => {
  const digest = (name: string, bytes: Uint8Array): string => createHash(name).update(bytes).digest("hex");
  const revoking = (changed: Partial<Revocations>): Partial<ChainOptions> => ({
    revocations: { ...noRevocations, ...changed },
  });

  test.each([
    ["p256", "CN=p256,O=Acme"],
    ["signing-ca", "CN=Acme Signing CA,O=Acme"],
    ["root", "CN=Acme Root,O=Acme"],
  ])("%s", (name, subject) => {
    const { der, tbs } = certificateOf(name);
    const wanted = `certificate "${subject}" is revoked`;
    expect(
      chainOf("p256", ["signing-ca"], ["root"], revoking({ certificates: new Set([digest("sha256", der)]) })),
    ).toBe(wanted);
    for (const hash of ["sha256", "sha384", "sha512"]) {
      const tbsDigests = new Set([`${hash}:${digest(hash, tbs)}`]);
      expect(chainOf("p256", ["signing-ca"], ["root"], revoking({ tbsDigests }))).toBe(wanted);
    }
  });

  test("what is none of the chain's", () => {
    const { der, tbs } = certificateOf("rsa");
    const revocations = {
      certificates: new Set([digest("sha256", der)]),
      tbsDigests: new Set([digest("sha256", tbs)]),
    };
    expect(chainOf("p256", ["signing-ca"], ["root"], revoking(revocations))).toBe(goodChain);
  });

  test("a trusted certificate that is its own is revoked too", () => {
    const certificates = new Set([digest("sha256", certificateOf("pinned").der)]);
    expect(chainOf("pinned", [], ["pinned"], revoking({ certificates }))).toBe('certificate "CN=pinned" is revoked');
  });
});

describe("limits", () => {
  /** The same CA again and again, each with bytes of its own, so that none is taken for another. */
  const twins = (count: number, change: (certificate: Certificate) => Partial<Certificate>): Certificate[] =>
    Array.from({ length: count }, (_, index) => {
      const certificate = certificateOf("signing-ca");
      const der = certificate.der.slice();
      der[der.length - 1] = index;
      return { ...certificate, der, ...change(certificate) };
    });

  test("signatures that are tried", () => {
    // Each fits by name and has the wrong key.
    const { spki, publicKey } = certificateOf("p256");
    const wrong = twins(chainSignaturesMax + 1, () => ({ spki, publicKey }));
    const found = (intermediates: Certificate[]): string | null =>
      buildChain(
        certificateOf("p256"),
        [...intermediates, certificateOf("signing-ca")],
        [certificateAnchor("root")],
        options,
      ).reason;
    expect(found(wrong.slice(0, chainSignaturesMax - 2))).toBeNull();
    expect(found(wrong)).toBe("no chain to a trusted certificate is found within 64 signatures");
  });

  test("certificates in a chain", () => {
    const line = lineOfCertificates(chainCertificatesMax + 1);
    const found = (count: number): string | null => {
      const [leaf, ...above] = line.slice(line.length - count);
      if (leaf === undefined) throw new Error("a certificate expected");
      const [root] = line.slice(-1).map((certificate): CertificateAnchor => {
        return { kind: "x509", label: "top", id: "", certificate };
      });
      return buildChain(leaf, above, root === undefined ? [] : [root], { ...options, usage: "any" }).reason;
    };
    expect(found(chainCertificatesMax)).toBeNull();
    expect(found(chainCertificatesMax + 1)).toBe("the chain is longer than 8 certificates");
  });
});

/** Certificates of which each is issued by the next, all CAs with keys by Ed25519. */
function lineOfCertificates(count: number): Certificate[] {
  const algorithm = sequence(derOidOf(oid.ed25519));
  const name = (index: number): Uint8Array =>
    sequence(setOf(sequence(derOidOf("2.5.4.3"), der(0x0c, Buffer.from(`CA ${index}`)))));
  const keys = Array.from({ length: count + 1 }, () => generateKeyPairSync("ed25519"));
  const isCa = sequence(derOidOf(oid.basicConstraints), octets(sequence(der(1, [0xff]))));
  const time = (text: string): Uint8Array => der(0x17, Buffer.from(text));
  return keys.slice(0, count).map(({ publicKey }, index) => {
    const tbs = sequence(
      tagged(0, integer(2)),
      integer(index),
      algorithm,
      name(index + 1),
      sequence(time("260101000000Z"), time("360101000000Z")),
      name(index),
      publicKey.export({ type: "spki", format: "der" }),
      tagged(3, sequence(isCa)),
    );
    const issuer = keys[index + 1]?.privateKey;
    if (issuer === undefined) throw new Error("a key expected");
    return parseCertificate(sequence(tbs, algorithm, der(3, [0], sign(null, tbs, issuer))));
  });
}
