import { readFile } from "node:fs/promises";

/** Bytes that can be had without swapping (`MemAvailable` of proc_meminfo(5)); null when the kernel does not say. */
export async function availableMemoryBytes(): Promise<number | null> {
  return parseAvailableMemory(await readFile("/proc/meminfo", "utf8").catch(() => ""));
}

/** Sample line: `MemAvailable:    1987654 kB` */
export function parseAvailableMemory(meminfo: string): number | null {
  const kibibytes = /^MemAvailable:\s+(\d{1,12}) kB$/m.exec(meminfo)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}
