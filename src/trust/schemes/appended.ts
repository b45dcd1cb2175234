import { createHash } from "node:crypto";
import { findAppendedSignature } from "../../formats/appended-signature.ts";
import { type CmsSignedData, type CmsSigner, parseCms } from "../../formats/cms.ts";
import { FormatError } from "../../formats/format-error.ts";
import { oid } from "../../formats/object-identifiers.ts";
import { checkCmsSigner, mayBeByAnchor } from "./cms-signer.ts";
import type { CheckContext, CheckResult, EnclosedScheme, SignedContent, UntrustedSignature } from "./scheme.ts";

const scheme = "appended";

/**
 * Signatures behind a file, as the kernel's `sign-file` makes them. Periods are not looked at, as the kernel does not; the
 * signer's certificate has to be for code signing unless it is trusted itself. A file that was signed twice has the last
 * signature only: the first is part of what that one signs.
 */
export const appendedScheme: EnclosedScheme = {
  name: scheme,

  readSignatures(content: SignedContent): readonly UntrustedSignature[] {
    const found = findAppendedSignature(content.bytes());
    if (found === null) return [];
    const { offset, length } = found.message;
    const data = parseCms(content.bytes().slice(offset, offset + length));
    if (data.signers.length === 0)
      throw new FormatError("appended signature", "a signer expected, the message has none");
    return data.signers.map((signer) => signatureOf(data, signer, found.content.length));
  },
};

/** @param signedBytes how much of the file is signed */
function signatureOf(data: CmsSignedData, signer: CmsSigner, signedBytes: number): UntrustedSignature {
  return {
    scheme,
    digests: [],
    mayBeBy: (anchors) => mayBeByAnchor(data, signer, anchors),
    check(content: SignedContent, context: CheckContext): CheckResult {
      if (data.encapContent !== null) {
        return {
          signer: null,
          reason: "the signature holds a content of its own, one over the file before it expected",
        };
      }
      const signed = content.bytes().subarray(0, signedBytes);
      return checkCmsSigner({
        data,
        signer,
        content: { digest: (name) => createHash(name).update(signed).digest(), bytes: () => signed },
        contentType: oid.data,
        scheme,
        context,
        usage: "codeSigning",
        checkTimes: false,
      });
    },
  };
}
