import { FormatError } from "../../formats/format-error.ts";
import { SourceError } from "../source.ts";

/** Why something is not offered; caught where the skipped entry is made. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly line: number;
  constructor(reason: string, line = 1) {
    super(reason);
    this.line = line;
  }
}

/** Tells that something at a path is not offered. */
export type Skip = (path: string, title: string | null, error: unknown) => void;

/** The reason and the line of an expected error; any other is thrown on. */
export function reasonOf(error: unknown): { readonly reason: string; readonly line: number } {
  if (error instanceof Refusal) return { reason: error.message, line: error.line };
  if (error instanceof FormatError) return { reason: error.detail, line: error.place.line ?? 1 };
  if (error instanceof SourceError) return { reason: error.message, line: 1 };
  throw error;
}
