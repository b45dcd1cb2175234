import { createHash, type Hash } from "node:crypto";
import type { BootEntry, ConfigText, FileRef } from "../discovery/entry.ts";
import type { FileSource } from "../discovery/source.ts";
import { messageOf } from "../formats/error-text.ts";
import type { MappedBytes, System } from "../linux/system.ts";
import { MemoryFile } from "./memory-file.ts";
import type { Policy } from "./policy.ts";
import type { DigestName, SignedContent, UntrustedSignature } from "./schemes/scheme.ts";
import { signatureSchemes } from "./schemes/schemes.ts";

/** What a file is to an entry; `file` for one outside any entry. An environment block is read by a configuration but is not part of it. */
export type ArtifactRole = "config" | "environment" | "linux" | "initrd" | "devicetree" | "file";

/** A signature that stands beside an artifact, or why it cannot be used. */
export type FoundSignature =
  | { readonly path: string; readonly scheme: string; readonly signature: UntrustedSignature }
  | { readonly path: string; readonly scheme: string; readonly problem: string };

export interface Artifact {
  readonly role: ArtifactRole;
  readonly ref: FileRef;
  readonly size: number;
  readonly signatures: readonly FoundSignature[];
  /** Null when it was not read, because the entry is refused in any case. */
  readonly content: SignedContent | null;
}

/** Everything that an entry boots, each file read once; to be verified. Disposing frees the memory. */
export interface Artifacts extends Disposable {
  readonly entry: BootEntry;
  readonly artifacts: readonly Artifact[];
  /** Sealed; null when the entry was not read to the end. */
  readonly kernel: MemoryFile | null;
  /** All initrds one after the other, each aligned to 4 bytes; null when there are none. */
  readonly initrd: MemoryFile | null;
  readonly devicetree: MemoryFile | null;
}

export interface ArtifactLimits {
  readonly kernelBytesMax: number;
  readonly initrdBytesMax: number;
  readonly devicetreeBytesMax: number;
}

/** A file of an entry that cannot be read, or that a limit refuses. */
export class ArtifactError extends Error {
  override readonly name = "ArtifactError";
}

/** A detached signature is text of a few lines. */
const signatureBytesMax = 16_384;
/** Bytes read at a time. Two such buffers exist, so that hashing one overlaps reading the next. */
const chunkBytes = 1 << 20;
/** Documentation/driver-api/early-userspace/buffer-format.rst: archives start at multiples of 4. */
const initrdAlignment = 4;

interface PlannedFile {
  readonly role: ArtifactRole;
  readonly ref: FileRef;
  readonly source: FileSource;
  readonly size: number;
  readonly signatures: readonly FoundSignature[];
}

/** What an entry loads, each role with a limit and a memory file of its own. */
type LoadedRole = "linux" | "initrd" | "devicetree";

interface PlannedLoad extends PlannedFile {
  readonly role: LoadedRole;
}

export interface ReadArtifactsRequest {
  readonly system: System;
  readonly sources: readonly FileSource[];
  readonly entry: BootEntry;
  readonly policy: Policy;
  readonly limits: ArtifactLimits;
  /** Memory that may be used, bytes; null when it is not known. */
  readonly memoryBytes: number | null;
  /** Called as bytes arrive. */
  readonly progress?: (done: number, total: number) => void;
}

/**
 * Reads what an entry needs. Sizes and signature files come first: an entry that the policy must refuse for want of a
 * usable signature is not copied at all. Throws {@link ArtifactError} or SourceError.
 */
export async function readArtifacts(request: ReadArtifactsRequest): Promise<Artifacts> {
  const { entry, policy, limits } = request;
  const configs = await Promise.all([
    ...entry.configs.map((config) => readConfig(request, "config", config)),
    ...uniqueEnvironments(entry).map((config) => readConfig(request, "environment", config)),
  ]);
  const planned = await Promise.all([
    planFile(request, "linux", entry.linux),
    ...entry.initrd.map((ref) => planFile(request, "initrd", ref)),
    ...(entry.devicetree === null ? [] : [planFile(request, "devicetree", entry.devicetree)]),
  ]);
  checkSizes(planned, limits, request.memoryBytes);
  const hopeless =
    policy.mode === "enforce" &&
    [...configs.filter((config) => config.role === "config"), ...planned].some(
      (file) => !hasUsableSignature(file.signatures, policy),
    );
  if (hopeless) return unread(entry, [...configs, ...planned.map((file) => ({ ...describe(file), content: null }))]);
  return copyFiles(request, configs, planned);
}

function unread(entry: BootEntry, artifacts: readonly Artifact[]): Artifacts {
  return { entry, artifacts, kernel: null, initrd: null, devicetree: null, [Symbol.dispose]() {} };
}

function describe(file: PlannedFile): Omit<Artifact, "content"> {
  return { role: file.role, ref: file.ref, size: file.size, signatures: file.signatures };
}

/** Each file once; one that was read with different contents stands here with each of them, and each is judged. */
function uniqueEnvironments(entry: BootEntry): ConfigText[] {
  const isSame = (a: ConfigText, b: ConfigText): boolean =>
    a.ref.volume === b.ref.volume && a.ref.path === b.ref.path && Buffer.compare(a.bytes, b.bytes) === 0;
  const configs = entry.unsignedInputs.map((input) => input.config);
  return configs.filter((config, index) => configs.findIndex((other) => isSame(config, other)) === index);
}

/** Whether one of the signatures claims to be made by a trusted key. */
function hasUsableSignature(signatures: readonly FoundSignature[], policy: Policy): boolean {
  return signatures.some(
    (found) =>
      "signature" in found &&
      policy.keys.some((key) => key.scheme === found.scheme && key.id === found.signature.keyId),
  );
}

async function readConfig(
  request: ReadArtifactsRequest,
  role: "config" | "environment",
  config: ConfigText,
): Promise<Artifact> {
  const source = findSource(request.sources, config.ref);
  return {
    role,
    ref: config.ref,
    size: config.bytes.length,
    signatures: await readSignatures(source, config.ref.path, request.policy),
    content: {
      digest: (name) => createHash(name).update(config.bytes).digest(),
      bytes: () => config.bytes,
    },
  };
}

async function planFile(request: ReadArtifactsRequest, role: LoadedRole, ref: FileRef): Promise<PlannedLoad> {
  const source = findSource(request.sources, ref);
  const stat = await source.stat(ref.path);
  if (stat === null) throw new ArtifactError(`${role} ${describeRef(ref)}: no such file`);
  if (stat.type !== "file")
    throw new ArtifactError(`${role} ${describeRef(ref)}: a ${stat.type}, a regular file expected`);
  return { role, ref, source, size: stat.size, signatures: await readSignatures(source, ref.path, request.policy) };
}

export function findSource(sources: readonly FileSource[], ref: FileRef): FileSource {
  const source = sources.find((candidate) => candidate.volume.name === ref.volume);
  if (source === undefined) throw new ArtifactError(`${describeRef(ref)}: the volume is not there`);
  return source;
}

export function describeRef(ref: FileRef): string {
  return `${JSON.stringify(ref.path)} on ${ref.volume}`;
}

/** Signatures beside a file: under its name, else under the name that its links lead to. */
async function readSignatures(source: FileSource, path: string, policy: Policy): Promise<FoundSignature[]> {
  if (policy.mode === "off") return [];
  const found: FoundSignature[] = [];
  const names = [...new Set([path, (await source.realPath(path)) ?? path])];
  for (const scheme of signatureSchemes) {
    for (const name of names) {
      const signaturePath = `${name}${scheme.signatureSuffix}`;
      if ((await source.stat(signaturePath)) === null) continue;
      const about = { path: signaturePath, scheme: scheme.name };
      try {
        const bytes = await source.readFile(signaturePath, signatureBytesMax);
        found.push({ ...about, signature: scheme.readSignature(bytes) });
      } catch (error) {
        found.push({ ...about, problem: messageOf(error) });
      }
      break;
    }
  }
  return found;
}

function checkSizes(files: readonly PlannedLoad[], limits: ArtifactLimits, memoryBytes: number | null): void {
  const most = { linux: limits.kernelBytesMax, initrd: limits.initrdBytesMax, devicetree: limits.devicetreeBytesMax };
  const names = { linux: "kernelBytesMax", initrd: "initrdBytesMax", devicetree: "devicetreeBytesMax" };
  const totals = { linux: 0, initrd: 0, devicetree: 0 };
  for (const file of files) {
    totals[file.role] += file.size;
    if (totals[file.role] > most[file.role]) {
      throw new ArtifactError(
        `${file.role} ${describeRef(file.ref)}: ${totals[file.role]} bytes, at most ${most[file.role]} are taken (limits.${names[file.role]})`,
      );
    }
  }
  const total = totals.linux + totals.initrd + totals.devicetree;
  // Once for the sealed copy, once for the kernel's.
  const neededBytes = 2 * total;
  if (memoryBytes !== null && neededBytes > memoryBytes) {
    throw new ArtifactError(
      `kernel and initrds have ${total} bytes and are needed twice in memory, ${memoryBytes} bytes are free`,
    );
  }
}

async function copyFiles(
  request: ReadArtifactsRequest,
  configs: readonly Artifact[],
  planned: readonly PlannedLoad[],
): Promise<Artifacts> {
  const total = planned.reduce((sum, file) => sum + file.size, 0);
  let done = 0;
  let failed = false;
  const advance = (bytes: number): void => {
    if (failed) throw new ArtifactError("another file of the entry could not be read");
    done += bytes;
    request.progress?.(done, total);
  };
  const keeper = new DisposableStack();
  try {
    const copies: Promise<Copied>[] = [];
    const into = (role: LoadedRole): Promise<Copied> => {
      const files = planned.filter((file) => file.role === role);
      const copy = copyInto(request.system, keeper, role, files, request.policy, advance);
      copies.push(copy);
      return copy;
    };
    const all = Promise.all([into("linux"), into("initrd"), into("devicetree")]);
    const [kernel, initrd, devicetree] = await all.catch(async (error: unknown) => {
      failed = true;
      // Nothing may be written any more when the memory is given back.
      await Promise.allSettled(copies);
      throw error;
    });
    return {
      entry: request.entry,
      artifacts: [...configs, ...kernel.artifacts, ...initrd.artifacts, ...devicetree.artifacts],
      kernel: kernel.file,
      initrd: initrd.file,
      devicetree: devicetree.file,
      // The stack stays in use: a file is mapped into memory when somebody first asks for its bytes.
      [Symbol.dispose]: () => keeper.dispose(),
    };
  } catch (error) {
    keeper.dispose();
    throw error;
  }
}

interface Copied {
  readonly file: MemoryFile | null;
  readonly artifacts: readonly Artifact[];
}

/** Copies files one after the other into one sealed memory file, hashing each on the way. */
async function copyInto(
  system: System,
  keeper: DisposableStack,
  name: string,
  files: readonly PlannedFile[],
  policy: Policy,
  advance: (bytes: number) => void,
): Promise<Copied> {
  if (files.length === 0) return { file: null, artifacts: [] };
  const memory = keeper.use(new MemoryFile(system, name));
  const ranges: { file: PlannedFile; offset: number; digests: ReadonlyMap<DigestName, Uint8Array> }[] = [];
  for (const file of files) {
    const padding = -memory.size & (initrdAlignment - 1);
    if (padding > 0) memory.append(new Uint8Array(padding));
    const offset = memory.size;
    ranges.push({ file, offset, digests: await copyFile(file, memory, policy, advance) });
  }
  memory.seal();
  let mapped: MappedBytes | undefined;
  const all = (): Uint8Array => {
    mapped ??= keeper.use(system.mapFile(memory.fd, memory.size));
    return mapped.bytes;
  };
  const artifacts = ranges.map(
    ({ file, offset, digests }): Artifact => ({
      ...describe(file),
      content: {
        digest: (digest) =>
          digests.get(digest) ??
          createHash(digest)
            .update(all().subarray(offset, offset + file.size))
            .digest(),
        bytes: () => all().subarray(offset, offset + file.size),
      },
    }),
  );
  return { file: memory, artifacts };
}

async function copyFile(
  planned: PlannedFile,
  memory: MemoryFile,
  policy: Policy,
  advance: (bytes: number) => void,
): Promise<ReadonlyMap<DigestName, Uint8Array>> {
  const hashes = neededDigests(planned, policy);
  await using file = await planned.source.open(planned.ref.path);
  const buffers = [new Uint8Array(chunkBytes), new Uint8Array(chunkBytes)] as const;
  const buffer = (index: number): Uint8Array => (index % 2 === 0 ? buffers[0] : buffers[1]);
  const readInto = (index: number, position: number): Promise<number> =>
    file.read(buffer(index).subarray(0, Math.min(chunkBytes, planned.size - position)), position);
  let position = 0;
  let pending = planned.size > 0 ? readInto(0, 0) : null;
  for (let index = 0; pending !== null; index++) {
    const length = await pending;
    if (length === 0) {
      throw new ArtifactError(
        `${planned.role} ${describeRef(planned.ref)}: it ended after ${position} of ${planned.size} bytes`,
      );
    }
    const chunk = buffer(index).subarray(0, length);
    position += length;
    pending = position < planned.size ? readInto(index + 1, position) : null;
    for (const hash of hashes.values()) hash.update(chunk);
    memory.append(chunk);
    advance(length);
  }
  return new Map([...hashes].map(([name, hash]) => [name, hash.digest()]));
}

/** Only what a signature by a trusted key asks for is computed. */
function neededDigests(planned: PlannedFile, policy: Policy): Map<DigestName, Hash> {
  const names = planned.signatures.flatMap((found) =>
    "signature" in found && found.signature.digest !== null && hasUsableSignature([found], policy)
      ? [found.signature.digest]
      : [],
  );
  return new Map([...new Set(names)].map((name) => [name, createHash(name)]));
}

/** One file by itself, with the memory it was read into. */
export interface FileArtifact extends Disposable {
  readonly artifact: Artifact;
}

/** Reads a single file and its signatures, outside any entry. */
export async function readFileArtifact(
  system: System,
  source: FileSource,
  path: string,
  policy: Policy,
  bytesMax: number,
): Promise<FileArtifact> {
  const ref = { volume: source.volume.name, path };
  const stat = await source.stat(path);
  if (stat?.type !== "file") throw new ArtifactError(`${describeRef(ref)}: a regular file expected`);
  if (stat.size > bytesMax)
    throw new ArtifactError(`${describeRef(ref)}: ${stat.size} bytes, at most ${bytesMax} are taken`);
  const signatures = await readSignatures(source, path, policy);
  const keeper = new DisposableStack();
  try {
    const planned: PlannedFile = { role: "file", ref, source, size: stat.size, signatures };
    const copied = await copyInto(system, keeper, "file", [planned], policy, () => {});
    const [artifact] = copied.artifacts;
    if (artifact === undefined) throw new ArtifactError(`${describeRef(ref)}: nothing was read`);
    return { artifact, [Symbol.dispose]: () => keeper.dispose() };
  } catch (error) {
    keeper.dispose();
    throw error;
  }
}
