/** A verb of the command line. */
export interface Verb {
  readonly name: string;
  /** One line for `slipway --help`. */
  readonly summary: string;
  /** The whole text of `slipway help VERB`. */
  readonly usage: string;
  /** Runs the verb with the words after its name; resolves with the exit code. */
  run(args: readonly string[]): Promise<number>;
}

/** A mistake in how the program was called: printed with a pointer to the help, exit code 1. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
