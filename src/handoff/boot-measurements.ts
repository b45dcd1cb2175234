import type { BootEntry } from "../discovery/entry.ts";
import { defaultDirectoryMode } from "../formats/cpio.ts";
import type { FileRange } from "../linux/system.ts";
import { readRangeOf } from "../machine/file-range.ts";
import {
  isCompanionPath,
  type MeasuredAddon,
  type MeasuredFile,
  type MeasuredImage,
  type MeasuredRole,
  type MeasureInput,
  measuredRoles,
} from "../trust/measure.ts";
import type { VerifiedBoot } from "../trust/verify.ts";
import type { SettledFacts } from "./record.ts";

/**
 * What is measured of a verified entry (docs/measured-boot.md).
 *
 * @param policy the text of the policy in force
 */
export function measureInputOf(boot: VerifiedBoot, facts: SettledFacts, policy: string): MeasureInput {
  const { entry } = boot;
  return {
    policy: new TextEncoder().encode(policy),
    commandLine: facts.commandLine,
    moduleCommandLines: entry.modules.map(({ options }) => options),
    part: facts.unified === null ? entry.part : null,
    initrdMembers: initrdMembers(entry, facts.unified !== null),
    files: boot.artifacts.flatMap(({ role, ref, content }): MeasuredFile[] =>
      isMeasured(role) && content !== null ? [{ role, path: ref.path, digest: (bank) => content.digest(bank) }] : [],
    ),
    image: facts.unified === null ? null : imageOf(boot, facts.unified, facts.commandLine),
  };
}

/** Where each initrd that is wrapped goes: a configuration that nobody signed may say it, and it decides what the file does. */
function initrdMembers({ initrd }: BootEntry, isUnified: boolean): string[] {
  return initrd.flatMap(({ archive }, index) => {
    if (archive === undefined || (isUnified && isCompanionPath(archive.path))) return [];
    const { path, mode, directories, directoryMode = defaultDirectoryMode } = archive;
    const octal = (bits: number): string => bits.toString(8).padStart(4, "0");
    const above = directories === Number.POSITIVE_INFINITY ? "all" : String(directories);
    return [`${index + 1} ${octal(mode)} ${above} ${octal(directoryMode)} ${path}`];
  });
}

function isMeasured(role: string): role is MeasuredRole {
  return measuredRoles.some((known) => known === role);
}

/** The options that take the place of the image's own; null when its own hold. */
function givenOptions({ embedded, options, addedOptions = "" }: BootEntry, commandLine: string): string | null {
  if (addedOptions !== "") return commandLine;
  return embedded || options === "" ? null : options;
}

function imageOf({ entry, addons, artifacts }: VerifiedBoot, image: FileRange, commandLine: string): MeasuredImage {
  const initrds = artifacts.filter(({ role }) => role === "initrd");
  return {
    read: readRangeOf(image),
    size: image.length,
    profile: Number(/^@(\d+)$/.exec(entry.part ?? "")?.[1] ?? 0),
    // A kernel for x86_64 gets no device tree by kexec.
    boardDevicetree: null,
    options: givenOptions(entry, commandLine),
    addons: addons.map((range, index): MeasuredAddon => {
      const path = entry.addons[index]?.path ?? "";
      return { name: path.slice(path.lastIndexOf("/") + 1), read: readRangeOf(range), size: range.length };
    }),
    companions: entry.initrd.flatMap(({ archive }, index) => {
      const content = initrds[index]?.content ?? null;
      return archive === undefined || content === null ? [] : [{ path: archive.path, bytes: () => content.bytes() }];
    }),
  };
}
