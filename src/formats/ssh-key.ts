import { decodeBase64 } from "./base64.ts";
import { ByteReader, utf8 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";
import { type NumberedLine, numberedLines } from "./lines.ts";
import { parseSshTime } from "./ssh-time.ts";

/** Largest file of public keys, bytes. */
export const sshKeyFileBytesMax = 1 << 20;
/** Keys of one file. */
export const sshKeysMax = 1000;
/** Largest public key in its own encoding, bytes: RSA of 16384 bits, OpenSSH's own limit, and room. */
export const sshKeyBlobBytesMax = 8192;
/** Longest armored text, bytes. */
export const sshArmorBytesMax = 65_536;
/** Weakest RSA key, bits. */
export const sshRsaBitsMin = 2048;

const format = "ssh public key";

/** Fields as SSH writes them one after the other (RFC 4251, section 5). A field that passes the end is a {@link FormatError}. */
export class SshReader {
  readonly #reader: ByteReader;
  #offset = 0;

  constructor(bytes: Uint8Array, format: string) {
    this.#reader = new ByteReader(bytes, format);
  }

  u8(field: string): number {
    return this.#reader.u8(this.#advance(1), field);
  }

  u32(field: string): number {
    return this.#reader.u32be(this.#advance(4), field);
  }

  /** So many bytes as they are. */
  bytes(length: number, field: string): Uint8Array {
    return this.#reader.slice(this.#advance(length), length, field);
  }

  /** A length in 32 bits, and so many bytes. */
  string(field: string): Uint8Array {
    return this.bytes(this.u32(field), field);
  }

  text(field: string): string {
    return utf8(this.string(field), this.#reader.format);
  }

  /** A positive `mpint` in its shortest form, without the zero that keeps its sign. */
  positive(field: string): Uint8Array {
    const bytes = this.string(field);
    const [first = 0x80, second = 0] = bytes;
    if (first >= 0x80 || (first === 0 && second < 0x80)) {
      this.#reader.fail("a positive number in its shortest form expected", this.#offset - bytes.length, field);
    }
    return first === 0 ? bytes.subarray(1) : bytes;
  }

  rest(): Uint8Array {
    return this.#reader.bytes.subarray(this.#offset);
  }

  end(): void {
    const left = this.#reader.length - this.#offset;
    if (left > 0) this.#reader.fail(`${left} byte(s) behind the last field`, this.#offset);
  }

  fail(detail: string, field: string): never {
    this.#reader.fail(detail, undefined, field);
  }

  #advance(length: number): number {
    const offset = this.#offset;
    this.#offset += length;
    return offset;
  }
}

export type SshKeyParts =
  | { readonly type: "ed25519"; readonly key: Uint8Array }
  | { readonly type: "rsa"; readonly exponent: Uint8Array; readonly modulus: Uint8Array }
  | { readonly type: "ecdsa"; readonly curve: EcdsaCurve; readonly x: Uint8Array; readonly y: Uint8Array };

export type EcdsaCurve = "nistp256" | "nistp384" | "nistp521";

/** Bytes of a coordinate. */
export const curveBytes: Readonly<Record<EcdsaCurve, number>> = { nistp256: 32, nistp384: 48, nistp521: 66 };

export interface SshPublicKey {
  /** `ssh-ed25519`. */
  readonly algorithm: string;
  /** The key in SSH's own encoding. */
  readonly blob: Uint8Array;
  readonly parts: SshKeyParts;
  /** What a key on a security token is bound to; null for others. */
  readonly application: string | null;
}

const skEd25519 = "sk-ssh-ed25519@openssh.com";
const skEcdsa = "sk-ecdsa-sha2-nistp256@openssh.com";
const algorithms = [
  "ssh-ed25519",
  skEd25519,
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  skEcdsa,
  "ssh-rsa",
];

/** Why keys of an algorithm are not taken; null when they are. */
function refusedAlgorithm(algorithm: string): string | null {
  if (algorithms.includes(algorithm)) return null;
  if (/-cert-v\d\d(@|$)/.test(algorithm)) return `certificate ${quote(algorithm)}, a plain public key expected`;
  if (algorithm === "ssh-dss") return `DSA key ${quote(algorithm)}, which is too weak`;
  return `algorithm ${quote(algorithm)}, one of ${algorithms.join(", ")} expected`;
}

/**
 * Parses a public key in SSH's own encoding (RFC 4253, section 6.6; RFC 5656, section 3.1; RFC 8709, section 4; OpenSSH,
 * PROTOCOL.u2f). Throws {@link FormatError}; RSA keys under {@link sshRsaBitsMin} bits are refused.
 */
export function parseSshPublicKey(blob: Uint8Array): SshPublicKey {
  if (blob.length > sshKeyBlobBytesMax) {
    throw new FormatError(format, `${blob.length} bytes, at most ${sshKeyBlobBytesMax} are taken`);
  }
  const reader = new SshReader(blob, format);
  const algorithm = reader.text("algorithm");
  const refused = refusedAlgorithm(algorithm);
  if (refused !== null) throw new FormatError(format, refused);
  const parts = readParts(reader, algorithm);
  const application = algorithm === skEd25519 || algorithm === skEcdsa ? reader.text("application") : null;
  reader.end();
  return { algorithm, blob, parts, application };
}

function readParts(reader: SshReader, algorithm: string): SshKeyParts {
  if (algorithm === "ssh-ed25519" || algorithm === skEd25519) {
    const key = reader.string("key");
    if (key.length !== 32) reader.fail(`${key.length} bytes, 32 expected`, "key");
    return { type: "ed25519", key };
  }
  if (algorithm === "ssh-rsa") {
    const exponent = reader.positive("exponent");
    const modulus = reader.positive("modulus");
    const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
    if (bits < sshRsaBitsMin) reader.fail(`RSA key of ${bits} bits, at least ${sshRsaBitsMin} expected`, "modulus");
    return { type: "rsa", exponent, modulus };
  }
  const curve = reader.text("curve");
  if (curve !== "nistp256" && curve !== "nistp384" && curve !== "nistp521") {
    reader.fail(`${quote(curve)}, nistp256, nistp384 or nistp521 expected`, "curve");
  }
  if (!algorithm.includes(curve)) reader.fail(`${quote(curve)} in a key of ${algorithm}`, "curve");
  const size = curveBytes[curve];
  const point = reader.string("point");
  if (point.length !== 1 + 2 * size || point[0] !== 4) {
    reader.fail(`an uncompressed point of ${1 + 2 * size} bytes expected`, "point");
  }
  return { type: "ecdsa", curve, x: point.subarray(1, 1 + size), y: point.subarray(1 + size) };
}

/** A key of a `.pub` file or an allowed-signers file. */
export interface SshKeyLine {
  readonly key: SshPublicKey;
  readonly comment: string;
  /** Whose key it is; null in a `.pub` file. */
  readonly principals: string | null;
  /** Patterns of the namespaces that it is good for; null: all. */
  readonly namespaces: readonly string[] | null;
  /** Milliseconds since 1970; null: open. */
  readonly validAfter: number | null;
  readonly validBefore: number | null;
}

/** Whether a text has lines as {@link parseSshKeyLines} reads them. */
export function hasSshKeyLines(text: string): boolean {
  // An encoded key begins with the length of its algorithm's name.
  return text
    .split("\n", 1 + sshKeysMax)
    .some((line) => !line.startsWith("#") && /(?:^|[ \t])(?:ssh-|ecdsa-|sk-)[\w@.-]{1,64}[ \t]+AAAA/.test(line));
}

/**
 * Parses public keys, one a line: `ssh-ed25519 AAAA… comment` (sshd(8), "AUTHORIZED_KEYS FILE FORMAT", without options) or
 * the same behind principals and options (ssh-keygen(1), "ALLOWED SIGNERS"). Throws {@link FormatError} with the line.
 */
export function parseSshKeyLines(bytes: Uint8Array): SshKeyLine[] {
  if (bytes.length > sshKeyFileBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${sshKeyFileBytesMax} are taken`);
  }
  const lines = numberedLines(utf8(bytes, format), format).filter(({ text }) => /^[ \t]*[^ \t#]/.test(text));
  const beyond = lines[sshKeysMax];
  if (beyond !== undefined) throw new FormatError(format, `more than ${sshKeysMax} keys`, { line: beyond.number });
  if (lines.length === 0) throw new FormatError(format, "a key expected, there is none");
  return lines.map(parseKeyLine);
}

function parseKeyLine(line: NumberedLine): SshKeyLine {
  const words = splitWords(line);
  const isKey = (word: string | undefined): boolean => word !== undefined && /^(ssh|ecdsa|sk)-[\w@.-]+$/.test(word);
  const at = isKey(words[0]?.text) ? 0 : isKey(words[1]?.text) ? 1 : 2;
  const [algorithm, base64] = [words[at], words[at + 1]];
  if (algorithm === undefined || base64 === undefined) {
    throw new FormatError(format, "an algorithm and a key in base64 expected", { line: line.number });
  }
  const options = at === 2 ? readOptions(words[1]?.text ?? "", line) : noOptions;
  const refused = refusedAlgorithm(algorithm.text);
  if (refused !== null) throw new FormatError(format, refused, { line: line.number });
  const key = inLine(line, () => parseSshPublicKey(decodeBase64(base64.text, format, { line: line.number })));
  if (key.algorithm !== algorithm.text) {
    const detail = `a key of ${key.algorithm} behind ${quote(algorithm.text)}`;
    throw new FormatError(format, detail, { line: line.number });
  }
  const comment = line.text.slice(base64.end).trim();
  return { key, comment, principals: at === 0 ? null : (words[0]?.text ?? null), ...options };
}

/** An error of a key names its line. */
function inLine<T>(line: NumberedLine, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof FormatError) || error.place.line !== undefined) throw error;
    throw new FormatError(error.format, error.detail, { ...error.place, line: line.number });
  }
}

interface Word {
  readonly text: string;
  readonly end: number;
}

/** The first words, at most four; blanks between double quotes do not separate. */
function splitWords(line: NumberedLine): Word[] {
  const words: Word[] = [];
  const pattern = /(?:[^ \t"]|"[^"]*")+/gy;
  const { text } = line;
  for (let at = 0; at < text.length && words.length < 4; ) {
    if (text[at] === " " || text[at] === "\t") {
      at++;
      continue;
    }
    pattern.lastIndex = at;
    const word = pattern.exec(text)?.[0];
    if (word === undefined) {
      // A comment may hold a quote; anything before it may not.
      if (words.length >= 2) break;
      throw new FormatError(format, "a quote that does not end", { line: line.number });
    }
    at += word.length;
    words.push({ text: word, end: at });
  }
  return words;
}

type LineOptions = Pick<SshKeyLine, "namespaces" | "validAfter" | "validBefore">;
const noOptions: LineOptions = { namespaces: null, validAfter: null, validBefore: null };

/** Longest list of options that is taken apart, characters. */
const optionsCharactersMax = 4096;

function readOptions(text: string, { number: line }: NumberedLine): LineOptions {
  const fail = (detail: string): never => {
    throw new FormatError(format, detail, { line });
  };
  if (text.length > optionsCharactersMax) {
    fail(`options of ${text.length} characters, at most ${optionsCharactersMax} are taken`);
  }
  const given = new Map<string, string>();
  for (const option of text.match(/(?:[^,"]|"[^"]*")+/g) ?? []) {
    const [, name = "", value = ""] = /^([^=]*)(?:=(.*))?$/s.exec(option) ?? [];
    const key = name.toLowerCase();
    if (key === "cert-authority")
      fail(`option "cert-authority": certificates are not taken, a plain public key expected`);
    if (key !== "namespaces" && key !== "valid-after" && key !== "valid-before") {
      fail(`option ${quote(option)}, namespaces=, valid-after= or valid-before= expected`);
    }
    if (given.has(key)) fail(`option ${quote(key)} stands twice`);
    given.set(key, value.replace(/^"([^"]*)"$/, "$1"));
  }
  const time = (key: string): number | null => {
    const value = given.get(key);
    if (value === undefined) return null;
    return parseSshTime(value) ?? fail(`${key} ${quote(value)}, a time like "20261120" or "202611200930Z" expected`);
  };
  const namespaces = given.get("namespaces")?.split(",") ?? null;
  const odd = namespaces?.find((pattern) => !/^!?[\w.@+*?-]{1,256}$/.test(pattern));
  if (odd !== undefined) fail(`namespaces: ${quote(odd)}, a name or a pattern with * and ? expected`);
  return {
    namespaces,
    validAfter: time("valid-after"),
    validBefore: time("valid-before"),
  };
}

/**
 * The bytes between `-----BEGIN label-----` and its end line, as OpenSSH writes them; nothing may stand before or behind.
 * Throws {@link FormatError}.
 */
export function readSshArmor(bytes: Uint8Array, label: string, format: string): Uint8Array {
  if (bytes.length > sshArmorBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${sshArmorBytesMax} are taken`);
  }
  if (bytes[0] === 0xef) throw new FormatError(format, `"-----BEGIN ${label}-----" expected`, { line: 1 });
  const lines = numberedLines(utf8(bytes, format), format);
  if (lines[0]?.text !== `-----BEGIN ${label}-----`) {
    throw new FormatError(format, `"-----BEGIN ${label}-----" expected`, { line: 1 });
  }
  const end = lines.findIndex(({ text }) => text === `-----END ${label}-----`);
  if (end < 0) throw new FormatError(format, `the file ends before "-----END ${label}-----"`, { line: lines.length });
  const extra = lines[end + 1];
  if (extra !== undefined) throw new FormatError(format, "something behind the end line", { line: extra.number });
  const text = lines.slice(1, end).map((line) => line.text);
  return decodeBase64(text.join(""), format, { line: 2 });
}

/** An Ed25519 key pair as ssh-keygen(1) writes it. */
export interface SshSecretKey {
  readonly blob: Uint8Array;
  /** RFC 8032's private key, 32 bytes. */
  readonly seed: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly comment: string;
}

const secretFormat = "ssh secret key";
const secretLabel = "OPENSSH PRIVATE KEY";
const secretMagic = "openssh-key-v1\0";

/** Whether a file is a secret key as OpenSSH writes it. */
export function isSshSecretKey(bytes: Uint8Array): boolean {
  return new ByteReader(bytes, secretFormat).hasMagic(0, `-----BEGIN ${secretLabel}-----`);
}

/**
 * Parses a secret key file (OpenSSH, PROTOCOL.key) that has no password and holds one Ed25519 key. Throws
 * {@link FormatError}.
 */
export function parseSshSecretKey(bytes: Uint8Array): SshSecretKey {
  const data = readSshArmor(bytes, secretLabel, secretFormat);
  const outer = new ByteReader(data, secretFormat);
  if (!outer.hasMagic(0, secretMagic)) outer.fail(`"openssh-key-v1" expected`, 0);
  const reader = new SshReader(data.subarray(secretMagic.length), secretFormat);
  const cipher = reader.text("cipher");
  if (cipher !== "none") reader.fail(`${quote(cipher)}: a key without a password expected`, "cipher");
  const kdf = reader.text("kdf");
  if (kdf !== "none" || reader.string("kdf options").length > 0) reader.fail(`"none" expected`, "kdf");
  const count = reader.u32("keys");
  if (count !== 1) reader.fail(`${count}, 1 expected`, "keys");
  const blob = reader.string("public key");
  const secret = new SshReader(reader.string("secret key"), secretFormat);
  reader.end();
  const publicKey = parseSshPublicKey(blob);
  if (publicKey.parts.type !== "ed25519" || publicKey.application !== null) {
    throw new FormatError(secretFormat, `a key of ${publicKey.algorithm}, ssh-ed25519 expected`);
  }
  return { blob, ...readSecretPart(secret, publicKey.parts.key) };
}

function readSecretPart(secret: SshReader, expected: Uint8Array): Omit<SshSecretKey, "blob"> {
  const [check, again] = [secret.u32("check"), secret.u32("check")];
  if (check !== again) secret.fail("the two numbers are not the same", "check");
  const algorithm = secret.text("algorithm");
  if (algorithm !== "ssh-ed25519") secret.fail(`${quote(algorithm)}, ssh-ed25519 expected`, "algorithm");
  const publicKey = secret.string("public part");
  const pair = secret.string("secret part");
  const isSame = (bytes: Uint8Array): boolean =>
    bytes.length === 32 && bytes.every((byte, index) => byte === expected[index]);
  if (pair.length !== 64 || !isSame(publicKey) || !isSame(pair.subarray(32))) {
    secret.fail("it does not fit the public key", "secret part");
  }
  const comment = secret.text("comment");
  if (!secret.rest().every((byte, index) => byte === index + 1)) secret.fail("1, 2, 3… expected", "padding");
  return { seed: pair.subarray(0, 32), publicKey, comment };
}
