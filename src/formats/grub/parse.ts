import type { FunctionNode, GrubPlace, IfClause, ScriptUnit, StatementNode, WordNode } from "./ast.ts";
import { GrubSyntaxError, Lexer, type LineReader, type Token } from "./lex.ts";

/** What became of one unit: its commands, or the error that costs it. */
export type ParsedUnit =
  | { readonly ok: true; readonly unit: ScriptUnit; readonly tokens: number }
  | {
      readonly ok: false;
      readonly line: number;
      readonly message: string;
      readonly tokens: number;
      /** Functions that were complete before the error: GRUB has them. */
      readonly functions: readonly FunctionNode[];
    };

/**
 * Parses the next unit of a script (grub-core/script/parser.y): one line with the lines that it needs. A syntax error
 * costs the lines taken up to it and nothing else; the reader then stands at the line that GRUB goes on with.
 */
export function parseUnit(reader: LineReader, nestingMax: number): ParsedUnit {
  const parser = new Parser(reader, nestingMax);
  try {
    return { ok: true, unit: parser.unit(), tokens: parser.tokens };
  } catch (error) {
    if (!(error instanceof GrubSyntaxError)) throw error;
    const { functions, tokens } = parser;
    return { ok: false, line: error.line, message: `syntax error: ${error.message}`, tokens, functions };
  }
}

class Parser {
  readonly #reader: LineReader;
  readonly #lexer: Lexer;
  readonly #nestingMax: number;
  /** Open blocks and compound commands: while there are any, a unit goes on behind the end of the line. */
  #nesting = 0;
  #ahead: Token | null = null;
  readonly functions: FunctionNode[] = [];

  constructor(reader: LineReader, nestingMax: number) {
    this.#reader = reader;
    this.#lexer = new Lexer(reader);
    this.#nestingMax = nestingMax;
  }

  get tokens(): number {
    return this.#lexer.tokens;
  }

  unit(): ScriptUnit {
    const statements: StatementNode[] = [];
    this.#newlines();
    while (this.#peek().kind !== "end") {
      if (this.#isKeyword("function")) this.functions.push(this.#function());
      else statements.push(this.#command());
      this.#delimiter();
      this.#newlines();
    }
    return { functions: this.functions, statements };
  }

  #peek(): Token {
    this.#ahead ??= this.#lexer.token(this.#nesting > 0);
    return this.#ahead;
  }

  #take(): Token {
    const token = this.#peek();
    this.#ahead = null;
    return token;
  }

  #isKeyword(text: string): boolean {
    const token = this.#peek();
    return token.kind === "keyword" && token.text === text;
  }

  #fail(expected: string): never {
    const token = this.#peek();
    const found = token.kind === "newline" || token.kind === "end" ? "the end of the line" : `"${token.text}"`;
    throw new GrubSyntaxError(token.line, `${expected} expected, not ${found}`);
  }

  #enter(): void {
    if (++this.#nesting > this.#nestingMax) {
      throw new GrubSyntaxError(
        this.#ahead?.line ?? 1,
        `${this.#nesting} blocks inside one another, at most ${this.#nestingMax} are taken`,
      );
    }
  }

  #expectKeyword(text: string): void {
    if (!this.#isKeyword(text)) this.#fail(`"${text}"`);
    this.#take();
  }

  #delimiter(): void {
    const kind = this.#peek().kind;
    if (kind !== ";" && kind !== "newline") this.#fail('";" or the end of the line');
    this.#take();
  }

  #newlines(): void {
    while (this.#peek().kind === "newline") this.#take();
  }

  /** One delimiter, then any number of newlines; false where none stands. */
  #delimiters(): boolean {
    const kind = this.#peek().kind;
    if (kind !== ";" && kind !== "newline") return false;
    this.#take();
    this.#newlines();
    return true;
  }

  /** Commands up to what is no command; whether a delimiter stood behind the last one is told too. */
  #commands(): { readonly list: StatementNode[]; readonly delimited: boolean } {
    const list: StatementNode[] = [];
    this.#newlines();
    list.push(this.#command());
    for (;;) {
      if (!this.#delimiters()) return { list, delimited: false };
      if (!this.#startsCommand()) return { list, delimited: true };
      list.push(this.#command());
    }
  }

  #delimitedCommands(): StatementNode[] {
    const { list, delimited } = this.#commands();
    if (!delimited) this.#fail('";" or the end of the line');
    return list;
  }

  #startsCommand(): boolean {
    const { kind, text } = this.#peek();
    if (kind === "keyword") return text === "if" || text === "for" || text === "while" || text === "until";
    return kind === "word" || kind === "name";
  }

  #command(): StatementNode {
    const token = this.#peek();
    const place: GrubPlace = { file: this.#lexer.file, line: token.line };
    if (token.kind === "keyword") {
      if (token.text === "if") return this.#if(place);
      if (token.text === "for") return this.#for(place);
      if (token.text === "while" || token.text === "until") return this.#while(place, token.text === "until");
    }
    if (token.kind !== "word" && token.kind !== "name") this.#fail("a command");
    return this.#simple(place);
  }

  #simple(place: GrubPlace): StatementNode {
    const words = this.#words();
    if (this.#peek().kind !== "{") return { kind: "command", place, words, block: null };
    const open = this.#take().at;
    this.#enter();
    this.#commands();
    const close = this.#peek();
    if (close.kind !== "}") this.#fail('"}"');
    this.#take();
    this.#nesting--;
    const block = this.#reader.block({ index: open.index, column: open.column + 1 }, close.at);
    return { kind: "command", place, words, block };
  }

  #words(): WordNode[] {
    const words: WordNode[] = [];
    for (;;) {
      const { word } = this.#peek();
      if (word === null) return words;
      words.push(word);
      this.#take();
    }
  }

  #if(place: GrubPlace): StatementNode {
    this.#take();
    this.#enter();
    const clauses: IfClause[] = [this.#ifClause()];
    while (this.#isKeyword("elif")) {
      this.#take();
      clauses.push(this.#ifClause());
    }
    let otherwise: StatementNode[] | null = null;
    if (this.#isKeyword("else")) {
      this.#take();
      otherwise = this.#delimitedCommands();
    }
    this.#expectKeyword("fi");
    this.#nesting--;
    return { kind: "if", place, clauses, otherwise };
  }

  #ifClause(): IfClause {
    const condition = this.#delimitedCommands();
    this.#expectKeyword("then");
    return { condition, commands: this.#delimitedCommands() };
  }

  #for(place: GrubPlace): StatementNode {
    this.#take();
    const name = this.#peek();
    if (name.kind !== "name") this.#fail("the name of a variable");
    this.#take();
    this.#enter();
    this.#expectKeyword("in");
    const words = this.#words();
    const body = this.#loopBody();
    return { kind: "for", place, variable: name.text, words, body };
  }

  #while(place: GrubPlace, until: boolean): StatementNode {
    this.#take();
    this.#enter();
    const condition = this.#delimitedCommands();
    return { kind: "while", place, until, condition, body: this.#loopBody(false) };
  }

  #loopBody(needsDelimiter = true): StatementNode[] {
    if (needsDelimiter && !this.#delimiters()) this.#fail('";" or the end of the line');
    this.#expectKeyword("do");
    const body = this.#delimitedCommands();
    this.#expectKeyword("done");
    this.#nesting--;
    return body;
  }

  #function(): FunctionNode {
    this.#take();
    const name = this.#peek();
    if (name.kind !== "name") this.#fail("the name of a function");
    this.#take();
    this.#enter();
    this.#newlines();
    if (this.#peek().kind !== "{") this.#fail('"{"');
    this.#take();
    const body = this.#delimitedCommands();
    if (this.#peek().kind !== "}") this.#fail('"}"');
    this.#take();
    this.#nesting--;
    return { name: name.text, body };
  }
}
