import { createHash, createPrivateKey, sign } from "node:crypto";
import { oid } from "../../src/formats/object-identifiers.ts";
import { certificateDer, certificateOf, privateKeyPem } from "./certificates.ts";
import { der, derOidOf, integer, octets, sequence, setOf, tagged } from "./der-writer.ts";

export const sha256Algorithm = sequence(derOidOf("2.16.840.1.101.3.4.2.1"));
export const ecdsaSha256 = sequence(derOidOf("1.2.840.10045.4.3.2"));

/** The parts of signed data with one signer; what is left out is as it should be for `p256.pem`. */
export interface CmsParts {
  readonly version: Uint8Array;
  readonly digestAlgorithms: Uint8Array;
  /** Object identifier. */
  readonly contentType: string;
  readonly certificates: Uint8Array;
  readonly signers: readonly Uint8Array[];
  readonly behind: Uint8Array;
}

export interface SignerParts {
  readonly version: Uint8Array;
  readonly sid: Uint8Array;
  readonly digestAlgorithm: Uint8Array;
  /** DER of each, or null for none at all. */
  readonly attributes: readonly Uint8Array[] | null;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly behind: Uint8Array;
}

const none = new Uint8Array();

export function attribute(identifier: string, ...values: readonly Uint8Array[]): Uint8Array {
  return sequence(derOidOf(identifier), setOf(...values));
}

/** What every signer's attributes hold, for a content. */
export function attributesOf(content: Uint8Array, contentType: string = oid.data): Uint8Array[] {
  const digest = createHash("sha256").update(content).digest();
  return [attribute(oid.contentType, derOidOf(contentType)), attribute(oid.messageDigest, octets(digest))];
}

/** SignerInfo by the key of `p256.pem`, over the attributes or over the content. */
export function cmsSignerOf(content: Uint8Array, parts: Partial<SignerParts> = {}): Uint8Array {
  const { issuer, serial } = certificateOf("p256");
  const attributes = parts.attributes === undefined ? attributesOf(content) : parts.attributes;
  const key = createPrivateKey(privateKeyPem("p256"));
  const signature = parts.signature ?? sign("sha256", attributes === null ? content : setOf(...attributes), key);
  return sequence(
    parts.version ?? integer(1),
    parts.sid ?? sequence(issuer, der(2, serial)),
    parts.digestAlgorithm ?? sha256Algorithm,
    ...(attributes === null ? [] : [tagged(0, ...attributes)]),
    parts.signatureAlgorithm ?? ecdsaSha256,
    octets(signature),
    parts.behind ?? none,
  );
}

export function cmsOf(content: Uint8Array, parts: Partial<CmsParts> = {}): Uint8Array {
  const certificates = tagged(0, certificateDer("p256"), certificateDer("signing-ca"));
  const signedData = sequence(
    parts.version ?? integer(1),
    parts.digestAlgorithms ?? setOf(sha256Algorithm),
    sequence(derOidOf(parts.contentType ?? oid.data)),
    parts.certificates ?? certificates,
    setOf(...(parts.signers ?? [cmsSignerOf(content)])),
    parts.behind ?? none,
  );
  return sequence(derOidOf(oid.signedData), tagged(0, signedData));
}
