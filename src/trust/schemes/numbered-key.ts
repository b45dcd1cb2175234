import { keyIdentity } from "./public-key.ts";
import type { Anchor, CheckContext, CheckResult, NumberedKeyAnchor, SchemeName } from "./scheme.ts";

/** Keys of that number. It has 8 bytes that anybody can choose, so that there may be several. */
export function numberedKeys(anchors: readonly Anchor[], keyId: string): NumberedKeyAnchor[] {
  return anchors.filter((anchor): anchor is NumberedKeyAnchor => anchor.kind === "minisign" && anchor.id === keyId);
}

/** Tries every trusted key of a number; `check` gives why one did not make the signature, or null. */
export function checkNumbered(
  scheme: SchemeName,
  keyId: string,
  context: CheckContext,
  check: (anchor: NumberedKeyAnchor) => string | null,
): CheckResult {
  let reason = `made with key ${keyId}, which is not trusted`;
  for (const anchor of numberedKeys(context.anchors, keyId)) {
    const failure = check(anchor);
    if (failure === null) {
      const signer = { anchor, label: anchor.label, scheme, identities: [keyIdentity(anchor.key)] };
      return { signer, reason: null };
    }
    reason = failure;
  }
  return { signer: null, reason };
}
