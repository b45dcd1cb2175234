import { createHash, X509Certificate } from "node:crypto";
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { hex } from "../../../src/formats/bytes.ts";
import { oid } from "../../../src/formats/object-identifiers.ts";
import {
  certificateBytesMax,
  extensionItemsMax,
  extensionsMax,
  keyUsageBit,
  nameAttributeOids,
  nameAttributesMax,
  nameParts,
  parseCertificate,
} from "../../../src/formats/x509.ts";
import { certificateDer, certificateOf, cmsPath } from "../../fakes/certificates.ts";
import { der, derOidOf, integer, octets, sequence, setOf, tagged } from "../../fakes/der-writer.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const names = readdirSync(cmsPath("."))
  .filter((name) => name.endsWith(".pem") && !["two.pem", "text.pem"].includes(name))
  .map((name) => name.slice(0, -4));

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("certificates made by openssl", () => {
  test.each(names)("%s: what OpenSSL reads", (name) => {
    const found = certificateOf(name);
    const wanted = new X509Certificate(certificateDer(name));
    expect(hex(found.serial).replace(/^00/, "").toUpperCase().padStart(wanted.serialNumber.length, "0")).toBe(
      wanted.serialNumber,
    );
    const text = (lines: string): string => lines.split("\n").toReversed().join(",");
    expect([found.subjectText, found.issuerText]).toEqual([text(wanted.subject), text(wanted.issuer)]);
    expect([found.notBefore, found.notAfter]).toEqual([wanted.validFromDate.getTime(), wanted.validToDate.getTime()]);
    // OpenSSL asks the key usage too.
    const { basicConstraints, keyUsage } = found.extensions;
    expect(basicConstraints?.ca === true && keyUsage?.has(keyUsageBit.keyCertSign) !== false).toBe(wanted.ca);
    expect(found.extensions.extendedKeyUsage ?? undefined).toEqual(wanted.keyUsage);
    expect(found.version).toBe(3);
    expect(createHash("sha256").update(found.der).digest("hex").toUpperCase()).toBe(
      wanted.fingerprint256.replaceAll(":", ""),
    );
    if (name !== "explicit")
      expect(hex(found.spki)).toBe(hex(wanted.publicKey.export({ type: "spki", format: "der" })));
  });

  test("extensions as make.sh asks for them", () => {
    const root = certificateOf("root");
    const authority = certificateOf("signing-ca");
    expect(authority.extensions).toMatchObject({
      basicConstraints: { ca: true, pathLength: 0 },
      keyUsage: new Set([keyUsageBit.keyCertSign]),
      extendedKeyUsage: null,
      nameConstraints: null,
      unknownCritical: [],
    });
    expect(root.extensions.basicConstraints).toEqual({ ca: true, pathLength: null });
    expect(authority.extensions.authorityKeyId).toEqual(root.extensions.subjectKeyId);
    expect(certificateOf("p256").extensions).toMatchObject({
      basicConstraints: null,
      keyUsage: new Set([keyUsageBit.digitalSignature]),
      extendedKeyUsage: [oid.codeSigning],
    });
    expect(certificateOf("critical").extensions.unknownCritical).toEqual(["1.2.3.4"]);
    const acme = sequence(setOf(sequence(derOidOf("2.5.4.10"), der(0x0c, ascii("Acme")))));
    expect(certificateOf("constrained").extensions.nameConstraints).toEqual({
      permitted: [{ kind: 4, der: acme }],
      excluded: [],
    });
    expect(certificateOf("mail-ca").extensions.nameConstraints?.permitted).toEqual([
      { kind: 1, der: der(0x81, ascii("acme.example")) },
    ]);
  });

  test.each([
    ["rsa", { kind: "ecdsa", hash: "sha256" }, oid.rsaEncryption],
    ["p384", { kind: "ecdsa", hash: "sha384" }, oid.ecPublicKey],
    ["sha1", { kind: "ecdsa", hash: "sha1" }, oid.ecPublicKey],
    ["md5", { kind: "rsa", hash: "md5" }, oid.ecPublicKey],
    ["root", { kind: "rsa", hash: "sha256" }, oid.rsaEncryption],
    ["pss", { kind: "ecdsa", hash: "sha256" }, oid.rsaPss],
    ["ed25519", { kind: "ecdsa", hash: "sha256" }, oid.ed25519],
  ])("%s: signed and keyed", (name, signatureAlgorithm, key) => {
    const found = certificateOf(name);
    expect(found.signatureAlgorithm).toEqual(signatureAlgorithm);
    expect(found.publicKeyAlgorithm.oid).toBe(key);
  });

  test("parts and attributes of names", () => {
    const { subject } = certificateOf("mail");
    expect(nameAttributeOids(subject)).toEqual(["2.5.4.10", "2.5.4.3", oid.emailAddress]);
    const [first] = nameParts(subject);
    expect(first).toBe(hex(setOf(sequence(derOidOf("2.5.4.10"), der(0x0c, ascii("Acme"))))));
  });
});

const sha256Rsa = sequence(derOidOf("1.2.840.113549.1.1.11"), der(5));
const name = (...attributes: readonly Uint8Array[]): Uint8Array => sequence(...attributes.map((one) => setOf(one)));
const commonName = (text: string): Uint8Array => sequence(derOidOf("2.5.4.3"), der(0x0c, ascii(text)));
const spki = sequence(sequence(derOidOf(oid.ed25519)), der(3, [0, 1, 2, 3]));

interface Parts {
  readonly version: Uint8Array;
  readonly serial: Uint8Array;
  readonly algorithm: Uint8Array;
  readonly issuer: Uint8Array;
  readonly validity: Uint8Array;
  readonly subject: Uint8Array;
  readonly spki: Uint8Array;
  readonly rest: Uint8Array;
  readonly outerAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly behind: Uint8Array;
}

const none = new Uint8Array();

/** A certificate that nobody signed, from parts. */
function made(parts: Partial<Parts>): Uint8Array {
  const algorithm = parts.algorithm ?? sha256Rsa;
  const tbs = sequence(
    parts.version ?? tagged(0, integer(2)),
    parts.serial ?? integer(7),
    algorithm,
    parts.issuer ?? name(commonName("I")),
    parts.validity ?? sequence(der(0x17, ascii("260101000000Z")), der(0x17, ascii("360101000000Z"))),
    parts.subject ?? name(commonName("S")),
    parts.spki ?? spki,
    parts.rest ?? none,
  );
  return sequence(tbs, parts.outerAlgorithm ?? algorithm, parts.signature ?? der(3, [0, 9]), parts.behind ?? none);
}

const extension = (identifier: string, value: Uint8Array, critical?: number): Uint8Array =>
  sequence(derOidOf(identifier), ...(critical === undefined ? [] : [der(1, [critical])]), octets(value));
const extensions = (...list: readonly Uint8Array[]): Partial<Parts> => ({ rest: tagged(3, sequence(...list)) });

describe("certificates from parts", () => {
  test("version 1 has no version, and no extensions", () => {
    const found = parseCertificate(made({ version: none }));
    expect(found).toMatchObject({ version: 1, subjectText: "CN=S", issuerText: "CN=I" });
    expect([...found.serial]).toEqual([7]);
    expect([...found.publicKey]).toEqual([1, 2, 3]);
    expect([...found.signature]).toEqual([9]);
  });

  test("a name that has to be quoted (RFC 4514, section 2.4)", () => {
    const rest = sequence(derOidOf("1.2.3"), der(0x0c, ascii("x")));
    const subject = sequence(
      setOf(commonName(" a,b "), sequence(derOidOf("2.5.4.11"), der(0x13, ascii('"')))),
      setOf(rest),
    );
    expect(parseCertificate(made({ subject })).subjectText).toBe('1.2.3=#0c0178,CN=\\ a\\,b\\ +OU=\\"');
  });

  test("defaults that are written out, which DER does not have but others make", () => {
    const value = sequence(der(1, [0]));
    const found = parseCertificate(made(extensions(extension(oid.basicConstraints, value, 0)))).extensions;
    expect(found.basicConstraints).toEqual({ ca: false, pathLength: null });
  });

  test("alternative names, policies, key identifiers", () => {
    const found = parseCertificate(
      made(
        extensions(
          extension(
            oid.subjectAltName,
            sequence(der(0x82, ascii("a.example")), tagged(4, name(commonName("D")))),
            0xff,
          ),
          extension(oid.certificatePolicies, sequence(sequence(derOidOf("2.5.29.32.0"))), 0xff),
          extension(oid.authorityKeyIdentifier, sequence(tagged(1), der(0x82, [1]))),
        ),
      ),
    ).extensions;
    expect(found.subjectAltNames).toEqual([
      { kind: 2, der: der(0x82, ascii("a.example")) },
      { kind: 4, der: name(commonName("D")) },
    ]);
    expect(found).toMatchObject({ unknownCritical: [], authorityKeyId: null });
  });

  const sha = (...parts: readonly Uint8Array[]): Uint8Array => sequence(derOidOf("2.16.840.1.101.3.4.2.1"), ...parts);
  const pss = (...parts: readonly Uint8Array[]): Partial<Parts> => ({
    algorithm: sequence(derOidOf(oid.rsaPss), sequence(...parts)),
  });
  const mgf = (hash: Uint8Array): Uint8Array => tagged(1, sequence(derOidOf(oid.mgf1), hash));

  test.each([
    [
      "RSA-PSS",
      pss(tagged(0, sha(der(5))), mgf(sha()), tagged(2, integer(32))),
      { hash: "sha256", maskHash: "sha256", saltBytes: 32 },
    ],
    ["RSA-PSS with defaults only", pss(), { hash: "sha1", maskHash: "sha1", saltBytes: 20 }],
    ["RSA-PSS, trailer written out", pss(tagged(3, integer(1))), { hash: "sha1" }],
    ["RSA-PSS with an unknown hash", pss(tagged(0, sequence(derOidOf("1.2.3")))), { kind: "unknown" }],
    ["Ed25519", { algorithm: sequence(derOidOf(oid.ed25519)) }, { kind: "ed25519" }],
    ["Ed25519 with parameters", { algorithm: sequence(derOidOf(oid.ed25519), der(5)) }, { kind: "unknown" }],
    [
      "RSA with parameters that are none",
      { algorithm: sequence(derOidOf("1.2.840.113549.1.1.11"), integer(1)) },
      { kind: "unknown" },
    ],
    ["DSA", { algorithm: sequence(derOidOf("1.2.840.10040.4.3")) }, { kind: "unknown", oid: "1.2.840.10040.4.3" }],
  ])("signature algorithm: %s", (_what, parts, wanted) => {
    expect(parseCertificate(made(parts)).signatureAlgorithm).toMatchObject(wanted);
  });

  test.each<[string, Partial<Parts>, string]>([
    [
      "no extensions in version 1",
      { version: none, ...extensions(extension("1.2.3", none)) },
      "extensions: no extensions expected before version 3",
    ],
    ["version 4", { version: tagged(0, integer(3)) }, "version: version 1, 2 or 3 expected, not 4"],
    [
      "unique identifiers in version 1",
      { version: none, rest: der(0x81, [0, 1]) },
      "uniqueID: no unique identifiers expected before version 2",
    ],
    ["a long serial number", { serial: integer(1, ...new Uint8Array(32)) }, "serialNumber: at most 32 bytes are taken"],
    [
      "algorithms that differ",
      { outerAlgorithm: sequence(derOidOf(oid.ed25519)) },
      "signature: the two signature algorithms differ",
    ],
    ["something behind the signature", { behind: der(5) }, "Certificate: nothing more expected"],
    [
      "something behind the extensions",
      { rest: Uint8Array.from([...tagged(3, sequence()), 5, 0]) },
      "tbsCertificate: nothing more expected",
    ],
    [
      "a key with something behind",
      { spki: sequence(sequence(derOidOf("1.2.3")), der(3, [0]), der(5)) },
      "subjectPublicKeyInfo: nothing more expected",
    ],
    [
      "a third date",
      { validity: sequence(...Array(3).fill(der(0x17, ascii("260101000000Z")))) },
      "validity: nothing more expected",
    ],
    ["an empty part of a name", { subject: sequence(setOf()) }, "subject: 1 byte(s) expected"],
    [
      "too many attributes",
      { subject: name(...Array(nameAttributesMax + 1).fill(commonName("a"))) },
      "subject: at most 64 attributes are taken",
    ],
    [
      "an extension twice",
      extensions(extension("1.2.3", none), extension("1.2.3", none)),
      "extension: 1.2.3: a second time",
    ],
    [
      "too many extensions",
      extensions(...Array.from({ length: extensionsMax + 1 }, (_, i) => extension(`1.2.${i}`, none))),
      "extensions: at most 64 extensions are taken",
    ],
    ["critical: 1", extensions(extension("1.2.3", none, 1)), "critical: a BOOLEAN of 0 or 255 expected"],
    [
      "a usage that is none",
      extensions(extension(oid.extendedKeyUsage, sequence(integer(1)))),
      "extKeyUsage: object identifiers expected",
    ],
    [
      "too many usages",
      extensions(extension(oid.extendedKeyUsage, sequence(...Array(extensionItemsMax + 1).fill(derOidOf("1.2.3"))))),
      "extKeyUsage: at most 256 items are taken",
    ],
    [
      "data behind an extension's value",
      extensions(extension(oid.basicConstraints, Uint8Array.from([...sequence(), 5, 0]))),
      "extension: nothing more expected",
    ],
    [
      "a negative path length",
      extensions(extension(oid.basicConstraints, sequence(der(1, [255]), integer(0xff)))),
      "pathLenConstraint: a whole number below 2^31 expected",
    ],
    [
      "a subtree that is none",
      extensions(extension(oid.nameConstraints, sequence(tagged(0, integer(1))))),
      "nameConstraints: subtrees expected",
    ],
    [
      "a subtree with a minimum",
      extensions(extension(oid.nameConstraints, sequence(tagged(0, sequence(der(0x82, ascii("a")), der(0x80, [1])))))),
      "nameConstraints: nothing more expected",
    ],
    [
      "a directory name that is not built up",
      extensions(extension(oid.subjectAltName, sequence(der(0x84, [1])))),
      "name: a GeneralName expected",
    ],
    [
      "a name that is none",
      extensions(extension(oid.subjectAltName, sequence(integer(1)))),
      "name: a GeneralName expected",
    ],
    ["PSS without parameters", { algorithm: sequence(derOidOf(oid.rsaPss)) }, "RSASSA-PSS: parameters expected"],
    [
      "PSS with another mask",
      pss(tagged(1, sequence(derOidOf("1.2.3"), sha()))),
      "maskGenAlgorithm: MGF1 expected, not 1.2.3",
    ],
    ["PSS with another trailer", pss(tagged(3, integer(2))), "trailerField: trailer 1 expected, not 2"],
    ["PSS with a long salt", pss(tagged(2, integer(4, 1))), "saltLength: at most 1024 bytes are taken"],
    ["PSS with a hash that has parameters", pss(tagged(0, sha(integer(1)))), "digest: no parameters expected"],
    ["PSS with something behind", pss(tagged(3, integer(1)), der(5)), "RSASSA-PSS: nothing more expected"],
  ])("%s is refused", (_what, parts, message) => {
    expect(
      formatErrorOf(() => parseCertificate(made(parts)))
        ?.replace(/^x509: offset \d+, /, "")
        .replace(/, the input.*/, ""),
    ).toBe(message);
  });

  test("no certificate at all", () => {
    expect(formatErrorOf(() => parseCertificate(new Uint8Array(certificateBytesMax + 1)))).toBe(
      "x509: 32769 bytes, at most 32768 are taken",
    );
    expect(formatErrorOf(() => parseCertificate(integer(1)))).toBe(
      "x509: offset 0, Certificate: tag 0x30 expected, not 0x02",
    );
    const whole = certificateDer("p256");
    expect(formatErrorOf(() => parseCertificate(Uint8Array.from([...whole, 0])))).toBe(
      `x509: offset ${whole.length}, Certificate: nothing more expected`,
    );
  });

  test("hostile input", () => {
    tortureParser({ bytes: certificateDer("constrained"), parse: parseCertificate, rounds: 3000, seed: 11 });
  });
});
