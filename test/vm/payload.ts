import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { buildDirectory, cached, contentKey } from "./cache.ts";
import { cloneRoot, runCommand } from "./command.ts";

/** How a payload is made of the sources in `payload/`. */
interface Recipe {
  readonly bits: 16 | 32 | 64;
  readonly sources: readonly string[];
  /** Address that it is linked at. */
  readonly base: number;
  readonly defines?: Readonly<Record<string, number>>;
  /** Code that works at any address. */
  readonly movable?: boolean;
  /** `elf`: as linked; `flat`: the bytes of its memory; `nbi`: those behind a network boot image's header. */
  readonly shape: "elf" | "flat" | "nbi";
}

/** Bytes of memory of a network boot image's program, its zeroed data included. */
const nbiMemoryBytes = 0xc000;
/** Where the 16-bit program goes; it is linked at the start of its segment. */
const nbi16Address = 0x10200;

const recipes = {
  multiboot1: { bits: 32, sources: ["multiboot1.S", "start.S", "multiboot1.c"], base: 0x200000, shape: "elf" },
  "multiboot1-flat": {
    bits: 32,
    sources: ["multiboot1.S", "start.S", "multiboot1.c"],
    // The 64 bytes before its load address stay in the file.
    base: 0x200000 - 64,
    defines: { FLAT: 1 },
    shape: "flat",
  },
  multiboot2: { bits: 32, sources: ["multiboot2.S", "start.S", "multiboot2.c"], base: 0x200000, shape: "elf" },
  "multiboot2-relocatable": {
    bits: 32,
    sources: ["multiboot2.S", "start.S", "multiboot2.c"],
    base: 0x200000,
    defines: { RELOCATABLE: 1 },
    movable: true,
    shape: "elf",
  },
  elf32: { bits: 32, sources: ["start.S", "elf.c"], base: 0x1000000, shape: "elf" },
  elf64: { bits: 64, sources: ["start.S", "elf.c"], base: 0x1000000, shape: "elf" },
  nbi16: {
    bits: 16,
    sources: ["start.S", "nbi.c"],
    base: 0,
    defines: { BASE: nbi16Address, MEMORY_BYTES: nbiMemoryBytes },
    shape: "nbi",
  },
  nbi32: {
    bits: 32,
    sources: ["start.S", "nbi.c"],
    base: 0x200000,
    defines: { BASE: 0x200000, MEMORY_BYTES: nbiMemoryBytes },
    shape: "nbi",
  },
  flat16: { bits: 16, sources: ["start.S", "flat.c"], base: 0, shape: "flat" },
  flat32: { bits: 32, sources: ["start.S", "flat.c"], base: 0x1800000, shape: "flat" },
  flat64: { bits: 64, sources: ["start.S", "flat.c"], base: 0x1800000, movable: true, shape: "flat" },
  kernel: { bits: 64, sources: ["kernel.S", "kernel.c"], base: 0x2000000, shape: "flat" },
} as const satisfies Readonly<Record<string, Recipe>>;

export type PayloadName = keyof typeof recipes;

const sourceDirectory = path.join(cloneRoot, "test/vm/payload");

const compilerFlags = [
  ...["-std=gnu11", "-O2", "-ffreestanding", "-fno-builtin", "-mgeneral-regs-only"],
  ...["-mno-red-zone", "-fno-stack-protector", "-fno-stack-clash-protection", "-fcf-protection=none"],
  ...["-fno-asynchronous-unwind-tables", "-fno-jump-tables", "-fno-tree-loop-distribute-patterns"],
];

/** The path of a payload (see payload/README.md), built once for these sources and this compiler. */
export async function payload(name: PayloadName): Promise<string> {
  const recipe: Recipe = recipes[name];
  const names = (await readdir(sourceDirectory)).sort();
  const contents = await Promise.all(names.map((file) => readFile(path.join(sourceDirectory, file))));
  const compiler = await runCommand("gcc", ["--version"]);
  const key = contentKey(JSON.stringify(recipe), compilerFlags.join(" "), compiler, ...names, ...contents);
  const directory = await cached(path.join(buildDirectory, "payloads"), `${name}-${key}`, (target) =>
    build(recipe, name, target),
  );
  return path.join(directory, name);
}

async function build(recipe: Recipe, name: string, directory: string): Promise<void> {
  const inDirectory = { cwd: directory };
  const flags = [
    ...compilerFlags,
    ...(recipe.bits === 16 ? ["-m16", "-march=i386"] : [`-m${recipe.bits}`]),
    recipe.movable === true ? "-fpie" : "-fno-pie",
    ...Object.entries({ BITS: recipe.bits, ...recipe.defines }).map(([key, value]) => `-D${key}=${value}`),
  ];
  const objects = recipe.sources.map((source) => `${source}.o`);
  for (const source of recipe.sources) {
    const words = [...flags, "-c", "-o", `${source}.o`, path.join(sourceDirectory, source)];
    await runCommand("gcc", words, inDirectory);
  }
  const program = recipe.shape === "elf" ? name : "program";
  await runCommand(
    "ld",
    [
      ...["-m", recipe.bits === 64 ? "elf_x86_64" : "elf_i386", "-static", "-nostdlib", "--build-id=none"],
      ...["-z", "noexecstack", "-z", "max-page-size=4096", `--defsym=BASE=${recipe.base}`],
      ...["-T", path.join(sourceDirectory, "payload.lds"), "-o", program, ...objects],
    ],
    inDirectory,
  );
  if (recipe.shape === "elf") return;
  const flat = recipe.shape === "flat" ? name : "program.bin";
  await runCommand("objcopy", ["-O", "binary", program, flat], inDirectory);
  if (recipe.shape === "flat") return;
  await runCommand("gcc", [...flags, "-c", "-o", "nbi.o", path.join(sourceDirectory, "nbi.S")], inDirectory);
  await runCommand("objcopy", ["-O", "binary", "--only-section=.header", "nbi.o", name], inDirectory);
}
