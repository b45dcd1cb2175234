import { type ElfImage, physicalEntry } from "../../formats/elf-image.ts";
import type { FileRange } from "../../linux/system.ts";
import { elfBootNotes, elfBootSignature } from "./elf-boot-notes.ts";
import { addPieces, readX86Elf } from "./image-pieces.ts";
import { addressEnd } from "./placement.ts";
import { type ClassicPlan, PlanError, type TargetEntry } from "./plan.ts";
import { type KernelPart, type PlanContext, planning } from "./plan-context.ts";
import { loaderName, PlanDraft } from "./plan-draft.ts";
import { type LinuxImage, planLinux } from "./plan-linux.ts";

/** What an ELF image is given: Linux boot parameters, ELF boot notes, or nothing. */
export type ElfArguments = "linux" | "elf" | "none";

const fourGib = 2 ** 32;
/** COMMAND_LINE_SIZE of x86 less the NUL: a vmlinux has no header that says so. */
const commandLineBytesMax = 2047;
/** What the parameters of a vmlinux are written by: nothing in them is newer. */
const vmlinuxProtocol = 0x20f;
/** 32-bit kernels map the first 896 MiB only (boot.rst, initrd_addr_max). */
const lowMemoryEnd = 0x38000000;

/**
 * Plans an ELF image at the physical addresses that it names. ELF64 is entered in 64-bit mode, ELF32 in 32-bit mode:
 *
 * - `linux`: a vmlinux with boot parameters in rsi or esi.
 * - `elf`: ELF boot notes as a C function's first argument, as kexec-tools hands them over; in 32-bit mode also in ebx with
 *   the signature in eax, as Etherboot does.
 * - `none`: all registers 0.
 *
 * Throws PlanError or PlacementError, sentences.
 */
export function planElf(
  kernel: KernelPart,
  initrd: FileRange | null,
  context: PlanContext,
  args: ElfArguments,
): ClassicPlan {
  return planning(() => {
    const image = readX86Elf(kernel);
    if (args === "linux") return planVmlinux(kernel, image, initrd, context);
    if (initrd !== null) throw new PlanError(`an ELF image with --args-${args} takes no initrd; --args-linux does`);
    if (context.crash !== null) {
      throw new PlanError(
        `an ELF image with --args-${args} is not told of the crash; --args-linux starts a capture kernel`,
      );
    }
    return args === "elf" ? planWithNotes(kernel, image, context) : planBare(kernel, image, context);
  });
}

function planVmlinux(kernel: KernelPart, image: ElfImage, initrd: FileRange | null, context: PlanContext): ClassicPlan {
  const wide = image.bits === 64;
  const linux: LinuxImage = {
    head: null,
    protocol: vmlinuxProtocol,
    commandLineBytesMax,
    efiKexec: false,
    mode: wide ? "64-bit" : "32-bit",
    parametersEnd: wide ? addressEnd : fourGib,
    initrdEnd: wide ? addressEnd : lowMemoryEnd,
  };
  const plan = planLinux(linux, initrd, context, (draft) => {
    addPieces(draft, "kernel", kernel, image.loads);
    const kernelAddress = image.loads[0]?.physical ?? 0;
    return {
      kernelAddress,
      target: (parameters) => entryOf(image, { rsi: parameters, eax: 0, ebx: 0, esi: parameters }),
    };
  });
  if (!wide || !context.platform.fiveLevelPaging) return plan;
  const remark =
    "this machine runs with 5-level page tables; whether a vmlinux can be entered with them does not show: " +
    "if it does not start, use the bzImage, or start the running kernel with no5lvl";
  return { ...plan, remarks: [...plan.remarks, remark] };
}

function entryOf(
  image: ElfImage,
  { rsi, eax, ebx, esi }: { readonly rsi: number; readonly eax: number; readonly ebx: number; readonly esi: number },
): Exclude<TargetEntry, { readonly mode: "16-bit" }> {
  const address = physicalEntry(image);
  return image.bits === 64 ? { mode: "64-bit", address, rsi } : { mode: "32-bit", address, eax, ebx, esi };
}

function planWithNotes(kernel: KernelPart, image: ElfImage, context: PlanContext): ClassicPlan {
  const draft = new PlanDraft(context);
  addPieces(draft, "kernel", kernel, image.loads);
  const bytes = elfBootNotes(loaderName, context.commandLine);
  const max = image.bits === 64 ? addressEnd : fourGib;
  const address = draft.place("ELF boot notes", bytes.length, { max, from: "top" });
  draft.add({ name: "ELF boot notes", address, content: { kind: "bytes", bytes } });
  const target = entryOf(image, { rsi: 0, eax: elfBootSignature, ebx: address, esi: 0 });
  return draft.finish({ target: { ...target, argument: address }, commandLine: context.commandLine });
}

function planBare(kernel: KernelPart, image: ElfImage, context: PlanContext): ClassicPlan {
  const draft = new PlanDraft(context);
  addPieces(draft, "kernel", kernel, image.loads);
  const target = entryOf(image, { rsi: 0, eax: 0, ebx: 0, esi: 0 });
  return draft.finish({
    target,
    commandLine: "",
    remarks: lostCommandLine(context.commandLine, "--args-none means none"),
  });
}

/** A remark for a target that takes no command line, and why. */
export function lostCommandLine(commandLine: string, reason: string): string[] {
  return commandLine === "" ? [] : [`the command line is passed to nobody: ${reason}`];
}
