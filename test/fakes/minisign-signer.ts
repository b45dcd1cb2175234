import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { readFileSync } from "node:fs";

/** A secret key with the identifier that its signatures name. */
export interface Signer {
  /** 8 bytes as they stand in the files. */
  readonly id: Uint8Array;
  readonly key: KeyObject;
  /** The file of the public half. */
  readonly publicFile: string;
}

/** An unencrypted minisign secret key file ("Secret key format"): two letters each of the algorithm, the KDF and the checksum, 48 bytes of KDF parameters, key id, seed, public key. */
export function readSigner(path: URL): Signer {
  const bytes = Buffer.from(readFileSync(path, "utf8").split("\n")[1] ?? "", "base64");
  return signer(bytes.subarray(54, 62), bytes.subarray(62, 94), bytes.subarray(94, 126));
}

/** A key that nobody has seen before, under an identifier of 8 characters. */
export function newSigner(id = "\x01\x02\x03\x04\x05\x06\x07\x08"): Signer {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const [seed, raw] = [jwk.d, jwk.x].map((part) => Buffer.from(part ?? "", "base64url"));
  return signer(Buffer.from(id), seed ?? Buffer.alloc(0), raw ?? Buffer.alloc(0));
}

function signer(id: Buffer, seed: Buffer, raw: Buffer): Signer {
  const part = (bytes: Buffer): string => bytes.toString("base64url");
  const key = createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", d: part(seed), x: part(raw) }, format: "jwk" });
  const line = Buffer.concat([Buffer.from("Ed"), id, raw]).toString("base64");
  return { id, key, publicFile: `untrusted comment: test\n${line}\n` };
}

/** A signature file as minisign writes it ("Signature format"); checked against the program itself when this was written. */
export function minisign(by: Signer, content: string | Uint8Array, algorithm: "ED" | "Ed" = "ED"): string {
  const bytes = Buffer.from(content);
  const signed = algorithm === "ED" ? createHash("blake2b512").update(bytes).digest() : bytes;
  const signature = sign(null, signed, by.key);
  const comment = "made by a test";
  const global = sign(null, Buffer.concat([signature, Buffer.from(comment)]), by.key);
  const line = Buffer.concat([Buffer.from(algorithm), by.id, signature]).toString("base64");
  return `untrusted comment: test\n${line}\ntrusted comment: ${comment}\n${global.toString("base64")}\n`;
}
