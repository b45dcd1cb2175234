import type { KeyObject } from "node:crypto";

/** Digests that are computed while a file is copied, by the names that node:crypto uses. */
export type DigestName = "blake2b512";

/** A public key that the policy trusts. */
export interface TrustedKey {
  /** The key file's name without its suffix, for messages. */
  readonly label: string;
  /** The scheme's name. */
  readonly scheme: string;
  /** The key's identifier as its own tool prints it. */
  readonly id: string;
  readonly key: KeyObject;
}

/** The bytes of one artifact, as a signature check needs them. */
export interface SignedContent {
  digest(name: DigestName): Uint8Array;
  /** All bytes, a view and not a copy. */
  bytes(): Uint8Array;
}

/** A signature file that was understood, not yet believed. */
export interface UntrustedSignature {
  /** Identifier of the key that it claims to be made with. */
  readonly keyId: string;
  /** The digest that it signs; null when it signs the bytes themselves. */
  readonly digest: DigestName | null;
  /** Null when the signature is good, otherwise why it is not. */
  check(key: TrustedKey, content: SignedContent): string | null;
}

/** A kind of signature. Adding one is a file beside this one and a line in `schemes.ts`. */
export interface SignatureScheme {
  readonly name: string;
  /** What is put behind a file's name to find its signature: `.minisig`. */
  readonly signatureSuffix: string;
  /** What a file in the key directory ends with to be a key of this scheme. */
  readonly keySuffix: string;
  /** Throws FormatError. */
  readKey(label: string, bytes: Uint8Array): TrustedKey;
  /** Throws FormatError. */
  readSignature(bytes: Uint8Array): UntrustedSignature;
}
