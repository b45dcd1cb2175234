import { fstatSync } from "node:fs";
import type { FileRange, System } from "../linux/system.ts";
import { chunksOf } from "../machine/file-range.ts";
import { MemoryFile } from "../trust/memory-file.ts";

/** A descriptor that kexec_file_load(2) can read to the end. */
export interface WholeFile extends Disposable {
  readonly fd: number;
}

/**
 * A range as a file of its own: the open file itself where the range is all of it (the running kernel then sees its
 * attributes, and nothing is copied), else a sealed copy in memory.
 */
export function fileOf(system: System, range: FileRange): WholeFile {
  if (range.offset === 0 && fstatSync(range.fd).size === range.length) return { fd: range.fd, [Symbol.dispose]() {} };
  const memory = new MemoryFile(system, "kexec file");
  try {
    appendRange(memory, range);
    memory.seal();
    return memory;
  } catch (error) {
    memory[Symbol.dispose]();
    throw error;
  }
}

/** Copies a range of a file to the end of a memory file. Throws when the file ends before. */
export function appendRange(memory: MemoryFile, range: FileRange): void {
  for (const chunk of chunksOf(range)) memory.append(chunk);
}
