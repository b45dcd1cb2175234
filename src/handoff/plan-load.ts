import type { AddressRange } from "../formats/memory-map.ts";
import type { SetupDataItem } from "../formats/setup-data.ts";
import type { System } from "../linux/system.ts";
import { readCrashFacts } from "../machine/crash-facts.ts";
import type { KexecState } from "../machine/kexec-state.ts";
import type { MachineFacts } from "../machine/machine-facts.ts";
import type { CrashFacts, Platform } from "../machine/platform.ts";
import { PlatformError, readPlatform } from "../machine/read-platform.ts";
import { type CallChoice, chooseCall, type KexecCall } from "./choose-call.ts";
import type { ClassicDigest } from "./classic/load-classic.ts";
import type { ClassicPlan } from "./classic/plan.ts";
import { planBzImage } from "./classic/plan-bzimage.ts";
import { planElf } from "./classic/plan-elf.ts";
import { planMultiboot } from "./classic/plan-multiboot.ts";
import { planNbi } from "./classic/plan-nbi.ts";
import type { LoadRequest } from "./load-request.ts";
import { refuseUnloadable } from "./preflight.ts";
import { type RecordCarrier, type RecordWay, recordWay } from "./record.ts";

/** A load, decided: by which call, why, and for the classic call every segment. Nothing was loaded yet. */
export type LoadPlan = FilePlan | ClassicLoadPlan;

interface Planned {
  readonly choice: CallChoice;
  /** With the initrd that is loaded: the record is behind it where that is its way. */
  readonly request: LoadRequest;
  /** What the target is told of its boot; null: nothing was to be told. */
  readonly record: RecordCarrier | null;
  /** How that reaches the target; null: there is nothing, or the target takes none. */
  readonly recordWay: RecordWay | null;
  /** What the running kernel said of itself when this was planned. */
  readonly state: KexecState;
  /** What people should know. */
  readonly remarks: readonly string[];
}

export interface FilePlan extends Planned {
  readonly call: "file";
}

export interface ClassicLoadPlan extends Planned {
  readonly call: "classic";
  readonly plan: ClassicPlan;
  /** What the purgatory compares the loaded bytes with; null: it does not. */
  readonly digest: ClassicDigest | null;
}

/** The highest physical address that x86_64 and arm64 can have, plus one. */
const addressEnd = 2 ** 52;

/**
 * Chooses the call, checks what can be checked before, and plans the load. It reads what the machine is and changes
 * nothing. Throws ChoiceError, PreflightError, PlanError or PlacementError: sentences.
 *
 * @param record what the target is told of its boot, for an image that takes it
 */
export async function planLoad(
  system: System,
  request: LoadRequest,
  state: KexecState,
  machine: MachineFacts,
  record: RecordCarrier | null = null,
): Promise<LoadPlan> {
  const choice = chooseCall(request, state);
  refuseUnloadable(request, choice.call, machine);
  try {
    return await planWith(system, request, state, choice, record);
  } catch (error) {
    // The running kernel knows its own memory, also where it shows it to nobody.
    if (choice.fallback !== "file" || !(error instanceof PlatformError)) throw error;
    refuseUnloadable(request, "file", machine);
    const reason = `kexec_load cannot be planned: ${error.message}`;
    return planWith(system, request, state, { call: "file", reason, fallback: null }, record);
  }
}

/** Plans the load by the other call, after the running kernel did not take the first. */
export async function planFallback(system: System, plan: LoadPlan, call: KexecCall, reason: string): Promise<LoadPlan> {
  return planWith(system, plan.request, plan.state, { call, reason, fallback: null }, plan.record);
}

async function planWith(
  system: System,
  asked: LoadRequest,
  state: KexecState,
  choice: CallChoice,
  record: RecordCarrier | null,
): Promise<LoadPlan> {
  const { remarks } = asked.kernel;
  const way = record === null ? null : recordWay(asked, choice.call);
  const request = way === "initrd" && record !== null ? { ...asked, initrd: record.initrd() } : asked;
  const settled = { choice, request, record, recordWay: way, state } as const;
  if (choice.call === "file") return { call: "file", ...settled, remarks };
  const platform = await readPlatform(system);
  const crash = request.onCrash ? await readCrashFacts(platform) : null;
  const items = way === "setup data" ? (record?.setupData ?? []) : [];
  const plan = planClassic(request, platform, crash, system.randomBytes(seedBytes), items);
  return {
    call: "classic",
    ...settled,
    remarks: [...remarks, ...platform.remarks, ...plan.remarks],
    plan,
    digest: request.digest === "sha256" || request.digest === "crc32" ? request.digest : null,
  };
}

/** For the target's random numbers. */
const seedBytes = 32;

/** The segments of a classic load. Pure but for reading the image. */
function planClassic(
  request: LoadRequest,
  platform: Platform,
  crash: CrashFacts | null,
  randomSeed: Uint8Array,
  setupData: readonly SetupDataItem[],
): ClassicPlan {
  const { kernel, classic, initrd } = request;
  const bounds: AddressRange = { start: classic.memoryMin ?? 0, end: (classic.memoryMax ?? addressEnd - 1) + 1 };
  const context = {
    platform,
    bounds,
    crash: crash === null ? null : { facts: crash },
    commandLine: request.commandLine,
    devicetree: request.devicetree,
    console: { vga: classic.consoleVga, serial: classic.serial, resetVga: classic.resetVga },
    randomSeed,
    setupData,
    noEfi: classic.noEfi,
    reuseVideoType: classic.reuseVideoType,
    preserveContext: classic.preserveContext,
    elf32CoreHeaders: classic.elf32CoreHeaders,
    passMemmapCommandLine: classic.passMemmapCommandLine,
    hotplug: classic.hotplug,
    entryOverride: classic.entry,
  };
  const part = { range: kernel.image, read: kernel.read };
  switch (kernel.imageKind) {
    case "bzImage64":
      return planBzImage(part, initrd, context, request.entryMode ?? "64-bit");
    case "bzImage":
      return planBzImage(part, initrd, context, request.entryMode ?? "32-bit");
    case "elf-x86_64":
    case "elf-x86":
      return planElf(part, initrd, context, request.elfArguments);
    case "multiboot-x86":
      return planMultiboot(part, request.modules, context, 1);
    case "multiboot2-x86":
      return planMultiboot(part, request.modules, context, 2);
    case "nbi-x86":
      return planNbi(part, context);
    default:
      throw new Error(`${kernel.name}: kexec_load starts no ${kernel.imageKind} on ${platform.architecture}`);
  }
}
