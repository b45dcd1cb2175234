import { FormatError } from "./format-error.ts";
import { JsonFields, parseJson } from "./json-fields.ts";

/*
 * What a system learns of how it was booted: a JSON document that the boot loader hands over, one object. Fields that a
 * reader does not know are skipped, so that later versions can add some; what it knows has to be as described. See
 * docs/handoff-record.md.
 */

/** How strictly the entry was judged. */
const trustModes = ["enforce", "audit", "off"] as const;
export type TrustModeName = (typeof trustModes)[number];

/** What was booted. */
export interface RecordedEntry {
  /** As `slipway list` prints it. */
  readonly id: string;
  readonly title: string;
  /** `bls1`, `grub`… */
  readonly format: string;
  /** Where its configuration stands: the volume's name, or what takes its place. */
  readonly volume: string;
}

/** Who vouched for it. */
export interface RecordedTrust {
  readonly mode: TrustModeName;
  /** Labels of the keys whose signatures were counted; none when nothing was verified. */
  readonly by: readonly string[];
  /** Of the manifest that attested the boot; null without one, or when it names none. */
  readonly product: string | null;
  /** The manifest's version, a whole number from 0; null without a manifest. */
  readonly manifestVersion: number | null;
}

/** A record of one boot, version 1. */
export interface HandoffRecord {
  readonly version: 1;
  /** The version of the boot loader. */
  readonly slipway: string;
  readonly entry: RecordedEntry;
  readonly trust: RecordedTrust;
  /** The settings of the store of minimum versions, as the policy has them; null: nothing guards against old versions. */
  readonly rollback: Readonly<Record<string, unknown>> | null;
  /** Whether the boot was measured into a TPM. */
  readonly measured: boolean;
  /** As the system was given it. */
  readonly commandLine: string;
}

/** Bytes of a whole record. */
export const handoffRecordBytesMax = 256 * 1024;
/** Characters (UTF-16 units) of each text in it but the command line. */
export const handoffTextCharactersMax = 4096;
/** Keys in `trust.by`. */
export const handoffSignersMax = 64;
/** Lists and objects within one another below `rollback`. */
export const handoffRollbackDepthMax = 8;

const format = "handoff record";

/**
 * A record as UTF-8 text, one line. A title that is too long is cut at {@link handoffTextCharactersMax}: it is for people.
 *
 * @throws FormatError for any other text, list or whole that is over its limit
 */
export function writeHandoffRecord(record: HandoffRecord): Uint8Array {
  const { entry, trust } = record;
  const title = entry.title.slice(0, handoffTextCharactersMax);
  const checked = readRecord({ ...record, entry: { ...entry, title }, trust: { ...trust } });
  const bytes = new TextEncoder().encode(`${JSON.stringify(checked)}\n`);
  if (bytes.length > handoffRecordBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${handoffRecordBytesMax} are handed over`);
  }
  return bytes;
}

/** Reads a record, which anybody may have written. Fields that version 1 does not name are left out. Throws {@link FormatError}. */
export function parseHandoffRecord(bytes: Uint8Array): HandoffRecord {
  return readRecord(parseJson(bytes, format, handoffRecordBytesMax));
}

function readRecord(value: unknown): HandoffRecord {
  const record = fieldsOf(value, "");
  const entry = fieldsBelow(record, "entry");
  const trust = fieldsBelow(record, "trust");
  const measured = record.value("measured").value;
  const text = (fields: JsonFields, name: string): string => fields.text(name, handoffTextCharactersMax);
  return {
    version: versionOf(record),
    slipway: text(record, "slipway"),
    entry: {
      id: text(entry, "id"),
      title: text(entry, "title"),
      format: text(entry, "format"),
      volume: text(entry, "volume"),
    },
    trust: {
      mode: trust.choice("mode", trustModes),
      by: trust.list("by", handoffSignersMax, signer),
      product: trust.optionalText("product", handoffTextCharactersMax),
      manifestVersion: isNull(trust, "manifestVersion")
        ? null
        : trust.integer("manifestVersion", 0, Number.MAX_SAFE_INTEGER),
    },
    rollback: isNull(record, "rollback") ? null : rollbackOf(record.value("rollback").value),
    measured: typeof measured === "boolean" ? measured : record.fail("measured", "true or false expected"),
    commandLine: record.text("commandLine", handoffRecordBytesMax),
  };
}

/** What the fields of version 1 mean may be otherwise in a later version. */
function versionOf(record: JsonFields): 1 {
  const version = record.integer("version", 0, Number.MAX_SAFE_INTEGER);
  return version === 1 ? version : record.fail("version", `${version}, 1 expected`);
}

/** Every field may be there: those that are not known are not looked at. */
function fieldsOf(value: unknown, path: string): JsonFields {
  const names = typeof value === "object" && value !== null ? Object.keys(value) : [];
  return new JsonFields(value, format, path, names);
}

function fieldsBelow(fields: JsonFields, name: string): JsonFields {
  const below = fields.value(name);
  return fieldsOf(below.value, below.path);
}

function isNull(fields: JsonFields, name: string): boolean {
  return !fields.has(name) || fields.value(name).value === null;
}

function signer(value: unknown, path: string): string {
  if (typeof value === "string" && value.length <= handoffTextCharactersMax) return value;
  throw new FormatError(format, `text of at most ${handoffTextCharactersMax} characters expected`, { field: path });
}

function rollbackOf(value: unknown): Readonly<Record<string, unknown>> {
  refuseDeep(value, handoffRollbackDepthMax);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new FormatError(format, "an object expected", { field: "rollback" });
}

/** Whoever reads it goes down into it. */
function refuseDeep(value: unknown, levels: number): void {
  if (typeof value !== "object" || value === null) return;
  if (levels === 0) {
    const detail = `at most ${handoffRollbackDepthMax} levels expected`;
    throw new FormatError(format, detail, { field: "rollback" });
  }
  for (const inner of Object.values(value)) refuseDeep(inner, levels - 1);
}
