import { verify } from "node:crypto";
import { hex, sameBytes } from "../../formats/bytes.ts";
import { derTag } from "../../formats/der.ts";
import { FormatError } from "../../formats/format-error.ts";
import { oid, oidTitle } from "../../formats/object-identifiers.ts";
import { type OsPackageSignature, parseOsPackageDescriptor } from "../../formats/os-package.ts";
import { parsePem } from "../../formats/pem.ts";
import { printable } from "../../formats/printable.ts";
import { type Certificate, keyUsageBit, parseCertificate } from "../../formats/x509.ts";
import type { CertificateAnchor, CheckContext, CheckResult, UntrustedSignature } from "./scheme.ts";
import { buildChain } from "./x509-chain.ts";
import { certificateKey } from "./x509-key.ts";

const scheme = "ospkg";

/** RFC 8032, section 5.1.6. */
const ed25519SignatureBytes = 64;
/** A name without attributes, in DER. */
const emptyNameBytes = 2;

/** A certificate of a descriptor; or why it cannot be read. */
type Parsed = { readonly certificate: Certificate; readonly problem: null } | { readonly problem: string };

/**
 * The signatures of a descriptor of System Transparency's OS packages: each is Ed25519 over the SHA-256 of the archive, by the
 * key of the certificate that comes with it. That one is trusted itself, or issued by a trusted one, without any between: a
 * descriptor has no room for them. Its period counts, as for stboot.
 *
 * A certificate that says what it is for (key usage, extended key usage) has to be for signatures and for code signing; those
 * that stmgr makes do not say the second. Two certificates of one key are one signer, where stboot counts both.
 *
 * @throws FormatError for what is no descriptor, and where nobody signed
 */
export function readOsPackageSignatures(descriptor: Uint8Array): readonly UntrustedSignature[] {
  const { signatures } = parseOsPackageDescriptor(descriptor);
  if (signatures.length === 0) throw new FormatError("OS package descriptor", "signatures expected, found none");
  return signatures.map(untrusted);
}

function untrusted({ certificate, signature }: OsPackageSignature): UntrustedSignature {
  const parsed = readCertificate(certificate);
  return {
    scheme,
    digests: ["sha256"],
    mayBeBy(anchors) {
      if (parsed.problem !== null) return false;
      const { der, issuer } = parsed.certificate;
      return anchors.some(
        (anchor) =>
          anchor.kind === "x509" &&
          (sameBytes(anchor.certificate.der, der) || sameBytes(anchor.certificate.subject, issuer)),
      );
    },
    check(content, context) {
      if (parsed.problem !== null) return refused(parsed.problem);
      return checkBy(parsed.certificate, signature, content.digest("sha256"), context);
    },
  };
}

function refused(reason: string): CheckResult {
  return { signer: null, reason };
}

function readCertificate(bytes: Uint8Array): Parsed {
  try {
    return { certificate: parseCertificate(bytes[0] === derTag.sequence ? bytes : unwrapPem(bytes)), problem: null };
  } catch (error) {
    if (error instanceof FormatError) return { problem: `its certificate cannot be read: ${error.message}` };
    throw error;
  }
}

function unwrapPem(bytes: Uint8Array): Uint8Array {
  const { blocks, textLine } = parsePem(bytes);
  const [block] = blocks;
  if (block !== undefined && blocks.length === 1 && textLine === null && block.label === "CERTIFICATE")
    return block.bytes;
  throw new FormatError("pem", "one certificate expected, and nothing else");
}

/** What stands where a signature is expected. */
function signatureFormProblem(signature: Uint8Array): string | null {
  if (signature.length === ed25519SignatureBytes) return null;
  const isProof = Buffer.from(signature.subarray(0, 8)).toString("latin1") === "version=";
  if (isProof) return "it is a proof of a Sigsum log, which is not judged";
  return `${ed25519SignatureBytes} bytes of Ed25519 signature expected, found ${signature.length}`;
}

function checkBy(
  certificate: Certificate,
  signature: Uint8Array,
  digest: Uint8Array,
  { anchors, clock, revocations }: CheckContext,
): CheckResult {
  const roots = anchors.filter((anchor): anchor is CertificateAnchor => anchor.kind === "x509");
  const chain = buildChain(certificate, [], roots, { clock, revocations, checkTimes: true, usage: "any" });
  if (chain.anchor === null) return refused(chain.reason);
  const usage = usageProblem(certificate);
  if (usage !== null) return refused(usage);
  const { found, reason } = certificateKey(certificate);
  if (found === null) return refused(`its certificate ${reason}`);
  if (found.kind !== "ed25519") return refused(`its certificate has a key of the kind ${found.kind}, Ed25519 expected`);
  const formProblem = signatureFormProblem(signature);
  if (formProblem !== null) return refused(formProblem);
  if (!verify(null, digest, found.key, signature)) return refused("it does not match the archive");
  const { anchor } = chain;
  const isAnchor = sameBytes(anchor.certificate.der, certificate.der);
  // Certificates that stmgr made before 0.5.2 have no names at all: that they share, and it tells nothing.
  const isNamed = certificate.subject.length > emptyNameBytes;
  const who = isNamed ? printable(certificate.subjectText) : `serial number ${hex(certificate.serial)}`;
  return {
    signer: {
      anchor,
      label: isAnchor ? anchor.label : `${anchor.label}: ${who}`,
      scheme,
      identities: [found.identity, ...(isNamed ? [`x509:${anchor.id}:${hex(certificate.subject)}`] : [])],
    },
    reason: null,
  };
}

function usageProblem({ extensions: { keyUsage, extendedKeyUsage } }: Certificate): string | null {
  if (keyUsage !== null && !keyUsage.has(keyUsageBit.digitalSignature)) {
    return "its certificate is not for signatures: its key usage lacks digitalSignature";
  }
  const wanted: readonly string[] = [oid.codeSigning, oid.anyExtendedKeyUsage];
  if (extendedKeyUsage === null || extendedKeyUsage.some((usage) => wanted.includes(usage))) return null;
  return `its certificate is for ${extendedKeyUsage.map(oidTitle).join(", ")}, not for code signing`;
}
