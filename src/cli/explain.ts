import { parseArgs } from "node:util";
import { loadOptions } from "../boot/load-options.ts";
import type { BootEntry, FileRef, InitrdRef, SkippedEntry } from "../discovery/entry.ts";
import { messageOf } from "../formats/error-text.ts";
import { kernelVersion } from "../formats/kernel-version.ts";
import { printable } from "../formats/printable.ts";
import { readUki } from "../formats/uki.ts";
import { chooseDevicetree } from "../formats/uki-devicetree.ts";
import { targetCommandLine } from "../handoff/command-line.ts";
import { findings } from "../handoff/findings.ts";
import type { KernelFile } from "../handoff/kernel-file.ts";
import { describeHandoff, type LoadOptions, planBoot } from "../handoff/load.ts";
import { nameMatcher } from "../handoff/rank.ts";
import { profileOf } from "../handoff/uki-options.ts";
import { nativeSystem } from "../linux/native.ts";
import { readRangeOf } from "../machine/file-range.ts";
import { Remarks } from "../machine/kernel-files.ts";
import { readMachineIdentity } from "../machine/machine-identity.ts";
import { configUsage, findEntries, judgeEntry, keysUsage, readEntry, readPolicy, type TrustWords } from "./judge.ts";
import { exitNoEntries } from "./list.ts";
import { rootUsage } from "./roots.ts";
import { efiUsage, readConfigFile, type Survey, survey } from "./survey.ts";
import type { Verb } from "./verb.ts";

export const explainVerb: Verb = {
  name: "explain",
  summary: "tell what would boot and why, what was skipped and why",
  usage: `usage: slipway explain [--config FILE] [--policy FILE] [--keys DIR] [--efivars DIR] [--root SPEC]...
                       [ENTRY]

Without ENTRY: every volume, every entry with its file and line, what was skipped and why, and why
the default is the default. With ENTRY (an id, a title, a file, or a pattern of these): its files, its
options and the variables that made them, the verdict on each, and whether this kernel can start it;
or why it was skipped. Nothing is loaded or changed.
Exit code: 0 with entries, 3 with none, 1 on failure.

${configUsage}
${keysUsage}
${rootUsage}
${efiUsage}
`,
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: "string" },
        efivars: { type: "string" },
        policy: { type: "string" },
        keys: { type: "string" },
        root: { type: "string", multiple: true },
      },
    });
    await using result = await survey(await readConfigFile(values.config), values.root ?? [], values.efivars);
    if (positionals.length === 0) {
      process.stdout.write(explainAll(result));
      return result.found.entries.length > 0 ? 0 : exitNoEntries;
    }
    let found = false;
    const words = { policy: values.policy, keys: values.keys };
    for (const word of positionals) {
      const entries = findEntries(result, word);
      const skipped = findSkipped(result, word);
      if (entries.length === 0 && skipped.length === 0) {
        throw new Error(`explain ${JSON.stringify(word)}: no such entry; "slipway list" shows their ids`);
      }
      for (const entry of entries) process.stdout.write((await explainEntry(result, entry, words)).text);
      process.stdout.write(linesText(skipped.flatMap(skippedLines)));
      found ||= entries.length > 0;
    }
    return found ? 0 : exitNoEntries;
  },
};

/** What was skipped and is meant by a word: its title, its file, or the file's name with or without its suffix; patterns match. */
function findSkipped({ found }: Pick<Survey, "found">, word: string): readonly SkippedEntry[] {
  const isMeant = nameMatcher(word);
  return found.skipped.filter(({ title, source }) => {
    const file = source.path.slice(source.path.lastIndexOf("/") + 1);
    const names = [source.path, place(source), `${place(source)}:${source.line}`, file, file.replace(/\.[^.]*$/, "")];
    return isMeant([...(title === null ? [] : [title]), ...names]);
  });
}

function skippedLines({ source, title, reason }: SkippedEntry): string[] {
  const name = title === null ? "" : `  ${JSON.stringify(title)}`;
  return [`skipped: ${place(source)}:${source.line}${name}`, `  ${reason}`];
}

function linesText(lines: readonly string[]): string {
  return lines.map((line) => `${printable(line)}\n`).join("");
}

/** Everything that discovery found, as text. */
function explainAll(result: Survey): string {
  const lines: string[] = ["Volumes searched:"];
  for (const { volume } of result.sources) {
    const facts = [
      volume.fstype,
      volume.label === null ? null : `label ${volume.label}`,
      volume.uuid === null ? null : `uuid ${volume.uuid}`,
      volume.partuuid === null ? null : `partuuid ${volume.partuuid}`,
    ].filter((fact) => fact !== null);
    lines.push(`  ${volume.name}${facts.length > 0 ? `: ${facts.join(", ")}` : ""}`);
  }
  if (result.sources.length === 0) lines.push("  none");
  for (const remark of result.remarks) lines.push(`  ${remark}`);
  lines.push("", "Entries, in the order in which they are tried:");
  for (const { entry, reason } of result.ranking.order) {
    lines.push(`  ${entry.id}  ${JSON.stringify(entry.title)}`);
    if (entry.submenu.length > 0)
      lines.push(`    in the sub-menu ${entry.submenu.map((s) => JSON.stringify(s)).join(" > ")}`);
    lines.push(`    from ${place(entry.source)}:${entry.source.line}`);
    lines.push(`    here because: ${reason}`);
    if (entry.tries !== null) lines.push(`    boot attempts: ${entry.tries.left} left, ${entry.tries.done} failed`);
  }
  if (result.found.entries.length === 0) lines.push("  none");
  lines.push("", "Skipped:");
  for (const { source, title, reason } of result.found.skipped) {
    lines.push(
      `  ${place(source)}:${source.line}${title === null ? "" : `  ${JSON.stringify(title)}`}`,
      `    ${reason}`,
    );
  }
  if (result.found.skipped.length === 0) lines.push("  nothing");
  lines.push("", `Default: ${result.ranking.defaultId ?? "none"}`, `  because: ${result.ranking.defaultReason}`);
  const { timeoutSeconds } = result.ranking;
  if (timeoutSeconds !== null && timeoutSeconds > 0) {
    lines.push(`  its menu time-out of ${timeoutSeconds} s is not waited for: Slipway boots at once`);
  }
  return linesText(lines);
}

/** What there is to say of one entry. */
export interface ExplainedEntry {
  /** Its files, options, the verdicts, how it would be handed over. */
  readonly text: string;
  readonly boots: boolean;
}

/** @param options how it would be loaded; as a boot does unless told */
export async function explainEntry(
  result: Survey,
  entry: BootEntry,
  words: TrustWords,
  options: LoadOptions = loadOptions(result.config),
): Promise<ExplainedEntry> {
  const lines = [
    `${entry.id}  ${JSON.stringify(entry.title)}`,
    `  from      ${place(entry.source)}:${entry.source.line}`,
    `  linux     ${place(entry.linux)}${entry.part === null ? "" : `, of it ${entry.part}`}`,
    ...entry.initrd.map((ref) => `  initrd    ${place(ref)}${archiveText(ref)}`),
    ...entry.modules.map(({ file, options }) => `  module    ${place(file)}  ${options}`),
    ...entry.addons.map((ref) => `  add-on    ${place(ref)}`),
    ...(entry.devicetree === null ? [] : [`  dtb       ${place(entry.devicetree)}`]),
    ...entry.overlays.map((ref) => `  overlay   ${place(ref)}`),
    `  options   ${entry.options}${entry.embedded ? "  (from inside the kernel's file)" : ""}`,
    ...entry.configs.map((config) => `  config    ${place(config.ref)} (${config.bytes.length} bytes)`),
    ...entry.unsignedInputs.map((input) => `  ${input.what} comes from ${place(input.config.ref)}`),
  ];
  lines.push(...variableLines(entry));
  const position = result.ranking.order.findIndex((item) => item.entry === entry);
  lines.push(
    `  tried as number ${position + 1} of ${result.ranking.order.length}: ${result.ranking.order[position]?.reason ?? ""}`,
  );
  if (position > 0)
    lines.push(`  the default is ${result.ranking.defaultId ?? "none"}: ${result.ranking.defaultReason}`);
  const judged = await judgeLines(result, entry, words, options);
  lines.push(`  handed over as: ${judged.commandLine ?? targetCommandLine(entry, result.config.handoff.bootImage)}`);
  lines.push(...judged.lines);
  return { text: linesText(lines), boots: judged.boots };
}

function archiveText({ archive }: InitrdRef): string {
  return archive === undefined ? "" : `, as ${archive.path}`;
}

/** The variables that stand in its files and options. */
function variableLines({ variables }: BootEntry): string[] {
  if (variables.length === 0) return [];
  return [
    "  variables in its files and options:",
    ...variables.map(({ name, value, place: set }) => {
      const where = set === null ? "set by Slipway" : `set in ${place(set)}:${set.line}`;
      return `    ${name}=${JSON.stringify(value)}  ${where}`;
    }),
  ];
}

interface Judged {
  readonly lines: readonly string[];
  readonly boots: boolean;
  /** As the kernel would get it; null where the entry would not boot. */
  readonly commandLine: string | null;
}

async function judgeLines(result: Survey, entry: BootEntry, words: TrustWords, options: LoadOptions): Promise<Judged> {
  const policy = await readPolicy(words, result.config);
  try {
    using artifacts = await readEntry(result, entry, policy);
    const verdict = await judgeEntry(result, artifacts, policy);
    const { mode, name } = artifacts.rule;
    const rule = name === null ? "" : `, rule ${JSON.stringify(name)}`;
    const lines = [`  trust     ${mode}${rule}, ${policy.anchors.length} key(s)`];
    for (const item of verdict.artifacts) {
      lines.push(
        `    ${item.role} ${item.role === "options" || item.role === "version" ? "" : `${place(item.ref)} `}${item.trusted ? `trusted by ${item.by ?? "the policy"}` : `refused: ${item.reason}`}`,
      );
    }
    if (!verdict.ok)
      return { lines: [...lines, "  would not boot: the policy refuses it"], boots: false, commandLine: null };
    using planned = await planBoot(nativeSystem(), verdict.boot, options);
    const shown = findings(planned.plan, options.machine).map(
      ({ severity, what, remedy }) => `    ${severity}: ${what}${remedy === null ? "" : `; ${remedy}`}`,
    );
    const { kernel } = planned.plan.request;
    const handoff = `  handoff   ${describeHandoff(planned.plan)}`;
    const about = [...kernelLines(kernel), ...devicetreeLines(kernel, entry.part)];
    return {
      lines: [...lines, ...about, handoff, ...shown, "  would boot"],
      boots: true,
      commandLine: planned.plan.request.commandLine,
    };
  } catch (error) {
    return { lines: [`  would not boot: ${messageOf(error)}`], boots: false, commandLine: null };
  }
}

/** What the kernel says of itself. */
function kernelLines({ kind, imageKind, wrapping, read, image }: KernelFile): string[] {
  const version = kernelVersion(read, image.length);
  const forms = [kind, ...(imageKind === kind ? [] : [imageKind]), ...(wrapping === null ? [] : [`in ${wrapping}`])];
  return [`  kernel    ${version ?? "of unknown version"} (${forms.join(", ")})`];
}

/** The device tree of a unified kernel image that is for this machine, where it has one. */
function devicetreeLines({ kind, container }: KernelFile, part: string | null): string[] {
  if (kind !== "uki") return [];
  const read = readRangeOf(container);
  const image = readUki(read, container.length, profileOf(part));
  if (image.devicetree === null && image.boardDevicetrees.length === 0) return [];
  const problems: string[] = [];
  const remarks = new Remarks();
  const chosen = chooseDevicetree(read, image, readMachineIdentity(remarks), (problem) => problems.push(problem));
  const said = chosen === null ? "none of the image's is for this machine" : chosen.reason;
  return [`  dtb       ${said}`, ...[...problems, ...remarks.sentences].map((problem) => `    ${problem}`)];
}

function place(ref: FileRef): string {
  return `${ref.volume}:${ref.path}`;
}
