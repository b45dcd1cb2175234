import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/** Writes what the programs do not: packets of OpenPGP (RFC 9580) with whatever is wrong in them. Ed25519 and ECDSA. */
export interface OpenPgpTestKey {
  /** The packet's body. */
  readonly body: Buffer;
  /** As signatures hash it. */
  readonly hashed: Buffer;
  readonly keyId: Buffer;
  readonly algorithm: number;
  readonly secret: KeyObject;
}

export interface OpenPgpTestSignature {
  readonly key: OpenPgpTestKey;
  readonly type: number;
  /** What is signed. */
  readonly parts: readonly Uint8Array[];
  /** Seconds since 1970; null: left out. */
  readonly created?: number | null;
  readonly hashed?: readonly Buffer[];
  readonly unhashed?: readonly Buffer[];
  readonly hash?: "SHA1" | "SHA256" | "SHA384" | "SHA512" | "SHA3-512";
}

const hashNumbers = { SHA1: 2, SHA256: 8, SHA384: 9, SHA512: 10, "SHA3-512": 14 } as const;

const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff);
const u32 = (value: number): Buffer => Buffer.of(value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff);
export const secondsField = u32;

/** A multi-precision integer (section 3.2). */
export function integer(bytes: Uint8Array): Buffer {
  const digits = Buffer.from(bytes)
    .toString("hex")
    .replace(/^(?:00)+/, "");
  const value = Buffer.from(digits, "hex");
  return Buffer.concat([u16(value.length === 0 ? 0 : value.length * 8 - Math.clz32(value[0] ?? 0) + 24), value]);
}

/** In the current form with a length of 4 bytes. */
export function packet(type: number, ...body: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(body);
  return Buffer.concat([Buffer.of(0xc0 | type, 0xff), u32(bytes.length), bytes]);
}

export function subpacket(type: number, body: Uint8Array, critical = false): Buffer {
  return Buffer.concat([Buffer.of(0xff), u32(body.length + 1), Buffer.of(critical ? type | 0x80 : type), body]);
}

export function testKey(kind: "ed25519" | "P-384", created: number): OpenPgpTestKey {
  const pair = kind === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("ec", { namedCurve: "P-384" });
  const { x = "", y = "" } = pair.publicKey.export({ format: "jwk" });
  const [algorithm, material] =
    kind === "ed25519"
      ? [27, Buffer.from(x, "base64url")]
      : [
          19,
          Buffer.concat([
            Buffer.from("052b81040022", "hex"),
            integer(Buffer.concat([Buffer.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")])),
          ]),
        ];
  const body = Buffer.concat([Buffer.of(4), u32(created), Buffer.of(algorithm), material]);
  const hashed = Buffer.concat([Buffer.of(0x99), u16(body.length), body]);
  const keyId = createHash("sha1").update(hashed).digest().subarray(-8);
  return { body, hashed, keyId, algorithm, secret: pair.privateKey };
}

/** The body of a signature packet of version 4. */
export function signatureBody(wanted: OpenPgpTestSignature): Buffer {
  const { key, type, parts, created = 1_780_000_000, hash = "SHA512" } = wanted;
  const time = created === null ? [] : [subpacket(2, u32(created))];
  const hashed = Buffer.concat([...time, ...(wanted.hashed ?? [])]);
  const unhashed = Buffer.concat(wanted.unhashed ?? [subpacket(16, key.keyId)]);
  const head = Buffer.concat([Buffer.of(4, type, key.algorithm, hashNumbers[hash]), u16(hashed.length), hashed]);
  const message = Buffer.concat([...parts, head, Buffer.of(4, 0xff), u32(head.length)]);
  const digest = createHash(hash).update(message).digest();
  return Buffer.concat([
    head,
    u16(unhashed.length),
    unhashed,
    digest.subarray(0, 2),
    numbers(key, hash, message, digest),
  ]);
}

function numbers(key: OpenPgpTestKey, hash: string, message: Buffer, digest: Buffer): Buffer {
  if (key.algorithm === 27) return sign(null, digest, key.secret);
  const pair = sign(hash, message, { key: key.secret, dsaEncoding: "ieee-p1363" });
  const half = pair.length / 2;
  return Buffer.concat([integer(pair.subarray(0, half)), integer(pair.subarray(half))]);
}

export function signaturePacket(wanted: OpenPgpTestSignature): Buffer {
  return packet(2, signatureBody(wanted));
}
