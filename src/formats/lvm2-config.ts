import { FormatError, quote } from "./format-error.ts";

/** One metadata text, characters: a group of some thousand volumes. */
export const lvm2TextCharactersMax = 16 << 20;
/** Sections inside one another; LVM itself writes four. */
export const lvm2NestingMax = 16;
/** Sections, values and members of lists of one text. */
export const lvm2NodesMax = 1_000_000;

export type Lvm2Scalar = string | number;
export type Lvm2Value = Lvm2Scalar | readonly Lvm2Scalar[] | Lvm2Section;

/** Names in braces, with their values in the order of the text. */
export class Lvm2Section {
  readonly name: string;
  readonly line: number;
  readonly #values = new Map<string, Lvm2Value>();

  constructor(name: string, line: number) {
    this.name = name;
    this.line = line;
  }

  get entries(): ReadonlyMap<string, Lvm2Value> {
    return this.#values;
  }

  /** As LVM reads it, a later value of a name takes the place of an earlier one. */
  set(name: string, value: Lvm2Value): void {
    this.#values.set(name, value);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  section(name: string): Lvm2Section {
    return this.optionalSection(name) ?? this.fail(name, "a section expected");
  }

  optionalSection(name: string): Lvm2Section | null {
    const value = this.#values.get(name);
    if (value === undefined) return null;
    return value instanceof Lvm2Section ? value : this.fail(name, "a section expected");
  }

  text(name: string): string {
    const value = this.#values.get(name);
    return typeof value === "string" ? value : this.fail(name, "a text expected");
  }

  /** A whole number from `min` on, at most 2^53 - 1. */
  count(name: string, min = 0): number {
    const value = this.#values.get(name);
    const isCount = typeof value === "number" && Number.isSafeInteger(value) && value >= min;
    return isCount ? value : this.fail(name, `a whole number from ${min} expected`);
  }

  /** A list of texts; a single text is a list of one, and none is an empty one. */
  texts(name: string): readonly string[] {
    return this.list(name).map((value) =>
      typeof value === "string" ? value : this.fail(name, "a list of texts expected"),
    );
  }

  list(name: string): readonly Lvm2Scalar[] {
    const value = this.#values.get(name);
    if (value === undefined) return [];
    if (value instanceof Lvm2Section) return this.fail(name, "a list expected");
    return typeof value === "string" || typeof value === "number" ? [value] : value;
  }

  fail(name: string, detail: string): never {
    throw new FormatError("LVM2 metadata", `${quote(name)} in section ${quote(this.name)}: ${detail}`, {
      line: this.line,
    });
  }
}

const spaces = /[ \t\r\n]*/y;
const identifier = /[A-Za-z0-9_.+/-]+/y;
const numeral = /[-+]?\d[\d.]*(?=[\s,\]#}]|$)/y;

/**
 * Parses a text of LVM2's configuration language (lvm.conf(5), which metadata is written in, too): sections in braces,
 * `name = value`, numbers, texts in quotation marks, lists in brackets, comments from `#` on. Throws {@link FormatError}
 * with the line.
 */
export function parseLvm2Config(text: string): Lvm2Section {
  return new Parser(text).parse();
}

class Parser {
  readonly #text: string;
  #at = 0;
  #nodes = 0;
  /** Lines are counted up to here. */
  #counted = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Lvm2Section {
    if (this.#text.length > lvm2TextCharactersMax) {
      this.#fail(`${this.#text.length} characters, at most ${lvm2TextCharactersMax} are taken`);
    }
    const root = new Lvm2Section("", 1);
    const open: Lvm2Section[] = [root];
    for (;;) {
      this.#skipSpaces();
      const section = open.at(-1) ?? root;
      if (this.#at >= this.#text.length) {
        if (open.length > 1) this.#fail(`the text ends inside section ${quote(section.name)}, "}" expected`);
        return root;
      }
      if (open.length > 1 && this.#take("}")) {
        open.pop();
        continue;
      }
      const name = this.#name();
      this.#countNode();
      this.#skipSpaces();
      if (this.#take("{")) {
        if (open.length > lvm2NestingMax) this.#fail(`more than ${lvm2NestingMax} sections inside one another`);
        const inner = new Lvm2Section(name, this.#lineNumber());
        section.set(name, inner);
        open.push(inner);
      } else if (this.#take("=")) {
        this.#skipSpaces();
        section.set(name, this.#value());
      } else this.#fail(`"=" or "{" expected behind ${quote(name)}`);
    }
  }

  #name(): string {
    return (
      this.#match(identifier)?.[0] ??
      this.#quoted() ??
      this.#fail(`a name expected, found ${quote(this.#text.slice(this.#at, this.#at + 20))}`)
    );
  }

  #value(): Lvm2Scalar | readonly Lvm2Scalar[] {
    if (!this.#take("[")) return this.#scalar();
    const values: Lvm2Scalar[] = [];
    this.#skipSpaces();
    while (!this.#take("]")) {
      values.push(this.#scalar());
      this.#countNode();
      this.#skipSpaces();
      if (this.#take(",")) this.#skipSpaces();
      else if (this.#text[this.#at] !== "]") this.#fail('"," or "]" expected in a list');
    }
    return values;
  }

  #scalar(): Lvm2Scalar {
    const number = this.#match(numeral)?.[0];
    if (number !== undefined) return Number(number);
    return (
      this.#quoted() ??
      this.#match(identifier)?.[0] ??
      this.#fail(`a number, a text or a list expected, found ${quote(this.#text.slice(this.#at, this.#at + 20))}`)
    );
  }

  /** A text in quotation marks, in which `\\` takes the next character as it is, or in apostrophes; undefined: neither. */
  #quoted(): string | undefined {
    const mark = this.#text[this.#at];
    if (mark !== '"' && mark !== "'") return undefined;
    const begin = this.#at + 1;
    let end = this.#text.indexOf(mark, begin);
    while (mark === '"' && end > 0 && this.#isEscaped(begin, end)) end = this.#text.indexOf(mark, end + 1);
    if (end < 0) this.#fail("a text that does not end");
    this.#at = end + 1;
    const raw = this.#text.slice(begin, end);
    return mark === '"' ? raw.replace(/\\(.)/gs, "$1") : raw;
  }

  #isEscaped(begin: number, at: number): boolean {
    let slashes = 0;
    while (at - slashes > begin && this.#text[at - slashes - 1] === "\\") slashes++;
    return slashes % 2 === 1;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at = pattern.lastIndex;
    return match;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpaces(): void {
    this.#match(spaces);
    while (this.#text[this.#at] === "#") {
      const end = this.#text.indexOf("\n", this.#at);
      this.#at = end < 0 ? this.#text.length : end;
      this.#match(spaces);
    }
  }

  #countNode(): void {
    this.#nodes++;
    if (this.#nodes > lvm2NodesMax) this.#fail(`more than ${lvm2NodesMax} values`);
  }

  #lineNumber(): number {
    for (; this.#counted < this.#at; this.#counted++) if (this.#text[this.#counted] === "\n") this.#line++;
    return this.#line;
  }

  #fail(detail: string): never {
    throw new FormatError("LVM2 metadata", detail, { line: this.#lineNumber() });
  }
}
