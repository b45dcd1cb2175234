import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { buildDirectory, cached, contentKey } from "../cache.ts";
import { cloneRoot, runCommand } from "../command.ts";

/** What a kernel or a module was given. */
export interface JudgedFile {
  /** The bytes; empty where there are more than 64 KiB. */
  readonly data: Uint8Array;
  /** Length of the file, bytes. */
  readonly bytes: number;
  /** Sum of the bytes, modulo 2^32. */
  readonly sum: number;
  /** A multiboot module's string. */
  readonly options: string;
}

/** What the kernel said that was booted. */
export interface Judgement {
  /** The name given to {@link judgedKernel}. */
  readonly kernel: string;
  readonly protocol: "linux" | "multiboot" | "multiboot2";
  /** The whole command line, as UTF-8. */
  readonly options: string;
  /** All initrds as the loader put them together; null: none. */
  readonly initrd: JudgedFile | null;
  readonly modules: readonly JudgedFile[];
}

/** The device whose port ends QEMU when the kernel has said all. */
export const judgedExitWords: readonly string[] = ["-device", "isa-debug-exit,iobase=0xf4"];
/** QEMU's exit code then: the value that the kernel writes, doubled, plus one. */
export const judgedExitCode = 0x21;

const sourceDirectory = path.join(cloneRoot, "test/vm/judge");
const sources = ["payload-kernel.S", "payload-kernel.c"];
/** Where multiboot loads the file; a bzImage goes anywhere. */
const base = 0x1000000;
const placeholder = "<name of this kernel>";
/** Bytes of a name, its final NUL included. */
const nameBytes = 64;

const compilerFlags = [
  ...["-std=gnu11", "-O2", "-Wall", "-Wextra", "-ffreestanding", "-fno-builtin", "-mgeneral-regs-only"],
  ...["-fno-stack-protector", "-fno-stack-clash-protection", "-fcf-protection=none"],
  ...["-fno-asynchronous-unwind-tables", "-fno-jump-tables", "-fno-tree-loop-distribute-patterns"],
  ...["-m32", "-march=i686", "-fpie", "-DBITS=32", `-DBASE=${base}`],
];

/**
 * A kernel of 6 KB that says over the first serial port which one it is and what it was given, and ends QEMU
 * ({@link judgedExitWords}). It is a bzImage with a 16-bit and a 32-bit entry, a multiboot and a multiboot 2 kernel.
 *
 * @param name told by the kernel, and shown as its version; at most 63 bytes
 */
export async function judgedKernel(name: string): Promise<Uint8Array> {
  const encoded = new TextEncoder().encode(name);
  if (encoded.length >= nameBytes) throw new Error(`name a kernel "${name}": at most ${nameBytes - 1} bytes expected`);
  const kernel = new Uint8Array(await readFile(await plainKernel()));
  const text = Buffer.from(kernel.buffer);
  let patched = 0;
  for (let at = text.indexOf(placeholder); at !== -1; at = text.indexOf(placeholder)) {
    kernel.fill(0, at, at + nameBytes);
    kernel.set(encoded, at);
    patched++;
  }
  if (patched !== 2) throw new Error(`name a kernel: 2 places expected, got ${patched}`);
  return kernel;
}

/** The name in the bytes of a judged kernel: its version, where the header says (Documentation/arch/x86/boot.rst, kernel_version). */
export function judgedKernelName(kernel: Uint8Array): string {
  const at = Buffer.from(kernel.buffer, kernel.byteOffset, kernel.length).readUInt16LE(0x20e) + 0x200;
  const name = kernel.subarray(at, at + nameBytes);
  return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
}

/** The path of the kernel that has no name yet, built once for these sources and this compiler. */
async function plainKernel(): Promise<string> {
  const names = (await readdir(sourceDirectory)).filter((name) => /^payload-kernel\.(S|c|lds)$/.test(name)).sort();
  const files = [...names.map((name) => path.join(sourceDirectory, name)), path.join(cloneRoot, payloadHeader)];
  const contents = await Promise.all(files.map((file) => readFile(file)));
  const key = contentKey(compilerFlags.join(" "), await runCommand("gcc", ["--version"]), ...names, ...contents);
  const directory = await cached(path.join(buildDirectory, "payloads"), `judged-${key}`, build);
  return path.join(directory, "kernel");
}

const payloadHeader = "test/vm/payload/payload.h";

async function build(directory: string): Promise<void> {
  const inDirectory = { cwd: directory };
  for (const source of sources) {
    const words = [...compilerFlags, "-c", "-o", `${source}.o`, path.join(sourceDirectory, source)];
    await runCommand("gcc", words, inDirectory);
  }
  await runCommand(
    "ld",
    [
      ...["-m", "elf_i386", "-static", "-nostdlib", "--build-id=none", "-z", "noexecstack", "--no-warn-rwx-segments"],
      ...[`--defsym=BASE=${base}`, "-T", path.join(sourceDirectory, "payload-kernel.lds")],
      ...["-o", "program", ...sources.map((source) => `${source}.o`)],
    ],
    inDirectory,
  );
  await runCommand("objcopy", ["-O", "binary", "program", "kernel"], inDirectory);
}

/** Reads what the kernel said out of a log of the serial port; null where none has said all. */
export function readJudgement(log: string): Judgement | null {
  const lines = log.replaceAll("\r", "").split("\n");
  const end = lines.indexOf("JUDGED end");
  const start = lines.findIndex((line) => line.startsWith("JUDGED name "));
  if (start === -1 || end < start) return null;
  const facts = lines.slice(start, end).filter((line) => line.startsWith("JUDGED "));
  const of = (kind: string): string[] => facts.filter((line) => line.startsWith(`JUDGED ${kind} `));
  const protocol = of("protocol")[0]?.slice("JUDGED protocol ".length);
  if (protocol !== "linux" && protocol !== "multiboot" && protocol !== "multiboot2") {
    throw new Error(`read a judgement: protocol "${protocol}"`);
  }
  const [initrd] = of("initrd").map(readFileFact);
  return {
    kernel: text(field(facts[0] ?? "", "data")),
    protocol,
    options: text(field(of("options")[0] ?? "", "data")),
    initrd: initrd ?? null,
    modules: of("module").map(readFileFact),
  };
}

function readFileFact(line: string): JudgedFile {
  return {
    data: Buffer.from(field(line, "data"), "hex"),
    bytes: Number(field(line, "bytes")),
    sum: Number(field(line, "sum")),
    options: text(field(line, "options")),
  };
}

function field(line: string, name: string): string {
  return new RegExp(` ${name}=(\\S*)`).exec(line)?.[1] ?? "";
}

function text(hex: string): string {
  return Buffer.from(hex, "hex").toString();
}
