import { printable } from "../../formats/printable.ts";
import { callName } from "../../handoff/choose-call.ts";
import { hex } from "../../handoff/classic/placement.ts";
import type { ClassicPlan, Segment } from "../../handoff/classic/plan.ts";
import type { LoadRequest } from "../../handoff/load-request.ts";
import type { ClassicLoadPlan, LoadPlan } from "../../handoff/plan-load.ts";
import type { Finding } from "../../handoff/preflight.ts";
import { tableLines } from "../table.ts";

/** What a plan would load, where and why: lines for people. */
export function planLines(plan: LoadPlan): string[] {
  const { request, choice } = plan;
  const { kernel, initrd, modules } = request;
  const wrapped = kernel.wrapping === null ? "" : `, unwrapped from ${kernel.wrapping}`;
  const type = kernel.kind === kernel.imageKind ? kernel.kind : `${kernel.imageKind} in a ${kernel.kind}`;
  const rows: (readonly [string, string])[] = [
    ["kernel", `${kernel.name} (${type}, ${kernel.image.length} bytes${wrapped})`],
    ["initrd", initrd === null ? "none" : `${initrd.length} bytes`],
    ...modules.map((part): readonly [string, string] => ["module", `${part.commandLine} (${part.range.length} bytes)`]),
    ["command line", targetCommandLine(plan) || "(empty)"],
    ["started by", request.onCrash ? "a panic" : "kexec -e, or a reboot that uses it"],
    ["call", callName(plan.call)],
    ["because", choice.reason],
    ...(choice.fallback === null ? [] : [["otherwise", callName(choice.fallback)] as const]),
    ["flags", planFlags(plan).join(" ") || "none"],
  ];
  const lines = rows.map(([name, value]) => printable(`${name.padEnd(13)}${value}`));
  return plan.call === "classic"
    ? [...lines, ...classicLines(plan.plan, plan.digest)]
    : [...lines, "segments     placed by the running kernel"];
}

/** With what a plan for a crash adds; in the file call the running kernel does. */
function targetCommandLine(plan: LoadPlan): string {
  return plan.call === "classic" ? plan.plan.commandLine : plan.request.commandLine;
}

const digestNames = { sha256: "SHA-256", crc32: "CRC-32" } as const;

function classicLines(plan: ClassicPlan, digest: ClassicLoadPlan["digest"]): string[] {
  const { target } = plan;
  const how = target.mode === "16-bit" ? "through the BIOS's real mode" : `at ${hex(target.address)}`;
  return [
    `digest       ${digest === null ? "none" : `${digestNames[digest]}, checked at the jump`}`,
    `entry        ${hex(plan.entry)}, then the kernel in ${target.mode} mode ${how}`,
    "segments:",
    ...tableLines(["  name", "address", "reserved", "memory", "content"], plan.segments.map(segmentCells)),
  ];
}

function segmentCells({ name, address, memoryBytes, reservedBytes, content }: Segment): readonly string[] {
  return [`  ${name}`, hex(address), hex(reservedBytes), hex(memoryBytes), hex(contentBytes(content))];
}

function contentBytes(content: Segment["content"]): number {
  return content.kind === "file" ? content.range.length : content.bytes.length;
}

/** The flags of the call, as linux/kexec.h names them. */
export function planFlags({ call, request }: LoadPlan): string[] {
  const flags = call === "file" ? fileFlags : classicFlags;
  return flags.filter(([isSet]) => isSet(request)).map(([, name]) => name);
}

type Flags = readonly (readonly [(request: LoadRequest) => boolean, string])[];

const fileFlags: Flags = [
  [(request) => request.onCrash, "KEXEC_FILE_ON_CRASH"],
  [(request) => request.initrd === null, "KEXEC_FILE_NO_INITRAMFS"],
  [(request) => request.debug, "KEXEC_FILE_DEBUG"],
  [(request) => request.noCma, "KEXEC_FILE_NO_CMA"],
  [(request) => request.forceDtb, "KEXEC_FILE_FORCE_DTB"],
];

const classicFlags: Flags = [
  [(request) => request.onCrash, "KEXEC_ON_CRASH"],
  [(request) => request.classic.preserveContext, "KEXEC_PRESERVE_CONTEXT"],
  [(request) => request.onCrash && request.classic.hotplug, "KEXEC_UPDATE_ELFCOREHDR"],
];

/** linux/kexec.h and linux/elf-em.h (x86_64); kexec-tools prints them as one number. */
const classicFlagBits: Readonly<Record<string, number>> = {
  KEXEC_ON_CRASH: 1,
  KEXEC_PRESERVE_CONTEXT: 2,
  KEXEC_UPDATE_ELFCOREHDR: 4,
};
const architectureFlag = 62 * 0x1_0000;

/** What kexec-tools prints when kexec_load(2) fails; where its own buffers are, there are no addresses here. */
export function failureLines(plan: LoadPlan): string[] {
  if (plan.call !== "classic") return [];
  const flags = planFlags(plan).reduce((sum, name) => sum + (classicFlagBits[name] ?? 0), architectureFlag);
  const { entry, segments } = plan.plan;
  return [
    `entry       = ${hex(entry)} flags = ${hex(flags)}`,
    `nr_segments = ${segments.length}`,
    ...segments.flatMap(({ name, address, memoryBytes, content }, index) => [
      `segment[${index}].buf   = ${name}`,
      `segment[${index}].bufsz = ${hex(contentBytes(content))}`,
      `segment[${index}].mem   = ${hex(address)}`,
      `segment[${index}].memsz = ${hex(memoryBytes)}`,
    ]),
  ];
}

/** The document of `--dry-run --json`, docs/kexec.md. Addresses and sizes are numbers, in bytes. */
export function planJson(plan: LoadPlan, found: readonly Finding[]): object {
  const { request, choice } = plan;
  const { kernel } = request;
  return {
    version: 1,
    kernel: {
      path: kernel.name,
      type: kernel.kind,
      imageType: kernel.imageKind,
      wrapping: kernel.wrapping,
      bytes: kernel.image.length,
    },
    initrd: request.initrd === null ? null : { bytes: request.initrd.length },
    modules: request.modules.map(({ commandLine, range }) => ({ commandLine, bytes: range.length })),
    commandLine: targetCommandLine(plan),
    onCrash: request.onCrash,
    call: callName(plan.call),
    reason: choice.reason,
    fallback: choice.fallback === null ? null : callName(choice.fallback),
    flags: planFlags(plan),
    digest: plan.call === "classic" ? plan.digest : null,
    entry: plan.call === "classic" ? plan.plan.entry : null,
    segments:
      plan.call === "classic"
        ? plan.plan.segments.map(({ name, address, memoryBytes, reservedBytes, content }) => ({
            name,
            address,
            memoryBytes,
            reservedBytes,
            contentBytes: contentBytes(content),
          }))
        : null,
    findings: found.map(({ severity, what, remedy }) => ({ severity, what, remedy })),
  };
}
