import { readFile } from "node:fs/promises";
import { release } from "node:os";
import { MachineSources } from "../discovery/machine-sources.ts";
import { consoles as consoleValues } from "../formats/cmdline.ts";
import { errorCode, messageOf } from "../formats/error-text.ts";
import { nativeSystem } from "../linux/native.ts";
import type { System } from "../linux/system.ts";
import { machineArchitecture } from "../machine/architecture.ts";
import { openConsoles } from "../machine/consoles.ts";
import { readEfiChoices } from "../machine/efi-variables.ts";
import { Remarks } from "../machine/kernel-files.ts";
import { type MachineDescription, readMachineDescription } from "../machine/machine-description.ts";
import { ModuleLoader } from "../machine/modules.ts";
import { type Policy, permissionsOf } from "../trust/policy.ts";
import { type Config, configPath, defaultConfig, parseConfig } from "./config.ts";
import { DeviceEvents } from "./device-events.ts";
import { loadOptions } from "./load-options.ts";
import { BootMeasurer } from "./measured-boot.ts";
import { Report } from "./report.ts";
import { Rescue, type RescueOptions } from "./rescue.ts";
import { BootSession } from "./session.ts";
import { mountEarly, mountKernelFilesystems } from "./setup.ts";
import { effectiveConfig, readFirmwareTrust, readImageTrust } from "./trust.ts";

/** A timer that never matters: as long as it runs, PID 1 has something to wait for and does not exit. */
const longMs = 2 ** 30;

/** The crypto API's alias of every implementation of SHA-256; the kernel takes the quickest that is loaded. */
const digestAlias = "crypto-sha256";

/** What shows coreboot's vital product data; a kernel that has it built in has no such modules. */
const vpdModules = ["coreboot_table", "vpd-sysfs"] as const;

/** PID 1. Never returns and never exits: whatever goes wrong ends in the rescue state. */
export async function runInit(): Promise<never> {
  setInterval(() => {}, longMs);
  const report = new Report();
  const own = new Set<number>();
  // What rescue may do until the configuration is read: the defaults, which allow little.
  const options: { current: RescueOptions } = {
    current: { ...defaultConfig.rescue, edit: false, beforeShell: async () => {} },
  };
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
  const image = await readImageTrust(read);
  const warn = (problem: string): void => report.failure(`warning: ${problem}`);
  /** What a person may do at a console, by a policy; a shell opens nothing that is sealed to this boot. */
  const rescueOptions = (known: Config, { document }: Policy, measurer: BootMeasurer): RescueOptions => ({
    ...known.rescue,
    edit: permissionsOf(document).edit,
    beforeShell: () => measurer.sealOff(),
  });
  // Until the whole policy is known, the image's holds.
  const imageMeasurer = new BootMeasurer(image.policy.document.measure, warn);
  const early = effectiveConfig(read, image.policy, commandLine).config;
  options.current = rescueOptions(early, image.policy, imageMeasurer);
  // Listening begins before looking, so that nothing that appears in between is missed.
  const socket = system.openUeventSocket();
  const modules = await ModuleLoader.open(system, `/lib/modules/${release()}`, early.discovery.probeTimeoutSeconds);
  // EFI variables and coreboot's vital product data may have a say in what is trusted.
  if (read.policy.source?.startsWith("vpd:") === true) {
    for (const name of vpdModules) await modules.load(name);
  }
  problems.push(...(await mountKernelFilesystems(system, (module) => modules.load(module))));
  const trust = await readFirmwareTrust(read, image);
  const { policy } = trust;
  const { config, refused } = effectiveConfig(read, policy, commandLine);
  const measurer = new BootMeasurer(policy.document.measure, warn);
  options.current = rescueOptions(config, policy, measurer);
  for (const override of refused) problems.push(`kernel command line: ${override}`);
  for (const problem of [...problems, ...trust.problems]) warn(problem);
  const { mode } = policy.document;
  if (mode !== "off" && policy.anchors.length === 0) {
    report.failure(`warning: trust is "${mode}" and the image holds no key: nothing can be verified`);
  }

  const timeoutSeconds = config.discovery.probeTimeoutSeconds;
  const events = new DeviceEvents(socket, modules);
  const session = new BootSession({
    system,
    config,
    policy,
    measurer,
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
  for (const problem of modules.problems) warn(problem);
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
