import { existsSync, readFileSync } from "node:fs";
import { errorCode, messageOf } from "../formats/error-text.ts";
import type { Bank, BankAlgorithm } from "../formats/tpm2.ts";
import { readHandedEventLog } from "../machine/handoff-record.ts";
import type { Tpm } from "../machine/tpm.ts";
import type { MeasureInput, Measurement } from "../trust/measure.ts";
import type { PolicyDocument } from "../trust/policy-schema.ts";

/** The log of what the firmware measured, as the kernel shows it. */
export const firmwareLogPath = "/sys/kernel/security/tpm0/binary_bios_measurements";

/** What is measured of one boot, planned and not yet extended. */
export interface PlannedMeasurements {
  readonly measurements: readonly Measurement[];
  /** The firmware's log with all that was and will be extended. */
  readonly eventLog: Uint8Array;
}

/** Measures into the machine's TPM as the policy says. Whoever boots asks it for each attempt. */
export class BootMeasurer {
  readonly #demand: PolicyDocument["measure"];
  readonly #report: (problem: string) => void;
  readonly #open: () => Promise<Tpm | null>;
  readonly #earlierLog: () => Promise<Uint8Array | null>;
  /** Everything that was extended since the start, by attempts that failed too. */
  readonly #extended: Measurement[] = [];
  #tpm: Promise<Tpm | null> | null = null;
  #log: Promise<EarlierLog> | null = null;

  constructor(
    demand: PolicyDocument["measure"],
    report: (problem: string) => void,
    open: () => Promise<Tpm | null> = openMachineTpm,
    earlierLog: () => Promise<Uint8Array | null> = readEarlierLog,
  ) {
    this.#demand = demand;
    this.#report = report;
    this.#open = open;
    this.#earlierLog = earlierLog;
  }

  /** The machine's TPM, for measuring and for counters; null when there is none. Rejects when it does not answer. */
  tpm(): Promise<Tpm | null> {
    this.#tpm ??= this.#open().then((tpm) => {
      // One whose driver comes later is looked for again.
      if (tpm === null) this.#tpm = null;
      return tpm;
    });
    return this.#tpm;
  }

  /** The banks that digests are wanted for; none when nothing is measured. Rejects when the policy demands more. */
  async banks(): Promise<readonly Bank[]> {
    return (await this.#measuring())?.activeBanks ?? [];
  }

  /** Plans the measurements of a boot; null when nothing is measured. Rejects when the policy demands more. */
  async plan(input: MeasureInput): Promise<PlannedMeasurements | null> {
    const tpm = await this.#measuring();
    if (tpm === null) return null;
    const [{ planMeasurements }, { appendEvents }] = await Promise.all([measuring(), eventLogs()]);
    const active = await algorithmsOf(tpm);
    const log = await this.#earlier(active);
    const measurements = planMeasurements(input, log.algorithms);
    const events = [...this.#extended, ...measurements];
    return { measurements, eventLog: appendEvents(log.bytes, log.algorithms, events) };
  }

  /** Extends what was planned; false when the TPM does not take it. Rejects when the policy demands that it does. */
  async extend({ measurements }: PlannedMeasurements): Promise<boolean> {
    try {
      const tpm = await this.#measuring();
      if (tpm === null) return false;
      await this.#extendAll(tpm, measurements);
      return true;
    } catch (error) {
      this.#fail(`measure: ${messageOf(error)}`);
      return false;
    }
  }

  /** Makes everything that is sealed to this boot unreachable for the rest of it. Rejects when the TPM does not take it. */
  async sealOff(): Promise<void> {
    if (this.#demand === "off") return;
    const tpm = await this.tpm();
    if (tpm === null) return;
    const { planShellMeasurements } = await measuring();
    const { algorithms } = await this.#earlier(await algorithmsOf(tpm));
    await this.#extendAll(tpm, planShellMeasurements(algorithms));
  }

  async #extendAll(tpm: Tpm, measurements: readonly Measurement[]): Promise<void> {
    const { extendMeasurements } = await measuring();
    await extendMeasurements(tpm, measurements, (done) => this.#extended.push(done));
  }

  /** The TPM that is measured into; null when there is none, or it is of no use and the policy lets that be. */
  async #measuring(): Promise<Tpm | null> {
    if (this.#demand === "off") return null;
    try {
      const tpm = await this.tpm();
      if (tpm === null) {
        if (this.#demand === "required") throw new Error("this machine has no TPM 2.0");
        return null;
      }
      const problems = (await measuring()).bankProblems(tpm);
      if (problems.length > 0) this.#fail(`measure: ${problems.join("; ")}`);
      return (await algorithmsOf(tpm)).length === 0 ? null : tpm;
    } catch (error) {
      if (this.#demand === "required") {
        throw new Error(`the policy wants every boot measured: ${messageOf(error)}`, { cause: error });
      }
      this.#tell(`measure: ${messageOf(error)}`);
      return null;
    }
  }

  #fail(problem: string): void {
    if (this.#demand === "required") throw new Error(problem);
    this.#tell(problem);
  }

  readonly #told = new Set<string>();

  /** Each problem once, however many entries are tried. */
  #tell(problem: string): void {
    if (this.#told.has(problem)) return;
    this.#told.add(problem);
    this.#report(problem);
  }

  /**
   * The log so far with its banks, read once. Without one that can be gone on with, a new log begins: one without an active
   * bank's digests would not replay to that bank.
   */
  #earlier(active: readonly BankAlgorithm[]): Promise<EarlierLog> {
    this.#log ??= this.#readEarlier(active);
    return this.#log;
  }

  async #readEarlier(active: readonly BankAlgorithm[]): Promise<EarlierLog> {
    try {
      const bytes = await this.#earlierLog();
      if (bytes !== null) {
        const { parseEventLog } = await eventLogs();
        const { algorithms } = parseEventLog(bytes);
        const lacking = active.filter(({ id }) => !algorithms.some((known) => known.id === id));
        if (lacking.length === 0) return { bytes, algorithms };
        const names = lacking.map(({ name }) => name).join(", ");
        this.#tell(`measure: the event log so far lacks ${names}, the log that is handed over begins anew`);
      }
    } catch (error) {
      this.#tell(`measure: the event log so far: ${messageOf(error)}`);
    }
    return { bytes: null, algorithms: active };
  }
}

/** What was measured before this program. */
interface EarlierLog {
  readonly bytes: Uint8Array | null;
  readonly algorithms: readonly BankAlgorithm[];
}

// A machine without a TPM does not pay for any of this.
const measuring = (): Promise<typeof import("../trust/measure.ts")> => import("../trust/measure.ts");
const eventLogs = (): Promise<typeof import("../formats/tpm-event-log.ts")> => import("../formats/tpm-event-log.ts");

/** Where the kernel shows a TPM 2.0. */
const tpmDevice = "/dev/tpmrm0";

async function openMachineTpm(): Promise<Tpm | null> {
  return existsSync(tpmDevice) ? (await import("../machine/tpm.ts")).openTpm(tpmDevice) : null;
}

async function algorithmsOf({ activeBanks, foreignBanks }: Tpm): Promise<BankAlgorithm[]> {
  const { bankAlgorithmNamed } = await import("../formats/tpm2.ts");
  const known = activeBanks.flatMap((bank) => bankAlgorithmNamed(bank) ?? []);
  return [...known, ...foreignBanks.filter(({ digestBytes }) => digestBytes !== null)];
}

/** What was measured before: by whoever started this kernel by kexec, with the firmware's in front, else by the firmware. */
async function readEarlierLog(): Promise<Uint8Array | null> {
  const handed = await readHandedEventLog();
  if (handed !== null) return handed;
  try {
    const log = new Uint8Array(readFileSync(firmwareLogPath));
    return log.length === 0 ? null : log;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return null;
    throw error;
  }
}
