import { createHash } from "node:crypto";
import { sameBytes } from "../../formats/bytes.ts";

import { quote } from "../../formats/format-error.ts";
import { oid, oidTitle } from "../../formats/object-identifiers.ts";
import {
  type Certificate,
  type GeneralName,
  keyUsageBit,
  type NameConstraints,
  nameAttributeOids,
  nameParts,
} from "../../formats/x509.ts";
import { outsideValidity, type TrustClock } from "../clock.ts";
import type { CertificateAnchor, Revocations } from "./scheme.ts";
import { algorithmProblem, certificateKey, isSignedBy, strongHash } from "./x509-key.ts";

/*
 * Paths from a signer's certificate to one that is trusted. Source: RFC 5280, section 6, stricter where said: names are
 * compared byte by byte, whoever issues has to be a CA, also a trusted one, and extended key usages bind the issuers too.
 */

/** Longest path, certificates with both ends. */
export const chainCertificatesMax = 8;
/** Most signatures of certificates that are tried for one path. */
export const chainSignaturesMax = 64;

export interface ChainOptions {
  readonly clock: TrustClock;
  readonly revocations: Revocations;
  /** Whether the certificates' periods are looked at. */
  readonly checkTimes: boolean;
  /**
   * `codeSigning`: the first certificate has to be for code signing; one that is itself trusted may leave it open.
   * `codeSigningIfSaid`: one that is not itself trusted must not have extended key usages without code signing. `any`: usages are
   * not looked at.
   */
  readonly usage: "codeSigning" | "codeSigningIfSaid" | "any";
}

export type ChainResult =
  | { readonly anchor: CertificateAnchor; readonly chain: readonly Certificate[]; readonly reason: null }
  | { readonly anchor: null; readonly chain: readonly []; readonly reason: string };

/**
 * A path from `leaf` over any of `intermediates` to one of `roots`, which need not be self-signed and may be the leaf itself;
 * their own signatures are not looked at. The reason is of the path that came farthest.
 */
export function buildChain(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  roots: readonly CertificateAnchor[],
  options: ChainOptions,
): ChainResult {
  const search = new Search(intermediates, roots, options);
  const found = search.extend([leaf]);
  if (found !== null) return { ...found, reason: null };
  return { anchor: null, chain: [], reason: search.reason };
}

class Search {
  readonly #intermediates: readonly Certificate[];
  readonly #roots: readonly CertificateAnchor[];
  readonly #options: ChainOptions;
  #signaturesLeft = chainSignaturesMax;
  #farthest = 0;
  reason = "";

  constructor(intermediates: readonly Certificate[], roots: readonly CertificateAnchor[], options: ChainOptions) {
    this.#intermediates = intermediates;
    this.#roots = roots;
    this.#options = options;
  }

  /** Goes on from the last certificate of a path whose signatures are good. */
  extend(path: readonly Certificate[]): { anchor: CertificateAnchor; chain: readonly Certificate[] } | null {
    const current = path.at(-1);
    if (current === undefined) return null;
    const anchor = this.#roots.find(({ certificate }) => sameBytes(certificate.der, current.der)) ?? null;
    const problem = this.#certificateProblem(current);
    if (problem !== null) return this.#note(path, problem);
    if (anchor !== null) {
      const unfit = this.#usageProblem(path);
      return unfit === null ? { anchor, chain: path } : this.#note(path, unfit);
    }
    if (path.length === chainCertificatesMax) {
      return this.#note(path, `the chain is longer than ${chainCertificatesMax} certificates`);
    }
    const issuers = this.#issuersOf(current, path);
    if (issuers.length === 0) {
      const isOwn = sameBytes(current.issuer, current.subject);
      const by = isOwn ? "itself" : quote(current.issuerText);
      return this.#note(path, `${named(current)} is issued by ${by}, which is not trusted`);
    }
    for (const issuer of issuers) {
      if (this.#signaturesLeft === 0) return this.#giveUp();
      const linkProblem = this.#linkProblem(path, current, issuer);
      if (linkProblem !== null) this.#note(path, linkProblem);
      else {
        const found = this.extend([...path, issuer]);
        if (found !== null) return found;
      }
    }
    return null;
  }

  #note(path: readonly Certificate[], reason: string): null {
    if (path.length > this.#farthest) {
      this.#farthest = path.length;
      this.reason = reason;
    }
    return null;
  }

  /** Whatever else was wrong: what was not tried might have been good. */
  #giveUp(): null {
    this.#farthest = Number.POSITIVE_INFINITY;
    this.reason = `no chain to a trusted certificate is found within ${chainSignaturesMax} signatures`;
    return null;
  }

  /** Trusted ones first, so that a path ends as early as it can. */
  #issuersOf(certificate: Certificate, path: readonly Certificate[]): Certificate[] {
    const trusted = this.#roots.map((root) => root.certificate);
    return [...trusted, ...this.#intermediates].filter(
      (issuer, index, all) =>
        sameBytes(issuer.subject, certificate.issuer) &&
        mayHaveKey(issuer, certificate.extensions.authorityKeyId) &&
        all.findIndex((other) => sameBytes(other.der, issuer.der)) === index &&
        !path.some((below) => sameBytes(below.der, issuer.der)),
    );
  }

  /** What is wrong with a certificate wherever it stands. */
  #certificateProblem(certificate: Certificate): string | null {
    const { clock, revocations, checkTimes } = this.#options;
    if (isRevoked(certificate, revocations)) return `${named(certificate)} is revoked`;
    const outside = checkTimes ? outsideValidity(certificate, clock) : null;
    if (outside !== null) return `${named(certificate)} ${outside.startsWith("not ") ? `is ${outside}` : outside}`;
    const [unknown] = certificate.extensions.unknownCritical;
    if (unknown !== undefined) {
      return `${named(certificate)} has a critical extension that is not understood: ${oidTitle(unknown)}`;
    }
    const { reason } = certificateKey(certificate);
    return reason === null ? null : `${named(certificate)} ${reason}`;
  }

  /** Whether the first certificate of a path that ends in a trusted one is for what it was used for. */
  #usageProblem([leaf, ...above]: readonly Certificate[]): string | null {
    if (leaf === undefined || this.#options.usage === "any") return null;
    const { keyUsage, extendedKeyUsage } = leaf.extensions;
    if (this.#options.usage === "codeSigningIfSaid") {
      if (above.length === 0 || extendedKeyUsage === null) return null;
      const fits = extendedKeyUsage.some((usage) => codeSigningUsages.includes(usage));
      return fits ? null : `${named(leaf)} is for ${usageText(extendedKeyUsage)}, not for code signing`;
    }
    if (keyUsage !== null && !keyUsage.has(keyUsageBit.digitalSignature)) {
      return `${named(leaf)} is not for signatures: its key usage lacks digitalSignature`;
    }
    if (extendedKeyUsage === null) {
      return above.length === 0 ? null : `${named(leaf)} does not say that it is for code signing`;
    }
    if (extendedKeyUsage.includes(oid.codeSigning)) return null;
    return `${named(leaf)} is for ${usageText(extendedKeyUsage)}, not for code signing`;
  }

  /** Why `issuer` cannot have issued the last certificate of the path. */
  #linkProblem(path: readonly Certificate[], current: Certificate, issuer: Certificate): string | null {
    this.#signaturesLeft--;
    const { found: key, reason } = certificateKey(issuer);
    if (key === null) return `${named(issuer)} ${reason}`;
    const { signatureAlgorithm: algorithm } = current;
    const unfit = algorithmProblem(algorithm, key);
    if (unfit !== null) return `the signature of ${named(current)} ${unfit}`;
    const hash = algorithm.kind === "unknown" || algorithm.kind === "ed25519" ? null : algorithm.hash;
    const digest = hash === null ? "sha512" : strongHash(hash).name;
    if (digest === null || !isSignedBy(key, algorithm, digest, current.tbs, current.signature)) {
      return `the signature of ${named(current)} does not match the key of ${quote(issuer.subjectText)}`;
    }
    return this.#issuerProblem(path, current, issuer);
  }

  #issuerProblem(path: readonly Certificate[], current: Certificate, issuer: Certificate): string | null {
    const { basicConstraints, keyUsage, extendedKeyUsage, nameConstraints } = issuer.extensions;
    if (basicConstraints?.ca !== true) return `${named(issuer)} is no CA, and issued ${quote(current.subjectText)}`;
    if (keyUsage !== null && !keyUsage.has(keyUsageBit.keyCertSign)) {
      return `${named(issuer)} may not sign certificates: its key usage lacks keyCertSign`;
    }
    // RFC 5280, section 4.2.1.9: certificates that name themselves as issuer do not count, nor does the last one.
    const below = path.slice(1).filter(({ issuer: by, subject }) => !sameBytes(by, subject)).length;
    if (basicConstraints.pathLength !== null && below > basicConstraints.pathLength) {
      return `${named(issuer)} allows ${basicConstraints.pathLength} CA(s) below it, there are ${below}`;
    }
    const isOther = extendedKeyUsage?.some((usage) => codeSigningUsages.includes(usage)) === false;
    if (this.#options.usage === "codeSigning" && isOther) {
      return `${named(issuer)} is for ${usageText(extendedKeyUsage)}, not for code signing`;
    }
    return nameConstraints === null ? null : constraintProblem(path, issuer, nameConstraints);
  }
}

const codeSigningUsages: readonly string[] = [oid.codeSigning, oid.anyExtendedKeyUsage];

function named(certificate: Certificate): string {
  return `certificate ${quote(certificate.subjectText)}`;
}

function usageText(usages: readonly string[]): string {
  return usages.map(oidTitle).join(", ");
}

/** Whether the key identifiers allow it; who gives none, allows all. */
function mayHaveKey(issuer: Certificate, keyId: Uint8Array | null): boolean {
  const { subjectKeyId } = issuer.extensions;
  return keyId === null || subjectKeyId === null || sameBytes(keyId, subjectKeyId);
}

function isRevoked(certificate: Certificate, { certificates, tbsDigests }: Revocations): boolean {
  const digest = (name: string, bytes: Uint8Array): string => createHash(name).update(bytes).digest("hex");
  if (certificates.size > 0 && certificates.has(digest("sha256", certificate.der))) return true;
  if (tbsDigests.size === 0) return false;
  return ["sha256", "sha384", "sha512"].some((name) => tbsDigests.has(`${name}:${digest(name, certificate.tbs)}`));
}

const directoryName = 4;
const emailName = 1;

/** Holds what a CA restricts against the names below it (RFC 5280, section 4.2.1.10). */
function constraintProblem(
  path: readonly Certificate[],
  issuer: Certificate,
  { permitted, excluded }: NameConstraints,
): string | null {
  const who = named(issuer);
  // Names can be written in several ways, and one that is written otherwise would get past a comparison of bytes.
  if (excluded.some(({ kind }) => kind === directoryName))
    return `${who} excludes directory names, which is not compared`;
  const subtrees = permitted.filter(({ kind }) => kind === directoryName).map(({ der }) => nameParts(der));
  const others = new Set([...permitted, ...excluded].map(({ kind }) => kind).filter((kind) => kind !== directoryName));
  for (const [index, certificate] of path.entries()) {
    if (index > 0 && sameBytes(certificate.issuer, certificate.subject)) continue;
    const names = namesOf(certificate);
    if (names.some(({ kind }) => others.has(kind))) {
      return `${who} restricts kinds of names that are not compared, and ${quote(certificate.subjectText)} has one`;
    }
    const outside = names.some(({ kind, der }) => kind === directoryName && !isBelow(nameParts(der), subtrees));
    if (subtrees.length > 0 && outside) return `${who} does not permit the name ${quote(certificate.subjectText)}`;
  }
  return null;
}

function namesOf(certificate: Certificate): GeneralName[] {
  const names = [...certificate.extensions.subjectAltNames];
  const attributes = nameAttributeOids(certificate.subject);
  if (attributes.length > 0) names.push({ kind: directoryName, der: certificate.subject });
  if (attributes.includes(oid.emailAddress)) names.push({ kind: emailName, der: certificate.subject });
  return names;
}

function isBelow(parts: readonly string[], subtrees: readonly (readonly string[])[]): boolean {
  return subtrees.some((subtree) => subtree.every((part, index) => parts[index] === part));
}
