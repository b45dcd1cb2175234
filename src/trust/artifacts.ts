import { createHash, type Hash } from "node:crypto";
import type { ArchiveMember, BootEntry, ConfigText, FileRef, InitrdRef } from "../discovery/entry.ts";
import type { FileSource } from "../discovery/source.ts";
import { archiveAround } from "../formats/cpio.ts";
import { messageOf } from "../formats/error-text.ts";
import type { FileRange, MappedBytes, System } from "../linux/system.ts";
import { MemoryFile } from "./memory-file.ts";
import type { Policy } from "./policy.ts";
import type { DigestName, SignedContent, UntrustedSignature } from "./schemes/scheme.ts";
import { signatureSchemes } from "./schemes/schemes.ts";

/** What a file is to an entry; `file` for one outside any entry. An environment block is read by a configuration but is not part of it. */
export type ArtifactRole = "config" | "environment" | LoadedRole | "file";

/** What an entry loads, each role in a memory file of its own. */
export type LoadedRole = "linux" | "initrd" | "devicetree" | "module" | "addon" | "overlay";

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
  /** Multiboot modules, add-ons and device tree overlays, each in the entry's order; empty when the entry was not read to the end. */
  readonly modules: readonly FileRange[];
  readonly addons: readonly FileRange[];
  readonly overlays: readonly FileRange[];
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
  /** What it is wrapped into. */
  readonly archive: ArchiveMember | null;
  readonly source: FileSource;
  readonly size: number;
  readonly signatures: readonly FoundSignature[];
}

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
    ...entry.modules.map(({ file }) => planFile(request, "module", file)),
    ...entry.addons.map((ref) => planFile(request, "addon", ref)),
    ...entry.overlays.map((ref) => planFile(request, "overlay", ref)),
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
  const nothing = { kernel: null, initrd: null, devicetree: null, modules: [], addons: [], overlays: [] };
  return { entry, artifacts, ...nothing, [Symbol.dispose]() {} };
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

async function planFile(request: ReadArtifactsRequest, role: LoadedRole, ref: InitrdRef): Promise<PlannedLoad> {
  const source = findSource(request.sources, ref);
  const stat = await source.stat(ref.path);
  if (stat === null) throw new ArtifactError(`${role} ${describeRef(ref)}: no such file`);
  if (stat.type !== "file")
    throw new ArtifactError(`${role} ${describeRef(ref)}: a ${stat.type}, a regular file expected`);
  return {
    role,
    ref: { volume: ref.volume, path: ref.path },
    archive: ref.archive ?? null,
    source,
    size: stat.size,
    signatures: await readSignatures(source, ref.path, request.policy),
  };
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

/** The setting that holds for all files of a role together. Add-ons bring initrds; a module is what an initrd is to Linux. */
const limitNames = {
  linux: "kernelBytesMax",
  initrd: "initrdBytesMax",
  devicetree: "devicetreeBytesMax",
  module: "initrdBytesMax",
  addon: "initrdBytesMax",
  overlay: "devicetreeBytesMax",
} as const satisfies Record<LoadedRole, keyof ArtifactLimits>;

function checkSizes(files: readonly PlannedLoad[], limits: ArtifactLimits, memoryBytes: number | null): void {
  const totals = new Map<LoadedRole, number>();
  let total = 0;
  for (const { role, ref, size } of files) {
    const ofRole = (totals.get(role) ?? 0) + size;
    totals.set(role, ofRole);
    total += size;
    const limit = limitNames[role];
    if (ofRole > limits[limit]) {
      throw new ArtifactError(
        `${role} ${describeRef(ref)}: ${ofRole} bytes, at most ${limits[limit]} are taken (limits.${limit})`,
      );
    }
  }
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
    const all = Promise.all(loadedRoles.map(into));
    const copied = await all.catch(async (error: unknown) => {
      failed = true;
      // Nothing may be written any more when the memory is given back.
      await Promise.allSettled(copies);
      throw error;
    });
    const of = (role: LoadedRole): Copied => copied[loadedRoles.indexOf(role)] ?? nothingCopied;
    return {
      entry: request.entry,
      artifacts: [...configs, ...copied.flatMap(({ artifacts }) => artifacts)],
      kernel: of("linux").file,
      initrd: of("initrd").file,
      devicetree: of("devicetree").file,
      modules: of("module").ranges,
      addons: of("addon").ranges,
      overlays: of("overlay").ranges,
      // The stack stays in use: a file is mapped into memory when somebody first asks for its bytes.
      [Symbol.dispose]: () => keeper.dispose(),
    };
  } catch (error) {
    keeper.dispose();
    throw error;
  }
}

const loadedRoles: readonly LoadedRole[] = ["linux", "initrd", "devicetree", "module", "addon", "overlay"];

interface Copied {
  readonly file: MemoryFile | null;
  /** Each file's own bytes in the memory file. */
  readonly ranges: readonly FileRange[];
  readonly artifacts: readonly Artifact[];
}

const nothingCopied: Copied = { file: null, ranges: [], artifacts: [] };

/** Copies files one after the other into one sealed memory file, hashing each on the way. */
async function copyInto(
  system: System,
  keeper: DisposableStack,
  name: string,
  files: readonly PlannedFile[],
  policy: Policy,
  advance: (bytes: number) => void,
): Promise<Copied> {
  if (files.length === 0) return nothingCopied;
  const memory = keeper.use(new MemoryFile(system, name));
  const ranges: { file: PlannedFile; offset: number; digests: ReadonlyMap<DigestName, Uint8Array> }[] = [];
  for (const file of files) {
    const padding = -memory.size & (initrdAlignment - 1);
    if (padding > 0) memory.append(new Uint8Array(padding));
    const archive = file.archive === null ? null : wrapFile(file.archive, file.size);
    if (archive !== null) memory.append(archive.before);
    const offset = memory.size;
    ranges.push({ file, offset, digests: await copyFile(file, memory, policy, advance) });
    if (archive !== null) memory.append(archive.after);
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
  const { fd } = memory;
  return {
    file: memory,
    ranges: ranges.map(({ file, offset }) => ({ fd, offset, length: file.size })),
    artifacts,
  };
}

/** As {@link archiveAround}. Throws ArtifactError for a name that none can have. */
function wrapFile(member: ArchiveMember, sizeBytes: number): ReturnType<typeof archiveAround> {
  try {
    return archiveAround(member, sizeBytes);
  } catch (error) {
    throw new ArtifactError(`wrap a file as ${JSON.stringify(member.path)}: ${messageOf(error)}`, { cause: error });
  }
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
    const planned: PlannedFile = { role: "file", ref, archive: null, source, size: stat.size, signatures };
    const copied = await copyInto(system, keeper, "file", [planned], policy, () => {});
    const [artifact] = copied.artifacts;
    if (artifact === undefined) throw new ArtifactError(`${describeRef(ref)}: nothing was read`);
    return { artifact, [Symbol.dispose]: () => keeper.dispose() };
  } catch (error) {
    keeper.dispose();
    throw error;
  }
}
