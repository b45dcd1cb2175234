import type { KeyObject } from "node:crypto";
import type { OpenPgpCertificate } from "../../formats/openpgp/certificate.ts";
import type { SbatComponent } from "../../formats/sbat.ts";
import type { Certificate } from "../../formats/x509.ts";
import type { TrustClock } from "../clock.ts";

/** Digests, by the names that node:crypto uses. */
export type DigestName = "blake2b512" | "sha1" | "sha256" | "sha384" | "sha512";

/** Kinds of signatures. */
export const schemeNames = [
  "minisign",
  "signify",
  "sshsig",
  "openpgp",
  "cms",
  "authenticode",
  "appended",
  "ospkg",
] as const;
export type SchemeName = (typeof schemeNames)[number];

interface AnchorFacts {
  /** The key file's name without its suffix, or what the policy calls it; for messages. */
  readonly label: string;
  /** The key's identifier as its own tool prints it. */
  readonly id: string;
}

/** An Ed25519 key with a number of 8 bytes: minisign's and signify's public keys have one form. */
export interface NumberedKeyAnchor extends AnchorFacts {
  readonly kind: "minisign";
  readonly key: KeyObject;
}

/** A key of OpenSSH; `id` is its fingerprint, `SHA256:…`. */
export interface SshAnchor extends AnchorFacts {
  readonly kind: "ssh";
  /** The public key in SSH's own encoding (RFC 4253, section 6.6), as signatures repeat it. */
  readonly blob: Uint8Array;
  /** `ssh-ed25519`. */
  readonly algorithm: string;
  readonly key: KeyObject;
  /** The application that a key on a security token is bound to (`sk-` algorithms); else null. */
  readonly application: string | null;
  /** From an allowed-signers line, milliseconds since 1970. */
  readonly notBefore: number | null;
  readonly notAfter: number | null;
}

/** An OpenPGP certificate: a primary key with its sub-keys; `id` is the primary key's fingerprint. */
export interface OpenPgpAnchor extends AnchorFacts {
  readonly kind: "openpgp";
  readonly certificate: OpenPgpCertificate;
}

/** An X.509 certificate: a root, or the signer's own; `id` is the SHA-256 of its DER in lower-case hexadecimal. */
export interface CertificateAnchor extends AnchorFacts {
  readonly kind: "x509";
  readonly certificate: Certificate;
}

/** A PE image that is trusted by its Authenticode digest (an entry of the firmware's `db`). */
export interface ImageDigestAnchor extends AnchorFacts {
  readonly kind: "image-digest";
  readonly digest: DigestName;
  readonly value: Uint8Array;
}

/** What the policy trusts: a key, a certificate, or the digest of an image. */
export type Anchor = NumberedKeyAnchor | SshAnchor | OpenPgpAnchor | CertificateAnchor | ImageDigestAnchor;

/** What tells an anchor from all others of its kind, and is the same for one certificate in two files. */
export function anchorIdentity({ kind, id }: Anchor): string {
  return `anchor:${kind}:${id}`;
}

/** What is taken back although something vouches for it: the firmware's `dbx`, SBAT levels. */
export interface Revocations {
  /** Authenticode digests of PE images: `sha256:` and lower-case hexadecimal. */
  readonly imageDigests: ReadonlySet<string>;
  /** SHA-256 of certificates' DER, lower-case hexadecimal; none of them may be part of a chain. */
  readonly certificates: ReadonlySet<string>;
  /** Digests of certificates' TBSCertificate (EFI_CERT_X509_SHA256 and its like): `sha256:` and lower-case hexadecimal. */
  readonly tbsDigests: ReadonlySet<string>;
  /** The lowest generation of each component; null when SBAT is not asked for. */
  readonly sbat: readonly SbatComponent[] | null;
}

export const noRevocations: Revocations = {
  imageDigests: new Set(),
  certificates: new Set(),
  tbsDigests: new Set(),
  sbat: null,
};

/** The bytes of one artifact, as a signature check needs them. */
export interface SignedContent {
  /** Bytes. */
  readonly size: number;
  /** Computed while the file was copied where a signature asked for it, else now, once. */
  digest(name: DigestName): Uint8Array;
  /** All bytes, a view and not a copy. */
  bytes(): Uint8Array;
}

/** By what a signature is judged. */
export interface CheckContext {
  readonly anchors: readonly Anchor[];
  readonly clock: TrustClock;
  readonly revocations: Revocations;
}

/** Who made a good signature. */
export interface Signer {
  readonly anchor: Anchor;
  /** For people: the anchor's label, and whose certificate below it. */
  readonly label: string;
  readonly scheme: SchemeName;
  /**
   * What tells signers apart: `spki:` and the SHA-256 of a SubjectPublicKeyInfo, `openpgp:` and a primary fingerprint,
   * `x509:` and root and subject, `image:` and the id of an image's digest. Two signers that share one are the same for a threshold.
   */
  readonly identities: readonly string[];
}

export type CheckResult =
  | { readonly signer: Signer; readonly reason: null }
  | { readonly signer: null; readonly reason: string };

/** A signature that was understood, not yet believed. */
export interface UntrustedSignature {
  readonly scheme: SchemeName;
  /** The digests of the content that {@link check} asks for; none when it takes the bytes. */
  readonly digests: readonly DigestName[];
  /** Whether one of the anchors may have made it, as far as it says itself: cheap, nothing is verified. */
  mayBeBy(anchors: readonly Anchor[]): boolean;
  /** Never throws: whatever is wrong is a reason, beginning in lower case, fit to stand behind "refused: ". */
  check(content: SignedContent, context: CheckContext): CheckResult;
}

/** A kind of signature that stands in a file of its own, or as a block in a signed document. */
export interface DetachedScheme {
  readonly name: SchemeName;
  /** Whether a signature file is of this kind, by its content. */
  recognises(bytes: Uint8Array): boolean;
  /** Every signature of the file. Throws FormatError; trailing data is an error. */
  readSignatures(bytes: Uint8Array): readonly UntrustedSignature[];
}

/** A kind of signature that stands inside what it signs. */
export interface EnclosedScheme {
  readonly name: SchemeName;
  /**
   * The signatures inside an artifact; none when it holds none of this kind. Throws FormatError when there is something
   * that looks like one and is broken.
   */
  readSignatures(content: SignedContent): readonly UntrustedSignature[];
}

/** A kind of key file. */
export interface AnchorReader {
  /** For messages: `minisign or signify public key`. */
  readonly what: string;
  /** Whether a file is of this kind, by its content. */
  recognises(bytes: Uint8Array): boolean;
  /** Every key of the file; those of a file with several are labelled apart. Throws FormatError. */
  readAnchors(label: string, bytes: Uint8Array): readonly Anchor[];
}
