import { FormatError, quote } from "./format-error.ts";

/** Longest command line, in characters. Kernels take far less: 2048 (x86), 4096 (s390), see the image's own limit. */
export const commandLineCharactersMax = 1 << 20;

export interface Parameter {
  /** As written: compare with {@link sameName}. */
  readonly name: string;
  /** Without its quotes; null when there is no `=`. */
  readonly value: string | null;
}

/** The kernel's isspace() in ASCII: lib/ctype.c. */
const space = /[ \t-\r]/;

/**
 * Splits a command line into words as the kernel does (next_arg() of lib/cmdline.c): white space separates, double quotes
 * hold white space together, and nothing escapes a quote. Words keep their quotes; an open quote runs to the end.
 *
 * Throws {@link FormatError} for what this text and the kernel's bytes would be split differently by: NUL, which ends the
 * line there, and outside quotes a character whose UTF-8 holds the byte 0xA0, which is white space to the kernel's
 * Latin-1 table; and for a line over {@link commandLineCharactersMax}.
 */
export function splitCommandLine(text: string): string[] {
  if (text.length > commandLineCharactersMax) {
    fail(`${text.length} characters, at most ${commandLineCharactersMax} are taken`);
  }
  const words: string[] = [];
  let start = -1;
  let quoted = false;
  let at = 0;
  for (const character of text) {
    if (character === "\0") fail("NUL inside the line", at);
    if (!quoted && character > "\x7f" && holdsNoBreakSpace(character)) {
      fail(`the kernel splits the line inside ${quote(character)}: put the word in double quotes`, at);
    }
    if (!quoted && space.test(character)) {
      if (start >= 0) words.push(text.slice(start, at));
      start = -1;
    } else {
      if (start < 0) start = at;
      if (character === '"') quoted = !quoted;
    }
    at += character.length;
  }
  if (start >= 0) words.push(text.slice(start));
  return words;
}

function holdsNoBreakSpace(character: string): boolean {
  return new TextEncoder().encode(character).includes(0xa0);
}

/**
 * Name and value of one word, as next_arg() reads them: quotes may stand around the value or around the whole word; the
 * first `=` that is not the first character divides, so that `root=UUID=…` is `root` and `UUID=…`.
 */
export function parseParameter(word: string): Parameter {
  const quoted = word.startsWith('"');
  let body = quoted ? word.slice(1) : word;
  const equals = body.indexOf("=", 1);
  const valueQuoted = equals > 0 && body[equals + 1] === '"';
  if ((quoted || valueQuoted) && body.endsWith('"')) body = body.slice(0, -1);
  if (equals < 1) return { name: body, value: null };
  return { name: body.slice(0, equals), value: body.slice(equals + (valueQuoted ? 2 : 1)) };
}

/** Whether two parameter names are the same to the kernel: `-` and `_` are (parameq() of kernel/params.c). */
export function sameName(a: string, b: string): boolean {
  return a.replaceAll("-", "_") === b.replaceAll("-", "_");
}

/** Words joined by single spaces. */
export function joinWords(words: readonly string[]): string {
  return words.join(" ");
}

/**
 * A word for {@link appendWords}, with the value in quotes where it holds white space. Throws {@link FormatError} for what
 * the kernel cannot be told: a quote inside (there is no escape), white space in a name, a name that is empty or holds `=`.
 */
export function formatParameter(name: string, value: string | null): string {
  if (!/^[^\s"=\0]+$/.test(name) || holdsNoBreakSpace(name))
    fail(`parameter name ${quote(name)}: text without space, "=" and quotes expected`);
  if (value === null) return name;
  if (/["\0]/.test(value)) fail(`value ${quote(value)} of "${name}": the kernel knows no escape for a quote or NUL`);
  const needsQuotes = [...value].some((c) => space.test(c) || (c > "\x7f" && holdsNoBreakSpace(c)));
  return needsQuotes ? `${name}="${value}"` : `${name}=${value}`;
}

/** Words before the first `--`: what follows it goes to init (kernel/params.c, parse_args()). */
function kernelWords(text: string): { words: string[]; rest: string[] } {
  const words = splitCommandLine(text);
  const end = words.findIndex((word) => {
    const { name, value } = parseParameter(word);
    return name === "--" && value === null;
  });
  return end < 0 ? { words, rest: [] } : { words: words.slice(0, end), rest: words.slice(end) };
}

/** The kernel's parameters in order, without what follows `--`. */
export function parameters(text: string): Parameter[] {
  return kernelWords(text).words.map(parseParameter);
}

/** Every value of a parameter in order; words without `=` have none and are left out. */
export function allValues(text: string, name: string): string[] {
  return parameters(text).flatMap((p) => (p.value !== null && sameName(p.name, name) ? [p.value] : []));
}

/** The last value of a parameter, which for most parameters is the one that counts; null when it stands nowhere with a value. */
export function lastValue(text: string, name: string): string | null {
  return allValues(text, name).at(-1) ?? null;
}

/** Whether a parameter stands on the line, with or without a value. */
export function hasParameter(text: string, name: string): boolean {
  return parameters(text).some((p) => sameName(p.name, name));
}

/** All `console=` values in order (`ttyS0,115200n8`); the last is the one that becomes /dev/console. */
export function consoles(text: string): string[] {
  return allValues(text, "console");
}

/** The line without a parameter, with or without value, wherever the kernel would see it; what follows `--` is left alone. */
export function removeParameter(text: string, name: string): string {
  const { words, rest } = kernelWords(text);
  return joinWords([...words.filter((word) => !sameName(parseParameter(word).name, name)), ...rest]);
}

/**
 * The line with words added at the end of the kernel's part: before `--`, where there is one. Throws {@link FormatError} for
 * something added that is not one whole word, and for a line with an open quote, which would swallow what is added.
 */
export function appendWords(text: string, added: readonly string[]): string {
  for (const word of added) {
    const words = splitCommandLine(word);
    if (words[0] !== word || hasOpenQuote(word)) fail(`one word with its quotes closed expected, not ${quote(word)}`);
  }
  const { words, rest } = kernelWords(text);
  const last = words.at(-1) ?? "";
  if (added.length > 0 && hasOpenQuote(last)) {
    fail(`a closing quote expected in ${quote(last)} before something can be added`);
  }
  return joinWords([...words, ...added, ...rest]);
}

function hasOpenQuote(word: string): boolean {
  return (word.split('"').length - 1) % 2 === 1;
}

function fail(detail: string, offset?: number): never {
  throw new FormatError("command line", detail, offset === undefined ? {} : { offset });
}
