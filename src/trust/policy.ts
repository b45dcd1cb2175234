import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, messageOf } from "../formats/error-text.ts";
import type { SignatureScheme, TrustedKey } from "./schemes/scheme.ts";
import { signatureSchemes } from "./schemes/schemes.ts";

/** `enforce` refuses what is not authenticated, `audit` boots it and says so, `off` looks at no signature. */
export type TrustMode = "enforce" | "audit" | "off";

export interface Policy {
  readonly mode: TrustMode;
  readonly keys: readonly TrustedKey[];
}

/** A public key file that was checked. */
export interface KeyFile {
  /** `release.pub` */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly key: TrustedKey;
}

export interface ReadKeys {
  /** Sorted by name. */
  readonly files: readonly KeyFile[];
  readonly keys: readonly TrustedKey[];
  /** Key files that are no keys, each with its reason. */
  readonly problems: readonly string[];
  /** Files that no scheme takes for a key. */
  readonly ignored: readonly string[];
}

/** A key file is text of a few lines; anything larger is none. */
const keyBytesMax = 16_384;
const keysMax = 1000;

/** Reads every key file of a directory. Rejects when the directory cannot be read. */
export async function readKeys(directory: string): Promise<ReadKeys> {
  const files: KeyFile[] = [];
  const problems: string[] = [];
  const ignored: string[] = [];
  const names = (await readdir(directory)).sort();
  if (names.length > keysMax) problems.push(`${directory}: ${names.length} files, at most ${keysMax} are read`);
  for (const name of names.slice(0, keysMax)) {
    const scheme = signatureSchemes.find((s) => name.endsWith(s.keySuffix));
    if (scheme === undefined) {
      ignored.push(name);
      continue;
    }
    const path = join(directory, name);
    try {
      files.push(await readKeyFile(path, name, scheme));
    } catch (error) {
      problems.push(`read key ${JSON.stringify(path)}: ${messageOf(error)}`);
    }
  }
  return { files, keys: files.map((file) => file.key), problems, ignored };
}

/** The same where a missing directory holds no keys. */
export async function readKeysIfAny(directory: string): Promise<ReadKeys> {
  try {
    return await readKeys(directory);
  } catch (error) {
    if (errorCode(error) === "ENOENT") {
      return { files: [], keys: [], problems: [], ignored: [] };
    }
    throw error;
  }
}

async function readKeyFile(path: string, name: string, scheme: SignatureScheme): Promise<KeyFile> {
  const facts = await stat(path);
  if (!facts.isFile()) throw new Error("a regular file expected");
  if (facts.size > keyBytesMax) throw new Error(`${facts.size} bytes, at most ${keyBytesMax} are taken`);
  const bytes = new Uint8Array(await readFile(path));
  return { name, bytes, key: scheme.readKey(name.slice(0, -scheme.keySuffix.length), bytes) };
}
