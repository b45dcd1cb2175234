import { createHash, createPublicKey, type KeyObject } from "node:crypto";

/** @param raw 32 bytes (RFC 8032, section 5.1.5) */
export function ed25519PublicKey(raw: Uint8Array): KeyObject {
  const x = Buffer.from(raw).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

/** By what a key is told from others in whatever form it comes: `spki:` and the SHA-256 of its SubjectPublicKeyInfo. */
export function keyIdentity(key: KeyObject): string {
  const der = key.export({ type: "spki", format: "der" });
  return `spki:${createHash("sha256").update(der).digest("hex")}`;
}
