import { quote } from "../formats/format-error.ts";
import type { FileRange, System } from "../linux/system.ts";
import { readRangeOf } from "../machine/file-range.ts";
import type { KexecState } from "../machine/kexec-state.ts";
import type { MachineFacts } from "../machine/machine-facts.ts";
import type { MemoryFile } from "../trust/memory-file.ts";
import type { VerifiedBoot } from "../trust/verify.ts";
import { type CarryHooks, carryOut } from "./carry-out.ts";
import { callName } from "./choose-call.ts";
import { targetCommandLine } from "./command-line.ts";
import { joinInitrds } from "./initrds.ts";
import { type KernelFile, readKernelFile } from "./kernel-file.ts";
import { type ModulePart, plainRequest } from "./load-request.ts";
import { type LoadPlan, planLoad } from "./plan-load.ts";
import { PreflightError } from "./preflight.ts";
import { HandedOverFiles, type MakeHandedOver, type SettledFacts } from "./record.ts";
import { type InitrdPiece, optionsAtLoad, rangesOfPieces, readHandover } from "./uki-options.ts";

declare const loaded: unique symbol;

/** A kernel that waits for the jump. Only {@link load} makes one. */
export interface LoadedKernel {
  readonly [loaded]: true;
  readonly commandLine: string;
}

export interface LoadOptions {
  /** Whether `BOOT_IMAGE=…` is put first for formats whose loaders do so. */
  readonly bootImage: boolean;
  /**
   * `auto`: no second digest of bytes that were read into sealed memory an instant ago, where the call is free to choose.
   * `later`: a quick one, for the jump does not follow at once. `always`: SHA-256.
   */
  readonly digest: "auto" | "later" | "always";
  /** Most bytes that a compressed kernel may unfold to. */
  readonly kernelBytesMax: number;
  /** Most bytes that the initramfs of an OS package may unfold to. */
  readonly initrdBytesMax: number;
  readonly state: KexecState;
  readonly machine: MachineFacts;
}

const digests = { auto: "verified", later: "crc32", always: "sha256" } as const;

/** A load of a verified entry, decided and checked, not yet carried out. */
export interface PlannedBoot extends Disposable {
  readonly plan: LoadPlan;
}

/**
 * Decides how a verified entry is handed over. Throws PreflightError, ChoiceError, PlanError or what reading the kernel
 * throws, each with the reason why it cannot be.
 *
 * @param handOver makes what the target is told of its boot; without it the target is told nothing
 */
export async function planBoot(
  system: System,
  boot: VerifiedBoot,
  options: LoadOptions,
  handOver?: MakeHandedOver,
): Promise<PlannedBoot> {
  using keeper = new DisposableStack();
  const { kernel, contents, facts } = await settle(system, keeper, boot, options);
  const initrd = keeper.use(joinInitrds(system, contents.initrds));
  const request = {
    ...plainRequest,
    kernel,
    initrd: initrd.range,
    modules: modulesOf(boot, kernel),
    commandLine: facts.commandLine,
    digest: digests[options.digest],
  } as const;
  const handed = handOver === undefined ? null : await handOver(facts);
  const record = handed === null ? null : keeper.use(new HandedOverFiles(system, handed, initrd.range));
  const plan = await planLoad(system, request, options.state, options.machine, record);
  const kept = keeper.move();
  return { plan, [Symbol.dispose]: () => kept.dispose() };
}

type SettleOptions = Pick<LoadOptions, "bootImage" | "kernelBytesMax" | "initrdBytesMax">;

/** What of a load does not depend on the machine. */
interface Settled {
  readonly kernel: KernelFile;
  readonly contents: Contents;
  readonly facts: SettledFacts;
}

async function settle(
  system: System,
  keeper: DisposableStack,
  boot: VerifiedBoot,
  options: SettleOptions,
): Promise<Settled> {
  if (boot.devicetree !== null) {
    throw new PreflightError("the entry has a device tree; a kernel for x86_64 takes none by kexec");
  }
  const { entry } = boot;
  const file = rangeOf(boot.kernel);
  const { path } = entry.linux;
  // Few boots need it.
  const packages = entry.format === "ospkg" ? await import("./os-package-contents.ts") : null;
  const unpacked = packages === null ? null : await packages.openOsPackage(system, keeper, file, path, options);
  const kernelOptions = { bytesMax: options.kernelBytesMax, part: entry.part };
  const kernel = keeper.use(
    await readKernelFile(system, unpacked?.kernel ?? file, unpacked?.kernelName ?? path, kernelOptions),
  );
  const isUnified = kernel.kind === "uki";
  const contents =
    packages !== null && unpacked !== null
      ? packages.osPackageHandover(entry, kernel, unpacked)
      : isUnified
        ? unifiedContents(system, keeper, boot, kernel)
        : plainContents(boot, kernel);
  const commandLine = targetCommandLine({ ...entry, options: contents.options }, options.bootImage);
  return { kernel, contents, facts: { commandLine, unified: isUnified ? kernel.container : null } };
}

/**
 * What is settled of a load before it is planned, on whatever machine. Throws as {@link planBoot} does.
 *
 * @param keeper what the facts point to is there until it is disposed
 */
export async function settledFacts(
  system: System,
  keeper: DisposableStack,
  boot: VerifiedBoot,
  options: SettleOptions,
): Promise<SettledFacts> {
  return (await settle(system, keeper, boot, options)).facts;
}

/** What an entry hands over besides its kernel. */
interface Contents {
  readonly initrds: readonly FileRange[];
  readonly options: string;
}

/** What a container brings comes first: its initrd, and where it holds options (an Android boot image) these. */
function plainContents({ entry, initrd }: VerifiedBoot, { name, kind, enclosed }: KernelFile): Contents {
  if (entry.embedded || entry.addons.length > 0) {
    throw new PreflightError(`${name}: a unified kernel image expected, as when it was listed, found ${kind}`);
  }
  return {
    initrds: [...(enclosed?.initrds ?? []), ...(initrd === null ? [] : [rangeOf(initrd)])],
    options: [enclosed?.commandLine ?? "", entry.options].filter((part) => part !== "").join(" "),
  };
}

/**
 * What a unified kernel image and its add-ons hand over, read from the bytes that were verified. The options of an entry of
 * the Boot Loader Specification have to be those that were listed; other configurations give their own, or else the
 * image's own hold.
 */
function unifiedContents(system: System, keeper: DisposableStack, boot: VerifiedBoot, kernel: KernelFile): Contents {
  const { entry } = boot;
  const { container } = kernel;
  const handover = readHandover(
    readRangeOf(container),
    container.length,
    entry.part,
    boot.addons.map((range) => ({ read: readRangeOf(range), size: range.length })),
  );
  const specified = entry.format === "uki" || entry.format === "bls1";
  const options = specified ? optionsAtLoad(entry, handover) : entry.options || handover.options;
  if (specified && options !== entry.options) {
    throw new PreflightError(`${kernel.name} changed since it was listed: its options are ${quote(options)}`);
  }
  const ranges = (pieces: readonly InitrdPiece[]): FileRange[] =>
    rangesOfPieces(system, keeper, pieces, container, boot.addons);
  const own = boot.initrd === null ? [] : [rangeOf(boot.initrd)];
  // A type 2 entry's own files are companions of the image; of others they are what stands in for its initrd.
  const [before, behind] = entry.format === "uki" ? [[], own] : [own, []];
  return {
    initrds: [
      ...ranges(handover.microcode),
      ...before,
      ...ranges(handover.initrd),
      ...behind,
      ...ranges(handover.closing),
    ],
    options,
  };
}

/** An entry's multiboot modules, each with its string. */
function modulesOf({ entry, modules }: VerifiedBoot, kernel: KernelFile): readonly ModulePart[] {
  if (entry.modules.length > 0 && kernel.imageKind !== "multiboot2-x86" && kernel.imageKind !== "multiboot-x86") {
    throw new PreflightError(
      `the entry has modules, which only a multiboot kernel takes; ${kernel.name} is ${kernel.imageKind}`,
    );
  }
  return modules.map((range, index) => ({ range, commandLine: entry.modules[index]?.options ?? "" }));
}

function rangeOf(file: MemoryFile): FileRange {
  return { fd: file.fd, offset: 0, length: file.size };
}

/** What the purgatory compares, for people. */
const digestNames = { sha256: "a SHA-256", crc32: "a CRC-32" } as const;

/** How a plan hands over and why, as one clause: `kexec_load without a digest: it is quicker…`. */
export function describeHandoff(plan: LoadPlan): string {
  const digest =
    plan.call === "file"
      ? "the running kernel's own digest"
      : plan.digest === null
        ? "no second digest"
        : digestNames[plan.digest];
  const untold =
    plan.record !== null && plan.recordWay === null
      ? `; ${plan.request.kernel.imageKind} is told nothing of its boot, for it takes no boot parameters of Linux`
      : "";
  return `${callName(plan.call)}, ${digest}: ${plan.choice.reason}${untold}`;
}

/** What a boot says and does around a load. */
export interface LoadSteps extends CarryHooks {
  /** Told once how it is going to be loaded, and again when the running kernel wanted it otherwise. */
  readonly decided?: (handoff: string) => void;
  /** Makes the record that the target gets of its boot; without it the target gets none. */
  readonly handOver?: MakeHandedOver;
}

/** Loads a verified entry. Rejects with a message that tells what the refusal means. */
export async function load(
  system: System,
  boot: VerifiedBoot,
  options: LoadOptions,
  steps: LoadSteps = {},
): Promise<LoadedKernel> {
  using planned = await planBoot(system, boot, options, steps.handOver);
  steps.decided?.(describeHandoff(planned.plan));
  const { plan, fellBack } = await carryOut(system, planned.plan, steps);
  if (fellBack !== null) steps.decided?.(describeHandoff(plan));
  const kernel = { commandLine: plan.request.commandLine };
  // The brand exists in the type only; this is the one place that gives it.
  return kernel as typeof kernel & Pick<LoadedKernel, typeof loaded>;
}
