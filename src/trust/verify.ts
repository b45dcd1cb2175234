import type { BootEntry, FileRef } from "../discovery/entry.ts";
import { splitCommandLine } from "../formats/cmdline.ts";
import { messageOf } from "../formats/error-text.ts";
import { quote } from "../formats/format-error.ts";
import { type Glob, globMatches } from "../formats/glob.ts";
import { recognizeKernel } from "../formats/kernel-kind.ts";
import { type Manifest, type ManifestEntry, type ManifestFile, parseManifest } from "../formats/manifest.ts";
import { rangesOf } from "../formats/ranges.ts";
import type { FileRange } from "../linux/system.ts";
import { type Artifact, type ArtifactRole, type Artifacts, describeRef } from "./artifacts.ts";
import { outsideValidity } from "./clock.ts";
import { contentOf, type FoundManifest, type FoundSignature } from "./manifests.ts";
import type { MemoryFile } from "./memory-file.ts";
import { fallbackRule, type Policy, type Rule, type TrustMode } from "./policy.ts";
import { type Coverable, coverable, type Purpose } from "./policy-schema.ts";
import { judgeRollback, type KeptMinimum } from "./rollback.ts";
import {
  anchorIdentity,
  type CheckContext,
  type CheckResult,
  type SchemeName,
  type SignedContent,
  type Signer,
  type UntrustedSignature,
} from "./schemes/scheme.ts";

/** What is judged of an entry: each of its files, its options, and its version where the policy asks for one. */
export interface ArtifactVerdict {
  readonly role: ArtifactRole | "options" | "version";
  readonly ref: FileRef;
  readonly trusted: boolean;
  /** Labels of the keys; null when it is not trusted, or nobody had to vouch for it. */
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
  /** Every file of the entry with its digests, for measuring. */
  readonly artifacts: readonly Artifact[];
  readonly mode: TrustMode;
  /** Labels of the keys; empty when nothing was authenticated. */
  readonly by: readonly string[];
  /** What the manifest that vouches for it says it is; null without one. */
  readonly release: Release | null;
  /** Under `audit`: what `enforce` would have refused. And what could not be held against the entry. */
  readonly concerns: readonly string[];
}

/** What a manifest says of what it lists. */
export interface Release {
  readonly product: string | null;
  readonly version: number;
}

export type Verdict =
  | { readonly ok: true; readonly boot: VerifiedBoot; readonly artifacts: readonly ArtifactVerdict[] }
  | { readonly ok: false; readonly reason: string; readonly artifacts: readonly ArtifactVerdict[] };

/** What the rollback store keeps of each product. */
export type KeptMinimums = ReadonlyMap<string, KeptMinimum>;

/** Signatures of one thing that are checked, as far as they claim to be by a trusted key: each may be over a gigabyte. */
export const signaturesCheckedMax = 32;
/** Reasons that are told of one thing: somebody hostile can make thousands, and a serial console is slow. */
const reasonsNamedMax = 8;

/** Refused files that a reason names: a hostile entry may have thousands, and reasons are kept and shown. */
const concernsNamedMax = 8;

/** Judges an entry's artifacts by the policy. Pure: it reads nothing but what it is given. */
export function verify(artifacts: Artifacts, policy: Policy, kept: KeptMinimums = new Map()): Verdict {
  const { mode } = artifacts.rule;
  const { verdicts, release, warning } =
    mode === "off" ? { verdicts: [], release: null, warning: null } : new EntryJudge(artifacts, policy, kept).judge();
  const untrusted = verdicts.filter((verdict) => !verdict.trusted);
  // What was not looked at says nothing of its own, unless there is nothing else to say.
  const decisive = untrusted.filter((verdict) => verdict.checked);
  const concerns = (decisive.length > 0 ? decisive : untrusted).map(describeVerdict);
  if (mode === "enforce" && concerns.length > 0) {
    const more = concerns.length > concernsNamedMax ? `; and ${concerns.length - concernsNamedMax} more` : "";
    return { ok: false, reason: `${concerns.slice(0, concernsNamedMax).join("; ")}${more}`, artifacts: verdicts };
  }
  if (artifacts.kernel === null) return { ok: false, reason: "the kernel was not read", artifacts: verdicts };
  const boot = {
    entry: artifacts.entry,
    kernel: artifacts.kernel,
    initrd: artifacts.initrd,
    devicetree: artifacts.devicetree,
    modules: artifacts.modules,
    addons: artifacts.addons,
    overlays: artifacts.overlays,
    artifacts: artifacts.artifacts,
    mode,
    by: [...new Set(verdicts.flatMap((verdict) => (verdict.by === null ? [] : [verdict.by])))],
    release,
    concerns: warning === null ? concerns : [...concerns, warning],
  };
  // The brand exists in the type only; this is the one place that gives it.
  return { ok: true, boot: boot as typeof boot & Pick<VerifiedBoot, typeof verified>, artifacts: verdicts };
}

/** Judges a single file, outside any entry. */
export function judgeFile(
  file: { readonly rule: Rule; readonly artifact: Artifact; readonly manifests: readonly FoundManifest[] },
  policy: Policy,
): ArtifactVerdict {
  const judge = new SignerJudge(policy, file.rule, new Map());
  const manifests = file.manifests.map((found) => judge.attest(found));
  return judge.verdictOf(file.artifact, judge.vouchersOf(file.artifact, manifests, []));
}

/** Whether a signed document is to be believed for a purpose, by the rule that holds where no other does. */
export function judgeDocument(
  document: Pick<FoundManifest, "payload" | "signatures">,
  policy: Policy,
  purpose: Purpose,
): Pick<ArtifactVerdict, "by" | "reason"> {
  const judge = new SignerJudge(policy, fallbackRule(policy), new Map());
  const content = contentOf(() => document.payload, document.payload.length);
  const { signers, reasons } = judge.signersOf(document.signatures, content, purpose);
  const shortage = judge.shortage(signers);
  if (shortage === null) return { by: labelsOf(signers), reason: null };
  const reason = joinReasons([...(shortage === "" ? [] : [shortage]), ...reasons]) || "no signature";
  return { by: null, reason };
}

/** Who vouches for something, and why others do not. */
interface Vouchers {
  readonly signers: readonly Signer[];
  readonly reasons: readonly string[];
  readonly checked: boolean;
}

type Check = (signature: UntrustedSignature, content: SignedContent, context: CheckContext) => CheckResult;

const checkNow: Check = (signature, content, context) => signature.check(content, context);

/** What was found of the signatures of manifests: a hostile disk may have a thousand entries and as many megabytes of manifests. */
const results = new WeakMap<Policy, WeakMap<UntrustedSignature, CheckResult>>();

/** Checks each signature once for a policy: such a one belongs to a payload that stays the same. */
function checkOnce(policy: Policy): Check {
  const known = results.get(policy) ?? new WeakMap<UntrustedSignature, CheckResult>();
  results.set(policy, known);
  return (signature, content, context) => {
    const result = known.get(signature) ?? signature.check(content, context);
    known.set(signature, result);
    return result;
  };
}

const manifests = new WeakMap<FoundManifest, Manifest>();

function parseOnce(found: FoundManifest): Manifest {
  const manifest = manifests.get(found) ?? parseManifest(found.payload);
  manifests.set(found, manifest);
  return manifest;
}

/** A manifest that somebody trusted has signed, or why it counts for nothing. */
interface Attested {
  readonly found: FoundManifest;
  readonly manifest: Manifest | null;
  /** What it says, where its version alone is why it counts for nothing. */
  readonly outdated: Manifest | null;
  readonly signers: readonly Signer[];
  readonly reasons: readonly string[];
}

/** Judges signatures by the policy and one of its rules. */
class SignerJudge {
  readonly policy: Policy;
  readonly rule: Rule;
  readonly kept: KeptMinimums;
  readonly #context: CheckContext;

  constructor(policy: Policy, rule: Rule, kept: KeptMinimums) {
    this.policy = policy;
    this.rule = rule;
    this.kept = kept;
    const { clock, revocations } = policy;
    this.#context = { anchors: policy.anchors.map(({ anchor }) => anchor), clock, revocations };
  }

  /** Who has signed some content, for a purpose. */
  signersOf(
    signatures: readonly FoundSignature[],
    content: SignedContent | null,
    purpose: Purpose | "file",
    check: Check = checkNow,
  ): Vouchers {
    const signers: Signer[] = [];
    const reasons: string[] = [];
    let checked = true;
    let left = signaturesCheckedMax;
    for (const found of signatures) {
      const isClaimed = "signature" in found && found.signature.mayBeBy(this.#context.anchors);
      if (isClaimed && left-- === 0) {
        reasons.push(`${found.where}: at most ${signaturesCheckedMax} signatures are checked`);
        break;
      }
      const result = this.#judge(found, content, purpose, check);
      if (typeof result !== "string") signers.push(result);
      else {
        reasons.push(`${found.where}: ${result}`);
        checked &&= result !== unreadReason;
      }
    }
    return { signers, reasons, checked };
  }

  /** The signer, or why the signature does not count. */
  #judge(
    found: FoundSignature,
    content: SignedContent | null,
    purpose: Purpose | "file",
    check: Check,
  ): Signer | string {
    if ("problem" in found) return found.problem;
    const { signature, evidence } = found;
    const { schemes } = this.rule;
    const kind = signature.scheme;
    if (!schemes.includes(kind)) return `signatures of the kind ${kind} do not count${this.#byRule()}`;
    const misplaced = enclosedOnly(kind, purpose);
    if (misplaced !== null) return misplaced;
    const isUnread = content === null && signature.mayBeBy(this.#context.anchors);
    if (isUnread) return unreadReason;
    // Of what was not read, only that nobody trusted signed it can be told.
    const { signer, reason } = check(signature, content ?? nothing, this.#context);
    if (signer === null) return reason;
    if (content === null) return unreadReason;
    const uncovered = uncoveredKernel(kind, purpose, content);
    if (uncovered !== null) return uncovered;
    return this.#refusalOf(signer, evidence === "package" ? "package" : purpose) ?? signer;
  }

  /** Why a good signature does not count; null when it does. */
  #refusalOf(signer: Signer, purpose: Purpose | "file"): string | null {
    const accepted = this.rule.signers;
    const name = quote(signer.label);
    const reasons: string[] = [];
    const { revokedSigners } = this.policy;
    if ([anchorIdentity(signer.anchor), ...signer.identities].some((identity) => revokedSigners.has(identity))) {
      return `signed by ${name}, whose key the policy has revoked`;
    }
    for (const trusted of this.policy.anchors) {
      if (trusted.anchor !== signer.anchor) continue;
      const outside = outsideValidity(trusted, this.policy.clock);
      if (outside !== null) reasons.push(`signed by ${name}, whose key is ${outside} by the policy`);
      else if (accepted.length > 0 && !accepted.includes(trusted.anchor.label)) {
        reasons.push(`signed by ${name}, whose signatures do not count${this.#byRule()}`);
      } else if (purpose === "file" || trusted.purposes.includes(purpose)) return null;
      else reasons.push(`signed by ${name}, who may not sign a ${purpose}`);
    }
    return reasons[0] ?? `signed by ${name}, who is not trusted`;
  }

  #byRule(): string {
    return this.rule.name === null ? "" : ` under the rule ${quote(this.rule.name)}`;
  }

  /** Whether the signers are enough; otherwise why not. */
  shortage(signers: readonly Signer[]): string | null {
    const count = countDistinct(signers);
    if (count >= this.rule.threshold) return null;
    return count === 0
      ? ""
      : `signed by ${labelsOf(signers)}: ${this.rule.threshold} different signers expected, not ${count}`;
  }

  /** Looks into a manifest when somebody who may has signed it, and no earlier. */
  attest(found: FoundManifest): Attested {
    const payload = contentOf(() => found.payload, found.payload.length);
    const { signers, reasons } = this.signersOf(found.signatures, payload, "manifest", checkOnce(this.policy));
    const where = describeRef(found.ref);
    const nobody = (more: readonly string[], outdated: Attested["outdated"] = null): Attested => ({
      found,
      manifest: null,
      outdated,
      signers: [],
      reasons: more,
    });
    if (signers.length === 0) return nobody(reasons.length > 0 ? reasons : [`${found.ref.path}: no signature`]);
    try {
      const manifest = parseOnce(found);
      const outside = outsideValidity(manifest, this.policy.clock);
      if (outside !== null) return nobody([`manifest ${where}: ${outside}`]);
      const { reason } = judgeRollback(this.policy.document.rollback, manifest, this.#keptOf(manifest.product));
      if (reason !== null) return nobody([`manifest ${where}: ${reason}`], manifest);
      return { found, manifest, outdated: null, signers, reasons };
    } catch (error) {
      return nobody([`manifest ${where}: ${messageOf(error)}`]);
    }
  }

  #keptOf(product: string | null): KeptMinimum | null {
    return product === null ? null : (this.kept.get(product) ?? null);
  }

  /** What the version of an entry without a manifest, or with one, means to the policy. */
  rollback(manifest: Manifest | null): { readonly reason: string | null; readonly warning: string | null } {
    const { product = null, version = null } = manifest ?? {};
    return judgeRollback(this.policy.document.rollback, { product, version }, this.#keptOf(product));
  }

  /** Who vouches for an artifact: by its own signatures, by a manifest's list of files, or with the entry as a whole. */
  vouchersOf(
    artifact: Artifact,
    manifests: readonly Attested[],
    ofEntry: readonly Signer[],
    purpose: Purpose | "file" = artifact.role === "environment" ? "config" : artifact.role,
  ): Vouchers {
    const own = this.signersOf(artifact.signatures, artifact.content, purpose);
    const listing = manifests.filter(({ manifest }) => manifest !== null && lists(manifest, artifact));
    const silent = manifests.filter(({ manifest }) => manifest === null);
    return {
      signers: [...own.signers, ...ofEntry, ...listing.flatMap(({ signers }) => signers)],
      reasons: [...own.reasons, ...silent.flatMap(({ reasons }) => reasons)],
      checked: own.checked,
    };
  }

  verdictOf(artifact: Artifact, { signers, reasons, checked }: Vouchers): ArtifactVerdict {
    const { role, ref } = artifact;
    const shortage = this.shortage(signers);
    const revoked = this.isRevoked(artifact);
    if (shortage === null && !revoked) {
      return { role, ref, trusted: true, by: labelsOf(signers), reason: null, checked: true };
    }
    const why = [...(shortage === null || shortage === "" ? [] : [shortage]), ...reasons];
    const reason = revoked ? "the policy has revoked its SHA-256" : why.length > 0 ? joinReasons(why) : "no signature";
    return { role, ref, trusted: false, by: null, reason, checked };
  }

  /** Whether the policy has taken back a file's very content. */
  isRevoked({ content }: Artifact): boolean {
    const { revoked } = this.policy.document;
    return revoked.length > 0 && content !== null && revoked.includes(sha256(content));
  }
}

/** What a signature inside a file can vouch for; of others, bytes that nobody signed would be loaded with it. */
const enclosedRoles: Partial<Record<SchemeName, readonly string[]>> = {
  authenticode: ["linux", "addon", "file"],
  appended: ["linux", "module", "file"],
};

/** Why a kind of signature cannot vouch for what has this purpose; null when it can. */
function enclosedOnly(kind: SchemeName, purpose: Purpose | "file"): string | null {
  const roles = enclosedRoles[kind];
  if (roles === undefined || roles.includes(purpose)) return null;
  return `a signature of the kind ${kind} does not vouch for a file of the kind ${purpose}`;
}

/** Why a signature inside a kernel cannot vouch for it; null when it can. */
function uncoveredKernel(kind: SchemeName, purpose: Purpose | "file", content: SignedContent): string | null {
  if (purpose !== "linux" || enclosedRoles[kind] === undefined) return null;
  const found = recognizeKernel(rangesOf(content.bytes()), content.size);
  // Their header is searched for, and says what to load: both may stand in the signature's own bytes, which nothing signs.
  if (found !== "multiboot-x86" && found !== "multiboot2-x86") return null;
  return `a signature of the kind ${kind} does not vouch for a kernel of the kind ${found}`;
}

const unreadReason = "not checked, another file of the entry is refused";
const nothing = contentOf(() => new Uint8Array(), 0);

/** Judges an entry as a whole. */
class EntryJudge {
  readonly #artifacts: Artifacts;
  readonly #judge: SignerJudge;

  constructor(artifacts: Artifacts, policy: Policy, kept: KeptMinimums) {
    this.#artifacts = artifacts;
    this.#judge = new SignerJudge(policy, artifacts.rule, kept);
  }

  judge(): {
    readonly verdicts: readonly ArtifactVerdict[];
    readonly release: Release | null;
    readonly warning: string | null;
  } {
    const all = this.#artifacts.manifests.map((found) => this.#judge.attest(found));
    // A manifest that lists the entry and is too old says why nothing vouches for it: once, and first.
    const outdated = all.filter((each) => each.outdated !== null && this.#mismatch(each.found, each.outdated) === null);
    const attested = all.map((each) => (outdated.includes(each) ? { ...each, reasons: [] } : each));
    const { matching, told } = this.#match(attested);
    const verdicts = this.#judgeParts(attested, matching, told);
    const release = this.#releaseOf(matching);
    const { reason, warning } = this.#judge.rollback(release);
    // A manifest that counts was judged already; without one, the policy may want one.
    const few = matching.length > 0 ? `, signed by ${this.#artifacts.rule.threshold} different signers` : "";
    const isRefused = release === null && verdicts.some(({ trusted }) => !trusted);
    const old = reason !== null || isRefused ? outdated.flatMap(({ reasons }) => reasons) : [];
    const why = old.length > 0 ? old.join(", ") : reason === null || release !== null ? reason : `${reason}${few}`;
    const ref = outdated[0]?.found.ref ?? this.#source;
    const version =
      why === null ? [] : [{ role: "version", ref, trusted: false, by: null, reason: why, checked: true } as const];
    return {
      verdicts: [...version, ...verdicts],
      release: release === null ? null : { product: release.product, version: release.version },
      warning,
    };
  }

  /** Where the entry's configuration stands. */
  get #source(): FileRef {
    const { volume, path } = this.#artifacts.entry.source;
    return { volume, path };
  }

  /** The manifests that list the entry as it is, and what there is to tell of the others. */
  #match(attested: readonly Attested[]): { readonly matching: readonly Attested[]; readonly told: readonly string[] } {
    const matching: Attested[] = [];
    const told: string[] = [];
    for (const each of attested) {
      // What counts for nothing is told with each file.
      if (each.manifest === null) continue;
      const mismatch = this.#mismatch(each.found, each.manifest);
      if (mismatch === null) matching.push(each);
      else if (mismatch !== "") told.push(mismatch);
    }
    // Where the manifests that list the entry have too few signers, why their other signatures do not count.
    const isEnough = this.#judge.shortage(signersOf(matching)) === null;
    return { matching, told: isEnough ? told : [...told, ...matching.flatMap(({ reasons }) => reasons)] };
  }

  /** The options, and each file that has to be vouched for. */
  #judgeParts(
    attested: readonly Attested[],
    matching: readonly Attested[],
    told: readonly string[],
  ): readonly ArtifactVerdict[] {
    const { artifacts, entry, rule } = this.#artifacts;
    const judge = this.#judge;
    const ofEntry = signersOf(matching);
    const shortage = judge.shortage(ofEntry);
    const judged = artifacts.map((artifact) => {
      const whole = isCoverable(artifact.role) ? ofEntry : [];
      // An OS package is more than a kernel; and what stands inside signs the start of a file, where an archive is read from its end.
      const isPackage = entry.format === "ospkg" && artifact.role === "linux";
      const vouchers = judge.vouchersOf(artifact, attested, whole, isPackage ? "package" : undefined);
      const reasons = isCoverable(artifact.role) ? [...vouchers.reasons, ...told] : vouchers.reasons;
      return { verdict: judge.verdictOf(artifact, { ...vouchers, reasons }), isRevoked: judge.isRevoked(artifact) };
    });
    const files = judged.map(({ verdict }) => verdict);
    const options = this.#judgeOptions(
      files,
      ofEntry,
      shortage === null || shortage === "" ? told : [shortage, ...told],
    );
    const coversOptions = rule.cover.includes("options");
    const isShown = ({ role, trusted }: ArtifactVerdict, isRevoked: boolean): boolean =>
      isCoverable(role)
        ? // What was taken back does not boot where nobody has to vouch for it either.
          rule.cover.includes(role) || isRevoked
        : role === "config" && coversOptions && shortage !== null && (trusted || !options.trusted);
    const shown = judged.filter(({ verdict, isRevoked }) => isShown(verdict, isRevoked));
    return [...(coversOptions ? [options] : []), ...shown.map(({ verdict }) => verdict)];
  }

  /** Of the manifests that list the entry one with the highest version that enough signers say; null when there is none. */
  #releaseOf(matching: readonly Attested[]): Manifest | null {
    const isSaid = (said: Manifest): boolean => {
      const same = matching.filter(
        ({ manifest }) => manifest?.product === said.product && manifest.version === said.version,
      );
      return this.#judge.shortage(same.flatMap(({ signers }) => signers)) === null;
    };
    const manifests = matching.flatMap(({ manifest }) => (manifest === null ? [] : [manifest]));
    return manifests.toSorted((a, b) => b.version - a.version).find(isSaid) ?? null;
  }

  /** Why a manifest does not vouch for the entry as a whole; empty when that is told otherwise, null when it does. */
  #mismatch(found: FoundManifest, manifest: Manifest): string | null {
    const { artifacts, entry, rule } = this.#artifacts;
    const linux = artifacts.find(({ role }) => role === "linux");
    const where = `manifest ${describeRef(found.ref)}`;
    if (linux === undefined || linux.content === null) return "";
    const digest = sha256(linux.content);
    const candidates = manifest.entries.filter((listed) => listed.linux.sha256 === digest);
    const [closest] = candidates;
    if (closest === undefined) return `${where}: it lists no entry with this kernel`;
    if (candidates.some((listed) => differenceOf(listed, entry, artifacts, rule) === null)) return null;
    return `${where}: ${differenceOf(closest, entry, artifacts, rule)}`;
  }

  /** The options as they were listed, and words that were added since: each of these has to be allowed. */
  #judgeOptions(
    files: readonly ArtifactVerdict[],
    ofEntry: readonly Signer[],
    told: readonly string[],
  ): ArtifactVerdict {
    const listed = this.#judgeListedOptions(files, ofEntry, told);
    const { entry, rule } = this.#artifacts;
    const strange = wordsOf(entry.addedOptions ?? "").find((word) => !isAllowed(word, rule.optionsAllowed));
    if (!listed.trusted || strange === undefined) return listed;
    const reason = `${quote(strange)} was added at the console and does not fit "optionsAllowed"`;
    return { ...listed, trusted: false, by: null, reason };
  }

  /**
   * Options are authentic when a manifest lists them with the entry, or when all that made them is and nothing unsigned had
   * a part in it: the configuration, or the kernel's file and its add-ons where they stand in these.
   */
  #judgeListedOptions(
    files: readonly ArtifactVerdict[],
    ofEntry: readonly Signer[],
    told: readonly string[],
  ): ArtifactVerdict {
    const { entry, rule } = this.#artifacts;
    const ref = this.#source;
    const verdict = (reason: string | null, by: string | null): ArtifactVerdict => ({
      role: "options",
      ref,
      trusted: reason === null,
      by,
      reason,
      checked: true,
    });
    const reason = whyUnsigned(entry, files);
    if (reason === null) return verdict(null, makersOf(entry, files)[0]?.by ?? null);
    // What follows believes no configuration, and this word comes from there.
    const strangeWord = strangeBootImage(entry);
    if (strangeWord !== null) return verdict(joinReasons([`${reason}, and ${strangeWord}`, ...told]), null);
    if (this.#judge.shortage(ofEntry) === null) return verdict(null, labelsOf(ofEntry));
    const strange = wordsOf(entry.options).find((word) => !isAllowed(word, rule.optionsAllowed));
    // Patterns say which words need no signature. Of a multiboot module's string, and of a place in the initrd, they say nothing.
    const wrapped = entry.initrd.find(({ archive }) => archive !== undefined);
    const isPlain = entry.modules.length === 0 && wrapped === undefined;
    if (rule.optionsAllowed.length > 0 && strange === undefined && isPlain) return verdict(null, null);
    const because =
      rule.optionsAllowed.length === 0
        ? ""
        : strange !== undefined
          ? `, and ${quote(strange)} does not fit "optionsAllowed"`
          : wrapped !== undefined
            ? `, and so does the place ${quote(wrapped.archive?.path ?? "")} of ${describeRef(wrapped)} in the initrd`
            : ", and so do those of a module";
    return verdict(joinReasons([`${reason}${because}`, ...told]), null);
  }
}

/** Why the word that a loader puts before the options could be more than it seems; null when it is that word and no other. */
function strangeBootImage({ bootImage }: BootEntry): string | null {
  if (bootImage === null || (/^BOOT_IMAGE=./.test(bootImage) && plainWord.test(bootImage))) return null;
  return `${quote(bootImage)}, which nobody signed, is not the one word BOOT_IMAGE=PATH`;
}

/** What authenticates the options that no manifest lists. */
function makersOf(entry: BootEntry, files: readonly ArtifactVerdict[]): readonly ArtifactVerdict[] {
  const makers: readonly ArtifactVerdict["role"][] = entry.embedded ? ["config", "linux", "addon"] : ["config"];
  return files.filter((file) => makers.includes(file.role));
}

/** Why nothing authenticates the options; null when something does. */
function whyUnsigned(entry: BootEntry, files: readonly ArtifactVerdict[]): string | null {
  const makers = makersOf(entry, files);
  const refused = makers.find((file) => !file.trusted);
  const isTrustedEnvironment = ({ volume, path }: FileRef): boolean => {
    const same = files.filter((f) => f.role === "environment" && f.ref.volume === volume && f.ref.path === path);
    // A file that was read with two contents is trusted when both are.
    return same.length > 0 && same.every((f) => f.trusted);
  };
  const unsigned = entry.unsignedInputs.find((input) => !isTrustedEnvironment(input.config.ref));
  if (refused !== undefined) return `they come from ${describeRef(refused.ref)}, which is not authenticated`;
  if (unsigned !== undefined) {
    return `${unsigned.what} comes from ${describeRef(unsigned.config.ref)}, which is not signed`;
  }
  return makers.length === 0 ? "no configuration file authenticates them" : null;
}

/** The first thing in which an entry is not what a manifest lists; null when it is that. */
function differenceOf(
  listed: ManifestEntry,
  entry: BootEntry,
  artifacts: readonly Artifact[],
  rule: Rule,
): string | null {
  const covers = (role: Coverable): boolean => rule.cover.includes(role);
  if (listed.part !== entry.part) return `it lists ${partText(listed.part)} of the kernel, not ${partText(entry.part)}`;
  const lists: readonly (readonly [Coverable, readonly ManifestFile[]])[] = [
    ["initrd", listed.initrd],
    ["devicetree", listed.devicetree === null ? [] : [listed.devicetree]],
    ["module", listed.modules],
    ["addon", listed.addons],
    ["overlay", listed.overlays],
  ];
  for (const [role, expected] of lists) {
    if (!covers(role)) continue;
    const found = artifacts.filter((artifact) => artifact.role === role);
    if (found.length !== expected.length) {
      return `it lists this kernel with ${countText(expected.length, role)}, not ${found.length}`;
    }
    const other = found.find(({ content }, index) => content === null || sha256(content) !== expected[index]?.sha256);
    if (other !== undefined) return `it lists this kernel with another ${role} than ${describeRef(other.ref)}`;
  }
  const renamed = entry.initrd.find((ref, index) => !isSameArchive(ref.archive, listed.initrd[index]?.archive ?? null));
  if (covers("initrd") && renamed !== undefined) {
    return `it lists the initrd ${describeRef(renamed)} with another name or place in its archive`;
  }
  if (!covers("options")) return null;
  const module = entry.modules.find(({ options }, index) => options !== listed.modules[index]?.options);
  if (module !== undefined) return `it lists the module ${describeRef(module.file)} with other options`;
  return optionsDifference(listed.options, entry.options, rule.optionsAllowed);
}

function partText(part: string | null): string {
  return part === null ? "the default part" : `part ${quote(part)}`;
}

function countText(count: number, role: Coverable): string {
  return `${count === 0 ? "no" : count} ${role}${count === 1 ? "" : "s"}`;
}

function isSameArchive(a: BootEntry["initrd"][number]["archive"] | null, b: typeof a): boolean {
  if (a === undefined || a === null || b === undefined || b === null) return (a ?? null) === (b ?? null);
  return (
    a.path === b.path && a.mode === b.mode && a.directories === b.directories && a.directoryMode === b.directoryMode
  );
}

/** The signed words have to be there in their order; what else is there has to fit a pattern. */
function optionsDifference(signed: string, options: string, allowed: readonly Glob[]): string | null {
  if (signed === options) return null;
  const other = `it lists this kernel with other options: ${quote(signed)}`;
  if (allowed.length === 0) return other;
  const expected = wordsOf(signed);
  let at = 0;
  for (const word of wordsOf(options)) {
    if (word === expected[at]) at++;
    else if (!isAllowed(word, allowed)) return `${other}, and ${quote(word)} does not fit "optionsAllowed"`;
  }
  const missing = expected[at];
  return missing === undefined ? null : `${other}, of which ${quote(missing)} is missing`;
}

/** Words as the kernel divides them; a line that it cannot divide is one word, which fits no pattern for words. */
function wordsOf(options: string): string[] {
  try {
    return splitCommandLine(options);
  } catch {
    return [options];
  }
}

/** Text that is one word to the kernel and to every program that reads its line: no blanks, quotes, backslashes, other bytes than ASCII. */
const plainWord = /^[!#-&(-[\]-~]+$/;

function isAllowed(word: string, allowed: readonly Glob[]): boolean {
  // Behind "--" words are for init, which takes what the kernel would not.
  return word !== "--" && plainWord.test(word) && allowed.some((pattern) => globMatches(pattern, word));
}

function lists(manifest: Manifest, { role, content }: Artifact): boolean {
  if (content === null) return false;
  const candidates = manifest.files.filter((file) => file.role === role);
  if (candidates.length === 0) return false;
  const digest = sha256(content);
  return candidates.some((file) => file.sha256 === digest);
}

function isCoverable(role: ArtifactVerdict["role"]): role is Coverable {
  return coverable.some((known) => known === role);
}

function sha256(content: SignedContent): string {
  return Buffer.from(content.digest("sha256")).toString("hex");
}

/** Signers that share an identity are one. */
function countDistinct(signers: readonly Signer[]): number {
  const seen = new Set<string>();
  let count = 0;
  for (const { identities } of signers) {
    if (!identities.some((identity) => seen.has(identity))) count++;
    for (const identity of identities) seen.add(identity);
  }
  return count;
}

function signersOf(manifests: readonly Attested[]): readonly Signer[] {
  return manifests.flatMap(({ signers }) => signers);
}

function labelsOf(signers: readonly Signer[]): string {
  return [...new Set(signers.map(({ label }) => label))].join(" and ");
}

function joinReasons(reasons: readonly string[]): string {
  const more = reasons.length > reasonsNamedMax ? `, and ${reasons.length - reasonsNamedMax} more reasons` : "";
  return `${reasons.slice(0, reasonsNamedMax).join(", ")}${more}`;
}

function describeVerdict({ role, ref, reason }: ArtifactVerdict): string {
  const subject = role === "options" || role === "version" ? role : `${role} ${describeRef(ref)}`;
  return `${subject} refused: ${reason ?? ""}`;
}
