import { FormatError } from "../format-error.ts";
import { armorKind, readArmor } from "./armor.ts";
import { type OpenPgpCertificate, parseOpenPgpCertificates, secretKeyError } from "./certificate.ts";
import { firstPacket, packetTypeName, packetTypes, readPackets } from "./packets.ts";
import { type OpenPgpSignaturePacket, readSignaturePacket } from "./signature.ts";

/** Largest signature file, bytes. */
export const signatureFileBytesMax = 65_536;

/** Most signatures of one file. */
export const fileSignaturesMax = 16;

const signatureFormat = "OpenPGP signature";
const keyFormat = "OpenPGP key file";

const signatureKind = "SIGNATURE";
const publicKeyKind = "PUBLIC KEY BLOCK";
/** `SECRET KEY BLOCK` is how PGP 2 called it. */
const secretKeyKinds: ReadonlySet<string> = new Set(["PRIVATE KEY BLOCK", "SECRET KEY BLOCK"]);

/** Whether it is a signature, armored or not, or another message of OpenPGP that somebody may have taken for one. */
export function isOpenPgpSignatureFile(bytes: Uint8Array): boolean {
  const kind = armorKind(bytes);
  return kind === null ? isBinary(bytes, [packetTypes.signature]) : !isKeyKind(kind);
}

/** Whether it is a key, armored or not, public or secret. */
export function isOpenPgpKeyFile(bytes: Uint8Array): boolean {
  const kind = armorKind(bytes);
  return kind === null ? isBinary(bytes, [packetTypes.publicKey, packetTypes.secretKey]) : isKeyKind(kind);
}

function isKeyKind(kind: string): boolean {
  return kind === publicKeyKind || secretKeyKinds.has(kind);
}

/** Versions of keys and signatures that there are, the unsupported ones too. */
const knownVersions: ReadonlySet<number> = new Set([2, 3, 4, 5, 6]);

function isBinary(bytes: Uint8Array, types: readonly number[]): boolean {
  const first = firstPacket(bytes);
  return first !== null && types.includes(first.type) && knownVersions.has(first.firstByte);
}

/**
 * Reads the signatures of a file as `gpg --detach-sign` makes it, with or without armor: at least one packet, and all of
 * them signatures. A signature that is not understood costs itself alone. Throws {@link FormatError}.
 */
export function parseOpenPgpSignatureFile(bytes: Uint8Array): readonly OpenPgpSignaturePacket[] {
  if (bytes.length > signatureFileBytesMax) {
    throw new FormatError(signatureFormat, `${bytes.length} bytes, at most ${signatureFileBytesMax} are taken`);
  }
  const kind = armorKind(bytes);
  if (kind !== null && kind !== signatureKind) {
    throw new FormatError(signatureFormat, `a detached signature expected, not a "PGP ${kind}"`, { line: 1 });
  }
  const packets = unwrap(bytes, kind, signatureFormat).flatMap((data) => readPackets(data, signatureFormat));
  if (packets.length === 0) throw new FormatError(signatureFormat, "a signature packet expected, there is none");
  if (packets.length > fileSignaturesMax) {
    throw new FormatError(signatureFormat, `${packets.length} packets, at most ${fileSignaturesMax} are taken`);
  }
  return packets.map(({ type, offset, body }) => {
    if (type === packetTypes.signature) return readSignaturePacket(body, offset);
    throw new FormatError(signatureFormat, `a signature packet expected, not a ${packetTypeName(type)}`, { offset });
  });
}

/**
 * Reads the certificates of a file as `gpg --export` makes it, with or without armor. A secret key is refused. Throws
 * {@link FormatError}.
 */
export function parseOpenPgpKeyFile(bytes: Uint8Array): readonly OpenPgpCertificate[] {
  const kind = armorKind(bytes);
  return unwrap(bytes, kind, keyFormat).flatMap((data) => [...parseOpenPgpCertificates(data)]);
}

/** The packet sequences: of a binary file the file itself, of an armored one each block's. All blocks are of one kind. */
function unwrap(bytes: Uint8Array, kind: string | null, format: string): readonly Uint8Array[] {
  if (kind === null) return [bytes];
  if (secretKeyKinds.has(kind)) throw secretKeyError({ line: 1 });
  return readArmor(bytes, format).map((block) => {
    if (secretKeyKinds.has(block.kind)) throw secretKeyError({ line: block.line });
    if (block.kind === kind) return block.data;
    throw new FormatError(format, `"PGP ${kind}" expected, not "PGP ${block.kind}"`, { line: block.line });
  });
}
