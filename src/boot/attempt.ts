import type { BootEntry } from "../discovery/entry.ts";
import type { FileSource } from "../discovery/source.ts";
import { messageOf } from "../formats/error-text.ts";
import { measureInputOf } from "../handoff/boot-measurements.ts";
import { execute } from "../handoff/execute.ts";
import { type LoadedKernel, type LoadOptions, load } from "../handoff/load.ts";
import type { HandedOver, SettledFacts } from "../handoff/record.ts";
import type { System } from "../linux/system.ts";
import { availableMemoryBytes } from "../machine/memory.ts";
import { readArtifacts } from "../trust/artifacts.ts";
import type { Policy } from "../trust/policy.ts";
import { type VerifiedBoot, verify } from "../trust/verify.ts";
import type { Config } from "./config.ts";
import type { BootMeasurer, PlannedMeasurements } from "./measured-boot.ts";
import { readMinimums } from "./minimums.ts";
import { handedOver } from "./record.ts";
import type { Report } from "./report.ts";

/** What an attempt to boot needs. */
export interface AttemptContext {
  readonly system: System;
  readonly config: Config;
  readonly policy: Policy;
  /** Measures into the TPM. */
  readonly measurer: BootMeasurer;
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
    const digests = await context.measurer.banks();
    using artifacts = await readArtifacts({
      system,
      sources: context.sources,
      entry,
      policy: context.policy,
      limits: config.limits,
      memoryBytes: await availableMemoryBytes(),
      digests,
      progress: progressLines(report),
    });
    const kept = await readMinimums(context.policy, context.sources, () => context.measurer.tpm());
    const verdict = verify(artifacts, context.policy, kept);
    if (!verdict.ok) return refuse(report, entry, verdict.reason);
    const { boot } = verdict;
    reportTrust(report, boot);
    const kernel = await loadMeasured(context, boot);
    await context.closeSources();
    await flushConsoles(report);
    report.mark("jump");
    return await execute(system, kernel);
  } catch (error) {
    return refuse(report, entry, messageOf(error));
  }
}

function reportTrust(report: Report, { entry, mode, by, concerns }: VerifiedBoot): void {
  const concern = concerns.join("; ");
  if (mode === "off") report.mark(`unverified ${entry.id}: trust is off`);
  else if (mode === "audit" && concern !== "") report.failure(`unverified ${entry.id}: audit: ${concern}`);
  else {
    // What the policy would rather have known and does not insist on.
    if (concern !== "") report.failure(`warning: ${entry.id}: ${concern}`);
    report.mark(`verified ${entry.id} by ${by.length === 0 ? "the policy" : by.join(", ")}`);
  }
}

/**
 * Loads an entry, then measures it: what is measured is what jumps, and a TPM forgets only when the machine restarts.
 * Where a TPM fails and the policy lets that be, the kernel is loaded once more, for it was told that it was measured.
 */
async function loadMeasured(context: AttemptContext, boot: VerifiedBoot, isMeasured = true): Promise<LoadedKernel> {
  const { report, measurer, policy } = context;
  let planned: PlannedMeasurements | null = null;
  const plan = async (facts: SettledFacts): Promise<HandedOver> => {
    planned = isMeasured ? await measurer.plan(measureInputOf(boot, facts, policy.text)) : null;
    return handedOver(boot, facts, policy, planned);
  };
  const kernel = await load(context.system, boot, context.handoff(), {
    decided: (handoff) => report.mark(`handoff by ${handoff}`),
    beforeFileCall: context.quickenDigest,
    handOver: plan,
  });
  report.mark("loaded");
  const pcrs = await extend(measurer, planned);
  if (pcrs === null) return loadMeasured(context, boot, false);
  if (pcrs.length > 0) report.mark(`measured ${boot.entry.id}: PCR ${pcrs.join(", ")}`);
  return kernel;
}

/** The PCRs that were extended; null when the TPM failed. */
async function extend(measurer: BootMeasurer, planned: PlannedMeasurements | null): Promise<readonly number[] | null> {
  if (planned === null) return [];
  if (!(await measurer.extend(planned))) return null;
  return [...new Set(planned.measurements.map(({ pcr }) => pcr))].sort((a, b) => a - b);
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
