import type { BlockNode, GrubFile, SourceLine, SourceText, WordNode, WordPart } from "./ast.ts";

/**
 * GRUB's scripting lexer (grub-core/script/yylex.l and lexer.c; manual, "Shell-like scripting").
 *
 * The input is taken line by line. A token that a line leaves open (a quote, a line join) takes the next line too, and
 * the parser takes further lines while a block or a compound command is open. A syntax error costs the lines taken so
 * far; GRUB then goes on with the next one.
 */
export type TokenKind =
  | "word"
  | "name"
  | "keyword"
  | "newline"
  | ";"
  | "{"
  | "}"
  /** An operator that the lexer knows and the grammar has no use for: `&&`, `||`, `|`, `&`, `<`, `>`, `;;`, `[[`, `]]`. */
  | "operator"
  | "end";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** Only for words, names and keywords: a keyword is an ordinary word where it is an argument. */
  readonly word: WordNode | null;
  readonly line: number;
  readonly at: LexPosition;
}

/** A place in the lines of a {@link LineReader}. */
export interface LexPosition {
  readonly index: number;
  readonly column: number;
}

/** A word over this many characters is refused, as is one that spans more than {@link wordLinesMax} lines. */
export const wordCharactersMax = 65_536;
export const wordLinesMax = 1000;

/** A syntax error at a line; the parser turns it into the problem that costs the unit. */
export class GrubSyntaxError extends Error {
  override readonly name = "GrubSyntaxError";
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

const keywords: ReadonlySet<string> = new Set([
  "case",
  "do",
  "done",
  "elif",
  "else",
  "esac",
  "fi",
  "for",
  "function",
  "if",
  "in",
  "select",
  "then",
  "until",
  "while",
]);

const namePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** What may follow a `$`: a name, digits or a special, in braces or not. */
const variablePattern = /(?:([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#*@])|\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#*@])\})/y;
/** Characters that an unquoted word does not hold as they are. */
const wordBreaks = /[{}|&$;<> \t\n'"\\]/g;

/**
 * The lines of a configuration file as GRUB reads them (normal/main.c, `read_config_file_getline`): carriage returns are
 * dropped wherever they stand, a NUL ends its line, and a line that begins with `#` is not there at all, even inside a
 * quoted text.
 */
export function configLines(text: string): SourceLine[] {
  const lines: SourceLine[] = [];
  for (const [index, raw] of text.replaceAll("\r", "").split("\n").entries()) {
    const nul = raw.indexOf("\0");
    const line = nul < 0 ? raw : raw.slice(0, nul);
    if (!line.startsWith("#")) lines.push({ number: index + 1, text: line });
  }
  if (text.endsWith("\n") && lines.at(-1)?.text === "") lines.pop();
  return lines;
}

/** Lines of a text that came from one place: a string given to `eval` or `--source`. */
export function textLines(text: string, number: number): SourceLine[] {
  return text.split("\n").map((line) => ({ number, text: line }));
}

/** Hands the lines of a text to the lexer, one unit after another. */
export class LineReader {
  readonly source: SourceText;
  next = 0;

  constructor(source: SourceText) {
    this.source = source;
  }

  get atEnd(): boolean {
    return this.next >= this.source.lines.length;
  }

  /** A block between two positions of this text. */
  block(open: LexPosition, close: LexPosition): BlockNode {
    const { file, lines } = this.source;
    return {
      source: () => {
        const cut = lines.slice(open.index, close.index + 1).map((line, at): SourceLine => {
          const end = at === close.index - open.index ? close.column : line.text.length;
          return { number: line.number, text: line.text.slice(at === 0 ? open.column : 0, end) };
        });
        return { file, lines: cut };
      },
    };
  }
}

interface Segment {
  readonly start: number;
  readonly index: number;
}

/** The tokens of one unit. */
export class Lexer {
  readonly #reader: LineReader;
  /** The lines of the token at hand, each with its newline. */
  #buffer = "";
  #segments: Segment[] = [];
  #position = 0;
  tokens = 0;

  constructor(reader: LineReader) {
    this.#reader = reader;
    this.#takeLine();
  }

  get file(): GrubFile {
    return this.#reader.source.file;
  }

  /** The next token; with `nested`, further lines are taken where the line ends. */
  token(nested: boolean): Token {
    this.tokens++;
    this.#skipBlanks();
    while (this.#position >= this.#buffer.length) {
      if (!nested) return this.#symbol("end", "", 0);
      const line = this.#line();
      this.#buffer = "";
      this.#segments = [];
      this.#position = 0;
      if (!this.#takeLine()) throw new GrubSyntaxError(line, "the text ends inside a block or a compound command");
      this.#skipBlanks();
    }
    const two = this.#buffer.slice(this.#position, this.#position + 2);
    if (two === "||" || two === "&&" || two === ";;") return this.#symbol("operator", two, 2);
    const one = two.charAt(0);
    if (one === "\n") return this.#symbol("newline", one, 1);
    if (one === ";" || one === "{" || one === "}") return this.#symbol(one, one, 1);
    if (one === "|" || one === "&" || one === "<" || one === ">") return this.#symbol("operator", one, 1);
    return this.#word();
  }

  #symbol(kind: TokenKind, text: string, length: number): Token {
    const token: Token = { kind, text, word: null, line: this.#line(), at: this.#locate(this.#position) };
    this.#position += length;
    return token;
  }

  #skipBlanks(): void {
    const buffer = this.#buffer;
    while (buffer[this.#position] === " " || buffer[this.#position] === "\t") this.#position++;
    if (buffer[this.#position] !== "#") return;
    const end = buffer.indexOf("\n", this.#position);
    this.#position = end < 0 ? buffer.length : end;
  }

  #word(): Token {
    const start = this.#position;
    const line = this.#line();
    const at = this.#locate(start);
    const end = this.#wordEnd(start);
    if (end === start) {
      throw new GrubSyntaxError(line, `"${this.#buffer.charAt(start)}" is not followed by a variable's name`);
    }
    if (end - start > wordCharactersMax) throw tooLong(line);
    const raw = this.#buffer.slice(start, end);
    this.#position = end;
    if (raw === "[[" || raw === "]]") return { kind: "operator", text: raw, word: null, line, at };
    const kind = keywords.has(raw) ? "keyword" : namePattern.test(raw) ? "name" : "word";
    return { kind, text: raw, word: { parts: splitWord(raw, line) }, line, at };
  }

  /** Where the word that starts at `start` ends; takes lines while a quote or a line join is open. */
  #wordEnd(start: number): number {
    const from = this.#line(start);
    let at = start;
    for (;;) {
      if (at - start > wordCharactersMax || this.#segments.length > wordLinesMax) {
        throw tooLong(from);
      }
      wordBreaks.lastIndex = at;
      at = wordBreaks.exec(this.#buffer)?.index ?? this.#buffer.length;
      const character = this.#buffer[at];
      if (character === "\\") {
        at += 2;
        if (at >= this.#buffer.length && !this.#takeLine()) {
          throw new GrubSyntaxError(from, "the text ends after a line join");
        }
      } else if (character === "'") at = this.#closingQuote(at + 1, false, from);
      else if (character === '"') at = this.#closingQuote(at + 1, true, from);
      else if (character === "$" && this.#buffer[at + 1] === '"') at = this.#closingQuote(at + 2, true, from);
      else if (character === "$") {
        variablePattern.lastIndex = at + 1;
        if (!variablePattern.test(this.#buffer)) return at;
        at = variablePattern.lastIndex;
      } else return at;
    }
  }

  /** Behind the quote that closes a text; a backslash in a double-quoted one guards the character after it. */
  #closingQuote(start: number, double: boolean, from: number): number {
    let at = start;
    for (;;) {
      for (; at < this.#buffer.length; at++) {
        const character = this.#buffer[at];
        if (double && character === "\\") at++;
        else if (character === (double ? '"' : "'")) return at + 1;
      }
      if (this.#segments.length > wordLinesMax || this.#buffer.length > wordCharactersMax * 2) {
        throw new GrubSyntaxError(from, `a quoted text of more than ${wordLinesMax} lines is not taken`);
      }
      if (!this.#takeLine()) throw new GrubSyntaxError(from, "the quote that opens here is not closed");
    }
  }

  #takeLine(): boolean {
    const line = this.#reader.source.lines[this.#reader.next];
    if (line === undefined) return false;
    this.#segments.push({ start: this.#buffer.length, index: this.#reader.next });
    this.#buffer += `${line.text}\n`;
    this.#reader.next++;
    return true;
  }

  #locate(position: number): LexPosition {
    for (let i = this.#segments.length - 1; i >= 0; i--) {
      const segment = this.#segments[i];
      if (segment !== undefined && segment.start <= position) {
        return { index: segment.index, column: position - segment.start };
      }
    }
    return { index: 0, column: 0 };
  }

  #line(position = Math.min(this.#position, Math.max(0, this.#buffer.length - 1))): number {
    return this.#reader.source.lines[this.#locate(position).index]?.number ?? 1;
  }
}

function tooLong(line: number): GrubSyntaxError {
  const bounds = `${wordCharactersMax} characters or ${wordLinesMax} lines`;
  return new GrubSyntaxError(line, `a word of more than ${bounds} is not taken`);
}

/** Splits the raw text of a word into its parts (yylex.l, states SPLIT, DQUOTE, SQUOTE, I18NQUOTE and VAR). */
export function splitWord(raw: string, line: number): WordPart[] {
  const parts: WordPart[] = [];
  let plain = "";
  const flush = (): void => {
    if (plain !== "") parts.push({ kind: "text", text: plain });
    plain = "";
  };
  for (let i = 0; i < raw.length; ) {
    const character = raw.charAt(i);
    if (character === "\\") {
      if (raw[i + 1] !== "\n") plain += raw.slice(i, i + 2);
      i += 2;
    } else if (character === "'") {
      flush();
      const end = raw.indexOf("'", i + 1);
      parts.push({ kind: "quoted", text: raw.slice(i + 1, end) });
      i = end + 1;
    } else if (character === '"') {
      flush();
      i = splitDoubleQuoted(raw, i + 1, line, parts);
    } else if (character === "$" && raw[i + 1] === '"') {
      flush();
      i = splitTranslated(raw, i + 2, parts);
    } else if (character === "$") {
      flush();
      i = splitVariable(raw, i, false, line, parts);
    } else {
      plain += character;
      i++;
    }
  }
  flush();
  return parts;
}

function splitDoubleQuoted(raw: string, start: number, line: number, parts: WordPart[]): number {
  let text = "";
  for (let i = start; ; ) {
    const character = raw.charAt(i);
    const next = raw.charAt(i + 1);
    if (character === "\\" && (next === "$" || next === "\\" || next === '"' || next === "\n")) {
      if (next !== "\n") text += next;
      i += 2;
    } else if (character === "$") {
      parts.push({ kind: "quoted", text });
      text = "";
      i = splitVariable(raw, i, true, line, parts);
    } else if (character === '"' || character === "") {
      parts.push({ kind: "quoted", text });
      return i + 1;
    } else {
      text += character;
      i++;
    }
  }
}

/** `$"…"`: handed to gettext, which expands the variables itself; `\\` stays doubled for it. */
function splitTranslated(raw: string, start: number, parts: WordPart[]): number {
  let text = "";
  for (let i = start; ; ) {
    const character = raw.charAt(i);
    const next = raw.charAt(i + 1);
    if (character === "\\" && (next === "\\" || next === '"' || next === "\n")) {
      if (next === "\\") text += "\\\\";
      else if (next === '"') text += '"';
      i += 2;
    } else if (character === '"' || character === "") {
      parts.push({ kind: "translated", text });
      return i + 1;
    } else {
      text += character;
      i++;
    }
  }
}

function splitVariable(raw: string, at: number, quoted: boolean, line: number, parts: WordPart[]): number {
  variablePattern.lastIndex = at + 1;
  const match = variablePattern.exec(raw);
  if (match === null) throw new GrubSyntaxError(line, `"$" in double quotes is not followed by a variable's name`);
  parts.push({ kind: "variable", name: match[1] ?? match[2] ?? "", quoted });
  return variablePattern.lastIndex;
}
