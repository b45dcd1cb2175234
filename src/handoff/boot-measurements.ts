import type { FileRange } from "../linux/system.ts";
import { readRangeOf } from "../machine/file-range.ts";
import {
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
    files: boot.artifacts.flatMap(({ role, ref, content }): MeasuredFile[] =>
      isMeasured(role) && content !== null ? [{ role, path: ref.path, digest: (bank) => content.digest(bank) }] : [],
    ),
    image: facts.unified === null ? null : imageOf(boot, facts.unified),
  };
}

function isMeasured(role: string): role is MeasuredRole {
  return measuredRoles.some((known) => known === role);
}

function imageOf({ entry, addons, artifacts }: VerifiedBoot, image: FileRange): MeasuredImage {
  const initrds = artifacts.filter(({ role }) => role === "initrd");
  return {
    read: readRangeOf(image),
    size: image.length,
    profile: Number(/^@(\d+)$/.exec(entry.part ?? "")?.[1] ?? 0),
    // A kernel for x86_64 gets no device tree by kexec.
    boardDevicetree: null,
    options: entry.embedded || entry.options === "" ? null : entry.options,
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
