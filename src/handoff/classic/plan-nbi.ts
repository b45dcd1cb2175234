import { nbiHeaderBytes, parseNbi } from "../../formats/nbi.ts";
import { addPieces, type ImagePiece } from "./image-pieces.ts";
import { type ClassicPlan, PlanError, type TargetEntry } from "./plan.ts";
import { type KernelPart, type PlanContext, planning } from "./plan-context.ts";
import { PlanDraft, zeroes } from "./plan-draft.ts";
import { lostCommandLine } from "./plan-elf.ts";

/**
 * A stack for a 16-bit image until it has one of its own; below 640 KiB, and not in the pages that the BIOS works with.
 */
const stackBytes = 4096;
const stackMin = 0x1000;
const realModeEnd = 0xa0000;
const segmentUnit = 16;

/**
 * Plans a net boot image (Etherboot's tagged image): header and segments where its records say, entered with nothing in
 * the registers; in real mode with a stack of one page. Throws PlanError or PlacementError, sentences.
 */
export function planNbi(kernel: KernelPart, context: PlanContext): ClassicPlan {
  return planning(() => {
    if (context.crash !== null)
      throw new PlanError("a net boot image cannot be a capture kernel: a Linux kernel expected");
    const image = parseNbi(kernel.read, kernel.range.length);
    const draft = new PlanDraft(context);
    const header: ImagePiece = {
      offset: 0,
      fileBytes: nbiHeaderBytes,
      physical: image.headerAddress,
      memoryBytes: nbiHeaderBytes,
    };
    const segments = image.segments.map(({ address, ...rest }): ImagePiece => ({ ...rest, physical: address }));
    addPieces(draft, "kernel", kernel, [header, ...segments]);
    return draft.finish({
      target: image.entry.mode === "32-bit" ? entry32(image.entry.address) : entry16(draft, image.entry),
      commandLine: "",
      remarks: lostCommandLine(context.commandLine, "a net boot image takes none"),
    });
  });
}

function entry32(address: number): TargetEntry {
  return { mode: "32-bit", address, eax: 0, ebx: 0, esi: 0 };
}

function entry16(draft: PlanDraft, { cs, ip }: { readonly cs: number; readonly ip: number }): TargetEntry {
  draft.placePurgatory("16-bit");
  const stack = draft.place("stack", stackBytes, { min: stackMin, max: realModeEnd, from: "top" });
  draft.add({ name: "stack", address: stack, content: zeroes, memoryBytes: stackBytes, digested: false });
  return { mode: "16-bit", cs, ip, ds: 0, ss: stack / segmentUnit, sp: stackBytes };
}
