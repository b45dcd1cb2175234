import { readdir, readFile } from "node:fs/promises";
import type { TrustedKey } from "./schemes/scheme.ts";
import { signatureSchemes } from "./schemes/schemes.ts";

/** `enforce` refuses what is not authenticated, `audit` boots it and says so, `off` looks at no signature. */
export type TrustMode = "enforce" | "audit" | "off";

export interface Policy {
  readonly mode: TrustMode;
  readonly keys: readonly TrustedKey[];
}

export interface ReadKeys {
  readonly keys: readonly TrustedKey[];
  /** Key files that are no keys, each with its reason. */
  readonly problems: readonly string[];
  /** Files that no scheme takes for a key. */
  readonly ignored: readonly string[];
}

/** A key file is text of a few lines; anything larger is none. */
const keyBytesMax = 16_384;
const keysMax = 1000;

/** Reads every key file of a directory; a missing directory holds none. */
export async function readKeys(directory: string): Promise<ReadKeys> {
  const keys: TrustedKey[] = [];
  const problems: string[] = [];
  const ignored: string[] = [];
  const names = (await readdir(directory).catch(missingIsEmpty)).sort();
  if (names.length > keysMax) problems.push(`${directory}: ${names.length} files, at most ${keysMax} are read`);
  for (const name of names.slice(0, keysMax)) {
    const scheme = signatureSchemes.find((s) => name.endsWith(s.keySuffix));
    if (scheme === undefined) {
      ignored.push(name);
      continue;
    }
    try {
      const bytes = await readFile(`${directory}/${name}`);
      if (bytes.length > keyBytesMax) throw new Error(`${bytes.length} bytes, a key has at most ${keyBytesMax}`);
      keys.push(scheme.readKey(name.slice(0, -scheme.keySuffix.length), bytes));
    } catch (error) {
      problems.push(`key file ${directory}/${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { keys, problems, ignored };
}

function missingIsEmpty(error: unknown): string[] {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
  throw error;
}
