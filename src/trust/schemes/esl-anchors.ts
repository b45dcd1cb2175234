import { hex } from "../../formats/bytes.ts";
import { type EfiSignature, isEfiSignatureList, parseEfiSignatureLists } from "../../formats/efi-signature-list.ts";
import { FormatError } from "../../formats/format-error.ts";
import type { Anchor, AnchorReader } from "./scheme.ts";
import { anchorOf as certificateAnchor } from "./x509-anchors.ts";

/**
 * Certificates and image digests as firmware keeps them in `db`: EFI signature lists, plain (`.esl`), as a variable of
 * efivarfs, or as a signed update of one (`.auth`), whose signature is not verified.
 */
export const eslAnchorReader: AnchorReader = {
  what: "EFI signature list",

  recognises(bytes: Uint8Array): boolean {
    try {
      return isEfiSignatureList(bytes);
    } catch (error) {
      // An update that is cut: readAnchors says how.
      if (error instanceof FormatError) return true;
      throw error;
    }
  },

  readAnchors(label: string, bytes: Uint8Array): readonly Anchor[] {
    return parseEfiSignatureLists(bytes).map((signature, index) =>
      anchorOf(index === 0 ? label : `${label}#${index + 1}`, signature),
    );
  },
};

function anchorOf(label: string, signature: EfiSignature): Anchor {
  switch (signature.kind) {
    case "x509":
      return certificateAnchor(label, signature.der);
    case "image-digest": {
      const { digest, value } = signature;
      return { kind: "image-digest", label, id: `${digest}:${hex(value)}`, digest, value };
    }
    case "tbs-digest": {
      const type = `X509_${signature.digest.toUpperCase()}`;
      throw new FormatError(
        "efi signature list",
        `a list of what is trusted holds certificates and digests, not ${type}`,
      );
    }
  }
}
