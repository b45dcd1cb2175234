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
