import { readFileSync } from "node:fs";
import { messageOf } from "../../formats/error-text.ts";
import type { Carried } from "../../handoff/carry-out.ts";
import { ChoiceError } from "../../handoff/choose-call.ts";
import { PlacementError } from "../../handoff/classic/placement.ts";
import { PlanError } from "../../handoff/classic/plan.ts";
import { findings } from "../../handoff/findings.ts";
import { joinInitrds } from "../../handoff/initrds.ts";
import { type KernelFile, KernelFileError } from "../../handoff/kernel-file.ts";
import { KexecError } from "../../handoff/kexec-errors.ts";
import { type LoadRequest, type ModulePart, noClassicOptions } from "../../handoff/load-request.ts";
import { neededBytes } from "../../handoff/needed-memory.ts";
import type { LoadPlan } from "../../handoff/plan-load.ts";
import { type Finding, PreflightError } from "../../handoff/preflight.ts";
import type { FileRange } from "../../linux/system.ts";
import { composeCommandLine } from "./command-line.ts";
import { noCrashMemory } from "./crash-memory.ts";
import { exitFailed, exitNoFileCall, exitRefused } from "./exit-codes.ts";
import { asType, KernelTypeError, settingsFor } from "./kernel-type.ts";
import { InputError, type InputFile, openInput, readInput } from "./open-file.ts";
import { failureLines, planJson, planLines } from "./plan-report.ts";
import { Progress } from "./progress.ts";
import type { Settings } from "./settings.ts";
import type { KexecSide } from "./side.ts";
import { findingLine, supportFindings, warn } from "./tell.ts";

/** Most bytes that a compressed kernel may unfold to: what its file call takes at least. */
const kernelBytesMax = 2 ** 30;
/** Documentation/arch/arm64/booting.rst: a device tree has at most 2 MiB. */
const devicetreeBytesMax = 2 << 20;
/** Where the running kernel shows the initrd that it was started with, on `retain_initrd`. */
const retainedInitrd = "firmware/initrd";

/** Loads the kernel; the exit code. */
export async function loadKernel(side: KexecSide, settings: Settings, path: string): Promise<number> {
  using keeper = new DisposableStack();
  let plan: LoadPlan;
  try {
    plan = await prepare(side, settings, path, keeper);
  } catch (error) {
    return tellUnplanned(side, settings, path, error);
  }
  if (settings.debug) for (const line of planLines(plan)) side.err(`${line}\n`);
  if (settings.exec) warn(side, findings(plan, side.readMachine()));
  if (plan.call === "classic" && plan.request.entryMode === "16-bit") side.out("Starting the kernel in real mode\n");
  try {
    const { fellBack, plan: carried } = await carryOutWithDebug(side, plan);
    if (fellBack !== null && settings.debug) {
      side.err(`${fellBack}\n`);
      for (const line of planLines(carried)) side.err(`${line}\n`);
    }
    return 0;
  } catch (error) {
    return tellFailed(side, settings, error);
  }
}

/** Tells what would be loaded; the exit code. */
export async function rehearse(side: KexecSide, settings: Settings, path: string): Promise<number> {
  using keeper = new DisposableStack();
  try {
    const plan = await prepare(side, settings, path, keeper);
    const found = allFindings(side, plan);
    if (settings.json) side.out(`${JSON.stringify(planJson(plan, found), null, 2)}\n`);
    else side.out(`${[...planLines(plan), ...found.map(findingLine), "nothing was loaded"].join("\n")}\n`);
    return 0;
  } catch (error) {
    return tellUnplanned(side, settings, path, error);
  }
}

/** Tells what stands against a load; the exit code. */
export async function check(side: KexecSide, settings: Settings, path: string): Promise<number> {
  using keeper = new DisposableStack();
  try {
    const plan = await prepare(side, settings, path, keeper);
    const found = allFindings(side, plan);
    side.out(`${found.map(findingLine).join("\n") || "nothing stands against it"}\n`);
    return found.some(({ severity }) => severity === "refusal") ? exitRefused : 0;
  } catch (error) {
    if (!isRefusal(error)) return tellUnplanned(side, settings, path, error);
    side.out(`${findingLine({ severity: "refusal", what: error.message, remedy: null })}\n`);
    return exitRefused;
  }
}

/** What is worth knowing of a plan, and whether the running kernel could carry it out at all. */
function allFindings(side: KexecSide, plan: LoadPlan): readonly Finding[] {
  return [...supportFindings(plan.state), ...findings(plan, side.readMachine())];
}

function isRefusal(error: unknown): error is Error {
  return error instanceof ChoiceError || error instanceof PreflightError || error instanceof PlanError;
}

/** Opens everything and plans the load; what has to stay open is in `keeper`. */
async function prepare(side: KexecSide, given: Settings, path: string, keeper: DisposableStack): Promise<LoadPlan> {
  const { planLoad } = await side.loader();
  const system = side.system();
  const open = (name: string): InputFile => keeper.use(openInput(system, name));
  const kernel = asType(await readKernel(side, path, keeper), given);
  const { settings, ignored } = settingsFor(kernel.imageKind, given);
  for (const { name } of ignored) side.err(`kexec: warning: ${name} does nothing for ${kernel.imageKind}\n`);
  warnOfSerial(side, settings);
  const initrds = [
    ...(kernel.enclosed?.initrds ?? []),
    ...settings.initrds.map((name) => open(name).range),
    ...(settings.reuseInitrd ? [open(`${side.sysfs}/${retainedInitrd}`).range] : []),
  ];
  const request: LoadRequest = {
    kernel,
    initrd: keeper.use(joinInitrds(system, initrds)).range,
    modules: settings.modules.map((text) => modulePart(text, open)),
    devicetree: settings.devicetree === null ? null : readDevicetree(settings.devicetree, open),
    commandLine: commandLine(side, settings, kernel),
    ...loadOptions(settings),
  };
  return planLoad(system, request, side.readState(), side.readMachine());
}

async function readKernel(side: KexecSide, path: string, keeper: DisposableStack): Promise<KernelFile> {
  const { readKernelFile } = await side.loader();
  const { range } = keeper.use(openInput(side.system(), path));
  using progress = new Progress(side, `unpacking ${path}`);
  const options = { bytesMax: kernelBytesMax, progress: progress.update.bind(progress) };
  return keeper.use(await readKernelFile(side.system(), range, path, options));
}

function warnOfSerial(side: KexecSide, { serialGiven, consoleSerial }: Settings): void {
  if (!serialGiven || consoleSerial) return;
  side.err("kexec: warning: --serial and --serial-baud do nothing without --console-serial\n");
}

/** The first word is the file, all of it is the module's string. */
function modulePart(text: string, open: (name: string) => InputFile): ModulePart {
  return { range: open(text.split(" ")[0] ?? "").range, commandLine: text };
}

/** Devicetree Specification 0.4, section 5.2. */
const devicetreeMagic = 0xd00dfeed;

function readDevicetree(path: string, open: (name: string) => InputFile): Uint8Array {
  const bytes = readInput(open(path), path, devicetreeBytesMax);
  const magic = bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
  if (magic === devicetreeMagic) return bytes;
  throw new InputError(`Cannot read ${path}: a flattened device tree expected`, false);
}

function commandLine(side: KexecSide, settings: Settings, kernel: KernelFile): string {
  return composeCommandLine({
    running: settings.reuseCommandLine ? runningCommandLine(side) : null,
    append: settings.append,
    enclosed: kernel.enclosed?.commandLine ?? null,
    onCrash: settings.target === "crash",
  });
}

function runningCommandLine({ proc }: KexecSide): string {
  return readFileSync(`${proc}/cmdline`, "utf8");
}

type Options = Omit<LoadRequest, "kernel" | "initrd" | "modules" | "devicetree" | "commandLine">;

function loadOptions(settings: Settings): Options {
  return {
    call: settings.call ?? "auto",
    onCrash: settings.target === "crash",
    // A crash may write anywhere, and nobody is in a hurry then.
    digest: settings.checks ? (settings.target === "crash" ? "sha256" : "crc32") : "never",
    entryMode: settings.realMode ? "16-bit" : settings.entry32 ? "32-bit" : null,
    elfArguments: settings.elfArguments ?? "linux",
    classic: {
      ...noClassicOptions,
      memoryMin: settings.memoryMin,
      memoryMax: settings.memoryMax,
      entry: settings.entry,
      preserveContext: settings.target === "returning",
      resetVga: settings.resetVga,
      consoleVga: settings.consoleVga,
      serial: settings.consoleSerial ? { port: settings.serialPort, baud: settings.serialBaud } : null,
      noEfi: settings.noEfi,
      reuseVideoType: settings.reuseVideoType,
      passMemmapCommandLine: settings.passMemmapCommandLine,
      elf32CoreHeaders: settings.elf32CoreHeaders,
      hotplug: settings.hotplug,
    },
    debug: settings.debug,
    noCma: settings.noCma,
    forceDtb: settings.forceDtb,
  };
}

/** Kernels before 6.8 do not know the debug flag of the file call: then it is done without. */
async function carryOutWithDebug(side: KexecSide, plan: LoadPlan): Promise<Carried> {
  const { carryOut } = await side.loader();
  if (plan.call !== "file" || !plan.request.debug) return carryOut(side.system(), plan);
  try {
    return await carryOut(side.system(), { ...plan, choice: { ...plan.choice, fallback: null } });
  } catch (error) {
    // EINVAL: an older kernel does not know the flag. Anything else is its answer, and asking again may count as another load.
    if (!(error instanceof KexecError) || error.code !== "EINVAL") throw error;
    return carryOut(side.system(), { ...plan, request: { ...plan.request, debug: false } });
  }
}

/** Tells why there is no plan; the exit code. */
function tellUnplanned(side: KexecSide, settings: Settings, path: string, error: unknown): number {
  side.err(`${messageOf(error)}\n`);
  // kexec-tools' file call opens files in another way, with another exit code.
  const isFileFirst = settings.call === "file" || settings.call === "auto";
  if (error instanceof InputError) return error.isMissing && isFileFirst ? exitFailed : 1;
  if (error instanceof KernelFileError || error instanceof KernelTypeError) return exitFailed;
  side.err(`Cannot load ${path}\n`);
  // kexec-tools ends at once when it finds no place.
  return error instanceof PlacementError ? 1 : exitFailed;
}

/** Tells why the running kernel did not take it; the exit code. */
function tellFailed(side: KexecSide, { call }: Settings, error: unknown): number {
  side.err(`${messageOf(error)}\n`);
  if (!(error instanceof KexecError)) return exitFailed;
  if (error.plan !== null) for (const line of failureLines(error.plan)) side.err(`${line}\n`);
  return call === "file" && error.code === "ENOSYS" ? exitNoFileCall : exitFailed;
}

/** Tells that there is no memory for a capture kernel, and what this one would take; the exit code. */
export async function tellNoCrashMemory(
  side: KexecSide,
  settings: Settings,
  path: string | undefined,
): Promise<number> {
  side.err(noCrashMemory(side, path === undefined ? null : await wantedBytes(side, settings, path)));
  return 1;
}

/** Bytes of memory that kernel and initrds take when they are loaded; null when the files do not tell. */
async function wantedBytes(side: KexecSide, settings: Settings, path: string): Promise<number | null> {
  using keeper = new DisposableStack();
  try {
    const kernel = await readKernel(side, path, keeper);
    const own = settings.initrds.map((name): FileRange => keeper.use(openInput(side.system(), name)).range);
    const initrds = [...(kernel.enclosed?.initrds ?? []), ...own];
    return neededBytes(kernel, initrds);
  } catch {
    // There is something worse to tell of.
    return null;
  }
}
