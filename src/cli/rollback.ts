import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { quote } from "../formats/format-error.ts";
import { type HandoffRecord, handoffRecordBytesMax, parseHandoffRecord } from "../formats/handoff-record.ts";
import { tpmAuthBytesMax } from "../formats/tpm2.ts";
import { nativeSystem } from "../linux/native.ts";
import { readEfiVariable, writeEfiVariable } from "../machine/efi-variable-file.ts";
import { readHandoffRecord } from "../machine/handoff-record.ts";
import { openTpm, type Tpm } from "../machine/tpm.ts";
import { parsePolicy, policyBytesMax } from "../trust/policy-schema.ts";
import { type KeptMinimum, type RollbackSettings, readRollbackSettings } from "../trust/rollback.ts";
import { mountedFiles } from "../trust/rollback-files.ts";
import {
  openRollbackStore,
  type RollbackDevices,
  type RollbackStore,
  readKeptMinimum,
} from "../trust/rollback-stores.ts";
import { printTable } from "./table.ts";
import { UsageError, type Verb } from "./verb.ts";

/** Exit code when a minimum that is to be kept is not there or cannot be read. */
const exitNotKept = 2;

/** What the verbs touch of the machine. */
export interface RollbackMachine {
  /** The record of the running system's boot; null without one. */
  readRecord(): Promise<HandoffRecord | null>;
  openDevices(): RollbackDevices & AsyncDisposable;
}

/** The machine that the program runs on. */
export const thisMachine: RollbackMachine = {
  readRecord: () => readHandoffRecord(),
  openDevices() {
    let opened: Promise<Tpm | null> | null = null;
    return {
      tpm() {
        opened ??= openTpm();
        return opened;
      },
      readVariable: (name, vendor) => readEfiVariable(name, vendor),
      writeVariable: (name, vendor, variable) => writeEfiVariable(nativeSystem(), name, vendor, variable),
      files: mountedFiles(),
      async [Symbol.asyncDispose]() {
        const tpm = await opened?.catch(() => null);
        await tpm?.close();
      },
    };
  },
};

/** The record of this boot, or the one in a file. */
export async function readRecordOf(machine: RollbackMachine, file: string | undefined): Promise<HandoffRecord | null> {
  if (file === undefined) return machine.readRecord();
  return parseHandoffRecord(await readBounded(file, handoffRecordBytesMax));
}

/** The authorisation value in a file, without a line feed at its end; empty when there is no file. */
export async function readAuthorization(file: string | undefined): Promise<Uint8Array> {
  if (file === undefined) return new Uint8Array(0);
  const bytes = await readBounded(file, tpmAuthBytesMax + 1);
  const value = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
  if (value.length > tpmAuthBytesMax) {
    throw new Error(`read ${quote(file)}: ${value.length} bytes, at most ${tpmAuthBytesMax} expected`);
  }
  return value;
}

async function readBounded(file: string, bytesMax: number): Promise<Uint8Array> {
  const bytes = await readFile(file);
  if (bytes.length > bytesMax) {
    throw new Error(`read ${quote(file)}: ${bytes.length} bytes, at most ${bytesMax} expected`);
  }
  return bytes;
}

const usage = `usage: slipway rollback [show] [--json] [STORE]
       slipway rollback init --product NAME [--minimum N] [--replace] [--raised-by anyone|owner]
                             [--owner-auth-file FILE] [STORE]
       slipway rollback raise --product NAME --to N [--owner-auth-file FILE] [STORE]

Shows, begins and raises the lowest versions that may boot, which the policy has kept for each product
("rollback" in docs/trust.md). "slipway confirm" raises the minimum of the system that is running.
Exit code: 0 on success; show: 2 when a minimum is not kept or cannot be read; 1 on failure.

  show             print each product with its minimum; without another word, this is done
  init             begin to keep a minimum. In a TPM, the NV index and the next one are defined
  raise            raise a minimum; none is ever lowered so
  --json           print as JSON
  --product NAME   the product, as its manifests name it
  --minimum N      the minimum to begin with; default 0
  --to N           the minimum to reach; a TPM's counter takes at most 1000 steps at once
  --replace        take away what is there first: the only way to lower a minimum
  --raised-by WHO  who may count the TPM's counter up: "anyone" who runs as root (default), or its
                   "owner" with the authorisation value
  --owner-auth-file FILE
                   the authorisation value of the TPM's owner: the file's bytes without a last line
                   feed; default: empty

STORE is where the minimums are kept; default: what the policy of this boot said.
  --policy FILE    as the policy in FILE says
  --record FILE    as the hand-over record in FILE says
  --nv-index N     in a TPM: the counter's NV index, 0x01800000 to 0x01bffffe; its base is in the next one
  --efi            in the EFI variable SlipwayRollback
  --volume FACT=VALUE
                   in a file of a mounted volume: uuid=…, partuuid=…, label=… or partlabel=…
  --path PATH      the file's path on the volume
`;

/** The verb, over a machine. */
export function rollbackVerbOn(machine: RollbackMachine): Verb {
  return {
    name: "rollback",
    summary: "show, begin and raise the lowest versions that may boot",
    usage,
    async run(args) {
      const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
      const [word = "show", more] = positionals;
      if (more !== undefined) throw new UsageError(`rollback: one word expected, also got ${JSON.stringify(more)}`);
      const does = actions[word];
      if (does === undefined) throw new UsageError(`rollback: ${JSON.stringify(word)}, show, init or raise expected`);
      refuseForeignOptions(word, does.takes, values);
      await using devices = machine.openDevices();
      // Awaited here: the devices are closed when this returns.
      return await does.run(values, machine, devices);
    },
  };
}

export const rollbackVerb: Verb = rollbackVerbOn(thisMachine);

const options = {
  json: { type: "boolean" },
  product: { type: "string" },
  minimum: { type: "string" },
  to: { type: "string" },
  replace: { type: "boolean" },
  "raised-by": { type: "string" },
  "owner-auth-file": { type: "string" },
  policy: { type: "string" },
  record: { type: "string" },
  "nv-index": { type: "string" },
  efi: { type: "boolean" },
  volume: { type: "string" },
  path: { type: "string" },
} as const;

type Values = ReturnType<typeof parseArgs<{ args: string[]; options: typeof options }>>["values"];
type Option = keyof typeof options;

const storeOptions: readonly Option[] = ["policy", "record", "nv-index", "efi", "volume", "path"];

interface Action {
  readonly takes: readonly Option[];
  readonly run: (values: Values, machine: RollbackMachine, devices: RollbackDevices) => Promise<number>;
}

const actions: Readonly<Record<string, Action>> = {
  show: { takes: ["json", "product"], run: show },
  init: { takes: ["product", "minimum", "replace", "raised-by", "owner-auth-file"], run: init },
  raise: { takes: ["product", "to", "owner-auth-file"], run: raise },
};

function refuseForeignOptions(word: string, takes: readonly Option[], values: Values): void {
  const foreign = Object.keys(values).find((name) => ![...takes, ...storeOptions].some((known) => known === name));
  if (foreign !== undefined) throw new UsageError(`rollback ${word}: it takes no --${foreign}`);
}

async function show(values: Values, machine: RollbackMachine, devices: RollbackDevices): Promise<number> {
  const { settings, record } = await chooseStore(values, machine);
  const store = openRollbackStore(settings, devices);
  const products = settings.products.filter(({ name }) => values.product === undefined || name === values.product);
  if (values.product !== undefined && products.length === 0) {
    throw new Error(`rollback: product ${quote(values.product)} is not among those whose versions are kept`);
  }
  const rows: Row[] = [];
  for (const { name, minimum } of products) {
    const product = name ?? "";
    const booted = record?.trust.product === product ? record.trust.manifestVersion : null;
    const kept = store === null ? null : await readKeptMinimum(store, product);
    rows.push({ product, policyMinimum: minimum, kept, booted });
  }
  if (values.json === true) process.stdout.write(`${JSON.stringify(rowsJson(rows), null, 2)}\n`);
  else if (rows.length === 0) process.stdout.write("no product's versions are kept\n");
  else printTable(["PRODUCT", "MINIMUM", "POLICY", "BOOTED", "KEPT IN"], rows.map(rowCells));
  const isKept = ({ kept }: Row): boolean => kept === null || kept.minimum !== null;
  return rows.every(isKept) ? 0 : exitNotKept;
}

interface Row {
  readonly product: string;
  /** What the policy itself says. */
  readonly policyMinimum: number;
  /** Null without a store. */
  readonly kept: KeptMinimum | null;
  /** The version that is running; null when it is another product or not known. */
  readonly booted: number | null;
}

function rowCells({ product, policyMinimum, kept, booted }: Row): string[] {
  const minimum = kept?.minimum ?? null;
  const where = kept === null ? "-" : kept.problem === null ? kept.where : `${kept.where}: ${kept.problem}`;
  return [
    product,
    minimum === null ? "-" : `${minimum}`,
    `${policyMinimum}`,
    booted === null ? "-" : `${booted}`,
    where,
  ];
}

function rowsJson(rows: readonly Row[]): unknown {
  return {
    version: 1,
    products: rows.map(({ product, policyMinimum, kept, booted }) => ({
      product,
      minimum: kept?.minimum ?? null,
      policyMinimum,
      store: kept?.where ?? null,
      problem: kept?.problem ?? null,
      bootedVersion: booted,
    })),
  };
}

async function init(values: Values, machine: RollbackMachine, devices: RollbackDevices): Promise<number> {
  const product = requiredProduct("init", values);
  const minimum = wholeNumber("init", "minimum", values.minimum ?? "0");
  const raisedBy = values["raised-by"] ?? "anyone";
  if (raisedBy !== "anyone" && raisedBy !== "owner") {
    throw new UsageError(`rollback init: --raised-by ${JSON.stringify(raisedBy)}, anyone or owner expected`);
  }
  const { settings } = await chooseStore(values, machine);
  if (settings.store !== "tpm" && (values["raised-by"] !== undefined || values["owner-auth-file"] !== undefined)) {
    throw new UsageError("rollback init: --raised-by and --owner-auth-file are for a TPM (--nv-index)");
  }
  const store = storeFor(settings, product, devices);
  const ownerAuth = await readAuthorization(values["owner-auth-file"]);
  await store.provision(product, minimum, { ownerAuth, raisedBy, replace: values.replace === true });
  process.stdout.write(`the minimum version of ${quote(product)} is ${minimum}, in ${store.describe(product)}\n`);
  process.stdout.write(`the policy asks for it with\n  ${policyText(settings, product)}\n`);
  if (settings.store === "tpm" && ownerAuth.length === 0) {
    process.stderr.write(
      "slipway rollback: the TPM's owner has no authorisation value, so whoever runs as root can delete the counter and make another; set one (tpm2_changeauth -c owner) and keep it off this machine\n",
    );
  }
  return 0;
}

function policyText({ store, volume, path, products }: RollbackSettings, product: string): string {
  const nvIndex = products.find(({ name }) => name === product)?.nvIndex ?? null;
  const place = store === "file" ? { volume, path } : {};
  const item = { name: product, ...(nvIndex === null ? {} : { nvIndex }) };
  return `"rollback": ${JSON.stringify({ store, ...place, products: [item] })}`;
}

async function raise(values: Values, machine: RollbackMachine, devices: RollbackDevices): Promise<number> {
  const product = requiredProduct("raise", values);
  if (values.to === undefined) throw new UsageError("rollback raise: --to N expected");
  const version = wholeNumber("raise", "to", values.to);
  const { settings } = await chooseStore(values, machine);
  const store = storeFor(settings, product, devices);
  const minimum = await store.raise(product, version, await readAuthorization(values["owner-auth-file"]));
  const remark = minimum > version ? `, which is higher than ${version}: it is not lowered` : "";
  process.stdout.write(
    `the minimum version of ${quote(product)} is ${minimum}, in ${store.describe(product)}${remark}\n`,
  );
  return 0;
}

function requiredProduct(word: string, { product }: Values): string {
  if (product === undefined || product === "") throw new UsageError(`rollback ${word}: --product NAME expected`);
  return product;
}

function wholeNumber(word: string, option: string, text: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new UsageError(`rollback ${word}: --${option} ${JSON.stringify(text)}, a whole number expected`);
}

function storeFor(settings: RollbackSettings, product: string, devices: RollbackDevices): RollbackStore {
  if (!settings.products.some(({ name }) => name === product)) {
    throw new Error(`rollback: product ${quote(product)} is not in "rollback.products" of the policy`);
  }
  const store = openRollbackStore(settings, devices);
  if (store === null) throw new Error('rollback: the policy keeps no versions ("store": "none")');
  return store;
}

/** The store that the words name, or that the policy of this boot had. */
async function chooseStore(
  values: Values,
  machine: RollbackMachine,
): Promise<{ readonly settings: RollbackSettings; readonly record: HandoffRecord | null }> {
  const ways = [values.policy, values.record, values["nv-index"], values.efi, values.volume ?? values.path];
  if (ways.filter((way) => way !== undefined).length > 1) {
    throw new UsageError("rollback: one of --policy, --record, --nv-index, --efi and --volume expected");
  }
  const named = namedStore(values);
  const record = await readRecordOf(machine, values.record);
  if (named !== null) return { settings: readRollbackSettings(named, "rollback"), record };
  if (values.policy !== undefined) {
    const text = new TextDecoder().decode(await readBounded(values.policy, policyBytesMax));
    return { settings: parsePolicy(text, values.policy).rollback, record };
  }
  if (record === null) {
    throw new Error(
      "rollback: this system was handed no record of its boot; --policy, --nv-index, --efi or --volume says where minimums are kept",
    );
  }
  return { settings: readRollbackSettings(record.rollback ?? {}, "handoff record"), record };
}

/** Settings made of --nv-index, --efi, or --volume and --path, for the product that is named. */
function namedStore(values: Values): unknown {
  const item = { name: values.product ?? null };
  const nvIndex = values["nv-index"];
  if (nvIndex === undefined && values.efi === undefined && values.volume === undefined && values.path === undefined) {
    return null;
  }
  if (values.product === undefined) throw new UsageError("rollback: --product NAME expected with the store");
  if (nvIndex !== undefined) {
    const index = /^(?:0x[0-9a-fA-F]{1,8}|\d{1,10})$/.test(nvIndex) ? Number(nvIndex) : Number.NaN;
    // TCG "Registry of Reserved TPM 2.0 Handles and Localities": what the owner may use. The base takes the next one.
    if (!(index >= 0x0180_0000 && index <= 0x01bf_fffe)) {
      throw new UsageError(`rollback: --nv-index ${JSON.stringify(nvIndex)}, 0x01800000 to 0x01bffffe expected`);
    }
    return { store: "tpm", products: [{ ...item, nvIndex: index }] };
  }
  if (values.efi === true) return { store: "efi", products: [item] };
  if (values.volume === undefined || values.path === undefined) {
    throw new UsageError("rollback: --volume and --path expected together");
  }
  return { store: "file", volume: values.volume, path: values.path, products: [item] };
}
