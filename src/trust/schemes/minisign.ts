import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { parseMinisignPublicKey, parseMinisignSignature } from "../../formats/minisign.ts";
import type { SignatureScheme, SignedContent, TrustedKey, UntrustedSignature } from "./scheme.ts";

const format = "minisign";

/** minisign: Ed25519 over the file's BLAKE2b-512 digest (`ED`) or over the file itself (`Ed`, legacy), beside the file. */
export const minisignScheme: SignatureScheme = {
  name: format,
  signatureSuffix: ".minisig",
  keySuffix: ".pub",

  readKey(label: string, bytes: Uint8Array): TrustedKey {
    const parsed = parseMinisignPublicKey(bytes);
    return { label, scheme: format, id: parsed.keyId, key: ed25519PublicKey(parsed.key) };
  },

  readSignature(bytes: Uint8Array): UntrustedSignature {
    const parsed = parseMinisignSignature(bytes);
    const prehashed = parsed.algorithm === "prehashed";
    return {
      keyId: parsed.keyId,
      digest: prehashed ? "blake2b512" : null,
      check(key: TrustedKey, content: SignedContent): string | null {
        const signed = prehashed ? content.digest("blake2b512") : content.bytes();
        if (!verify(null, signed, key.key, parsed.signature)) return "the signature does not match the file";
        if (!verify(null, parsed.globalMessage, key.key, parsed.globalSignature)) {
          return "the signature's trusted comment was changed";
        }
        return null;
      },
    };
  },
};

/** @param raw 32 bytes, RFC 8032 section 5.1.5 */
function ed25519PublicKey(raw: Uint8Array): KeyObject {
  const x = Buffer.from(raw).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}
