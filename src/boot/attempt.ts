import type { BootEntry } from "../discovery/entry.ts";
import type { FileSource } from "../discovery/source.ts";
import { messageOf } from "../formats/error-text.ts";
import { execute } from "../handoff/execute.ts";
import { type LoadOptions, load } from "../handoff/load.ts";
import type { System } from "../linux/system.ts";
import { availableMemoryBytes } from "../machine/memory.ts";
import { readArtifacts } from "../trust/artifacts.ts";
import type { Policy } from "../trust/policy.ts";
import { verify } from "../trust/verify.ts";
import type { Config } from "./config.ts";
import type { Report } from "./report.ts";

/** What an attempt to boot needs. */
export interface AttemptContext {
  readonly system: System;
  readonly config: Config;
  readonly policy: Policy;
  readonly report: Report;
  readonly architecture: string;
  /** How entries are handed over, as this machine is now. */
  readonly handoff: () => LoadOptions;
  /** Has the running kernel use its quickest SHA-256, which kexec_file_load(2) spends most of its time in. */
  readonly quickenDigest: () => Promise<void>;
  readonly sources: readonly FileSource[];
  /** Closes all volumes; called right before the jump. */
  readonly closeSources: () => Promise<void>;
}

/** Boots an entry. Returns only when it was refused or failed: the reason, which has been reported. */
export async function attempt(context: AttemptContext, entry: BootEntry): Promise<string> {
  const { report, system, config } = context;
  report.mark(`chosen ${entry.id}`);
  try {
    using artifacts = await readArtifacts({
      system,
      sources: context.sources,
      entry,
      policy: context.policy,
      limits: config.limits,
      memoryBytes: await availableMemoryBytes(),
      progress: progressLines(report),
    });
    const verdict = verify(artifacts, context.policy);
    if (!verdict.ok) return refuse(report, entry, verdict.reason);
    const { boot } = verdict;
    if (boot.mode === "off") report.mark(`unverified ${entry.id}: trust is off`);
    else if (boot.concerns.length > 0) report.failure(`unverified ${entry.id}: audit: ${boot.concerns.join("; ")}`);
    else report.mark(`verified ${entry.id} by ${boot.by.join(", ")}`);
    const kernel = await load(system, boot, context.handoff(), {
      decided: (handoff) => report.mark(`handoff by ${handoff}`),
      beforeFileCall: context.quickenDigest,
    });
    report.mark("loaded");
    await context.closeSources();
    await flushConsoles(report);
    report.mark("jump");
    return await execute(system, kernel);
  } catch (error) {
    return refuse(report, entry, messageOf(error));
  }
}

function refuse(report: Report, entry: BootEntry, reason: string): string {
  report.failure(`refused ${entry.id}: ${reason}`);
  return reason;
}

const flushSecondsMax = 1;

async function flushConsoles(report: Report): Promise<void> {
  await Promise.all(report.consoles.map((console) => console.flush(flushSecondsMax)));
}

/** A read that takes longer than this is worth a line, and so is each further stretch of it. */
const progressIntervalMs = 3000;

/** Says how far a slow read has come; silent for a quick one. */
function progressLines(report: Report): (done: number, total: number) => void {
  let next = performance.now() + progressIntervalMs;
  return (done, total) => {
    const now = performance.now();
    if (now < next) return;
    next = now + progressIntervalMs;
    const mebibytes = (bytes: number): string => (bytes / (1 << 20)).toFixed(0);
    report.say(`slipway: ${mebibytes(done)} of ${mebibytes(total)} MiB read\n`);
  };
}
