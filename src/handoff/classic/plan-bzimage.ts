import { realModeHeapEnd, writeRealModeSetup } from "../../formats/boot-params.ts";
import { alignUp } from "../../formats/byte-writer.ts";
import { type BzImage, bzImageFileProblem, bzImageHeadBytesMax, parseBzImage } from "../../formats/bzimage.ts";
import type { FileRange } from "../../linux/system.ts";
import { fileRange } from "./image-pieces.ts";
import { addressEnd, pageBytes } from "./placement.ts";
import { type ClassicPlan, PlanError } from "./plan.ts";
import { type KernelPart, type PlanContext, planning } from "./plan-context.ts";
import { PlanDraft } from "./plan-draft.ts";
import { commandLineBytes, type LinuxImage, type LinuxPlace, placeInitrd, planLinux } from "./plan-linux.ts";

/** Which of a bzImage's entry points is used. */
export type BzImageEntry = "64-bit" | "32-bit" | "16-bit";

/** boot.rst, "LOADING THE REST OF THE KERNEL": where a kernel goes that is not told otherwise, and none lies below. */
const kernelMin = 2 ** 20;
const fourGib = 2 ** 32;
/** 32-bit kernels map the first 896 MiB only; the value is that of initrd_addr_max in boot.rst, plus one. */
const lowMemoryEnd = 0x38000000;
/** boot.rst, "64-bit BOOT PROTOCOL": the entry point is so far from the start of the protected-mode kernel. */
const entry64Offset = 0x200;

/**
 * Plans a Linux bzImage. Throws PlanError or PlacementError, sentences, for an image or a command line that cannot be,
 * and for what does not fit.
 */
export function planBzImage(
  kernel: KernelPart,
  initrd: FileRange | null,
  context: PlanContext,
  entry: BzImageEntry,
): ClassicPlan {
  return planning(() => {
    const bz = readBzImage(kernel);
    if (context.crash !== null && !bz.image.relocatable) {
      throw new PlanError("this kernel is not relocatable, so it cannot be loaded into the crash region");
    }
    if (entry === "16-bit") return planRealMode(kernel, bz, initrd, context);
    refuseEntry(bz.image, context, entry);
    const linux = linuxImage(bz, entry);
    return planLinux(linux, initrd, context, (draft) => placeImage(draft, kernel, bz, linux));
  });
}

interface BzFile {
  readonly head: Uint8Array;
  readonly image: BzImage;
  /** Of the protected-mode kernel in the file. A signature behind it is for others. */
  readonly systemBytes: number;
}

function readBzImage({ range, read }: KernelPart): BzFile {
  const head = read(0, Math.min(bzImageHeadBytesMax, range.length));
  const image = parseBzImage(head);
  const problem = bzImageFileProblem(image, range.length);
  if (problem !== null) throw new PlanError(problem);
  const rest = range.length - image.setupBytes;
  // What the header says is rounded up: the file may end a little before it.
  const systemBytes = Math.min(image.systemBytes ?? rest, rest);
  if (systemBytes === 0) throw new PlanError("the kernel's header says that it has no bytes (syssize)");
  return { head, image, systemBytes };
}

function refuseEntry(image: BzImage, { platform }: PlanContext, entry: "64-bit" | "32-bit"): void {
  if (entry === "32-bit") return;
  if (!image.kernel64) {
    throw new PlanError("this kernel has no 64-bit entry point (XLF_KERNEL_64); --entry-32bit uses the other one");
  }
  if (platform.fiveLevelPaging && !image.fiveLevelPaging) {
    throw new PlanError(
      "this machine runs with 5-level page tables, which this kernel cannot be entered with (XLF_5LEVEL); " +
        "start the running kernel with no5lvl, or use --entry-32bit",
    );
  }
}

function linuxImage({ head, image }: BzFile, mode: "64-bit" | "32-bit"): LinuxImage {
  const anywhere = mode === "64-bit" && image.canBeLoadedAbove4G;
  return {
    head,
    protocol: image.protocol,
    commandLineBytesMax: image.commandLineBytesMax,
    efiKexec: image.efiKexec,
    mode,
    parametersEnd: anywhere ? addressEnd : fourGib,
    initrdEnd: anywhere ? addressEnd : image.initrdAddressMax + 1,
  };
}

function placeImage(draft: PlanDraft, kernel: KernelPart, bz: BzFile, linux: LinuxImage): LinuxPlace {
  const end = bz.image.kernel64 ? linux.parametersEnd : lowMemoryEnd;
  const kernelAddress = addSystem(draft, kernel, bz, end);
  if (linux.mode === "64-bit") {
    const address = kernelAddress + entry64Offset;
    return { kernelAddress, target: (rsi) => ({ mode: "64-bit", address, rsi }) };
  }
  return {
    kernelAddress,
    target: (esi) => ({ mode: "32-bit", address: kernelAddress, eax: 0, ebx: 0, esi }),
  };
}

/**
 * Puts the protected-mode kernel somewhere, with all the memory that it needs before it can read a memory map
 * (init_size): it moves its compressed self to the end of that and unpacks over the start.
 */
function addSystem(draft: PlanDraft, kernel: KernelPart, { image, systemBytes }: BzFile, end: number): number {
  const memoryBytes = alignUp(Math.max(image.initBytes, systemBytes), pageBytes);
  const address = placeSystem(draft, image, memoryBytes, end);
  const range = fileRange(kernel, { offset: image.setupBytes, length: systemBytes });
  draft.add({ name: "kernel", address, content: { kind: "file", range }, reservedBytes: memoryBytes });
  return address;
}

function placeSystem(draft: PlanDraft, image: BzImage, memoryBytes: number, end: number): number {
  const preferred = Number(image.preferredAddress ?? 0n) || kernelMin;
  if (!image.relocatable) {
    draft.placement.reserve("kernel", preferred, memoryBytes);
    return preferred;
  }
  // One that is loaded lower moves itself up to there, whatever lies in its way (boot.rst, pref_address).
  const min = Math.max(kernelMin, preferred);
  return draft.place("kernel", memoryBytes, { align: image.kernelAlignmentBytes, min, max: end, from: "top" });
}

/** The end of what real-mode setup code and its BIOS calls can reach. */
const realModeEnd = 0xa0000;
/** The lowest place: the first pages hold what the BIOS works with, and old setup code counts on more room. */
const realModeMin = 0x10000;
const segmentUnit = 16;
/** The entry point of setup code, in paragraphs from the boot sector. */
const setupEntryParagraphs = 0x20;

/**
 * By the 16-bit protocol (boot.rst, "RUNNING THE KERNEL"): the setup code asks the BIOS for memory, screen and disks
 * itself.
 */
function planRealMode(kernel: KernelPart, bz: BzFile, initrd: FileRange | null, context: PlanContext): ClassicPlan {
  const { image, head } = bz;
  if (context.crash !== null) {
    throw new PlanError("a capture kernel cannot be entered in real mode: the BIOS does not know of the crash region");
  }
  if (image.setupBytes > realModeHeapEnd - 0x200) {
    throw new PlanError(
      `${image.setupBytes} bytes of setup code; at most ${realModeHeapEnd - 0x200} leave room for its heap`,
    );
  }
  const text = commandLineBytes(context.commandLine, image.commandLineBytesMax, context.preserveContext);
  const draft = new PlanDraft(context);
  const memoryBytes = realModeHeapEnd + text.length;
  const address = draft.place("setup code", memoryBytes, { min: realModeMin, max: realModeEnd, from: "bottom" });
  draft.placePurgatory("16-bit");
  const kernelAddress = addSystem(draft, kernel, bz, image.kernel64 ? fourGib : lowMemoryEnd);
  const commandLineAddress = address + realModeHeapEnd;
  const initrdPlace = placeInitrd(draft, initrd, image.initrdAddressMax + 1);
  const setup = head.subarray(0, image.setupBytes);
  const bytes = new Uint8Array(memoryBytes);
  bytes.set(writeRealModeSetup({ setup, address, kernelAddress, commandLineAddress, initrd: initrdPlace }));
  bytes.set(text, realModeHeapEnd);
  draft.add({ name: "setup code", address, content: { kind: "bytes", bytes } });
  const segment = address / segmentUnit;
  return draft.finish({
    target: {
      mode: "16-bit",
      cs: segment + setupEntryParagraphs,
      ip: 0,
      ds: segment,
      ss: segment,
      sp: realModeHeapEnd,
    },
    commandLine: context.commandLine,
    jumpBackCommandLineEnd: context.preserveContext ? commandLineAddress + text.indexOf(0) : null,
    remarks: diskRemark(context.commandLine),
  });
}

/** Linux, arch/x86/boot/edd.c reads a sector by the BIOS, whose drivers know nothing of what Linux did to the disk. */
function diskRemark(commandLine: string): string[] {
  if (/(^| )edd=/.test(commandLine)) return [];
  return [
    "in real mode the kernel has the BIOS read every disk, and a disk that Linux has used may never answer: " +
      "edd=skipmbr on the command line keeps it from that",
  ];
}
