import { ByteReader, hex, latin1 } from "../bytes.ts";
import { FormatError, quote } from "../format-error.ts";
import { openPgpHash, publicKeyAlgorithmName, publicKeyAlgorithms } from "./algorithms.ts";
import { readInteger } from "./integers.ts";
import { readSubpackets, type Subpacket, subpacketAreaBytesMax, subpacketName, subpacketTypes } from "./subpackets.ts";

const format = "OpenPGP signature";

/** Most signatures embedded in one. */
export const embeddedSignaturesMax = 4;

/** Signature types (RFC 9580, section 5.2.1). */
export const signatureTypes = {
  binary: 0x00,
  text: 0x01,
  genericCertification: 0x10,
  positiveCertification: 0x13,
  subkeyBinding: 0x18,
  primaryKeyBinding: 0x19,
  directKey: 0x1f,
  keyRevocation: 0x20,
  subkeyRevocation: 0x28,
  certificationRevocation: 0x30,
} as const;

const signatureTypeNames: ReadonlyMap<number, string> = new Map([
  [0x00, "binary document"],
  [0x01, "text document"],
  [0x02, "standalone"],
  [0x10, "generic certification"],
  [0x11, "persona certification"],
  [0x12, "casual certification"],
  [0x13, "positive certification"],
  [0x18, "subkey binding"],
  [0x19, "primary key binding"],
  [0x1f, "direct key"],
  [0x20, "key revocation"],
  [0x28, "subkey revocation"],
  [0x30, "certification revocation"],
  [0x40, "timestamp"],
  [0x50, "third-party confirmation"],
]);

/** `0x00 (binary document)`, `0x77` */
export function signatureTypeName(type: number): string {
  const name = signatureTypeNames.get(type);
  const number = `0x${type.toString(16).padStart(2, "0")}`;
  return name === undefined ? number : `${number} (${name})`;
}

/** The numbers that a public-key algorithm made. */
export type OpenPgpSignatureValue =
  /** A big-endian number without leading zeros. */
  | { readonly kind: "rsa"; readonly value: Uint8Array }
  /** Big-endian numbers without leading zeros. */
  | { readonly kind: "ecdsa"; readonly r: Uint8Array; readonly s: Uint8Array }
  /** RFC 8032: 64 bytes for Ed25519, 114 for Ed448. */
  | { readonly kind: "eddsa"; readonly curve: "Ed25519" | "Ed448"; readonly value: Uint8Array }
  | { readonly kind: "unsupported"; readonly reason: string };

/** A signature packet (RFC 9580, section 5.2). What is not named as unsigned is covered by the signature. */
export interface OpenPgpSignature {
  readonly version: 4 | 6;
  readonly type: number;
  readonly publicKeyAlgorithm: number;
  readonly hashAlgorithm: number;
  /** Hashed before everything else; empty in version 4. */
  readonly salt: Uint8Array;
  /** Hashed behind what is signed (section 5.2.4). */
  readonly trailer: Uint8Array;
  /** The first two bytes of the digest. Unsigned. */
  readonly digestStart: Uint8Array;
  readonly value: OpenPgpSignatureValue;

  /** Milliseconds since 1970. */
  readonly created: number;
  /** From then on the signature is not good any more, milliseconds since 1970; null: never. */
  readonly expires: number | null;
  /** After so many milliseconds the key expires; null: never, or nothing is said (as {@link statesKeyLifetime} tells). */
  readonly keyLifetime: number | null;
  readonly statesKeyLifetime: boolean;
  /** The first byte of the key flags (section 5.2.3.29); null when they are absent. */
  readonly keyFlags: number | null;
  readonly isPrimaryUserId: boolean;
  /** Section 5.2.3.31; null when none is given. */
  readonly revocationReason: number | null;
  /** Fingerprints of keys that may revoke this one, upper-case hexadecimal (section 5.2.3.23). */
  readonly revocationKeys: readonly string[];
  /** Why a verifier has to refuse it: what is critical and not understood, a clause; null when nothing is. */
  readonly notUnderstood: string | null;

  /** Who made it, upper-case hexadecimal; a hint, in part unsigned. */
  readonly issuerFingerprints: readonly string[];
  /** The same, 16 digits. */
  readonly issuerKeyIds: readonly string[];
  /** Unsigned, like everything embedded: they have to prove themselves. */
  readonly embedded: readonly OpenPgpSignature[];
  /** What the unsigned area holds that has no meaning there, a clause; null when it holds nothing of the kind. */
  readonly unsignedSurplus: string | null;
}

/** A signature in a certificate or a signature file: one that is not understood costs itself alone. */
export type OpenPgpSignaturePacket =
  | { readonly signature: OpenPgpSignature; readonly problem: null }
  /** Its type, as far as it can be told, and what is wrong, a sentence. */
  | { readonly signature: null; readonly type: number | null; readonly problem: string };

/** As {@link parseOpenPgpSignature}, without throwing {@link FormatError}. */
export function readSignaturePacket(body: Uint8Array, base: number): OpenPgpSignaturePacket {
  try {
    return { signature: parseOpenPgpSignature(body, base), problem: null };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { signature: null, type: untrustedType(body), problem: error.message };
  }
}

function untrustedType(body: Uint8Array): number | null {
  const version = body[0] ?? 0;
  if (version < 2 || version > 6) return null;
  return (version < 4 ? body[2] : body[1]) ?? null;
}

/**
 * Parses the body of a signature packet, version 4 or 6. An algorithm that is not supported is no error. Throws
 * {@link FormatError}.
 *
 * @param base where the body stands in the whole input, for messages
 */
export function parseOpenPgpSignature(body: Uint8Array, base: number): OpenPgpSignature {
  return readSignature(new ByteReader(body, format, base), true);
}

const versionNotes: ReadonlyMap<number, string> = new Map([
  [2, ": signatures of PGP 2.6 are not supported"],
  [3, ": signatures of PGP 2.6 are not supported"],
  [5, ": signatures of LibrePGP are not supported"],
]);

function readSignature(reader: ByteReader, mayEmbed: boolean): OpenPgpSignature {
  const version = reader.u8(0, "version");
  if (version !== 4 && version !== 6) {
    reader.fail(`version 4 or 6 expected, not ${version}${versionNotes.get(version) ?? ""}`, 0, "version");
  }
  const type = reader.u8(1, "type");
  const publicKeyAlgorithm = reader.u8(2, "public-key algorithm");
  const hashAlgorithm = reader.u8(3, "hash algorithm");
  const hashed = readArea(reader, 4, version, "hashed subpackets");
  const unhashed = readArea(reader, hashed.end, version, "unhashed subpackets");
  const digestStart = reader.slice(unhashed.end, 2, "start of the digest");
  const salt = readSalt(reader, unhashed.end + 2, version, hashAlgorithm);
  const value = readValue(reader, salt.end, publicKeyAlgorithm);
  const facts = readFacts(reader, hashed.subpackets, mayEmbed);
  const hints = readHints(unhashed.subpackets, mayEmbed);
  const embedded = [...facts.embedded, ...hints.embedded];
  if (embedded.length > embeddedSignaturesMax)
    reader.fail(`at most ${embeddedSignaturesMax} embedded signatures are taken`);
  return {
    version,
    type,
    publicKeyAlgorithm,
    hashAlgorithm,
    salt: salt.value,
    trailer: trailerOf(version, reader.slice(0, hashed.end, "hashed part")),
    digestStart,
    value,
    ...facts,
    issuerFingerprints: [...facts.issuerFingerprints, ...hints.issuerFingerprints],
    issuerKeyIds: [...facts.issuerKeyIds, ...hints.issuerKeyIds],
    embedded,
    unsignedSurplus: hints.unsignedSurplus,
  };
}

interface Area {
  readonly subpackets: readonly Subpacket[];
  readonly end: number;
}

/** A count of bytes (2 in version 4, 4 in version 6) and so many bytes of subpackets. */
function readArea(reader: ByteReader, offset: number, version: 4 | 6, field: string): Area {
  const length = version === 4 ? reader.u16be(offset, field) : reader.u32be(offset, field);
  const start = offset + (version === 4 ? 2 : 4);
  if (length > subpacketAreaBytesMax) {
    reader.fail(`${length} bytes, at most ${subpacketAreaBytesMax} are taken`, offset, field);
  }
  const area = reader.slice(start, length, field);
  return { subpackets: readSubpackets(area, format, reader.base + start), end: start + length };
}

/** RFC 9580, sections 5.2.3 and 9.5 */
function readSalt(
  reader: ByteReader,
  offset: number,
  version: 4 | 6,
  hashAlgorithm: number,
): { value: Uint8Array; end: number } {
  if (version === 4) return { value: new Uint8Array(), end: offset };
  const length = reader.u8(offset, "salt");
  const hash = openPgpHash(hashAlgorithm);
  if (hash !== null && hash.saltBytes !== null && length !== hash.saltBytes) {
    reader.fail(`${hash.saltBytes} bytes expected for ${hash.name}, not ${length}`, offset, "salt");
  }
  return { value: reader.slice(offset + 1, length, "salt"), end: offset + 1 + length };
}

function readValue(reader: ByteReader, start: number, algorithm: number): OpenPgpSignatureValue {
  switch (algorithm) {
    case publicKeyAlgorithms.rsa:
    case publicKeyAlgorithms.rsaSignOnly: {
      const { value, end } = readInteger(reader, start, "RSA signature");
      expectEnd(reader, end);
      return { kind: "rsa", value };
    }
    case publicKeyAlgorithms.ecdsa:
      return { kind: "ecdsa", ...readPair(reader, start, 66) };
    case publicKeyAlgorithms.eddsaLegacy: {
      const { r, s } = readPair(reader, start, 32);
      const value = new Uint8Array(64);
      value.set(r, 32 - r.length);
      value.set(s, 64 - s.length);
      return { kind: "eddsa", curve: "Ed25519", value };
    }
    case publicKeyAlgorithms.ed25519:
      return { kind: "eddsa", curve: "Ed25519", value: readRest(reader, start, 64) };
    case publicKeyAlgorithms.ed448:
      return { kind: "eddsa", curve: "Ed448", value: readRest(reader, start, 114) };
    default:
      return { kind: "unsupported", reason: `${publicKeyAlgorithmName(algorithm)} is not supported` };
  }
}

function readPair(reader: ByteReader, start: number, bytesMax: number): { r: Uint8Array; s: Uint8Array } {
  const r = readInteger(reader, start, "signature value r");
  const s = readInteger(reader, r.end, "signature value s");
  expectEnd(reader, s.end);
  for (const { value } of [r, s]) {
    if (value.length > bytesMax)
      reader.fail(`${value.length} bytes, at most ${bytesMax} expected`, start, "signature value");
  }
  return { r: r.value, s: s.value };
}

function readRest(reader: ByteReader, start: number, length: number): Uint8Array {
  const value = reader.slice(start, length, "signature value");
  expectEnd(reader, start + length);
  return value;
}

function expectEnd(reader: ByteReader, end: number): void {
  if (end !== reader.length) reader.fail(`${reader.length - end} byte(s) behind the signature`, end);
}

/** RFC 9580, section 5.2.4: the hashed part, the version, 0xff, the length of the hashed part. */
function trailerOf(version: number, hashedPart: Uint8Array): Uint8Array {
  const { length } = hashedPart;
  const trailer = new Uint8Array(length + 6);
  trailer.set(hashedPart);
  trailer.set([version, 0xff, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff], length);
  return trailer;
}

type Facts = Pick<
  OpenPgpSignature,
  | "created"
  | "expires"
  | "keyLifetime"
  | "statesKeyLifetime"
  | "keyFlags"
  | "isPrimaryUserId"
  | "revocationReason"
  | "revocationKeys"
  | "notUnderstood"
  | "issuerFingerprints"
  | "issuerKeyIds"
  | "embedded"
>;

/** Facts that are said once: a second one would be another truth. */
const single: ReadonlySet<number> = new Set<number>([
  subpacketTypes.created,
  subpacketTypes.signatureExpires,
  subpacketTypes.keyExpires,
  subpacketTypes.primaryUserId,
  subpacketTypes.keyFlags,
  subpacketTypes.revocationReason,
]);

function readFacts(reader: ByteReader, subpackets: readonly Subpacket[], mayEmbed: boolean): Facts {
  const only = new Map<number, ByteReader>();
  for (const { type, body } of subpackets) {
    if (!single.has(type)) continue;
    if (only.has(type)) body.fail(`${subpacketName(type)} stands there twice`, 0);
    only.set(type, body);
  }
  const seconds = (type: number): number | null => {
    const body = only.get(type);
    return body === undefined ? null : whole(body, 4, type).u32be(0, subpacketName(type));
  };
  const created = seconds(subpacketTypes.created);
  if (created === null) return reader.fail("the creation time is not part of what is signed");
  const lifetime = seconds(subpacketTypes.signatureExpires) ?? 0;
  const keyLifetime = seconds(subpacketTypes.keyExpires);
  return {
    created: created * 1000,
    expires: lifetime === 0 ? null : (created + lifetime) * 1000,
    keyLifetime: keyLifetime === null || keyLifetime === 0 ? null : keyLifetime * 1000,
    statesKeyLifetime: keyLifetime !== null,
    keyFlags: firstByte(only, subpacketTypes.keyFlags),
    isPrimaryUserId: (firstByte(only, subpacketTypes.primaryUserId) ?? 0) !== 0,
    revocationReason: firstByte(only, subpacketTypes.revocationReason),
    revocationKeys: subpackets.flatMap((subpacket) => readRevocationKey(subpacket)),
    notUnderstood: subpackets.map(criticalProblem).find((problem) => problem !== null) ?? null,
    ...readIssuers(subpackets),
    embedded: subpackets.flatMap((subpacket) => readEmbedded(subpacket, mayEmbed)),
  };
}

function whole(body: ByteReader, length: number, type: number): ByteReader {
  if (body.length !== length) body.fail(`${length} bytes expected, not ${body.length}`, 0, subpacketName(type));
  return body;
}

/** An empty value counts as zero: flags of no bytes say nothing. */
function firstByte(only: ReadonlyMap<number, ByteReader>, type: number): number | null {
  const body = only.get(type);
  return body === undefined ? null : (body.bytes[0] ?? 0);
}

/** RFC 9580, section 5.2.3.23: class, algorithm, a fingerprint of version 4. */
function readRevocationKey({ type, body }: Subpacket): string[] {
  if (type !== subpacketTypes.revocationKey) return [];
  return [upperHex(whole(body, 22, type).slice(2, 20, subpacketName(type)))];
}

/** What may be critical. Everything else that is has the signature refused (RFC 9580, section 5.2.3.7). */
const understood: ReadonlySet<number> = new Set<number>(Object.values(subpacketTypes));

function criticalProblem({ type, critical, body }: Subpacket): string | null {
  if (!critical) return null;
  if (type === subpacketTypes.notation)
    return `its notation ${quote(notationName(body))} is critical and not understood`;
  return understood.has(type) ? null : `its ${subpacketName(type)} is critical and not understood`;
}

/** RFC 9580, section 5.2.3.24: flags, two lengths, name and value. */
function notationName(body: ByteReader): string {
  const field = subpacketName(subpacketTypes.notation);
  const nameBytes = body.u16be(4, field);
  whole(body, 8 + nameBytes + body.u16be(6, field), subpacketTypes.notation);
  return latin1(body.slice(8, nameBytes, field));
}

type Hints = Pick<OpenPgpSignature, "issuerFingerprints" | "issuerKeyIds" | "embedded" | "unsignedSurplus">;

/** Subpackets that prove themselves, or that are hints and no more, and may stand where nobody signs them. */
const unsigned: ReadonlySet<number> = new Set<number>([
  subpacketTypes.issuerKeyId,
  subpacketTypes.issuerFingerprint,
  subpacketTypes.embeddedSignature,
]);

function readHints(subpackets: readonly Subpacket[], mayEmbed: boolean): Hints {
  const surplus = subpackets.find(({ type, critical }) => critical || !unsigned.has(type));
  return {
    ...readIssuers(subpackets),
    embedded: subpackets.flatMap((subpacket) => readEmbedded(subpacket, mayEmbed)),
    unsignedSurplus: surplus === undefined ? null : `its ${subpacketName(surplus.type)} is not part of what is signed`,
  };
}

function readIssuers(subpackets: readonly Subpacket[]): Pick<OpenPgpSignature, "issuerFingerprints" | "issuerKeyIds"> {
  const of = (wanted: number): ByteReader[] => subpackets.filter(({ type }) => type === wanted).map(({ body }) => body);
  return {
    issuerFingerprints: of(subpacketTypes.issuerFingerprint).map(readFingerprint),
    issuerKeyIds: of(subpacketTypes.issuerKeyId).map((body) =>
      upperHex(whole(body, 8, subpacketTypes.issuerKeyId).bytes),
    ),
  };
}

/** RFC 9580, section 5.2.3.35: the key's version, 20 bytes in version 4 and 32 in version 6. */
function readFingerprint(body: ByteReader): string {
  const field = subpacketName(subpacketTypes.issuerFingerprint);
  const version = body.u8(0, field);
  const length = version === 4 ? 21 : 33;
  return upperHex(whole(body, length, subpacketTypes.issuerFingerprint).bytes.subarray(1));
}

function upperHex(bytes: Uint8Array): string {
  return hex(bytes).toUpperCase();
}

/** One that is broken proves nothing and is left out. */
function readEmbedded({ type, body }: Subpacket, mayEmbed: boolean): OpenPgpSignature[] {
  if (type !== subpacketTypes.embeddedSignature) return [];
  if (!mayEmbed) return body.fail("a signature that is embedded holds another one");
  try {
    return [readSignature(body, false)];
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return [];
  }
}
