import { FormatError, quote } from "./format-error.ts";

/** Longest pattern, in characters: file names, which it is for, have 255 at most. */
export const globCharactersMax = 256;

type Token =
  | { readonly kind: "star" }
  | { readonly kind: "any" }
  | { readonly kind: "character"; readonly character: string }
  | { readonly kind: "set"; readonly negated: boolean; readonly ranges: readonly (readonly [string, string])[] };

/** A pattern that {@link parseGlob} has understood. */
export interface Glob {
  readonly pattern: string;
  readonly tokens: readonly Token[];
}

/**
 * Parses a pattern as fnmatch(3) without flags takes it: `*`, `?`, `[abc]`, `[a-z]`, `[!x]` and `[^x]`, and `\` before a
 * character that stands for itself. `/` and a leading `.` are characters like others.
 *
 * Throws {@link FormatError} for a set that is not closed, a range that runs backwards, a `\` at the end, a pattern over
 * {@link globCharactersMax}, and for the POSIX classes (`[[:alpha:]]`, `[[=a=]]`, `[[.a.]]`), which are not supported: a
 * pattern is never taken for something else than it says.
 */
export function parseGlob(pattern: string): Glob {
  if (pattern.length > globCharactersMax) {
    throw new FormatError("glob", `${pattern.length} characters, at most ${globCharactersMax} are taken`);
  }
  const characters = [...pattern];
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? "";
    if (character === "*") {
      if (tokens.at(-1)?.kind !== "star") tokens.push({ kind: "star" });
    } else if (character === "?") {
      tokens.push({ kind: "any" });
    } else if (character === "[") {
      const set = parseSet(characters, at, pattern);
      tokens.push(set.token);
      at = set.last;
    } else {
      if (character === "\\") at++;
      tokens.push({ kind: "character", character: plainCharacter(characters[at], pattern) });
    }
  }
  return { pattern, tokens };
}

/** Returns the set's token and the index of its closing bracket. */
function parseSet(characters: readonly string[], open: number, pattern: string): { token: Token; last: number } {
  const negated = characters[open + 1] === "!" || characters[open + 1] === "^";
  const first = open + (negated ? 2 : 1);
  const ranges: (readonly [string, string])[] = [];
  let at = first;
  const next = (): string => {
    if (characters[at] === "\\") at++;
    const character = plainCharacter(characters[at], pattern);
    at++;
    return character;
  };
  // A bracket that closes is not the first character: "[]]" and "[!]]" hold a bracket (POSIX, 9.3.5).
  while (at === first || characters[at] !== "]") {
    if (at >= characters.length) fail(pattern, `"]" expected after "["`);
    if (characters[at] === "[" && ":=.".includes(characters[at + 1] ?? " ")) {
      fail(pattern, `"[${characters[at + 1]}" inside a set is not supported`);
    }
    const low = next();
    const isRange = characters[at] === "-" && characters[at + 1] !== undefined && characters[at + 1] !== "]";
    if (isRange) at++;
    const high = isRange ? next() : low;
    if (codePoint(high) < codePoint(low)) fail(pattern, `range "${low}-${high}" runs backwards`);
    ranges.push([low, high]);
  }
  return { token: { kind: "set", negated, ranges }, last: at };
}

function plainCharacter(character: string | undefined, pattern: string): string {
  return character ?? fail(pattern, "the pattern ends inside a set or after a backslash");
}

function fail(pattern: string, detail: string): never {
  throw new FormatError("glob", `pattern ${quote(pattern)}: ${detail}`);
}

function codePoint(character: string): number {
  return character.codePointAt(0) ?? 0;
}

/**
 * Whether the whole text matches. A later star makes the choices of an earlier one final, so that time is at most
 * pattern length times text length, whatever the input.
 */
export function globMatches(glob: Glob, text: string): boolean {
  const characters = [...text];
  let token = 0;
  let at = 0;
  let afterStar = -1;
  let starTakesUpTo = 0;
  while (at < characters.length) {
    const current = glob.tokens[token];
    if (current?.kind === "star") {
      token++;
      afterStar = token;
      starTakesUpTo = at;
    } else if (current !== undefined && matchesOne(current, characters[at] ?? "")) {
      token++;
      at++;
    } else if (afterStar >= 0) {
      starTakesUpTo++;
      token = afterStar;
      at = starTakesUpTo;
    } else return false;
  }
  while (glob.tokens[token]?.kind === "star") token++;
  return token === glob.tokens.length;
}

function matchesOne(token: Exclude<Token, { kind: "star" }>, character: string): boolean {
  if (token.kind === "any") return true;
  if (token.kind === "character") return token.character === character;
  const point = codePoint(character);
  const inSet = token.ranges.some(([low, high]) => codePoint(low) <= point && point <= codePoint(high));
  return inSet !== token.negated;
}
