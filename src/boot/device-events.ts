import { FormatError } from "../formats/format-error.ts";
import { parseUevent } from "../formats/uevent.ts";
import type { UeventSocket } from "../linux/system.ts";
import type { ModuleLoader } from "../machine/modules.ts";

/**
 * Listens to the kernel's device events: drivers are loaded for what appears (hot plug), and whoever waits is told that
 * block devices changed. Nothing polls.
 */
export class DeviceEvents {
  readonly #socket: UeventSocket;
  readonly #modules: ModuleLoader;
  readonly #waiting: (() => void)[] = [];
  #blockChanges = 0;

  constructor(socket: UeventSocket, modules: ModuleLoader) {
    this.#socket = socket;
    this.#modules = modules;
  }

  /** Listens for ever; rejects only when listening itself fails. */
  async listen(): Promise<never> {
    for (;;) {
      const message = await this.#socket.receive();
      if (message === null) {
        // Events were lost: look at everything. A socket that fails again and again must leave time for everything else.
        await this.#modules.coldPlug();
        this.#noteBlockChange();
        await new Promise((resolve) => setImmediate(resolve));
      } else this.#handle(message);
    }
  }

  /** How many changes of block devices were seen so far. */
  get blockChanges(): number {
    return this.#blockChanges;
  }

  /** Resolves as soon as there were more changes than `seen`. */
  async blockChangeAfter(seen: number): Promise<void> {
    while (this.#blockChanges <= seen) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  #handle(message: Uint8Array): void {
    try {
      const event = parseUevent(message);
      if (event.action === "add" && event.modalias !== null) void this.#modules.loadForDevice(event.modalias);
      if (event.subsystem === "block") this.#noteBlockChange();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      // Not an event of a device; the kernel sends none such today.
    }
  }

  #noteBlockChange(): void {
    this.#blockChanges++;
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
