import type { OpenPgpCertificate, OpenPgpSubkey, OpenPgpUserId } from "../../formats/openpgp/certificate.ts";
import type { OpenPgpKey } from "../../formats/openpgp/key.ts";
import { type OpenPgpSignature, type OpenPgpSignaturePacket, signatureTypes } from "../../formats/openpgp/signature.ts";
import { outsideValidity, type TrustClock, timeText } from "../clock.ts";
import { fingerprintOf, keyIdOf, keyWeakness, verifyOpenPgp } from "./openpgp-verify.ts";

/** Most self-signatures of one component that are verified, the newest first. */
const selfSignaturesMax = 32;

/** Key flags (RFC 9580, section 5.2.3.29): this key may be used to sign data. */
const mayCertify = 0x01;
const maySign = 0x02;

/** Reasons for revocation (section 5.2.3.31) after which what was signed earlier stays good. */
const softReasons: ReadonlyMap<number, string> = new Map([
  [1, "superseded"],
  [3, "retired"],
]);
const hardReasons: ReadonlyMap<number, string> = new Map([
  [0, "no reason given"],
  [2, "compromised"],
]);

/** Whether the key of that fingerprint may have made a signature: all that the signature says of its maker has to fit. */
export function mayBeBy({ issuerFingerprints, issuerKeyIds }: OpenPgpSignature, fingerprint: string): boolean {
  const keyId = keyIdOf(fingerprint);
  return (
    issuerFingerprints.every((issuer) => issuer === fingerprint) && issuerKeyIds.every((issuer) => issuer === keyId)
  );
}

/**
 * Why a signature that a key of the certificate made is not believed all the same, a clause; null when it is. The time for
 * which this is judged is the signature's own; what has expired by the clock is refused too.
 *
 * @param subkey the key that made it; null: the primary key
 */
export function whyNotAuthorized(
  certificate: OpenPgpCertificate,
  subkey: OpenPgpSubkey | null,
  { created }: OpenPgpSignature,
  clock: TrustClock,
): string | null {
  const { primary } = certificate;
  const revoked = primaryRevocation(certificate, created);
  if (revoked !== null) return revoked;
  const facts = keyFacts(certificate, clock);
  if (facts.problem !== null) return facts.problem;
  const primaryLife = outsideLife("key", primary, facts.lifetime, created, clock);
  if (primaryLife !== null) return primaryLife;
  if (subkey === null) return usageProblem("key", facts.flags);
  return subkeyProblem(certificate, subkey, created, clock);
}

function usageProblem(what: string, flags: number | null): string | null {
  if (flags === null) return `the ${what} may not sign: it has no key flags`;
  if ((flags & maySign) !== 0) return null;
  return `the ${what} may not sign: it is for ${(flags & mayCertify) !== 0 ? "certification" : "other uses"} only`;
}

function outsideLife(
  what: string,
  key: OpenPgpKey,
  lifetime: number | null,
  at: number,
  clock: TrustClock,
): string | null {
  if (at < key.created) return `the signature is older than the ${what}, which was made on ${timeText(key.created)}`;
  if (lifetime === null) return null;
  const notAfter = key.created + lifetime;
  const expired = outsideValidity({ notBefore: null, notAfter }, clock);
  if (expired !== null) return `the ${what} ${expired}`;
  return at < notAfter ? null : `the signature was made after the ${what} expired on ${timeText(notAfter)}`;
}

/** The newest good self-signature, or why there is none. */
type SelfSignature =
  | { readonly signature: OpenPgpSignature; readonly problem: null }
  | { readonly signature: null; readonly problem: string | null };

/** `accept` gives what else is wrong with a good one. */
function newestSelfSignature(
  packets: readonly OpenPgpSignaturePacket[],
  wanted: (type: number) => boolean,
  primary: OpenPgpKey,
  parts: readonly Uint8Array[],
  clock: TrustClock,
  accept: (signature: OpenPgpSignature) => string | null = () => null,
): SelfSignature {
  const fingerprint = fingerprintOf(primary);
  const candidates = packets
    .flatMap(({ signature }) => (signature !== null && wanted(signature.type) ? [signature] : []))
    .filter((signature) => mayBeBy(signature, fingerprint))
    .sort((a, b) => b.created - a.created)
    .slice(0, selfSignaturesMax);
  let problem: string | null = null;
  for (const signature of candidates) {
    const failure = selfSignatureProblem(signature, primary, parts, clock) ?? accept(signature);
    if (failure === null) return { signature, problem: null };
    problem ??= failure;
  }
  return { signature: null, problem };
}

function selfSignatureProblem(
  signature: OpenPgpSignature,
  primary: OpenPgpKey,
  parts: readonly Uint8Array[],
  clock: TrustClock,
): string | null {
  if (signature.notUnderstood !== null) return signature.notUnderstood;
  if (signature.created < primary.created) return "it is older than the key";
  const expired = outsideValidity({ notBefore: null, notAfter: signature.expires }, clock);
  return expired === null ? (verifyOpenPgp(signature, primary, parts)?.reason ?? null) : `it ${expired}`;
}

interface KeyFacts {
  readonly flags: number | null;
  /** Milliseconds. */
  readonly lifetime: number | null;
  readonly problem: string | null;
}

/**
 * What the primary key says of itself: by a direct-key signature, and in version 4 where that says nothing by the primary
 * user ID's (RFC 9580, section 5.2.3.10).
 */
function keyFacts(certificate: OpenPgpCertificate, clock: TrustClock): KeyFacts {
  const { primary, signatures } = certificate;
  const parts = [primary.hashed];
  const direct = newestSelfSignature(signatures, (type) => type === signatureTypes.directKey, primary, parts, clock);
  const userIds = primary.version === 6 ? [] : certificate.userIds.map((userId) => boundUserId(primary, userId, clock));
  const [byUserId] = userIds
    .flatMap(({ signature }) => (signature === null ? [] : [signature]))
    .sort((a, b) => Number(b.isPrimaryUserId) - Number(a.isPrimaryUserId) || b.created - a.created);
  const sources = [direct.signature, byUserId].filter((signature) => signature !== null && signature !== undefined);
  if (sources.length === 0) {
    const problems = [direct, ...userIds].flatMap(({ problem }) => (problem === null ? [] : [problem]));
    const problem = `the key has no good self-signature${problems[0] === undefined ? "" : `: ${problems[0]}`}`;
    return { flags: null, lifetime: null, problem };
  }
  return {
    flags: sources.find(({ keyFlags }) => keyFlags !== null)?.keyFlags ?? null,
    lifetime: sources.find(({ statesKeyLifetime }) => statesKeyLifetime)?.keyLifetime ?? null,
    problem: null,
  };
}

/** RFC 9580, section 5.2.4: 0xb4, the length in 4 bytes, the user ID. */
function hashedUserId({ bytes }: OpenPgpUserId): Uint8Array {
  const head = Buffer.alloc(5);
  head[0] = 0xb4;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function boundUserId(primary: OpenPgpKey, userId: OpenPgpUserId, clock: TrustClock): SelfSignature {
  const parts = [primary.hashed, hashedUserId(userId)];
  const isCertification = (type: number): boolean =>
    type >= signatureTypes.genericCertification && type <= signatureTypes.positiveCertification;
  const bound = newestSelfSignature(userId.signatures, isCertification, primary, parts, clock);
  if (bound.signature === null) return bound;
  const { created } = bound.signature;
  const fingerprint = fingerprintOf(primary);
  const isRevoked = userId.signatures.some(
    ({ signature }) =>
      signature?.type === signatureTypes.certificationRevocation &&
      signature.created >= created &&
      mayBeBy(signature, fingerprint) &&
      verifyOpenPgp(signature, primary, parts, "any") === null,
  );
  return isRevoked ? { signature: null, problem: "its user ID was revoked" } : bound;
}

function primaryRevocation(certificate: OpenPgpCertificate, at: number): string | null {
  const { primary, signatures } = certificate;
  const designated = new Set(ownSignatures(certificate).flatMap(({ revocationKeys }) => revocationKeys));
  for (const packet of signatures) {
    const found =
      revocationBy("key", packet, signatureTypes.keyRevocation, primary, [primary.hashed], at) ??
      designatedRevocation(packet, designated);
    if (found !== null) return found;
  }
  return null;
}

/** Those that the certificate's key seems to have made over itself and its user IDs. */
function ownSignatures(certificate: OpenPgpCertificate): OpenPgpSignature[] {
  const fingerprint = fingerprintOf(certificate.primary);
  return [certificate, ...certificate.userIds]
    .flatMap(({ signatures }) => signatures)
    .flatMap(({ signature }) => (signature === null || !mayBeBy(signature, fingerprint) ? [] : [signature]));
}

/** A revocation by another key that the certificate names (section 5.2.3.23): that key is not here, the word is taken for it. */
function designatedRevocation({ signature }: OpenPgpSignaturePacket, designated: ReadonlySet<string>): string | null {
  if (signature?.type !== signatureTypes.keyRevocation) return null;
  const isNamed = [...designated].some(
    (revoker) => signature.issuerFingerprints.includes(revoker) || signature.issuerKeyIds.includes(keyIdOf(revoker)),
  );
  return isNamed ? `the key was revoked on ${timeText(signature.created)} by its designated revoker` : null;
}

/**
 * Whether a packet revokes a key for a signature of that time, as a clause; null when it does not. What only takes trust
 * away is taken with weak digests too, and what cannot be judged counts as a revocation.
 */
function revocationBy(
  what: string,
  packet: OpenPgpSignaturePacket,
  type: number,
  primary: OpenPgpKey,
  parts: readonly Uint8Array[],
  at: number,
): string | null {
  const { signature } = packet;
  if (signature === null) {
    return packet.type === type ? `the ${what} holds a revocation that cannot be read: ${packet.problem}` : null;
  }
  if (signature.type !== type || !mayBeBy(signature, fingerprintOf(primary))) return null;
  const failure = verifyOpenPgp(signature, primary, parts, "any");
  if (failure?.unjudged === true) return `the ${what} holds a revocation that cannot be judged: ${failure.reason}`;
  if (failure !== null) return null;
  const reason = signature.revocationReason ?? 0;
  const soft = softReasons.get(reason);
  if (soft !== undefined && at < signature.created) return null;
  const why = soft ?? hardReasons.get(reason) ?? `reason ${reason}`;
  return `the ${what} was revoked on ${timeText(signature.created)} (${why})`;
}

function subkeyProblem(
  { primary }: OpenPgpCertificate,
  { key, signatures }: OpenPgpSubkey,
  at: number,
  clock: TrustClock,
): string | null {
  const parts = [primary.hashed, key.hashed];
  for (const packet of signatures) {
    const revoked = revocationBy("subkey", packet, signatureTypes.subkeyRevocation, primary, parts, at);
    if (revoked !== null) return revoked;
  }
  const isBinding = (type: number): boolean => type === signatureTypes.subkeyBinding;
  const olderThanKey = (signature: OpenPgpSignature): string | null =>
    signature.created < key.created ? "it is older than the subkey" : null;
  const { signature: binding, problem } = newestSelfSignature(
    signatures,
    isBinding,
    primary,
    parts,
    clock,
    olderThanKey,
  );
  if (binding === null) return `the subkey is not bound to its key${problem === null ? "" : `: ${problem}`}`;
  return (
    outsideLife("subkey", key, binding.keyLifetime, at, clock) ??
    usageProblem("subkey", binding.keyFlags) ??
    keyWeakness(key) ??
    backSignatureProblem(binding, key, parts, clock)
  );
}

/** RFC 9580, section 5.2.1.9: a subkey that signs has to say itself that it belongs to the key. */
function backSignatureProblem(
  { embedded }: OpenPgpSignature,
  key: OpenPgpKey,
  parts: readonly Uint8Array[],
  clock: TrustClock,
): string | null {
  const candidates = embedded.filter(({ type }) => type === signatureTypes.primaryKeyBinding);
  let problem = "it has none";
  for (const signature of candidates) {
    const expired = outsideValidity({ notBefore: null, notAfter: signature.expires }, clock);
    const failure =
      signature.notUnderstood ??
      (expired === null ? null : `it ${expired}`) ??
      verifyOpenPgp(signature, key, parts)?.reason ??
      null;
    if (failure === null) return null;
    problem = failure;
  }
  return `the subkey has no good signature for its key: ${problem}`;
}
