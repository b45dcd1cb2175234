import { FormatError, quote } from "../format-error.ts";

/**
 * POSIX extended regular expressions (IEEE Std 1003.1, chapter 9), as the `regexp` command takes them. The pattern is
 * compiled to a small program that runs over the text once, keeping all threads side by side: the time is bounded by
 * pattern length times text length, whatever the pattern. The longest of the leftmost matches is found; where sub-matches
 * could be cut in several ways, the earlier alternative and the greedier repetition win.
 *
 * Back-references (`\\1`, a GNU extension) need all ways to be tried: then the text is short and the work is what `spend` allows.
 * Refused: collating symbols and equivalence classes.
 */
export interface RegularExpression {
  readonly groups: number;
  /** The matched parts (0: the whole match; null: the group took no part), or null; `spend` is told of the work. */
  match(text: string, spend: (steps: number) => void): readonly (string | null)[] | null;
}

/** Instructions of one compiled pattern. */
export const programInstructionsMax = 2000;
/** `{n,m}` up to this; POSIX's RE_DUP_MAX. */
const repeatMax = 255;
const depthMax = 50;
const groupsMax = 20;
/** Characters of a text that a pattern with back-references is matched against. */
export const backReferenceTextMax = 1000;
/** Parts of one match of such a pattern, one behind the other: characters, groups, rounds. Each takes room on the stack. */
export const backReferencePartsMax = 600;

type Instruction =
  | { readonly kind: "character"; readonly accepts: (character: string) => boolean }
  | { readonly kind: "split"; first: number; second: number }
  | { readonly kind: "jump"; target: number }
  | { readonly kind: "save"; readonly slot: number }
  | { readonly kind: "start" }
  | { readonly kind: "end" }
  | { readonly kind: "match" };

type Node =
  | { readonly kind: "accept"; readonly accepts: (character: string) => boolean }
  | { readonly kind: "anchor"; readonly anchor: "start" | "end" }
  | { readonly kind: "group"; readonly index: number; readonly node: Node }
  | { readonly kind: "reference"; readonly index: number }
  | { readonly kind: "sequence"; readonly nodes: readonly Node[] }
  | { readonly kind: "either"; readonly nodes: readonly Node[] }
  | { readonly kind: "repeat"; readonly node: Node; readonly least: number; readonly most: number | null };

/** @throws {FormatError} the pattern is not a regular expression, or it is too large. */
export function compileRegularExpression(pattern: string): RegularExpression {
  const parser = new PatternParser(pattern);
  const node = parser.parse();
  if (parser.hasReferences) {
    return { groups: parser.groups, match: (text, spend) => tryAll(node, parser.groups + 1, text, spend, pattern) };
  }
  const program: Instruction[] = [];
  emit({ kind: "group", index: 0, node }, program, pattern);
  push(program, { kind: "match" }, pattern);
  return { groups: parser.groups, match: (text, spend) => run(program, parser.groups + 1, text, spend) };
}

class PatternParser {
  readonly #pattern: string;
  #at = 0;
  #depth = 0;
  readonly #complete = new Set<number>();
  groups = 0;
  hasReferences = false;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  parse(): Node {
    const node = this.#alternatives();
    if (this.#at < this.#pattern.length) this.#fail('")" without "("');
    return node;
  }

  #fail(detail: string): never {
    throw new FormatError("regexp", `${quote(this.#pattern)}: ${detail}`, { offset: this.#at });
  }

  #peek(): string {
    return this.#pattern.charAt(this.#at);
  }

  #alternatives(): Node {
    if (++this.#depth > depthMax) this.#fail(`groups are taken up to ${depthMax} deep`);
    const nodes = [this.#sequence()];
    while (this.#peek() === "|") {
      this.#at++;
      nodes.push(this.#sequence());
    }
    this.#depth--;
    return nodes.length === 1 && nodes[0] !== undefined ? nodes[0] : { kind: "either", nodes };
  }

  #sequence(): Node {
    const nodes: Node[] = [];
    for (;;) {
      const character = this.#peek();
      if (character === "" || character === "|" || (character === ")" && this.#depth > 1)) break;
      let node = this.#atom(nodes.length === 0);
      let repeats = 0;
      for (let bounds = this.#bounds(); bounds !== null; bounds = this.#bounds()) {
        if (++repeats > depthMax) this.#fail(`repetitions of repetitions are taken up to ${depthMax} deep`);
        node = { kind: "repeat", node, least: bounds.least, most: bounds.most };
      }
      nodes.push(node);
    }
    return { kind: "sequence", nodes };
  }

  #atom(first: boolean): Node {
    const character = this.#peek();
    this.#at++;
    switch (character) {
      case "(": {
        const index = ++this.groups;
        if (index > groupsMax) this.#fail(`at most ${groupsMax} groups are taken`);
        const node = this.#alternatives();
        if (this.#peek() !== ")") this.#fail('"(" without ")"');
        this.#at++;
        this.#complete.add(index);
        return { kind: "group", index, node };
      }
      case "^":
        return { kind: "anchor", anchor: "start" };
      case "$":
        return { kind: "anchor", anchor: "end" };
      case ".":
        return { kind: "accept", accepts: () => true };
      case "[":
        return { kind: "accept", accepts: this.#bracket() };
      case "*":
      case "+":
      case "?":
      case "{":
        if (!first) break;
        this.#at--;
        return this.#fail(`"${character}" repeats nothing`);
      case "\\":
        return this.#escaped();
      default:
        break;
    }
    return { kind: "accept", accepts: (other) => other === character };
  }

  #escaped(): Node {
    const character = this.#peek();
    if (character === "") this.#fail("a backslash at the end");
    if (/[1-9]/.test(character)) {
      if (!this.#complete.has(Number(character))) this.#fail(`no group ${character} ends before "\\${character}"`);
      this.#at++;
      this.hasReferences = true;
      return { kind: "reference", index: Number(character) };
    }
    if (/[0-9A-Za-z<>`']/.test(character)) this.#fail(`"\\${character}" is not taken`);
    this.#at++;
    return { kind: "accept", accepts: (other) => other === character };
  }

  #bounds(): { readonly least: number; readonly most: number | null } | null {
    const character = this.#peek();
    if (character === "*" || character === "+" || character === "?") {
      this.#at++;
      return { least: character === "+" ? 1 : 0, most: character === "?" ? 1 : null };
    }
    if (character !== "{") return null;
    const match = /^\{([0-9]{1,3})(,([0-9]{1,3})?)?\}/.exec(this.#pattern.slice(this.#at, this.#at + 9));
    if (match === null) return this.#fail('"{n}", "{n,}" or "{n,m}" expected');
    const least = Number(match[1]);
    const most = match[2] === undefined ? least : match[3] === undefined ? null : Number(match[3]);
    if (least > repeatMax || (most !== null && (most > repeatMax || most < least))) {
      this.#fail(`a repetition of at most ${repeatMax} expected`);
    }
    this.#at += match[0].length;
    return { least, most };
  }

  #bracket(): (character: string) => boolean {
    const negated = this.#peek() === "^";
    if (negated) this.#at++;
    const tests: ((character: string) => boolean)[] = [];
    for (let first = true; ; first = false) {
      const character = this.#peek();
      if (character === "") this.#fail('"[" without "]"');
      if (character === "]" && !first) break;
      if (character === "[" && ".=".includes(this.#pattern.charAt(this.#at + 1))) {
        this.#fail("a collating symbol or an equivalence class is not taken");
      }
      if (character === "[" && this.#pattern.charAt(this.#at + 1) === ":") tests.push(this.#characterClass());
      else tests.push(this.#range());
    }
    this.#at++;
    return (character) => tests.some((test) => test(character)) !== negated;
  }

  #range(): (character: string) => boolean {
    const low = this.#peek();
    this.#at++;
    const high = this.#pattern.charAt(this.#at + 1);
    if (this.#peek() !== "-" || high === "]" || high === "") return (character) => character === low;
    this.#at += 2;
    if (high < low) this.#fail(`"${low}-${high}" is no range`);
    return (character) => character >= low && character <= high;
  }

  #characterClass(): (character: string) => boolean {
    const end = this.#pattern.indexOf(":]", this.#at);
    const name = end < 0 ? "" : this.#pattern.slice(this.#at + 2, end);
    const test = characterClasses.get(name);
    if (test === undefined) this.#fail(`no character class ${quote(name)}`);
    this.#at = end + 2;
    return (character) => test.test(character);
  }
}

const characterClasses: ReadonlyMap<string, RegExp> = new Map([
  ["alnum", /[0-9A-Za-z]/],
  ["alpha", /[A-Za-z]/],
  ["blank", /[ \t]/],
  ["cntrl", /[\0-\x1f\x7f]/],
  ["digit", /[0-9]/],
  ["graph", /[!-~]/],
  ["lower", /[a-z]/],
  ["print", /[ -~]/],
  ["punct", /[!-/:-@[-`{-~]/],
  ["space", /[ \t\n\v\f\r]/],
  ["upper", /[A-Z]/],
  ["xdigit", /[0-9A-Fa-f]/],
]);

function push(program: Instruction[], instruction: Instruction, pattern: string): number {
  if (program.length >= programInstructionsMax) {
    throw new FormatError(
      "regexp",
      `${quote(pattern)}: the pattern is too large (${programInstructionsMax} instructions)`,
    );
  }
  return program.push(instruction) - 1;
}

function emit(node: Node, program: Instruction[], pattern: string): void {
  switch (node.kind) {
    case "accept":
      push(program, { kind: "character", accepts: node.accepts }, pattern);
      break;
    case "anchor":
      push(program, { kind: node.anchor }, pattern);
      break;
    case "reference":
      throw new FormatError("regexp", `${quote(pattern)}: a back-reference has no instruction`);
    case "group":
      push(program, { kind: "save", slot: node.index * 2 }, pattern);
      emit(node.node, program, pattern);
      push(program, { kind: "save", slot: node.index * 2 + 1 }, pattern);
      break;
    case "sequence":
      for (const part of node.nodes) emit(part, program, pattern);
      break;
    case "either":
      emitEither(node.nodes, program, pattern);
      break;
    case "repeat":
      emitRepeat(node.node, node.least, node.most, program, pattern);
      break;
  }
}

function emitEither(nodes: readonly Node[], program: Instruction[], pattern: string): void {
  const jumps: { kind: "jump"; target: number }[] = [];
  for (const [index, part] of nodes.entries()) {
    const last = index === nodes.length - 1;
    const split = { kind: "split" as const, first: 0, second: 0 };
    if (!last) split.first = push(program, split, pattern) + 1;
    emit(part, program, pattern);
    if (last) break;
    const jump = { kind: "jump" as const, target: 0 };
    push(program, jump, pattern);
    jumps.push(jump);
    split.second = program.length;
  }
  for (const jump of jumps) jump.target = program.length;
}

function emitRepeat(node: Node, least: number, most: number | null, program: Instruction[], pattern: string): void {
  for (let i = 0; i < least; i++) emit(node, program, pattern);
  if (most === null) {
    const split = { kind: "split" as const, first: 0, second: 0 };
    const at = push(program, split, pattern);
    split.first = at + 1;
    emit(node, program, pattern);
    push(program, { kind: "jump", target: at }, pattern);
    split.second = program.length;
    return;
  }
  const splits: { first: number; second: number }[] = [];
  for (let i = least; i < most; i++) {
    const split = { kind: "split" as const, first: 0, second: 0 };
    split.first = push(program, split, pattern) + 1;
    splits.push(split);
    emit(node, program, pattern);
  }
  for (const split of splits) split.second = program.length;
}

interface Thread {
  readonly at: number;
  readonly saved: readonly number[];
}

function run(
  program: readonly Instruction[],
  groups: number,
  text: string,
  spend: (steps: number) => void,
): (string | null)[] | null {
  const characters = [...text];
  let best: readonly number[] | null = null;
  let threads: Thread[] = [];
  for (let position = 0; position <= characters.length; position++) {
    const seen = new Set<number>();
    const ready: Thread[] = [];
    const add = (start: Thread): void => {
      const waiting = [start];
      for (let thread = waiting.pop(); thread !== undefined; thread = waiting.pop()) {
        const { at, saved } = thread;
        const instruction = program[at];
        if (instruction === undefined || seen.has(at)) continue;
        seen.add(at);
        if (instruction.kind === "jump") waiting.push({ at: instruction.target, saved });
        else if (instruction.kind === "split") {
          waiting.push({ at: instruction.second, saved }, { at: instruction.first, saved });
        } else if (instruction.kind === "save") {
          waiting.push({ at: at + 1, saved: saved.with(instruction.slot, position) });
        } else if (instruction.kind === "start") {
          if (position === 0) waiting.push({ at: at + 1, saved });
        } else if (instruction.kind === "end") {
          if (position === characters.length) waiting.push({ at: at + 1, saved });
        } else ready.push(thread);
      }
    };
    for (const thread of threads) add(thread);
    // A match further left wins over one that would start here.
    if (best === null) add({ at: 0, saved: new Array<number>(groups * 2).fill(-1) });
    spend(1 + (seen.size >> 3));
    threads = [];
    let matched = false;
    for (const thread of ready) {
      const instruction = program[thread.at];
      if (instruction?.kind === "match") {
        const start = thread.saved[0] ?? 0;
        if (!matched && (best === null || start <= (best[0] ?? 0))) best = thread.saved;
        matched = true;
      } else if (instruction?.kind === "character") {
        const character = characters[position];
        if (character !== undefined && instruction.accepts(character)) {
          threads.push({ at: thread.at + 1, saved: thread.saved });
        }
      }
    }
    const leftmost = best?.[0];
    if (leftmost !== undefined) threads = threads.filter((thread) => (thread.saved[0] ?? 0) <= leftmost);
    if (threads.length === 0 && best !== null) break;
  }
  return best === null ? null : capturedTexts(best, groups, characters);
}

function capturedTexts(saved: readonly number[], groups: number, characters: readonly string[]): (string | null)[] {
  return Array.from({ length: groups }, (_, group) => {
    const start = saved[group * 2] ?? -1;
    const end = saved[group * 2 + 1] ?? -1;
    return start < 0 || end < 0 ? null : characters.slice(start, end).join("");
  });
}

type Saved = readonly (readonly [number, number] | null)[];
/** Goes on behind a part of the pattern; true where nothing better can come. */
type Next = (position: number, saved: Saved) => boolean;

/** Tries every way of matching, from the left, and keeps the longest of the first place that has one. */
function tryAll(
  node: Node,
  groups: number,
  text: string,
  spend: (steps: number) => void,
  pattern: string,
): (string | null)[] | null {
  const characters = [...text];
  if (characters.length > backReferenceTextMax) {
    throw new FormatError(
      "regexp",
      `${quote(pattern)}: with back-references at most ${backReferenceTextMax} characters are matched`,
    );
  }
  const trial = new Trial(characters, spend, pattern);
  for (let start = 0; start <= characters.length; start++) {
    trial.run(node, start, new Array<null>(groups).fill(null), (end, saved) => {
      if (trial.best === null || end > trial.best.end) trial.best = { end, saved: saved.with(0, [start, end]) };
      return end === characters.length;
    });
    if (trial.best === null) continue;
    return trial.best.saved.map((range) => (range === null ? null : characters.slice(...range).join("")));
  }
  return null;
}

class Trial {
  best: { readonly end: number; readonly saved: Saved } | null = null;
  readonly #characters: readonly string[];
  readonly #spend: (steps: number) => void;
  readonly #pattern: string;
  #depth = 0;

  constructor(characters: readonly string[], spend: (steps: number) => void, pattern: string) {
    this.#characters = characters;
    this.#spend = spend;
    this.#pattern = pattern;
  }

  run(node: Node, at: number, saved: Saved, next: Next): boolean {
    this.#spend(1);
    if (++this.#depth > backReferencePartsMax) {
      const detail = `with back-references a match of at most ${backReferencePartsMax} parts is looked for`;
      throw new FormatError("regexp", `${quote(this.#pattern)}: ${detail}`);
    }
    const isDone = this.#run(node, at, saved, next);
    this.#depth--;
    return isDone;
  }

  #run(node: Node, at: number, saved: Saved, next: Next): boolean {
    switch (node.kind) {
      case "accept": {
        const character = this.#characters[at];
        return character !== undefined && node.accepts(character) && next(at + 1, saved);
      }
      case "anchor":
        return at === (node.anchor === "start" ? 0 : this.#characters.length) && next(at, saved);
      case "group":
        return this.run(node.node, at, saved, (end, inner) => next(end, inner.with(node.index, [at, end])));
      case "reference":
        return this.#reference(saved[node.index] ?? null, at, saved, next);
      case "sequence":
        return this.#sequence(node.nodes, at, saved, next);
      case "either":
        return node.nodes.some((part) => this.run(part, at, saved, next));
      case "repeat":
        return this.#repeat(node.node, node.least, node.most, at, saved, next);
    }
  }

  #reference(range: readonly [number, number] | null, at: number, saved: Saved, next: Next): boolean {
    if (range === null) return false;
    const wanted = this.#characters.slice(...range);
    return (
      wanted.every((character, index) => this.#characters[at + index] === character) && next(at + wanted.length, saved)
    );
  }

  #sequence(nodes: readonly Node[], at: number, saved: Saved, next: Next): boolean {
    const [first, ...rest] = nodes;
    if (first === undefined) return next(at, saved);
    return this.run(first, at, saved, (end, inner) => this.#sequence(rest, end, inner, next));
  }

  /** As often as can be first; an empty round more would go on for ever. */
  #repeat(node: Node, least: number, most: number | null, at: number, saved: Saved, next: Next): boolean {
    const again = (end: number, inner: Saved): boolean =>
      (end > at || least > 0) &&
      this.#repeat(node, Math.max(0, least - 1), most === null ? null : most - 1, end, inner, next);
    if ((most === null || most > 0) && this.run(node, at, saved, again)) return true;
    return least === 0 && next(at, saved);
  }
}
