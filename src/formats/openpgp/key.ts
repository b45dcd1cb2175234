import { ByteReader, hex } from "../bytes.ts";
import { curveName, publicKeyAlgorithmName, publicKeyAlgorithms } from "./algorithms.ts";
import { readInteger } from "./integers.ts";

const format = "OpenPGP key";

/** What a public key consists of; numbers are big-endian and without leading zeros where nothing else is said. */
export type OpenPgpKeyMaterial =
  | { readonly kind: "rsa"; readonly modulus: Uint8Array; readonly exponent: Uint8Array; readonly bits: number }
  /** `x` and `y` have the curve's full length. */
  | { readonly kind: "ecdsa"; readonly curve: EcdsaCurve; readonly x: Uint8Array; readonly y: Uint8Array }
  /** RFC 8032: 32 bytes of Ed25519, 57 of Ed448. */
  | { readonly kind: "eddsa"; readonly curve: "Ed25519" | "Ed448"; readonly point: Uint8Array }
  /** It cannot sign, or not so that it is verified here; a clause: `DSA is not supported`. */
  | { readonly kind: "unsupported"; readonly reason: string };

export type EcdsaCurve = "P-256" | "P-384" | "P-521";

/** A public key or subkey (RFC 9580, section 5.5.2). */
export interface OpenPgpKey {
  readonly version: 4 | 6;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly algorithm: number;
  readonly material: OpenPgpKeyMaterial;
  /**
   * The key as signatures over it hash it (section 5.2.4). Its own digest, SHA-1 in version 4 and SHA-256 in version 6, is
   * the fingerprint (section 5.5.4).
   */
  readonly hashed: Uint8Array;
}

/** Bytes of a coordinate. */
export const ecdsaCurveBytes: Readonly<Record<EcdsaCurve, number>> = { "P-256": 32, "P-384": 48, "P-521": 66 };

/**
 * Parses the body of a public key or public subkey packet, version 4 or 6. An algorithm that cannot sign is no error.
 * Throws {@link FormatError}.
 *
 * @param base where the body stands in the whole input, for messages
 */
export function parseOpenPgpKey(body: Uint8Array, base: number): OpenPgpKey {
  const reader: ByteReader = new ByteReader(body, format, base);
  const version = reader.u8(0, "version");
  if (version !== 4 && version !== 6) {
    reader.fail(`version 4 or 6 expected, not ${version}${versionNotes.get(version) ?? ""}`, 0, "version");
  }
  const created = reader.u32be(1, "creation time") * 1000;
  const algorithm = reader.u8(5, "algorithm");
  const start = version === 4 ? 6 : 10;
  if (version === 6) {
    const materialBytes = reader.u32be(6, "length of the key material");
    if (materialBytes !== body.length - start) {
      reader.fail(`${body.length - start} expected, not ${materialBytes}`, 6, "length of the key material");
    }
  }
  if (version === 4 && body.length > 0xffff) reader.fail(`${body.length} bytes, a key has at most 65535`);
  return {
    version,
    created,
    algorithm,
    material: readMaterial(reader, start, version, algorithm),
    hashed: hashedKey(version, body),
  };
}

const versionNotes: ReadonlyMap<number, string> = new Map([
  [2, ": keys of PGP 2.6 are not supported"],
  [3, ": keys of PGP 2.6 are not supported"],
  [5, ": keys of LibrePGP are not supported"],
]);

/** RFC 9580, section 5.2.4 */
function hashedKey(version: 4 | 6, body: Uint8Array): Uint8Array {
  const { length } = body;
  return version === 4
    ? joined([0x99, length >> 8, length & 0xff], body)
    : joined([0x9b, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff], body);
}

function joined(head: readonly number[], body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

function readMaterial(reader: ByteReader, start: number, version: 4 | 6, algorithm: number): OpenPgpKeyMaterial {
  switch (algorithm) {
    case publicKeyAlgorithms.rsa:
    case publicKeyAlgorithms.rsaSignOnly:
      return readRsa(reader, start);
    case publicKeyAlgorithms.ecdsa:
      return readEcdsa(reader, start);
    case publicKeyAlgorithms.eddsaLegacy:
      return readEddsaLegacy(reader, start, version);
    case publicKeyAlgorithms.ed25519:
      return { kind: "eddsa", curve: "Ed25519", point: rest(reader, start, 32) };
    case publicKeyAlgorithms.ed448:
      return { kind: "eddsa", curve: "Ed448", point: rest(reader, start, 57) };
    default:
      return { kind: "unsupported", reason: `${publicKeyAlgorithmName(algorithm)} is not supported` };
  }
}

function rest(reader: ByteReader, start: number, length: number): Uint8Array {
  const point = reader.slice(start, length, "public key");
  expectEnd(reader, start + length);
  return point;
}

function expectEnd(reader: ByteReader, end: number): void {
  if (end !== reader.length) reader.fail(`${reader.length - end} byte(s) behind the key`, end);
}

function readRsa(reader: ByteReader, start: number): OpenPgpKeyMaterial {
  const modulus = readInteger(reader, start, "RSA modulus");
  const exponent = readInteger(reader, modulus.end, "RSA exponent");
  expectEnd(reader, exponent.end);
  return { kind: "rsa", modulus: modulus.value, exponent: exponent.value, bits: modulus.bits };
}

/** A curve's identifier (RFC 9580, section 9.2): a length of 1 byte, and as many. */
function readCurve(reader: ByteReader, start: number): { name: string; end: number } {
  const length = reader.u8(start, "curve");
  if (length === 0 || length === 0xff) reader.fail(`an identifier of ${length} bytes is reserved`, start, "curve");
  return { name: curveName(hex(reader.slice(start + 1, length, "curve"))), end: start + 1 + length };
}

function readEcdsa(reader: ByteReader, start: number): OpenPgpKeyMaterial {
  const { name, end } = readCurve(reader, start);
  const point = readInteger(reader, end, "public point");
  expectEnd(reader, point.end);
  if (name !== "P-256" && name !== "P-384" && name !== "P-521") {
    return { kind: "unsupported", reason: `ECDSA on ${name} is not supported` };
  }
  const length = ecdsaCurveBytes[name];
  if (point.value.length !== 1 + 2 * length || point.value[0] !== 4) {
    reader.fail(`an uncompressed point of ${1 + 2 * length} bytes expected`, end, "public point");
  }
  return { kind: "ecdsa", curve: name, x: point.value.subarray(1, 1 + length), y: point.value.subarray(1 + length) };
}

function readEddsaLegacy(reader: ByteReader, start: number, version: 4 | 6): OpenPgpKeyMaterial {
  const { name, end } = readCurve(reader, start);
  const point = readInteger(reader, end, "public point");
  expectEnd(reader, point.end);
  if (version === 6) return { kind: "unsupported", reason: "EdDSA (legacy) is not allowed in a key of version 6" };
  if (name !== "Ed25519") return { kind: "unsupported", reason: `EdDSA (legacy) on ${name} is not supported` };
  if (point.value.length !== 33 || point.value[0] !== 0x40) {
    reader.fail("a point of 33 bytes expected that begins with 0x40", end, "public point");
  }
  return { kind: "eddsa", curve: "Ed25519", point: point.value.subarray(1) };
}
