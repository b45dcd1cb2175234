import { FormatError, quote } from "../../formats/format-error.ts";
import type { OpenPgpSubkey } from "../../formats/openpgp/certificate.ts";
import {
  isOpenPgpKeyFile,
  isOpenPgpSignatureFile,
  parseOpenPgpKeyFile,
  parseOpenPgpSignatureFile,
} from "../../formats/openpgp/files.ts";
import type { OpenPgpKey } from "../../formats/openpgp/key.ts";
import {
  type OpenPgpSignature,
  type OpenPgpSignaturePacket,
  signatureTypeName,
  signatureTypes,
} from "../../formats/openpgp/signature.ts";
import { outsideValidity, type TrustClock } from "../clock.ts";
import { mayBeBy, whyNotAuthorized } from "./openpgp-certificate.ts";
import { fingerprintOf, keyIdOf, keyWeakness, openPgpKeyObject, verifyOpenPgp } from "./openpgp-verify.ts";
import { keyIdentity } from "./public-key.ts";
import type {
  Anchor,
  AnchorReader,
  CheckContext,
  CheckResult,
  DetachedScheme,
  OpenPgpAnchor,
  SignedContent,
  Signer,
  UntrustedSignature,
} from "./scheme.ts";

const name = "openpgp";

/** OpenPGP detached signatures, versions 4 and 6 (RFC 9580, section 10.4): what `gpg --detach-sign` makes. */
export const openpgpScheme: DetachedScheme = {
  name,
  recognises: isOpenPgpSignatureFile,
  readSignatures: (bytes) => parseOpenPgpSignatureFile(bytes).map(untrusted),
};

/** OpenPGP certificates, with or without armor: what `gpg --export` makes. */
export const openpgpAnchorReader: AnchorReader = {
  what: "OpenPGP certificate",
  recognises: isOpenPgpKeyFile,
  readAnchors: (label, bytes) =>
    parseOpenPgpKeyFile(bytes).map((certificate, index) => {
      const id = fingerprintOf(certificate.primary);
      const weakness = keyWeakness(certificate.primary);
      if (weakness !== null) throw new FormatError("OpenPGP certificate", `key ${id} is of no use: ${weakness}`);
      return { kind: "openpgp", label: index === 0 ? label : `${label}#${index + 1}`, id, certificate };
    }),
};

function untrusted(packet: OpenPgpSignaturePacket): UntrustedSignature {
  const { signature } = packet;
  if (signature === null) {
    return {
      scheme: name,
      digests: [],
      mayBeBy: (anchors) => anchors.some(({ kind }) => kind === name),
      check: () => ({ signer: null, reason: `a signature that cannot be read: ${packet.problem}` }),
    };
  }
  return {
    scheme: name,
    // What is hashed goes on behind the content: a digest of the content alone is of no use.
    digests: [],
    mayBeBy: (anchors) => makersOf(signature, anchors).length > 0,
    check: (content, context) => check(signature, content, context),
  };
}

/** A key that may have made a signature. */
interface Maker {
  readonly anchor: OpenPgpAnchor;
  /** null: the primary key. */
  readonly subkey: OpenPgpSubkey | null;
  readonly key: OpenPgpKey;
}

/** None for a signature that does not name its key: it would have the content hashed for every one. */
function makersOf(signature: OpenPgpSignature, anchors: readonly Anchor[]): Maker[] {
  if (issuerOf(signature) === undefined) return [];
  return anchors.flatMap((anchor) => {
    if (anchor.kind !== name) return [];
    const { primary, subkeys } = anchor.certificate;
    const makers = [
      { anchor, subkey: null, key: primary },
      ...subkeys.map((subkey) => ({ anchor, subkey, key: subkey.key })),
    ];
    return makers.filter(({ key }) => mayBeBy(signature, fingerprintOf(key)));
  });
}

function check(signature: OpenPgpSignature, content: SignedContent, context: CheckContext): CheckResult {
  const issuer = issuerOf(signature);
  if (issuer === undefined) return { signer: null, reason: "the signature does not name its key" };
  let reason = `made with key ${issuer}, which is not trusted${leftOutText(context.anchors)}`;
  for (const maker of makersOf(signature, context.anchors)) {
    const failure =
      unfitness(signature, context.clock) ??
      whyNotAuthorized(maker.anchor.certificate, maker.subkey, signature, context.clock) ??
      contentProblem(signature, maker.key, content);
    if (failure === null) return { signer: signerOf(maker), reason: null };
    reason = failure;
  }
  return { signer: null, reason };
}

/** The identities of a certificate and of every key in it. */
export function openpgpIdentities({ id, certificate }: OpenPgpAnchor): readonly string[] {
  const keys = [certificate.primary, ...certificate.subkeys.map(({ key }) => key)];
  return [
    `openpgp:${id}`,
    ...keys.flatMap(({ material }) => {
      try {
        return material.kind === "unsupported" ? [] : [keyIdentity(openPgpKeyObject(material))];
      } catch {
        // No signature by such a key is good.
        return [];
      }
    }),
  ];
}

function signerOf({ anchor, subkey, key }: Maker): Signer {
  const label = subkey === null ? anchor.label : `${anchor.label} (subkey ${keyIdOf(fingerprintOf(key))})`;
  const identities = [`openpgp:${anchor.id}`, keyIdentity(openPgpKeyObject(key.material))];
  return { anchor, label, scheme: name, identities };
}

function issuerOf({ issuerFingerprints, issuerKeyIds }: OpenPgpSignature): string | undefined {
  return issuerFingerprints[0] ?? issuerKeyIds[0];
}

/** Keys that could not be read may be the one that is missed. */
function leftOutText(anchors: readonly Anchor[]): string {
  const all = anchors.flatMap((anchor) =>
    anchor.kind === name ? anchor.certificate.leftOut.map((what) => `left out of ${quote(anchor.label)}: ${what}`) : [],
  );
  return all[0] === undefined ? "" : ` (${all[0]}${all.length > 1 ? `, and ${all.length - 1} more` : ""})`;
}

/** What is wrong with a signature whoever made it. */
function unfitness(signature: OpenPgpSignature, clock: TrustClock): string | null {
  if (signature.type === signatureTypes.text) {
    return "a text signature, which leaves the ends of lines open: a binary one is wanted (gpg --no-textmode)";
  }
  if (signature.type !== signatureTypes.binary) {
    return `a signature of type ${signatureTypeName(signature.type)}, which is none of a file`;
  }
  const surplus = signature.notUnderstood ?? signature.unsignedSurplus;
  if (surplus !== null) return surplus;
  const outside = outsideValidity({ notBefore: signature.created, notAfter: signature.expires }, clock);
  return outside === null ? null : `the signature ${outside.startsWith("expired") ? outside : `is ${outside}`}`;
}

function contentProblem(signature: OpenPgpSignature, key: OpenPgpKey, content: SignedContent): string | null {
  const failure = verifyOpenPgp(signature, key, [content.bytes()]);
  if (failure === null) return null;
  return failure.unjudged ? failure.reason : "the signature does not match the file";
}
