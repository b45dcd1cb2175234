import { latin1 } from "../../formats/bytes.ts";
import { type CmsSignedData, type CmsSigner, isCms, parseCms } from "../../formats/cms.ts";
import { FormatError, quote } from "../../formats/format-error.ts";
import { oid } from "../../formats/object-identifiers.ts";
import { parsePem } from "../../formats/pem.ts";
import { checkCmsSigner, cmsContentDigests, mayBeByAnchor } from "./cms-signer.ts";
import type { DetachedScheme, UntrustedSignature } from "./scheme.ts";

const format = "cms";

/** Labels of PEM blocks (RFC 7468, sections 8 and 9). */
const labels: readonly string[] = ["CMS", "PKCS7"];

/** Where a text has to begin for it to be one, bytes. */
const beginBytes = 64;

/**
 * CMS or PKCS #7 signed data beside what it signs, DER or PEM: what `openssl cms -sign -binary` and gpgsm make, iPXE's
 * `imgverify` and petitboot take. Certificates have to lead to one that is trusted, and to be for code signing.
 */
export const cmsScheme: DetachedScheme = {
  name: format,

  recognises(bytes: Uint8Array): boolean {
    if (isCms(bytes)) return true;
    const begin = latin1(bytes.subarray(0, beginBytes)).trimStart();
    return labels.some((label) => begin.startsWith(`-----BEGIN ${label}-----`));
  },

  readSignatures(bytes: Uint8Array): readonly UntrustedSignature[] {
    return messages(bytes).flatMap((message) => signaturesOf(parseCms(message)));
  },
};

function messages(bytes: Uint8Array): readonly Uint8Array[] {
  if (isCms(bytes)) return [bytes];
  const { blocks, textLine } = parsePem(bytes);
  if (textLine !== null) throw new FormatError(format, "nothing but signatures expected", { line: textLine });
  if (blocks.length === 0) throw new FormatError(format, "signed data in DER or PEM expected");
  return blocks.map(({ label, bytes: message, line }) => {
    if (labels.includes(label)) return message;
    throw new FormatError(format, `"CMS" or "PKCS7" expected, not ${quote(label)}`, { line });
  });
}

function signaturesOf(data: CmsSignedData): readonly UntrustedSignature[] {
  if (data.encapContent !== null) {
    throw new FormatError(format, "the signature encloses a content, one that stands beside its file is expected");
  }
  if (data.signers.length === 0) throw new FormatError(format, "nobody has signed: certificates alone are enclosed");
  return data.signers.map((signer) => signatureOf(data, signer));
}

function signatureOf(data: CmsSignedData, signer: CmsSigner): UntrustedSignature {
  return {
    scheme: format,
    digests: cmsContentDigests(signer),
    mayBeBy: (anchors) => mayBeByAnchor(data, signer, anchors),
    check: (content, context) =>
      checkCmsSigner({
        data,
        signer,
        content,
        contentType: oid.data,
        scheme: format,
        context,
        usage: "codeSigning",
        checkTimes: true,
      }),
  };
}
