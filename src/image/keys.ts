import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { minisignFileBytesMax, parseMinisignPublicKey } from "../formats/minisign.ts";
import { ImageError, imageError } from "./image-error.ts";

/** A public key file that was checked. */
export interface ImageKey {
  /** `release.pub` */
  readonly fileName: string;
  readonly bytes: Uint8Array;
  /** As minisign prints it. */
  readonly keyId: string;
}

export interface KeyDirectory {
  /** Sorted by file name. */
  readonly keys: readonly ImageKey[];
  /** Names that do not end with `.pub`. */
  readonly ignored: readonly string[];
}

/** Reads the minisign public keys of a directory: all `*.pub`. Throws {@link ImageError} for one that is no key. */
export function readKeys(directory: string): KeyDirectory {
  const names = listDirectory(directory);
  const isKey = (name: string): boolean => name.endsWith(".pub");
  return {
    keys: names.filter(isKey).map((name) => readKey(path.join(directory, name))),
    ignored: names.filter((name) => !isKey(name)),
  };
}

function listDirectory(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    throw imageError("read keys from", directory, error);
  }
}

function readKey(file: string): ImageKey {
  try {
    const stat = statSync(file);
    if (!stat.isFile()) throw new ImageError("a regular file expected");
    if (stat.size > minisignFileBytesMax) {
      throw new ImageError(`${stat.size} bytes, at most ${minisignFileBytesMax} are taken`);
    }
    const bytes = new Uint8Array(readFileSync(file));
    return { fileName: path.basename(file), bytes, keyId: parseMinisignPublicKey(bytes).keyId };
  } catch (error) {
    throw imageError("read key", file, error);
  }
}
