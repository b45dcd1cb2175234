import { ReadStream } from "node:tty";
import type { Console } from "../machine/consoles.ts";

/** Longest line that is taken from a console, in characters; the rest of a longer one is dropped. */
const lineCharactersMax = 256;

/** Reads lines typed at a console, as the terminal's own line editing hands them over. */
export class ConsoleLines {
  readonly #stream: ReadStream | null;
  #pending = "";

  constructor(console: Console, onLine: (line: string) => void) {
    this.#stream = openStream(console);
    this.#stream?.setEncoding("latin1");
    this.#stream?.on("data", (data: string) => {
      for (const character of data) {
        if (character === "\n" || character === "\r") {
          const line = this.#pending.trim();
          this.#pending = "";
          onLine(line);
        } else if (this.#pending.length < lineCharactersMax) this.#pending += character;
      }
    });
    // A console that fails is silent from then on.
    this.#stream?.on("error", () => {});
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }
}

/** Null where the console is no terminal. */
function openStream(console: Console): ReadStream | null {
  try {
    return new ReadStream(console.fd);
  } catch {
    return null;
  }
}
