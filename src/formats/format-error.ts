/** Where in the input a format was violated. Offsets are bytes from the start of the input; lines count from 1. */
export interface FormatPlace {
  readonly offset?: number;
  readonly line?: number;
  readonly field?: string;
}

/**
 * The only error that a parser of this floor throws. The message names the value (in quotes) and what was expected;
 * the format and the place are put in front of it, so that it reads on its own: `gpt: offset 512: …`.
 */
export class FormatError extends Error {
  override readonly name = "FormatError";
  readonly format: string;
  readonly place: FormatPlace;
  /** The message without format and place. */
  readonly detail: string;

  constructor(format: string, detail: string, place: FormatPlace = {}) {
    super(`${format}: ${describePlace(place)}${detail}`);
    this.format = format;
    this.place = place;
    this.detail = detail;
  }
}

function describePlace(place: FormatPlace): string {
  const parts: string[] = [];
  if (place.line !== undefined) parts.push(`line ${place.line}`);
  if (place.offset !== undefined) parts.push(`offset ${place.offset}`);
  if (place.field !== undefined) parts.push(place.field);
  return parts.length === 0 ? "" : `${parts.join(", ")}: `;
}

/** Longest excerpt of hostile text that an error message quotes, in characters. */
const quotedCharactersMax = 80;

/** Quotes hostile text for a message: control and non-ASCII characters escaped, long text cut. */
export function quote(text: string): string {
  const cut = text.length > quotedCharactersMax ? `${text.slice(0, quotedCharactersMax)}…` : text;
  return `"${cut.replace(/["\\\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, escapeCharacter)}"`;
}

function escapeCharacter(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  return `\\u{${character.charCodeAt(0).toString(16)}}`;
}
