import {
  bootParamsBytes,
  e820EntriesMax,
  extendedE820,
  readBootParams,
  writeBootParams,
} from "../../formats/boot-params.ts";
import { eddDisksMax } from "../../formats/edd.ts";
import type { MemoryRange } from "../../formats/memory-map.ts";
import { chooseScreenInfo, textScreenInfo } from "../../formats/screen-info.ts";
import {
  type EfiFacts,
  efiInfo,
  efiMemoryMap,
  type SetupDataItem,
  setupDataBytes,
  setupDataChain,
  setupDataType,
  setupEfi,
} from "../../formats/setup-data.ts";
import type { FileRange } from "../../linux/system.ts";
import { type ClassicPlan, PlanError, type TargetEntry } from "./plan.ts";
import type { PlanContext } from "./plan-context.ts";
import { type CrashParts, placeCrashParts } from "./plan-crash.ts";
import { initrdName, PlanDraft } from "./plan-draft.ts";
import { jumpBackTextBytesMax } from "./purgatory.ts";

/** What a planner of Linux kernels knows of the image. */
export interface LinuxImage {
  /** The first bytes of a bzImage; null for a vmlinux, which has no setup header. */
  readonly head: Uint8Array | null;
  /** Of the boot protocol: 0x20f is 2.15. */
  readonly protocol: number;
  /** Without its NUL. */
  readonly commandLineBytesMax: number;
  /** Whether it can take over EFI runtime services from another kernel (XLF_EFI_KEXEC). */
  readonly efiKexec: boolean;
  readonly mode: "64-bit" | "32-bit";
  /** The address after the highest one that boot parameters may have; `addressEnd`: anywhere. */
  readonly parametersEnd: number;
  /** The same for the initrd. */
  readonly initrdEnd: number;
}

/** Where an image was placed, and how it is entered. */
export interface LinuxPlace {
  /** Of the protected-mode kernel; physical. */
  readonly kernelAddress: number;
  readonly target: (parameters: number) => TargetEntry;
}

/** Low memory holds what a BIOS left there; kexec-tools has kept out of it for long. */
const parametersMin = 0x3000;
const setupDataMin = 2 ** 20;
/** Kernels unpack themselves to 16 MiB by default, and older ones do so without a look at where their initrd lies. */
const initrdMin = 16 * 2 ** 20;
/** Setup data came with protocol 2.09 (boot.rst). */
const setupDataProtocol = 0x209;

/**
 * Plans a Linux kernel by the 64-bit or the 32-bit boot protocol (Linux, Documentation/arch/x86/boot.rst): the image,
 * which `placeImage` puts into the draft, its initrd, boot parameters with the command line, and setup data.
 */
export function planLinux(
  image: LinuxImage,
  initrd: FileRange | null,
  context: PlanContext,
  placeImage: (draft: PlanDraft) => LinuxPlace,
): ClassicPlan {
  const draft = new PlanDraft(context);
  const { kernelAddress, target } = placeImage(draft);
  const initrdPlace = placeInitrd(draft, initrd, image.initrdEnd);
  draft.placePurgatory(image.mode);
  const efi = context.noEfi || !image.efiKexec ? null : context.platform.efi;
  const crash = context.crash === null ? null : placeCrashParts(draft, context.crash.facts, efi !== null);
  const commandLine = crash?.commandLine ?? context.commandLine;
  const memory = crash?.memory ?? draft.targetMemory();
  const text = commandLineBytes(commandLine, image.commandLineBytesMax, context.preserveContext);
  const setup = addSetupData(draft, image, efi, memory);
  const parameters = draft.place("boot parameters", bootParamsBytes + text.length, {
    min: parametersMin,
    max: image.parametersEnd,
    from: "top",
  });
  const screen = chooseScreen(context);
  const page = writeBootParams({
    ...runningFacts(context),
    head: image.head,
    kernelAddress,
    commandLineAddress: parameters + bootParamsBytes,
    initrd: initrdPlace,
    memory,
    screenInfo: screen.screenInfo,
    rsdp: context.platform.rsdp,
    efiInfo: setup.efiInfo,
    setupData: setup.address,
  });
  draft.add({ name: "boot parameters", address: parameters, content: { kind: "bytes", bytes: joined(page, text) } });
  return draft.finish({
    target: target(parameters),
    commandLine,
    backup: crash?.backup ?? null,
    jumpBackCommandLineEnd: context.preserveContext ? parameters + bootParamsBytes + text.indexOf(0) : null,
    remarks: [...optional(screen.remark), ...setup.remarks, ...rootPointerRemark(context, efi, crash)],
  });
}

/** The command line with its NUL, and behind it room for what the purgatory adds. */
export function commandLineBytes(commandLine: string, most: number, withJumpBack: boolean): Uint8Array {
  if (commandLine.includes("\0")) throw new PlanError("the command line holds a NUL, which would end it");
  const text = new TextEncoder().encode(commandLine);
  const added = withJumpBack ? jumpBackTextBytesMax - 1 : 0;
  if (text.length + added > most) {
    const addition = added === 0 ? "" : `, and up to ${added} are added for the way back`;
    throw new PlanError(`the command line has ${text.length} bytes${addition}; this kernel takes at most ${most}`);
  }
  return joined(text, new Uint8Array(1 + added));
}

/** Places an initrd; an empty one is none. */
export function placeInitrd(
  draft: PlanDraft,
  initrd: FileRange | null,
  end: number,
): { readonly address: number; readonly bytes: number } | null {
  if (initrd === null || initrd.length === 0) return null;
  const address = draft.place(initrdName, initrd.length, { min: initrdMin, max: end, from: "top" });
  draft.add({ name: initrdName, address, content: { kind: "file", range: initrd } });
  return { address, bytes: initrd.length };
}

/** What the screen shows when the target starts; a purgatory that resets it leaves text. */
export function chooseScreen({ platform, console, reuseVideoType }: PlanContext): ReturnType<typeof chooseScreenInfo> {
  if (console.resetVga) return { screenInfo: textScreenInfo(), remark: null };
  return chooseScreenInfo({ display: platform.display, running: platform.bootParams, reuseVideoType });
}

interface SetupData {
  /** Of the first record; 0: none. */
  readonly address: number;
  readonly efiInfo: Uint8Array | null;
  readonly remarks: readonly string[];
}

/** One segment with the chain of setup data and behind it the EFI memory map that boot parameters point to. */
function addSetupData(
  draft: PlanDraft,
  image: LinuxImage,
  efi: EfiFacts | null,
  memory: readonly MemoryRange[],
): SetupData {
  if (image.protocol < setupDataProtocol) {
    const lost = memory.length - e820EntriesMax;
    const remark = `this kernel is told ${e820EntriesMax} ranges of memory; ${lost} more are kept from it`;
    return { address: 0, efiInfo: null, remarks: lost > 0 ? [remark] : [] };
  }
  const items = setupDataItems(draft.context, efi, memory);
  const map = efi === null ? new Uint8Array(0) : efiMemoryMap(efi.runtimeMap);
  const chainBytes = setupDataBytes(items);
  const address = draft.place("setup data", chainBytes + map.length, {
    min: setupDataMin,
    max: image.parametersEnd,
    from: "top",
  });
  const bytes = joined(setupDataChain(items, address), map);
  draft.add({ name: "setup data", address, content: { kind: "bytes", bytes } });
  const place = { memoryMapAddress: address + chainBytes, memoryMapBytes: map.length };
  return {
    address,
    efiInfo: efi === null ? null : efiInfo({ systemTable: efi.systemTable, ...place }),
    remarks: [],
  };
}

function setupDataItems(context: PlanContext, efi: EfiFacts | null, memory: readonly MemoryRange[]): SetupDataItem[] {
  const { devicetree, randomSeed, setupData } = context;
  const item = (type: number, data: Uint8Array | null): SetupDataItem[] => (data === null ? [] : [{ type, data }]);
  return [
    ...item(setupDataType.e820Extension, extendedE820(memory)),
    ...item(setupDataType.efi, efi === null ? null : setupEfi(efi)),
    ...item(setupDataType.rngSeed, randomSeed),
    ...item(setupDataType.deviceTree, devicetree),
    ...setupData,
  ];
}

/** What the running kernel was told and the target is told again. */
function runningFacts({
  platform,
}: PlanContext): Pick<Parameters<typeof writeBootParams>[0], "hardwareSubarch" | "secureBoot" | "edd"> {
  const running = platform.bootParams === null ? null : readBootParams(platform.bootParams);
  return {
    hardwareSubarch: running?.hardwareSubarch ?? 0,
    secureBoot: running?.secureBoot ?? 0,
    edd: platform.edd.slice(0, eddDisksMax),
  };
}

/** A BIOS kernel finds the ACPI root pointer in the BIOS' memory; one on EFI firmware, only if it is told. */
function rootPointerRemark({ platform }: PlanContext, efi: EfiFacts | null, crash: CrashParts | null): string[] {
  if (platform.rsdp !== null || efi !== null) return [];
  const isBios = platform.bootParams !== null && readBootParams(platform.bootParams).efi === null;
  if (isBios && platform.efi === null) return [];
  const who = crash === null ? "the target" : "the capture kernel";
  return [`nothing tells where the ACPI root pointer is: unless ${who} finds it in a BIOS, it starts without ACPI`];
}

function optional(remark: string | null): string[] {
  return remark === null ? [] : [remark];
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
