import { generateKeyPairSync, randomBytes } from "node:crypto";
import { open, unlink } from "node:fs/promises";
import { parseArgs } from "node:util";
import { messageOf } from "../formats/error-text.ts";
import { keyIdText } from "../formats/minisign.ts";
import {
  type MinisignKeyPair,
  scryptCost,
  writeMinisignKeyPair,
  writeMinisignPublicKey,
  writeMinisignSecretKey,
} from "../formats/minisign-secret.ts";
import { applyPassword } from "../trust/signing.ts";
import { askNewPassword, type PasswordTerminal, readPasswordFile } from "./password.ts";
import { UsageError, type Verb } from "./verb.ts";

const keygenUsage = `usage: slipway keygen [OPTION]... NAME

Makes a key pair for signing: NAME.pub, the public key, which goes into the boot image or the policy, and
NAME.key, the secret key, with which "slipway sign" signs. Both are files of minisign (Ed25519), which takes
them too. Neither is ever overwritten.

  --password-file FILE  the password of the secret key: the first line of a file; default: asked for twice
  --no-password         leave the secret key without a password: whoever reads the file can sign
  --comment TEXT        for people: the first line of the public key; default "minisign public key" and its number
`;

/** Where the verb writes and asks; the process's own streams, or a test's. */
export interface KeygenIo {
  readonly stdout: { write(text: string): unknown };
  readonly terminal: PasswordTerminal;
}

export const keygenVerb: Verb = {
  name: "keygen",
  summary: "make a key pair for signing",
  usage: keygenUsage,
  run: (args) =>
    runKeygen(args, { stdout: process.stdout, terminal: { input: process.stdin, output: process.stderr } }),
};

/** libsodium's limits for the password's derivation: 256 MiB of memory and about a second, once for each use of the key. */
const derivationMemory = 1 << 28;
const derivationOperations = derivationMemory / 32;

/** Runs `slipway keygen`; resolves with the exit code. Rejects with a sentence, UsageError for a mistake in `args`. */
export async function runKeygen(args: readonly string[], io: KeygenIo): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      comment: { type: "string" },
      "no-password": { type: "boolean" },
      "password-file": { type: "string" },
    },
  });
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0) throw new UsageError("keygen: one NAME expected");
  if (name === "" || name.endsWith("/")) throw new UsageError(`keygen: ${JSON.stringify(name)}, a file name expected`);
  if (/\.(pub|key)$/.test(name)) {
    throw new UsageError(`keygen: ${JSON.stringify(name)}, a NAME without .pub or .key expected`);
  }
  const passwordFile = values["password-file"];
  if (values["no-password"] === true && passwordFile !== undefined) {
    throw new UsageError("keygen: --no-password and --password-file exclude each other");
  }
  const pair = newKeyPair();
  const id = keyIdText(pair.keyNumber);
  const publicText = writeMinisignPublicKey(values.comment ?? `minisign public key ${id}`, pair);
  const paths = { secret: `${name}.key`, public: `${name}.pub` };
  // Nobody is asked for a password in vain.
  for (const path of Object.values(paths)) await checkAbsent(path);
  const password =
    values["no-password"] === true
      ? null
      : passwordFile === undefined
        ? await askNewPassword(io.terminal)
        : await readPasswordFile(passwordFile);
  const secretText = await secretFile(id, pair, password);
  await writeNew(paths.secret, secretText, 0o600);
  try {
    await writeNew(paths.public, publicText, 0o644);
  } catch (error) {
    await unlink(paths.secret);
    throw error;
  }
  io.stdout.write(`public key: ${paths.public}\nsecret key: ${paths.secret}, keep it secret\nkey id: ${id}\n`);
  return 0;
}

function newKeyPair(): MinisignKeyPair {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const part = (text: string | undefined): Uint8Array => new Uint8Array(Buffer.from(text ?? "", "base64url"));
  return { keyNumber: new Uint8Array(randomBytes(8)), seed: part(jwk.d), publicKey: part(jwk.x) };
}

async function secretFile(id: string, pair: MinisignKeyPair, password: string | null): Promise<string> {
  const plain = writeMinisignKeyPair(pair);
  if (password === null) return writeMinisignSecretKey(`minisign secret key ${id}`, null, plain);
  const salt = new Uint8Array(randomBytes(32));
  const cost = scryptCost(BigInt(derivationOperations), BigInt(derivationMemory));
  const hidden = await applyPassword(password, { salt, cost }, plain);
  const limits = { operations: derivationOperations, memory: derivationMemory, salt };
  return writeMinisignSecretKey(`minisign encrypted secret key ${id}`, limits, hidden);
}

async function checkAbsent(path: string): Promise<void> {
  const handle = await open(path, "r").catch(() => null);
  if (handle === null) return;
  await handle.close();
  throw new Error(`write ${JSON.stringify(path)}: it exists; keys are never overwritten`);
}

/** The file did not exist before, and what could not be written whole is removed again. */
async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    const handle = await open(path, "wx", mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } catch (error) {
      await unlink(path);
      throw error;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new Error(`write ${JSON.stringify(path)}: ${messageOf(error)}`, { cause: error });
  }
}
