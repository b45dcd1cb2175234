/*
 * Object identifiers of signatures and certificates, dotted. Sources: RFC 3279, RFC 4055, RFC 5480, RFC 5758, RFC 8017,
 * RFC 8410, RFC 8692 (algorithms); RFC 5280 (certificates); RFC 5652, RFC 2985 (CMS); Microsoft, "Windows Authenticode
 * Portable Executable Signature Format".
 */

/** Hash functions, by the names that node:crypto uses. */
export type HashName =
  | "md5"
  | "sha1"
  | "sha224"
  | "sha256"
  | "sha384"
  | "sha512"
  | "sha512-224"
  | "sha512-256"
  | "sha3-224"
  | "sha3-256"
  | "sha3-384"
  | "sha3-512";

export const oid = {
  // keys
  rsaEncryption: "1.2.840.113549.1.1.1",
  rsaPss: "1.2.840.113549.1.1.10",
  mgf1: "1.2.840.113549.1.1.8",
  ecPublicKey: "1.2.840.10045.2.1",
  ed25519: "1.3.101.112",
  // curves
  p256: "1.2.840.10045.3.1.7",
  p384: "1.3.132.0.34",
  p521: "1.3.132.0.35",
  // certificates
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  certificatePolicies: "2.5.29.32",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  anyExtendedKeyUsage: "2.5.29.37.0",
  codeSigning: "1.3.6.1.5.5.7.3.3",
  emailAddress: "1.2.840.113549.1.9.1",
  // CMS
  data: "1.2.840.113549.1.7.1",
  signedData: "1.2.840.113549.1.7.2",
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  // Authenticode
  spcIndirectData: "1.3.6.1.4.1.311.2.1.4",
  spcPeImageData: "1.3.6.1.4.1.311.2.1.15",
} as const;

/** Digest algorithms. */
export const hashOids: Readonly<Record<string, HashName>> = {
  "1.2.840.113549.2.5": "md5",
  "1.3.14.3.2.26": "sha1",
  "2.16.840.1.101.3.4.2.4": "sha224",
  "2.16.840.1.101.3.4.2.1": "sha256",
  "2.16.840.1.101.3.4.2.2": "sha384",
  "2.16.840.1.101.3.4.2.3": "sha512",
  "2.16.840.1.101.3.4.2.5": "sha512-224",
  "2.16.840.1.101.3.4.2.6": "sha512-256",
  "2.16.840.1.101.3.4.2.7": "sha3-224",
  "2.16.840.1.101.3.4.2.8": "sha3-256",
  "2.16.840.1.101.3.4.2.9": "sha3-384",
  "2.16.840.1.101.3.4.2.10": "sha3-512",
};

/** Signatures by RSA with the padding of PKCS #1 v1.5, and the hash that they name. */
export const rsaSignatureOids: Readonly<Record<string, HashName>> = {
  "1.2.840.113549.1.1.4": "md5",
  "1.2.840.113549.1.1.5": "sha1",
  "1.3.14.3.2.29": "sha1",
  "1.2.840.113549.1.1.14": "sha224",
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
  "1.2.840.113549.1.1.15": "sha512-224",
  "1.2.840.113549.1.1.16": "sha512-256",
  "2.16.840.1.101.3.4.3.13": "sha3-224",
  "2.16.840.1.101.3.4.3.14": "sha3-256",
  "2.16.840.1.101.3.4.3.15": "sha3-384",
  "2.16.840.1.101.3.4.3.16": "sha3-512",
};

/** Signatures by ECDSA, and the hash that they name. */
export const ecdsaSignatureOids: Readonly<Record<string, HashName>> = {
  "1.2.840.10045.4.1": "sha1",
  "1.2.840.10045.4.3.1": "sha224",
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
  "2.16.840.1.101.3.4.3.9": "sha3-224",
  "2.16.840.1.101.3.4.3.10": "sha3-256",
  "2.16.840.1.101.3.4.3.11": "sha3-384",
  "2.16.840.1.101.3.4.3.12": "sha3-512",
};

const otherNames: Readonly<Record<string, string>> = {
  [oid.rsaEncryption]: "RSA",
  [oid.rsaPss]: "RSA-PSS",
  [oid.ecPublicKey]: "EC",
  [oid.ed25519]: "Ed25519",
  "1.3.101.113": "Ed448",
  "1.2.840.10040.4.1": "DSA",
  "1.2.840.10040.4.3": "DSA with SHA-1",
  "2.16.840.1.101.3.4.3.2": "DSA with SHA-256",
  "1.2.156.10197.1.501": "SM2 with SM3",
  "2.16.840.1.101.3.4.3.17": "ML-DSA-44",
  "2.16.840.1.101.3.4.3.18": "ML-DSA-65",
  "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
  "1.2.840.113549.2.2": "MD2",
  "1.2.840.113549.1.1.2": "RSA with MD2",
  "1.3.36.3.2.1": "RIPEMD-160",
  "2.16.840.1.101.3.4.2.12": "SHAKE256",
  [oid.p256]: "P-256",
  [oid.p384]: "P-384",
  [oid.p521]: "P-521",
  "1.3.132.0.10": "secp256k1",
  "1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1",
  [oid.basicConstraints]: "basic constraints",
  [oid.nameConstraints]: "name constraints",
  "2.5.29.33": "policy mappings",
  "2.5.29.36": "policy constraints",
  "2.5.29.54": "inhibit any policy",
  "2.5.29.31": "CRL distribution points",
  "1.3.6.1.5.5.7.3.1": "server authentication",
  "1.3.6.1.5.5.7.3.2": "client authentication",
  [oid.codeSigning]: "code signing",
  "1.3.6.1.5.5.7.3.4": "e-mail protection",
  "1.3.6.1.5.5.7.3.8": "time stamping",
  [oid.anyExtendedKeyUsage]: "any usage",
  [oid.data]: "data",
  [oid.signedData]: "signed data",
  "1.2.840.113549.1.7.3": "enveloped data",
  "1.2.840.113549.1.7.5": "digested data",
  "1.2.840.113549.1.9.16.1.4": "time stamp",
  [oid.spcIndirectData]: "Authenticode",
};

/** `SHA-256`, `SHA3-256`, `SHA-512/256`. */
export function hashTitle(name: HashName): string {
  if (name === "md5") return "MD5";
  if (name.startsWith("sha3-")) return name.toUpperCase();
  return `SHA-${name.slice(3).replace("-", "/")}`;
}

/** What people call an object identifier; the dotted numbers where no name is known. */
export function oidTitle(dotted: string): string {
  const rsa = rsaSignatureOids[dotted];
  if (rsa !== undefined) return `RSA with ${hashTitle(rsa)}`;
  const ecdsa = ecdsaSignatureOids[dotted];
  if (ecdsa !== undefined) return `ECDSA with ${hashTitle(ecdsa)}`;
  const hash = hashOids[dotted];
  return hash === undefined ? (otherNames[dotted] ?? dotted) : hashTitle(hash);
}
