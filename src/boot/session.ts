import type { Discovered } from "../discovery/discover.ts";
import { discover } from "../discovery/discover.ts";
import type { BootEntry } from "../discovery/entry.ts";
import type { MachineSources } from "../discovery/machine-sources.ts";
import type { FileSource } from "../discovery/source.ts";
import type { LoadOptions } from "../handoff/load.ts";
import { isWanted, type Ranking, rank } from "../handoff/rank.ts";
import type { System } from "../linux/system.ts";
import type { EfiChoices } from "../machine/efi-variables.ts";
import type { MachineDescription } from "../machine/machine-description.ts";
import type { Policy } from "../trust/policy.ts";
import { attempt } from "./attempt.ts";
import type { Config } from "./config.ts";
import type { DeviceEvents } from "./device-events.ts";
import type { BootMeasurer } from "./measured-boot.ts";
import type { Report } from "./report.ts";

export interface SessionParts {
  readonly system: System;
  readonly config: Config;
  readonly policy: Policy;
  /** Measures into the TPM. */
  readonly measurer: BootMeasurer;
  readonly report: Report;
  readonly architecture: string;
  /** How entries are handed over, as this machine is now. */
  readonly handoff: () => LoadOptions;
  /** What EFI variables choose now. */
  readonly efiChoices: () => EfiChoices;
  /** What the machine says of itself. */
  readonly machine: () => MachineDescription;
  /** Has the running kernel use its quickest SHA-256. */
  readonly quickenDigest: () => Promise<void>;
  readonly sources: MachineSources;
  readonly events: DeviceEvents;
}

/** Remarks that the reason names: a serial console takes minutes for the thousands that a hostile disk can cause. */
const remarksNamedMax = 20;

/** What a session shows to the rescue console. */
export interface SessionView {
  readonly ranking: Ranking;
  readonly found: Discovered;
  /** Why nothing has booted so far. */
  readonly reason: string;
}

/** A refusal holds as long as the volume it was read from stays the same. */
interface Refusal {
  readonly source: FileSource | undefined;
  readonly reason: string;
}

/**
 * The search for something to boot: look at the devices, find entries, try them in order; and again whenever a device
 * appears. It ends only by the jump.
 */
export class BootSession {
  readonly #parts: SessionParts;
  readonly #refusals = new Map<string, Refusal>();
  #found: Discovered = { menus: [], entries: [], skipped: [], images: [] };
  #ranking: Ranking = rank([], null);
  #announced = "";
  /** Whether the devices changed since the last search. */
  #stale = true;
  #attempting: Promise<unknown> = Promise.resolve();

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  get view(): SessionView {
    return { ranking: this.#ranking, found: this.#found, reason: this.#reason() };
  }

  /**
   * Runs until the jump.
   *
   * @param onStuck called when nothing can be booted with what is there and the time to wait for more is over
   */
  async run(onStuck: (reason: string) => void): Promise<never> {
    const { config, events, report } = this.#parts;
    let seen = events.blockChanges;
    await this.#exclusive(() => this.#refresh());
    report.mark("devices");
    await this.#exclusive(() => this.#searchIfStale());
    const deadline = performance.now() + config.discovery.deviceTimeoutSeconds * 1000;
    for (let stuck = false; ; ) {
      const late = performance.now() >= deadline;
      if (late || !this.#waitsForWanted()) await this.#tryAll();
      if (late && !stuck) {
        stuck = true;
        onStuck(this.#reason());
      }
      const change = events.blockChangeAfter(seen);
      await (late ? change : Promise.race([change, untilTime(deadline)]));
      seen = events.blockChanges;
      await this.#look();
    }
  }

  /** Boots one entry at a person's word, with words behind its options; the reason when it did not. */
  async boot(entry: BootEntry, addedOptions: string): Promise<string> {
    return this.#exclusive(() => this.#attempt(addedOptions === "" ? entry : { ...entry, addedOptions }));
  }

  /** Forgets refusals and tries everything again. */
  async retry(): Promise<void> {
    await this.#exclusive(async () => {
      this.#refusals.clear();
      // A disk that failed is looked at again only when it was let go.
      await this.#parts.sources.close();
      await this.#parts.sources.refresh();
      await this.#search();
    });
    await this.#tryAll();
  }

  /** Looks at what changed and searches it, but not while an attempt reads from it. */
  #look(): Promise<void> {
    return this.#exclusive(async () => {
      await this.#refresh();
      await this.#searchIfStale();
    });
  }

  async #refresh(): Promise<void> {
    if (await this.#parts.sources.refresh()) this.#stale = true;
  }

  async #searchIfStale(): Promise<void> {
    if (this.#stale) await this.#search();
  }

  async #search(): Promise<void> {
    const { config, sources, report, architecture } = this.#parts;
    this.#stale = false;
    const efi = this.#parts.efiChoices();
    this.#found = await discover(sources.sources, architecture, config.limits, efi.lastBooted, this.#parts.machine);
    this.#ranking = rank(this.#found.menus, config.entry, efi);
    const ids = JSON.stringify(this.#found.entries.map((entry) => entry.id));
    if (ids === this.#announced) return;
    this.#announced = ids;
    report.mark(`entries ${this.#found.entries.length}`);
  }

  /** Whether the operator named an entry that has not turned up yet. */
  #waitsForWanted(): boolean {
    const wanted = this.#parts.config.entry;
    return wanted !== null && !this.#found.entries.some((entry) => isWanted(entry, wanted));
  }

  async #tryAll(): Promise<void> {
    await this.#exclusive(async () => {
      for (const { entry } of this.#ranking.order) if (!this.#isRefused(entry)) await this.#attempt(entry);
    });
  }

  async #attempt(entry: BootEntry): Promise<string> {
    const { sources } = this.#parts;
    // Before the attempt, which may have to let go of the volumes.
    const source = this.#sourceOf(entry);
    const reason = await attempt(
      { ...this.#parts, sources: [...sources.sources, ...this.#found.images], closeSources: () => sources.close() },
      entry,
    );
    // What was added to an entry says nothing of the entry itself.
    if (entry.addedOptions === undefined) {
      this.#refusals.delete(entry.id);
      this.#refusals.set(entry.id, { source, reason });
    }
    // An attempt that failed after the volumes were closed needs them again; a disk may have come meanwhile.
    await this.#refresh();
    return reason;
  }

  #isRefused(entry: BootEntry): boolean {
    const refusal = this.#refusals.get(entry.id);
    return refusal !== undefined && refusal.source === this.#sourceOf(entry);
  }

  /** The machine's volume that an entry comes from; for one out of an image the volume that holds the image. */
  #sourceOf(entry: BootEntry): FileSource | undefined {
    let name = entry.source.volume;
    for (const { volume } of this.#found.images.toReversed()) {
      if (volume.name === name && volume.layer?.kind === "image") name = volume.layer.volume;
    }
    return this.#parts.sources.sources.find((source) => source.volume.name === name);
  }

  /** One attempt at a time, whoever asks. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#attempting.then(work);
    this.#attempting = result.catch(() => {});
    return result;
  }

  #reason(): string {
    const { sources } = this.#parts;
    const count = this.#found.entries.length;
    if (count > 0) {
      const last = [...this.#refusals.values()].at(-1)?.reason ?? "";
      return `${count === 1 ? "the only entry was" : `all ${count} entries were`} refused; the last: ${last}`;
    }
    if (sources.diskNames.length === 0) return "no boot entry: there is no disk";
    const remarks = [
      ...sources.problems.map((problem) => `${problem.device}: ${problem.reason}`),
      ...this.#found.skipped.map(
        (skip) => `${skip.source.volume}:${skip.source.path}:${skip.source.line}: ${skip.reason}`,
      ),
      ...sources.named,
    ];
    const more = remarks.length > remarksNamedMax ? `; and ${remarks.length - remarksNamedMax} more` : "";
    const details = remarks.length > 0 ? ` (${remarks.slice(0, remarksNamedMax).join("; ")}${more})` : "";
    return `no boot entry on ${sources.diskNames.join(", ")}${details}`;
  }
}

function untilTime(deadline: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, deadline - performance.now())));
}
