import { crc32 } from "node:zlib";
import type { FileRange, KexecSegment, System } from "../../linux/system.ts";
import { chunksOf } from "../../machine/file-range.ts";
import { MemoryFile } from "../../trust/memory-file.ts";
import type { ClassicPlan, Segment } from "./plan.ts";
import { makePurgatory } from "./purgatory.ts";

/**
 * SHA-256, or a CRC-32, which costs a tenth and finds what happens by accident; whoever can change the loaded kernel on
 * purpose can change either.
 */
export type ClassicDigest = "sha256" | "crc32";

export interface ClassicFlags {
  readonly onCrash: boolean;
  readonly preserveContext: boolean;
  readonly updateElfCoreHeader: boolean;
  readonly debug: boolean;
}

/**
 * Carries a plan out with kexec_load(2). Files go from their descriptors to the running kernel; only what was made here
 * is written, into one memory file.
 *
 * @param digest what the purgatory compares the loaded bytes with; null: it does not
 */
export async function loadClassic(
  system: System,
  plan: ClassicPlan,
  digest: ClassicDigest | null,
  flags: ClassicFlags,
): Promise<void> {
  const segments = digest === null ? plan.segments : await withDigest(plan, digest);
  using memory = new MemoryFile(system, "kexec segments");
  const offsets = segments.map((segment) => append(memory, segment));
  memory.seal();
  const requests = segments.map(
    ({ content, address, memoryBytes }, index): KexecSegment => ({
      content: contentRange(content, memory.fd, offsets[index] ?? 0),
      address,
      memoryBytes,
    }),
  );
  await system.kexecLoad({ entry: plan.entry, segments: requests, ...flags });
}

/** The offset at which a segment's own bytes stand in the memory file. */
function append(memory: MemoryFile, { content }: Segment): number {
  const offset = memory.size;
  if (content.kind === "bytes") memory.append(content.bytes);
  return offset;
}

function contentRange(content: Segment["content"], fd: number, offset: number): FileRange | null {
  if (content.kind === "file") return content.range.length === 0 ? null : content.range;
  return content.bytes.length === 0 ? null : { fd, offset, length: content.bytes.length };
}

/** The segments with the digest of all that is covered in the purgatory's parameters. */
async function withDigest(plan: ClassicPlan, kind: ClassicDigest): Promise<readonly Segment[]> {
  const running = kind === "sha256" ? await runningSha256() : runningCrc32();
  const regions: { address: number; bytes: number }[] = [];
  for (const segment of plan.segments) {
    const bytes = contentBytes(segment);
    if (!segment.digested || bytes === 0) continue;
    // Only what was loaded: the zeroes behind it are the running kernel's work, and nobody reads them as data.
    regions.push({ address: segment.address, bytes });
    if (segment.content.kind === "bytes") running.update(segment.content.bytes);
    else for (const chunk of chunksOf(segment.content.range)) running.update(chunk);
  }
  const digest = { ...running.result(), regions };
  return plan.segments.map((segment) => {
    if (segment.name !== purgatoryName) return segment;
    const bytes = makePurgatory({
      address: segment.address,
      target: plan.target,
      digest,
      backup: plan.backup,
      console: plan.console,
      jumpBackCommandLineEnd: plan.jumpBackCommandLineEnd,
      pageTables: plan.pageTables,
    });
    return { ...segment, content: { kind: "bytes", bytes } };
  });
}

interface RunningDigest {
  update(bytes: Uint8Array): void;
  result(): { readonly sha256: Uint8Array } | { readonly crc32: number };
}

/** The library of cryptography takes its time to load. */
async function runningSha256(): Promise<RunningDigest> {
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  return { update: (bytes) => void hash.update(bytes), result: () => ({ sha256: hash.digest() }) };
}

function runningCrc32(): RunningDigest {
  let crc = 0;
  return {
    update: (bytes) => {
      crc = crc32(bytes, crc);
    },
    result: () => ({ crc32: crc }),
  };
}

/** The name by which a plan's purgatory is found. */
export const purgatoryName = "purgatory";

function contentBytes({ content }: Segment): number {
  return content.kind === "file" ? content.range.length : content.bytes.length;
}
