import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { errorCode, messageOf } from "../formats/error-text.ts";
import type { PcrValues } from "../formats/tpm-event-log.ts";
import {
  type Bank,
  type BankAlgorithm,
  type BankDigest,
  bankAlgorithmNamed,
  emptyIndexAuthorization,
  getPcrBanksCommand,
  isBank,
  isRetryable,
  type NvPublic,
  nvAttribute,
  nvDefineSpaceCommand,
  nvIncrementCommand,
  nvReadCommand,
  nvReadPublicCommand,
  nvUndefineSpaceCommand,
  nvWriteCommand,
  nvWriteLockCommand,
  type PcrBank,
  pcrExtendCommand,
  pcrReadCommand,
  readNvData,
  readNvPublic,
  readPcrBanks,
  readPcrValues,
  readTpmResponse,
  responseCode,
  responseText,
  type TpmAuthorization,
  type TpmCommand,
  tpmMessageBytesMax,
  tpmNvChunkBytesMax,
  tpmPcrCount,
} from "../formats/tpm2.ts";
import { withDeadline } from "./deadline.ts";
import { readKernelText } from "./kernel-files.ts";

/** The kernel's device with a resource manager, which several programs may use at a time. */
export const tpmDevice = "/dev/tpmrm0";

/** Longest that a command may take, seconds: extending takes milliseconds, a TPM that is testing itself seconds. */
export const tpmCommandSeconds = 20;

/** How often a command is sent while the TPM says that it is busy. */
export const tpmAttemptsMax = 12;
/** Before the second attempt, milliseconds; twice as long before each further one, up to {@link retryWaitMsMax}. */
const retryWaitMs = 5;
const retryWaitMsMax = 500;

/** A command that the TPM refused, or did not answer in a way that can be understood. */
export class TpmError extends Error {
  override readonly name = "TpmError";
  /** `TPM_RC_NV_LOCKED`; null when it was not the TPM that refused. */
  readonly response: string | null;

  constructor(message: string, response: string | null = null, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.response = response;
  }
}

/** What carries a command to a TPM and its answer back: the kernel's device; in tests the socket of a software TPM. */
export interface TpmTransport {
  /** One at a time. */
  transmit(command: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** What an NV index is to be. */
export interface NvDefinition {
  readonly index: number;
  /** Bits of `nvAttribute`. */
  readonly attributes: number;
  /** Bytes; a counter has 8. */
  readonly size: number;
}

/**
 * Opens the machine's TPM 2.0. Null when there is no such device.
 *
 * @throws TpmError for one that cannot be opened, does not answer or answers what cannot be understood
 */
export async function openTpm(device: string = tpmDevice): Promise<Tpm | null> {
  const transport = await openDevice(device);
  return transport === null ? null : openTpmOver(transport);
}

/** Opens a TPM 2.0 over a transport, which is closed with it, and also when it cannot be opened. Throws TpmError. */
export async function openTpmOver(transport: TpmTransport, commandSeconds: number = tpmCommandSeconds): Promise<Tpm> {
  const channel = new Channel(transport, commandSeconds);
  try {
    const banks = await channel.ask(getPcrBanksCommand(), readPcrBanks);
    return new Tpm(
      channel,
      banks.filter(({ pcrs }) => pcrs.length > 0),
    );
  } catch (error) {
    await channel.close();
    throw error;
  }
}

/** Where the kernel shows a TPM. */
const tpmSysfsDirectory = "/sys/class/tpm/tpm0";

/**
 * The values of this machine's PCRs as the kernel shows them to everybody (since Linux 5.12), by bank and PCR; null when it
 * shows none. Throws for what cannot be read.
 */
export function readShownPcrs(banks: readonly Bank[], directory: string = tpmSysfsDirectory): PcrValues | null {
  const values = new Map<string, ReadonlyMap<number, Uint8Array>>();
  for (const bank of banks) {
    const shown = new Map<number, Uint8Array>();
    for (let pcr = 0; pcr < tpmPcrCount; pcr++) {
      const file = `${directory}/pcr-${bank}/${pcr}`;
      const text = readKernelText(file);
      if (text === null) continue;
      if (!/^([0-9A-Fa-f]{2})+$/.test(text)) throw new TpmError(`read ${file}: a value in hexadecimal expected`);
      shown.set(pcr, new Uint8Array(Buffer.from(text, "hex")));
    }
    if (shown.size > 0) values.set(bank, shown);
  }
  return values.size === 0 ? null : values;
}

const noDevice: readonly string[] = ["ENOENT", "ENODEV", "ENXIO", "ENOTDIR"];

async function openDevice(device: string): Promise<TpmTransport | null> {
  const action = `open ${JSON.stringify(device)}`;
  try {
    const opening = open(device, constants.O_RDWR);
    return new DeviceTransport(await withDeadline(opening, tpmCommandSeconds, action, (late) => late.close()));
  } catch (error) {
    const code = errorCode(error);
    if (code !== null && noDevice.includes(code)) return null;
    throw new TpmError(`${action}: ${code ?? messageOf(error)}`, null, error);
  }
}

/** One write(2) is a command, the next read(2) its whole answer. */
class DeviceTransport implements TpmTransport {
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async transmit(command: Uint8Array): Promise<Uint8Array> {
    const { bytesWritten } = await this.#file.write(command, 0, command.length, null);
    if (bytesWritten !== command.length) throw new Error(`${bytesWritten} of ${command.length} bytes were taken`);
    const answer = new Uint8Array(tpmMessageBytesMax);
    const { bytesRead } = await this.#file.read(answer, 0, answer.length, null);
    return answer.subarray(0, bytesRead);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Commands one after the other, each with a deadline. */
class Channel {
  readonly #transport: TpmTransport;
  readonly #seconds: number;
  #last: Promise<unknown> = Promise.resolve();
  /** Why no further command is sent: an answer that comes late would be taken for the next one's. */
  #broken: TpmError | null = null;
  #closed = false;

  constructor(transport: TpmTransport, seconds: number) {
    this.#transport = transport;
    this.#seconds = seconds;
  }

  /** Sends a command, and again while the TPM is busy. Throws TpmError. */
  ask<T>(command: TpmCommand, read: (parameters: Uint8Array) => T): Promise<T> {
    const answer = this.#last.then(() => this.#ask(command, read));
    this.#last = answer.catch(() => {});
    return answer;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // A device that hangs cannot be closed either: its thread is lost until it answers.
    if (this.#broken === null) await this.#transport.close();
    else this.#transport.close().catch(() => {});
  }

  async #ask<T>(command: TpmCommand, read: (parameters: Uint8Array) => T): Promise<T> {
    const action = `${command.name} ${command.subject}`;
    if (this.#closed) throw new TpmError(`${action}: the TPM was closed`);
    for (let attempt = 1, wait = retryWaitMs; ; attempt++, wait = Math.min(wait * 2, retryWaitMsMax)) {
      const { code, parameters } = await this.#exchange(command.bytes, action);
      if (code !== 0 && isRetryable(code) && attempt < tpmAttemptsMax) {
        await sleep(wait);
        continue;
      }
      if (code !== 0) {
        const again = isRetryable(code) ? `, after ${attempt} attempts` : "";
        throw new TpmError(`${action}: ${responseText(code)}${again}`, responseCode(code).name);
      }
      try {
        return read(parameters);
      } catch (error) {
        throw new TpmError(`${action}: ${messageOf(error)}`, null, error);
      }
    }
  }

  async #exchange(bytes: Uint8Array, action: string): Promise<ReturnType<typeof readTpmResponse>> {
    if (this.#broken !== null) throw new TpmError(`${action}: the TPM is not asked any more (${this.#broken.message})`);
    try {
      return readTpmResponse(await withDeadline(this.#transport.transmit(bytes), this.#seconds, action));
    } catch (error) {
      const message = messageOf(error);
      this.#broken = new TpmError(message.startsWith(action) ? message : `${action}: ${message}`, null, error);
      throw this.#broken;
    }
  }
}

/** A TPM 2.0 that answers. Every method throws TpmError. */
export class Tpm implements AsyncDisposable {
  /** The active banks whose digests Slipway computes. */
  readonly activeBanks: readonly Bank[];
  /** The active banks whose digests it does not: SM3, SHA-3. */
  readonly foreignBanks: readonly BankAlgorithm[];
  readonly #channel: Channel;

  /** To be had from {@link openTpm}. */
  constructor(channel: Channel, banks: readonly PcrBank[]) {
    this.#channel = channel;
    this.activeBanks = banks.map(({ algorithm }) => algorithm.name).filter(isBank);
    this.foreignBanks = banks.map(({ algorithm }) => algorithm).filter(({ name }) => !isBank(name));
  }

  /** Extends a PCR, in all banks that a digest is given for. */
  async extend(pcr: number, digests: readonly BankDigest[]): Promise<void> {
    await this.#send(pcrExtendCommand(pcr, digests));
  }

  /** The values of PCRs of one bank, by their numbers; PCRs that the bank does not have are left out. */
  async readPcrs(bank: Bank, pcrs: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>> {
    const algorithm = bankAlgorithmNamed(bank);
    if (algorithm === null) throw new TpmError(`read PCRs: ${JSON.stringify(bank)} is no bank`);
    const values = new Map<number, Uint8Array>();
    for (let wanted = [...new Set(pcrs)]; wanted.length > 0; ) {
      const found = await this.#channel.ask(pcrReadCommand(algorithm, wanted), (parameters) =>
        readPcrValues(parameters, algorithm),
      );
      const left = wanted.filter((pcr) => !found.has(pcr));
      if (left.length === wanted.length) break;
      for (const [pcr, value] of found) values.set(pcr, value);
      wanted = left;
    }
    return values;
  }

  /** What an NV index is; null when it is not defined. */
  async nvPublic(index: number): Promise<NvPublic | null> {
    try {
      return await this.#channel.ask(nvReadPublicCommand(index), readNvPublic);
    } catch (error) {
      if (error instanceof TpmError && isMissing(error)) return null;
      throw error;
    }
  }

  /** Defines an NV index whose own authorisation value is empty, with the owner's (empty where none was set). */
  async nvDefine(definition: NvDefinition, ownerAuth: Uint8Array = new Uint8Array(0)): Promise<void> {
    const empty = new Uint8Array(0);
    await this.#send(nvDefineSpaceCommand({ ...definition, policy: empty }, ownerAuth, empty));
  }

  /** Deletes an NV index, with the owner's authorisation value. */
  async nvUndefine(index: number, ownerAuth: Uint8Array = new Uint8Array(0)): Promise<void> {
    await this.#send(nvUndefineSpaceCommand(index, ownerAuth));
  }

  /** All bytes of an NV index that anybody may read; null when it is not defined, or was never written. */
  async nvRead(index: number): Promise<Uint8Array | null> {
    const area = await this.nvPublic(index);
    if (area === null || (area.attributes & nvAttribute.written) === 0) return null;
    const bytes = new Uint8Array(area.size);
    for (let at = 0; at < bytes.length; at += tpmNvChunkBytesMax) {
      const length = Math.min(tpmNvChunkBytesMax, bytes.length - at);
      bytes.set(
        await this.#channel.ask(nvReadCommand(index, emptyIndexAuthorization, at, length), (parameters) =>
          readNvData(parameters, length),
        ),
        at,
      );
    }
    return bytes;
  }

  /** Writes from the start of an NV index that anybody may write. */
  async nvWrite(index: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at === 0 || at < bytes.length; at += tpmNvChunkBytesMax) {
      await this.#send(nvWriteCommand(index, emptyIndexAuthorization, at, bytes.subarray(at, at + tpmNvChunkBytesMax)));
    }
  }

  /** Locks an NV index against writing: for ever with `nvAttribute.writeDefine`. */
  async nvWriteLock(index: number): Promise<void> {
    await this.#send(nvWriteLockCommand(index, emptyIndexAuthorization));
  }

  /** The value of a counter that anybody may read; null when it is not defined, or never counted. */
  async nvReadCounter(index: number): Promise<bigint | null> {
    const bytes = await this.nvRead(index);
    if (bytes === null) return null;
    if (bytes.length !== 8) throw new TpmError(`NV index 0x${index.toString(16)}: a counter of 8 bytes expected`);
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
  }

  /** Counts up by one and gives the new value, which anybody may read. */
  async nvIncrement(index: number, by: TpmAuthorization = emptyIndexAuthorization): Promise<bigint> {
    await this.#send(nvIncrementCommand(index, by));
    const value = await this.nvReadCounter(index);
    if (value === null) throw new TpmError(`NV index 0x${index.toString(16)}: a value expected after it was counted`);
    return value;
  }

  close(): Promise<void> {
    return this.#channel.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #send(command: TpmCommand): Promise<void> {
    await this.#channel.ask(command, () => null);
  }
}

function isMissing({ response }: TpmError): boolean {
  return response !== null && ["TPM_RC_HANDLE", "TPM_RC_REFERENCE_H0", "TPM_RC_REFERENCE_H1"].includes(response);
}
