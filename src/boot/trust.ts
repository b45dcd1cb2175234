import { readFile } from "node:fs/promises";
import { parameters } from "../formats/cmdline.ts";
import { errorCode, messageOf } from "../formats/error-text.ts";
import { FormatError } from "../formats/format-error.ts";
import { readFirmwareLists } from "../machine/efi-variables.ts";
import { readSignedDocument } from "../trust/manifests.ts";
import {
  noFirmwareLists,
  type Policy,
  permissionsOf,
  type ReadKeys,
  readKeysIfAny,
  resolvePolicy,
} from "../trust/policy.ts";
import { defaultPolicyDocument, type PolicyDocument, parsePolicy, policyBytesMax } from "../trust/policy-schema.ts";
import { type PolicyPlaces, parsePolicySource, policyPlaces, readPolicyDocument } from "../trust/policy-sources.ts";
import { judgeDocument } from "../trust/verify.ts";
import { type Config, keysDirectory, type OverriddenConfig, overrideConfig, policyPath } from "./config.ts";

/** What is trusted, and what may be done, as the image and the firmware's storage say it. */
export interface Trust {
  readonly policy: Policy;
  /** What could not be used, each as a sentence. */
  readonly problems: readonly string[];
}

/** The policy of a file, or what a configuration alone means. Rejects for one that is not valid. */
export async function readPolicyFile(path: string, config: Config, isOptional: boolean): Promise<PolicyDocument> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (isOptional && errorCode(error) === "ENOENT") return null;
    throw new Error(`policy ${JSON.stringify(path)}: ${messageOf(error)}`, { cause: error });
  });
  return text === null ? { ...defaultPolicyDocument, mode: config.trust } : parseImagePolicy(text, path, config);
}

/** A policy that stands beside a configuration: the two must not say the same thing differently. */
export function parseImagePolicy(text: string, name: string, config: Config): PolicyDocument {
  const document = parsePolicy(text, name);
  if (config.trust !== "enforce") {
    throw new FormatError(name, `the configuration says "${config.trust}": with a policy, its "mode" decides`, {
      field: "mode",
    });
  }
  return document;
}

/** Where an image keeps what is trusted. */
export interface ImagePlaces {
  readonly keys: string;
  readonly policy: string;
}

/** The policy of the image with its keys. */
export async function readImageTrust(
  config: Config,
  places: ImagePlaces = { keys: keysDirectory, policy: policyPath },
): Promise<Trust & { readonly keys: ReadKeys }> {
  const keys = await readKeysIfAny(places.keys);
  const document = await readPolicyFile(places.policy, config, true);
  const { policy, problems } = await resolvePolicy(document, keys, noFirmwareLists, Date.now());
  return { policy, problems: [...keys.problems, ...problems], keys };
}

/**
 * The policy that holds: the image's, unless the firmware's storage has another, by somebody whom the image's trusts with
 * policies. EFI variables have to be there. Rejects when there is none and there has to be one.
 */
export async function readFirmwareTrust(
  config: Config,
  image: Trust & { readonly keys: ReadKeys },
  places: PolicyPlaces = policyPlaces,
): Promise<Trust> {
  const problems = [...image.problems];
  const { source, required } = config.policy;
  const stored = source === null ? null : await readStoredPolicy(source, image.policy, places);
  if (stored?.reason != null) {
    if (required) throw new Error(`${stored.reason}, and policy.required is true`);
    problems.push(`${stored.reason}; the image's policy holds`);
  }
  const document = stored?.document ?? image.policy.document;
  // Without keys that such lists are about, the firmware is not asked.
  const firmware = readFirmwareLists(document.firmware, places.efiVariables);
  problems.push(...firmware.problems);
  const { policy, problems: more } = await resolvePolicy(document, image.keys, firmware, Date.now());
  if (stored?.document != null) problems.push(...more);
  return { policy, problems };
}

type StoredPolicy =
  | { readonly document: PolicyDocument; readonly reason: null }
  | { readonly document: null; readonly reason: string };

/** A policy from the firmware's storage, or why it does not hold. */
async function readStoredPolicy(place: string, image: Policy, places: PolicyPlaces): Promise<StoredPolicy> {
  const refused = (reason: string): StoredPolicy => ({ document: null, reason: `policy ${place}: ${reason}` });
  try {
    const { untrustedBytes, reason } = readPolicyDocument(parsePolicySource(place), places);
    if (reason !== null) return { document: null, reason };
    if (untrustedBytes === null) return refused("there is none");
    if (untrustedBytes.length > policyBytesMax) return refused(`at most ${policyBytesMax} bytes are taken`);
    const { payload, signatures } = await readSignedDocument(untrustedBytes, "signature");
    const { reason: why } = judgeDocument({ payload, signatures }, image, "policy");
    if (why !== null) return refused(why);
    const document = parsePolicy(new TextDecoder("utf-8", { fatal: true }).decode(payload), "document");
    if (document.serial < image.document.serial) {
      return refused(`serial ${document.serial}, the image's policy has ${image.document.serial}`);
    }
    if (image.document.lockdown && !document.lockdown) return refused('"lockdown" cannot be taken back');
    return { document, reason: null };
  } catch (error) {
    return refused(messageOf(error));
  }
}

/** The configuration as far as the policy lets it be. */
export function permittedConfig(config: Config, policy: Policy): Config {
  const { shell } = permissionsOf(policy.document);
  return shell || !config.rescue.shell ? config : { ...config, rescue: { ...config.rescue, shell: false } };
}

/** The configuration with what the kernel's command line overrides, as far as configuration and policy permit. */
export function effectiveConfig(read: Config, policy: Policy, commandLine: string): OverriddenConfig {
  const permits = permissionsOf(policy.document).commandLine;
  const base = permits ? read : { ...read, commandLineOverrides: false };
  const { config, refused } = overrideConfig(base, parameters(commandLine.trim()));
  const reasons = permits ? refused : refused.map((text) => `${text} by the policy`);
  return { config: permittedConfig(config, policy), refused: reasons };
}
