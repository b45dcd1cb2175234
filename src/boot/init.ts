import { readFile } from "node:fs/promises";
import { release } from "node:os";
import { MachineSources } from "../discovery/machine-sources.ts";
import { consoles as consoleValues, parameters } from "../formats/cmdline.ts";
import { errorCode, messageOf } from "../formats/error-text.ts";
import { nativeSystem } from "../linux/native.ts";
import type { System } from "../linux/system.ts";
import { machineArchitecture } from "../machine/architecture.ts";
import { openConsoles } from "../machine/consoles.ts";
import { readEfiChoices } from "../machine/efi-variables.ts";
import { Remarks } from "../machine/kernel-files.ts";
import { type MachineDescription, readMachineDescription } from "../machine/machine-description.ts";
import { ModuleLoader } from "../machine/modules.ts";
import { readKeysIfAny } from "../trust/policy.ts";
import { type Config, configPath, defaultConfig, keysDirectory, overrideConfig, parseConfig } from "./config.ts";
import { DeviceEvents } from "./device-events.ts";
import { loadOptions } from "./load-options.ts";
import { Report } from "./report.ts";
import { Rescue, type RescueOptions } from "./rescue.ts";
import { BootSession } from "./session.ts";
import { mountEarly, mountKernelFilesystems } from "./setup.ts";

/** A timer that never matters: as long as it runs, PID 1 has something to wait for and does not exit. */
const longMs = 2 ** 30;

/** The crypto API's alias of every implementation of SHA-256; the kernel takes the quickest that is loaded. */
const digestAlias = "crypto-sha256";

/** PID 1. Never returns and never exits: whatever goes wrong ends in the rescue state. */
export async function runInit(): Promise<never> {
  setInterval(() => {}, longMs);
  const report = new Report();
  const own = new Set<number>();
  // What rescue may do until the configuration is read: the defaults, which allow little.
  const options: { current: RescueOptions } = { current: defaultConfig.rescue };
  let session: BootSession | null = null;
  let rescue: Rescue | null = null;
  const enterRescue = (reason: string): void => {
    rescue ??= new Rescue(nativeSystem(), report, options.current, () => session, own);
    rescue.enter(reason);
  };
  const fail = (what: string, error: unknown): void => {
    const text = messageOf(error);
    try {
      enterRescue(`${what}: ${text}`);
    } catch (second) {
      report.failure(`rescue: ${what}: ${text} (and then: ${messageOf(second)})`);
    }
  };
  process.on("uncaughtException", (error) => fail("internal error", error));
  process.on("unhandledRejection", (error) => fail("internal error", error));
  try {
    const system = nativeSystem();
    process.on("SIGCHLD", () => void system.reapOrphans(own));
    session = await prepare(system, report, options);
    await session.run(enterRescue);
  } catch (error) {
    fail("start", error);
  }
  return new Promise<never>(() => {});
}

/** Everything before the search: mounts, consoles, configuration, keys, drivers. Throws what makes a boot impossible. */
async function prepare(system: System, report: Report, options: { current: RescueOptions }): Promise<BootSession> {
  const problems = mountEarly(system);
  report.mark("init");
  const commandLine = await readFile("/proc/cmdline", "utf8");
  report.consoles = await openConsoles(consoleValues(commandLine));
  const read = await readConfig();
  const { config, refused } = overrideConfig(read, parameters(commandLine.trim()));
  options.current = config.rescue;
  for (const override of refused) problems.push(`kernel command line: ${override}`);
  const { keys, problems: keyProblems } = await readKeysIfAny(keysDirectory);
  for (const problem of [...problems, ...keyProblems]) report.failure(`warning: ${problem}`);
  if (config.trust !== "off" && keys.length === 0) {
    report.failure(`warning: trust is "${config.trust}" and the image holds no key: nothing can be verified`);
  }

  const timeoutSeconds = config.discovery.probeTimeoutSeconds;
  // Listening begins before looking, so that nothing that appears in between is missed.
  const socket = system.openUeventSocket();
  const modules = await ModuleLoader.open(system, `/lib/modules/${release()}`, timeoutSeconds);
  const events = new DeviceEvents(socket, modules);
  const session = new BootSession({
    system,
    config,
    policy: { mode: config.trust, keys },
    report,
    architecture: machineArchitecture(),
    handoff: () => loadOptions(config),
    efiChoices: () => readEfiChoices(),
    machine: machineReader(report),
    quickenDigest: () => modules.load(digestAlias),
    sources: new MachineSources(system, modules, timeoutSeconds),
    events,
  });
  await modules.coldPlug();
  const unmounted = await mountKernelFilesystems(system, (module) => modules.load(module));
  for (const problem of [...modules.problems, ...unmounted]) report.failure(`warning: ${problem}`);
  void events.listen();
  return session;
}

/** Reads the machine's description at the first search, when the drivers are there, and no more. */
function machineReader(report: Report): () => MachineDescription {
  let known: MachineDescription | null = null;
  return () => {
    if (known !== null) return known;
    const remarks = new Remarks();
    known = readMachineDescription(remarks);
    for (const remark of remarks.sentences) report.failure(`warning: ${remark}`);
    return known;
  };
}

/** A missing file means the defaults; a file that is not valid stops the boot, for nobody knows what it was to forbid. */
async function readConfig(): Promise<Config> {
  const text = await readFile(configPath, "utf8").catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return null;
    throw error;
  });
  return text === null ? defaultConfig : parseConfig(text, configPath);
}
