import { closeSync, openSync, readFileSync, readSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import { isSea } from "node:sea";
import { parseArgs } from "node:util";
import { type Config, parseConfig } from "../boot/config.ts";
import { parseImagePolicy } from "../boot/trust.ts";
import { messageOf } from "../formats/error-text.ts";
import { FormatError } from "../formats/format-error.ts";
import { HostFiles } from "../image/host-files.ts";
import { ImageError, imageError } from "../image/image-error.ts";
import type { ImageNode, ImageTree } from "../image/image-tree.ts";
import { archiveChunks, type ImageInclude, type ImageSizes, noSizes, planInitramfs } from "../image/initramfs.ts";
import { selectModules } from "../image/kernel-modules.ts";
import { moduleLists } from "../image/module-lists.ts";
import { type Compression, compressionLevels, writeOutput } from "../image/output.ts";
import { makeReport, megabytes, reportTable } from "../image/report.ts";
import { noFirmwareLists, noKeys, type ReadKeys, readKeys, resolvePolicy } from "../trust/policy.ts";
import { defaultPolicyDocument } from "../trust/policy-schema.ts";
import { UsageError, type Verb } from "./verb.ts";

const { zstd, gzip } = compressionLevels;

export const imageUsage = `usage: slipway image build --output FILE [OPTION]...

Builds the boot image: a cpio archive with the program as /init, the libraries that it needs, kernel modules,
the configuration, the policy and the public keys. The same inputs give the same bytes.

  --output FILE           the image; it appears whole or not at all
  --config FILE           configuration (JSON); without it, every setting has its default
  --policy FILE           trust policy (JSON, docs/policy.md); without it, every key is trusted with everything
  --keys DIR              directory with public keys: minisign, signify, OpenSSH, OpenPGP, X.509 certificates, EFI
                          signature lists (*.esl), and what was taken back (*.dbx, *.sbat)
  --modules VERSION|DIR   take the modules of that kernel: /lib/modules/VERSION, or a directory with modules.dep;
                          without it, the image holds no modules (for a kernel that has all it needs built in)
  --include SOURCE:DEST   also put a file or a directory at the absolute path DEST; may be given several times
  --compression KIND      zstd (default), gzip or none; the kernel must be able to unpack it
  --level N               zstd: ${zstd.min} to ${zstd.max}, default ${zstd.default}; gzip: ${gzip.min} to ${gzip.max}, default ${gzip.default}
  --format FORMAT         cpio (default)
  --executable FILE       the program to put at /init; default: the running program
  --json                  print the report as JSON, with every file and every module that is absent
  --quiet                 print errors only

An image without keys is refused unless the policy's mode, or "trust" of the configuration, is "off".
`;

/** Where the verb writes; the process's own streams, or a test's. */
export interface ImageIo {
  readonly stdout: TextSink;
  readonly stderr: TextSink;
}

export interface TextSink {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

export const imageVerb: Verb = {
  name: "image",
  summary: "build a boot image from this program",
  usage: imageUsage,
  async run(args) {
    const stop = new AbortController();
    const onSignal = (signal: NodeJS.Signals): void => stop.abort(new ImageError(`stopped by ${signal}`));
    process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
    try {
      return await runImage(args, process, stop.signal);
    } finally {
      process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
    }
  },
};

/**
 * Runs `slipway image`.
 *
 * @param signal stops the build and leaves no file behind
 * @returns the exit code: 0, or 1 with a message on `stderr`
 * @throws UsageError for a mistake in `args`
 */
export async function runImage(args: readonly string[], io: ImageIo, signal?: AbortSignal): Promise<number> {
  const [verb, ...rest] = args;
  if (verb !== "build") throw new UsageError(`image: "build" expected${verb === undefined ? "" : `, not "${verb}"`}`);
  const options = parseBuildOptions(rest);
  try {
    await build(options, io, signal);
    return 0;
  } catch (error) {
    const reason = signal?.aborted ? signal.reason : error;
    if (!(reason instanceof ImageError || reason instanceof FormatError || isSystemError(reason))) throw reason;
    io.stderr.write(`slipway image: ${reason.message}\n`);
    return 1;
  }
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error;
}

interface BuildOptions {
  readonly output: string;
  readonly config: string | null;
  readonly policy: string | null;
  readonly keys: string | null;
  /** Directory that holds modules.dep. */
  readonly modules: string | null;
  readonly includes: readonly ImageInclude[];
  readonly compression: Compression;
  readonly executable: string | null;
  readonly report: "table" | "json" | "none";
}

function parseBuildOptions(args: readonly string[]): BuildOptions {
  const { values } = parseStrictly(args);
  if (values.output === undefined || values.output === "") throw new UsageError("image build: --output FILE expected");
  if (values.format !== "cpio")
    throw new UsageError(`image build: --format "${values.format}": only "cpio" is accepted`);
  if (values.json && values.quiet) throw new UsageError("image build: --json and --quiet exclude each other");
  return {
    output: path.resolve(values.output),
    config: values.config ?? null,
    policy: values.policy ?? null,
    keys: values.keys ?? null,
    modules: values.modules === undefined ? null : modulesDirectory(values.modules),
    includes: values.include.map(parseInclude),
    compression: parseCompression(values.compression, values.level),
    executable: values.executable ?? null,
    report: values.quiet ? "none" : values.json ? "json" : "table",
  };
}

function parseStrictly(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        output: { type: "string" },
        config: { type: "string" },
        policy: { type: "string" },
        keys: { type: "string" },
        modules: { type: "string" },
        format: { type: "string", default: "cpio" },
        include: { type: "string", multiple: true, default: [] },
        compression: { type: "string", default: "zstd" },
        level: { type: "string" },
        executable: { type: "string" },
        json: { type: "boolean", default: false },
        quiet: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(`image build: ${messageOf(error)}`, { cause: error });
  }
}

function modulesDirectory(value: string): string {
  if (value === "") throw new UsageError("image build: --modules: a kernel version or a directory expected");
  const isDirectory = value.includes("/") || value === "." || value === "..";
  return isDirectory ? path.resolve(value) : `/lib/modules/${value}`;
}

function parseInclude(value: string): ImageInclude {
  // A source may hold colons; a destination may not.
  const colon = value.lastIndexOf(":");
  const source = value.slice(0, Math.max(0, colon));
  const destination = value.slice(colon + 1);
  if (source === "" || !destination.startsWith("/")) {
    throw new UsageError(`image build: --include "${value}": SOURCE:DESTINATION with an absolute DESTINATION expected`);
  }
  return { source: path.resolve(source), destination };
}

function parseCompression(kind: string, level: string | undefined): Compression {
  if (kind === "none") {
    if (level !== undefined) throw new UsageError("image build: --level does not go with --compression none");
    return { kind };
  }
  if (kind !== "zstd" && kind !== "gzip") {
    throw new UsageError(`image build: --compression "${kind}": "zstd", "gzip" or "none" expected`);
  }
  const { min, max, default: fallback } = compressionLevels[kind];
  const number = level === undefined ? fallback : /^\d{1,3}$/.test(level) ? Number(level) : Number.NaN;
  if (number >= min && number <= max) return { kind, level: number };
  throw new UsageError(`image build: --level "${level}": a number from ${min} to ${max} expected for ${kind}`);
}

/** The keys to put in: a file that is no key is refused, for somebody meant it to be one. */
async function readImageKeys(directory: string | null): Promise<ReadKeys> {
  if (directory === null) return noKeys;
  const read = await readKeys(directory).catch((error: unknown) => {
    throw imageError("read keys from", directory, error);
  });
  if (read.problems.length > 0) throw new ImageError(read.problems.join("; "));
  return read;
}

async function build(options: BuildOptions, io: ImageIo, signal: AbortSignal | undefined): Promise<void> {
  const executable = findExecutable(options);
  const { config, text } = readConfig(options.config);
  const read = await readImageKeys(options.keys);
  const { files: keys, ignored } = read;
  const policyText = options.policy === null ? null : readTextFile(options.policy);
  const document =
    policyText === null
      ? { ...defaultPolicyDocument, mode: config.trust }
      : parseImagePolicy(policyText, options.policy ?? "", config);
  const { policy, problems } = await resolvePolicy(document, read, noFirmwareLists, 0);
  // Somebody meant each key that the policy names to be there.
  if (problems.length > 0) throw new ImageError(problems.join("; "));
  if (options.report === "table") {
    for (const name of ignored) io.stderr.write(`slipway image: "${name}" in "${options.keys}" is no key, ignored\n`);
  }
  const trust = document.mode;
  // A policy may trust the firmware's own keys, or wait for one that the firmware keeps.
  if (policy.anchors.length === 0 && trust !== "off" && !document.firmware.db) {
    throw new ImageError(noKeysMessage(trust, options.keys));
  }
  const modules = options.modules === null ? null : selectModules(options.modules, moduleLists);
  const host = new HostFiles();
  const plan = planInitramfs({
    host,
    executable,
    config: text,
    policy: policyText,
    keys,
    modules,
    includes: options.includes,
  });
  if (document.lockdown) refuseLooseLockdown(config, plan.tree);
  const sizes = noSizes();
  const isProgressShown = options.report !== "none" && io.stderr.isTTY === true;
  const chunks = archiveChunks(plan.tree, sizes);
  const written = await writeOutput(
    options.output,
    isProgressShown ? withProgress(chunks, sizes, io.stderr) : chunks,
    options.compression,
    signal,
  );
  const { output, compression } = options;
  const report = makeReport({ output, compression, executable, trust, keys, modules, plan, sizes, written });
  if (options.report === "json") io.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  if (options.report === "table") io.stdout.write(reportTable(report));
}

function findExecutable(options: BuildOptions): string {
  if (options.executable === null && !isSea()) {
    throw new ImageError(
      `build an image: this is not the packaged program (it runs under "${process.execPath}"): name that with --executable FILE`,
    );
  }
  const executable = options.executable ?? process.execPath;
  if (!statSync(executable).isFile()) throw new ImageError(`read "${executable}": a regular file expected`);
  const same = (): boolean => realpathSync(options.output) === realpathSync(executable);
  if (statSync(options.output, { throwIfNoEntry: false }) !== undefined && same()) {
    throw new ImageError(`write "${options.output}": another file than the executable expected`);
  }
  return executable;
}

function readConfig(file: string | null): { config: Config; text: string } {
  const text = file === null ? "{}\n" : readTextFile(file);
  return { config: parseConfig(text, file ?? "default configuration"), text };
}

function readTextFile(file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    throw imageError("read", file, error);
  }
}

function noKeysMessage(trust: Config["trust"], directory: string | null): string {
  const reason = directory === null ? "no keys are given" : `there is no trusted key in "${directory}"`;
  return (
    `build an image: ${reason}, and trust is "${trust}": nothing that this image finds could be verified. ` +
    `Either give --keys DIR with public keys, or set "trust": "off" in the file given with --config.`
  );
}

/** A locked image that was given a shell was not meant so, one way or the other. */
function refuseLooseLockdown(config: Config, tree: ImageTree): void {
  if (config.rescue.shell) {
    throw new ImageError('build an image: "rescue.shell" is true, which does not go with "lockdown" of the policy');
  }
  const program = tree.nodes().find(isIncludedProgram);
  if (program !== undefined) {
    throw new ImageError(
      `build an image: include "${program.path}": with "lockdown" no program beside /init and no library is taken, ` +
        'for words on the kernel\'s command line ("rdinit=", "LD_PRELOAD=") could start it',
    );
  }
}

/** Bytes from the beginning of an ELF file to behind its type (System V ABI, "ELF Header"). */
const elfTypeEnd = 18;
/** ET_REL in either byte order. */
const elfRelocatable: readonly number[] = [0x0001, 0x0100];

/** Whether an included file can be executed, or loaded into a program: a kernel module cannot. */
function isIncludedProgram(node: ImageNode): boolean {
  if (node.type !== "file" || node.part !== "include" || node.content.kind !== "file") return false;
  if ((node.permissions & 0o111) !== 0) return true;
  const head = Buffer.alloc(elfTypeEnd);
  const file = openSync(node.content.source, "r");
  try {
    const length = readSync(file, head);
    const isElf = length === elfTypeEnd && head.readUInt32BE(0) === 0x7f454c46;
    return isElf && !elfRelocatable.includes(head.readUInt16LE(16));
  } finally {
    closeSync(file);
  }
}

const progressStepBytes = 8 << 20;

async function* withProgress(
  chunks: AsyncIterable<Uint8Array>,
  sizes: ImageSizes,
  terminal: TextSink,
): AsyncGenerator<Uint8Array, void> {
  let next = 0;
  try {
    for await (const chunk of chunks) {
      if (sizes.archiveBytes >= next) {
        terminal.write(`\rpacking: ${megabytes(sizes.archiveBytes)}`);
        next = sizes.archiveBytes + progressStepBytes;
      }
      yield chunk;
    }
  } finally {
    terminal.write("\r\x1b[K");
  }
}
