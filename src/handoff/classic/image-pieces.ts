import { elfMachine } from "../../formats/elf-file.ts";
import { type ElfImage, readElfImage } from "../../formats/elf-image.ts";
import type { ByteRange } from "../../formats/ranges.ts";
import { hex, pageBytes, size } from "./placement.ts";
import { PlanError, type SegmentContent } from "./plan.ts";
import type { KernelPart } from "./plan-context.ts";
import type { PlanDraft } from "./plan-draft.ts";

/** A part of an image that goes to an address of its own. */
export interface ImagePiece {
  /** Where its bytes are in the file. */
  readonly offset: number;
  readonly fileBytes: number;
  /** Physical. */
  readonly physical: number;
  /** At least `fileBytes`; what is left is zero. */
  readonly memoryBytes: number;
}

/** `e_machine` and the bits that go with it. */
const machineBits: Readonly<Record<number, 32 | 64>> = { [elfMachine.i386]: 32, [elfMachine.x86_64]: 64 };

/** Most bytes that are put together here, where pieces share pages. */
export const assembledBytesMax = 64 * 2 ** 20;

/**
 * Takes the pieces' addresses and makes segments of them, which start and end with a page: a piece that has its pages
 * for itself stays a range of the file; those that do not are read and put together. Throws PlacementError for
 * addresses that cannot be had, PlanError for pieces that overlap or would need more than {@link assembledBytesMax} in
 * memory.
 */
export function addPieces(draft: PlanDraft, name: string, kernel: KernelPart, pieces: readonly ImagePiece[]): void {
  const groups = groupsByPage(pieces);
  refuseLargeAssembly(groups);
  for (const group of groups) {
    const start = startOf(group);
    const end = endOf(group);
    draft.placement.reserve(name, start, end - start);
    draft.add({ name, address: start, content: contentOf(kernel, group), memoryBytes: end - start });
  }
}

/** Pieces may all be the same bytes of the file: what they take together says nothing of its size. */
function refuseLargeAssembly(groups: readonly (readonly ImagePiece[])[]): void {
  const assembled = groups.filter((group) => !isFileRange(group));
  const bytes = assembled.reduce((sum, group) => sum + assembledBytes(group), 0);
  if (bytes <= assembledBytesMax) return;
  throw new PlanError(
    `the pieces of the image from ${hex(startOf(assembled[0] ?? []))} share pages: ${size(bytes)} to put together, at most ${size(assembledBytesMax)} are taken`,
  );
}

/** Of the first page. */
function startOf(group: readonly ImagePiece[]): number {
  return Math.floor((group[0]?.physical ?? 0) / pageBytes) * pageBytes;
}

/** Whether a group is one piece that starts with a page. */
function isFileRange(group: readonly ImagePiece[]): boolean {
  return group.length === 1 && group[0]?.physical === startOf(group);
}

/** From the first page to the last byte of the file. */
function assembledBytes(group: readonly ImagePiece[]): number {
  const start = startOf(group);
  return group
    .filter(({ fileBytes }) => fileBytes > 0)
    .reduce((most, { physical, fileBytes }) => Math.max(most, physical + fileBytes - start), 0);
}

/** The lowest and the highest address, plus one, of all pieces. */
export function spanOf(pieces: readonly ImagePiece[]): { readonly start: number; readonly end: number } {
  const start = pieces.reduce((lowest, { physical }) => Math.min(lowest, physical), Number.MAX_SAFE_INTEGER);
  return { start, end: endOf(pieces) };
}

function endOf(pieces: readonly ImagePiece[]): number {
  return pieces.reduce((end, { physical, memoryBytes }) => Math.max(end, physical + memoryBytes), 0);
}

/** Ascending; pieces of one group follow each other with no page between them that belongs to one alone. */
function groupsByPage(pieces: readonly ImagePiece[]): ImagePiece[][] {
  const groups: ImagePiece[][] = [];
  let last: ImagePiece | null = null;
  for (const piece of pieces.toSorted((a, b) => a.physical - b.physical)) {
    const lastEnd = last === null ? 0 : last.physical + last.memoryBytes;
    if (lastEnd > piece.physical)
      throw new PlanError(`what goes to ${hex(piece.physical)} overlaps what ends at ${hex(lastEnd)}`);
    const sharesPage =
      last !== null && Math.floor((lastEnd - 1) / pageBytes) === Math.floor(piece.physical / pageBytes);
    if (sharesPage) groups.at(-1)?.push(piece);
    else groups.push([piece]);
    last = piece;
  }
  return groups;
}

function contentOf(kernel: KernelPart, group: readonly ImagePiece[]): SegmentContent {
  const [first] = group;
  if (first !== undefined && isFileRange(group)) {
    return { kind: "file", range: fileRange(kernel, { offset: first.offset, length: first.fileBytes }) };
  }
  const start = startOf(group);
  const bytes = new Uint8Array(assembledBytes(group));
  for (const { physical, offset, fileBytes } of group) {
    if (fileBytes > 0) bytes.set(readPiece(kernel, offset, fileBytes), physical - start);
  }
  return { kind: "bytes", bytes };
}

function readPiece({ read }: KernelPart, offset: number, length: number): Uint8Array {
  const bytes = read(offset, length).subarray(0, length);
  if (bytes.length === length) return bytes;
  throw new PlanError(`read the kernel: ${length} bytes from ${offset} expected, ${bytes.length} found`);
}

/** A part of the kernel's file as a range of the descriptor. */
export function fileRange({ range }: KernelPart, { offset, length }: ByteRange): KernelPart["range"] {
  return { fd: range.fd, offset: range.offset + offset, length };
}

/** Reads an ELF image that this machine can start at fixed addresses. Throws FormatError or PlanError. */
export function readX86Elf({ read, range }: KernelPart): ElfImage {
  const image = readElfImage(read, range.length);
  if (image.type !== "executable")
    throw new PlanError(`an executable ELF file expected, this one is of type ${image.type}`);
  if (!image.littleEndian || machineBits[image.machine] !== image.bits) {
    const order = image.littleEndian ? "little-endian" : "big-endian";
    throw new PlanError(
      `an ELF file for x86 expected, this one is for machine ${image.machine}, ${image.bits} bits, ${order}`,
    );
  }
  return image;
}
