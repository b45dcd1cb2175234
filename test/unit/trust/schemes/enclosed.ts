import { X509Certificate } from "node:crypto";
import { timelessClock } from "../../../../src/trust/clock.ts";
import {
  type Anchor,
  type CertificateAnchor,
  type EnclosedScheme,
  noRevocations,
  type Revocations,
} from "../../../../src/trust/schemes/scheme.ts";
import { anchorOf } from "../../../../src/trust/schemes/x509-anchors.ts";
import { signatureData, signedContent } from "../../../fakes/signature-data.ts";

/** A certificate of test/data/signatures/authenticode, to be trusted. */
export function certificateAnchor(name: string): CertificateAnchor {
  return anchorOf(name, certificateDer(name));
}

export function certificateDer(name: string): Uint8Array {
  return new Uint8Array(new X509Certificate(signatureData(`authenticode/${name}.crt`)).raw);
}

/**
 * What each signature inside is judged to be: the signer's label, or why it is refused; `other` where it does not claim to be
 * by an anchor.
 */
export function verdicts(
  scheme: EnclosedScheme,
  bytes: Uint8Array,
  anchors: readonly Anchor[],
  revocations: Revocations = noRevocations,
): string[] {
  const content = signedContent(bytes);
  return scheme.readSignatures(content).map((signature) => {
    if (!signature.mayBeBy(anchors)) return "other";
    const { signer, reason } = signature.check(content, { anchors, clock: timelessClock, revocations });
    return signer === null ? `refused: ${reason}` : signer.label;
  });
}
