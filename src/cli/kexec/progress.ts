import type { KexecSide } from "./side.ts";

type Watched = Pick<KexecSide, "err" | "isTerminal" | "now">;

/** How long something is silent, milliseconds. */
const quietMilliseconds = 3000;
/** The least time between two lines, milliseconds. */
const stepMilliseconds = 200;

/** A line on a terminal that is written again as work goes on, once it takes long. */
export class Progress implements Disposable {
  readonly #side: Watched;
  readonly #what: string;
  readonly #start: number;
  #last = 0;

  constructor(side: Watched, what: string) {
    this.#side = side;
    this.#what = what;
    this.#start = side.now();
  }

  /**
   * @param done bytes
   * @param total bytes; 0: unknown
   */
  update(done: number, total: number): void {
    const now = this.#side.now();
    if (!this.#side.isTerminal || now - this.#start < quietMilliseconds || now - this.#last < stepMilliseconds) return;
    this.#last = now;
    const share = total > 0 ? `${Math.min(100, Math.floor((done * 100) / total))} %` : `${done >> 20} MiB`;
    this.#side.err(`\r${this.#what}: ${share}`);
  }

  /** Ends the line, if there is one. */
  [Symbol.dispose](): void {
    if (this.#last !== 0) this.#side.err("\n");
  }
}
