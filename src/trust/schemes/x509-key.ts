import { constants, createPublicKey, type KeyObject, publicDecrypt, verify } from "node:crypto";
import { sameBytes } from "../../formats/bytes.ts";
import { derOid, derTag, derWhole } from "../../formats/der.ts";
import { FormatError } from "../../formats/format-error.ts";
import { type HashName, hashTitle, oid, oidTitle } from "../../formats/object-identifiers.ts";
import type { AlgorithmIdentifier, Certificate, SignatureAlgorithm } from "../../formats/x509.ts";
import { keyIdentity } from "./public-key.ts";
import type { DigestName, SignedContent } from "./scheme.ts";

/** Smallest RSA key that is taken, bits. */
export const rsaBitsMin = 2048;
/** Largest RSA key that is taken, bits: what checks a signature takes a time that grows with the square. */
export const rsaBitsMax = 8192;
/** Largest exponent of an RSA key, bits; it is 17 in practice. */
export const rsaExponentBitsMax = 64;

/** The curves that are taken. */
const curves: readonly string[] = [oid.p256, oid.p384, oid.p521];

/** What a signature is over, as far as it is asked for. */
export type MessageContent = Pick<SignedContent, "digest" | "bytes">;

/** A certificate's key that is strong enough to be believed. */
export interface CertificateKey {
  readonly key: KeyObject;
  readonly kind: "rsa" | "rsa-pss" | "ec" | "ed25519";
  /** See {@link keyIdentity}; of all encodings of the key the same. */
  readonly identity: string;
}

export type KeyResult =
  | { readonly found: CertificateKey; readonly reason: null }
  | { readonly found: null; readonly reason: string };

/** The key of a certificate; the reason, `has an RSA key of 1024 bits…`, continues the certificate's name. */
export function certificateKey(certificate: Certificate): KeyResult {
  const { publicKeyAlgorithm: algorithm, spki } = certificate;
  const kind = keyKind(algorithm);
  if (kind === null) return refused(`has a key of a kind that is not taken: ${oidTitle(algorithm.oid)}`);
  if (kind === "ec") {
    const reason = curveProblem(algorithm);
    if (reason !== null) return refused(reason);
    // The same key in two encodings would count as two signers.
    if (certificate.publicKey[0] !== 4) return refused("has an EC key that is not in the uncompressed form");
  }
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    const reason = kind === "rsa" || kind === "rsa-pss" ? rsaProblem(key) : null;
    if (reason !== null) return refused(reason);
    return { found: { key, kind, identity: identityOf(certificate, key, kind) }, reason: null };
  } catch {
    return refused("has a key that cannot be read");
  }
}

function refused(reason: string): KeyResult {
  return { found: null, reason };
}

function keyKind(algorithm: AlgorithmIdentifier): CertificateKey["kind"] | null {
  switch (algorithm.oid) {
    case oid.rsaEncryption:
      return "rsa";
    case oid.rsaPss:
      return "rsa-pss";
    case oid.ecPublicKey:
      return "ec";
    case oid.ed25519:
      return "ed25519";
    default:
      return null;
  }
}

function curveProblem({ parameters }: AlgorithmIdentifier): string | null {
  if (parameters === null || parameters[0] !== derTag.oid) return "has an EC key whose curve has no name";
  try {
    const curve = derOid(derWhole(parameters, derTag.oid, "x509", "namedCurve"), "namedCurve");
    return curves.includes(curve) ? null : `has an EC key on the curve ${oidTitle(curve)}, which is not taken`;
  } catch (error) {
    if (error instanceof FormatError) return "has an EC key whose curve has no name";
    throw error;
  }
}

function rsaProblem(key: KeyObject): string | null {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < rsaBitsMin)
    return `has an RSA key of ${modulusLength} bits, at least ${rsaBitsMin} are asked for`;
  if (modulusLength > rsaBitsMax) return `has an RSA key of ${modulusLength} bits, at most ${rsaBitsMax} are taken`;
  if (publicExponent >> BigInt(rsaExponentBitsMax) > 0n) {
    return `has an RSA key with an exponent of more than ${rsaExponentBitsMax} bits`;
  }
  if (publicExponent < 3n || publicExponent % 2n === 0n) return `has an RSA key with the exponent ${publicExponent}`;
  return null;
}

/** An RSA key is the same whether it is for one padding only or for both. */
function identityOf(certificate: Certificate, key: KeyObject, kind: CertificateKey["kind"]): string {
  if (kind !== "rsa-pss") return keyIdentity(key);
  return keyIdentity(createPublicKey({ key: Buffer.from(certificate.publicKey), format: "der", type: "pkcs1" }));
}

/** The hash for node:crypto, or why it is not taken: `SHA-1, which is too weak`. */
export function strongHash(
  hash: HashName,
): { readonly name: DigestName; readonly reason: null } | { readonly name: null; readonly reason: string } {
  switch (hash) {
    case "sha256":
    case "sha384":
    case "sha512":
      return { name: hash, reason: null };
    case "md5":
    case "sha1":
      return { name: null, reason: `${hashTitle(hash)}, which is too weak` };
    default:
      return { name: null, reason: `${hashTitle(hash)}, which is not taken` };
  }
}

/** How a signature's algorithm and a key fit; the reason is a clause about the signature: `is made with SHA-1, …`. */
export function algorithmProblem(algorithm: SignatureAlgorithm, key: CertificateKey): string | null {
  if (algorithm.kind === "unknown") return `is made with ${oidTitle(algorithm.oid)}, which is not taken`;
  if (algorithm.kind !== "ed25519" && algorithm.hash !== null) {
    const { reason } = strongHash(algorithm.hash);
    if (reason !== null) return `is made with ${reason}`;
  }
  if (algorithm.kind === "rsa-pss" && algorithm.maskHash !== algorithm.hash) {
    return `is made with ${hashTitle(algorithm.hash)}, and its mask with ${hashTitle(algorithm.maskHash)}`;
  }
  const fits = {
    rsa: key.kind === "rsa",
    "rsa-pss": key.kind === "rsa" || key.kind === "rsa-pss",
    ecdsa: key.kind === "ec",
    ed25519: key.kind === "ed25519",
  };
  return fits[algorithm.kind] ? null : "is made with another kind of key";
}

/**
 * Whether the signature is the key's over the message: over bytes, or over an artifact, of which a signature by RSA with the
 * padding of PKCS #1 v1.5 needs the digest only. {@link algorithmProblem} has found nothing, and `hash` is the algorithm's
 * where that names one.
 */
export function isSignedBy(
  key: CertificateKey,
  algorithm: SignatureAlgorithm,
  hash: DigestName,
  message: Uint8Array | MessageContent,
  signature: Uint8Array,
): boolean {
  const isBytes = message instanceof Uint8Array;
  if (algorithm.kind === "rsa" && !isBytes) return rsaMatches(key.key, hash, message.digest(hash), signature);
  const bytes = isBytes ? message : message.bytes();
  switch (algorithm.kind) {
    case "rsa":
      return matches(hash, bytes, { key: key.key, padding: constants.RSA_PKCS1_PADDING }, signature);
    case "rsa-pss": {
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      return matches(hash, bytes, { key: key.key, padding, saltLength: algorithm.saltBytes }, signature);
    }
    case "ecdsa":
      return matches(hash, bytes, { key: key.key, dsaEncoding: "der" }, signature);
    case "ed25519":
      return matches(null, bytes, { key: key.key }, signature);
    case "unknown":
      return false;
  }
}

/** DigestInfo up to the digest (RFC 8017, section 9.2, note 1). */
const digestInfoPrefixes: Partial<Record<DigestName, Uint8Array>> = {
  sha256: Buffer.from("3031300d060960864801650304020105000420", "hex"),
  sha384: Buffer.from("3041300d060960864801650304020205000430", "hex"),
  sha512: Buffer.from("3051300d060960864801650304020305000440", "hex"),
};

type VerifyKey = Parameters<typeof verify>[2];

function matches(hash: DigestName | null, message: Uint8Array, key: VerifyKey, signature: Uint8Array): boolean {
  try {
    return verify(hash, message, key, signature);
  } catch {
    // What OpenSSL cannot even try: a salt that is longer than the key, parameters that the key forbids.
    return false;
  }
}

/**
 * RSASSA-PKCS1-v1_5 over a digest (RFC 8017, section 8.2.2): the one encoding that the digest can have is compared, nothing
 * in the signature is parsed. OpenSSL has checked the padding then.
 */
function rsaMatches(key: KeyObject, hash: DigestName, digest: Uint8Array, signature: Uint8Array): boolean {
  const modulusBytes = Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
  if (signature.length !== modulusBytes) return false;
  const prefix = digestInfoPrefixes[hash];
  if (prefix === undefined) return false;
  try {
    const found = publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature);
    return sameBytes(found.subarray(0, prefix.length), prefix) && sameBytes(found.subarray(prefix.length), digest);
  } catch {
    return false;
  }
}
