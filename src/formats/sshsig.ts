import { encodeBase64 } from "./base64.ts";
import { ByteReader } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";
import { curveBytes, parseSshPublicKey, readSshArmor, type SshPublicKey, SshReader } from "./ssh-key.ts";

const format = "ssh signature";
const label = "SSH SIGNATURE";
const magic = "SSHSIG";

export type SshSignatureHash = "sha256" | "sha512";

/** A signature as `ssh-keygen -Y sign` writes it. */
export interface SshSignature {
  readonly key: SshPublicKey;
  /** What it was made for: a signature for one purpose is none for another. */
  readonly namespace: string;
  /** Signed, and without a meaning yet. */
  readonly reserved: Uint8Array;
  /** By which the content enters what is signed. */
  readonly hash: SshSignatureHash;
  /** `ssh-ed25519`, `rsa-sha2-512`: how it is made; an RSA key may have several. */
  readonly algorithm: string;
  /** Ed25519: 64 bytes; RSA: as long as the modulus; ECDSA: r and s, each as long as a coordinate. */
  readonly signature: Uint8Array;
  /** Of a security token (OpenSSH, PROTOCOL.u2f); null for others. */
  readonly token: { readonly flags: number; readonly counter: number } | null;
}

/** Whether a file is such a signature. */
export function isSshSignature(bytes: Uint8Array): boolean {
  return new ByteReader(bytes, format).hasMagic(0, `-----BEGIN ${label}-----`);
}

/**
 * Parses an armored signature (OpenSSH, PROTOCOL.sshsig). Throws {@link FormatError}: certificates, SHA-1 and algorithms
 * that do not fit the key are refused, and so is anything behind it. Nothing is verified here.
 */
export function parseSshSignature(bytes: Uint8Array): SshSignature {
  const reader: SshReader = new SshReader(readSshArmor(bytes, label, format), format);
  const found = reader.bytes(magic.length, "magic");
  if (!new ByteReader(found, format).hasMagic(0, magic)) reader.fail(`"${magic}" expected`, "magic");
  const version = reader.u32("version");
  if (version !== 1) reader.fail(`${version}, 1 expected`, "version");
  const key = parseSshPublicKey(reader.string("public key"));
  const namespace = reader.text("namespace");
  if (namespace === "") reader.fail("empty, a name expected", "namespace");
  const reserved = reader.string("reserved");
  const hash = reader.text("hash algorithm");
  if (hash !== "sha256" && hash !== "sha512")
    reader.fail(`${quote(hash)}, sha256 or sha512 expected`, "hash algorithm");
  const signature = new SshReader(reader.string("signature"), format);
  reader.end();
  return { key, namespace, reserved, hash, ...readSignature(signature, key) };
}

function readSignature(reader: SshReader, key: SshPublicKey): Pick<SshSignature, "algorithm" | "signature" | "token"> {
  const algorithm = reader.text("signature algorithm");
  const expected = key.parts.type === "rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [key.algorithm];
  if (!expected.includes(algorithm)) {
    const why = algorithm === "ssh-rsa" ? " (RSA with SHA-1, which is too weak)" : "";
    reader.fail(`${quote(algorithm)}${why}, ${expected.join(" or ")} expected`, "signature algorithm");
  }
  const signature = readSignatureBytes(reader, key);
  const token =
    key.application === null ? null : { flags: reader.u8("token's flags"), counter: reader.u32("token's counter") };
  reader.end();
  return { algorithm, signature, token };
}

function readSignatureBytes(reader: SshReader, { parts }: SshPublicKey): Uint8Array {
  const bytes = reader.string("signature");
  if (parts.type !== "ecdsa") {
    const length = parts.type === "rsa" ? parts.modulus.length : 64;
    if (bytes.length !== length) reader.fail(`${bytes.length} bytes, ${length} expected`, "signature");
    return bytes;
  }
  const size = curveBytes[parts.curve];
  const inner = new SshReader(bytes, format);
  const both = new Uint8Array(2 * size);
  for (const [index, name] of ["r", "s"].entries()) {
    const number = inner.positive(name);
    if (number.length > size) inner.fail(`${number.length} bytes, at most ${size} expected`, name);
    both.set(number, (index + 1) * size - number.length);
  }
  inner.end();
  return both;
}

/** What is signed (PROTOCOL.sshsig, "Signed Data"), from the digest of the content. */
export function sshSignedData(
  about: Pick<SshSignature, "namespace" | "reserved" | "hash">,
  digest: Uint8Array,
): Uint8Array {
  return joinFields(magicBytes(), [textBytes(about.namespace), about.reserved, textBytes(about.hash), digest]);
}

/** The armored signature of an Ed25519 key. */
export function writeSshSignature(
  about: Pick<SshSignature, "namespace" | "hash">,
  keyBlob: Uint8Array,
  signature: Uint8Array,
): string {
  if (signature.length !== 64) throw new FormatError(format, `${signature.length} bytes, 64 expected`);
  const version = Uint8Array.of(...magicBytes(), 0, 0, 0, 1);
  const inner = joinFields(new Uint8Array(), [textBytes("ssh-ed25519"), signature]);
  const fields = [keyBlob, textBytes(about.namespace), new Uint8Array(), textBytes(about.hash), inner];
  const lines = encodeBase64(joinFields(version, fields)).match(/.{1,70}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

function magicBytes(): Uint8Array {
  return textBytes(magic);
}

function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Each field with its length in 32 bits before it. */
function joinFields(head: Uint8Array, fields: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(fields.reduce((sum, field) => sum + 4 + field.length, head.length));
  const view = new DataView(whole.buffer);
  whole.set(head);
  let offset = head.length;
  for (const field of fields) {
    view.setUint32(offset, field.length);
    whole.set(field, offset + 4);
    offset += 4 + field.length;
  }
  return whole;
}
