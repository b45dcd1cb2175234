import type { KeyFile } from "../trust/policy.ts";
import type { ImageSizes, Initramfs } from "./initramfs.ts";
import type { AbsentModule, ModuleSelection } from "./kernel-modules.ts";
import type { Compression, WrittenOutput } from "./output.ts";

/** What `slipway image build --json` prints; keys are always present. */
export interface ImageReport {
  readonly version: 1;
  readonly output: string;
  /** Of the finished file. */
  readonly sha256: string;
  readonly format: "cpio";
  readonly compression: Compression["kind"];
  readonly level: number | null;
  readonly unpackedBytes: number;
  readonly compressedBytes: number;
  readonly executable: { readonly source: string; readonly bytes: number };
  readonly libraries: {
    readonly bytes: number;
    readonly files: readonly { readonly path: string; readonly bytes: number }[];
  };
  readonly modules: {
    readonly kernel: string;
    readonly bytes: number;
    readonly files: readonly string[];
    readonly absent: readonly AbsentModule[];
  } | null;
  readonly trust: string;
  readonly keys: readonly { readonly file: string; readonly id: string }[];
  readonly included: { readonly bytes: number; readonly files: number };
}

export interface ReportInputs {
  readonly output: string;
  readonly compression: Compression;
  readonly executable: string;
  readonly trust: string;
  readonly keys: readonly KeyFile[];
  readonly modules: ModuleSelection | null;
  readonly plan: Initramfs;
  readonly sizes: ImageSizes;
  readonly written: WrittenOutput;
}

export function makeReport(inputs: ReportInputs): ImageReport {
  const { output, compression, executable, trust, keys, modules, plan, sizes, written } = inputs;
  const { parts } = sizes;
  const libraries = plan.libraries.map(({ path }) => ({ path, bytes: sizes.files.get(path) ?? 0 }));
  return {
    version: 1,
    output,
    sha256: written.sha256,
    format: "cpio",
    compression: compression.kind,
    level: compression.kind === "none" ? null : compression.level,
    unpackedBytes: sizes.archiveBytes,
    compressedBytes: written.bytes,
    executable: { source: executable, bytes: parts.executable.bytes },
    libraries: { bytes: parts.library.bytes, files: libraries },
    modules: modules === null ? null : reportModules(modules, parts.module.bytes),
    trust,
    keys: keys.flatMap(({ name, anchors }) =>
      anchors.length === 0 ? [{ file: name, id: "" }] : anchors.map(({ id }) => ({ file: name, id })),
    ),
    included: { bytes: parts.include.bytes, files: parts.include.files },
  };
}

function reportModules(modules: ModuleSelection, bytes: number): ImageReport["modules"] {
  return {
    kernel: modules.version,
    bytes,
    files: modules.modules.map((module) => module.path),
    absent: modules.absent,
  };
}

type Row = readonly [what: string, size: string, detail: string];

/** The same as a short table. */
export function reportTable(report: ImageReport): string {
  const { modules, libraries, keys, included } = report;
  const moduleRow: Row =
    modules === null
      ? ["modules", "none", ""]
      : ["modules", megabytes(modules.bytes), `${count(modules.files.length, "module")} of ${modules.kernel}`];
  const includeRow: Row = ["included", megabytes(included.bytes), count(included.files, "file")];
  const level = report.level === null ? "" : ` level ${report.level}`;
  const rows: readonly Row[] = [
    ["executable", megabytes(report.executable.bytes), report.executable.source],
    ["libraries", megabytes(libraries.bytes), count(libraries.files.length, "file")],
    moduleRow,
    ...(included.files > 0 ? [includeRow] : []),
    [
      "trust",
      report.trust,
      keys.length === 0 ? "no keys" : keys.map((key) => `${key.file} ${key.id}`.trimEnd()).join(", "),
    ],
    ["unpacked", megabytes(report.unpackedBytes), ""],
    ["image", megabytes(report.compressedBytes), `${report.compression}${level}, ${report.output}`],
  ];
  return rows.map((row) => `${formatRow(row)}\n`).join("");
}

function formatRow([what, size, detail]: Row): string {
  return `${what.padEnd(12)}${size.padStart(9)}  ${detail}`.trimEnd();
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Millions of bytes, as disks and flash chips are sold. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
