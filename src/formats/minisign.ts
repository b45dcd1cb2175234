import { hex, latin1 } from "./bytes.ts";
import {
  commentAt,
  commentedLines,
  decodeLine,
  lineAt,
  minisignFileBytesMax,
  untrustedCommentBytesMax,
  untrustedPrefix,
} from "./commented-lines.ts";
import { FormatError, quote } from "./format-error.ts";
import type { NumberedLine } from "./lines.ts";

/** Longest trusted comment with its prefix, in UTF-8 bytes; minisign's own limit. */
export const trustedCommentBytesMax = 8192;

export interface MinisignPublicKey {
  /** Of the file's first line, which nothing signs; null when the key came as one line of base64. */
  readonly untrustedComment: string | null;
  /** As minisign prints it: 16 upper-case hexadecimal digits of the little-endian 64-bit number. */
  readonly keyId: string;
  /** Ed25519 public key, 32 bytes. */
  readonly key: Uint8Array;
}

export interface MinisignSignature {
  /** Nothing signs this. */
  readonly untrustedComment: string;
  /** `ED`: over the BLAKE2b-512 of the file; `Ed` (legacy): over the file itself. */
  readonly algorithm: "prehashed" | "legacy";
  readonly keyId: string;
  /** Ed25519 signature of the file, 64 bytes. */
  readonly signature: Uint8Array;
  /** To be trusted only once the global signature has been verified. */
  readonly trustedComment: string;
  /** Ed25519 signature over `globalMessage`, 64 bytes. */
  readonly globalSignature: Uint8Array;
  /** The file's signature followed by the trusted comment's bytes: what the global signature signs. */
  readonly globalMessage: Uint8Array;
}

export const trustedPrefix = "trusted comment: ";

/**
 * Parses a public key file (minisign, "Public key format"): an untrusted comment line, then base64 of `Ed`, the key id (8
 * bytes) and the Ed25519 public key (32 bytes). Throws {@link FormatError} with the line; anything more is refused.
 */
export function parseMinisignPublicKey(bytes: Uint8Array): MinisignPublicKey {
  const lines = commentedLines(bytes, "minisign public key", 2);
  const untrustedComment = commentAt(lines, 0, untrustedPrefix, untrustedCommentBytesMax, "minisign public key");
  return { ...keyFields(lineAt(lines, 1, "minisign public key")), untrustedComment };
}

/** Parses the one-line form of a public key, as `minisign -P` takes it. Throws {@link FormatError}. */
export function parseMinisignPublicKeyLine(base64: string): MinisignPublicKey {
  return { ...keyFields({ number: 1, text: base64 }), untrustedComment: null };
}

function keyFields(line: NumberedLine): Pick<MinisignPublicKey, "keyId" | "key"> {
  const format = "minisign public key";
  const data = decodeLine(line, 42, format);
  const algorithm = String.fromCharCode(data[0] ?? 0, data[1] ?? 0);
  if (algorithm !== "Ed") {
    throw new FormatError(format, `algorithm "Ed" expected, not ${quote(algorithm)}`, { line: line.number });
  }
  return { keyId: keyIdText(data.subarray(2, 10)), key: data.slice(10, 42) };
}

/**
 * Whether a file with an untrusted comment is a signature of minisign, and not one of signify: a trusted comment follows,
 * or the signature's letters are minisign's own.
 */
export function isMinisignSignature(bytes: Uint8Array): boolean {
  const [first = "", second = "", third = ""] = latin1(bytes.subarray(0, minisignFileBytesMax)).split("\n", 3);
  return first.startsWith(untrustedPrefix) && (third.startsWith(trustedPrefix) || /^RU[Q-T]/.test(second));
}

/**
 * Parses a signature file (minisign, "Signature format"): untrusted comment, base64 of algorithm, key id (8 bytes) and
 * signature (64 bytes), trusted comment, base64 of the global signature (64 bytes). Throws {@link FormatError} with the
 * line; anything more is refused. Nothing is verified here.
 */
export function parseMinisignSignature(bytes: Uint8Array): MinisignSignature {
  const format = "minisign signature";
  const lines = commentedLines(bytes, format, 4);
  const untrustedComment = commentAt(lines, 0, untrustedPrefix, untrustedCommentBytesMax, format);
  const signatureLine = lineAt(lines, 1, format);
  const data = decodeLine(signatureLine, 74, format);
  const letters = String.fromCharCode(data[0] ?? 0, data[1] ?? 0);
  if (letters !== "Ed" && letters !== "ED") {
    const detail = `algorithm "ED" or "Ed" expected, not ${quote(letters)}`;
    throw new FormatError(format, detail, { line: signatureLine.number });
  }
  const trustedComment = commentAt(lines, 2, trustedPrefix, trustedCommentBytesMax, format);
  const signature = data.slice(10, 74);
  return {
    untrustedComment,
    algorithm: letters === "ED" ? "prehashed" : "legacy",
    keyId: keyIdText(data.subarray(2, 10)),
    signature,
    trustedComment,
    globalSignature: decodeLine(lineAt(lines, 3, format), 64, format),
    globalMessage: Uint8Array.of(...signature, ...new TextEncoder().encode(trustedComment)),
  };
}

/** As minisign prints it: the little-endian number in upper-case hexadecimal. */
export function keyIdText(bytes: Uint8Array): string {
  return hex(bytes.toReversed()).toUpperCase();
}
