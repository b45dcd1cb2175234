import type { FileRange, System } from "../linux/system.ts";
import { MemoryFile } from "../trust/memory-file.ts";
import { appendRange } from "./whole-file.ts";

/** Documentation/driver-api/early-userspace/buffer-format.rst: archives start at multiples of 4. */
const initrdAlignment = 4;

/** Several initrds as one. */
export interface JoinedInitrds extends Disposable {
  /** Null: there is none, or all are empty. */
  readonly range: FileRange | null;
}

/** Initrds one after the other, each aligned to 4 bytes. One alone is used where it is; several are copied into sealed memory. */
export function joinInitrds(system: System, ranges: readonly FileRange[]): JoinedInitrds {
  // The running kernel takes no empty file for an initrd.
  const filled = ranges.filter((range) => range.length > 0);
  const [first] = filled;
  if (filled.length <= 1) return { range: first ?? null, [Symbol.dispose]() {} };
  const memory = new MemoryFile(system, "initrd");
  try {
    for (const range of filled) {
      const padding = -memory.size & (initrdAlignment - 1);
      if (padding > 0) memory.append(new Uint8Array(padding));
      appendRange(memory, range);
    }
    memory.seal();
  } catch (error) {
    memory[Symbol.dispose]();
    throw error;
  }
  return {
    range: { fd: memory.fd, offset: 0, length: memory.size },
    [Symbol.dispose]: () => memory[Symbol.dispose](),
  };
}
