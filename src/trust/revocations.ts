import { createHash } from "node:crypto";
import { hex } from "../formats/bytes.ts";
import { parseEfiSignatureLists } from "../formats/efi-signature-list.ts";
import { FormatError } from "../formats/format-error.ts";
import { parseSbatLevels, type SbatComponent } from "../formats/sbat.ts";
import { parseCertificate } from "../formats/x509.ts";
import type { Revocations } from "./schemes/scheme.ts";

/** Lists of what was taken back; each adds to the others. */
export interface RevocationLists {
  /** EFI signature lists, in any of the wrappers of `parseEfiSignatureLists`. */
  readonly dbx: readonly Uint8Array[];
  /** SBAT levels, as the text of the variable `SbatLevel`. None: SBAT is not asked for. */
  readonly sbat: readonly string[];
}

/**
 * Everything that the lists take back, together. The time from which a certificate is taken back is not looked at: nobody
 * vouches for when a signature was made, so none of that certificate's is good.
 *
 * @throws FormatError for a list that cannot be understood as a whole: what it takes back must not be forgotten.
 */
export function readRevocations(lists: RevocationLists): Revocations {
  const imageDigests = new Set<string>();
  const certificates = new Set<string>();
  const tbsDigests = new Set<string>();
  for (const signature of lists.dbx.flatMap((bytes) => parseEfiSignatureLists(bytes))) {
    switch (signature.kind) {
      case "image-digest":
        imageDigests.add(`${signature.digest}:${hex(signature.value)}`);
        break;
      case "tbs-digest":
        tbsDigests.add(`${signature.digest}:${hex(signature.value)}`);
        break;
      case "x509": {
        certificates.add(sha256(signature.der));
        const tbs = tbsOf(signature.der);
        if (tbs !== null) tbsDigests.add(`sha256:${sha256(tbs)}`);
      }
    }
  }
  return { imageDigests, certificates, tbsDigests, sbat: lists.sbat.length === 0 ? null : levelsOf(lists.sbat) };
}

/**
 * The part of a certificate that its issuer signs. Who knows one good ECDSA signature can make another of the same part,
 * so the digest of the whole does not tell a certificate for certain. Null for a certificate that cannot be read: none of
 * its kind becomes part of a chain.
 */
function tbsOf(der: Uint8Array): Uint8Array | null {
  try {
    return parseCertificate(der).tbs;
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

function levelsOf(texts: readonly string[]): readonly SbatComponent[] {
  const levels = new Map<string, number>();
  for (const { name, generation } of texts.flatMap((text) => parseSbatLevels(text))) {
    levels.set(name, Math.max(generation, levels.get(name) ?? 0));
  }
  return [...levels].map(([name, generation]) => ({ name, generation }));
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
