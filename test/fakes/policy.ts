import { timelessClock } from "../../src/trust/clock.ts";
import type { Policy, TrustMode } from "../../src/trust/policy.ts";
import { defaultPolicyDocument, purposes } from "../../src/trust/policy-schema.ts";
import { type Anchor, noRevocations } from "../../src/trust/schemes/scheme.ts";

/** A policy without a document: one mode, every key for all that boots, and no clock. */
export function plainPolicy(mode: TrustMode, anchors: readonly Anchor[]): Policy {
  const trustedFor = purposes.filter((purpose) => purpose !== "policy");
  return {
    document: { ...defaultPolicyDocument, mode },
    anchors: anchors.map((anchor) => ({
      anchor,
      purposes: trustedFor,
      notBefore: null,
      notAfter: null,
      revoked: false,
    })),
    clock: timelessClock,
    revocations: noRevocations,
    revokedSigners: new Set(),
    text: JSON.stringify({ policy: { mode }, keys: {} }),
  };
}
