/** A file as GRUB names it: a device (without parentheses) and an absolute path on it. */
export interface GrubFile {
  readonly device: string;
  readonly path: string;
}

/** A file's name in maps: `(hd0,gpt2)/boot/grub/grub.cfg`. */
export function fileKey({ device, path }: GrubFile): string {
  return `(${device})${path}`;
}

/** Where a statement stands; `line` counts from 1. */
export interface GrubPlace {
  readonly file: GrubFile;
  readonly line: number;
}

/** One line of a script without its line end. */
export interface SourceLine {
  /** Counts from 1 in the file that the line came from. */
  readonly number: number;
  readonly text: string;
}

/** A run of lines of one file: a whole configuration, the text between two braces, or a text given to `eval`. */
export interface SourceText {
  readonly file: GrubFile;
  readonly lines: readonly SourceLine[];
}

/**
 * A piece of a word, in the kinds that expand differently (grub-core/script/execute.c, `grub_script_arglist_to_argv`).
 * `text` of an unquoted piece still holds its backslashes: they guard `*` and `?` until the word is expanded.
 */
export type WordPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "quoted"; readonly text: string }
  | { readonly kind: "translated"; readonly text: string }
  | { readonly kind: "variable"; readonly name: string; readonly quoted: boolean };

export interface WordNode {
  readonly parts: readonly WordPart[];
}

/** The `{ … }` behind a command. Its lines are cut out only when it is run: blocks nest, and most are never run twice. */
export interface BlockNode {
  /** The text between the braces. */
  source(): SourceText;
}

export interface IfClause {
  readonly condition: readonly StatementNode[];
  readonly commands: readonly StatementNode[];
}

export type StatementNode =
  | {
      readonly kind: "command";
      readonly place: GrubPlace;
      readonly words: readonly WordNode[];
      readonly block: BlockNode | null;
    }
  | {
      readonly kind: "if";
      readonly place: GrubPlace;
      /** `if` and each `elif`, in order. */
      readonly clauses: readonly IfClause[];
      readonly otherwise: readonly StatementNode[] | null;
    }
  | {
      readonly kind: "for";
      readonly place: GrubPlace;
      readonly variable: string;
      readonly words: readonly WordNode[];
      readonly body: readonly StatementNode[];
    }
  | {
      readonly kind: "while";
      readonly place: GrubPlace;
      /** `until` runs while the condition fails. */
      readonly until: boolean;
      readonly condition: readonly StatementNode[];
      readonly body: readonly StatementNode[];
    };

export interface FunctionNode {
  readonly name: string;
  readonly body: readonly StatementNode[];
}

/**
 * What GRUB parses at once: a line, with the further lines that its quotes, line joins, blocks and compound commands
 * need. Functions are defined when their text is parsed, before the unit's commands run.
 */
export interface ScriptUnit {
  readonly functions: readonly FunctionNode[];
  readonly statements: readonly StatementNode[];
}
