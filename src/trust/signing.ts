import { spawn } from "node:child_process";
import { createHash, createPrivateKey, type KeyObject, scrypt, sign } from "node:crypto";
import { messageOf } from "../formats/error-text.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import { keyIdText } from "../formats/minisign.ts";
import {
  hiddenBytes,
  isMinisignSecretKey,
  type MinisignDerivation,
  type MinisignKeyPair,
  parseMinisignKeyPair,
  parseMinisignSecretKey,
  writeMinisignSignature,
} from "../formats/minisign-secret.ts";
import { joinSignedDocument } from "../formats/signed-document.ts";
import { isSshSecretKey, parseSshSecretKey, type SshSecretKey } from "../formats/ssh-key.ts";
import { sshSignedData, writeSshSignature } from "../formats/sshsig.ts";
import { timelessClock } from "./clock.ts";
import { contentOf } from "./manifests.ts";
import { minisignScheme } from "./schemes/minisign.ts";
import { ed25519PublicKey } from "./schemes/public-key.ts";
import { type Anchor, type DetachedScheme, noRevocations } from "./schemes/scheme.ts";
import { readSignatureFile } from "./schemes/schemes.ts";
import { sshAnchor, sshsigScheme } from "./schemes/sshsig.ts";

/** What made no signature, and why. */
export class SigningError extends Error {
  override readonly name = "SigningError";
}

/** What is said of a signature inside it. */
export interface SigningFacts {
  /** The document's name, without directories. */
  readonly fileName: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** A key, or something that has one. */
export interface DocumentSigner {
  /** For people: `minisign key 17D784785E8DD0EC`. */
  readonly what: string;
  /** One signature over the bytes in its tool's own form. Rejects with {@link SigningError}. */
  sign(payload: Uint8Array, facts: SigningFacts): Promise<Uint8Array>;
}

/**
 * Opens a secret key: minisign's, with or without a password, or an Ed25519 key of OpenSSH without one. Rejects with
 * {@link SigningError} or FormatError.
 *
 * @param password asked only for a key that has one
 */
export async function openSecretKey(bytes: Uint8Array, password: () => Promise<string>): Promise<DocumentSigner> {
  if (isSshSecretKey(bytes)) return sshSigner(openSshKey(bytes));
  if (isMinisignSecretKey(bytes)) return minisignSigner(await openMinisignKey(bytes, password));
  throw new SigningError(
    "a secret key of minisign or an Ed25519 key of OpenSSH expected; other keys sign through --command",
  );
}

function openSshKey(bytes: Uint8Array): SshSecretKey {
  try {
    return parseSshSecretKey(bytes);
  } catch (error) {
    throw new SigningError(
      `${messageOf(error)}; --command "ssh-keygen -Y sign -n slipway -f KEY" signs with keys of every kind`,
      { cause: error },
    );
  }
}

async function openMinisignKey(bytes: Uint8Array, password: () => Promise<string>): Promise<MinisignKeyPair> {
  const { derivation, hidden } = parseMinisignSecretKey(bytes);
  if (derivation === null) return parseMinisignKeyPair(hidden);
  return parseMinisignKeyPair(await applyPassword(await password(), derivation, hidden));
}

/** Hides or opens the key in a secret key file: both are the same. */
export async function applyPassword(
  password: string,
  { salt, cost }: MinisignDerivation,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  // Node's own count of what scrypt takes is a little over N * r * 128.
  const maxmem = cost.N * cost.r * 128 + cost.r * cost.p * 256 + (1 << 20);
  const mask = await new Promise<Uint8Array>((resolve, reject) =>
    scrypt(password, salt, hiddenBytes, { ...cost, maxmem }, (error, key) => {
      if (error === null) resolve(key);
      else reject(new SigningError(`derive a key from the password: ${messageOf(error)}`, { cause: error }));
    }),
  );
  return bytes.map((byte, index) => byte ^ (mask[index] ?? 0));
}

/** RFC 8410, section 7: what stands before the 32 bytes of the seed in PKCS #8. */
const pkcs8Head = Buffer.from("302e020100300506032b657004220420", "hex");

function ed25519SecretKey(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([pkcs8Head, seed]), format: "der", type: "pkcs8" });
}

/** Signs as minisign does, the digest and not the file, which is its own default. */
function minisignSigner({ keyNumber, seed, publicKey }: MinisignKeyPair): DocumentSigner {
  const id = keyIdText(keyNumber);
  const secret = ed25519SecretKey(seed);
  const anchor: Anchor = { kind: "minisign", label: id, id, key: ed25519PublicKey(publicKey) };
  return {
    what: `minisign key ${id}`,
    async sign(payload, { fileName, now }) {
      const signature = sign(null, createHash("blake2b512").update(payload).digest(), secret);
      // minisign reads a comment up to its end of line.
      const name = fileName.replace(/[\0-\x1f]/g, "?");
      const trustedComment = `timestamp:${Math.floor(now / 1000)}\tfile:${name}\thashed`;
      const globalSignature = sign(null, Buffer.concat([signature, Buffer.from(trustedComment)]), secret);
      const untrustedComment = `signature from slipway with key ${id}`;
      const block = { untrustedComment, keyNumber, signature, trustedComment, globalSignature };
      return checked(minisignScheme, Buffer.from(writeMinisignSignature(block)), payload, anchor);
    },
  };
}

/** Signs as `ssh-keygen -Y sign -n slipway` does. */
function sshSigner({ blob, seed }: SshSecretKey): DocumentSigner {
  const secret = ed25519SecretKey(seed);
  const anchor = sshAnchor("ssh key", blob);
  return {
    what: `OpenSSH key ${anchor.id}`,
    async sign(payload) {
      const about = { namespace: "slipway", hash: "sha512" } as const;
      const digest = createHash(about.hash).update(payload).digest();
      const signature = sign(null, sshSignedData({ ...about, reserved: new Uint8Array() }, digest), secret);
      return checked(sshsigScheme, Buffer.from(writeSshSignature(about, blob, signature)), payload, anchor);
    },
  };
}

/** A signature that does not hold is not given away: the file's two halves were of different keys, or memory is bad. */
function checked(scheme: DetachedScheme, block: Uint8Array, payload: Uint8Array, anchor: Anchor): Uint8Array {
  const context = { anchors: [anchor], clock: timelessClock, revocations: noRevocations };
  const [signature] = scheme.readSignatures(block);
  const result = signature?.check(
    contentOf(() => payload, payload.length),
    context,
  );
  if (result?.reason === null) return block;
  throw new SigningError(
    `the signature does not fit the public key in the secret key file: ${result?.reason ?? "it cannot be read"}`,
  );
}

/** Longest output of a signing command, bytes; a signature block has this much at most. */
const commandOutputBytesMax = 65_536;

/** A command for the shell that takes the document on its standard input and writes a signature to its standard output. */
export function commandSigner(command: string): DocumentSigner {
  return {
    what: `command ${quote(command)}`,
    async sign(payload) {
      const block = await runCommand(command, payload);
      try {
        // It has to stand in a document, and to be a signature.
        joinSignedDocument(new Uint8Array(), [block]);
        await readSignatureFile(block);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        throw new SigningError(`command ${quote(command)}: its output is not taken: ${error.message}`, {
          cause: error,
        });
      }
      return block;
    },
  };
}

async function runCommand(command: string, payload: Uint8Array): Promise<Uint8Array> {
  const fail = (detail: string): never => {
    throw new SigningError(`command ${quote(command)}: ${detail}`);
  };
  // Its messages, and a password that it may ask for, are between it and the person at the terminal.
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? signal ?? 1));
  });
  // When it is stopped below, nobody asks how it ended.
  ended.catch(() => {});
  // A command that reads nothing is seen by what it writes.
  child.stdin.on("error", () => {});
  child.stdin.end(payload);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of child.stdout) {
    chunks.push(chunk);
    length += chunk.length;
    if (length <= commandOutputBytesMax) continue;
    child.kill();
    fail(`it wrote more than ${commandOutputBytesMax} bytes, a signature expected`);
  }
  const end = await ended;
  if (end !== 0) fail(`it ended with ${typeof end === "number" ? `exit code ${end}` : `signal ${end}`}, 0 expected`);
  if (length === 0) fail("it wrote nothing, a signature expected");
  return Buffer.concat(chunks);
}
