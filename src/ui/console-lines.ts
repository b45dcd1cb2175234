import { closeSync, constants, openSync, readSync } from "node:fs";
import { errorCode } from "../formats/error-text.ts";
import type { System, Watch } from "../linux/system.ts";
import type { Console } from "../machine/consoles.ts";

/** Longest line that is taken from a console, in characters; the rest of a longer one is dropped. */
const lineCharactersMax = 256;
const readBytes = 1024;
/** Ends of input in a row before a console is given up. */
const endsMax = 16;

/**
 * Reads lines typed at a console, as the terminal's own line editing hands them over. It has an open file of its own:
 * reading here must not make the console's writers, or a shell on it, non-blocking.
 */
export class ConsoleLines {
  readonly #system: System;
  readonly #name: string;
  readonly #onLine: (line: string) => void;
  #open: { readonly fd: number; readonly watch: Watch } | null = null;
  #pending = "";
  #ends = 0;

  constructor(system: System, console: Console, onLine: (line: string) => void) {
    this.#system = system;
    this.#name = console.name;
    this.#onLine = onLine;
    this.resume();
  }

  /** Leaves what is typed to somebody else. */
  pause(): void {
    if (this.#open === null) return;
    this.#open.watch.close();
    closeSync(this.#open.fd);
    this.#open = null;
  }

  resume(): void {
    if (this.#open !== null) return;
    const fd = openTerminal(this.#name);
    if (fd !== null) this.#open = { fd, watch: this.#system.watchReadable(fd, () => this.#read(fd)) };
  }

  #read(fd: number): void {
    const buffer = Buffer.alloc(readBytes);
    try {
      const length = readSync(fd, buffer);
      if (length === 0) this.#reopen();
      else {
        this.#ends = 0;
        this.#take(buffer.subarray(0, length).toString("latin1"));
      }
    } catch (error) {
      // A console that fails is silent from then on.
      if (errorCode(error) !== "EAGAIN") this.pause();
    }
  }

  /** An end of input is a typed ^D, or a line that was hung up; a console with nothing but ends is no terminal. */
  #reopen(): void {
    this.pause();
    if (++this.#ends <= endsMax) this.resume();
  }

  #take(text: string): void {
    for (const character of text) {
      if (character === "\n" || character === "\r") {
        const line = this.#pending.trim();
        this.#pending = "";
        this.#onLine(line);
      } else if (this.#pending.length < lineCharactersMax) this.#pending += character;
    }
  }
}

/** Null where the console cannot be read. */
function openTerminal(name: string): number | null {
  try {
    return openSync(`/dev/${name}`, constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
}
