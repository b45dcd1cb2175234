import type { GrubFile } from "./ast.ts";

/** Something to tell of a place in a configuration. */
export interface GrubMessage {
  readonly file: GrubFile;
  readonly line: number;
  readonly text: string;
}

/** A named limit was passed: the statement, the entry or the rest of the configuration is given up. */
export class LimitError extends Error {
  override readonly name = "LimitError";
}

/** The work that a configuration or an entry may cost is used up. */
export class BudgetError extends LimitError {}

/** Counts work. */
export class Budget {
  readonly #what: string;
  readonly #stepsMax: number;
  readonly #whole: Budget | null;
  #steps = 0;

  /** `whole`: a further budget that the same work counts against. */
  constructor(what: string, stepsMax: number, whole: Budget | null = null) {
    this.#what = what;
    this.#stepsMax = stepsMax;
    this.#whole = whole;
  }

  /** What was spent so far. */
  get steps(): number {
    return this.#steps;
  }

  /** @throws {BudgetError} nothing is left. */
  spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > this.#stepsMax) {
      throw new BudgetError(`${this.#what}: more than ${this.#stepsMax} steps, an endless loop?`);
    }
    this.#whole?.spend(steps);
  }
}
