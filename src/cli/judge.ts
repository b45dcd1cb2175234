import { type Config, configPath, keysDirectory, policyPath } from "../boot/config.ts";
import { readMinimums } from "../boot/minimums.ts";
import { readFirmwareTrust, readImageTrust, readPolicyFile } from "../boot/trust.ts";
import type { BootEntry } from "../discovery/entry.ts";
import { messageOf } from "../formats/error-text.ts";
import { isWanted } from "../handoff/rank.ts";
import { nativeSystem } from "../linux/native.ts";
import { readFirmwareLists } from "../machine/efi-variables.ts";
import { availableMemoryBytes } from "../machine/memory.ts";
import { openTpm, type Tpm } from "../machine/tpm.ts";
import { type Artifacts, readArtifacts } from "../trust/artifacts.ts";
import { type Policy, type ReadKeys, readKeys, readKeysIfAny, resolvePolicy } from "../trust/policy.ts";
import { type Verdict, verify } from "../trust/verify.ts";
import type { Survey } from "./survey.ts";

export const keysUsage = `  --policy FILE    the policy to judge by; default ${policyPath}, else every key for everything
  --keys DIR       public keys to trust; default ${keysDirectory}`;
export const configUsage = `  --config FILE    the configuration to judge by; default ${configPath}`;

/** The words of the command line that say what is trusted. */
export interface TrustWords {
  readonly policy: string | undefined;
  readonly keys: string | undefined;
}

/** The policy to judge by; what of it cannot be used is told on standard error. */
export async function readPolicy(words: TrustWords, config: Config): Promise<Policy> {
  if (words.policy === undefined && words.keys === undefined) {
    const { policy, problems } = await readFirmwareTrust(config, await readImageTrust(config));
    return tellProblems(policy, problems);
  }
  // A directory that was asked for has to be there.
  const keys = await (words.keys === undefined ? readKeysIfAny(keysDirectory) : readKeysOf(words.keys));
  const document = await readPolicyFile(words.policy ?? policyPath, config, words.policy === undefined);
  const firmware = readFirmwareLists(document.firmware);
  const { policy, problems } = await resolvePolicy(document, keys, firmware, Date.now());
  return tellProblems(policy, [...keys.problems, ...firmware.problems, ...problems]);
}

function tellProblems(policy: Policy, problems: readonly string[]): Policy {
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  return policy;
}

/** The same policy where nothing is let through. */
export function enforcing(policy: Policy): Policy {
  const { document } = policy;
  const rules = document.rules.map((rule) => ({ ...rule, mode: "enforce" as const }));
  return { ...policy, document: { ...document, mode: "enforce", rules } };
}

async function readKeysOf(directory: string): Promise<ReadKeys> {
  try {
    return await readKeys(directory);
  } catch (error) {
    const reason = messageOf(error);
    throw new Error(`--keys ${JSON.stringify(directory)}: ${reason}`, { cause: error });
  }
}

/** The entries that a word of the command line means: an id, a title, an alias or a pattern of these. */
export function findEntries(result: Survey, word: string): BootEntry[] {
  const exact = result.found.entries.filter((entry) => entry.id === word);
  return exact.length > 0 ? exact : result.found.entries.filter((entry) => isWanted(entry, word));
}

/**
 * Judges an entry as a boot would. The versions that this machine keeps count for its own disks; of directories nobody knows
 * what machine they are to boot.
 */
export async function judgeEntry(result: Survey, artifacts: Artifacts, policy: Policy): Promise<Verdict> {
  if (!result.isMachine || policy.document.rollback.store === "none") return verify(artifacts, policy);
  await using opened = new AsyncDisposableStack();
  const tpm = async (): Promise<Tpm | null> => opened.use(await openTpm());
  return verify(artifacts, policy, await readMinimums(policy, result.sources, tpm));
}

/** Reads an entry's files as a boot would. */
export async function readEntry(result: Survey, entry: BootEntry, policy: Policy): Promise<Artifacts> {
  return readArtifacts({
    system: nativeSystem(),
    sources: [...result.sources, ...result.found.images],
    entry,
    policy,
    limits: result.config.limits,
    memoryBytes: await availableMemoryBytes(),
  });
}
