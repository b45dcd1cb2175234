import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { firmwareLogPath } from "../boot/measured-boot.ts";
import type { BootEntry } from "../discovery/entry.ts";
import { hex } from "../formats/bytes.ts";
import { messageOf } from "../formats/error-text.ts";
import { quote } from "../formats/format-error.ts";
import {
  eventDataText,
  eventLogBytesMax,
  eventTypeName,
  type PcrValues,
  parseEventLog,
  replayEventLog,
  type TpmEvent,
  type TpmEventLog,
} from "../formats/tpm-event-log.ts";
import { type Bank, bankAlgorithmNamed, isBank, tpmBanks } from "../formats/tpm2.ts";
import { readHandedEventLog } from "../machine/handoff-record.ts";
import { readKernelBytes } from "../machine/kernel-files.ts";
import { openTpm, readShownPcrs } from "../machine/tpm.ts";
import { hashOfBank, type MeasureInput, planMeasurements, predictPcrs } from "../trust/measure.ts";
import { configUsage, findEntries, keysUsage, type TrustWords } from "./judge.ts";
import { rootUsage } from "./roots.ts";
import { readConfigFile, type Survey, survey } from "./survey.ts";
import { printTable } from "./table.ts";
import { UsageError, type Verb } from "./verb.ts";

/** Exit code of the public contract when something is not as it should be. */
const exitDiffers = 2;

/** An entry whose files were read. */
export interface OpenedBoot extends Disposable {
  readonly input: MeasureInput;
}

/** Reads an entry's files as a boot would, for what is measured of it. */
export type OpenBoot = (result: Survey, entry: BootEntry, words: TrustWords) => Promise<OpenedBoot>;

/** What the verb sees of the machine. */
export interface MeasuredMachine {
  /** The log of this machine's boot; null when there is none. */
  eventLog(): Promise<Uint8Array | null>;
  /** The values of its PCRs; null when there is no TPM. */
  pcrs(banks: readonly Bank[]): Promise<PcrValues | null>;
}

const thisMachine: MeasuredMachine = {
  eventLog: async () => (await readHandedEventLog()) ?? readKernelBytes(firmwareLogPath, eventLogBytesMax),
  pcrs: async (banks) => readShownPcrs(banks) ?? (await readDevicePcrs(banks)),
};

async function readDevicePcrs(banks: readonly Bank[]): Promise<PcrValues | null> {
  await using tpm = await openTpm();
  if (tpm === null) return null;
  const all = Array.from({ length: 24 }, (_, pcr) => pcr);
  const values = new Map<string, ReadonlyMap<number, Uint8Array>>();
  for (const bank of banks.filter((each) => tpm.activeBanks.includes(each)))
    values.set(bank, await tpm.readPcrs(bank, all));
  return values;
}

const usage = `usage: slipway measure [--json] [--bank BANK]... [--policy FILE] [--keys DIR] [--config FILE]
                       [--root SPEC]... ENTRY
       slipway measure --predict [--log FILE|auto] [--check] [OPTION]... ENTRY
       slipway measure --log FILE|auto [--check] [--json] [--bank BANK]...
       slipway measure --pcrs [--json] [--bank BANK]...

Shows what is measured into a TPM 2.0 (docs/measured-boot.md): the events of an entry's boot, the values
that the PCRs then hold, or the events of a log and the values that they come to.
Exit code: 0; with --check 2 when a value of this machine is another one; 1 on failure.

  --predict        the values that an entry's boot gives, computed from its files; the PCRs begin with zeroes,
                   with --log at what that log comes to
  --log FILE|auto  a TCG event log: "auto" is the log that this system was handed, else its firmware's
  --pcrs           the values that this machine's PCRs hold
  --check          compare the values with those that this machine's PCRs hold
  --bank BANK      sha1, sha256, sha384 or sha512; may be repeated. Default: sha256, with --log all of the log
  --json           print it as JSON (docs/json.md)
${keysUsage}
${configUsage}
${rootUsage}
`;

/** The words of the command line, checked. */
interface Words {
  readonly mode: "events" | "predict" | "log" | "pcrs";
  readonly entry: string;
  readonly log: string | null;
  readonly check: boolean;
  /** None: the default. */
  readonly banks: readonly Bank[];
  readonly json: boolean;
  readonly config: string | undefined;
  readonly trust: TrustWords;
  readonly roots: readonly string[];
}

/** The verb. `open` reads an entry's files; `machine` is what it sees of this machine. */
export function measureVerb(open: OpenBoot, machine: MeasuredMachine = thisMachine): Verb {
  return {
    name: "measure",
    summary: "show what a boot measures into the TPM, and what its PCRs come to",
    usage,
    async run(args) {
      const words = readWords(args);
      const shown = await show(words, open, machine);
      const found = words.check ? await machinePcrs(words, shown.values, machine) : null;
      const differences = found === null ? null : findDifferences(shown.values, found);
      if (words.json) process.stdout.write(`${JSON.stringify(json(shown, differences), null, 2)}\n`);
      else print(shown, differences);
      return differences === null || differences.length === 0 ? 0 : exitDiffers;
    },
  };
}

function readWords(args: readonly string[]): Words {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      predict: { type: "boolean" },
      log: { type: "string" },
      pcrs: { type: "boolean" },
      check: { type: "boolean" },
      bank: { type: "string", multiple: true },
      json: { type: "boolean" },
      policy: { type: "string" },
      keys: { type: "string" },
      config: { type: "string" },
      root: { type: "string", multiple: true },
    },
  });
  const { predict = false, pcrs = false, check = false, log = null } = values;
  const mode = predict ? "predict" : pcrs ? "pcrs" : log !== null ? "log" : "events";
  const ofEntry = mode === "predict" || mode === "events";
  const [entry = "", ...more] = positionals;
  if (predict && pcrs) throw new UsageError("measure: one of --predict and --pcrs expected");
  if (pcrs && log !== null) throw new UsageError("measure: one of --log and --pcrs expected");
  if (ofEntry ? entry === "" || more.length > 0 : positionals.length > 0) {
    throw new UsageError(
      ofEntry ? "measure: one entry expected" : "measure: no entry expected with --log and --pcrs alone",
    );
  }
  if (check && (mode === "events" || mode === "pcrs")) {
    throw new UsageError("measure --check: goes with --predict or --log");
  }
  const forEntries = ["policy", "keys", "config", "root"] as const;
  const useless = ofEntry ? undefined : forEntries.find((name) => values[name] !== undefined);
  if (useless !== undefined) throw new UsageError(`measure --${useless}: goes with an entry`);
  return {
    mode,
    entry,
    log,
    check,
    banks: [...new Set((values.bank ?? []).map(readBank))],
    json: values.json === true,
    config: values.config,
    trust: { policy: values.policy, keys: values.keys },
    roots: values.root ?? [],
  };
}

function readBank(name: string): Bank {
  if (!isBank(name)) throw new UsageError(`measure --bank ${quote(name)}: ${tpmBanks.join(", ")} expected`);
  return name;
}

interface Shown {
  /** Null: only values are shown. */
  readonly events: readonly TpmEvent[] | null;
  /** By bank, by PCR. */
  readonly values: PcrValues;
}

async function show(words: Words, open: OpenBoot, machine: MeasuredMachine): Promise<Shown> {
  switch (words.mode) {
    case "pcrs":
      return { events: null, values: await machinePcrs(words, null, machine) };
    case "log": {
      const log = await readLog(words.log ?? "auto", machine);
      const values = chosenBanks(replayEventLog(log, hashOfBank), words.banks);
      return { events: log.events.map((event) => withBanks(event, [...values.keys()])), values };
    }
    case "events":
    case "predict":
      return ofEntry(words, open, machine);
  }
}

async function ofEntry(words: Words, open: OpenBoot, machine: MeasuredMachine): Promise<Shown> {
  const banks = words.banks.length > 0 ? words.banks : (["sha256"] as const);
  const algorithms = banks.flatMap((bank) => bankAlgorithmNamed(bank) ?? []);
  const log = words.log === null ? null : await readLog(words.log, machine);
  const start = log === null ? new Map() : replayEventLog(log, hashOfBank);
  const missing = log === null ? undefined : banks.find((bank) => !start.has(bank));
  if (missing !== undefined) throw new Error(`measure --log ${quote(words.log ?? "")}: it has no bank ${missing}`);
  await using result = await survey(await readConfigFile(words.config), words.roots);
  const entry = onlyEntry(result, words.entry);
  using boot = await open(result, entry, words.trust);
  const measurements = planMeasurements(boot.input, algorithms);
  const values = predictPcrs(measurements, algorithms, start);
  return { events: words.mode === "events" ? measurements : null, values };
}

function onlyEntry(result: Survey, word: string): BootEntry {
  const [entry, ...more] = findEntries(result, word);
  if (entry === undefined)
    throw new Error(`measure ${quote(word)}: no such entry; "slipway list" shows the entries' ids`);
  if (more.length > 0) {
    const ids = [entry, ...more].map(({ id }) => quote(id)).join(", ");
    throw new Error(`measure ${quote(word)}: one entry expected, found ${ids}`);
  }
  return entry;
}

async function readLog(word: string, machine: MeasuredMachine): Promise<TpmEventLog> {
  if (word === "auto") {
    const bytes = await machine.eventLog();
    if (bytes === null)
      throw new Error("measure --log auto: this system was handed no event log, and its firmware shows none");
    return parseEventLog(bytes);
  }
  try {
    return parseEventLog(new Uint8Array(await readFile(word)));
  } catch (error) {
    throw new Error(`measure --log ${quote(word)}: ${messageOf(error)}`, { cause: error });
  }
}

/** @param wanted values that the machine's are compared with: their banks are read */
async function machinePcrs(words: Words, wanted: PcrValues | null, machine: MeasuredMachine): Promise<PcrValues> {
  const compared = wanted === null ? [] : [...wanted.keys()].filter(isBank);
  const banks = compared.length > 0 ? compared : words.banks.length > 0 ? words.banks : (["sha256"] as const);
  const values = await machine.pcrs(banks);
  if (values === null) throw new Error("measure: this machine has no TPM 2.0");
  const missing = banks.find((bank) => !values.has(bank));
  // A log may have banks that the TPM does not; only what was asked for has to be there.
  if (missing !== undefined && (values.size === 0 || words.banks.includes(missing))) {
    throw new Error(`measure: this machine's TPM has no active bank ${missing}`);
  }
  return values;
}

function chosenBanks(values: PcrValues, banks: readonly Bank[]): PcrValues {
  const missing = banks.find((bank) => !values.has(bank));
  if (missing !== undefined) throw new Error(`measure --bank ${missing}: the log has no such bank`);
  return banks.length === 0 ? values : new Map([...values].filter(([name]) => banks.some((bank) => bank === name)));
}

function withBanks(event: TpmEvent, banks: readonly string[]): TpmEvent {
  return { ...event, digests: event.digests.filter(({ algorithm }) => banks.includes(algorithm.name)) };
}

interface Difference {
  readonly bank: string;
  readonly pcr: number;
  readonly expected: string;
  /** What the machine's PCR holds. */
  readonly found: string;
}

function findDifferences(expected: PcrValues, found: PcrValues): Difference[] {
  return [...expected].flatMap(([bank, pcrs]) => {
    const ofMachine = found.get(bank);
    if (ofMachine === undefined) return [];
    return [...pcrs].toSorted(byPcr).flatMap(([pcr, value]) => {
      const now = hex(ofMachine.get(pcr) ?? new Uint8Array());
      return now === hex(value) ? [] : [{ bank, pcr, expected: hex(value), found: now }];
    });
  });
}

function byPcr([a]: readonly [number, unknown], [b]: readonly [number, unknown]): number {
  return a - b;
}

function json({ events, values }: Shown, differences: readonly Difference[] | null): unknown {
  return {
    version: 1,
    events:
      events?.map((event) => ({
        pcr: event.pcr,
        type: eventTypeName(event.type),
        digests: Object.fromEntries(event.digests.map(({ algorithm, digest }) => [algorithm.name, hex(digest)])),
        text: eventDataText(event),
        data: hex(event.data),
      })) ?? null,
    values: Object.fromEntries(
      [...values].map(([bank, pcrs]) => [
        bank,
        Object.fromEntries([...pcrs].toSorted(byPcr).map(([pcr, value]) => [pcr, hex(value)])),
      ]),
    ),
    differences,
  };
}

function print({ events, values }: Shown, differences: readonly Difference[] | null): void {
  if (events !== null) {
    const rows = events.flatMap((event) =>
      event.digests.map(({ algorithm, digest }) => [
        String(event.pcr),
        eventTypeName(event.type),
        algorithm.name,
        hex(digest),
        eventDataText(event),
      ]),
    );
    printTable(["PCR", "TYPE", "BANK", "DIGEST", "EVENT"], rows);
    process.stdout.write("\n");
  }
  const rows = [...values].flatMap(([bank, pcrs]) =>
    [...pcrs].toSorted(byPcr).map(([pcr, value]) => [bank, String(pcr), hex(value)]),
  );
  printTable(["BANK", "PCR", "VALUE"], rows);
  if (differences === null) return;
  const count = differences.length;
  process.stdout.write(
    count === 0 ? "\nthis machine's PCRs hold these values\n" : "\nthis machine's PCRs hold other values:\n",
  );
  if (count > 0)
    printTable(
      ["BANK", "PCR", "FOUND"],
      differences.map(({ bank, pcr, found }) => [bank, String(pcr), found]),
    );
}
