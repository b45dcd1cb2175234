import { writeHandoffRecord } from "../formats/handoff-record.ts";
import type { HandedOver, SettledFacts } from "../handoff/record.ts";
import type { Policy } from "../trust/policy.ts";
import { guardsVersions } from "../trust/rollback.ts";
import type { VerifiedBoot } from "../trust/verify.ts";
import type { PlannedMeasurements } from "./measured-boot.ts";
import { version } from "./version.ts";

/** What the target learns of its boot (docs/handoff-record.md). */
export function handedOver(
  boot: VerifiedBoot,
  { commandLine }: SettledFacts,
  policy: Policy,
  measured: PlannedMeasurements | null,
): HandedOver {
  const { id, title, format, source } = boot.entry;
  const { rollback } = policy.document;
  const record = writeHandoffRecord({
    version: 1,
    slipway: version,
    entry: { id, title, format, volume: source.volume },
    trust: {
      mode: boot.mode,
      by: boot.by,
      product: boot.release?.product ?? null,
      manifestVersion: boot.release?.version ?? null,
    },
    rollback: guardsVersions(rollback) ? { ...rollback } : null,
    measured: measured !== null,
    commandLine,
  });
  return { record, eventLog: measured?.eventLog ?? null };
}
