import type { BootEntry, FileRef } from "../discovery/entry.ts";
import type { FileRange } from "../linux/system.ts";
import { type Artifact, type ArtifactRole, type Artifacts, describeRef } from "./artifacts.ts";
import type { MemoryFile } from "./memory-file.ts";
import type { Policy, TrustMode } from "./policy.ts";

/** What is judged of an entry: each of its files, and its options, which its configuration files authenticate. */
export interface ArtifactVerdict {
  readonly role: ArtifactRole | "options";
  readonly ref: FileRef;
  readonly trusted: boolean;
  /** Label of the key; null when it is not trusted. */
  readonly by: string | null;
  /** Why it is not trusted; null when it is. */
  readonly reason: string | null;
  /** Whether it was judged; a file is not read when another one has the entry refused in any case. */
  readonly checked: boolean;
}

declare const verified: unique symbol;

/** An entry that the policy lets boot, with the bytes that were judged. Only {@link verify} makes one. */
export interface VerifiedBoot {
  readonly [verified]: true;
  readonly entry: BootEntry;
  readonly kernel: MemoryFile;
  readonly initrd: MemoryFile | null;
  readonly devicetree: MemoryFile | null;
  /** In the entry's order. */
  readonly modules: readonly FileRange[];
  readonly addons: readonly FileRange[];
  readonly overlays: readonly FileRange[];
  readonly mode: TrustMode;
  /** Labels of the keys; empty when nothing was authenticated. */
  readonly by: readonly string[];
  /** Under `audit`: what `enforce` would have refused. */
  readonly concerns: readonly string[];
}

export type Verdict =
  | { readonly ok: true; readonly boot: VerifiedBoot; readonly artifacts: readonly ArtifactVerdict[] }
  | { readonly ok: false; readonly reason: string; readonly artifacts: readonly ArtifactVerdict[] };

/** Refused files that a reason names: a hostile entry may have thousands, and reasons are kept and shown. */
const concernsNamedMax = 8;

/** Judges an entry's artifacts by the policy. Pure: it reads nothing but what it is given. */
export function verify(artifacts: Artifacts, policy: Policy): Verdict {
  const files = policy.mode === "off" ? [] : artifacts.artifacts.map((artifact) => judge(artifact, policy));
  const judged =
    policy.mode === "off"
      ? []
      : [judgeOptions(artifacts.entry, files), ...files.filter((f) => f.role !== "environment")];
  const untrusted = judged.filter((verdict) => !verdict.trusted);
  // What was not looked at says nothing of its own, unless there is nothing else to say.
  const decisive = untrusted.filter((verdict) => verdict.checked);
  const concerns = (decisive.length > 0 ? decisive : untrusted).map(describeVerdict);
  if (policy.mode === "enforce" && concerns.length > 0) {
    const more = concerns.length > concernsNamedMax ? `; and ${concerns.length - concernsNamedMax} more` : "";
    return { ok: false, reason: `${concerns.slice(0, concernsNamedMax).join("; ")}${more}`, artifacts: judged };
  }
  if (artifacts.kernel === null) return { ok: false, reason: "the kernel was not read", artifacts: judged };
  const boot = {
    entry: artifacts.entry,
    kernel: artifacts.kernel,
    initrd: artifacts.initrd,
    devicetree: artifacts.devicetree,
    modules: artifacts.modules,
    addons: artifacts.addons,
    overlays: artifacts.overlays,
    mode: policy.mode,
    by: [...new Set(judged.flatMap((verdict) => (verdict.by === null ? [] : [verdict.by])))],
    concerns,
  };
  // The brand exists in the type only; this is the one place that gives it.
  return { ok: true, boot: boot as typeof boot & Pick<VerifiedBoot, typeof verified>, artifacts: judged };
}

/** Judges a single file, outside any entry. */
export function judge(artifact: Artifact, policy: Policy): ArtifactVerdict {
  const { role, ref } = artifact;
  const reasons: string[] = [];
  let checked = true;
  for (const found of artifact.signatures) {
    if ("problem" in found) {
      reasons.push(`${found.path}: ${found.problem}`);
      continue;
    }
    const { signature } = found;
    const key = policy.keys.find((k) => k.scheme === found.scheme && k.id === signature.keyId);
    if (key === undefined) reasons.push(`${found.path}: made with key ${signature.keyId}, which is not trusted`);
    else if (artifact.content === null) {
      checked = false;
      reasons.push(`${found.path}: not checked, another file of the entry is refused`);
    } else {
      const failure = signature.check(key, artifact.content);
      if (failure === null) return { role, ref, trusted: true, by: key.label, reason: null, checked: true };
      reasons.push(`${found.path}: ${failure}`);
    }
  }
  return {
    role,
    ref,
    trusted: false,
    by: null,
    reason: reasons.length > 0 ? reasons.join(", ") : "no signature",
    checked,
  };
}

/**
 * Options are authentic when all that made them is, and nothing unsigned had a part in it: the configuration, or the
 * kernel's file and its add-ons where they stand in these.
 */
function judgeOptions(entry: BootEntry, files: readonly ArtifactVerdict[]): ArtifactVerdict {
  const ref = { volume: entry.source.volume, path: entry.source.path };
  const makers: readonly ArtifactVerdict["role"][] = entry.embedded ? ["config", "linux", "addon"] : ["config"];
  const configs = files.filter((file) => makers.includes(file.role));
  const refused = configs.find((file) => !file.trusted);
  const isTrustedEnvironment = ({ volume, path }: FileRef): boolean => {
    const same = files.filter((f) => f.role === "environment" && f.ref.volume === volume && f.ref.path === path);
    // A file that was read with two contents is trusted when both are.
    return same.length > 0 && same.every((f) => f.trusted);
  };
  const unsigned = entry.unsignedInputs.find((input) => !isTrustedEnvironment(input.config.ref));
  const reason =
    refused !== undefined
      ? `they come from ${describeRef(refused.ref)}, which is not authenticated`
      : unsigned !== undefined
        ? `${unsigned.what} comes from ${describeRef(unsigned.config.ref)}, which is not signed`
        : configs.length === 0
          ? "no configuration file authenticates them"
          : null;
  return {
    role: "options",
    ref,
    trusted: reason === null,
    by: reason === null ? (configs[0]?.by ?? null) : null,
    reason,
    checked: true,
  };
}

export function describeVerdict({ role, ref, reason }: ArtifactVerdict): string {
  const subject = role === "options" ? role : `${role} ${describeRef(ref)}`;
  return `${subject} refused: ${reason ?? ""}`;
}
