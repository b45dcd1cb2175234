import { readFileSync } from "node:fs";
import { FormatError } from "../../formats/format-error.ts";
import { type IomemNode, parseIomem } from "../../formats/iomem.ts";
import type { KexecSide } from "./side.ts";

/** Memory set aside by `crashkernel=`, bytes: of the last region, where a capture kernel goes. 0: none. */
export function crashMemoryBytes(side: KexecSide): number {
  return lastCrashRegion(side) ?? side.readState().crashBytes ?? 0;
}

/** Null: /proc/iomem cannot be read, or hides its addresses. */
function lastCrashRegion({ proc }: KexecSide): number | null {
  try {
    const region = crashRegions(parseIomem(readFileSync(`${proc}/iomem`, "utf8"))).at(-1);
    return region === undefined ? null : region.end - region.start;
  } catch (error) {
    if (error instanceof FormatError || (error instanceof Error && "code" in error)) return null;
    throw error;
  }
}

function crashRegions(nodes: readonly IomemNode[]): IomemNode[] {
  return nodes.flatMap((node) => (node.name === "Crash kernel" ? [node] : crashRegions(node.children)));
}

/** What kexec-tools says when there is none, and the numbers that it does not say. */
export function noCrashMemory(side: KexecSide, wantedBytes: number | null): string {
  const { crashBytes } = side.readState();
  const size = crashBytes === null ? "there is no /sys/kernel/kexec_crash_size" : `kexec_crash_size is ${crashBytes}`;
  const wanted =
    wantedBytes === null
      ? ""
      : `This kernel and what goes with it take ${Math.ceil(wantedBytes / 2 ** 20)} MiB before they run; a usual size is crashkernel=256M\n`;
  return `Memory for crashkernel is not reserved
Please reserve memory by passing "crashkernel=Y@X" parameter to kernel
Then try to loading kdump kernel
/proc/iomem shows no "Crash kernel", ${size}
${wanted}`;
}
