/*
 * A setting that the machine has and whose value is not known here. It must not become empty text on its way into a
 * kernel's arguments: the value is a mark, which goes where the value would, and what uses it is refused. Its characters
 * are no bytes, so that no script can write it.
 */

const opening = "\u{100}";
const closing = "\u{101}";

/** @param name of the setting, byte text; empty: that by which it is found */
export function unknownValue(name: string): string {
  return opening + name + closing;
}

/** The name of the first unknown setting in a text; null: there is none. */
export function unknownIn(text: string): string | null {
  const start = text.indexOf(opening);
  if (start === -1) return null;
  const end = text.indexOf(closing, start);
  return text.slice(start + 1, end === -1 ? undefined : end);
}

/** The text with the settings as a script writes them: `${serial}`. */
export function withUnknownNamed(text: string): string {
  return text.replaceAll(opening, "${").replaceAll(closing, "}");
}
