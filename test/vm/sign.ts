import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { cached } from "./cache.ts";
import { runCommand } from "./command.ts";
import type { DiskFiles } from "./disk.ts";

/** A minisign key pair without a password. */
export interface SigningKeys {
  /** Public key file, as the image builder takes it. */
  readonly publicKey: string;
  readonly secretKey: string;
}

/** Throwaway keys, made once per directory and name and kept, so that what is signed with them can be reused. */
export async function throwawayKeys(directory: string, name = "test"): Promise<SigningKeys> {
  const place = await cached(directory, name, async (target) => {
    const files = ["-p", path.join(target, `${name}.pub`), "-s", path.join(target, `${name}.key`)];
    await runCommand("minisign", ["-G", "-W", ...files]);
  });
  return { publicKey: path.join(place, `${name}.pub`), secretKey: path.join(place, `${name}.key`) };
}

/** The signature over a file (prehashed, minisign's default): the content of its .minisig file. */
export async function signFile(keys: SigningKeys, file: string): Promise<Uint8Array> {
  const scratch = await mkdtemp(path.join(tmpdir(), "slipway-sign-"));
  try {
    const signature = path.join(scratch, "signature");
    await runCommand("minisign", ["-S", "-W", "-s", keys.secretKey, "-m", file, "-x", signature]);
    return await readFile(signature);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The same files, each (but links) with its signature beside it as PATH.minisig. */
export async function signedFiles(keys: SigningKeys, files: DiskFiles): Promise<DiskFiles> {
  const scratch = await mkdtemp(path.join(tmpdir(), "slipway-sign-"));
  try {
    const result: DiskFiles = { ...files };
    for (const [name, content] of Object.entries(files)) {
      if (typeof content === "object" && "link" in content) continue;
      let source = path.join(scratch, "content");
      if (typeof content === "object" && "copyOf" in content) source = content.copyOf;
      else await writeFile(source, content);
      result[`${name}.minisig`] = await signFile(keys, source);
    }
    return result;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
