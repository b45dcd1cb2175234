import type { BlsSortData, EntryFileName } from "../../formats/bls.ts";
import type { BootEntry } from "../entry.ts";
import type { FinderContext } from "../finder.ts";

/** Where entries live on a volume. */
export interface Place {
  /** The directory `loader`. */
  readonly loader: string;
  /** The directory of unified kernel images. */
  readonly images: string;
  /** What is below the mount point of a live system's boot volume; empty for a boot volume itself. */
  readonly base: string;
}

/** An entry that can be offered, before ids and titles are made unique. */
export interface Candidate {
  /** Of the file that the entry is found by. */
  readonly path: string;
  readonly fileName: EntryFileName;
  /** `@N` behind the id of a profile but the first; else empty. */
  readonly idSuffix: string;
  readonly sort: BlsSortData;
  /** Null: it has none, and shows its name. */
  readonly title: string | null;
  readonly machineId: string | null;
  readonly aliases: readonly string[];
  readonly boot: Omit<BootEntry, "id" | "title" | "aliases">;
}

/** Refusing an entry whose options are too many bytes. Null: they are not. */
export function optionsProblem(options: string, { limits }: FinderContext): string | null {
  const bytes = new TextEncoder().encode(options).length;
  if (bytes <= limits.optionsBytesMax) return null;
  return `options of ${bytes} bytes, at most ${limits.optionsBytesMax} are taken`;
}

/** The word of the EFI specification for what `uname -m` says; null where there is none. */
export function efiArchitectureOf(machine: string): string | null {
  if (/^i[3-6]86$/.test(machine)) return "ia32";
  if (/^arm(v[4-8].*)?$/.test(machine)) return "arm";
  if (machine === "x86_64") return "x64";
  if (machine === "aarch64") return "aa64";
  return ["ia64", "riscv32", "riscv64", "loongarch32", "loongarch64"].find((name) => name === machine) ?? null;
}

/** Why something for an architecture (as EFI names it, in lower case) is not for this machine; null: it is. */
export function architectureProblem(shown: string, { architecture }: FinderContext): string | null {
  const own = efiArchitectureOf(architecture);
  if (shown.toLowerCase() === own) return null;
  const machine = own === null ? `"${architecture}", which has no EFI name` : `"${own}"`;
  return `this machine is ${machine}`;
}
