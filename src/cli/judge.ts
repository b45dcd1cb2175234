import { configPath, keysDirectory } from "../boot/config.ts";
import type { BootEntry } from "../discovery/entry.ts";
import { messageOf } from "../formats/error-text.ts";
import { isWanted } from "../handoff/rank.ts";
import { nativeSystem } from "../linux/native.ts";
import { availableMemoryBytes } from "../machine/memory.ts";
import { type Artifacts, readArtifacts } from "../trust/artifacts.ts";
import { type Policy, readKeys, readKeysIfAny } from "../trust/policy.ts";
import type { Survey } from "./survey.ts";

export const keysUsage = `  --keys DIR       public keys to trust (*.pub); default ${keysDirectory}`;
export const configUsage = `  --config FILE    the configuration to judge by; default ${configPath}`;

/** The keys of a directory; files that are no keys are told on standard error. */
export async function readPolicy(directory: string | undefined, mode: Policy["mode"]): Promise<Policy> {
  // A directory that was asked for has to be there.
  const { keys, problems } = await (directory === undefined ? readKeysIfAny(keysDirectory) : readKeysOf(directory));
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  return { mode, keys };
}

async function readKeysOf(directory: string): ReturnType<typeof readKeys> {
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
