import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { FileSource } from "../discovery/source.ts";
import { messageOf } from "../formats/error-text.ts";
import { parseManifest } from "../formats/manifest.ts";
import { printable } from "../formats/printable.ts";
import { isSignedDocument, signedDocumentBytesMax } from "../formats/signed-document.ts";
import { nativeSystem } from "../linux/native.ts";
import { readFileArtifact } from "../trust/artifacts.ts";
import { outsideValidity } from "../trust/clock.ts";
import { readSignedDocument } from "../trust/manifests.ts";
import type { Policy } from "../trust/policy.ts";
import { parsePolicy } from "../trust/policy-schema.ts";
import { type ArtifactVerdict, judgeDocument, judgeFile } from "../trust/verify.ts";
import {
  configUsage,
  enforcing,
  findEntries,
  judgeEntry,
  keysUsage,
  readEntry,
  readPolicy,
  type TrustWords,
} from "./judge.ts";
import { openRoot, parseRoots, rootUsage } from "./roots.ts";
import { isConfigFile, readConfigFile, type Survey, survey } from "./survey.ts";
import { UsageError, type Verb } from "./verb.ts";

/** Exit code of the public contract when something is refused. */
const exitRefused = 2;

interface Result {
  /** An entry's id or a file's path. */
  readonly subject: string;
  readonly kind: "entry" | "file";
  readonly trusted: boolean;
  readonly artifacts: readonly ArtifactVerdict[];
  /** Why it could not be judged at all; null when it was. */
  readonly problem: string | null;
}

export const verifyVerb: Verb = {
  name: "verify",
  summary: "check the signatures of entries or files",
  usage: `usage: slipway verify [--json] [--policy FILE] [--keys DIR] [--config FILE] [--root SPEC]... ENTRY|FILE...

Prints a verdict for each file of an entry (kernel, initrds, device tree, configuration) and for its
options, or for single files, judged as the mode "enforce" would. A signed manifest or policy is judged by
the signatures in it.
Exit code: 0 when all are trusted, 2 when something is refused, 1 on failure.

  --json           print the verdicts as JSON (docs/json.md)
${keysUsage}
${configUsage}
${rootUsage}
`,
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: "boolean" },
        policy: { type: "string" },
        config: { type: "string" },
        keys: { type: "string" },
        root: { type: "string", multiple: true },
      },
    });
    if (positionals.length === 0) throw new UsageError("verify: an entry or a file expected");
    const { words, configFile } = await wordsOf(values);
    const config = await readConfigFile(configFile);
    const policy = enforcing(await readPolicy(words, config));
    const results: Result[] = [];
    const roots = values.root ?? [];
    // No id and no title of an entry begins so.
    const missing = positionals.find((word) => /^\.{0,2}\//.test(word) && !existsSync(word));
    if (missing !== undefined) throw new Error(`verify ${JSON.stringify(missing)}: no such file`);
    // Disks are searched only when something that is no file is asked for.
    if (roots.length > 0 || positionals.some((word) => !isFile(word))) {
      await using result = await survey(config, roots);
      for (const word of positionals) results.push(...(await verifyWord(result, word, policy)));
    } else for (const word of positionals) results.push(await verifyFile(word, policy, config.limits.initrdBytesMax));
    if (values.json === true) process.stdout.write(`${JSON.stringify(verifyJson(results), null, 2)}\n`);
    else process.stdout.write(results.map(describeResult).join(""));
    return results.every((result) => result.trusted) ? 0 : exitRefused;
  },
};

interface Given {
  readonly policy?: string | undefined;
  readonly config?: string | undefined;
  readonly keys?: string | undefined;
}

/** A configuration is taken for the policy as well, as before there were policies: it gives the limits, and no rules. */
async function wordsOf({
  policy,
  config,
  keys,
}: Given): Promise<{ words: TrustWords; configFile: string | undefined }> {
  if (policy !== undefined && config === undefined && (await isConfigFile(policy))) {
    return { words: { policy: undefined, keys }, configFile: policy };
  }
  return { words: { policy, keys }, configFile: config };
}

function isFile(word: string): boolean {
  return existsSync(word) && statSync(word).isFile();
}

async function verifyWord(result: Survey, word: string, policy: Policy): Promise<Result[]> {
  const entries = findEntries(result, word);
  if (entries.length === 0) {
    if (isFile(word)) return [await verifyFile(word, policy, result.config.limits.initrdBytesMax)];
    throw new Error(
      `verify ${JSON.stringify(word)}: neither an entry nor a file; "slipway list" shows the entries' ids`,
    );
  }
  const results: Result[] = [];
  for (const entry of entries) {
    try {
      using artifacts = await readEntry(result, entry, policy);
      const verdict = await judgeEntry(result, artifacts, policy);
      results.push({
        subject: entry.id,
        kind: "entry",
        trusted: verdict.ok,
        artifacts: verdict.artifacts,
        problem: null,
      });
    } catch (error) {
      const problem = messageOf(error);
      results.push({ subject: entry.id, kind: "entry", trusted: false, artifacts: [], problem });
    }
  }
  return results;
}

const fileTimeoutSeconds = 60;

/** A signed document vouches for itself: a manifest or a policy. Null for any other file. */
async function verifyDocument(path: string, policy: Policy): Promise<Result | null> {
  const bytes = statSync(path).size > signedDocumentBytesMax ? null : new Uint8Array(await readFile(path));
  if (bytes === null || !isSignedDocument(bytes)) return null;
  const { payload, signatures } = await readSignedDocument(bytes, path);
  const purpose = isManifest(payload) ? "manifest" : "policy";
  const { by, reason: unsigned } = judgeDocument({ payload, signatures }, policy, purpose);
  const reason = unsigned ?? documentProblem(payload, policy, purpose);
  const ref = { volume: "", path };
  const artifacts = [
    { role: "file", ref, trusted: reason === null, by: reason === null ? by : null, reason, checked: true } as const,
  ];
  return { subject: path, kind: "file", trusted: reason === null, artifacts, problem: null };
}

/** The words that only a manifest begins with; whether it is one, {@link documentProblem} tells. */
function isManifest(payload: Uint8Array): boolean {
  return /^\s*\{\s*"slipwayManifest"/.test(new TextDecoder("latin1").decode(payload.subarray(0, 256)));
}

/** Why a document that somebody trusted has signed is of no use; null when it is. */
function documentProblem(payload: Uint8Array, policy: Policy, purpose: "manifest" | "policy"): string | null {
  try {
    if (purpose === "manifest") return outsideValidity(parseManifest(payload), policy.clock);
    parsePolicy(new TextDecoder("utf-8", { fatal: true }).decode(payload), "policy");
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

async function verifyFile(path: string, policy: Policy, bytesMax: number): Promise<Result> {
  const document = await verifyDocument(path, policy);
  if (document !== null) return document;
  const full = resolve(path);
  const [root] = parseRoots([dirname(full)]);
  if (root === undefined) throw new Error(`verify ${JSON.stringify(path)}: no directory`);
  const source: FileSource = openRoot(root, fileTimeoutSeconds);
  try {
    using file = await readFileArtifact(nativeSystem(), source, `/${basename(full)}`, policy, bytesMax);
    const verdict = judgeFile(file, policy);
    return { subject: path, kind: "file", trusted: verdict.trusted, artifacts: [verdict], problem: null };
  } finally {
    await source.close();
  }
}

function verifyJson(results: readonly Result[]): unknown {
  return {
    version: 1,
    trusted: results.every((result) => result.trusted),
    results: results.map(({ subject, kind, trusted, artifacts, problem }) => ({
      [kind]: subject,
      trusted,
      problem,
      artifacts: artifacts.map(({ role, ref, trusted: good, by, reason }) => ({
        role,
        ...(kind === "file" ? { path: subject } : { volume: ref.volume, path: ref.path }),
        trusted: good,
        by,
        reason,
      })),
    })),
  };
}

function describeResult(result: Result): string {
  const lines = [
    `${result.subject}: ${result.trusted ? "trusted" : "REFUSED"}${result.problem === null ? "" : `: ${result.problem}`}`,
  ];
  for (const { role, ref, by, reason } of result.artifacts) {
    const what =
      role === "options" || role === "version"
        ? role
        : result.kind === "file"
          ? "file"
          : `${role} ${ref.volume}:${ref.path}`;
    lines.push(
      `  ${what}: ${reason === null ? (by === null ? "trusted, by the policy" : `trusted, signed by ${by}`) : `refused: ${reason}`}`,
    );
  }
  return `${lines.map(printable).join("\n")}\n`;
}
