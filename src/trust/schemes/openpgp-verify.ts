import {
  constants,
  createHash,
  createPublicKey,
  createVerify,
  type KeyObject,
  publicDecrypt,
  verify,
} from "node:crypto";
import { messageOf } from "../../formats/error-text.ts";
import { type OpenPgpHash, openPgpHash, publicKeyAlgorithmName } from "../../formats/openpgp/algorithms.ts";
import { ecdsaCurveBytes, type OpenPgpKey, type OpenPgpKeyMaterial } from "../../formats/openpgp/key.ts";
import type { OpenPgpSignature, OpenPgpSignatureValue } from "../../formats/openpgp/signature.ts";

/** RSA moduli, bits. */
const rsaBitsMin = 2048;

/** How many bytes are hashed at a time: OpenSSL's own limits are far above. */
const chunkBytes = 1 << 26;

/** The key's fingerprint (RFC 9580, section 5.5.4) in upper-case hexadecimal, as gpg prints it. */
export function fingerprintOf({ version, hashed }: OpenPgpKey): string {
  const digest = createHash(version === 4 ? "sha1" : "sha256").update(hashed);
  return digest.digest("hex").toUpperCase();
}

/** Of a fingerprint, 16 digits: the last in version 4, the first in version 6 (section 5.5.4). */
export function keyIdOf(fingerprint: string): string {
  return fingerprint.length === 40 ? fingerprint.slice(-16) : fingerprint.slice(0, 16);
}

/** Why signatures by a key are not taken at all, a clause; null when they are. */
export function keyWeakness({ material }: OpenPgpKey): string | null {
  if (material.kind === "unsupported") return material.reason;
  if (material.kind !== "rsa") return null;
  if (material.bits < rsaBitsMin) return `RSA of ${material.bits} bits is too weak, at least ${rsaBitsMin} are wanted`;
  const { exponent } = material;
  const odd = ((exponent.at(-1) ?? 0) & 1) === 1;
  return odd && (exponent.length > 1 || (exponent[0] ?? 0) > 1)
    ? null
    : "its RSA exponent is not an odd number above 1";
}

/** As OpenSSL knows it. Throws what OpenSSL throws for a point that is not on the curve. */
export function openPgpKeyObject(material: OpenPgpKeyMaterial): KeyObject {
  switch (material.kind) {
    case "rsa":
      return fromJwk({ kty: "RSA", n: base64url(material.modulus), e: base64url(material.exponent) });
    case "ecdsa":
      return fromJwk({ kty: "EC", crv: material.curve, x: base64url(material.x), y: base64url(material.y) });
    case "eddsa":
      return fromJwk({ kty: "OKP", crv: material.curve, x: base64url(material.point) });
    case "unsupported":
      throw new Error(material.reason);
  }
}

function fromJwk(key: Record<string, string>): KeyObject {
  return createPublicKey({ key, format: "jwk" });
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

/**
 * Why a signature is not the key's own over these parts: `unjudged` when nobody can tell (an algorithm that is not supported
 * or too weak), else because its number is wrong. A clause each.
 */
export interface VerificationFailure {
  readonly unjudged: boolean;
  readonly reason: string;
}

/** What makes a digest or a key too weak may be left out of account, for what only takes trust away. */
export type Strength = "strong" | "any";

/** Verifies a signature over `parts` in this order (RFC 9580, section 5.2.4); null when it is good. */
export function verifyOpenPgp(
  signature: OpenPgpSignature,
  key: OpenPgpKey,
  parts: readonly Uint8Array[],
  strength: Strength = "strong",
): VerificationFailure | null {
  const hash = openPgpHash(signature.hashAlgorithm);
  const refusal = refusalOf(signature, key, hash, strength);
  if (hash === null || refusal !== null) return { unjudged: true, reason: refusal ?? "" };
  const hashed = [signature.salt, ...parts, signature.trailer];
  const digest = digestOf(hash, hashed);
  const wrong = { unjudged: false, reason: "the signature does not match" };
  if (!digest.subarray(0, 2).equals(signature.digestStart)) return wrong;
  try {
    return isNumberGood(signature.value, key.material, hash, digest, hashed) ? null : wrong;
  } catch (error) {
    return { unjudged: true, reason: `OpenSSL refuses the key: ${messageOf(error)}` };
  }
}

function refusalOf(
  signature: OpenPgpSignature,
  key: OpenPgpKey,
  hash: OpenPgpHash | null,
  strength: Strength,
): string | null {
  if (hash === null) return `hash algorithm ${signature.hashAlgorithm} is not supported`;
  if (signature.version === 6 && hash.saltBytes === null) return `${hash.name} is not allowed in version 6`;
  if (strength === "strong" && hash.weakness !== null) return `${hash.name} ${hash.weakness}`;
  if (signature.version !== key.version) {
    return `a signature of version ${signature.version} by a key of version ${key.version}`;
  }
  if (signature.publicKeyAlgorithm !== key.algorithm) {
    const names = [signature.publicKeyAlgorithm, key.algorithm].map(publicKeyAlgorithmName);
    return `a signature of ${names[0]} by a key of ${names[1]}`;
  }
  if (key.material.kind === "unsupported") return key.material.reason;
  return strength === "any" ? null : (keyWeakness(key) ?? digestShortness(key.material, hash));
}

/** RFC 9580, sections 5.2.3.2, 5.2.3.4 and 5.2.3.5 */
const digestBytesMin = { "P-256": 32, "P-384": 48, "P-521": 64, Ed25519: 32, Ed448: 64 } as const;

function digestShortness(material: OpenPgpKeyMaterial, hash: OpenPgpHash): string | null {
  if (material.kind !== "ecdsa" && material.kind !== "eddsa") return null;
  return hash.bytes >= digestBytesMin[material.curve] ? null : `${hash.name} is too short for ${material.curve}`;
}

function digestOf(hash: OpenPgpHash, parts: readonly Uint8Array[]): Buffer {
  const digest = createHash(hash.digest);
  for (const chunk of chunksOf(parts)) digest.update(chunk);
  return digest.digest();
}

function* chunksOf(parts: readonly Uint8Array[]): Iterable<Uint8Array> {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += chunkBytes) yield part.subarray(at, at + chunkBytes);
  }
}

function isNumberGood(
  value: OpenPgpSignatureValue,
  material: OpenPgpKeyMaterial,
  hash: OpenPgpHash,
  digest: Buffer,
  hashed: readonly Uint8Array[],
): boolean {
  const key = openPgpKeyObject(material);
  if (value.kind === "rsa" && material.kind === "rsa") {
    return isRsaNumberGood(key, value.value, hash, digest, material.modulus.length);
  }
  if (value.kind === "eddsa" && material.kind === "eddsa" && value.curve === material.curve) {
    return verify(null, digest, key, value.value);
  }
  if (value.kind !== "ecdsa" || material.kind !== "ecdsa") return false;
  const length = ecdsaCurveBytes[material.curve];
  if (value.r.length > length || value.s.length > length) return false;
  // OpenSSL takes no digest of ECDSA here, so that the content is hashed a second time.
  const verifier = createVerify(hash.digest);
  for (const chunk of chunksOf(hashed)) verifier.update(chunk);
  const number = Buffer.concat([padded(value.r, length), padded(value.s, length)]);
  return verifier.verify({ key, dsaEncoding: "ieee-p1363" }, number);
}

/** RFC 8017, section 8.2.2: the number that the key opens has to be the encoded digest, whole. */
function isRsaNumberGood(
  key: KeyObject,
  value: Uint8Array,
  hash: OpenPgpHash,
  digest: Buffer,
  length: number,
): boolean {
  if (value.length > length) return false;
  const expected = encodedDigest(hash, digest, length);
  try {
    return publicDecrypt({ key, padding: constants.RSA_NO_PADDING }, padded(value, length)).equals(expected);
  } catch {
    // A number that is not below the modulus.
    return false;
  }
}

/** EMSA-PKCS1-v1_5 (RFC 8017, section 9.2), as OpenPGP uses it (RFC 9580, section 5.2.3.1). */
function encodedDigest({ oid }: OpenPgpHash, digest: Buffer, length: number): Buffer {
  const algorithm = [0x30, oid.length + 4, 0x06, oid.length, ...oid, 0x05, 0x00];
  const info = [0x30, algorithm.length + 2 + digest.length, ...algorithm, 0x04, digest.length, ...digest];
  return Buffer.from([0, 1, ...new Array<number>(length - info.length - 3).fill(0xff), 0, ...info]);
}

function padded(number: Uint8Array, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.set(number, length - number.length);
  return bytes;
}
