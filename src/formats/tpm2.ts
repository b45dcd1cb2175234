import { ByteReader } from "./bytes.ts";
import { FormatError } from "./format-error.ts";
import { hexadecimal } from "./hexadecimal.ts";

/*
 * Commands to a TPM 2.0 and its answers.
 * Source: TCG "Trusted Platform Module Library", family 2.0, part 2 "Structures" and part 3 "Commands". All fields are
 * big-endian; a "sized" one has its length, 16 bits, before it.
 */

const format = "tpm2";

/** Longest command and answer, bytes: the buffer of Linux' TPM devices (drivers/char/tpm/tpm.h, TPM_BUFSIZE). */
export const tpmMessageBytesMax = 4096;
/** Items taken of a list in an answer. */
export const tpmListMax = 1024;
/** Most bytes of an NV index that one command reads or writes; TPMs of PCs take as many and more (TPM_PT_NV_BUFFER_MAX). */
export const tpmNvChunkBytesMax = 512;
/** Largest NV index, bytes: the size in its public area has 16 bits, TPMs take about 2048. */
export const tpmNvBytesMax = 0xffff;
/** Longest authorisation value, bytes: a digest of the longest hash. */
export const tpmAuthBytesMax = 64;
/** PCRs of a platform (PC Client Platform TPM Profile, section 4.6). */
export const tpmPcrCount = 24;

/** Banks of PCRs whose digests Slipway computes, by the names that node:crypto and tpm2-tools use. */
export const tpmBanks = ["sha1", "sha256", "sha384", "sha512"] as const;
export type Bank = (typeof tpmBanks)[number];

/** A hash algorithm that a bank may have (part 2, table 9, TPM_ALG_ID). */
export interface BankAlgorithm {
  readonly id: number;
  /** `sha256`; `0x1234` for one that is not known. */
  readonly name: string;
  /** Null: not known. */
  readonly digestBytes: number | null;
}

const algorithms: readonly BankAlgorithm[] = [
  { id: 0x0004, name: "sha1", digestBytes: 20 },
  { id: 0x000b, name: "sha256", digestBytes: 32 },
  { id: 0x000c, name: "sha384", digestBytes: 48 },
  { id: 0x000d, name: "sha512", digestBytes: 64 },
  { id: 0x0012, name: "sm3_256", digestBytes: 32 },
  { id: 0x0027, name: "sha3_256", digestBytes: 32 },
  { id: 0x0028, name: "sha3_384", digestBytes: 48 },
  { id: 0x0029, name: "sha3_512", digestBytes: 64 },
];

/** What is known of an algorithm's number. */
export function bankAlgorithm(id: number): BankAlgorithm {
  return algorithms.find((known) => known.id === id) ?? { id, name: hexadecimal(id), digestBytes: null };
}

/** The algorithm of a bank, by its name. Null for a name that is none. */
export function bankAlgorithmNamed(name: string): BankAlgorithm | null {
  return algorithms.find((known) => known.name === name) ?? null;
}

/** Whether Slipway computes the digests of a bank. */
export function isBank(name: string): name is Bank {
  return tpmBanks.some((known) => known === name);
}

/** A digest in one bank. */
export interface BankDigest {
  readonly algorithm: BankAlgorithm;
  readonly digest: Uint8Array;
}

/** Who authorises a command on NV memory: the owner of the TPM, or the index itself (part 2, table 28, TPM_RH). */
export interface TpmAuthorization {
  readonly by: "owner" | "index";
  /** The value that was set for it; empty where none was. Zeroes at its end do not count. */
  readonly value: Uint8Array;
}

/** Authorisation with an empty value. */
export const emptyIndexAuthorization: TpmAuthorization = { by: "index", value: new Uint8Array(0) };

/** Bits of an NV index (part 2, section 13.4, TPMA_NV). Bits 4 to 7 hold the type: 0 ordinary, 1 counter, 2 bits, 4 extend. */
export const nvAttribute = {
  /** The owner may write. */
  ownerWrite: 1 << 1,
  /** Whoever knows the index's value may write. */
  authWrite: 1 << 2,
  /** TPM_NT_COUNTER, a type: 8 bytes that only {@link nvIncrementCommand} changes, by one. */
  counter: 1 << 4,
  /** NV_WriteLock locks the index for ever. */
  writeDefine: 1 << 13,
  /** A wrong value for the index does not count towards lock-out. */
  noDictionaryAttackProtection: 1 << 25,
  /** The owner may read. */
  ownerRead: 1 << 17,
  /** Whoever knows the index's value may read. */
  authRead: 1 << 18,
  /** Set by the TPM: it was locked. */
  writeLocked: 1 << 11,
  /** Set by the TPM: it was written at least once. */
  written: 1 << 29,
} as const;

/** The public area of an NV index (part 2, section 13.5, TPMS_NV_PUBLIC). */
export interface NvPublic {
  /** 0x01000000 to 0x01ffffff. */
  readonly index: number;
  /** See {@link nvAttribute}; 32 bits without a sign. */
  readonly attributes: number;
  /** Digest of a policy; empty when there is none. */
  readonly policy: Uint8Array;
  /** Bytes. */
  readonly size: number;
}

/** Handles of the hierarchies. */
const ownerHandle = 0x40000001;
/** Authorisation by a password alone. */
const passwordSession = 0x40000009;

const noSessions = 0x8001;
const withSessions = 0x8002;

const commandCodes = {
  NV_UndefineSpace: 0x122,
  NV_DefineSpace: 0x12a,
  NV_Increment: 0x134,
  NV_Write: 0x137,
  NV_WriteLock: 0x138,
  NV_Read: 0x14e,
  NV_ReadPublic: 0x169,
  GetCapability: 0x17a,
  PCR_Read: 0x17e,
  PCR_Extend: 0x182,
} as const;
export type TpmCommandName = keyof typeof commandCodes;

/** A command, ready to be sent. */
export interface TpmCommand {
  /** As the specification calls it, without `TPM2_`. */
  readonly name: TpmCommandName;
  /** On what: `PCR 8`, `NV index 0x1800001`; for messages. */
  readonly subject: string;
  readonly bytes: Uint8Array;
}

/** Big-endian fields behind one another. */
class Fields {
  readonly #bytes: number[] = [];

  u8(value: number): this {
    this.#bytes.push(value & 0xff);
    return this;
  }
  u16(value: number): this {
    return this.u8(value >>> 8).u8(value);
  }
  u32(value: number): this {
    return this.u16(value >>> 16).u16(value);
  }
  raw(bytes: Uint8Array): this {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }
  sized(bytes: Uint8Array): this {
    return this.u16(bytes.length).raw(bytes);
  }
  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

interface Parts {
  readonly subject: string;
  readonly handles?: readonly number[];
  /** For the first handle; null: the command needs no authorisation. */
  readonly authorization?: Uint8Array | null;
  readonly parameters?: Uint8Array;
}

function command(name: TpmCommandName, { subject, handles = [], authorization = null, parameters }: Parts): TpmCommand {
  const body = new Fields();
  for (const handle of handles) body.u32(handle);
  if (authorization !== null) {
    if (authorization.length > tpmAuthBytesMax) {
      const found = `${authorization.length} bytes`;
      throw new FormatError(format, `${found}, at most ${tpmAuthBytesMax} expected`, { field: "authorisation value" });
    }
    // Handle, no nonce, no attributes, the value in place of an HMAC (part 1, section 19.4).
    const session = new Fields().u32(passwordSession).sized(new Uint8Array(0)).u8(0).sized(authorization).bytes;
    body.u32(session.length).raw(session);
  }
  const rest = body.raw(parameters ?? new Uint8Array(0)).bytes;
  const bytes = new Fields()
    .u16(authorization === null ? noSessions : withSessions)
    .u32(rest.length + 10)
    .u32(commandCodes[name])
    .raw(rest).bytes;
  if (bytes.length > tpmMessageBytesMax) {
    throw new FormatError(format, `${name}: ${bytes.length} bytes, at most ${tpmMessageBytesMax} can be sent`);
  }
  return { name, subject, bytes };
}

/** TPM_CAP_PCRS (part 2, section 6.12): what GetCapability is asked for. */
const pcrsCapability = 5;

/** Which PCRs each bank has; see {@link readPcrBanks}. */
export function getPcrBanksCommand(): TpmCommand {
  const parameters = new Fields().u32(pcrsCapability).u32(0).u32(tpmListMax).bytes;
  return command("GetCapability", { subject: "banks", parameters });
}

/**
 * Extends a PCR in each bank that a digest is given for. Other banks stay as they are.
 *
 * @throws FormatError for a PCR that there is not, no digest, and one of a wrong length
 */
export function pcrExtendCommand(pcr: number, digests: readonly BankDigest[]): TpmCommand {
  const parameters = new Fields().u32(digests.length);
  if (digests.length === 0) throw new FormatError(format, `PCR ${pcr}: a digest expected`);
  for (const { algorithm, digest } of digests) {
    if (algorithm.digestBytes !== digest.length) {
      const expected = algorithm.digestBytes ?? "a known number of";
      throw new FormatError(
        format,
        `PCR ${pcr}: ${expected} bytes of ${algorithm.name} expected, not ${digest.length}`,
      );
    }
    parameters.u16(algorithm.id).raw(digest);
  }
  return command("PCR_Extend", {
    subject: `PCR ${checkPcr(pcr)}`,
    handles: [pcr],
    authorization: new Uint8Array(0),
    parameters: parameters.bytes,
  });
}

/** Reads PCRs of one bank: at most eight at once are answered; see {@link readPcrValues}. */
export function pcrReadCommand(algorithm: BankAlgorithm, pcrs: readonly number[]): TpmCommand {
  const selected = new Uint8Array(tpmPcrCount / 8);
  for (const pcr of pcrs) {
    const at = checkPcr(pcr) >> 3;
    selected[at] = (selected[at] ?? 0) | (1 << (pcr & 7));
  }
  const parameters = new Fields().u32(1).u16(algorithm.id).u8(selected.length).raw(selected).bytes;
  return command("PCR_Read", { subject: `PCRs of ${algorithm.name}`, parameters });
}

function checkPcr(pcr: number): number {
  if (!Number.isInteger(pcr) || pcr < 0 || pcr >= tpmPcrCount) {
    throw new FormatError(format, `PCR ${pcr}: 0 to ${tpmPcrCount - 1} expected`);
  }
  return pcr;
}

const firstNvIndex = 0x01000000;
const lastNvIndex = 0x01ffffff;
/** Of the index's name, which Slipway does not use: SHA-256. */
const nameAlgorithm = 0x000b;

/** Defines an NV index, by the owner. `indexAuth` becomes the index's own authorisation value. */
export function nvDefineSpaceCommand(
  { index, attributes, policy, size }: NvPublic,
  ownerAuth: Uint8Array,
  indexAuth: Uint8Array,
): TpmCommand {
  const area = new Fields()
    .u32(checkNvIndex(index))
    .u16(nameAlgorithm)
    .u32(attributes)
    .sized(policy)
    .u16(checkLength(size, tpmNvBytesMax, "size")).bytes;
  return command("NV_DefineSpace", {
    subject: nvSubject(index),
    handles: [ownerHandle],
    authorization: ownerAuth,
    parameters: new Fields().sized(indexAuth).sized(area).bytes,
  });
}

/** Deletes an NV index, by the owner. */
export function nvUndefineSpaceCommand(index: number, ownerAuth: Uint8Array): TpmCommand {
  const handles = [ownerHandle, checkNvIndex(index)];
  return command("NV_UndefineSpace", { subject: nvSubject(index), handles, authorization: ownerAuth });
}

/** See {@link readNvPublic}. */
export function nvReadPublicCommand(index: number): TpmCommand {
  return command("NV_ReadPublic", { subject: nvSubject(index), handles: [checkNvIndex(index)] });
}

/** Reads bytes of an index, at most {@link tpmNvChunkBytesMax}; see {@link readNvData}. */
export function nvReadCommand(index: number, by: TpmAuthorization, offset: number, length: number): TpmCommand {
  const parameters = new Fields()
    .u16(checkLength(length, tpmNvChunkBytesMax, "size"))
    .u16(checkLength(offset, tpmNvBytesMax, "offset")).bytes;
  return nvCommand("NV_Read", index, by, parameters);
}

/** Writes bytes of an index, at most {@link tpmNvChunkBytesMax}. */
export function nvWriteCommand(index: number, by: TpmAuthorization, offset: number, bytes: Uint8Array): TpmCommand {
  checkLength(bytes.length, tpmNvChunkBytesMax, "size");
  const parameters = new Fields().sized(bytes).u16(checkLength(offset, tpmNvBytesMax, "offset")).bytes;
  return nvCommand("NV_Write", index, by, parameters);
}

/** Counts an index of the type counter up by one. The first time, it is set to a value that no counter had before, and one. */
export function nvIncrementCommand(index: number, by: TpmAuthorization): TpmCommand {
  return nvCommand("NV_Increment", index, by, new Uint8Array(0));
}

/** Locks an index against writing; for how long, its attributes say. */
export function nvWriteLockCommand(index: number, by: TpmAuthorization): TpmCommand {
  return nvCommand("NV_WriteLock", index, by, new Uint8Array(0));
}

function nvCommand(name: TpmCommandName, index: number, by: TpmAuthorization, parameters: Uint8Array): TpmCommand {
  checkNvIndex(index);
  return command(name, {
    subject: nvSubject(index),
    handles: [by.by === "owner" ? ownerHandle : index, index],
    authorization: by.value,
    parameters,
  });
}

function nvSubject(index: number): string {
  return `NV index ${hexadecimal(index)}`;
}

function checkNvIndex(index: number): number {
  if (!Number.isInteger(index) || index < firstNvIndex || index > lastNvIndex) {
    const range = `${hexadecimal(firstNvIndex)} to ${hexadecimal(lastNvIndex)}`;
    throw new FormatError(
      format,
      `${Number.isInteger(index) ? hexadecimal(index) : index}: an NV index from ${range} expected`,
    );
  }
  return index;
}

function checkLength(value: number, max: number, field: string): number {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new FormatError(format, `${value}: 0 to ${max} bytes expected`, { field });
  }
  return value;
}

/** An answer. */
export interface TpmResponse {
  /** 0: success; else see {@link responseCode}. */
  readonly code: number;
  /** What the command gives back; empty when it failed. */
  readonly parameters: Uint8Array;
}

/**
 * Reads the answer to a command that gives no handle back.
 *
 * @throws FormatError for what is cut, longer than it says, or has a wrong tag
 */
export function readTpmResponse(bytes: Uint8Array): TpmResponse {
  const r = new ByteReader(bytes, format);
  if (bytes.length > tpmMessageBytesMax) r.fail(`${bytes.length} bytes, at most ${tpmMessageBytesMax} are taken`);
  const tag = r.u16be(0, "tag");
  const size = r.u32be(2, "responseSize");
  const code = r.u32be(6, "responseCode");
  if (size !== bytes.length) r.fail(`${size}: ${bytes.length} expected, as many bytes as there are`, 2, "responseSize");
  if (code !== 0) return { code, parameters: new Uint8Array(0) };
  if (tag === noSessions) return { code, parameters: bytes.subarray(10) };
  if (tag !== withSessions) r.fail(`0x8001 or 0x8002 expected, not ${hexadecimal(tag)}`, 0, "tag");
  const length = r.u32be(10, "parameterSize");
  return { code, parameters: r.slice(14, length, "parameters") };
}

/** A bank and the PCRs that it has. */
export interface PcrBank {
  readonly algorithm: BankAlgorithm;
  /** Ascending; none when the bank is not active. */
  readonly pcrs: readonly number[];
}

/** What {@link getPcrBanksCommand} gives back. Throws FormatError. */
export function readPcrBanks(parameters: Uint8Array): readonly PcrBank[] {
  const r = new ByteReader(parameters, format);
  // Behind moreData, which is never set: a TPM has fewer banks than are asked for.
  const capability = r.u32be(1, "capability");
  if (capability !== pcrsCapability) r.fail(`${pcrsCapability} expected, not ${capability}`, 1, "capability");
  const count = r.u32be(5, "count");
  if (count > tpmListMax) r.fail(`${count}: at most ${tpmListMax} are taken`, 5, "count");
  const banks: PcrBank[] = [];
  let at = 9;
  for (let i = 0; i < count; i++) {
    const algorithm = bankAlgorithm(r.u16be(at, "hash"));
    const selected = r.slice(at + 3, r.u8(at + 2, "sizeofSelect"), "pcrSelect");
    banks.push({ algorithm, pcrs: selectedPcrs(selected) });
    at += 3 + selected.length;
  }
  endOf(r, at);
  return banks;
}

function selectedPcrs(selected: Uint8Array): number[] {
  return Array.from({ length: selected.length * 8 }, (_, pcr) => pcr).filter(
    (pcr) => ((selected[pcr >> 3] ?? 0) >> (pcr & 7)) & 1,
  );
}

/** What {@link pcrReadCommand} gives back: as many of the PCRs that were asked for as the TPM gives at once. Throws FormatError. */
export function readPcrValues(parameters: Uint8Array, algorithm: BankAlgorithm): ReadonlyMap<number, Uint8Array> {
  const r = new ByteReader(parameters, format);
  // Behind the update counter, the PCRs that are answered.
  const selections = r.u32be(4, "pcrSelectionOut");
  if (selections > tpmListMax) r.fail(`${selections}: at most ${tpmListMax} are taken`, 4, "pcrSelectionOut");
  let at = 8;
  const pcrs: number[] = [];
  for (let i = 0; i < selections; i++) {
    const hash = r.u16be(at, "hash");
    if (hash !== algorithm.id) r.fail(`${hexadecimal(algorithm.id)} expected, not ${hexadecimal(hash)}`, at, "hash");
    const selected = r.slice(at + 3, r.u8(at + 2, "sizeofSelect"), "pcrSelect");
    pcrs.push(...selectedPcrs(selected));
    at += 3 + selected.length;
  }
  const count = r.u32be(at, "pcrValues");
  if (count !== pcrs.length) r.fail(`${pcrs.length} expected, not ${count}`, at, "pcrValues");
  at += 4;
  const values = new Map<number, Uint8Array>();
  for (const pcr of pcrs) {
    const value = sizedBytes(r, at, "digest");
    if (value.length !== algorithm.digestBytes) {
      r.fail(`${value.length} bytes, ${algorithm.digestBytes} expected for ${algorithm.name}`, at, "digest");
    }
    values.set(pcr, value);
    at += 2 + value.length;
  }
  endOf(r, at);
  return values;
}

/** What {@link nvReadPublicCommand} gives back. Throws FormatError. */
export function readNvPublic(parameters: Uint8Array): NvPublic {
  const outer = new ByteReader(parameters, format);
  const area = sizedBytes(outer, 0, "nvPublic");
  const name = sizedBytes(outer, 2 + area.length, "nvName");
  endOf(outer, 4 + area.length + name.length);
  const r = new ByteReader(area, format, 2);
  const policy = sizedBytes(r, 10, "authPolicy");
  endOf(r, 14 + policy.length);
  return {
    index: r.u32be(0, "nvIndex"),
    attributes: r.u32be(6, "attributes"),
    policy,
    size: r.u16be(12 + policy.length, "dataSize"),
  };
}

/** What {@link nvReadCommand} gives back. Throws FormatError when it is not `length` bytes. */
export function readNvData(parameters: Uint8Array, length: number): Uint8Array {
  const r = new ByteReader(parameters, format);
  const bytes = sizedBytes(r, 0, "data");
  endOf(r, 2 + bytes.length);
  if (bytes.length !== length) r.fail(`${bytes.length} bytes, ${length} expected`, 0, "data");
  return bytes;
}

function sizedBytes(r: ByteReader, at: number, field: string): Uint8Array {
  return r.slice(at + 2, r.u16be(at, field), field);
}

function endOf(r: ByteReader, at: number): void {
  if (at !== r.length) r.fail(`the end expected, ${r.length - at} byte(s) are left`, at);
}

/** A response code, taken apart (part 2, section 6.6, TPM_RC). */
export interface TpmResponseCode {
  readonly code: number;
  /** `TPM_RC_NV_LOCKED`; `0x1ff` for one without a name. */
  readonly name: string;
  /** What it means, as a clause; null for one without a name. */
  readonly meaning: string | null;
  /** What is wrong: `handle 1`, `session 1`, `parameter 2`; null when it is not said. */
  readonly about: string | null;
}

/** Bit 7 tells codes that say which handle, session or parameter is meant. */
const formatOne = 0x80;

const namedCodes: ReadonlyMap<number, readonly [name: string, meaning: string]> = new Map([
  [0x100, ["TPM_RC_INITIALIZE", "the TPM was not started, or was started already"]],
  [0x101, ["TPM_RC_FAILURE", "the TPM failed its self-test and does nothing until it is reset"]],
  [0x120, ["TPM_RC_DISABLED", "the command is disabled"]],
  [0x121, ["TPM_RC_EXCLUSIVE", "another session has the TPM for itself"]],
  [0x124, ["TPM_RC_AUTH_TYPE", "the handle cannot be authorised so"]],
  [0x125, ["TPM_RC_AUTH_MISSING", "the command needs an authorisation"]],
  [0x127, ["TPM_RC_PCR", "the PCR cannot be used so"]],
  [0x12d, ["TPM_RC_UPGRADE", "the TPM's firmware is being replaced"]],
  [0x12f, ["TPM_RC_AUTH_UNAVAILABLE", "the index does not allow that authorisation"]],
  [0x130, ["TPM_RC_REBOOT", "the TPM wants to be reset"]],
  [0x142, ["TPM_RC_COMMAND_SIZE", "the command's length is wrong"]],
  [0x143, ["TPM_RC_COMMAND_CODE", "the TPM does not have the command"]],
  [0x145, ["TPM_RC_AUTH_CONTEXT", "the command takes no authorisation"]],
  [0x146, ["TPM_RC_NV_RANGE", "the bytes leave the index"]],
  [0x147, ["TPM_RC_NV_SIZE", "the index has another size"]],
  [0x148, ["TPM_RC_NV_LOCKED", "the index is locked"]],
  [0x149, ["TPM_RC_NV_AUTHORIZATION", "the index does not allow that to whom authorised it"]],
  [0x14a, ["TPM_RC_NV_UNINITIALIZED", "the index was not written yet"]],
  [0x14b, ["TPM_RC_NV_SPACE", "there is no room for the index"]],
  [0x14c, ["TPM_RC_NV_DEFINED", "the index is there already"]],
  [0x155, ["TPM_RC_SENSITIVE", "the sensitive area is damaged"]],
  [0x901, ["TPM_RC_CONTEXT_GAP", "too many contexts were saved"]],
  [0x902, ["TPM_RC_OBJECT_MEMORY", "the TPM has no memory for another object"]],
  [0x903, ["TPM_RC_SESSION_MEMORY", "the TPM has no memory for another session"]],
  [0x904, ["TPM_RC_MEMORY", "the TPM has no memory left"]],
  [0x905, ["TPM_RC_SESSION_HANDLES", "there are too many sessions"]],
  [0x906, ["TPM_RC_OBJECT_HANDLES", "there are too many objects"]],
  [0x907, ["TPM_RC_LOCALITY", "not allowed from this locality"]],
  [0x908, ["TPM_RC_YIELDED", "the TPM had something else to do"]],
  [0x909, ["TPM_RC_CANCELED", "the command was cancelled"]],
  [0x90a, ["TPM_RC_TESTING", "the TPM is testing itself"]],
  [0x910, ["TPM_RC_REFERENCE_H0", "there is nothing with the first handle"]],
  [0x911, ["TPM_RC_REFERENCE_H1", "there is nothing with the second handle"]],
  [0x918, ["TPM_RC_REFERENCE_S0", "there is no such session"]],
  [0x920, ["TPM_RC_NV_RATE", "NV memory is written too often"]],
  [0x921, ["TPM_RC_LOCKOUT", "too many wrong authorisation values were given: the TPM is locked out"]],
  [0x922, ["TPM_RC_RETRY", "the TPM could not start the command"]],
  [0x923, ["TPM_RC_NV_UNAVAILABLE", "NV memory cannot be written now"]],
  // Numbers of format one, without what they are about.
  [0x081, ["TPM_RC_ASYMMETRIC", "the asymmetric algorithm is not supported"]],
  [0x082, ["TPM_RC_ATTRIBUTES", "the attributes do not go together"]],
  [0x083, ["TPM_RC_HASH", "the hash algorithm is not supported"]],
  [0x084, ["TPM_RC_VALUE", "the value is out of range"]],
  [0x085, ["TPM_RC_HIERARCHY", "the hierarchy is not enabled"]],
  [0x08b, ["TPM_RC_HANDLE", "there is nothing with this handle"]],
  [0x08e, ["TPM_RC_AUTH_FAIL", "the authorisation value is wrong"]],
  [0x08f, ["TPM_RC_NONCE", "the nonce is wrong"]],
  [0x092, ["TPM_RC_SCHEME", "the scheme is not supported"]],
  [0x095, ["TPM_RC_SIZE", "the size is wrong"]],
  [0x09a, ["TPM_RC_INSUFFICIENT", "the command is too short"]],
  [0x09d, ["TPM_RC_POLICY_FAIL", "the policy is not fulfilled"]],
  [0x0a1, ["TPM_RC_RESERVED_BITS", "a reserved bit is set"]],
  [0x0a2, ["TPM_RC_BAD_AUTH", "the authorisation value is wrong"]],
]);

/** Takes a response code apart. The upper half, by which layers of software mark their own, does not count. */
export function responseCode(code: number): TpmResponseCode {
  const own = code & 0xfff;
  const key = (own & formatOne) === 0 ? own & 0xd7f : own & 0xbf;
  const [name, meaning] = namedCodes.get(key) ?? [hexadecimal(code), null];
  return { code, name, meaning, about: (own & formatOne) === 0 ? null : aboutOf(own) };
}

/** Bit 6: a parameter; else bit 11 tells sessions from handles. The number stands in bits 8 to 11. */
function aboutOf(code: number): string | null {
  const number = (code >> 8) & 0xf;
  if ((code & 0x40) !== 0) return number === 0 ? null : `parameter ${number}`;
  const place = number & 7;
  if (place === 0) return null;
  return `${(number & 8) === 0 ? "handle" : "session"} ${place}`;
}

/** `TPM_RC_AUTH_FAIL (session 1): the authorisation value is wrong` */
export function responseText(code: number): string {
  const { name, about, meaning } = responseCode(code);
  const named = name.startsWith("0x") ? `response code ${name}` : name;
  return `${named}${about === null ? "" : ` (${about})`}${meaning === null ? "" : `: ${meaning}`}`;
}

/** The same command may be sent again: nothing was done (part 3, section 5.3 ff.; part 2, section 6.6.3). */
export function isRetryable(code: number): boolean {
  return ["TPM_RC_RETRY", "TPM_RC_TESTING", "TPM_RC_YIELDED", "TPM_RC_NV_RATE"].includes(responseCode(code).name);
}
