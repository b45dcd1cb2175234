import { readdirSync, readFileSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { messageOf } from "../formats/error-text.ts";
import { ModuleIndex } from "../formats/modules.ts";
import { SyscallError } from "../linux/errno.ts";
import type { System } from "../linux/system.ts";
import { DeadlineError, withDeadline } from "./deadline.ts";

/** drivers/base: the module's devices are brought up side by side, and loading it waits for none. */
const asynchronously = "async_probe=1";

/**
 * Drivers that bring up one device after the other and read its partition table while they do: a disk that hangs would
 * keep the next ones away. The other drivers of disks do this side by side by themselves.
 */
const probesInTurn: readonly string[] = ["virtio_blk"];

/** Small modules that filesystems need in any case, to be loaded for the wait that loading brings. */
const waitingModules: readonly string[] = ["nls_ascii", "nls_utf8", "nls_iso8859_1", "nls_cp437"];

/**
 * Loads kernel modules from `/lib/modules/RELEASE`, each once, dependencies first, different ones side by side. A module
 * that cannot be loaded costs itself: the failure is kept in {@link ModuleLoader.problems} and the others go on.
 */
export class ModuleLoader {
  readonly problems: string[] = [];
  readonly #system: System;
  readonly #directory: string;
  readonly #index: ModuleIndex;
  readonly #timeoutSeconds: number;
  readonly #loads = new Map<string, Promise<void>>();
  readonly #seenAliases = new Set<string>();

  private constructor(system: System, directory: string, index: ModuleIndex, timeoutSeconds: number) {
    this.#system = system;
    this.#directory = directory;
    this.#index = index;
    this.#timeoutSeconds = timeoutSeconds;
  }

  /** Reads the module tables of a kernel release; a missing table is an empty one (everything is built in). */
  static async open(system: System, directory: string, timeoutSeconds: number): Promise<ModuleLoader> {
    const table = (name: string): Promise<string> => readFile(`${directory}/${name}`, "utf8").catch(() => "");
    const [dep, alias, softdep, builtin] = await Promise.all(
      ["modules.dep", "modules.alias", "modules.softdep", "modules.builtin"].map(table),
    );
    const index = ModuleIndex.parse({
      dep: dep ?? "",
      alias: alias ?? "",
      softdep: softdep ?? "",
      builtin: builtin ?? "",
    });
    return new ModuleLoader(system, directory, index, timeoutSeconds);
  }

  /**
   * Loads a module that drives no device, by name or alias, with all that it needs; nothing happens when the kernel has it
   * built in or the image lacks it. Devices that are being brought up, or hang while they are, are not waited for.
   */
  async load(name: string): Promise<void> {
    const names = this.#index.has(name) ? [name] : this.#index.modulesFor(name);
    await Promise.all(names.map((n) => this.#loadInOrder(n, asynchronously)));
  }

  /** Loads the drivers of a device; an alias that was seen before costs nothing. */
  async loadForDevice(modalias: string): Promise<void> {
    if (this.#seenAliases.has(modalias)) return;
    this.#seenAliases.add(modalias);
    await Promise.all(
      this.#index
        .modulesFor(modalias)
        .map((name) => this.#loadInOrder(name, probesInTurn.includes(name) ? asynchronously : "")),
    );
  }

  /**
   * Loads the drivers of every device that exists (cold plug). A driver may bring up devices that need further drivers, so
   * this looks again until nothing new turns up; when it resolves, every device of the first hour is there.
   */
  async coldPlug(sysfs = "/sys"): Promise<void> {
    const roundsMax = 32;
    for (let round = 0; round < roundsMax; round++) {
      const fresh = deviceAliases(sysfs).filter((alias) => !this.#seenAliases.has(alias));
      if (fresh.length === 0) return this.#awaitDevices();
      await Promise.all(fresh.map((alias) => this.loadForDevice(alias)));
    }
    this.problems.push(`cold plug: devices kept appearing after ${roundsMax} rounds; further ones come as events`);
  }

  /** Loads a module that was not loaded so far, which makes the kernel wait for all devices that it is bringing up. */
  async #awaitDevices(): Promise<void> {
    const path = waitingModules
      .map((name) => this.#index.path(name))
      .find((candidate) => candidate !== null && !this.#loads.has(candidate));
    if (path === undefined || path === null) return;
    const seconds = this.#timeoutSeconds;
    const load = withDeadline(this.#insert(path, ""), seconds, `load module ${path}`).catch((error: unknown) => {
      const late = `a device was not brought up within ${seconds} s; going on with those that are there`;
      this.problems.push(error instanceof DeadlineError ? late : String(error));
    });
    this.#loads.set(path, load);
    await load;
  }

  async #loadInOrder(name: string, parameters: string): Promise<void> {
    for (const step of this.#index.loadPlan(name)) await this.#loadFile(step.path, step.required, parameters);
  }

  /** @param required false for a soft dependency: a driver for a processor feature that is not there refuses to load */
  #loadFile(path: string, required: boolean, parameters: string): Promise<void> {
    const known = this.#loads.get(path);
    if (known !== undefined) return known;
    const load = withDeadline(this.#insert(path, parameters), this.#timeoutSeconds, `load module ${path}`).catch(
      (error: unknown) => {
        // A driver that finds no device of its kind refuses to load; that is an answer, not a failure.
        const absent = error instanceof SyscallError && error.code === "ENODEV";
        if (required && !absent) this.problems.push(messageOf(error));
      },
    );
    this.#loads.set(path, load);
    return load;
  }

  async #insert(path: string, parameters: string): Promise<void> {
    await using file = await open(`${this.#directory}/${path}`, "r");
    await this.#system.loadModule(file.fd, path, parameters);
  }
}

/** The module aliases of all devices on all buses, each once. */
function deviceAliases(sysfs: string): string[] {
  const aliases = new Set<string>();
  for (const bus of list(`${sysfs}/bus`)) {
    for (const device of list(`${sysfs}/bus/${bus}/devices`)) {
      const alias = text(`${sysfs}/bus/${bus}/devices/${device}/modalias`);
      if (alias !== "") aliases.add(alias);
    }
  }
  return [...aliases];
}

/** sysfs is memory: reading it in place is quicker than a trip to a thread, and cannot hang. */
function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
