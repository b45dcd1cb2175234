import { constants, createHash, createPrivateKey, privateEncrypt, sign, verify } from "node:crypto";
import { describe, expect, test } from "vitest";
import { oid } from "../../../../src/formats/object-identifiers.ts";
import type { Certificate } from "../../../../src/formats/x509.ts";
import { type CertificateKey, certificateKey, isSignedBy } from "../../../../src/trust/schemes/x509-key.ts";
import { certificateOf, privateKeyPem } from "../../../fakes/certificates.ts";
import { der, derOidOf, integer, octets, sequence } from "../../../fakes/der-writer.ts";

/** A certificate with another key in it. */
function withKey(algorithm: string, parameters: Uint8Array | null, publicKey: Uint8Array): Certificate {
  const identifier = sequence(derOidOf(algorithm), ...(parameters === null ? [] : [parameters]));
  const spki = sequence(identifier, der(3, [0], publicKey));
  return { ...certificateOf("p256"), publicKeyAlgorithm: { oid: algorithm, parameters }, publicKey, spki };
}

/** RSAPublicKey with a modulus of so many bytes, all of its bits set. */
function rsaKey(modulusBytes: number, exponent: Uint8Array): Uint8Array {
  return sequence(integer(0, ...new Uint8Array(modulusBytes).fill(0xff)), exponent);
}

const exponent = integer(1, 0, 1);
const nothing = der(5);
const rsa = oid.rsaEncryption;

describe("keys that are refused", () => {
  test.each<[string, Certificate, string]>([
    [
      "too short",
      withKey(rsa, nothing, rsaKey(255, exponent)),
      "has an RSA key of 2040 bits, at least 2048 are asked for",
    ],
    ["too long", withKey(rsa, nothing, rsaKey(1025, exponent)), "has an RSA key of 8200 bits, at most 8192 are taken"],
    ["exponent 1", withKey(rsa, nothing, rsaKey(256, integer(1))), "has an RSA key with the exponent 1"],
    [
      "a long exponent",
      withKey(rsa, nothing, rsaKey(256, integer(1, ...new Uint8Array(7), 1))),
      "has an RSA key with an exponent of more than 64 bits",
    ],
    ["exponent 4", withKey(rsa, nothing, rsaKey(256, integer(4))), "has an RSA key with the exponent 4"],
    ["no RSAPublicKey", withKey(rsa, nothing, integer(1)), "has a key that cannot be read"],
    ["DSA", withKey("1.2.840.10040.4.1", nothing, integer(1)), "has a key of a kind that is not taken: DSA"],
    [
      "a point that is none",
      withKey(oid.ecPublicKey, derOidOf(oid.p256), new Uint8Array(65).fill(4)),
      "has a key that cannot be read",
    ],
    [
      "a curve without name",
      withKey(oid.ecPublicKey, sequence(), new Uint8Array(65).fill(4)),
      "has an EC key whose curve has no name",
    ],
    ["no curve", withKey(oid.ecPublicKey, null, new Uint8Array(65).fill(4)), "has an EC key whose curve has no name"],
    [
      "a broken name of a curve",
      withKey(oid.ecPublicKey, der(6), new Uint8Array(65).fill(4)),
      "has an EC key whose curve has no name",
    ],
    ["a compressed point", certificateOf("compressed"), "has an EC key that is not in the uncompressed form"],
  ])("%s", (_what, certificate, reason) => {
    expect(certificateKey(certificate)).toEqual({ found: null, reason });
  });
});

function keyOf(name: string): CertificateKey {
  const { found, reason } = certificateKey(certificateOf(name));
  if (found === null) throw new Error(`${name} ${reason}`);
  return found;
}

describe("RSA with PKCS #1 v1.5 over a digest: OpenSSL's verdict over the bytes is the same", () => {
  const message = new TextEncoder().encode("a kernel would be here");
  const digest = new Uint8Array(createHash("sha256").update(message).digest());
  const key = keyOf("rsa");
  const privateKey = createPrivateKey(privateKeyPem("rsa"));
  const sha256 = derOidOf("2.16.840.1.101.3.4.2.1");
  const good = sequence(sequence(sha256, der(5)), octets(digest));
  const content = { digest: () => digest, bytes: () => message };

  /** The 256 bytes that are to be signed: 0, a kind, padding, 0, what is to be DigestInfo. */
  function encoded(
    info: Uint8Array,
    parts: { kind?: number; filler?: number; separator?: number; behind?: number } = {},
  ): Uint8Array {
    const { kind = 1, filler = 0xff, separator = 0, behind = 0 } = parts;
    const padding = new Uint8Array(256 - 3 - info.length - behind).fill(filler);
    return Uint8Array.from([0, kind, ...padding, separator, ...info, ...new Uint8Array(behind)]);
  }
  const raw = (bytes: Uint8Array): Uint8Array =>
    privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, bytes);

  /** Lengths in more bytes than needed, as BER has them. */
  const longLength = (tag: number, content: Uint8Array): Uint8Array =>
    Uint8Array.from([tag, 0x81, content.length, ...content]);

  test.each<[string, Uint8Array, boolean]>([
    ["made by OpenSSL", sign("sha256", message, privateKey), true],
    ["made by hand", raw(encoded(good)), true],
    ["block type 2", raw(encoded(good, { kind: 2 })), false],
    ["block type 0", raw(encoded(good, { kind: 0, filler: 0 })), false],
    ["padding of other bytes", raw(encoded(good, { filler: 0xfe })), false],
    ["no separator", raw(encoded(good, { separator: 0xff })), false],
    ["bytes behind", raw(encoded(good, { behind: 1 })), false],
    ["eight bytes of padding, the rest behind", raw(encoded(good, { behind: 256 - 3 - 8 - good.length })), false],
    ["no NULL", raw(encoded(sequence(sequence(sha256), octets(digest)))), false],
    ["parameters that are not NULL", raw(encoded(sequence(sequence(sha256, octets(digest)), octets(digest)))), false],
    ["a length of two bytes", raw(encoded(longLength(0x30, good.subarray(2)))), false],
    ["a length of two bytes inside", raw(encoded(sequence(sequence(sha256, der(5)), longLength(4, digest)))), false],
    ["something behind the digest", raw(encoded(sequence(sequence(sha256, der(5)), octets(digest), der(5)))), false],
    ["a shorter digest", raw(encoded(sequence(sequence(sha256, der(5)), octets(digest.subarray(0, 31))))), false],
    [
      "SHA-512/256 is named",
      raw(encoded(sequence(sequence(derOidOf("2.16.840.1.101.3.4.2.6"), der(5)), octets(digest)))),
      false,
    ],
    ["the digest alone", raw(encoded(digest)), false],
    ["nothing at all", raw(encoded(new Uint8Array())), false],
    ["all zero", new Uint8Array(256), false],
    ["all ones, more than the modulus", new Uint8Array(256).fill(0xff), false],
    ["a zero in front", Uint8Array.from([0, ...sign("sha256", message, privateKey)]), false],
    ["cut", sign("sha256", message, privateKey).subarray(0, 255), false],
    ["empty", new Uint8Array(), false],
  ])("%s: %s", (_what, signature, wanted) => {
    expect(isSignedBy(key, { kind: "rsa", hash: "sha256" }, "sha256", content, signature)).toBe(wanted);
    expect(isSignedBy(key, { kind: "rsa", hash: "sha256" }, "sha256", message, signature)).toBe(wanted);
    expect(verify("sha256", message, key.key, signature)).toBe(wanted);
  });

  test.each(["sha384", "sha512"] as const)("%s", (name) => {
    const other = { digest: () => createHash(name).update(message).digest(), bytes: () => message };
    const signature = sign(name, message, privateKey);
    expect(isSignedBy(key, { kind: "rsa", hash: name }, name, other, signature)).toBe(true);
    expect(isSignedBy(key, { kind: "rsa", hash: null }, "sha256", content, signature)).toBe(false);
  });

  test("a digest without a known encoding is never good", () => {
    const sha1 = { digest: () => createHash("sha1").update(message).digest(), bytes: () => message };
    expect(isSignedBy(key, { kind: "rsa", hash: null }, "sha1", sha1, sign("sha1", message, privateKey))).toBe(false);
  });

  test("RSA-PSS keys keep their limits: a shorter salt is refused", () => {
    const pss = createPrivateKey(privateKeyPem("pss"));
    const algorithm = { kind: "rsa-pss", hash: "sha256", maskHash: "sha256" } as const;
    const signature = sign("sha256", message, { key: pss, saltLength: 32 });
    expect(isSignedBy(keyOf("pss"), { ...algorithm, saltBytes: 32 }, "sha256", message, signature)).toBe(true);
    expect(isSignedBy(keyOf("pss"), { ...algorithm, saltBytes: 20 }, "sha256", message, signature)).toBe(false);
    expect(isSignedBy(keyOf("pss"), { ...algorithm, saltBytes: 33 }, "sha256", message, signature)).toBe(false);
  });

  test("ECDSA: a signature whose numbers are 0 is none", () => {
    const zero = sequence(integer(0), integer(0));
    expect(isSignedBy(keyOf("p256"), { kind: "ecdsa", hash: "sha256" }, "sha256", message, zero)).toBe(false);
  });
});
