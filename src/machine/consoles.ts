import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { withDeadline } from "./deadline.ts";

/** Opening a serial line may wait for a carrier that never comes. */
const openSecondsMax = 2;
/** Text that waits for a console which takes nothing; more is dropped. */
const pendingCharactersMax = 64 << 10;

/** A console of the machine. Writing never waits: text queues up, and a console that takes nothing loses it. */
export class Console {
  /** `ttyS0`. */
  readonly name: string;
  #file: FileHandle;
  #pendingCharacters = 0;
  #written: Promise<void> = Promise.resolve();

  constructor(name: string, file: FileHandle) {
    this.name = name;
    this.#file = file;
  }

  /** The descriptor, as long as the console is not reopened. */
  get fd(): number {
    return this.#file.fd;
  }

  /** Opens it anew: when a program that had it as its controlling terminal ends, the kernel hangs up every open file of it. */
  async reopen(): Promise<void> {
    const file = await openTerminal(this.name);
    const old = this.#file;
    this.#file = file;
    await old.close();
  }

  write(text: string): void {
    if (this.#pendingCharacters > pendingCharactersMax) return;
    this.#pendingCharacters += text.length;
    this.#written = this.#written
      .then(async () => {
        await this.#file.write(text.replaceAll("\n", "\r\n"));
      })
      .catch(() => {
        // An unplugged console must not stop a boot.
      })
      .finally(() => {
        this.#pendingCharacters -= text.length;
      });
  }

  /** Resolves when everything was written, or after `secondsMax`. */
  async flush(secondsMax: number): Promise<void> {
    await withDeadline(this.#written, secondsMax, "write").catch(() => {});
  }
}

/**
 * Opens every console that the kernel command line names, in its order; `/dev/console` when it names none or none opens.
 * A console that cannot be opened is left out.
 *
 * @param names values of `console=`: `ttyS0,115200n8`
 */
export async function openConsoles(names: readonly string[]): Promise<Console[]> {
  const devices = [...new Set(names.map((name) => name.split(",")[0] ?? ""))].filter((name) =>
    /^[A-Za-z]\w*$/.test(name),
  );
  const opened = await Promise.all(devices.map(openConsole));
  const consoles = opened.filter((console) => console !== null);
  if (consoles.length > 0) return consoles;
  const fallback = await openConsole("console");
  return fallback === null ? [] : [fallback];
}

async function openConsole(name: string): Promise<Console | null> {
  try {
    return new Console(name, await openTerminal(name));
  } catch {
    return null;
  }
}

async function openTerminal(name: string): Promise<FileHandle> {
  // A console must not become the controlling terminal of PID 1.
  const opening = open(`/dev/${name}`, constants.O_RDWR | constants.O_NOCTTY);
  const file = await withDeadline(opening, openSecondsMax, `open ${name}`, (late) => void late.close());
  if ((await file.stat()).isCharacterDevice()) return file;
  await file.close();
  throw new Error(`open "/dev/${name}": a character device expected`);
}
