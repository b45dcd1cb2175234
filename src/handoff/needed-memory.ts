import { bzImageHeadBytesMax, parseBzImage } from "../formats/bzimage.ts";
import { FormatError } from "../formats/format-error.ts";
import type { KernelFile } from "./kernel-file.ts";

/** Bytes of memory that a kernel and its initrds take at least, from the load until they run. */
export function neededBytes(kernel: KernelFile, initrds: readonly { readonly length: number }[]): number {
  return initrds.reduce((sum, { length }) => sum + length, Math.max(kernel.image.length, initBytes(kernel)));
}

/** What a bzImage needs around it while it unpacks itself. */
function initBytes({ read }: KernelFile): number {
  try {
    return parseBzImage(read(0, bzImageHeadBytesMax)).initBytes;
  } catch (error) {
    if (error instanceof FormatError) return 0;
    throw error;
  }
}
