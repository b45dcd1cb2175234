import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type Config, configPath, defaultConfig, parseConfig } from "../boot/config.ts";
import { type Discovered, discover } from "../discovery/discover.ts";
import { MachineSources } from "../discovery/machine-sources.ts";
import type { FileSource } from "../discovery/source.ts";
import { messageOf } from "../formats/error-text.ts";
import { quote } from "../formats/format-error.ts";
import { type Ranking, rank } from "../handoff/rank.ts";
import { nativeSystem } from "../linux/native.ts";
import { machineArchitecture } from "../machine/architecture.ts";
import { noEfiChoices, readEfiChoices } from "../machine/efi-variables.ts";
import { Remarks } from "../machine/kernel-files.ts";
import {
  type MachineDescription,
  readMachineDescription,
  unknownMachineDescription,
} from "../machine/machine-description.ts";
import { parsePolicy } from "../trust/policy-schema.ts";
import { openRoot, parseRoots } from "./roots.ts";

export const efiUsage = `  --efivars DIR    EFI variables, as efivarfs shows them, that may choose an entry; without it this
                   machine's own, but for directories given with --root`;

/** What discovery found, on directories or on the machine's own disks. */
export interface Survey extends AsyncDisposable {
  readonly config: Config;
  /** Whether these are the disks of this machine, and not directories. */
  readonly isMachine: boolean;
  readonly sources: readonly FileSource[];
  readonly found: Discovered;
  readonly ranking: Ranking;
  /** Devices that could not be searched, and volumes that hold no files. */
  readonly remarks: readonly string[];
}

/** The configuration of `--config`, else that of this machine, else the defaults. */
export async function readConfigFile(path: string | undefined): Promise<Config> {
  const chosen = path ?? (existsSync(configPath) ? configPath : null);
  return chosen === null ? defaultConfig : parseConfig(await readText(chosen), chosen);
}

/** Whether a file is a configuration and nothing else: a policy has other fields. */
export async function isConfigFile(path: string): Promise<boolean> {
  const text = await readText(path);
  try {
    parsePolicy(text, path);
    return false;
  } catch {
    return isConfig(text);
  }
}

function isConfig(text: string): boolean {
  try {
    parseConfig(text, "");
    return true;
  } catch {
    return false;
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const reason = messageOf(error);
    throw new Error(`configuration ${quote(path)}: ${reason}`, { cause: error });
  }
}

/**
 * Finds all entries, as the firmware would. `efiVariables`: a directory of EFI variables as efivarfs shows them; without it
 * those of this machine count, but for directories given as volumes. Rejects when the places cannot be looked at.
 */
export async function survey(
  config: Config,
  rootSpecs: readonly string[],
  efiVariables: string | undefined = undefined,
): Promise<Survey> {
  const { sources, remarks, close } = await openSources(config, rootSpecs);
  // The variables of this machine's firmware say nothing of directories.
  const efi = efiVariables !== undefined || rootSpecs.length === 0 ? readEfiChoices(efiVariables) : noEfiChoices;
  // Nor is it known which machine they are to boot.
  const problems = new Remarks();
  let known: MachineDescription | null = rootSpecs.length === 0 ? null : unknownMachineDescription;
  const machine = (): MachineDescription => {
    known ??= readMachineDescription(problems);
    return known;
  };
  try {
    const found = await discover(sources, machineArchitecture(), config.limits, efi.lastBooted, machine);
    return {
      config,
      isMachine: rootSpecs.length === 0,
      sources,
      found,
      ranking: rank(found.menus, config.entry, efi),
      remarks: [...remarks, ...efi.problems, ...problems.sentences],
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface OpenSources {
  readonly sources: readonly FileSource[];
  readonly remarks: readonly string[];
  readonly close: () => Promise<void>;
}

async function openSources(config: Config, rootSpecs: readonly string[]): Promise<OpenSources> {
  const timeoutSeconds = config.discovery.probeTimeoutSeconds;
  if (rootSpecs.length > 0) {
    const sources = parseRoots(rootSpecs).map((root) => openRoot(root, timeoutSeconds));
    return {
      sources,
      remarks: [],
      close: async () => {
        await Promise.all(sources.map((source) => source.close()));
      },
    };
  }
  if (process.geteuid?.() !== 0) {
    throw new Error("reading the machine's disks needs root; --root DIR looks at a directory instead");
  }
  const machine = new MachineSources(nativeSystem(), null, timeoutSeconds);
  await machine.refresh();
  const remarks = [
    ...machine.problems.map((p) => `${p.device}: ${p.reason}`),
    ...machine.named.map((n) => `${n}: holds no files`),
  ];
  return { sources: machine.sources, remarks, close: () => machine.close() };
}
