import { parseArgs } from "node:util";
import { quote } from "../formats/format-error.ts";
import type { HandoffRecord } from "../formats/handoff-record.ts";
import { printable } from "../formats/printable.ts";
import { type RollbackSettings, readRollbackSettings } from "../trust/rollback.ts";
import { openRollbackStore, type RollbackDevices } from "../trust/rollback-stores.ts";
import { type RollbackMachine, readAuthorization, readRecordOf, thisMachine } from "./rollback.ts";
import type { Verb } from "./verb.ts";

/** Exit code when the running system was handed no record of its boot. */
const exitNoRecord = 3;

interface Outcome {
  readonly product: string | null;
  readonly version: number | null;
  /** Where the minimum is kept; null when none is. */
  readonly store: string | null;
  /** The minimum that holds now; null when none is kept. */
  readonly minimum: number | null;
  /** Why nothing was to be raised, as a clause; null when the minimum is at the version that is running. */
  readonly reason: string | null;
}

/** The verb, over a machine. */
export function confirmVerbOn(machine: RollbackMachine): Verb {
  return {
    name: "confirm",
    summary: "tell that this boot is good: older versions do not boot any more",
    usage: `usage: slipway confirm [--json] [--record FILE] [--owner-auth-file FILE]

Raises the lowest version that may boot to the one that is running, where the policy of this boot keeps
such versions ("rollback" in docs/trust.md). To be run as root by a service of the operating system when
everything that matters has started. A minimum is never lowered.
Exit code: 0 when the minimum is kept or nothing is to be done, 3 when this system was handed no record
of its boot, 1 on failure.

  --json           print the outcome as JSON
  --record FILE    a hand-over record in place of the one that this system was handed
  --owner-auth-file FILE
                   the authorisation value of the TPM's owner, for counters that only the owner raises:
                   the file's bytes without a last line feed
`,
    async run(args) {
      const { values } = parseArgs({
        args: [...args],
        options: {
          json: { type: "boolean" },
          record: { type: "string" },
          "owner-auth-file": { type: "string" },
        },
      });
      const ownerAuth = await readAuthorization(values["owner-auth-file"]);
      const record = await readRecordOf(machine, values.record);
      if (record === null) {
        process.stderr.write(
          "slipway confirm: this system was handed no record of its boot (another boot loader started it, or its kernel takes none)\n",
        );
        return exitNoRecord;
      }
      await using devices = machine.openDevices();
      const outcome = await confirm(record, devices, ownerAuth);
      if (values.json === true) process.stdout.write(`${JSON.stringify(outcomeJson(outcome), null, 2)}\n`);
      else process.stdout.write(`${printable(describe(outcome))}\n`);
      return 0;
    },
  };
}

export const confirmVerb: Verb = confirmVerbOn(thisMachine);

async function confirm(record: HandoffRecord, devices: RollbackDevices, ownerAuth: Uint8Array): Promise<Outcome> {
  const { product, manifestVersion: version } = record.trust;
  const nothing = (reason: string): Outcome => ({ product, version, store: null, minimum: null, reason });
  if (record.rollback === null) return nothing("the policy of this boot keeps no versions");
  const settings = readRollbackSettings(record.rollback, "handoff record");
  const store = openRollbackStore(settings, devices);
  if (store === null) return nothing("the policy of this boot keeps no versions");
  if (product === null || version === null) return nothing("no manifest says product and version of this boot");
  if (!isListed(settings, product)) return nothing("the policy of this boot keeps no versions of this product");
  if (record.trust.by.length === 0) return nothing("nobody vouched for this boot, so its version is not believed");
  const minimum = await store.raise(product, version, ownerAuth);
  const reason = minimum > version ? "the minimum is higher already, and is not lowered" : null;
  return { product, version, store: store.describe(product), minimum, reason };
}

function isListed({ products }: RollbackSettings, product: string): boolean {
  return products.some(({ name }) => name === product);
}

function describe({ product, version, store, minimum, reason }: Outcome): string {
  if (store === null) return `nothing to confirm: ${reason}`;
  const kept = `the minimum version of ${quote(product ?? "")} is ${minimum}, in ${store}`;
  return reason === null ? kept : `${kept}; version ${version} is running: ${reason}`;
}

function outcomeJson({ product, version, store, minimum, reason }: Outcome): unknown {
  return { version: 1, product, bootedVersion: version, store, minimum, reason };
}
