/** Public-key algorithms that sign (RFC 9580, section 9.1). */
export const publicKeyAlgorithms = {
  rsa: 1,
  rsaSignOnly: 3,
  ecdsa: 19,
  eddsaLegacy: 22,
  ed25519: 27,
  ed448: 28,
} as const;

/** Names for messages (RFC 9580, section 9.1; 30 to 34 are those of the drafts for post-quantum signatures). */
const publicKeyAlgorithmNames: ReadonlyMap<number, string> = new Map([
  [1, "RSA"],
  [2, "RSA (encrypt only)"],
  [3, "RSA (sign only)"],
  [16, "ElGamal (encrypt only)"],
  [17, "DSA"],
  [18, "ECDH"],
  [19, "ECDSA"],
  [20, "ElGamal"],
  [21, "Diffie-Hellman"],
  [22, "EdDSA (legacy)"],
  [25, "X25519"],
  [26, "X448"],
  [27, "Ed25519"],
  [28, "Ed448"],
  [30, "ML-DSA-65 with Ed25519"],
  [31, "ML-DSA-87 with Ed448"],
  [32, "SLH-DSA-SHAKE-128s"],
  [33, "SLH-DSA-SHAKE-128f"],
  [34, "SLH-DSA-SHAKE-256s"],
]);

/** `DSA`, `public-key algorithm 99` */
export function publicKeyAlgorithmName(id: number): string {
  return publicKeyAlgorithmNames.get(id) ?? `public-key algorithm ${id}`;
}

/** A hash algorithm (RFC 9580, section 9.5). */
export interface OpenPgpHash {
  readonly name: string;
  /** Digest, bytes. */
  readonly bytes: number;
  /** Salt of a version 6 signature, bytes; null where version 6 does not allow the algorithm. */
  readonly saltBytes: number | null;
  /** Object identifier in PKCS #1 signatures: the DER of its content. */
  readonly oid: Uint8Array;
  /** As OpenSSL calls it. */
  readonly digest: string;
  /** Why signatures with it are not believed; null when they are. */
  readonly weakness: string | null;
}

const broken = "is too weak";
const short = "is too short";

/** 2.16.840.1.101.3.4.2.N (RFC 9580, section 9.5) */
const nistHash = (number: number): Uint8Array => Uint8Array.of(0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, number);

const hashes: ReadonlyMap<number, OpenPgpHash> = new Map([
  [
    1,
    {
      name: "MD5",
      oid: Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05),
      bytes: 16,
      saltBytes: null,
      digest: "md5",
      weakness: broken,
    },
  ],
  [
    2,
    {
      name: "SHA-1",
      oid: Uint8Array.of(0x2b, 0x0e, 0x03, 0x02, 0x1a),
      bytes: 20,
      saltBytes: null,
      digest: "sha1",
      weakness: broken,
    },
  ],
  [
    3,
    {
      name: "RIPEMD-160",
      oid: Uint8Array.of(0x2b, 0x24, 0x03, 0x02, 0x01),
      bytes: 20,
      saltBytes: null,
      digest: "ripemd160",
      weakness: broken,
    },
  ],
  [8, { name: "SHA-256", oid: nistHash(1), bytes: 32, saltBytes: 16, digest: "sha256", weakness: null }],
  [9, { name: "SHA-384", oid: nistHash(2), bytes: 48, saltBytes: 24, digest: "sha384", weakness: null }],
  [10, { name: "SHA-512", oid: nistHash(3), bytes: 64, saltBytes: 32, digest: "sha512", weakness: null }],
  [11, { name: "SHA-224", oid: nistHash(4), bytes: 28, saltBytes: 16, digest: "sha224", weakness: short }],
  [12, { name: "SHA3-256", oid: nistHash(8), bytes: 32, saltBytes: 16, digest: "sha3-256", weakness: null }],
  [14, { name: "SHA3-512", oid: nistHash(10), bytes: 64, saltBytes: 32, digest: "sha3-512", weakness: null }],
]);

/** null: nobody knows it. */
export function openPgpHash(id: number): OpenPgpHash | null {
  return hashes.get(id) ?? null;
}

/** Elliptic curves by their object identifiers in hexadecimal (RFC 9580, section 9.2), and three that GnuPG adds. */
const curveNames: ReadonlyMap<string, string> = new Map([
  ["2a8648ce3d030107", "P-256"],
  ["2b81040022", "P-384"],
  ["2b81040023", "P-521"],
  ["2b2403030208010107", "brainpoolP256r1"],
  ["2b240303020801010b", "brainpoolP384r1"],
  ["2b240303020801010d", "brainpoolP512r1"],
  ["2b06010401da470f01", "Ed25519"],
  ["2b060104019755010501", "Curve25519"],
  ["2b6570", "Ed25519 (RFC 8410)"],
  ["2b6571", "Ed448 (RFC 8410)"],
  ["2b8104000a", "secp256k1"],
]);

/** @param oid content of the object identifier in lower-case hexadecimal */
export function curveName(oid: string): string {
  return curveNames.get(oid) ?? `curve ${oid}`;
}
