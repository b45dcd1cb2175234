import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { latin1 } from "../../formats/bytes.ts";
import { messageOf } from "../../formats/error-text.ts";
import { FormatError, quote } from "../../formats/format-error.ts";
import { globMatches, parseGlob } from "../../formats/glob.ts";
import {
  type EcdsaCurve,
  hasSshKeyLines,
  parseSshKeyLines,
  parseSshPublicKey,
  type SshKeyLine,
  type SshPublicKey,
  sshKeyFileBytesMax,
} from "../../formats/ssh-key.ts";
import { isSshSignature, parseSshSignature, type SshSignature, sshSignedData } from "../../formats/sshsig.ts";
import { outsideValidity } from "../clock.ts";
import { ed25519PublicKey, keyIdentity } from "./public-key.ts";
import type {
  Anchor,
  AnchorReader,
  CheckContext,
  CheckResult,
  DetachedScheme,
  SignedContent,
  SshAnchor,
  UntrustedSignature,
} from "./scheme.ts";

const name = "sshsig";

/** What signatures may be made for: `slipway`, and what `ssh-keygen -Y` is commonly given for files. */
const sshNamespaces = ["slipway", "file"] as const;

/** `ssh-keygen -Y sign`: bound to a namespace. */
export const sshsigScheme: DetachedScheme = {
  name,
  recognises: isSshSignature,

  readSignatures(bytes: Uint8Array): readonly UntrustedSignature[] {
    const signature = parseSshSignature(bytes);
    return [
      {
        scheme: name,
        digests: [signature.hash],
        mayBeBy: (anchors) => keysOf(anchors, signature).length > 0,
        check: (content, context) => check(signature, content, context),
      },
    ];
  },
};

function keysOf(anchors: readonly Anchor[], { key }: SshSignature): SshAnchor[] {
  return anchors.filter(
    (anchor): anchor is SshAnchor => anchor.kind === "ssh" && Buffer.compare(anchor.blob, key.blob) === 0,
  );
}

function check(signature: SshSignature, content: SignedContent, context: CheckContext): CheckResult {
  const anchors = keysOf(context.anchors, signature);
  if (anchors.length === 0) {
    return { signer: null, reason: `made with key ${fingerprint(signature.key.blob)}, which is not trusted` };
  }
  const namespace = sshNamespaces.find((known) => known === signature.namespace);
  if (namespace === undefined) {
    const expected = sshNamespaces.map((known) => `"${known}"`).join(" or ");
    return { signer: null, reason: `made for the namespace ${quote(signature.namespace)}, ${expected} expected` };
  }
  const reasons = anchors.map((anchor) => anchorProblem(anchor, namespace, context));
  const anchor = anchors[reasons.indexOf(null)];
  const reason = anchor === undefined ? (reasons[0] ?? "") : signatureProblem(signature, content, anchor.key);
  if (anchor === undefined || reason !== null) return { signer: null, reason: reason ?? "" };
  return { signer: { anchor, label: anchor.label, scheme: name, identities: [keyIdentity(anchor.key)] }, reason: null };
}

/** Why a trusted key may not sign now and for this; null when it may. */
function anchorProblem(anchor: SshAnchor, namespace: string, { clock }: CheckContext): string | null {
  const namespaces: readonly string[] =
    "namespaces" in anchor && Array.isArray(anchor.namespaces) ? anchor.namespaces : sshNamespaces;
  if (!namespaces.includes(namespace)) {
    return `made for the namespace "${namespace}", and key ${anchor.id} is only for ${namespaces.map((n) => `"${n}"`).join(", ")}`;
  }
  const outside = outsideValidity(anchor, clock);
  return outside === null ? null : `key ${anchor.id} ${outside.startsWith("expired") ? "" : "is "}${outside}`;
}

/** PROTOCOL.u2f, "Signature": somebody touched the token. */
const userPresent = 1;

const curveHashes: Readonly<Record<EcdsaCurve, string>> = {
  nistp256: "sha256",
  nistp384: "sha384",
  nistp521: "sha512",
};

function signatureProblem(signature: SshSignature, content: SignedContent, key: KeyObject): string | null {
  const { token, key: claimed } = signature;
  const signed = sshSignedData(signature, content.digest(signature.hash));
  if (token !== null && (token.flags & userPresent) === 0) {
    return "made without a touch of the security token, which is asked for";
  }
  const data = token === null ? signed : tokenData(signed, token, claimed.application ?? "");
  return isGood(signature, data, key) ? null : "the signature does not match the file";
}

/** PROTOCOL.u2f, "SSH U2F Signatures". */
function tokenData(signed: Uint8Array, token: NonNullable<SshSignature["token"]>, application: string): Uint8Array {
  const sha256 = (data: string | Uint8Array): Buffer => createHash("sha256").update(data).digest();
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(token.counter);
  return Buffer.concat([sha256(application), Buffer.of(token.flags), counter, sha256(signed)]);
}

function isGood({ key: { parts }, algorithm, signature }: SshSignature, data: Uint8Array, key: KeyObject): boolean {
  if (parts.type === "ed25519") return verify(null, data, key, signature);
  if (parts.type === "rsa") return verify(algorithm === "rsa-sha2-256" ? "sha256" : "sha512", data, key, signature);
  return verify(curveHashes[parts.curve], data, { key, dsaEncoding: "ieee-p1363" }, signature);
}

/** As ssh-keygen(1) shows it. */
function fingerprint(blob: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** A key of an allowed-signers line that is not for every namespace. */
interface LimitedSshAnchor extends SshAnchor {
  readonly namespaces: readonly string[];
}

/** Public keys of OpenSSH: `.pub` files and allowed-signers files. */
export const sshAnchorReader: AnchorReader = {
  what: "OpenSSH public key or allowed-signers file",

  recognises(bytes: Uint8Array): boolean {
    return bytes.length <= sshKeyFileBytesMax && hasSshKeyLines(latin1(bytes));
  },

  readAnchors(label: string, bytes: Uint8Array): readonly Anchor[] {
    const lines = parseSshKeyLines(bytes);
    return lines.map((line, index) => anchorOf(lines.length === 1 ? label : `${label}#${index + 1}`, line));
  },
};

function anchorOf(label: string, line: SshKeyLine): SshAnchor {
  const anchor = {
    ...anchorOfKey(label, line.key),
    notBefore: line.validAfter,
    notAfter: line.validBefore,
  };
  if (line.namespaces === null) return anchor;
  const namespaces = sshNamespaces.filter((namespace) => matchesList(line.namespaces ?? [], namespace));
  if (namespaces.length === 0) {
    const detail = `key ${anchor.id} is for the namespaces ${quote(line.namespaces.join(","))}, "slipway" or "file" expected`;
    throw new FormatError("ssh public key", detail);
  }
  const limited: LimitedSshAnchor = { ...anchor, namespaces };
  return limited;
}

/** A public key in SSH's own encoding as an anchor. Throws FormatError. */
export function sshAnchor(label: string, blob: Uint8Array): SshAnchor {
  return anchorOfKey(label, parseSshPublicKey(blob));
}

function anchorOfKey(label: string, key: SshPublicKey): SshAnchor {
  const { algorithm, blob, application } = key;
  const id = fingerprint(blob);
  return {
    kind: "ssh",
    label,
    id,
    blob,
    algorithm,
    key: keyObject(key),
    application,
    notBefore: null,
    notAfter: null,
  };
}

/** ssh_config(5), "PATTERNS": a negated match takes back what others allow. */
function matchesList(patterns: readonly string[], namespace: string): boolean {
  const matches = (pattern: string): boolean => globMatches(parseGlob(pattern), namespace);
  if (patterns.some((pattern) => pattern.startsWith("!") && matches(pattern.slice(1)))) return false;
  return patterns.some((pattern) => !pattern.startsWith("!") && matches(pattern));
}

/** Throws FormatError for a point that is not on its curve. */
function keyObject({ parts }: SshPublicKey): KeyObject {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
  try {
    if (parts.type === "ed25519") return ed25519PublicKey(parts.key);
    if (parts.type === "rsa") {
      const key = { kty: "RSA", n: text(parts.modulus), e: text(parts.exponent) };
      return createPublicKey({ key, format: "jwk" });
    }
    const key = { kty: "EC", crv: parts.curve.replace("nistp", "P-"), x: text(parts.x), y: text(parts.y) };
    return createPublicKey({ key, format: "jwk" });
  } catch (error) {
    throw new FormatError("ssh public key", `no such key: ${messageOf(error)}`);
  }
}
