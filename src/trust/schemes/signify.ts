import { verify } from "node:crypto";
import { latin1 } from "../../formats/bytes.ts";
import { untrustedPrefix } from "../../formats/commented-lines.ts";
import { isMinisignSignature } from "../../formats/minisign.ts";
import { isSignifyArchive, parseSignifySignature } from "../../formats/signify.ts";
import { checkNumbered, numberedKeys } from "./numbered-key.ts";
import type { DetachedScheme, UntrustedSignature } from "./scheme.ts";

const name = "signify";

/** signify: Ed25519 over the content itself. Its public keys are read by minisign's reader: they have one form. */
export const signifyScheme: DetachedScheme = {
  name,

  recognises(bytes: Uint8Array): boolean {
    if (isSignifyArchive(bytes)) return true;
    return latin1(bytes.subarray(0, untrustedPrefix.length)) === untrustedPrefix && !isMinisignSignature(bytes);
  },

  readSignatures(bytes: Uint8Array): readonly UntrustedSignature[] {
    const { keyId, signature } = parseSignifySignature(bytes);
    return [
      {
        scheme: name,
        digests: [],
        mayBeBy: (anchors) => numberedKeys(anchors, keyId).length > 0,
        check: (content, context) =>
          checkNumbered(name, keyId, context, ({ key }) =>
            verify(null, content.bytes(), key, signature) ? null : "the signature does not match the file",
          ),
      },
    ];
  },
};
