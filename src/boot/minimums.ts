import type { FileSource } from "../discovery/source.ts";
import type { Policy } from "../trust/policy.ts";
import type { NvTpm } from "../trust/rollback-stores.ts";
import type { KeptMinimums } from "../trust/verify.ts";

/** The lowest versions that may boot, from where the policy says they are kept. Never rejects: what cannot be read is told as such. */
export async function readMinimums(
  policy: Policy,
  sources: readonly FileSource[],
  tpm: () => Promise<NvTpm | null>,
): Promise<KeptMinimums> {
  const { rollback } = policy.document;
  if (rollback.store === "none") return new Map();
  // Few boots need the stores.
  const { readKeptMinimums, readingDevices } = await import("../trust/rollback-stores.ts");
  return readKeptMinimums(rollback, readingDevices(tpm, sources));
}
