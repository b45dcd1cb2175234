import { ByteWriter } from "./byte-writer.ts";
import { ByteReader, hex, joinBytes, latin1 } from "./bytes.ts";
import { FormatError } from "./format-error.ts";
import { hexadecimal } from "./hexadecimal.ts";
import { type BankAlgorithm, type BankDigest, bankAlgorithm, tpmPcrCount } from "./tpm2.ts";

/*
 * The log of what was measured into a TPM's PCRs.
 * Source: TCG "PC Client Platform Firmware Profile", section 10 "Event Logging": TCG_PCR_EVENT (SHA-1 only),
 * TCG_EfiSpecIDEvent, TCG_PCR_EVENT2 (crypto-agile). All fields are little-endian.
 */

const format = "tpm event log";

/** Longest log that is read, bytes; firmware reserves some 64 KiB, IMA's is another one. */
export const eventLogBytesMax = 16 << 20;
/** Events that are read. */
export const eventLogEventsMax = 65_536;
/** Longest data of one event, bytes: variables with revocation lists are the longest. */
export const eventDataBytesMax = 4 << 20;
/** Hash algorithms of one log. */
export const eventLogAlgorithmsMax = 16;

/** Types of events that code decides by (section 10.4.1). */
export const eventType = {
  /** For the reader of the log only: nothing is extended. */
  noAction: 0x03,
  separator: 0x04,
  /** Data with a number that says what it is: {@link taggedEventData}. */
  eventTag: 0x06,
  /** What an initial program loader measures. */
  ipl: 0x0d,
} as const;

const typeNames: ReadonlyMap<number, string> = new Map([
  [0x00, "EV_PREBOOT_CERT"],
  [0x01, "EV_POST_CODE"],
  [0x02, "EV_UNUSED"],
  [0x03, "EV_NO_ACTION"],
  [0x04, "EV_SEPARATOR"],
  [0x05, "EV_ACTION"],
  [0x06, "EV_EVENT_TAG"],
  [0x07, "EV_S_CRTM_CONTENTS"],
  [0x08, "EV_S_CRTM_VERSION"],
  [0x09, "EV_CPU_MICROCODE"],
  [0x0a, "EV_PLATFORM_CONFIG_FLAGS"],
  [0x0b, "EV_TABLE_OF_DEVICES"],
  [0x0c, "EV_COMPACT_HASH"],
  [0x0d, "EV_IPL"],
  [0x0e, "EV_IPL_PARTITION_DATA"],
  [0x0f, "EV_NONHOST_CODE"],
  [0x10, "EV_NONHOST_CONFIG"],
  [0x11, "EV_NONHOST_INFO"],
  [0x12, "EV_OMIT_BOOT_DEVICE_EVENTS"],
  [0x80000001, "EV_EFI_VARIABLE_DRIVER_CONFIG"],
  [0x80000002, "EV_EFI_VARIABLE_BOOT"],
  [0x80000003, "EV_EFI_BOOT_SERVICES_APPLICATION"],
  [0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER"],
  [0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER"],
  [0x80000006, "EV_EFI_GPT_EVENT"],
  [0x80000007, "EV_EFI_ACTION"],
  [0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB"],
  [0x80000009, "EV_EFI_HANDOFF_TABLES"],
  [0x8000000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"],
  [0x8000000b, "EV_EFI_HANDOFF_TABLES2"],
  [0x8000000c, "EV_EFI_VARIABLE_BOOT2"],
  [0x8000000d, "EV_EFI_GPT_EVENT2"],
  [0x80000010, "EV_EFI_HCRTM_EVENT"],
  [0x800000e0, "EV_EFI_VARIABLE_AUTHORITY"],
  [0x800000e1, "EV_EFI_SPDM_FIRMWARE_BLOB"],
  [0x800000e2, "EV_EFI_SPDM_FIRMWARE_CONFIG"],
]);

/** `EV_IPL`; `0x1234` for a type without a name. */
export function eventTypeName(type: number): string {
  return typeNames.get(type) ?? hexadecimal(type);
}

export interface TpmEvent {
  /** 0 to 23; 0xffffffff in some events that extend nothing. */
  readonly pcr: number;
  /** See {@link eventType}. */
  readonly type: number;
  /** One for each algorithm of the log, in its order. */
  readonly digests: readonly BankDigest[];
  /** What is said about it; by what rule the digest was made of it or of something else, the type tells. */
  readonly data: Uint8Array;
}

export interface TpmEventLog {
  /** `sha1`: the old form, which has digests of that only. */
  readonly form: "sha1" | "crypto-agile";
  readonly algorithms: readonly BankAlgorithm[];
  /** In the order in which they were extended, with those that extend nothing, without the header. */
  readonly events: readonly TpmEvent[];
  /** Where the last event ends: what is added goes there, over zeroes that may follow. */
  readonly endOffset: number;
}

const sha1Algorithm = bankAlgorithm(0x0004);
const sha1EventBytes = 32;
const specIdSignature = "Spec ID Event03\0";
const localitySignature = "StartupLocality\0";

/**
 * Reads a log of either form. Nothing but zeroes may follow its last event: firmware reserves more room than it needs.
 *
 * @throws FormatError with the offset and the field
 */
export function parseEventLog(bytes: Uint8Array): TpmEventLog {
  const r = new ByteReader(bytes, format);
  if (bytes.length > eventLogBytesMax) r.fail(`${bytes.length} bytes, at most ${eventLogBytesMax} are taken`);
  const contentEnd = lastFilledByte(bytes) + 1;
  if (contentEnd === 0) return { form: "sha1", algorithms: [sha1Algorithm], events: [], endOffset: 0 };
  const first = readSha1Event(r, 0);
  const algorithms = first.event.type === eventType.noAction ? readHeader(r, first.event.data) : null;
  const events: TpmEvent[] = algorithms === null ? [first.event] : [];
  let at = first.end;
  // Trailing zeroes of the last event look like the zeroes behind it; an event of zeroes alone is none.
  while (at < contentEnd) {
    if (events.length >= eventLogEventsMax) r.fail(`at most ${eventLogEventsMax} events are taken`, at);
    const { event, end } = algorithms === null ? readSha1Event(r, at) : readEvent(r, at, algorithms);
    events.push(event);
    at = end;
  }
  return algorithms === null
    ? { form: "sha1", algorithms: [sha1Algorithm], events, endOffset: at }
    : { form: "crypto-agile", algorithms, events, endOffset: at };
}

function lastFilledByte(bytes: Uint8Array): number {
  let last = bytes.length - 1;
  while (last >= 0 && bytes[last] === 0) last--;
  return last;
}

interface ReadEvent {
  readonly event: TpmEvent;
  readonly end: number;
}

/** TCG_PCR_EVENT. */
function readSha1Event(r: ByteReader, at: number): ReadEvent {
  const size = readDataSize(r, at + 28);
  return {
    event: {
      pcr: readPcr(r, at, r.u32le(at + 4, "eventType")),
      type: r.u32le(at + 4, "eventType"),
      digests: [{ algorithm: sha1Algorithm, digest: r.slice(at + 8, 20, "digest") }],
      data: r.slice(at + sha1EventBytes, size, "event"),
    },
    end: at + sha1EventBytes + size,
  };
}

/** TCG_PCR_EVENT2. */
function readEvent(r: ByteReader, start: number, algorithms: readonly BankAlgorithm[]): ReadEvent {
  const type = r.u32le(start + 4, "eventType");
  const pcr = readPcr(r, start, type);
  const count = r.u32le(start + 8, "digests.count");
  if (count !== algorithms.length) r.fail(`${algorithms.length} expected, not ${count}`, start + 8, "digests.count");
  const digests: BankDigest[] = [];
  let at = start + 12;
  for (let i = 0; i < count; i++) {
    const id = r.u16le(at, "hashAlg");
    const algorithm = algorithms.find((known) => known.id === id);
    if (algorithm === undefined || digests.some((known) => known.algorithm === algorithm)) {
      r.fail(`${bankAlgorithm(id).name}: each algorithm of the header once expected`, at, "hashAlg");
    }
    const digest = r.slice(at + 2, algorithm.digestBytes ?? 0, "digest");
    digests.push({ algorithm, digest });
    at += 2 + digest.length;
  }
  const size = readDataSize(r, at);
  return { event: { pcr, type, digests, data: r.slice(at + 4, size, "event") }, end: at + 4 + size };
}

function readPcr(r: ByteReader, at: number, type: number): number {
  const pcr = r.u32le(at, "pcrIndex");
  if (pcr >= tpmPcrCount && type !== eventType.noAction) {
    r.fail(`${pcr}: 0 to ${tpmPcrCount - 1} expected`, at, "pcrIndex");
  }
  return pcr;
}

function readDataSize(r: ByteReader, at: number): number {
  const size = r.u32le(at, "eventSize");
  if (size > eventDataBytesMax) r.fail(`${size} bytes, at most ${eventDataBytesMax} are taken`, at, "eventSize");
  return size;
}

/** TCG_EfiSpecIDEvent; null when the event is another one, as in logs of the old form. */
function readHeader(log: ByteReader, data: Uint8Array): BankAlgorithm[] | null {
  const r = new ByteReader(data, format, sha1EventBytes);
  if (!r.hasMagic(0, specIdSignature)) return null;
  const count = r.u32le(24, "numberOfAlgorithms");
  if (count === 0 || count > eventLogAlgorithmsMax) {
    r.fail(`${count}: 1 to ${eventLogAlgorithmsMax} expected`, 24, "numberOfAlgorithms");
  }
  const algorithms: BankAlgorithm[] = [];
  for (let i = 0; i < count; i++) {
    const at = 28 + i * 4;
    const known = bankAlgorithm(r.u16le(at, "algorithmId"));
    const digestBytes = r.u16le(at + 2, "digestSize");
    // For an algorithm that is not known the header is all that tells.
    if (digestBytes === 0 || (known.digestBytes !== null && known.digestBytes !== digestBytes)) {
      const expected = known.digestBytes ?? "some";
      r.fail(`${digestBytes} bytes of ${known.name}, ${expected} expected`, at + 2, "digestSize");
    }
    if (algorithms.some(({ id }) => id === known.id)) r.fail(`${known.name} stands there twice`, at, "algorithmId");
    algorithms.push({ ...known, digestBytes });
  }
  const vendorAt = 28 + count * 4;
  const vendorEnd = vendorAt + 1 + r.u8(vendorAt, "vendorInfoSize");
  if (vendorEnd !== r.length) {
    log.fail(`${vendorEnd} bytes expected, not ${r.length}`, 28, "eventSize");
  }
  return algorithms;
}

/** How a bank hashes: node:crypto's, for instance. Null for an algorithm that cannot be computed. */
export type BankHash = (algorithm: BankAlgorithm, bytes: Uint8Array) => Uint8Array | null;

/** Values of PCRs, by the algorithm's name and the PCR's number. */
export type PcrValues = ReadonlyMap<string, ReadonlyMap<number, Uint8Array>>;

/**
 * What the PCRs hold after the events: each event's digest is hashed behind the PCR's value. PCRs start at zeroes, those
 * of a dynamic launch (17 to 22) at ones, PCR 0 at the locality that the TPM was started from (section 10.4.5.3). Only PCRs
 * that were extended are given, and only banks that can be computed.
 */
export function replayEventLog(log: Pick<TpmEventLog, "algorithms" | "events">, hash: BankHash): PcrValues {
  const locality = startupLocality(log.events);
  const banks = new Map<string, ReadonlyMap<number, Uint8Array>>();
  for (const algorithm of log.algorithms) {
    const values = new Map<number, Uint8Array>();
    const ofBank = log.events.filter(({ type }) => type !== eventType.noAction);
    let computed = true;
    for (const { pcr, digests } of ofBank) {
      const digest = digests.find((found) => found.algorithm.id === algorithm.id)?.digest;
      if (digest === undefined) continue;
      const value = extendPcr(algorithm, values.get(pcr) ?? startValue(algorithm, pcr, locality), digest, hash);
      if (value === null) {
        computed = false;
        break;
      }
      values.set(pcr, value);
    }
    if (computed) banks.set(algorithm.name, values);
  }
  return banks;
}

/** What a PCR holds after a digest was extended into it; null for an algorithm that cannot be computed. */
export function extendPcr(
  algorithm: BankAlgorithm,
  value: Uint8Array,
  digest: Uint8Array,
  hash: BankHash,
): Uint8Array | null {
  const both = new Uint8Array(value.length + digest.length);
  both.set(value);
  both.set(digest, value.length);
  return hash(algorithm, both);
}

/** What a PCR holds when the machine was switched on. */
export function startValue(algorithm: BankAlgorithm, pcr: number, locality = 0): Uint8Array {
  const value = new Uint8Array(algorithm.digestBytes ?? 0);
  if (pcr >= 17 && pcr <= 22) return value.fill(0xff);
  if (pcr === 0 && value.length > 0) value[value.length - 1] = locality;
  return value;
}

/** The locality of TPM2_Startup, from the event that tells it; 0 when none does. */
function startupLocality(events: readonly TpmEvent[]): number {
  for (const { type, pcr, data } of events) {
    if (type !== eventType.noAction || pcr !== 0 || data.length !== localitySignature.length + 1) continue;
    if (new ByteReader(data, format).hasMagic(0, localitySignature)) return data[localitySignature.length] ?? 0;
  }
  return 0;
}

/** An event to be added. */
export interface NewEvent {
  readonly pcr: number;
  readonly type: number;
  readonly digests: readonly BankDigest[];
  readonly data: Uint8Array;
}

/**
 * A log with events added: behind those of the firmware's log, in its form and with its algorithms, or behind a new header
 * with these algorithms where there is no log (null, or nothing but zeroes).
 *
 * @param algorithms the TPM's active banks; where there is a log, those that it has are used
 * @throws FormatError for a log that cannot be read, and an event without a digest for one of the log's algorithms
 */
export function appendEvents(
  log: Uint8Array | null,
  algorithms: readonly BankAlgorithm[],
  events: readonly NewEvent[],
): Uint8Array {
  const parsed = log === null ? null : parseEventLog(log);
  if (log === null || parsed === null || parsed.endOffset === 0) {
    return joinBytes([headerEvent(algorithms), ...events.map((event) => encodeEvent(event, algorithms))]);
  }
  const encode = (event: NewEvent): Uint8Array =>
    parsed.form === "sha1" ? encodeSha1Event(event) : encodeEvent(event, parsed.algorithms);
  return joinBytes([log.subarray(0, parsed.endOffset), ...events.map(encode)]);
}

/** TCG_PCR_EVENT with TCG_EfiSpecIDEvent: version 2.0 of the structure, without vendor's information. */
function headerEvent(algorithms: readonly BankAlgorithm[]): Uint8Array {
  if (algorithms.length === 0 || algorithms.length > eventLogAlgorithmsMax) {
    throw new FormatError(format, `1 to ${eventLogAlgorithmsMax} algorithms expected, not ${algorithms.length}`);
  }
  const dataBytes = 28 + algorithms.length * 4 + 1;
  const w = new ByteWriter(sha1EventBytes + dataBytes, format);
  w.u32(4, eventType.noAction, "eventType");
  w.u32(28, dataBytes, "eventSize");
  const at = sha1EventBytes;
  w.set(at, new TextEncoder().encode(specIdSignature), "signature");
  w.u8(at + 21, 2, "specVersionMajor");
  // UINTN has 64 bits, in units of 4 bytes.
  w.u8(at + 23, 2, "uintnSize");
  w.u32(at + 24, algorithms.length, "numberOfAlgorithms");
  for (const [index, { id, digestBytes }] of algorithms.entries()) {
    w.u16(at + 28 + index * 4, id, "algorithmId");
    w.u16(at + 30 + index * 4, digestBytes ?? 0, "digestSize");
  }
  return w.bytes;
}

function encodeEvent(event: NewEvent, algorithms: readonly BankAlgorithm[]): Uint8Array {
  const digests = algorithms.map((algorithm) => ({ algorithm, digest: digestFor(event, algorithm) }));
  const digestsBytes = digests.reduce((sum, { digest }) => sum + 2 + digest.length, 0);
  const w = new ByteWriter(16 + digestsBytes + checkData(event).length, format);
  w.u32(0, event.pcr, "pcrIndex");
  w.u32(4, event.type, "eventType");
  w.u32(8, digests.length, "digests.count");
  let at = 12;
  for (const { algorithm, digest } of digests) {
    w.u16(at, algorithm.id, "hashAlg");
    w.set(at + 2, digest, "digest");
    at += 2 + digest.length;
  }
  w.u32(at, event.data.length, "eventSize");
  w.set(at + 4, event.data, "event");
  return w.bytes;
}

function encodeSha1Event(event: NewEvent): Uint8Array {
  const w = new ByteWriter(sha1EventBytes + checkData(event).length, format);
  w.u32(0, event.pcr, "pcrIndex");
  w.u32(4, event.type, "eventType");
  w.set(8, digestFor(event, sha1Algorithm), "digest");
  w.u32(28, event.data.length, "eventSize");
  w.set(sha1EventBytes, event.data, "event");
  return w.bytes;
}

function digestFor(event: NewEvent, algorithm: BankAlgorithm): Uint8Array {
  const digest = event.digests.find((found) => found.algorithm.id === algorithm.id)?.digest;
  if (digest === undefined || digest.length !== algorithm.digestBytes) {
    const found = digest === undefined ? "none" : `one of ${digest.length} bytes`;
    throw new FormatError(format, `event of PCR ${event.pcr}: a digest of ${algorithm.name} expected, found ${found}`);
  }
  return digest;
}

function checkData({ pcr, data }: NewEvent): Uint8Array {
  if (data.length > eventDataBytesMax) {
    throw new FormatError(
      format,
      `event of PCR ${pcr}: ${data.length} bytes, at most ${eventDataBytesMax} are written`,
    );
  }
  return data;
}

/** The data of an event of the type EV_EVENT_TAG (section 10.4.2.1, TCG_PCClientTaggedEvent). */
export function taggedEventData(tag: number, data: Uint8Array): Uint8Array {
  const w = new ByteWriter(8 + data.length, format);
  w.u32(0, tag, "taggedEventID");
  w.u32(4, data.length, "taggedEventDataSize");
  w.set(8, data, "taggedEventData");
  return w.bytes;
}

/** Characters of an event's data that are shown. */
const shownCharactersMax = 200;

/** An event's data for people: text in one byte or two bytes a character where it is such, else the start in hexadecimal. */
export function eventDataText({ data, type }: Pick<TpmEvent, "data" | "type">): string {
  const body = type === eventType.eventTag && data.length >= 8 ? data.subarray(8) : data;
  const text = textOf(body);
  if (text !== null) return text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax)}…` : text;
  const shown = hex(body.subarray(0, shownCharactersMax / 4));
  return body.length * 2 > shown.length ? `${shown}… (${body.length} bytes)` : shown;
}

function textOf(data: Uint8Array): string | null {
  if (data.length === 0) return "";
  const bytes = data.subarray(0, (shownCharactersMax + 2) * 2);
  const narrow = latin1(bytes).replace(/\0$/, "");
  if (/^[ -~]+$/.test(narrow)) return narrow;
  if (bytes.length % 2 !== 0) return null;
  const wide = new TextDecoder("utf-16le").decode(bytes).replace(/\0$/, "");
  return /^[ -~]+$/.test(wide) ? wide : null;
}
