import { spawnSync } from "node:child_process";
import { constants, createHash, createPrivateKey, privateEncrypt, sign } from "node:crypto";
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { hex } from "../../../../src/formats/bytes.ts";
import { parseCms } from "../../../../src/formats/cms.ts";
import { FormatError } from "../../../../src/formats/format-error.ts";
import { oid } from "../../../../src/formats/object-identifiers.ts";
import { timelessClock } from "../../../../src/trust/clock.ts";
import { cmsScheme } from "../../../../src/trust/schemes/cms.ts";
import { checkCmsSigner } from "../../../../src/trust/schemes/cms-signer.ts";
import {
  type Anchor,
  type CheckContext,
  type DigestName,
  noRevocations,
  type SignedContent,
} from "../../../../src/trust/schemes/scheme.ts";
import {
  certificateAnchor,
  certificateDer,
  certificateOf,
  cmsData,
  cmsPath,
  fixtureTime,
  privateKeyPem,
} from "../../../fakes/certificates.ts";
import {
  attribute,
  attributesOf,
  type CmsParts,
  cmsOf,
  cmsSignerOf,
  type SignerParts,
} from "../../../fakes/cms-writer.ts";
import { der, derOidOf, integer, octets, sequence, setOf, tagged } from "../../../fakes/der-writer.ts";

const message = cmsData("message");
const root = certificateAnchor("root");

/** What was asked of the content is put into `asked`. */
function contentOf(bytes: Uint8Array, asked: string[] = []): SignedContent {
  return {
    size: bytes.length,
    digest: (name: DigestName) => {
      asked.push(name);
      return createHash(name).update(bytes).digest();
    },
    bytes: () => {
      asked.push("bytes");
      return bytes;
    },
  };
}

function contextOf(anchors: readonly Anchor[] = [root], changed: Partial<CheckContext> = {}): CheckContext {
  return { anchors, clock: { now: fixtureTime, atLeast: fixtureTime }, revocations: noRevocations, ...changed };
}

/** Per signature of the file: the signer's label, or the reason. */
function verdicts(signature: Uint8Array, content = message, context = contextOf()): string[] {
  return cmsScheme.readSignatures(signature).map((one) => {
    const { signer, reason } = one.check(contentOf(content), context);
    return signer === null ? reason : `by ${signer.label}`;
  });
}

function formatErrorOf(bytes: Uint8Array): string | null {
  try {
    cmsScheme.readSignatures(bytes);
    return null;
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
}

const detached = "cms: the signature encloses a content, one that stands beside its file is expected";

/** Of every file what it comes to; `openssl` where `openssl cms -verify -purpose any` sees it otherwise, and why. */
const files: [name: string, wanted: string, openssl?: string][] = [
  ["rsa", "by root: CN=rsa,O=Acme"],
  ["rsa-plain", "by root: CN=rsa,O=Acme"],
  ["rsa-sha384", "by root: CN=rsa,O=Acme"],
  ["rsa-sha512-plain", "by root: CN=rsa,O=Acme"],
  ["pss", "by root: CN=rsa,O=Acme"],
  ["pss-plain", "by root: CN=rsa,O=Acme"],
  ["pss-key", "by root: CN=pss,O=Acme"],
  ["p256", "by root: CN=p256,O=Acme"],
  ["p256-plain", "by root: CN=p256,O=Acme"],
  ["p384", "by root: CN=p384,O=Acme"],
  ["key-id", "by root: CN=p256,O=Acme"],
  ["ipxe", "by root: CN=rsa,O=Acme"],
  ["gpgsm", "by root: CN=rsa,O=Acme"],
  ["cms.pem", "by root: CN=p256,O=Acme"],
  ["pkcs7.pem", "by root: CN=rsa,O=Acme"],
  ["ed25519", "by root: CN=ed25519,O=Acme", "openssl 3.0 does not do Ed25519 here; certtool does"],
  ["ed25519-attributes", "by root: CN=ed25519,O=Acme", "the same"],
  ["two-signers", "by root: CN=p256,O=Acme; by root: CN=rsa,O=Acme"],
  ["sha1", "the signature is made with SHA-1, which is too weak", "we are stricter"],
  ["sha1-plain", "the signature is made with SHA-1, which is too weak", "we are stricter"],
  ["md5", "the signature is made with MD5, which is too weak", "we are stricter"],
  ["sha224", "the signature is made with SHA-224, which is not taken", "we are stricter"],
  ["pss-mask", "the signature is made with SHA-256, and its mask with SHA-1", "we are stricter"],
  ["expired", 'certificate "CN=expired,O=Acme" expired on 2025-01-01T00:00:00Z'],
  ["future", 'certificate "CN=future,O=Acme" is not valid before 2040-01-01T00:00:00Z, and it is 2026-06-01T00:00:00Z'],
  ["server", 'certificate "CN=server,O=Acme" is for server authentication, not for code signing', "any purpose"],
  ["no-usage", 'certificate "CN=no-usage,O=Acme" does not say that it is for code signing', "any purpose"],
  ["pinned", 'certificate "CN=pinned" is issued by itself, which is not trusted'],
  ["rsa1024", 'certificate "CN=rsa1024,O=Acme" has an RSA key of 1024 bits, at least 2048 are asked for', "stricter"],
  ["other-type", "the signature is over time stamp, data expected", "we are stricter"],
  ["enclosed", detached, "it takes the enclosed content"],
  ["stream", detached, "it takes the enclosed content"],
  ["nobody", "cms: nobody has signed: certificates alone are enclosed"],
];

describe("files made by openssl, gpgsm and certtool", () => {
  test("each stands here", () => {
    const found = readdirSync(cmsPath(".")).filter((name) => name.endsWith(".p7s"));
    expect([...files.map(([name]) => `${name}.p7s`), "no-certificates.p7s"].sort()).toEqual(found.sort());
  });

  test.each(files)("%s.p7s: %s", (name, wanted) => {
    const bytes = cmsData(`${name}.p7s`);
    expect(cmsScheme.recognises(bytes)).toBe(true);
    const error = formatErrorOf(bytes);
    const found = error ?? verdicts(bytes).sort().join("; ");
    expect(found).toBe(wanted);
  });

  test.each(files)("%s.p7s: openssl agrees", (name, wanted, openssl) => {
    const form = name.includes(".pem") ? "PEM" : "DER";
    const inputs = ["-inform", form, "-in", cmsPath(`${name}.p7s`), "-content", cmsPath("message")];
    const trust = ["-CAfile", cmsPath("root.pem"), "-purpose", "any", "-attime", String(fixtureTime / 1000)];
    const { status } = spawnSync("openssl", ["cms", "-verify", "-binary", ...inputs, ...trust, "-out", "/dev/null"]);
    const isGood = wanted.startsWith("by ");
    expect(status === 0).toBe(openssl === undefined ? isGood : !isGood);
  });

  test.each(files.filter(([, wanted]) => wanted.startsWith("by ")))("%s.p7s: of another file", (name) => {
    const changed = message.slice();
    changed[3] = (changed[3] ?? 0) ^ 1;
    const count = cmsScheme.readSignatures(cmsData(`${name}.p7s`)).length;
    expect(verdicts(cmsData(`${name}.p7s`), changed)).toEqual(
      Array(count).fill("the signature does not match the file"),
    );
  });

  test("without the certificate: of those that are trusted", () => {
    const bytes = cmsData("no-certificates.p7s");
    const serial = hex(certificateOf("p256").serial);
    expect(verdicts(bytes)).toEqual([
      `the signer's certificate (serial number ${serial}) is neither enclosed nor trusted`,
    ]);
    expect(verdicts(bytes, message, contextOf([certificateAnchor("p256")]))).toEqual(["by p256"]);
  });

  test("a self-signed certificate that is trusted itself", () => {
    expect(verdicts(cmsData("pinned.p7s"), message, contextOf([root, certificateAnchor("pinned")]))).toEqual([
      "by pinned",
    ]);
  });

  test("nothing is known of the time", () => {
    const timeless = contextOf([root], { clock: timelessClock });
    expect(verdicts(cmsData("expired.p7s"), message, timeless)).toEqual(["by root: CN=expired,O=Acme"]);
  });

  test("revoked", () => {
    const certificates = new Set([createHash("sha256").update(certificateDer("rsa")).digest("hex")]);
    const context = contextOf([root], { revocations: { ...noRevocations, certificates } });
    expect(verdicts(cmsData("rsa.p7s"), message, context)).toEqual(['certificate "CN=rsa,O=Acme" is revoked']);
  });
});

describe("what is asked of the content", () => {
  test.each([
    ["rsa", ["sha256"]],
    ["rsa-plain", ["sha256"]],
    ["rsa-sha512-plain", ["sha512"]],
    ["p384", ["sha384"]],
    ["p256-plain", []],
    ["pss-plain", []],
    ["ed25519", []],
    ["ed25519-attributes", ["sha512"]],
    ["sha1", []],
  ])("%s: %j", (name, digests) => {
    const [signature] = cmsScheme.readSignatures(cmsData(`${name}.p7s`));
    expect(signature?.digests).toEqual(digests);
    const asked: string[] = [];
    signature?.check(contentOf(message, asked), contextOf());
    // Without attributes the first byte is looked at, whatever the signature is over.
    expect(asked.filter((one) => one !== "bytes")).toEqual(digests);
    if (!name.includes("plain") && name !== "ed25519") expect(asked).not.toContain("bytes");
  });
});

describe("who signed", () => {
  const signerOf = (name: string, anchors: readonly Anchor[] = [root]) => {
    const [signature] = cmsScheme.readSignatures(cmsData(`${name}.p7s`));
    const result = signature?.check(contentOf(message), contextOf(anchors));
    if (result?.signer == null) throw new Error(`${name}: ${result?.reason}`);
    return result.signer;
  };

  test("identities: the key, and the name below the root", () => {
    const { subject, spki } = certificateOf("p256");
    expect(signerOf("p256")).toEqual({
      anchor: root,
      label: "root: CN=p256,O=Acme",
      scheme: "cms",
      identities: [`spki:${createHash("sha256").update(spki).digest("hex")}`, `x509:${root.id}:${hex(subject)}`],
    });
  });

  test("the same key under another certificate shares an identity", () => {
    const [key] = signerOf("p256").identities;
    expect(signerOf("pinned", [certificateAnchor("pinned")]).identities[0]).toBe(key);
    expect(signerOf("rsa").identities[0]).not.toBe(key);
  });

  test("an RSA key that is for RSA-PSS only is the same key as one for both", () => {
    const plain = createPrivateKey(privateKeyPem("pss"));
    // PKCS #8: the algorithm is exchanged, the RSAPrivateKey inside stays; only its public half counts.
    const { publicKey } = certificateOf("pss");
    const spki = sequence(sequence(derOidOf(oid.rsaEncryption), der(5)), der(3, [0], publicKey));
    expect(plain.asymmetricKeyType).toBe("rsa-pss");
    expect(signerOf("pss-key").identities[0]).toBe(`spki:${createHash("sha256").update(spki).digest("hex")}`);
  });

  test.each([
    ["p256", ["root"], true],
    ["p256", ["signing-ca"], true],
    ["p256", ["p256"], true],
    ["p256", ["pinned"], false],
    ["p256", [], false],
    // It encloses the CA's.
    ["no-certificates", ["root"], true],
    ["no-certificates", ["p384"], false],
    ["no-certificates", ["p256"], true],
    ["key-id", ["p384"], false],
    // Whether the root is the right one is not looked at.
    ["p256", ["other-root"], true],
  ])("%s may be by one of %j: %s", (name, anchors, wanted) => {
    const [signature] = cmsScheme.readSignatures(cmsData(`${name}.p7s`));
    expect(signature?.mayBeBy(anchors.map(certificateAnchor))).toBe(wanted);
  });
});

describe("signatures from parts", () => {
  const p256Of = (parts: Partial<SignerParts>, data: Partial<CmsParts> = {}): Uint8Array =>
    cmsOf(message, { ...data, signers: [cmsSignerOf(message, parts)] });
  const [typeAttribute = new Uint8Array(), digestAttribute = new Uint8Array()] = attributesOf(message);
  const rsaSid = sequence(certificateOf("rsa").issuer, der(2, certificateOf("rsa").serial));
  const rsaEncryption = sequence(derOidOf(oid.rsaEncryption), der(5));
  const rsaKey = createPrivateKey(privateKeyPem("rsa"));
  const rsaOf = (parts: Partial<SignerParts>): Uint8Array =>
    p256Of(
      { sid: rsaSid, signatureAlgorithm: rsaEncryption, ...parts },
      { certificates: tagged(0, certificateDer("rsa"), certificateDer("signing-ca")) },
    );
  const sha256 = "2.16.840.1.101.3.4.2.1";
  const digest = createHash("sha256").update(message).digest();
  /** PKCS #1 v1.5 around bytes that are to be a DigestInfo. */
  const padded = (digestInfo: Uint8Array): Partial<SignerParts> => ({
    attributes: null,
    signature: privateEncrypt({ key: rsaKey, padding: constants.RSA_PKCS1_PADDING }, digestInfo),
  });
  const pssAlgorithm = sequence(
    derOidOf(oid.rsaPss),
    sequence(
      tagged(0, sequence(derOidOf(sha256))),
      tagged(1, sequence(derOidOf(oid.mgf1), sequence(derOidOf(sha256)))),
      tagged(2, integer(32)),
    ),
  );
  const pssOf = (saltLength: number): Uint8Array =>
    sign("sha256", setOf(...attributesOf(message)), {
      key: rsaKey,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength,
    });

  test.each<[string, Uint8Array, string]>([
    ["attributes", p256Of({}), "by root: CN=p256,O=Acme"],
    ["none", p256Of({ attributes: null }), "by root: CN=p256,O=Acme"],
    [
      "DigestInfo",
      rsaOf(padded(sequence(sequence(derOidOf(sha256), der(5)), octets(digest)))),
      "by root: CN=rsa,O=Acme",
    ],
    ["RSA-PSS", rsaOf({ signatureAlgorithm: pssAlgorithm, signature: pssOf(32) }), "by root: CN=rsa,O=Acme"],
    [
      "DigestInfo without NULL",
      rsaOf(padded(sequence(sequence(derOidOf(sha256)), octets(digest)))),
      "the signature does not match the file",
    ],
    [
      "DigestInfo with something behind",
      rsaOf(padded(Uint8Array.from([...sequence(sequence(derOidOf(sha256), der(5)), octets(digest)), 0]))),
      "the signature does not match the file",
    ],
    [
      "DigestInfo of another digest",
      rsaOf(padded(sequence(sequence(derOidOf("2.16.840.1.101.3.4.2.2"), der(5)), octets(digest)))),
      "the signature does not match the file",
    ],
    ["the digest alone", rsaOf(padded(digest)), "the signature does not match the file"],
    [
      "a short signature",
      rsaOf({ attributes: null, signature: new Uint8Array(255) }),
      "the signature does not match the file",
    ],
    ["an empty signature", p256Of({ signature: new Uint8Array() }), "the signature's attributes were changed"],
    [
      "another salt than announced",
      rsaOf({ signatureAlgorithm: pssAlgorithm, signature: pssOf(20) }),
      "the signature's attributes were changed",
    ],
    [
      "other attributes than signed",
      p256Of({ attributes: [...attributesOf(message), attribute("1.2.3", integer(1))], signature: new Uint8Array(8) }),
      "the signature's attributes were changed",
    ],
    [
      "no message digest",
      p256Of({ attributes: [typeAttribute] }),
      "the signature's attributes lack the message digest",
    ],
    ["no content type", p256Of({ attributes: [digestAttribute] }), "the signature's attributes lack the content type"],
    [
      "another content type",
      p256Of({ attributes: attributesOf(message, oid.spcIndirectData) }),
      "the signature is over Authenticode, data expected",
    ],
    [
      "another content type outside",
      p256Of({}, { contentType: oid.spcIndirectData }),
      "the signature is over Authenticode, data expected",
    ],
    [
      "an unknown digest",
      p256Of(
        { digestAlgorithm: sequence(derOidOf("1.2.3")) },
        { digestAlgorithms: setOf(sequence(derOidOf("1.2.3"))) },
      ),
      "the signature's digest is 1.2.3, which is not taken",
    ],
    [
      "two digests",
      p256Of({ signatureAlgorithm: sequence(derOidOf("1.2.840.10045.4.3.3")) }),
      "the signature names SHA-256 for the content and SHA-384 for itself",
    ],
    [
      "a weak digest under a strong one",
      p256Of({ signatureAlgorithm: sequence(derOidOf("1.2.840.10045.4.1")) }),
      "the signature is made with SHA-1, which is too weak",
    ],
    [
      "another algorithm than the key's",
      p256Of({ signatureAlgorithm: rsaEncryption }),
      "the signature is made with another kind of key",
    ],
    [
      "an unknown algorithm",
      p256Of({ signatureAlgorithm: sequence(derOidOf("2.16.840.1.101.3.4.3.17")) }),
      "the signature is made with ML-DSA-44, which is not taken",
    ],
    [
      "the key of another",
      p256Of({ signature: sign("sha256", setOf(...attributesOf(message)), createPrivateKey(privateKeyPem("child"))) }),
      "the signature's attributes were changed",
    ],
    [
      "a signer without certificate, by key identifier",
      cmsOf(message, {
        version: integer(3),
        signers: [cmsSignerOf(message, { version: integer(3), sid: der(0x80, [1, 2]) })],
      }),
      "the signer's certificate (key identifier 0102) is neither enclosed nor trusted",
    ],
  ])("%s", (_what, bytes, wanted) => {
    expect(verdicts(bytes)).toEqual([wanted]);
  });

  test("a signature over attributes is none over a file with their bytes, though OpenSSL takes it", () => {
    const attributes = cmsData("message.attributes");
    const [signer] = parseCms(cmsData("p256.p7s")).signers;
    expect(signer?.signedAttributes).toEqual(attributes);
    const signature = signer?.signature ?? new Uint8Array();
    const bytes = cmsOf(message, { signers: [cmsSignerOf(message, { attributes: null, signature })] });
    expect(verdicts(bytes, attributes)).toEqual(["the file is itself what a signature's attributes look like"]);
  });

  test("several certificates by the name of the signer's are tried, not many", () => {
    const twin = (last: number): Uint8Array => {
      const bytes = certificateDer("p256").slice();
      bytes[bytes.length - 1] = last;
      return bytes;
    };
    const enclosed = (...twins: readonly Uint8Array[]): Uint8Array =>
      cmsOf(message, { certificates: tagged(0, ...twins, certificateDer("p256"), certificateDer("signing-ca")) });
    const last = certificateDer("p256").at(-1) ?? 0;
    const twins = [1, 2, 3, 4].map((change) => twin(last ^ change));
    expect(verdicts(enclosed(...twins.slice(0, 3)))).toEqual(["by root: CN=p256,O=Acme"]);
    expect(verdicts(enclosed(...twins))).toEqual(["5 certificates are the signer's by name, at most 4 are tried"]);
  });

  test("another type needs attributes", () => {
    const data = parseCms(p256Of({ attributes: null }, { contentType: oid.spcIndirectData }));
    const [signer] = data.signers;
    if (signer === undefined) throw new Error("a signer expected");
    const check = { data, signer, content: contentOf(message), scheme: "cms", usage: "any", checkTimes: true } as const;
    const { reason } = checkCmsSigner({ ...check, contentType: oid.spcIndirectData, context: contextOf() });
    expect(reason).toBe("the signature has no signed attributes");
  });

  test("one good signer beside a bad one", () => {
    const signers = [cmsSignerOf(message, { signature: new Uint8Array(8) }), cmsSignerOf(message)];
    expect(verdicts(cmsOf(message, { signers }))).toEqual([
      "the signature's attributes were changed",
      "by root: CN=p256,O=Acme",
    ]);
  });
});

describe("PEM", () => {
  const pem = new TextDecoder().decode(cmsData("cms.pem.p7s"));
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

  test.each([
    ["text around", `signed by me\n${pem}`, "cms: line 1: nothing but signatures expected"],
    [
      "another label",
      pem.replaceAll("CMS", "CERTIFICATE"),
      'cms: line 1: "CMS" or "PKCS7" expected, not "CERTIFICATE"',
    ],
    ["nothing", "", "cms: signed data in DER or PEM expected"],
    ["cut", pem.slice(0, 200), 'pem: line 1: "-----END CMS-----" expected before the end'],
  ])("%s is refused", (_what, text, wanted) => {
    expect(formatErrorOf(encode(text))).toBe(wanted);
  });

  test("several in one file", () => {
    expect(verdicts(encode(pem + new TextDecoder().decode(cmsData("pkcs7.pem.p7s"))))).toEqual([
      "by root: CN=p256,O=Acme",
      "by root: CN=rsa,O=Acme",
    ]);
  });

  test("recognised at the beginning only", () => {
    expect(cmsScheme.recognises(encode(`\n${pem}`))).toBe(true);
    expect(cmsScheme.recognises(encode(`x${pem}`))).toBe(false);
    expect(cmsScheme.recognises(certificateDer("rsa"))).toBe(false);
    expect(cmsScheme.recognises(new Uint8Array())).toBe(false);
  });
});

describe("damage", () => {
  test.each(["p256", "p256-plain"])("%s.p7s: cut at every length", (name) => {
    const bytes = cmsData(`${name}.p7s`);
    for (let length = 0; length < bytes.length; length++)
      expect(formatErrorOf(bytes.subarray(0, length))).not.toBeNull();
  });

  // Each certificate that is enclosed takes part in the chain: nobody signs others. Every 31st bit: all take half a minute.
  test.each(["p256", "rsa-plain", "gpgsm"])("%s.p7s: a bit is flipped", (name) => {
    const bytes = cmsData(`${name}.p7s`);
    const good: number[] = [];
    for (let bit = 0; bit < bytes.length * 8; bit += 31) {
      const changed = bytes.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (formatErrorOf(changed) === null && verdicts(changed).some((verdict) => verdict.startsWith("by ")))
        good.push(bit);
    }
    expect(good).toEqual([]);
  });
});
