import { describe, expect, test } from "vitest";
import {
  cmsAttributesMax,
  cmsBytesMax,
  cmsCertificatesMax,
  cmsSignersMax,
  isCms,
  isSignedAttributes,
  parseCms,
} from "../../../src/formats/cms.ts";
import { oid } from "../../../src/formats/object-identifiers.ts";
import { certificateDer, certificateOf, cmsData } from "../../fakes/certificates.ts";
import { attribute, attributesOf, cmsOf, cmsSignerOf, ecdsaSha256, sha256Algorithm } from "../../fakes/cms-writer.ts";
import { der, derOidOf, integer, octets, sequence, setOf, tagged } from "../../fakes/der-writer.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const message = cmsData("message");
const sha256 = "2.16.840.1.101.3.4.2.1";

describe("files made by real tools", () => {
  test("openssl cms: attributes, certificates", () => {
    const found = parseCms(cmsData("p256.p7s"));
    const leaf = certificateOf("p256");
    expect(found).toMatchObject({ encapContentType: oid.data, encapContent: null, encapContentDer: null });
    expect(found.digestAlgorithms).toEqual([sha256]);
    expect(found.certificates.map(({ subjectText }) => subjectText).sort()).toEqual([
      "CN=Acme Signing CA,O=Acme",
      "CN=p256,O=Acme",
    ]);
    expect(found.signers).toHaveLength(1);
    expect(found.signers[0]).toMatchObject({
      sid: { kind: "issuer-serial", issuer: leaf.issuer, serial: leaf.serial },
      digestAlgorithm: { oid: sha256, hash: "sha256" },
      signatureAlgorithm: { kind: "ecdsa", hash: "sha256" },
      contentType: oid.data,
    });
    expect(found.signers[0]?.messageDigest).toHaveLength(32);
    expect(found.signers[0]?.signedAttributes?.[0]).toBe(0x31);
  });

  test.each([
    ["rsa-plain.p7s", { kind: "rsa", hash: null }, { kind: "issuer-serial" }],
    ["pss.p7s", { kind: "rsa-pss", hash: "sha256", maskHash: "sha256", saltBytes: 32 }, { kind: "issuer-serial" }],
    ["pss-mask.p7s", { kind: "rsa-pss", hash: "sha256", maskHash: "sha1" }, { kind: "issuer-serial" }],
    ["key-id.p7s", { kind: "ecdsa", hash: "sha256" }, { kind: "key-id" }],
    ["ed25519.p7s", { kind: "ed25519" }, { kind: "issuer-serial" }],
    ["gpgsm.p7s", { kind: "rsa", hash: null }, { kind: "issuer-serial" }],
  ])("%s", (name, signatureAlgorithm, sid) => {
    expect(parseCms(cmsData(name)).signers).toMatchObject([{ signatureAlgorithm, sid }]);
  });

  test("without attributes", () => {
    expect(parseCms(cmsData("rsa-plain.p7s")).signers).toMatchObject([
      { signedAttributes: null, contentType: null, messageDigest: null },
    ]);
  });

  test.each(["enclosed.p7s", "stream.p7s"])("%s holds its content", (name) => {
    const found = parseCms(cmsData(name));
    expect(found.encapContent).toEqual(message);
    expect(found.encapContentDer).toEqual(octets(message));
  });

  test("several signers, and none", () => {
    expect(parseCms(cmsData("two-signers.p7s")).signers).toHaveLength(2);
    expect(parseCms(cmsData("nobody.p7s"))).toMatchObject({ signers: [], digestAlgorithms: [] });
  });

  test("recognised in DER and BER, and by nothing else", () => {
    for (const name of ["rsa.p7s", "gpgsm.p7s", "nobody.p7s"]) expect(isCms(cmsData(name))).toBe(true);
    for (const name of ["cms.pem.p7s", "rsa.der", "message"]) expect(isCms(cmsData(name))).toBe(false);
    expect(isCms(new Uint8Array())).toBe(false);
  });

  test("the content of Authenticode is no OCTET STRING", () => {
    const content = sequence(integer(1));
    const info = sequence(derOidOf(oid.spcIndirectData), tagged(0, content));
    const data = sequence(integer(1), setOf(), info, setOf());
    expect(parseCms(sequence(derOidOf(oid.signedData), tagged(0, data)))).toMatchObject({
      encapContentType: oid.spcIndirectData,
      encapContent: content.subarray(2),
      encapContentDer: content,
    });
  });
});

describe("signed data from parts", () => {
  test("what is passed over: CRLs, other certificates, unsigned attributes", () => {
    const certificates = tagged(0, certificateDer("p256"), tagged(1, integer(1)), tagged(3, derOidOf("1.2.3")));
    const bytes = cmsOf(message, {
      version: integer(5),
      certificates: Uint8Array.from([...certificates, ...tagged(1, sequence(integer(1)))]),
      signers: [cmsSignerOf(message, { behind: tagged(1, attribute("1.2.3", integer(1))) })],
    });
    expect(parseCms(bytes).certificates).toHaveLength(1);
  });

  const many = (count: number, one: Uint8Array): Uint8Array[] => Array.from({ length: count }, () => one);
  const keyId = der(0x80, [1, 2]);
  const attributes = attributesOf(message);
  const [typeAttribute = new Uint8Array(), digestAttribute = new Uint8Array()] = attributes;
  const withAttributes = (...list: readonly Uint8Array[]): Uint8Array =>
    cmsOf(message, { signers: [cmsSignerOf(message, { attributes: list })] });

  test.each<[string, Uint8Array, string]>([
    [
      "another type",
      sequence(derOidOf("1.2.840.113549.1.7.3"), tagged(0, sequence())),
      "contentType: signed data expected, not enveloped data",
    ],
    ["trailing data", Uint8Array.from([...cmsData("p256.p7s"), 0]), "ContentInfo: nothing more expected"],
    [
      "trailing data inside",
      sequence(derOidOf(oid.signedData), tagged(0, sequence()), der(5)),
      "ContentInfo: nothing more expected",
    ],
    ["trailing data in the data", cmsOf(message, { behind: der(5) }), "SignedData: nothing more expected"],
    [
      "trailing data in a signer",
      cmsOf(message, { signers: [cmsSignerOf(message, { behind: der(5) })] }),
      "SignerInfo: nothing more expected",
    ],
    ["another version", cmsOf(message, { version: integer(3) }), "version: version 1 expected, not 3"],
    [
      "another version for another content",
      cmsOf(message, { version: integer(4), contentType: "1.2.3" }),
      "version: version 1 or 3 expected, not 4",
    ],
    [
      "a signer's version",
      cmsOf(message, { signers: [cmsSignerOf(message, { version: integer(3) })] }),
      "version: version 1 expected, not 3",
    ],
    [
      "a signer's version by key identifier",
      cmsOf(message, { signers: [cmsSignerOf(message, { sid: keyId })] }),
      "version: version 3 expected, not 1",
    ],
    [
      "version 1 and a key identifier",
      cmsOf(message, { signers: [cmsSignerOf(message, { sid: keyId, version: integer(3) })] }),
      "version: version 3 expected, not 1",
    ],
    [
      "a digest that was not announced",
      cmsOf(message, { digestAlgorithms: setOf() }),
      "digestAlgorithms: SHA-256, which a signer names, expected among them",
    ],
    [
      "too many digests",
      cmsOf(message, { digestAlgorithms: setOf(...many(cmsSignersMax + 1, sha256Algorithm)) }),
      "digestAlgorithms: at most 16 digest algorithms are taken",
    ],
    [
      "a digest with parameters",
      cmsOf(message, { digestAlgorithms: setOf(sequence(derOidOf(sha256), integer(1))) }),
      "digest: no parameters expected",
    ],
    [
      "too many certificates",
      cmsOf(message, { certificates: tagged(0, ...many(cmsCertificatesMax + 1, certificateDer("p256"))) }),
      "certificates: at most 32 certificates are taken",
    ],
    [
      "too many signers",
      cmsOf(message, { signers: many(cmsSignersMax + 1, cmsSignerOf(message)) }),
      "signerInfos: at most 16 signers are taken",
    ],
    [
      "too many attributes",
      withAttributes(...Array.from({ length: cmsAttributesMax + 1 }, (_, i) => attribute(`1.2.${i}`, integer(1)))),
      "signedAttrs: at most 32 attributes are taken",
    ],
    [
      "an attribute twice",
      withAttributes(...attributes, typeAttribute),
      "attribute: 1.2.840.113549.1.9.3: a second time",
    ],
    [
      "a digest with two values",
      withAttributes(typeAttribute, attribute(oid.messageDigest, octets(message), octets(message))),
      "messageDigest: nothing more expected",
    ],
    [
      "a digest without value",
      withAttributes(typeAttribute, attribute(oid.messageDigest)),
      "messageDigest: 1 byte(s) expected, the input ends at",
    ],
    [
      "a type of another type",
      withAttributes(attribute(oid.contentType, integer(1)), digestAttribute),
      "contentType: tag 0x06 expected, not 0x02",
    ],
    [
      "a content in another string",
      sequence(
        derOidOf(oid.signedData),
        tagged(0, sequence(integer(1), setOf(), sequence(derOidOf(oid.data), tagged(0, integer(1))), setOf())),
      ),
      "eContent: tag 0x04 expected, not 0x02",
    ],
    [
      "a broken certificate",
      cmsOf(message, { certificates: tagged(0, sequence(integer(1))) }),
      "tbsCertificate: tag 0x30 expected, not 0x02",
    ],
  ])("%s is refused", (_what, bytes, wanted) => {
    expect(
      formatErrorOf(() => parseCms(bytes))
        ?.replace(/^(cms|x509): offset \d+, /, "")
        .replace(/(ends at) \d+$/, "$1"),
    ).toBe(wanted);
  });

  test("too long", () => {
    expect(formatErrorOf(() => parseCms(new Uint8Array(cmsBytesMax + 1)))).toBe(
      "cms: 262145 bytes, at most 262144 are taken",
    );
  });

  test("indefinite lengths inside definite ones are refused", () => {
    const signer = cmsSignerOf(message, { signatureAlgorithm: ecdsaSha256 });
    const bytes = cmsOf(message, { signers: [Uint8Array.from([0x30, 0x80, ...signer.subarray(4), 0, 0])] });
    expect(formatErrorOf(() => parseCms(bytes))).toMatch(/SignerInfo: a definite length expected$/);
  });

  test("bytes that are signed attributes", () => {
    expect(isSignedAttributes(setOf(...attributes))).toBe(true);
    expect(isSignedAttributes(cmsData("message.attributes"))).toBe(true);
    expect(isSignedAttributes(setOf(typeAttribute))).toBe(false);
    expect(isSignedAttributes(Uint8Array.from([...setOf(...attributes), 0]))).toBe(false);
    expect(isSignedAttributes(sequence(...attributes))).toBe(false);
    expect(isSignedAttributes(message)).toBe(false);
    expect(isSignedAttributes(setOf(integer(1)))).toBe(false);
  });

  test.each(["p256.p7s", "gpgsm.p7s", "two-signers.p7s"])("hostile input: %s", (name) => {
    tortureParser({ bytes: cmsData(name), parse: parseCms, rounds: 1500, seed: 13 });
  });
});
