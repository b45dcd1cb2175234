import { createHash } from "node:crypto";
import type { FileRef } from "../discovery/entry.ts";
import type { FileSource } from "../discovery/source.ts";
import { messageOf } from "../formats/error-text.ts";
import { splitSignedDocument } from "../formats/signed-document.ts";
import type { DigestName, SignedContent, UntrustedSignature } from "./schemes/scheme.ts";
import { readSignatureFile } from "./schemes/schemes.ts";

/** A signature of an artifact or a document, or why it cannot be used; `where` is for messages. */
export type FoundSignature =
  | {
      readonly where: string;
      readonly evidence: "detached" | "enclosed" | "package";
      readonly signature: UntrustedSignature;
    }
  | { readonly where: string; readonly problem: string };

/** A manifest that lies on a volume; not yet believed, and its payload not yet looked into. */
export interface FoundManifest {
  readonly ref: FileRef;
  readonly payload: Uint8Array;
  readonly signatures: readonly FoundSignature[];
}

/** Where manifests lie, on every volume. */
const manifestDirectories = ["/slipway", "/boot/slipway", "/EFI/slipway"] as const;
const manifestSuffix = ".manifest";
/** Manifests of one volume that are read, in the order of their names. */
export const manifestsMax = 16;
/** Bytes of all manifests of one volume. */
export const manifestBytesMaxOfVolume = 8 << 20;

/** Read once for each volume, however many entries are judged. */
const known = new WeakMap<FileSource, Promise<readonly FoundManifest[]>>();

/** The manifests of a volume. Never rejects: what is broken costs itself and is told among its signatures. */
export function manifestsOf(source: FileSource): Promise<readonly FoundManifest[]> {
  const found = known.get(source) ?? readManifests(source);
  known.set(source, found);
  return found;
}

async function readManifests(source: FileSource): Promise<readonly FoundManifest[]> {
  const found: FoundManifest[] = [];
  let bytesLeft = manifestBytesMaxOfVolume;
  for (const directory of manifestDirectories) {
    const names = await source.list(directory).catch(() => []);
    for (const name of names.filter((each) => each.endsWith(manifestSuffix))) {
      if (found.length === manifestsMax) return found;
      const ref = { volume: source.volume.name, path: `${directory}/${name}` };
      const broken = (problem: string): FoundManifest => ({
        ref,
        payload: new Uint8Array(),
        signatures: [{ where: ref.path, problem }],
      });
      try {
        const stat = await source.stat(ref.path);
        if (stat?.type !== "file") continue;
        if (stat.size > bytesLeft) {
          found.push(broken(`the manifests of one volume have at most ${manifestBytesMaxOfVolume} bytes together`));
          continue;
        }
        const bytes = await source.readFile(ref.path, bytesLeft);
        bytesLeft -= bytes.length;
        found.push({ ref, ...(await readSignedDocument(bytes, ref.path)) });
      } catch (error) {
        found.push(broken(messageOf(error)));
      }
    }
  }
  return found;
}

/** A document's payload and its signatures, each of which may be broken by itself. Rejects with FormatError. */
export async function readSignedDocument(bytes: Uint8Array, name: string): Promise<Omit<FoundManifest, "ref">> {
  const { payload, blocks } = splitSignedDocument(bytes);
  const signatures = await Promise.all(
    blocks.map(async (block): Promise<FoundSignature[]> => {
      try {
        return (await readSignatureFile(block)).map((signature) => ({
          where: name,
          evidence: "detached" as const,
          signature,
        }));
      } catch (error) {
        return [{ where: name, problem: messageOf(error) }];
      }
    }),
  );
  return { payload, signatures: signatures.flat() };
}

/**
 * An artifact's bytes, as a signature check takes them.
 *
 * @param bytes called when the bytes are first asked for
 * @param known digests that were computed while the bytes were read
 */
export function contentOf(
  bytes: () => Uint8Array,
  size: number,
  known: ReadonlyMap<DigestName, Uint8Array> = new Map(),
): SignedContent {
  const digests = new Map(known);
  return {
    size,
    digest(name) {
      const digest = digests.get(name) ?? createHash(name).update(bytes()).digest();
      digests.set(name, digest);
      return digest;
    },
    bytes,
  };
}
