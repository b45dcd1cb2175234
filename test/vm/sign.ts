import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { cached } from "./cache.ts";
import { runCommand } from "./command.ts";
import type { DiskFiles, FileContent } from "./disk.ts";
import { slipwayExecutable } from "./image.ts";

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

/** What `slipway sign` is told of a manifest besides keys and files. */
export interface ManifestOptions {
  readonly version?: number;
  readonly product?: string;
  /** More words for `slipway sign`: `--not-after`, entries. */
  readonly words?: readonly string[];
}

/** The same files with a manifest of every entry among them at /slipway/boot.manifest, made by `slipway sign`. */
export async function withManifest(
  keys: readonly SigningKeys[],
  files: DiskFiles,
  { version = 1, product, words = [] }: ManifestOptions = {},
): Promise<DiskFiles> {
  const scratch = await mkdtemp(path.join(tmpdir(), "slipway-sign-"));
  try {
    const root = path.join(scratch, "root");
    for (const [name, content] of Object.entries(files)) await putFile(path.join(root, name), content);
    const manifest = path.join(scratch, "boot.manifest");
    await runCommand(slipwayExecutable, [
      ...["sign", "--root", root, "--version", String(version), "--output", manifest],
      ...keys.flatMap(({ secretKey }) => ["--key", secretKey]),
      ...(product === undefined ? [] : ["--product", product]),
      ...words,
    ]);
    return { ...files, "/slipway/boot.manifest": await readFile(manifest) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function putFile(file: string, content: FileContent): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  if (typeof content === "object" && "link" in content) await symlink(content.link, file);
  else if (typeof content === "object" && "copyOf" in content) await copyFile(content.copyOf, file);
  else await writeFile(file, content);
}
