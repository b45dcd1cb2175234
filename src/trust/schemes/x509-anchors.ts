import { createHash } from "node:crypto";
import { latin1 } from "../../formats/bytes.ts";
import { contextTag, derTag } from "../../formats/der.ts";
import { FormatError, quote } from "../../formats/format-error.ts";
import { parsePem, pemBytesMax } from "../../formats/pem.ts";
import { parseCertificate } from "../../formats/x509.ts";
import type { AnchorReader, CertificateAnchor } from "./scheme.ts";

const format = "x509";

/** RFC 7468, section 5.1 and 5.3. */
const labels: readonly string[] = ["CERTIFICATE", "X509 CERTIFICATE", "X.509 CERTIFICATE"];

/** X.509 certificates: one in DER, one or many in PEM, with or without text around them. */
export const x509AnchorReader: AnchorReader = {
  what: "X.509 certificate",

  recognises(bytes: Uint8Array): boolean {
    if (bytes.length > pemBytesMax) return false;
    return isCertificateDer(bytes) || /^-----BEGIN (?:X\.?509 |TRUSTED )?CERTIFICATE-----/m.test(latin1(bytes));
  },

  readAnchors(label: string, bytes: Uint8Array): readonly CertificateAnchor[] {
    if (isCertificateDer(bytes)) return [anchorOf(label, bytes)];
    return certificateBlocks(bytes).map((der, index) => anchorOf(index === 0 ? label : `${label}#${index + 1}`, der));
  },
};

/** An anchor of one certificate in DER. @throws FormatError */
export function anchorOf(label: string, der: Uint8Array): CertificateAnchor {
  const id = createHash("sha256").update(der).digest("hex");
  return { kind: "x509", label, id, certificate: parseCertificate(der) };
}

/** A SEQUENCE that begins with a SEQUENCE that begins with a version or, in version 1, with a number; keys do not. */
function isCertificateDer(bytes: Uint8Array): boolean {
  const tbs = contentOf(bytes, 0);
  const first = tbs === null ? null : contentOf(bytes, tbs);
  return first !== null && (bytes[first] === contextTag(0, "constructed") || bytes[first] === derTag.integer);
}

/** Where the content of the SEQUENCE at `offset` begins; null when there is none. */
function contentOf(bytes: Uint8Array, offset: number): number | null {
  const length = bytes[offset + 1];
  if (bytes[offset] !== derTag.sequence || length === undefined) return null;
  return offset + 2 + (length < 0x80 ? 0 : length & 0x7f);
}

function certificateBlocks(bytes: Uint8Array): readonly Uint8Array[] {
  const { blocks } = parsePem(bytes);
  if (blocks.length === 0) throw new FormatError(format, "a certificate in DER or PEM expected");
  return blocks.map(({ label, bytes: der, line }) => {
    if (labels.includes(label)) return der;
    if (label.endsWith("PRIVATE KEY")) throw new FormatError(format, "a private key does not belong here", { line });
    throw new FormatError(format, `"CERTIFICATE" expected, not ${quote(label)}`, { line });
  });
}
