import type { Tainted } from "./inputs.ts";
import { leadingNumber, testNumber } from "./number.ts";
import { LimitError } from "./problem.ts";

export interface TestedFile {
  readonly directory: boolean;
  /** Bytes. */
  readonly size: number;
}

export interface TestWorld {
  /** Null where there is no such file. */
  file(path: Tainted): Promise<TestedFile | null>;
  /** Told when an operator cannot be answered; it then counts as false. */
  unanswered(reason: string): void;
}

/** Parentheses inside one another. */
const parenthesesMax = 50;

/**
 * `test EXPRESSION` and `[ EXPRESSION ]` (grub-core/commands/test.c; manual, "test"). As in GRUB there is no precedence
 * but that of `-a` over `-o`, words side by side are joined by `-a`, and a `!` turns the next test only. Operators of
 * three words are looked for before those of two, so `[ = 0 ]` is two texts that are not empty.
 *
 * The times of files are not known here: `-nt` and `-ot` answer only whether one of the two exists alone.
 */
export async function evaluateTest(words: readonly Tainted[], world: TestWorld): Promise<boolean> {
  const list = words.at(-1)?.text === "]" ? words.slice(0, -1) : words;
  return new TestParser(list, world).expression(0);
}

class TestParser {
  readonly #words: readonly Tainted[];
  readonly #world: TestWorld;
  #at = 0;

  constructor(words: readonly Tainted[], world: TestWorld) {
    this.#words = words;
    this.#world = world;
  }

  #word(offset: number): Tainted {
    return this.#words[this.#at + offset] ?? { text: "", inputs: new Set() };
  }

  async expression(depth: number): Promise<boolean> {
    if (depth > parenthesesMax) throw new LimitError(`test: parentheses are taken up to ${parenthesesMax} deep`);
    let and = true;
    let or = false;
    let invert = false;
    const take = (value: boolean): void => {
      and = and && value !== invert;
      invert = false;
    };
    while (this.#at < this.#words.length) {
      const value = (await this.#comparison()) ?? (await this.#unary());
      if (value !== null) {
        take(value);
        continue;
      }
      const { text } = this.#word(0);
      this.#at++;
      if (text === ")") break;
      if (text === "(") take(await this.expression(depth + 1));
      else if (text === "!") invert = !invert;
      else if (text === "-o") {
        or = or || and;
        and = true;
      } else if (text !== "-a") take(text !== "");
    }
    return or || and;
  }

  async #comparison(): Promise<boolean | null> {
    if (this.#at + 2 >= this.#words.length) return null;
    const operator = this.#word(1).text;
    const compare = comparisons.get(operator);
    if (compare !== undefined) {
      const value = compare(this.#word(0).text, this.#word(2).text);
      this.#at += 3;
      return value;
    }
    if (!operator.startsWith("-nt") && !operator.startsWith("-ot")) return null;
    const first = await this.#world.file(this.#word(0));
    const second = await this.#world.file(this.#word(2));
    if (first !== null && second !== null) this.#world.unanswered(`${operator}: the times of files are not known`);
    this.#at += 3;
    return operator.startsWith("-nt") ? first !== null && second === null : first === null && second !== null;
  }

  async #unary(): Promise<boolean | null> {
    if (this.#at + 1 >= this.#words.length) return null;
    const operator = this.#word(0).text;
    const operand = this.#word(1);
    let value: boolean;
    if (operator === "-n") value = operand.text !== "";
    else if (operator === "-z") value = operand.text === "";
    else if (operator === "-d" || operator === "-e" || operator === "-f" || operator === "-s") {
      const file = await this.#world.file(operand);
      if (operator === "-e") value = file !== null;
      else if (operator === "-d") value = file?.directory ?? false;
      else value = file !== null && !file.directory && (operator === "-f" || file.size > 0);
    } else return null;
    this.#at += 2;
    return value;
  }
}

const comparisons: ReadonlyMap<string, (left: string, right: string) => boolean> = new Map([
  ["=", (left, right) => left === right],
  ["==", (left, right) => left === right],
  ["!=", (left, right) => left !== right],
  ["<", (left, right) => byteOrder(left, right) < 0],
  ["<=", (left, right) => byteOrder(left, right) <= 0],
  [">", (left, right) => byteOrder(left, right) > 0],
  [">=", (left, right) => byteOrder(left, right) >= 0],
  ["-eq", (left, right) => testNumber(left) === testNumber(right)],
  ["-ne", (left, right) => testNumber(left) !== testNumber(right)],
  ["-lt", (left, right) => testNumber(left) < testNumber(right)],
  ["-le", (left, right) => testNumber(left) <= testNumber(right)],
  ["-gt", (left, right) => testNumber(left) > testNumber(right)],
  ["-ge", (left, right) => testNumber(left) >= testNumber(right)],
  ["-pgt", (left, right) => prefixedOrder(left, right) > 0],
  ["-plt", (left, right) => prefixedOrder(left, right) < 0],
]);

function byteOrder(left: string, right: string): number {
  const encoder = new TextEncoder();
  const a = encoder.encode(left);
  const b = encoder.encode(right);
  for (let i = 0; i < a.length && i < b.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Compares the numbers behind the common start of two names: `vmlinuz-2` is before `vmlinuz-11`. */
function prefixedOrder(left: string, right: string): number {
  let at = 0;
  while (at < left.length && left[at] === right[at]) at++;
  at--;
  while (at > 0 && /[0-9]/.test(left.charAt(at))) at--;
  at++;
  const number = (text: string): number => leadingNumber(text.slice(at))?.value ?? 0;
  return number(left) - number(right);
}
