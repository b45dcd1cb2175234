import { FormatError } from "./format-error.ts";

export interface NumberedLine {
  /** Counts from 1. */
  readonly number: number;
  /** Without its line end (LF or CRLF). */
  readonly text: string;
}

/** Longest line of a configuration file, in characters. */
export const lineCharactersMax = 65_536;

/** Splits text into numbered lines. A line over the limit is a {@link FormatError}. */
export function numberedLines(text: string, format: string): NumberedLine[] {
  const lines = text.split("\n").map((line, index) => {
    const content = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (content.length > lineCharactersMax) {
      throw new FormatError(format, `${content.length} characters, at most ${lineCharactersMax} are taken`, {
        line: index + 1,
      });
    }
    return { number: index + 1, text: content };
  });
  if (lines.at(-1)?.text === "") lines.pop();
  return lines;
}
