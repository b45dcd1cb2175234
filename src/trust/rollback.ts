import { quote } from "../formats/format-error.ts";
import { type PolicyDocument, parsePolicy } from "./policy-schema.ts";

/**
 * Which versions of which products may boot, and where the lowest ones are kept: `rollback` of the policy. It travels in
 * the hand-over record, so that the system that was booted can raise what it finds there.
 */
export type RollbackSettings = PolicyDocument["rollback"];

/** Most steps that a counter in a TPM is counted up at once: each writes to memory that wears out. */
export const counterStepsMax = 1000;

/** What is said to boot. */
export interface RollbackClaim {
  /** Of the manifest that attested the entry; null without one, or when it names none. */
  readonly product: string | null;
  readonly version: number | null;
}

/** What a store says of a product. */
export interface KeptMinimum {
  /** For messages: `TPM counter 0x01800001`. */
  readonly where: string;
  /** Null: the store keeps none, or cannot be read. */
  readonly minimum: number | null;
  /** Why the store cannot be read; null when it was. */
  readonly problem: string | null;
}

export interface RollbackVerdict {
  /** Why the entry must not boot, as a clause; null when it may. */
  readonly reason: string | null;
  /** What could not be held against it although `required` is off, as a clause; null when all was. */
  readonly warning: string | null;
}

/** Whether settings ask for anything: a store, or minimums of the policy itself. */
export function guardsVersions({ store, products }: RollbackSettings): boolean {
  return store !== "none" || products.length > 0;
}

/**
 * Reads settings from where they were handed over.
 *
 * @throws FormatError for anything that a policy could not say
 */
export function readRollbackSettings(value: unknown, name: string): RollbackSettings {
  return parsePolicy(JSON.stringify({ rollback: value }), name).rollback;
}

/**
 * Judges a version. A version that is known to be too low is always refused; what is not known is refused where the policy
 * says `required`: otherwise somebody who takes the manifest or the store away would get an old version booted.
 *
 * @param kept what the store says of the claim's product; null when there is no store
 */
export function judgeRollback(
  settings: RollbackSettings,
  { product, version }: RollbackClaim,
  kept: KeptMinimum | null,
): RollbackVerdict {
  if (!guardsVersions(settings)) return fine;
  const unknown = (text: string): RollbackVerdict =>
    settings.required ? { reason: text, warning: null } : { reason: null, warning: text };
  if (product === null || version === null) {
    const missing = product === null ? (version === null ? "product and version" : "product") : "version";
    return unknown(`no manifest says its ${missing}, which "rollback" of the policy asks for`);
  }
  const listed = settings.products.find(({ name }) => name === product);
  if (listed === undefined) {
    const names = settings.products.map(({ name }) => quote(name ?? "")).join(", ");
    return unknown(`product ${quote(product)} is not in "rollback.products" of the policy (${names || "none"})`);
  }
  const minimum = Math.max(listed.minimum, kept?.minimum ?? 0);
  if (version < minimum) {
    const where = kept?.minimum === minimum ? kept.where : "policy";
    return {
      reason: `version ${version} of ${quote(product)}, at least ${minimum} expected (${where})`,
      warning: null,
    };
  }
  if (kept === null) return fine;
  if (kept.problem !== null) {
    return unknown(`the minimum version of ${quote(product)} cannot be read from ${kept.where}: ${kept.problem}`);
  }
  if (kept.minimum === null) {
    return unknown(
      `no minimum version of ${quote(product)} is kept in ${kept.where}; "slipway rollback init" begins it`,
    );
  }
  return fine;
}

const fine: RollbackVerdict = { reason: null, warning: null };

/** An NV index as tpm2-tools print it: `0x01800001`. */
export function nvIndexText(index: number): string {
  return `0x${index.toString(16).padStart(8, "0")}`;
}
