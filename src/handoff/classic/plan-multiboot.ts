import { physicalEntry } from "../../formats/elf-image.ts";
import { type AddressFields, addressedLoad, findMultiboot, multibootHeadBytesMax } from "../../formats/multiboot.ts";
import {
  type Multiboot2InfoRequest,
  type MultibootModule,
  writeMultiboot2Info,
  writeMultibootInfo,
} from "../../formats/multiboot-info.ts";
import {
  findMultiboot2,
  type Multiboot2Header,
  type Multiboot2Relocatable,
  multiboot2HeadBytesMax,
} from "../../formats/multiboot2.ts";
import { type FrameBuffer, frameBufferOf, textScreenInfo } from "../../formats/screen-info.ts";
import type { FileRange } from "../../linux/system.ts";
import { addPieces, type ImagePiece, readX86Elf, spanOf } from "./image-pieces.ts";
import { hex, pageBytes } from "./placement.ts";
import { type ClassicPlan, PlanError } from "./plan.ts";
import { type KernelPart, type PlanContext, planning } from "./plan-context.ts";
import { loaderName, PlanDraft } from "./plan-draft.ts";
import { chooseScreen } from "./plan-linux.ts";

/** A file that goes with the kernel. */
export interface MultibootPart {
  readonly range: FileRange;
  /** Its string; by custom the file's name first. */
  readonly commandLine: string;
}

const fourGib = 2 ** 32;
const oneMib = 2 ** 20;
/** What stands in eax (Multiboot Specification 0.6.96, section 3.2; Multiboot2 Specification 2.0, section 3.5). */
const signature = { 1: 0x2badb002, 2: 0x36d76289 } as const;

/**
 * Plans a Multiboot kernel: the image where its ELF file or its header's addresses say, modules and the information
 * behind it, all below 4 GiB; it is entered in 32-bit mode. The command line is passed as it is given. Throws PlanError
 * or PlacementError, sentences, for what the kernel requires and cannot have, by its name in the specification.
 */
export function planMultiboot(
  kernel: KernelPart,
  modules: readonly MultibootPart[],
  context: PlanContext,
  version: 1 | 2,
): ClassicPlan {
  return planning(() => {
    if (context.crash !== null)
      throw new PlanError("a Multiboot kernel cannot be a capture kernel: a Linux kernel expected");
    const draft = new PlanDraft(context);
    const screen = frameBuffer(context);
    const image = version === 1 ? readMultiboot(kernel, screen.buffer) : readMultiboot2(kernel, context, screen.buffer);
    const base = placeImage(draft, image);
    const shift = base - image.base;
    const pieces = image.pieces.map((piece) => ({ ...piece, physical: piece.physical + shift }));
    addPieces(draft, "kernel", kernel, pieces);
    const { end } = spanOf(pieces);
    if (end > fourGib) throw new PlanError(`the image ends at ${hex(end)}: below 4 GiB expected for 32-bit mode`);
    draft.placePurgatory("32-bit");
    const places = modules.map((module, index) => placeModule(draft, module, index, end));
    const request: Omit<Multiboot2InfoRequest, "address"> = {
      commandLine: context.commandLine,
      loader: loaderName,
      modules: places,
      memory: draft.targetMemory(),
      frameBuffer: screen.buffer,
      loadBase: image.relocatable === null ? null : base,
      rsdp: context.platform.rsdpBytes,
      // The running kernel has moved the runtime services to its own virtual addresses: nobody else can call them.
      efi64SystemTable: null,
    };
    const write = (address: number): Uint8Array =>
      version === 1 ? writeMultibootInfo({ ...request, address }) : writeMultiboot2Info({ ...request, address });
    const info = placeLow(draft, "multiboot information", write(0).length, end);
    draft.add({ name: "multiboot information", address: info, content: { kind: "bytes", bytes: write(info) } });
    return draft.finish({
      target: { mode: "32-bit", address: image.entry + shift, eax: signature[version], ebx: info, esi: 0 },
      commandLine: context.commandLine,
      remarks: [...screen.remarks, ...image.remarks],
    });
  });
}

/** What is to be loaded, at the addresses that it was linked for. */
interface MultibootImage {
  readonly pieces: readonly ImagePiece[];
  readonly entry: number;
  /** The lowest address of all pieces. */
  readonly base: number;
  /** How it may be moved; null: not at all. */
  readonly relocatable: Multiboot2Relocatable | null;
  readonly remarks: readonly string[];
}

function readMultiboot(kernel: KernelPart, screen: FrameBuffer | null): MultibootImage {
  const header = findMultiboot(kernel.read(0, multibootHeadBytesMax));
  if (header === null) throw new PlanError(`a Multiboot header expected in the first ${multibootHeadBytesMax} bytes`);
  if (header.unsupported !== 0) {
    throw new PlanError(
      `the Multiboot header requires flags ${bitNames(header.unsupported)}, which this loader does not know`,
    );
  }
  const { addresses, offset } = header;
  const located = locate(kernel, offset, addresses, addresses?.entry ?? null);
  const remarks =
    header.video !== null && screen === null ? ["the kernel asks for a video mode, and there is none to tell of"] : [];
  return { ...located, relocatable: null, remarks };
}

function bitNames(bits: number): string {
  const set = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => ((bits >>> bit) & 1) !== 0);
  return set.join(", ");
}

function locate(
  kernel: KernelPart,
  offset: number,
  addresses: AddressFields | null,
  entry: number | null,
): Pick<MultibootImage, "pieces" | "entry" | "base"> {
  if (addresses !== null && entry !== null) {
    const pieces = [addressedLoad(offset, addresses, kernel.range.length)];
    return { pieces, entry, base: spanOf(pieces).start };
  }
  const image = readX86Elf(kernel);
  return { pieces: image.loads, entry: entry ?? physicalEntry(image), base: spanOf(image.loads).start };
}

/**
 * Tags of the boot information (Multiboot2 Specification, section 3.6) that this loader gives, and those that it does
 * not.
 */
const given: readonly number[] = [1, 2, 3, 4, 6, 8, 14, 15, 21];
const tagNames: Readonly<Record<number, string>> = {
  5: "BIOS boot device",
  7: "VBE info",
  9: "ELF symbols",
  10: "APM table",
  11: "EFI 32-bit system table pointer",
  12: "EFI 64-bit system table pointer",
  13: "SMBIOS tables",
  16: "networking information",
  17: "EFI memory map",
  18: "EFI boot services not terminated",
  19: "EFI 32-bit image handle pointer",
  20: "EFI 64-bit image handle pointer",
};

function readMultiboot2(kernel: KernelPart, context: PlanContext, screen: FrameBuffer | null): MultibootImage {
  const header = findMultiboot2(kernel.read(0, multiboot2HeadBytesMax));
  if (header === null) throw new PlanError(`a Multiboot2 header expected in the first ${multiboot2HeadBytesMax} bytes`);
  refuseRequirements(header, screen);
  const located = locate(kernel, header.offset, header.addresses, header.entry);
  const wantsRoot = header.requests.some(({ type }) => type === 14 || type === 15);
  const remarks = [
    ...(wantsRoot && context.platform.rsdpBytes === null
      ? ["the kernel asks for the ACPI root pointer, which cannot be read"]
      : []),
    ...(header.framebuffer !== null && screen === null
      ? ["the kernel asks for a frame buffer, and there is none to tell of"]
      : []),
  ];
  return { ...located, relocatable: header.relocatable, remarks };
}

function refuseRequirements(header: Multiboot2Header, screen: FrameBuffer | null): void {
  if (header.architecture !== "i386") {
    throw new PlanError(`the Multiboot2 header is for architecture ${header.architecture}; i386 expected`);
  }
  if (header.unknownRequired.length > 0) {
    throw new PlanError(
      `the Multiboot2 header requires tags ${header.unknownRequired.join(", ")}, which this loader does not know`,
    );
  }
  const missing = header.requests.filter(({ type, required }) => required && !given.includes(type));
  if (missing.length > 0) {
    const names = missing.map(({ type }) => tagNames[type] ?? `type ${type}`);
    throw new PlanError(`the Multiboot2 header requires information that this loader has not: ${names.join(", ")}`);
  }
  if (header.framebuffer?.required === true && screen === null) {
    throw new PlanError("the Multiboot2 header requires a frame buffer, and there is none to tell of");
  }
  const consoleRequired = ((header.consoleFlags ?? 0) & 1) !== 0;
  if (consoleRequired && screen === null) {
    throw new PlanError("the Multiboot2 header requires a console, and there is no screen to tell of");
  }
}

/** The address that the image's lowest byte goes to. */
function placeImage(draft: PlanDraft, { pieces, base, relocatable }: MultibootImage): number {
  if (relocatable === null) return base;
  const { start, end } = spanOf(pieces);
  const { min, max, align, preference } = relocatable;
  const fits = base >= min && end - 1 <= max && base % align === 0;
  if (preference === "none" && fits && draft.placement.isFree(roundDown(start), end - roundDown(start))) return base;
  // A place is only looked for here: the pieces take theirs one by one, so that pages between them stay free.
  return draft.placement.find("kernel", end - start, {
    min,
    max: Math.min(max + 1, fourGib),
    align,
    from: preference === "high" ? "top" : "bottom",
  });
}

function roundDown(address: number): number {
  return Math.floor(address / pageBytes) * pageBytes;
}

/** Pages of its own, since some kernels want that and none minds. */
function placeModule(draft: PlanDraft, module: MultibootPart, index: number, kernelEnd: number): MultibootModule {
  const { range, commandLine } = module;
  if (range.length === 0) return { address: 0, bytes: 0, commandLine };
  const name = `module ${index + 1}`;
  const address = placeLow(draft, name, range.length, kernelEnd);
  draft.add({ name, address, content: { kind: "file", range } });
  return { address, bytes: range.length, commandLine };
}

/** As low as there is room behind the kernel, where small kernels have it mapped; else anywhere from 1 MiB to 4 GiB. */
function placeLow(draft: PlanDraft, name: string, bytes: number, kernelEnd: number): number {
  const wish = { max: fourGib, from: "bottom" } as const;
  return (
    draft.placement.tryPlace(name, bytes, { ...wish, min: Math.max(kernelEnd, oneMib) }) ??
    draft.place(name, bytes, { ...wish, min: oneMib })
  );
}

/** What is on the screen when the kernel starts; the purgatory's own text is in VGA's text mode. */
function frameBuffer(context: PlanContext): {
  readonly buffer: FrameBuffer | null;
  readonly remarks: readonly string[];
} {
  if (context.console.vga) return { buffer: frameBufferOf(textScreenInfo()), remarks: [] };
  const { screenInfo, remark } = chooseScreen(context);
  return { buffer: screenInfo === null ? null : frameBufferOf(screenInfo), remarks: remark === null ? [] : [remark] };
}
