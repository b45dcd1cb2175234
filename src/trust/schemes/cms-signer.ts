import { hex, sameBytes } from "../../formats/bytes.ts";
import { type CmsSignedData, type CmsSigner, isSignedAttributes } from "../../formats/cms.ts";

import { quote } from "../../formats/format-error.ts";
import { hashTitle, oid, oidTitle } from "../../formats/object-identifiers.ts";
import { printable } from "../../formats/printable.ts";
import type { Certificate } from "../../formats/x509.ts";
import type { Anchor, CertificateAnchor, CheckContext, CheckResult, DigestName, SchemeName } from "./scheme.ts";
import { buildChain, type ChainOptions } from "./x509-chain.ts";
import {
  algorithmProblem,
  type CertificateKey,
  certificateKey,
  isSignedBy,
  type MessageContent,
  strongHash,
} from "./x509-key.ts";

/** Most certificates that are tried for one signer: one serial number of one issuer has one. */
export const signerCertificatesMax = 4;

export interface CmsCheck {
  readonly data: CmsSignedData;
  readonly signer: CmsSigner;
  /** What is signed: the artifact, or the enclosed content's bytes without tag and length. */
  readonly content: MessageContent;
  /** Object identifier of what the content has to be. */
  readonly contentType: string;
  readonly scheme: SchemeName;
  readonly context: CheckContext;
  readonly usage: ChainOptions["usage"];
  readonly checkTimes: boolean;
}

/**
 * Judges one signer: the certificate that it names, enclosed or trusted itself, a chain to an anchor, and the signature
 * (RFC 5652, sections 5.4 and 5.6). The time at which the signer says it signed is not looked at. Never throws.
 */
export function checkCmsSigner(check: CmsCheck): CheckResult {
  const { data, signer, context } = check;
  const hash = contentHash(signer);
  if (hash.name === null) return refused(hash.reason);
  const problem = typeProblem(check);
  if (problem !== null) return refused(problem);
  const roots = certificateAnchors(context.anchors);
  const named = [...roots.map(({ certificate }) => certificate), ...data.certificates]
    .filter((certificate) => isNamed(signer, certificate))
    .filter((one, index, all) => all.findIndex((other) => sameBytes(other.der, one.der)) === index);
  if (named.length > signerCertificatesMax) {
    return refused(`${named.length} certificates are the signer's by name, at most ${signerCertificatesMax} are tried`);
  }
  let first: CheckResult | null = null;
  for (const certificate of named) {
    const result = checkWith(check, hash.name, certificate, roots);
    if (result.signer !== null) return result;
    first ??= result;
  }
  return first ?? refused(`the signer's certificate (${signerText(signer)}) is neither enclosed nor trusted`);
}

/**
 * The digests of the content that {@link checkCmsSigner} asks for; none where the signature is over all of its bytes, or
 * will be refused.
 */
export function cmsContentDigests(signer: CmsSigner): readonly DigestName[] {
  const { name } = contentHash(signer);
  return name !== null && (signer.signedAttributes !== null || signer.signatureAlgorithm.kind === "rsa") ? [name] : [];
}

/** Whether one of the anchors is the signer's certificate, or stands in or above the enclosed ones. */
export function mayBeByAnchor(data: CmsSignedData, signer: CmsSigner, anchors: readonly Anchor[]): boolean {
  return certificateAnchors(anchors).some(
    ({ certificate }) =>
      isNamed(signer, certificate) ||
      data.certificates.some(
        (enclosed) => sameBytes(enclosed.issuer, certificate.subject) || sameBytes(enclosed.der, certificate.der),
      ),
  );
}

function refused(reason: string): CheckResult {
  return { signer: null, reason };
}

function certificateAnchors(anchors: readonly Anchor[]): CertificateAnchor[] {
  return anchors.filter((anchor) => anchor.kind === "x509");
}

function isNamed({ sid }: CmsSigner, certificate: Certificate): boolean {
  if (sid.kind === "issuer-serial") {
    return sameBytes(sid.serial, certificate.serial) && sameBytes(sid.issuer, certificate.issuer);
  }
  const { subjectKeyId } = certificate.extensions;
  return subjectKeyId !== null && sameBytes(sid.keyId, subjectKeyId);
}

function signerText({ sid }: CmsSigner): string {
  return sid.kind === "issuer-serial" ? `serial number ${hex(sid.serial)}` : `key identifier ${hex(sid.keyId)}`;
}

type HashResult = ReturnType<typeof strongHash>;

/** The digest that the content is hashed with; the reason is a sentence. */
function contentHash({ digestAlgorithm, signatureAlgorithm }: CmsSigner): HashResult {
  const { hash, oid: identifier } = digestAlgorithm;
  if (hash === null)
    return { name: null, reason: `the signature's digest is ${oidTitle(identifier)}, which is not taken` };
  const named = "hash" in signatureAlgorithm ? (signatureAlgorithm.hash ?? hash) : hash;
  const weak = [hash, named].map((name) => strongHash(name).reason).find((reason) => reason !== null);
  if (weak !== undefined) return { name: null, reason: `the signature is made with ${weak}` };
  if (hash === named) return strongHash(hash);
  return {
    name: null,
    reason: `the signature names ${hashTitle(hash)} for the content and ${hashTitle(named)} for itself`,
  };
}

/** What is wrong with the type of what is signed, whoever signed. */
function typeProblem({ data, signer, content, contentType }: CmsCheck): string | null {
  const found = signer.signedAttributes === null ? data.encapContentType : signer.contentType;
  if (found === null) return "the signature's attributes lack the content type";
  const other = [found, data.encapContentType].find((type) => type !== contentType);
  if (other !== undefined) return `the signature is over ${oidTitle(other)}, ${oidTitle(contentType)} expected`;
  if (signer.signedAttributes !== null) {
    return signer.messageDigest === null ? "the signature's attributes lack the message digest" : null;
  }
  // RFC 5652, section 5.3: attributes have to be there for other types.
  if (contentType !== oid.data) return "the signature has no signed attributes";
  return isSignedAttributes(content.bytes()) ? "the file is itself what a signature's attributes look like" : null;
}

function checkWith(
  check: CmsCheck,
  hash: DigestName,
  certificate: Certificate,
  roots: readonly CertificateAnchor[],
): CheckResult {
  const { data, signer, context, usage, checkTimes, scheme } = check;
  const { clock, revocations } = context;
  const { found: key, reason } = certificateKey(certificate);
  if (key === null) return refused(`certificate ${quote(certificate.subjectText)} ${reason}`);
  const chain = buildChain(certificate, data.certificates, roots, { clock, revocations, checkTimes, usage });
  if (chain.anchor === null) return refused(chain.reason);
  const unfit = algorithmProblem(signer.signatureAlgorithm, key);
  if (unfit !== null) return refused(`the signature ${unfit}`);
  const problem = signatureProblem(check, hash, key);
  if (problem !== null) return refused(problem);
  const { anchor } = chain;
  const isAnchor = sameBytes(anchor.certificate.der, certificate.der);
  return {
    signer: {
      anchor,
      label: isAnchor ? anchor.label : `${anchor.label}: ${printable(certificate.subjectText)}`,
      scheme,
      identities: [key.identity, `x509:${anchor.id}:${hex(certificate.subject)}`],
    },
    reason: null,
  };
}

function signatureProblem({ signer, content }: CmsCheck, hash: DigestName, key: CertificateKey): string | null {
  const { signatureAlgorithm, signedAttributes, messageDigest, signature } = signer;
  const mismatch = "the signature does not match the file";
  if (signedAttributes === null) {
    return isSignedBy(key, signatureAlgorithm, hash, content, signature) ? null : mismatch;
  }
  if (messageDigest === null || !sameBytes(messageDigest, content.digest(hash))) return mismatch;
  const isGood = isSignedBy(key, signatureAlgorithm, hash, signedAttributes, signature);
  return isGood ? null : "the signature's attributes were changed";
}
