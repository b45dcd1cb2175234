import { quote } from "../format-error.ts";

/*
 * A word whose value is not known goes among the options as a mark, whose characters are no bytes: a command that hands it
 * to a kernel is refused.
 */
const opening = "\u{100}";
const closing = "\u{101}";

/** @param name of the word, without `=` */
export function unknownWord(name: string): string {
  return opening + name + closing;
}

/** Why options cannot be handed over: the first word in them that is not known; null: all are. */
export function unknownReason(options: string): string | null {
  const start = options.indexOf(opening);
  if (start < 0) return null;
  return `${quote(options.slice(start + 1, options.indexOf(closing, start)))} of the machine is not known`;
}

/** For people. */
export function withUnknownNamed(text: string): string {
  return text.replaceAll(opening, "").replaceAll(closing, "=");
}
