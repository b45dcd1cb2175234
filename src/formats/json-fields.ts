import { utf8 } from "./bytes.ts";
import { messageOf } from "./error-text.ts";
import { FormatError, quote } from "./format-error.ts";
import { parseTime } from "./schema.ts";

/** Parses JSON (RFC 8259) in UTF-8. Throws {@link FormatError}. */
export function parseJson(bytes: Uint8Array, format: string, bytesMax: number): unknown {
  if (bytes.length > bytesMax) throw new FormatError(format, `${bytes.length} bytes, at most ${bytesMax} are taken`);
  return parseJsonText(utf8(bytes, format), format);
}

/**
 * Parses JSON (RFC 8259) in which no object has a name twice: which of the two counts, people and programs do not agree on, and
 * who signs a text has to know. Throws {@link FormatError}.
 */
export function parseJsonText(text: string, format: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FormatError(format, `JSON expected: ${quote(messageOf(error))}`);
  }
  const twice = repeatedName(text);
  if (twice !== null) throw new FormatError(format, `the field ${quote(twice)} stands twice in one object`);
  return value;
}

/** The first name that stands a second time in its object, of a text that is JSON. */
function repeatedName(text: string): string | null {
  /** The names so far of every object around; null: none, or it is a list. */
  const open: (Set<string> | null)[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "{" || character === "[") open.push(null);
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      const start = at;
      for (at++; text[at] !== '"'; at++) if (text[at] === "\\") at++;
      let next = at + 1;
      while (" \t\r\n".includes(text[next] ?? "-")) next++;
      if (text[next] !== ":") continue;
      const name = String(JSON.parse(text.slice(start, at + 1)));
      const names = open.at(-1) ?? new Set();
      if (names.has(name)) return name;
      open[open.length - 1] = names.add(name);
    }
  }
  return null;
}

/**
 * The fields of one object of a strict document: a field that is not named is refused, and so is one of another type. Every
 * method throws {@link FormatError} with the path (`entries[0].linux.size`). A missing field is refused
 * where nothing else is said.
 */
export class JsonFields {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #format: string;
  /** With a dot behind, or empty for the document itself. */
  readonly #prefix: string;

  /** @param names every field that there may be */
  constructor(value: unknown, format: string, path: string, names: readonly string[]) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new FormatError(format, `${describe(value)}, an object expected`, path === "" ? {} : { field: path });
    }
    this.#values = new Map(Object.entries(value));
    this.#format = format;
    this.#prefix = path === "" ? "" : `${path}.`;
    for (const name of this.#values.keys()) {
      if (names.includes(name)) continue;
      const detail = `unknown field ${quote(name)}, one of ${names.join(", ")} expected`;
      throw new FormatError(format, detail, path === "" ? {} : { field: path });
    }
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string, charactersMax: number): string {
    const value = this.#value(name, undefined, "text");
    if (typeof value !== "string") this.fail(name, `${describe(value)}, text expected`);
    if (value.length > charactersMax) {
      this.fail(name, `${value.length} characters, at most ${charactersMax} are taken`);
    }
    return value;
  }

  /** Text, or null where the field is null or missing. */
  optionalText(name: string, charactersMax: number): string | null {
    return (this.#values.get(name) ?? null) === null ? null : this.text(name, charactersMax);
  }

  /** Text of a form. `what` names it: `64 lower-case hexadecimal digits`. */
  matching(name: string, pattern: RegExp, what: string): string {
    const value = this.#value(name, undefined, what);
    if (typeof value !== "string" || !pattern.test(value)) this.fail(name, `${describe(value)}, ${what} expected`);
    return value;
  }

  choice<const C extends string>(name: string, choices: readonly C[]): C {
    const what = `one of ${choices.map((c) => `"${c}"`).join(", ")}`;
    const value = this.#value(name, undefined, what);
    const chosen = choices.find((c) => c === value);
    return chosen ?? this.fail(name, `${describe(value)}, ${what} expected`);
  }

  integer(name: string, min: number, max: number): number {
    const what = `a whole number from ${min} to ${max}`;
    const value = this.#value(name, undefined, what);
    if (!Number.isSafeInteger(value) || Number(value) < min || Number(value) > max) {
      this.fail(name, `${describe(value)}, ${what} expected`);
    }
    return Number(value);
  }

  /** Milliseconds since 1970 of a time as {@link parseTime} takes it; null where it is null or missing. */
  time(name: string): number | null {
    const value = this.#values.get(name) ?? null;
    if (value === null) return null;
    const time = typeof value === "string" ? parseTime(value) : null;
    return time ?? this.fail(name, `${describe(value)}, a time like "2026-11-20T09:30:00Z" expected`);
  }

  /** The value for a {@link JsonFields} below this one, with its path. */
  value(name: string): { readonly value: unknown; readonly path: string } {
    return { value: this.#value(name, undefined, "an object"), path: this.#prefix + name };
  }

  /** Items of a list; none where the field is missing. */
  list<T>(name: string, countMax: number, read: (value: unknown, path: string) => T): T[] {
    const value = this.#value(name, [], "a list");
    if (!Array.isArray(value)) this.fail(name, `${describe(value)}, a list expected`);
    if (value.length > countMax) this.fail(name, `${value.length} items, at most ${countMax} are taken`);
    return value.map((item, index) => read(item, `${this.#prefix}${name}[${index}]`));
  }

  fail(name: string, detail: string): never {
    throw new FormatError(this.#format, detail, { field: this.#prefix + name });
  }

  #value(name: string, fallback: unknown, what: string): unknown {
    const value = this.#values.get(name) ?? (this.#values.has(name) ? null : fallback);
    if (value === undefined) this.fail(name, `missing, ${what} expected`);
    return value;
  }
}

/** Lists and objects are named and not shown: they may be of any depth. */
function describe(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "string" ? quote(value) : String(value);
}

/** `2026-11-20T09:30:00Z`; parts of a second are dropped. */
export function utcTimeText(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}
