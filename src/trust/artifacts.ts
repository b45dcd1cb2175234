import { createHash, type Hash } from "node:crypto";
import type { ArchiveMember, BootEntry, ConfigText, FileRef, InitrdRef } from "../discovery/entry.ts";
import type { FileSource } from "../discovery/source.ts";
import { archiveAround } from "../formats/cpio.ts";
import { messageOf } from "../formats/error-text.ts";
import type { FileRange, MappedBytes, System } from "../linux/system.ts";
import { contentOf, type FoundManifest, type FoundSignature, manifestsOf } from "./manifests.ts";
import { MemoryFile } from "./memory-file.ts";
import { fallbackRule, type Policy, type Rule, ruleFor } from "./policy.ts";
import type { Evidence } from "./policy-schema.ts";
import type { Anchor, DigestName, EnclosedScheme, SignedContent } from "./schemes/scheme.ts";
import { enclosedSchemes, readSignatureFile, signatureSuffixes } from "./schemes/schemes.ts";

/** What a file is to an entry; `file` for one outside any entry. An environment block is read by a configuration but is not part of it. */
export type ArtifactRole = "config" | "environment" | LoadedRole | "file";

/** What an entry loads, each role in a memory file of its own. */
export type LoadedRole = "linux" | "initrd" | "devicetree" | "module" | "addon" | "overlay";

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
  /** The rule that holds for the entry. */
  readonly rule: Rule;
  readonly artifacts: readonly Artifact[];
  /** The manifests of every volume that the entry takes something from. */
  readonly manifests: readonly FoundManifest[];
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

/** A detached signature is text of a few lines; one with certificates some thousand bytes. */
const signatureBytesMax = 65_536;
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
  /** Digests that are wanted of every loaded file besides those that signatures ask for: a TPM's banks. */
  readonly digests?: readonly DigestName[];
  /** Called as bytes arrive. */
  readonly progress?: (done: number, total: number) => void;
}

/**
 * Reads what an entry needs. Sizes and signature files come first: an entry that the policy must refuse for want of a
 * usable signature is not copied at all. Throws {@link ArtifactError} or SourceError.
 */
export async function readArtifacts(request: ReadArtifactsRequest): Promise<Artifacts> {
  const { entry, policy, limits } = request;
  const rule = ruleFor(policy, entry, findSource(request.sources, entry.source).volume);
  const places = [entry.source, entry.linux, ...entry.initrd, ...entry.configs.map(({ ref }) => ref)];
  const volumes = [...new Set(places.map((ref) => findSource(request.sources, ref)))];
  const signatures = await SignatureReader.open(policy, rule, volumes, request.digests ?? []);
  const configs = await Promise.all([
    ...entry.configs.map((config) => readConfig(request, signatures, "config", config)),
    ...uniqueEnvironments(entry).map((config) => readConfig(request, signatures, "environment", config)),
  ]);
  const planned = await Promise.all([
    planFile(request, signatures, "linux", entry.linux),
    ...entry.initrd.map((ref) => planFile(request, signatures, "initrd", ref)),
    ...(entry.devicetree === null ? [] : [planFile(request, signatures, "devicetree", entry.devicetree)]),
    ...entry.modules.map(({ file }) => planFile(request, signatures, "module", file)),
    ...entry.addons.map((ref) => planFile(request, signatures, "addon", ref)),
    ...entry.overlays.map((ref) => planFile(request, signatures, "overlay", ref)),
  ]);
  checkSizes(entry, planned, limits, request.memoryBytes);
  const known = { entry, rule, manifests: signatures.manifests };
  if (signatures.isHopeless(configs, planned)) {
    return unread(known, [...configs, ...planned.map((file) => ({ ...describe(file), content: null }))]);
  }
  return copyFiles(request, signatures, known, configs, planned);
}

type KnownOfEntry = Pick<Artifacts, "entry" | "rule" | "manifests">;

/** Finds signatures: beside files, inside them, in manifests. */
class SignatureReader {
  readonly #policy: Policy;
  readonly #rule: Rule;
  readonly #anchors: readonly Anchor[];
  readonly #enclosed: readonly EnclosedScheme[];
  readonly #digests: readonly DigestName[];
  readonly manifests: readonly FoundManifest[];

  private constructor(
    policy: Policy,
    rule: Rule,
    enclosed: readonly EnclosedScheme[],
    manifests: readonly FoundManifest[],
    digests: readonly DigestName[],
  ) {
    this.#policy = policy;
    this.#rule = rule;
    this.#anchors = policy.anchors.map(({ anchor }) => anchor);
    this.#enclosed = enclosed;
    this.manifests = manifests;
    this.#digests = digests;
  }

  /**
   * @param volumes where manifests are looked for
   * @param digests wanted of every loaded file in any case
   */
  static async open(
    policy: Policy,
    rule: Rule,
    volumes: readonly FileSource[],
    digests: readonly DigestName[],
  ): Promise<SignatureReader> {
    const takes = (evidence: Evidence): boolean => rule.mode !== "off" && rule.evidence.includes(evidence);
    const anchors = policy.anchors.map(({ anchor }) => anchor);
    const [enclosed, manifests] = await Promise.all([
      takes("enclosed") ? enclosedSchemes(anchors) : [],
      takes("manifest") ? Promise.all(volumes.map(manifestsOf)) : [],
    ]);
    return new SignatureReader(policy, rule, enclosed, manifests.flat(), digests);
  }

  /** Signatures beside a file: under its name, else under the name that its links lead to. */
  async beside(source: FileSource, path: string): Promise<FoundSignature[]> {
    if (this.#rule.mode === "off" || !this.#rule.evidence.includes("detached")) return [];
    const found: FoundSignature[] = [];
    const names = [...new Set([path, (await source.realPath(path)) ?? path])];
    for (const suffix of signatureSuffixes) {
      for (const name of names) {
        const where = `${name}${suffix}`;
        if ((await source.stat(where)) === null) continue;
        found.push(...(await readSignatures(source, where)));
        break;
      }
    }
    return found;
  }

  /** The signatures of an OS package stand in its descriptor. */
  async ofPackage(source: FileSource, entry: BootEntry): Promise<FoundSignature[]> {
    if (entry.format !== "ospkg" || this.#rule.mode === "off" || !this.#rule.evidence.includes("package")) return [];
    const where = entry.source.path;
    try {
      const bytes = await source.readFile(where, signatureBytesMax);
      const { readOsPackageSignatures } = await import("./schemes/os-package.ts");
      return readOsPackageSignatures(bytes).map((signature) => ({ where, evidence: "package", signature }));
    } catch (error) {
      return [{ where, problem: messageOf(error) }];
    }
  }

  inside(content: SignedContent): FoundSignature[] {
    return this.#enclosed.flatMap((scheme): FoundSignature[] => {
      const where = `inside it (${scheme.name})`;
      try {
        return scheme.readSignatures(content).map((signature) => ({ where, evidence: "enclosed" as const, signature }));
      } catch (error) {
        return [{ where, problem: messageOf(error) }];
      }
    });
  }

  /** Whether one of the signatures claims to be made by a trusted key. */
  isUsable(found: FoundSignature): boolean {
    return "signature" in found && found.signature.mayBeBy(this.#anchors);
  }

  /** Whether the entry is refused whatever its files hold: none of these signatures could vouch for what has to be. */
  isHopeless(configs: readonly Artifact[], planned: readonly PlannedLoad[]): boolean {
    const { mode, cover, optionsAllowed } = this.#rule;
    const hasManifest = this.manifests.some(({ signatures }) => signatures.some((found) => this.isUsable(found)));
    if (mode !== "enforce" || hasManifest || this.#enclosed.length > 0) return false;
    const isUnsigned = ({ signatures }: { readonly signatures: readonly FoundSignature[] }): boolean =>
      !signatures.some((found) => this.isUsable(found));
    const needsConfigs = cover.includes("options") && optionsAllowed.length === 0;
    return (
      planned.some((file) => cover.includes(file.role) && isUnsigned(file)) ||
      (needsConfigs && configs.some((config) => config.role === "config" && isUnsigned(config)))
    );
  }

  /** Only what something asks for is computed. */
  neededDigests(planned: PlannedFile): ReadonlySet<DigestName> {
    const needed = new Set(this.#digests);
    for (const found of planned.signatures) {
      if ("signature" in found && this.isUsable(found)) for (const name of found.signature.digests) needed.add(name);
    }
    const isListed = this.manifests.some(({ signatures }) => signatures.some((found) => this.isUsable(found)));
    if (isListed || this.#policy.document.revoked.length > 0) needed.add("sha256");
    return needed;
  }
}

/** The signatures of a signature file, or why they cannot be used. */
async function readSignatures(source: FileSource, where: string): Promise<FoundSignature[]> {
  try {
    const signatures = await readSignatureFile(await source.readFile(where, signatureBytesMax));
    return signatures.map((signature) => ({ where, evidence: "detached", signature }));
  } catch (error) {
    return [{ where, problem: messageOf(error) }];
  }
}

function unread(known: KnownOfEntry, artifacts: readonly Artifact[]): Artifacts {
  const nothing = { kernel: null, initrd: null, devicetree: null, modules: [], addons: [], overlays: [] };
  return { ...known, artifacts, ...nothing, [Symbol.dispose]() {} };
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

async function readConfig(
  request: ReadArtifactsRequest,
  signatures: SignatureReader,
  role: "config" | "environment",
  config: ConfigText,
): Promise<Artifact> {
  const source = findSource(request.sources, config.ref);
  const content = contentOf(() => config.bytes, config.bytes.length);
  return {
    role,
    ref: config.ref,
    size: config.bytes.length,
    signatures: [...(await signatures.beside(source, config.ref.path)), ...signatures.inside(content)],
    content,
  };
}

async function planFile(
  request: ReadArtifactsRequest,
  signatures: SignatureReader,
  role: LoadedRole,
  ref: InitrdRef,
): Promise<PlannedLoad> {
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
    signatures: [
      ...(await signatures.beside(source, ref.path)),
      ...(role === "linux" ? await signatures.ofPackage(source, request.entry) : []),
    ],
  };
}

function findSource(sources: readonly FileSource[], ref: FileRef): FileSource {
  const source = sources.find((candidate) => candidate.volume.name === ref.volume);
  if (source === undefined) throw new ArtifactError(`${describeRef(ref)}: the volume is not there`);
  return source;
}

export function describeRef(ref: FileRef): string {
  return `${JSON.stringify(ref.path)} on ${ref.volume}`;
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

function checkSizes(
  entry: BootEntry,
  files: readonly PlannedLoad[],
  limits: ArtifactLimits,
  memoryBytes: number | null,
): void {
  const totals = new Map<LoadedRole, number>();
  let total = 0;
  for (const { role, ref, size } of files) {
    const ofRole = (totals.get(role) ?? 0) + size;
    totals.set(role, ofRole);
    total += size;
    // An OS package holds the initrd too.
    const limit = entry.format === "ospkg" ? "initrdBytesMax" : limitNames[role];
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
  signatures: SignatureReader,
  known: KnownOfEntry,
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
      const copy = copyInto(request.system, keeper, role, files, signatures, advance);
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
      ...known,
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
  signatures: SignatureReader,
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
    ranges.push({ file, offset, digests: await copyFile(file, memory, signatures.neededDigests(file), advance) });
    if (archive !== null) memory.append(archive.after);
  }
  memory.seal();
  let mapped: MappedBytes | undefined;
  const all = (): Uint8Array => {
    mapped ??= keeper.use(system.mapFile(memory.fd, memory.size));
    return mapped.bytes;
  };
  const artifacts = ranges.map(({ file, offset, digests }): Artifact => {
    const content = contentOf(() => all().subarray(offset, offset + file.size), file.size, digests);
    const found = describe(file);
    return { ...found, signatures: [...found.signatures, ...signatures.inside(content)], content };
  });
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
  digests: ReadonlySet<DigestName>,
  advance: (bytes: number) => void,
): Promise<ReadonlyMap<DigestName, Uint8Array>> {
  const hashes = new Map<DigestName, Hash>([...digests].map((name) => [name, createHash(name)]));
  await using file = await planned.source.open(planned.ref.path);
  const bufferBytes = Math.min(chunkBytes, planned.size);
  const buffers = [new Uint8Array(bufferBytes), new Uint8Array(bufferBytes)] as const;
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

/** One file by itself, with the memory it was read into. */
export interface FileArtifact extends Disposable {
  readonly rule: Rule;
  readonly artifact: Artifact;
  readonly manifests: readonly FoundManifest[];
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
  const rule = fallbackRule(policy);
  const reader = await SignatureReader.open(policy, rule, [source], []);
  const keeper = new DisposableStack();
  try {
    const signatures = await reader.beside(source, path);
    const planned: PlannedFile = { role: "file", ref, archive: null, source, size: stat.size, signatures };
    const copied = await copyInto(system, keeper, "file", [planned], reader, () => {});
    const [artifact] = copied.artifacts;
    if (artifact === undefined) throw new ArtifactError(`${describeRef(ref)}: nothing was read`);
    return { rule, artifact, manifests: reader.manifests, [Symbol.dispose]: () => keeper.dispose() };
  } catch (error) {
    keeper.dispose();
    throw error;
  }
}
