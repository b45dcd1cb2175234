import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { BootEntry } from "../discovery/entry.ts";
import type { VolumeFacts } from "../discovery/source.ts";
import { errorCode, messageOf } from "../formats/error-text.ts";
import { type Glob, globMatches, parseGlob } from "../formats/glob.ts";
import { parseTime, withoutDefaults } from "../formats/schema.ts";
import { type TrustClock, timelessClock } from "./clock.ts";
import {
  type Coverable,
  type Evidence,
  type PolicyDocument,
  type Purpose,
  policySchema,
  purposes,
  splitVolumePattern,
} from "./policy-schema.ts";
import { type Anchor, noRevocations, type Revocations, type SchemeName } from "./schemes/scheme.ts";
import { identitiesOf, readAnchorFile } from "./schemes/schemes.ts";

/** `enforce` refuses what is not authenticated, `audit` boots it and says so, `off` looks at no signature. */
export type TrustMode = "enforce" | "audit" | "off";

/** A key or root with what it is trusted for. */
export interface TrustedAnchor {
  readonly anchor: Anchor;
  readonly purposes: readonly Purpose[];
  /** Milliseconds since 1970. */
  readonly notBefore: number | null;
  readonly notAfter: number | null;
  readonly revoked: boolean;
}

/** What is demanded of the entries that it fits. */
export interface Rule {
  /** For messages; null for the rule that holds where no other does. */
  readonly name: string | null;
  readonly mode: TrustMode;
  readonly schemes: readonly SchemeName[];
  readonly evidence: readonly Evidence[];
  /** Labels; empty: all. */
  readonly signers: readonly string[];
  readonly threshold: number;
  readonly cover: readonly Coverable[];
  readonly optionsAllowed: readonly Glob[];
}

/** What may be done at the console and from outside. */
export interface Permissions {
  readonly shell: boolean;
  readonly edit: boolean;
  readonly commandLine: boolean;
}

/** A policy with its keys: all that a verdict depends on, but the entry. */
export interface Policy {
  readonly document: PolicyDocument;
  readonly anchors: readonly TrustedAnchor[];
  readonly clock: TrustClock;
  readonly revocations: Revocations;
  /** The identities of keys that the document has revoked: in whatever other file such a key stands, it counts no more. */
  readonly revokedSigners: ReadonlySet<string>;
  /** The document without defaults, and the digests of all key files, as JSON: what is measured. */
  readonly text: string;
}

/** A file of the key directory that was understood. */
export interface KeyFile {
  /** `release.pub` */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** None for a list of revocations. */
  readonly anchors: readonly Anchor[];
}

export interface ReadKeys {
  /** Sorted by name. */
  readonly files: readonly KeyFile[];
  /** Key files that are no keys, each with its reason. */
  readonly problems: readonly string[];
  /** Files that are neither keys nor named like one. */
  readonly ignored: readonly string[];
}

/** An EFI signature list of the firmware's has some tens of KiB; a keyring of a team less. */
const keyBytesMax = 1 << 20;
const keysMax = 1000;

/** Names that a key file has: one that is then of no known kind was meant to be a key. */
const keyNames = /\.(?:pub|pem|crt|cer|der|asc|gpg|pgp|esl|auth|dbx|sbat)$/;
/** EFI signature lists of what was taken back, and SBAT levels. */
const revocationNames = /\.(?:dbx|sbat)$/;

/** Reads every key file of a directory. Rejects when the directory cannot be read, or a list of revocations in it. */
export async function readKeys(directory: string): Promise<ReadKeys> {
  const files: KeyFile[] = [];
  const problems: string[] = [];
  const ignored: string[] = [];
  const names = (await readdir(directory)).sort();
  if (names.length > keysMax) problems.push(`${directory}: ${names.length} files, at most ${keysMax} are read`);
  for (const name of names.slice(0, keysMax)) {
    const path = join(directory, name);
    try {
      const file = await readKeyFile(path, name);
      if (file === null) ignored.push(name);
      else files.push(file);
    } catch (error) {
      const problem = `read key ${JSON.stringify(path)}: ${messageOf(error)}`;
      // What it takes back must not be forgotten.
      if (revocationNames.test(name)) throw new Error(problem, { cause: error });
      problems.push(problem);
    }
  }
  return { files, problems, ignored };
}

export const noKeys: ReadKeys = { files: [], problems: [], ignored: [] };

/** The same where a missing directory holds no keys. */
export async function readKeysIfAny(directory: string): Promise<ReadKeys> {
  try {
    return await readKeys(directory);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return noKeys;
    throw error;
  }
}

/** Null for a file that is neither a key nor named like one. */
async function readKeyFile(path: string, name: string): Promise<KeyFile | null> {
  const facts = await stat(path);
  const isNamedSo = keyNames.test(name);
  if (!facts.isFile()) {
    if (!isNamedSo) return null;
    throw new Error("a regular file expected");
  }
  if (facts.size > keyBytesMax) {
    if (!isNamedSo) return null;
    throw new Error(`${facts.size} bytes, at most ${keyBytesMax} are taken`);
  }
  const bytes = new Uint8Array(await readFile(path));
  if (
    /PRIVATE KEY-----|encrypted secret key|signify secret key|minisign secret key/.test(
      Buffer.from(bytes).toString("latin1"),
    )
  ) {
    throw new Error("a secret key: only public keys belong here");
  }
  if (revocationNames.test(name)) {
    // Whether it can be understood is told now, not when the first image is judged.
    const { readRevocations } = await import("./revocations.ts");
    readRevocations(revocationLists([{ name, bytes, anchors: [] }]));
    return { name, bytes, anchors: [] };
  }
  const anchors = await readAnchorFile(name.replace(/\.[^.]+$/, ""), bytes);
  if (anchors !== null) return { name, bytes, anchors };
  if (isNamedSo) throw new Error("a key of no known kind");
  return null;
}

/** Lists of revocations of key files, by their names. */
function revocationLists(files: readonly KeyFile[]): { dbx: Uint8Array[]; sbat: string[] } {
  return {
    dbx: files.filter(({ name }) => name.endsWith(".dbx")).map(({ bytes }) => bytes),
    sbat: files.filter(({ name }) => name.endsWith(".sbat")).map(({ bytes }) => Buffer.from(bytes).toString("utf8")),
  };
}

/** The firmware's own lists, as its variables hold them; null: there is none, or it is not asked for. */
export interface FirmwareLists {
  readonly db: Uint8Array | null;
  readonly dbx: Uint8Array | null;
  readonly sbat: string | null;
}

export const noFirmwareLists: FirmwareLists = { db: null, dbx: null, sbat: null };

export interface ResolvedPolicy {
  readonly policy: Policy;
  /** Keys that the policy names and that cannot be used, each with its reason. */
  readonly problems: readonly string[];
}

/**
 * Puts a policy together with its keys. What cannot be used is left out and told: that refuses more, never less, but for
 * lists of revocations, which make it reject.
 *
 * @param now the machine's clock, milliseconds since 1970
 */
export async function resolvePolicy(
  document: PolicyDocument,
  keys: ReadKeys,
  firmware: FirmwareLists,
  now: number,
): Promise<ResolvedPolicy> {
  const problems: string[] = [];
  const anchors = document.keys.length === 0 ? allKeys(keys) : await namedKeys(document, keys, problems);
  if (document.firmware.db && firmware.db !== null) anchors.push(...(await firmwareKeys(firmware.db, problems)));
  problems.push(...labelProblems(document, anchors));
  const lists = revocationLists(keys.files);
  // Without keys that it is about, a list of the firmware's that is not understood costs nothing.
  if (anchors.some(({ anchor }) => anchor.kind === "x509" || anchor.kind === "image-digest")) {
    if (firmware.dbx !== null) lists.dbx.push(firmware.dbx);
    if (firmware.sbat !== null) lists.sbat.push(firmware.sbat);
  }
  const hasLists = lists.dbx.length + lists.sbat.length > 0;
  const revocations = hasLists ? (await import("./revocations.ts")).readRevocations(lists) : noRevocations;
  const text = canonicalText(document, keyDigests(keys));
  const revoked = await Promise.all(anchors.filter((each) => each.revoked).map(({ anchor }) => identitiesOf(anchor)));
  const revokedSigners = new Set(revoked.flat());
  return { policy: { document, anchors, clock: clockOf(document, now), revocations, revokedSigners, text }, problems };
}

const firmwareLabel = "firmware db";

/** Labels that rules name and nobody has, and those that rules name and several have. */
function labelProblems(document: PolicyDocument, anchors: readonly TrustedAnchor[]): string[] {
  const named = new Set([document, ...document.rules].flatMap(({ signers }) => signers));
  // Where an image is built, nobody knows the firmware's.
  const known = [...named].filter((label) => !document.firmware.db || !label.startsWith(firmwareLabel));
  return known.flatMap((label) => {
    const count = new Set(anchors.filter(({ anchor }) => anchor.label === label).map(({ anchor }) => anchor)).size;
    if (count === 1) return [];
    return [`policy: signers: ${count === 0 ? "no key is" : `${count} keys are`} called ${JSON.stringify(label)}`];
  });
}

/** What is measured of a policy (docs/measured-boot.md): a setting that a later version adds changes nothing in it. */
function canonicalText(document: PolicyDocument, keys: Readonly<Record<string, string>>): string {
  return JSON.stringify({ policy: withoutDefaults(policySchema, document), keys });
}

function keyDigests(keys: ReadKeys): Record<string, string> {
  return Object.fromEntries(
    keys.files.map(({ name, bytes }) => [name, createHash("sha256").update(bytes).digest("hex")]),
  );
}

/** What a key is trusted for where the policy does not say: all that boots. */
const allPurposes: readonly Purpose[] = purposes.filter((purpose) => purpose !== "policy");

function allKeys(keys: ReadKeys): TrustedAnchor[] {
  return keys.files.flatMap(({ anchors }) => anchors.map(trustedForAll));
}

function trustedForAll(anchor: Anchor): TrustedAnchor {
  return { anchor, purposes: allPurposes, notBefore: null, notAfter: null, revoked: false };
}

async function namedKeys(document: PolicyDocument, keys: ReadKeys, problems: string[]): Promise<TrustedAnchor[]> {
  const trusted: TrustedAnchor[] = [];
  for (const key of document.keys) {
    const shown = key.label ?? key.file ?? "";
    try {
      const anchors = await anchorsOf(key, keys);
      trusted.push(
        ...anchors.map((anchor) => ({
          anchor,
          purposes: key.purposes,
          notBefore: timeOf(key.notBefore),
          notAfter: timeOf(key.notAfter),
          revoked: key.revoked,
        })),
      );
    } catch (error) {
      problems.push(`policy: key ${JSON.stringify(shown)}: ${messageOf(error)}`);
    }
  }
  return trusted;
}

async function anchorsOf(key: PolicyDocument["keys"][number], keys: ReadKeys): Promise<readonly Anchor[]> {
  if (key.text !== null) {
    const anchors = await readAnchorFile(key.label ?? "", new TextEncoder().encode(key.text));
    if (anchors === null) throw new Error("a key of no known kind");
    return anchors;
  }
  const file = keys.files.find(({ name }) => name === key.file);
  if (file === undefined) throw new Error("there is no such key file");
  const { label } = key;
  if (label === null) return file.anchors;
  return file.anchors.map((anchor, index) => ({ ...anchor, label: index === 0 ? label : `${label}#${index + 1}` }));
}

async function firmwareKeys(db: Uint8Array, problems: string[]): Promise<TrustedAnchor[]> {
  try {
    const { eslAnchorReader } = await import("./schemes/esl-anchors.ts");
    return eslAnchorReader
      .readAnchors(firmwareLabel, db)
      .map((anchor) => ({ ...trustedForAll(anchor), purposes: ["linux", "addon"] }));
  } catch (error) {
    problems.push(`firmware's db: ${messageOf(error)}`);
    return [];
  }
}

function timeOf(text: string | null): number | null {
  return text === null ? null : parseTime(text);
}

/** It is later than when this was written. */
const programTime = Date.UTC(2026, 10, 20);

function clockOf({ clock }: PolicyDocument, now: number): TrustClock {
  const atLeast = timeOf(clock.atLeast);
  if (clock.source === "none") return timelessClock;
  if (clock.source === "machine") return { now, atLeast: Math.max(now, atLeast ?? now) };
  // A clock that is behind what is known for certain is not set.
  const certain = Math.max(atLeast ?? programTime, programTime);
  return now < certain ? { now: null, atLeast: certain } : { now, atLeast: now };
}

export function permissionsOf({ lockdown, allow }: PolicyDocument): Permissions {
  return {
    shell: allow.shell && !lockdown,
    edit: allow.edit && !lockdown,
    commandLine: allow.commandLine && !lockdown,
  };
}

/** The rule that holds for an entry: the first that fits. */
export function ruleFor(policy: Policy, entry: BootEntry, volume: VolumeFacts): Rule {
  const { rules } = policy.document;
  const index = rules.findIndex((rule) => fits(rule, entry, volume));
  const found = rules[index];
  return found === undefined ? fallbackRule(policy) : demandsOf(found, found.name ?? `rules[${index}]`);
}

/** The rule that holds where no other does. */
export function fallbackRule({ document }: Policy): Rule {
  return demandsOf(document, null);
}

function demandsOf(from: PolicyDocument | PolicyDocument["rules"][number], name: string | null): Rule {
  const { mode, schemes, evidence, signers, threshold, cover, optionsAllowed } = from;
  return { name, mode, schemes, evidence, signers, threshold, cover, optionsAllowed: optionsAllowed.map(parseGlob) };
}

function fits(rule: PolicyDocument["rules"][number], entry: BootEntry, volume: VolumeFacts): boolean {
  if (rule.urls.length > 0) return false;
  if (rule.formats.length > 0 && !rule.formats.includes(entry.format)) return false;
  return (
    rule.volumes.length === 0 ||
    rule.volumes.some((text) => {
      const split = splitVolumePattern(text);
      const value = split === null ? null : volume[split.fact];
      return split !== null && value !== null && globMatches(parseGlob(split.pattern), value);
    })
  );
}
