import type { FileSource } from "../discovery/source.ts";
import { readEfiVariable } from "../machine/efi-variable-file.ts";
import type { Policy } from "../trust/policy.ts";
import { sourceFiles } from "../trust/rollback-files.ts";
import { type NvTpm, openRollbackStore, readKeptMinimum } from "../trust/rollback-stores.ts";
import type { KeptMinimums } from "../trust/verify.ts";

/** The lowest versions that may boot, from where the policy says they are kept. Never rejects: what cannot be read is told as such. */
export async function readMinimums(
  policy: Policy,
  sources: readonly FileSource[],
  tpm: () => Promise<NvTpm | null>,
): Promise<KeptMinimums> {
  const { rollback } = policy.document;
  const store = openRollbackStore(rollback, {
    tpm,
    readVariable: readEfiVariable,
    writeVariable(name) {
      throw new Error(`write EFI variable ${name}: the boot loader only reads it`);
    },
    files: sourceFiles(sources),
  });
  const kept = new Map();
  for (const { name } of rollback.products) {
    const minimum = await readKeptMinimum(store, name);
    if (name !== null && minimum !== null) kept.set(name, minimum);
  }
  return kept;
}
