import { createHash, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { oid } from "../../../src/formats/object-identifiers.ts";
import { parseOpenPgpSignatureFile } from "../../../src/formats/openpgp/files.ts";
import type { OpenPgpKey, OpenPgpKeyMaterial } from "../../../src/formats/openpgp/key.ts";
import type { OpenPgpSignature, OpenPgpSignatureValue } from "../../../src/formats/openpgp/signature.ts";
import { cmsScheme } from "../../../src/trust/schemes/cms.ts";
import { verifyOpenPgp } from "../../../src/trust/schemes/openpgp-verify.ts";
import { sshAnchorReader, sshsigScheme } from "../../../src/trust/schemes/sshsig.ts";
import { anchorOf } from "../../../src/trust/schemes/x509-anchors.ts";
import { cmsOf, cmsSignerOf, ecdsaSha256, sha256Algorithm } from "../../fakes/cms-writer.ts";
import { der, derOidOf, integer, sequence, setOf, tagged } from "../../fakes/der-writer.ts";
import { anchorsOf, latin1Bytes, signatureData, signatureText, verdictOf } from "../../fakes/signature-data.ts";

// Signatures of C2SP's Wycheproof (test/data/wycheproof) on the ways that signatures take here: in a CMS message, as the numbers
// of OpenPGP and of OpenSSH.

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  /** Hexadecimal, as are all. */
  readonly msg: string;
  readonly sig: string;
  readonly result: "valid" | "invalid" | "acceptable";
}

type Row = readonly [title: string, vector: Vector, publicKey: Uint8Array];

function vectors(name: string): readonly Row[] {
  const file = path.resolve(import.meta.dirname, "../../data/wycheproof", name);
  const { testGroups } = JSON.parse(readFileSync(file, "utf8"));
  return testGroups.flatMap((group: { readonly publicKeyDer: string; readonly tests: readonly Vector[] }) =>
    group.tests.map((vector) => [`${vector.tcId} ${vector.comment}`, vector, bytesOf(group.publicKeyDer)]),
  );
}

function bytesOf(hexadecimal: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hexadecimal, "hex"));
}

function withoutZeros(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0);
  return start < 0 ? new Uint8Array() : number.subarray(start);
}

const noMatch = "the signature does not match the file";
const name = sequence(setOf(sequence(derOidOf("2.5.4.3"), der(0x0c, latin1Bytes("k")))));
const time = (text: string): Uint8Array => der(0x17, latin1Bytes(text));

/** A certificate of that key in the first version of X.509; its signature, which nobody looks at, is none. */
function certificateOf(publicKey: Uint8Array): Uint8Array {
  const validity = sequence(time("240101000000Z"), time("490101000000Z"));
  const tbs = sequence(integer(1), ecdsaSha256, name, validity, name, publicKey);
  return sequence(tbs, ecdsaSha256, der(3, [0, 0]));
}

/** By whom a message is that holds the signature alone, as `openssl cms -sign -noattr` makes it; or why it is refused. */
function cmsVerdict({ msg, sig }: Vector, publicKey: Uint8Array, signatureAlgorithm: Uint8Array): string {
  const content = bytesOf(msg);
  const certificate = certificateOf(publicKey);
  const sid = sequence(name, integer(1));
  const signer = cmsSignerOf(content, { sid, attributes: null, signatureAlgorithm, signature: bytesOf(sig) });
  const message = cmsOf(content, { certificates: tagged(0, certificate), signers: [signer] });
  return verdictOf(cmsScheme, message, content, [anchorOf("k", certificate)]);
}

const rsaSha256 = sequence(derOidOf("1.2.840.113549.1.1.11"), der(5));
/** RFC 4055, section 3.1. */
const pssSha256 = sequence(
  derOidOf(oid.rsaPss),
  sequence(
    tagged(0, sha256Algorithm),
    tagged(1, sequence(derOidOf("1.2.840.113549.1.1.8"), sha256Algorithm)),
    tagged(2, integer(32)),
  ),
);

describe("in a CMS message", () => {
  // What is only acceptable to Wycheproof is refused: one encoding is taken.
  const expected = ({ result }: Vector): string => (result === "valid" ? "by k" : noMatch);

  test.each(vectors("ecdsa-p256.json"))("ECDSA %s", (_, vector, publicKey) => {
    expect(cmsVerdict(vector, publicKey, ecdsaSha256)).toBe(expected(vector));
  });

  test.each(vectors("rsa-2048.json"))("RSA %s", (_, vector, publicKey) => {
    expect(cmsVerdict(vector, publicKey, rsaSha256)).toBe(expected(vector));
  });

  test.each(vectors("rsa-pss-2048.json"))("RSA-PSS %s", (_, vector, publicKey) => {
    expect(cmsVerdict(vector, publicKey, pssSha256)).toBe(expected(vector));
  });
});

describe("as OpenPGP's numbers", () => {
  /** A signature of version 4, for all that is not the number. */
  function template(): OpenPgpSignature {
    const [packet] = parseOpenPgpSignatureFile(signatureData("openpgp/rsa.sig"));
    if (packet === undefined || packet.signature === null) throw new Error("a signature expected");
    return packet.signature;
  }

  const jwk = (publicKey: Uint8Array): Record<string, Uint8Array> => {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" }).export({ format: "jwk" });
    const fields = Object.entries(key).filter(([field]) => ["n", "e", "x", "y"].includes(field));
    return Object.fromEntries(fields.map(([field, value]) => [field, Buffer.from(String(value), "base64url")]));
  };

  /** OpenPGP hashes more behind a content, which is left away: these are not made for it. */
  function verdict(
    { msg }: Vector,
    algorithm: number,
    material: OpenPgpKeyMaterial,
    value: OpenPgpSignatureValue,
  ): string | null {
    const content = bytesOf(msg);
    const none = new Uint8Array();
    const key: OpenPgpKey = { version: 4, created: 0, algorithm, material, hashed: none };
    const digestStart = createHash("sha256").update(content).digest().subarray(0, 2);
    const signature: OpenPgpSignature = {
      ...template(),
      ...{ publicKeyAlgorithm: algorithm, hashAlgorithm: 8, salt: none, trailer: none, digestStart, value },
    };
    return verifyOpenPgp(signature, key, [content])?.reason ?? null;
  }

  const expected = ({ result }: Vector): string | null => (result === "valid" ? null : "the signature does not match");

  test.each(vectors("rsa-2048.json"))("RSA %s", (_, vector, publicKey) => {
    const { n = new Uint8Array(), e = new Uint8Array() } = jwk(publicKey);
    const value = { kind: "rsa", value: withoutZeros(bytesOf(vector.sig)) } as const;
    expect(verdict(vector, 1, { kind: "rsa", modulus: n, exponent: e, bits: 2048 }, value)).toBe(expected(vector));
  });

  test.each(vectors("ecdsa-p256-p1363.json"))("ECDSA %s", (_, vector, publicKey) => {
    const { x = new Uint8Array(), y = new Uint8Array() } = jwk(publicKey);
    const both = bytesOf(vector.sig);
    const [r, s] = [both.subarray(0, both.length / 2), both.subarray(both.length / 2)].map(withoutZeros);
    if (r === undefined || s === undefined) throw new Error("two numbers expected");
    const value = { kind: "ecdsa", r, s } as const;
    expect(verdict(vector, 19, { kind: "ecdsa", curve: "P-256", x, y }, value)).toBe(expected(vector));
  });
});

describe("as OpenSSH's numbers: what nobody's signature has", () => {
  // What is signed there is never the content itself, so that only numbers count that are wrong for every content.
  const good = Buffer.from(signatureText("sshsig/ecdsa256.sig").replaceAll(/-----.*-----|\n/g, ""), "base64");
  const blob = Buffer.from("ecdsa-sha2-nistp256");
  const keys = anchorsOf(sshAnchorReader, "sshsig/ecdsa256.pub", "k");
  const message = signatureData("sshsig/message.txt");
  const field = (bytes: Uint8Array): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };

  /** RFC 4251, section 5, mpint: the shortest form, with a zero in front of a first bit that is set. */
  const mpint = (number: Uint8Array): Buffer => {
    const digits = withoutZeros(number);
    return field((digits[0] ?? 0) >= 0x80 ? Uint8Array.from([0, ...digits]) : digits);
  };

  function verdict(r: Uint8Array, s: Uint8Array): string {
    const start = good.lastIndexOf(blob) - 8;
    const made = field(Buffer.concat([field(blob), field(Buffer.concat([mpint(r), mpint(s)]))]));
    const text = Buffer.concat([good.subarray(0, start), made]).toString("base64");
    const armored = `-----BEGIN SSH SIGNATURE-----\n${text}\n-----END SSH SIGNATURE-----\n`;
    try {
      return verdictOf(sshsigScheme, latin1Bytes(armored), message, keys);
    } catch (error) {
      if (error instanceof FormatError) return error.message;
      throw error;
    }
  }

  function whyRefused(r: Uint8Array, s: Uint8Array): string {
    const bytes = (number: Uint8Array): number => withoutZeros(number).length;
    const notPositive = "a positive number in its shortest form expected";
    if (bytes(r) === 0) return `ssh signature: offset 4, r: ${notPositive}`;
    if (bytes(r) > 32) return `ssh signature: r: ${bytes(r)} bytes, at most 32 expected`;
    return bytes(s) === 0 ? `ssh signature: offset ${mpint(r).length + 4}, s: ${notPositive}` : noMatch;
  }

  test("the signature itself, put together again, is good", () => {
    const inner = good.subarray(good.lastIndexOf(blob) + blob.length + 4);
    const length = inner.readUInt32BE(0);
    expect(verdict(inner.subarray(4, 4 + length), inner.subarray(8 + length))).toBe("by k");
  });

  const rows = vectors("ecdsa-p256-p1363.json").filter(([, { tcId }]) => tcId > 1);
  test.each(rows)("%s", (_, { sig }) => {
    const both = bytesOf(sig);
    const [r, s] = [both.subarray(0, both.length / 2), both.subarray(both.length / 2)];
    expect(verdict(r, s)).toBe(whyRefused(r, s));
  });
});
