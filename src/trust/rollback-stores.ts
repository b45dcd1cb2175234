import { createHash } from "node:crypto";
import type { FileSource } from "../discovery/source.ts";
import { type EfiVariable, efiAttribute } from "../formats/efi-variable.ts";
import { messageOf } from "../formats/error-text.ts";
import { quote } from "../formats/format-error.ts";
import { hexadecimal } from "../formats/hexadecimal.ts";
import {
  parseRollbackMinimums,
  type RollbackMinimums,
  rollbackMinimumsBytesMax,
  writeRollbackMinimums,
} from "../formats/rollback-minimums.ts";
import { type NvPublic, nvAttribute } from "../formats/tpm2.ts";
import { readEfiVariable } from "../machine/efi-variable-file.ts";
import type { Tpm } from "../machine/tpm.ts";
import { counterStepsMax, type KeptMinimum, nvIndexText, type RollbackSettings } from "./rollback.ts";
import { type RollbackFiles, sourceFiles } from "./rollback-files.ts";

/** The variable with the minimums, and Slipway's own vendor GUID. */
export const rollbackVariable = { name: "SlipwayRollback", vendor: "48bc4257-1044-435a-9991-c5ef002459a9" } as const;

/** It outlives power, and a running system sees it. */
const variableAttributes = efiAttribute.nonVolatile | efiAttribute.bootServiceAccess | efiAttribute.runtimeAccess;

/** What a store asks of a TPM's NV memory. */
export type NvTpm = Pick<
  Tpm,
  "nvPublic" | "nvRead" | "nvReadCounter" | "nvDefine" | "nvIncrement" | "nvWrite" | "nvWriteLock" | "nvUndefine"
>;

/** What a store works on; each is asked for when it is needed. */
export interface RollbackDevices {
  /** The machine's TPM, which its owner closes; null when it has none. */
  tpm(): Promise<NvTpm | null>;
  readVariable(name: string, vendor: string): EfiVariable | null;
  writeVariable(name: string, vendor: string, variable: EfiVariable): void;
  readonly files: RollbackFiles;
}

/** How a minimum begins to be kept in a TPM. */
export interface ProvisionOptions {
  /** The authorisation value of the TPM's owner; empty where none was set. */
  readonly ownerAuth: Uint8Array;
  /** Who may raise: anybody who can talk to the TPM, or the owner with the authorisation value. */
  readonly raisedBy: "anyone" | "owner";
  /** Whether what is there already is taken away first: the only way to lower a minimum. */
  readonly replace: boolean;
}

/** Where the lowest versions that may boot are kept. Every method rejects with an error that names the place. */
export interface RollbackStore {
  /** Where a product's minimum is kept: `TPM counter 0x01800001`. */
  describe(product: string): string;
  /** Null: none is kept. Rejects when it cannot be read, or what is there is not to be believed. */
  minimum(product: string): Promise<number | null>;
  /**
   * Raises the minimum. One that is as high already stays: nothing lowers it here. A file or a variable that keeps none yet
   * begins to; a TPM has to be provisioned.
   *
   * @param ownerAuth for counters that only the owner of the TPM raises
   * @returns the minimum that holds now
   */
  raise(product: string, version: number, ownerAuth?: Uint8Array): Promise<number>;
  /** Begins to keep a minimum. */
  provision(product: string, minimum: number, options: ProvisionOptions): Promise<void>;
}

/** The store that the settings name; null for `none`. */
export function openRollbackStore(settings: RollbackSettings, devices: RollbackDevices): RollbackStore | null {
  switch (settings.store) {
    case "none":
      return null;
    case "tpm":
      return new TpmStore(settings, devices);
    case "efi":
      return new DocumentStore(new VariableDocument(devices));
    case "file":
      return new DocumentStore(new FileDocument(settings, devices.files));
  }
}

/**
 * What the store that the settings name says of each product, for `judgeRollback`; nothing without a store. Never rejects:
 * what cannot be read is told as such.
 */
export async function readKeptMinimums(
  settings: RollbackSettings,
  devices: RollbackDevices,
): Promise<ReadonlyMap<string, KeptMinimum>> {
  const store = openRollbackStore(settings, devices);
  const kept = new Map<string, KeptMinimum>();
  for (const { name } of settings.products) {
    if (store !== null && name !== null) kept.set(name, await readKeptMinimum(store, name));
  }
  return kept;
}

/** What the store says of one product. Never rejects. */
export async function readKeptMinimum(store: RollbackStore, product: string): Promise<KeptMinimum> {
  const where = store.describe(product);
  try {
    return { where, minimum: await store.minimum(product), problem: null };
  } catch (error) {
    return { where, minimum: null, problem: messageOf(error) };
  }
}

/** The devices where entries are judged: everything is only read. */
export function readingDevices(tpm: () => Promise<NvTpm | null>, sources: readonly FileSource[]): RollbackDevices {
  return {
    tpm,
    readVariable: (name, vendor) => readEfiVariable(name, vendor),
    writeVariable(name) {
      throw new Error(`write EFI variable ${name}: the boot loader only reads it`);
    },
    files: sourceFiles(sources),
  };
}

/** NV_Write and NV_WriteLock by the index itself, with an empty value, once; reading by anybody. */
const baseAttributes =
  nvAttribute.authWrite | nvAttribute.authRead | nvAttribute.writeDefine | nvAttribute.noDictionaryAttackProtection;
/** Anybody may read. */
const counterAttributes =
  nvAttribute.counter | nvAttribute.authRead | nvAttribute.ownerRead | nvAttribute.noDictionaryAttackProtection;
/** Bits of the attributes that hold the type (part 2, section 13.2, TPM_NT). */
const typeMask = 0xf0;
/** Signed base, 8 bytes, big-endian; SHA-256 of the product's name in UTF-8. */
const baseBytes = 40;

/**
 * A counter of the TPM (TPM_NT_COUNTER) goes up by one and never down, not even when its index is deleted and made anew:
 * then it begins above every value that any counter had (TCG TPM 2.0 Library, part 1, "NV Counters"). So it does not begin
 * at 0: its minimum is its value less a base, which stands in the next index, written once and locked for ever.
 */
class TpmStore implements RollbackStore {
  readonly #settings: RollbackSettings;
  readonly #devices: RollbackDevices;

  constructor(settings: RollbackSettings, devices: RollbackDevices) {
    this.#settings = settings;
    this.#devices = devices;
  }

  describe(product: string): string {
    const index = this.#settings.products.find(({ name }) => name === product)?.nvIndex ?? null;
    return index === null ? "TPM counter without an index" : `TPM counter ${nvIndexText(index)}`;
  }

  async minimum(product: string): Promise<number | null> {
    const counter = await readCounter(await this.#tpm(), this.#index(product), product);
    return counter === null ? null : counter.minimum;
  }

  async raise(product: string, version: number, ownerAuth: Uint8Array = new Uint8Array(0)): Promise<number> {
    const tpm = await this.#tpm();
    const index = this.#index(product);
    const counter = await readCounter(tpm, index, product);
    if (counter === null) {
      throw new Error(`${this.describe(product)} is not there; "slipway rollback init" makes it`);
    }
    const { minimum, value, isRaisedByOwner } = counter;
    if (version <= minimum) return minimum;
    if (version - minimum > counterStepsMax) {
      throw new Error(
        `${this.describe(product)}: ${version - minimum} steps from ${minimum} to ${version}, at most ${counterStepsMax} expected; number versions one by one, or begin anew with "slipway rollback init --replace --minimum ${version}"`,
      );
    }
    const by = isRaisedByOwner ? ({ by: "owner", value: ownerAuth } as const) : undefined;
    const target = value + BigInt(version - minimum);
    // Somebody else may be counting too: a step more than is needed would refuse what is running now.
    for (let now = value; now < target; ) now = await tpm.nvIncrement(index, by);
    return version;
  }

  async provision(product: string, minimum: number, options: ProvisionOptions): Promise<void> {
    const tpm = await this.#tpm();
    const index = this.#index(product);
    for (const each of [index, index + 1]) {
      if ((await tpm.nvPublic(each)) === null) continue;
      if (!options.replace) {
        throw new Error(`NV index ${nvIndexText(each)} is in use; "--replace" deletes it, or take another one`);
      }
      await tpm.nvUndefine(each, options.ownerAuth);
    }
    const byOwner = options.raisedBy === "owner";
    const attributes = counterAttributes | (byOwner ? nvAttribute.ownerWrite : nvAttribute.authWrite);
    await tpm.nvDefine({ index, attributes, size: 8 }, options.ownerAuth);
    // The first step gives a counter its value.
    const value = await tpm.nvIncrement(index, byOwner ? { by: "owner", value: options.ownerAuth } : undefined);
    await tpm.nvDefine({ index: index + 1, attributes: baseAttributes, size: baseBytes }, options.ownerAuth);
    await tpm.nvWrite(index + 1, encodeBase(value - BigInt(minimum), product));
    await tpm.nvWriteLock(index + 1);
    const kept = (await readCounter(tpm, index, product))?.minimum;
    if (kept !== minimum) throw new Error(`${this.describe(product)}: it reads ${kept}, ${minimum} expected`);
  }

  async #tpm(): Promise<NvTpm> {
    const tpm = await this.#devices.tpm();
    if (tpm === null) throw new Error("this machine has no TPM 2.0");
    return tpm;
  }

  #index(product: string): number {
    const index = this.#settings.products.find(({ name }) => name === product)?.nvIndex ?? null;
    if (index === null) throw new Error(`no NV index is named for product ${quote(product)}`);
    return index;
  }
}

interface Counter {
  readonly minimum: number;
  readonly value: bigint;
  readonly isRaisedByOwner: boolean;
}

/** Null when neither index is there; what is there and is not as it was made is refused. */
async function readCounter(tpm: NvTpm, index: number, product: string): Promise<Counter | null> {
  const counter = await tpm.nvPublic(index);
  const base = await tpm.nvPublic(index + 1);
  if (counter === null && base === null) return null;
  const refuse = (which: number, text: string): never => {
    throw new Error(`NV index ${nvIndexText(which)} ${text}`);
  };
  if (counter === null) return refuse(index, "is not there, although its base is");
  if (base === null) return refuse(index + 1, "with the base of the counter is not there");
  checkCounter(counter, refuse);
  checkBase(base, refuse);
  const value = await tpm.nvReadCounter(index);
  const bytes = await tpm.nvRead(index + 1);
  if (value === null) return refuse(index, "was never counted up");
  if (bytes === null) return refuse(index + 1, "was never written");
  const { base: start, productDigest } = decodeBase(bytes);
  if (Buffer.compare(productDigest, digestOf(product)) !== 0) {
    return refuse(index + 1, `belongs to another product than ${quote(product)}`);
  }
  const minimum = value - start;
  if (minimum < 0n || minimum > BigInt(Number.MAX_SAFE_INTEGER)) {
    return refuse(index, `reads ${value}, and its base ${start}: a minimum version expected as their difference`);
  }
  return { minimum: Number(minimum), value, isRaisedByOwner: (counter.attributes & nvAttribute.authWrite) === 0 };
}

function checkCounter({ index, attributes, size }: NvPublic, refuse: (index: number, text: string) => never): void {
  if ((attributes & typeMask) !== nvAttribute.counter || size !== 8) {
    refuse(index, `is no counter (attributes ${hexadecimal(attributes)})`);
  }
}

/** Locked for ever: whoever wants another base has to delete the index, which takes the owner's authorisation. */
function checkBase({ index, attributes, size }: NvPublic, refuse: (index: number, text: string) => never): void {
  if ((attributes & typeMask) !== 0 || size !== baseBytes) {
    refuse(index, `is no base of a counter (attributes ${hexadecimal(attributes)}, ${size} bytes)`);
  }
  const locked = nvAttribute.writeLocked | nvAttribute.writeDefine;
  if ((attributes & locked) !== locked) {
    refuse(index, `with the base of the counter is not locked for ever (attributes ${hexadecimal(attributes)})`);
  }
}

function encodeBase(base: bigint, product: string): Uint8Array {
  const bytes = Buffer.alloc(baseBytes);
  bytes.writeBigInt64BE(base);
  bytes.set(digestOf(product), 8);
  return bytes;
}

function decodeBase(bytes: Uint8Array): { readonly base: bigint; readonly productDigest: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { base: view.getBigInt64(0), productDigest: bytes.subarray(8) };
}

function digestOf(product: string): Uint8Array {
  return createHash("sha256").update(product).digest();
}

/** A place that holds minimums as a document. */
interface DocumentPlace {
  readonly name: string;
  /** Null when there is none. */
  read(): Promise<RollbackMinimums | null>;
  write(minimums: RollbackMinimums): Promise<void>;
}

/** Minimums that whoever runs as root may change. */
class DocumentStore implements RollbackStore {
  readonly #place: DocumentPlace;

  constructor(place: DocumentPlace) {
    this.#place = place;
  }

  describe(): string {
    return this.#place.name;
  }

  async minimum(product: string): Promise<number | null> {
    return (await this.#place.read())?.get(product) ?? null;
  }

  async raise(product: string, version: number): Promise<number> {
    const minimums = (await this.#place.read()) ?? new Map<string, number>();
    const minimum = minimums.get(product) ?? -1;
    if (version <= minimum) return minimum;
    await this.#place.write(new Map([...minimums, [product, version]]));
    return version;
  }

  async provision(product: string, minimum: number, { replace }: ProvisionOptions): Promise<void> {
    const minimums = (await this.#place.read()) ?? new Map<string, number>();
    const present = minimums.get(product);
    if (present !== undefined && !replace) {
      throw new Error(`${this.#place.name} keeps ${present} for ${quote(product)}; "--replace" sets another minimum`);
    }
    await this.#place.write(new Map([...minimums, [product, minimum]]));
  }
}

class VariableDocument implements DocumentPlace {
  readonly name = `EFI variable ${rollbackVariable.name}`;
  readonly #devices: RollbackDevices;

  constructor(devices: RollbackDevices) {
    this.#devices = devices;
  }

  async read(): Promise<RollbackMinimums | null> {
    const { name, vendor } = rollbackVariable;
    const variable = this.#devices.readVariable(name, vendor);
    if (variable === null) return null;
    if (variable.attributes !== variableAttributes) {
      const expected = hexadecimal(variableAttributes);
      throw new Error(`attributes ${hexadecimal(variable.attributes)}, ${expected} expected`);
    }
    return parseRollbackMinimums(variable.data);
  }

  async write(minimums: RollbackMinimums): Promise<void> {
    const { name, vendor } = rollbackVariable;
    const data = writeRollbackMinimums(minimums);
    this.#devices.writeVariable(name, vendor, { attributes: variableAttributes, data });
  }
}

class FileDocument implements DocumentPlace {
  readonly name: string;
  readonly #volume: string;
  readonly #path: string;
  readonly #files: RollbackFiles;

  constructor({ volume, path }: RollbackSettings, files: RollbackFiles) {
    this.#volume = volume ?? "";
    this.#path = path ?? "";
    this.#files = files;
    this.name = `file ${quote(this.#path)} on ${this.#volume}`;
  }

  /** Where several volumes pass for the one, the highest minimums hold: a further disk lowers nothing. */
  async read(): Promise<RollbackMinimums | null> {
    const found = await this.#files.read(this.#volume, this.#path, rollbackMinimumsBytesMax);
    if (found.length === 0) return null;
    const highest = new Map<string, number>();
    for (const [name, minimum] of found.flatMap((bytes) => [...parseRollbackMinimums(bytes)])) {
      highest.set(name, Math.max(minimum, highest.get(name) ?? 0));
    }
    return highest;
  }

  write(minimums: RollbackMinimums): Promise<void> {
    return this.#files.write(this.#volume, this.#path, writeRollbackMinimums(minimums));
  }
}
