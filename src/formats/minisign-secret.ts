import { encodeBase64 } from "./base64.ts";
import { blake2b256 } from "./blake2b.ts";
import { ByteWriter } from "./byte-writer.ts";
import { ByteReader, hex, latin1 } from "./bytes.ts";
import {
  commentAt,
  commentedLines,
  decodeLine,
  lineAt,
  untrustedCommentBytesMax,
  untrustedPrefix,
} from "./commented-lines.ts";
import { FormatError, quote } from "./format-error.ts";
import { trustedPrefix } from "./minisign.ts";

const format = "minisign secret key";

/** Algorithm, derivation, checksum, 48 bytes of derivation, and what a password hides. */
const secretKeyBytes = 158;
const hiddenOffset = 54;
/** The key's number, the seed, the public key and the checksum. */
export const hiddenBytes = 104;
const saltBytes = 32;

/** Most memory that a password's derivation may take, bytes: what minisign itself takes for every key. */
export const scryptMemoryBytesMax = 1 << 30;
/** Most repetitions of it. */
export const scryptParallelMax = 16;

/** scrypt's own numbers (RFC 7914, section 2). */
export interface ScryptCost {
  /** A power of two. */
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

export interface MinisignDerivation {
  readonly salt: Uint8Array;
  readonly cost: ScryptCost;
}

export interface MinisignSecretKey {
  /** How a password gives the bytes that {@link hidden} is XORed with; null: it has no password. */
  readonly derivation: MinisignDerivation | null;
  /** {@link hiddenBytes} of them. */
  readonly hidden: Uint8Array;
}

/** What a secret key file holds, once it is open. */
export interface MinisignKeyPair {
  /** 8 bytes, as they stand in the files. */
  readonly keyNumber: Uint8Array;
  /** RFC 8032's private key, 32 bytes. */
  readonly seed: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** Whether a file looks like a secret key of minisign. */
export function isMinisignSecretKey(bytes: Uint8Array): boolean {
  const [first = "", second = ""] = latin1(bytes.subarray(0, 4096)).split("\n", 2);
  return first.startsWith(untrustedPrefix) && /^RW(?:RTY|QAA)/.test(second) && second.trimEnd().length === 212;
}

/**
 * Parses a secret key file (minisign, "Secret key format"): an untrusted comment, then base64 of the algorithms, the
 * derivation's salt and limits, and the key. Throws {@link FormatError} with the line.
 */
export function parseMinisignSecretKey(bytes: Uint8Array): MinisignSecretKey {
  const lines = commentedLines(bytes, format, 2);
  commentAt(lines, 0, untrustedPrefix, untrustedCommentBytesMax, format);
  const line = lineAt(lines, 1, format);
  const data = decodeLine(line, secretKeyBytes, format);
  const letters = latin1(data.subarray(0, 6));
  if (letters !== "EdScB2" && letters !== "Ed\0\0B2") {
    const detail = `algorithms "Ed", "Sc" (or none) and "B2" expected, not ${quote(letters)}`;
    throw new FormatError(format, detail, { line: line.number });
  }
  const hidden = data.subarray(hiddenOffset);
  return { derivation: letters === "EdScB2" ? readDerivation(data) : null, hidden };
}

function readDerivation(data: Uint8Array): MinisignDerivation {
  const reader = new ByteReader(data, format);
  const operations = reader.u64le(6 + saltBytes, "scrypt's operations");
  const memory = reader.u64le(6 + saltBytes + 8, "scrypt's memory");
  return { salt: reader.slice(6, saltBytes, "salt"), cost: scryptCost(operations, memory) };
}

/**
 * scrypt's numbers for libsodium's two limits (crypto_pwhash_scryptsalsa208sha256, `pickparams`). Throws
 * {@link FormatError} for a cost over {@link scryptMemoryBytesMax} or {@link scryptParallelMax}.
 */
export function scryptCost(operations: bigint, memory: bigint): ScryptCost {
  const r = 8n;
  const enough = operations < 32_768n ? 32_768n : operations;
  const isMemoryAmple = enough < memory / 32n;
  const N = powerAbove((isMemoryAmple ? enough / (r * 4n) : memory / (r * 128n)) / 2n);
  const p = isMemoryAmple ? 1n : enough / 4n / N / r;
  if (N * r * 128n > BigInt(scryptMemoryBytesMax) || p > BigInt(scryptParallelMax) || p < 1n) {
    const detail = `a password that costs ${N * r * 128n} bytes and ${p} rounds, at most ${scryptMemoryBytesMax} bytes and 1 to ${scryptParallelMax} rounds are taken`;
    throw new FormatError(format, detail);
  }
  return { N: Number(N), r: Number(r), p: Number(p) };
}

/** The least power of two over a value, 2 at least. */
function powerAbove(value: bigint): bigint {
  let power = 2n;
  while (power <= value && power < 1n << 62n) power *= 2n;
  return power;
}

/**
 * Reads what a password hid, or what none did. Throws {@link FormatError} when the checksum does not fit: the password was
 * another one.
 */
export function parseMinisignKeyPair(open: Uint8Array): MinisignKeyPair {
  const reader = new ByteReader(open, format);
  const checksum = reader.slice(72, 32, "checksum");
  const isUnused = checksum.every((byte) => byte === 0);
  // Only a key without a password may go without a checksum; under a password, zeroes are no chance.
  if (!isUnused && hex(checksum) !== hex(checksumOf(open))) {
    throw new FormatError(format, "wrong password, or the file is damaged: its checksum does not fit");
  }
  return {
    keyNumber: reader.slice(0, 8, "key number"),
    seed: reader.slice(8, 32, "seed"),
    publicKey: reader.slice(40, 32, "public key"),
  };
}

function checksumOf(open: Uint8Array): Uint8Array {
  return blake2b256(Uint8Array.of(0x45, 0x64, ...open.subarray(0, 72)));
}

/** What {@link parseMinisignKeyPair} reads, with its checksum. */
export function writeMinisignKeyPair({ keyNumber, seed, publicKey }: MinisignKeyPair): Uint8Array {
  const writer = new ByteWriter(hiddenBytes, format);
  writer.set(0, keyNumber, "key number");
  writer.set(8, seed, "seed");
  writer.set(40, publicKey, "public key");
  writer.set(72, checksumOf(writer.bytes), "checksum");
  return writer.bytes;
}

/**
 * A secret key file.
 *
 * @param limits libsodium's limits of operations and memory, and the salt; null: without a password
 */
export function writeMinisignSecretKey(
  comment: string,
  limits: { readonly operations: number; readonly memory: number; readonly salt: Uint8Array } | null,
  hidden: Uint8Array,
): string {
  const writer = new ByteWriter(secretKeyBytes, format);
  writer.set(0, new TextEncoder().encode(limits === null ? "Ed\0\0B2" : "EdScB2"), "algorithms");
  if (limits !== null) {
    writer.set(6, limits.salt, "salt");
    writer.u64(6 + saltBytes, limits.operations, "operations");
    writer.u64(6 + saltBytes + 8, limits.memory, "memory");
  }
  writer.set(hiddenOffset, hidden, "key");
  return `${untrustedPrefix}${checkedComment(comment, format)}\n${encodeBase64(writer.bytes)}\n`;
}

/** A public key file. */
export function writeMinisignPublicKey(
  comment: string,
  { keyNumber, publicKey }: Pick<MinisignKeyPair, "keyNumber" | "publicKey">,
): string {
  const line = encodeBase64(Uint8Array.of(0x45, 0x64, ...keyNumber, ...publicKey));
  return `${untrustedPrefix}${checkedComment(comment, "minisign public key")}\n${line}\n`;
}

/** A signature file of the kind `ED`: over the BLAKE2b-512 digest of the file. */
export function writeMinisignSignature(parts: {
  readonly untrustedComment: string;
  readonly keyNumber: Uint8Array;
  readonly signature: Uint8Array;
  readonly trustedComment: string;
  readonly globalSignature: Uint8Array;
}): string {
  const line = encodeBase64(Uint8Array.of(0x45, 0x44, ...parts.keyNumber, ...parts.signature));
  const where = "minisign signature";
  return (
    `${untrustedPrefix}${checkedComment(parts.untrustedComment, where)}\n${line}\n` +
    `${trustedPrefix}${checkedComment(parts.trustedComment, where)}\n${encodeBase64(parts.globalSignature)}\n`
  );
}

function checkedComment(comment: string, where: string): string {
  if (/[\0\r\n]/.test(comment))
    throw new FormatError(where, `comment ${quote(comment)}, one line without NUL expected`);
  const length = new TextEncoder().encode(untrustedPrefix + comment).length;
  if (length > untrustedCommentBytesMax) {
    throw new FormatError(where, `comment of ${length} bytes, at most ${untrustedCommentBytesMax} are taken`);
  }
  return comment;
}
