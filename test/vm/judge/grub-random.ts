import { randomNumbers } from "../../fakes/random-numbers.ts";
import type { GrubCase } from "./grub-corpus.ts";

/** What the scripts are made of: words and quotes; conditions of `test`; loops, functions, errors; what looks around. */
export type ScriptKind = "words" | "tests" | "flow" | "commands";

export const scriptKinds: readonly ScriptKind[] = ["words", "tests", "flow", "commands"];

/** Scripts of one configuration; what they leave has to go into the 4095 bytes of a command line. */
const scriptsOfCase = 40;
const depthMax = 3;

/** A variable in braces. */
const braced = (name: string): string => ["$", "{", name, "}"].join("");
const pieces = [
  ...[
    "a",
    "b1",
    "x=y",
    "-n",
    "$a",
    braced("b"),
    "$c",
    "$un",
    braced("un"),
    "'s q'",
    "''",
    "'\"'",
    '""',
    '"d q"',
    '"$a"',
  ],
  ...[
    `"${braced("b")}z"`,
    '"$un"',
    '"\\$a"',
    "\\ ",
    "\\$",
    "\\'",
    '"\'"',
    "\\\\",
    "a#",
    "=",
    "[",
    "]",
    "!",
    "$?",
    "$#",
    "$1",
  ],
  ...["$@", '"$@"', "$*", '"$*"', "\\;", "\\{", "-", "$1a", '"a\\nb"', "'\\n'", '"\\x"', "%", "~", "^", ",", ":", "?"],
];
/** A comment in a compound command would leave that without its end. */
const plainPieces = ["#"];
/** Unquoted, most of these are errors. */
const oddPieces = ["/", "*x", "<", ">", "\\<", "|", "&"];
const operands = [
  ...["a", "b", "1", "2", "10", "-1", "0x10", "''", "$a", "$un", '"$b"', "\\(", "\\)", "!", "-f", "-d", "-e", "-s"],
  ...["-z", "-n", "-a", "-o", "=", "/boot", "/boot/vmlinuz-1", "/nowhere", "abc", "x9", "x10"],
];
const operators = [
  ...["=", "==", "!=", "\\<", "\\>", "\\<=", "\\>=", "-eq", "-ne", "-lt", "-gt", "-le", "-ge", "-pgt", "-plt"],
  ...["-a", "-o"],
];
const expressions = [
  ...["(a+)", "^(.)", "([0-9]+)$", "(x|y)*", "[[:alpha:]]*(.)", "(.)(.)", "()", "(a|b)+c?", "[^x]*(z?)", "\\.(.)"],
  ...["a{2,3}(b*)", "(", "[[:digit:]", "a|b|", "(a)|(b)"],
];
const subjects = ["abc", "aab", "x1y22", "a.b", "zzz", "'a b c'", "$b", "caab12", "''"];
const evaluated = [
  ...["r=1", "'r=$a'", '"r=\\$b"', "'keep $c'", '"keep \\"$b\\" x"', "if true\\; then r=t\\; fi", "'function h'"],
  ...["'if false; then r=1; else r=2; fi'", "'function h { r=h$1; }; h x'", "'r=\"'"],
];
const patterns = [
  ...["/boot/vm*", "/boot/initrd-?", "/b*/vmlinuz-1*", "/boot/*[12]", "/boot/grub/*.cfg", "(hd0,*)/b*", "/boot/x*n"],
  ...['/boot/"vm"*-1', "/boot/vml'inuz*'", "/e*c/os-*", "(*)/b*", "*/boot", "/boot/vm\\*", "$a*", "?", "/nowhere/*"],
];

/** A grammar's scripts, the same for the same seed. */
class ScriptMaker {
  readonly #next: () => number;
  readonly #pieces: readonly string[];
  #loops = 0;

  constructor(seed: number, withOdd: boolean) {
    this.#next = randomNumbers(seed);
    this.#pieces = [...pieces, ...(withOdd ? oddPieces : plainPieces)];
  }

  script(kind: ScriptKind): string {
    switch (kind) {
      case "words":
        return this.#pick([`keep ${this.#words(4)}`, `set r=${this.#word()}${this.#word()}`, `r=${this.#word()}`]);
      case "tests":
        return `if [ ${this.#test()} ]; then r=T; else r=F; fi`;
      case "flow":
        return this.#flow(depthMax);
      case "commands":
        return this.#pick([
          `regexp --set r '${this.#pick(expressions)}' ${this.#pick(subjects)}`,
          `eval ${this.#pick(evaluated)}`,
          `for f in ${this.#pick(patterns)}; do r="$r $f"; done`,
        ]);
    }
  }

  #below(count: number): number {
    return Math.floor((this.#next() / 2 ** 31) * count);
  }

  #pick(choices: readonly string[]): string {
    return choices[this.#below(choices.length)] ?? "";
  }

  #several(countMax: number, make: () => string): string[] {
    return Array.from({ length: 1 + this.#below(countMax) }, make);
  }

  #word(): string {
    return this.#several(3, () => this.#pick(this.#pieces)).join("");
  }

  #words(countMax: number): string {
    return this.#several(countMax, () => this.#word()).join(" ");
  }

  #comparison(): string {
    return [this.#pick(operands), this.#pick(operators), this.#pick(operands)].join(" ");
  }

  #test(): string {
    switch (this.#below(4)) {
      case 0:
        return this.#several(6, () => this.#pick(operands)).join(" ");
      case 1:
        return `${this.#pick(["", "! "])}${this.#comparison()} ${this.#pick(["-a", "-o"])} ${this.#pick(operands)}`;
      default:
        return this.#comparison();
    }
  }

  #command(): string {
    return this.#pick([
      ...[
        `r=${this.#word()}`,
        `set r=${this.#word()}`,
        `keep ${this.#words(3)}`,
        `set ${this.#word()}`,
        "true",
        "false",
      ],
      ...[`no_such_command ${this.#word()}`, `test ${this.#test()}`, `[ ${this.#test()} ]`, "unset a", "unset r"],
      ...[`! test ${this.#test()}`, `echo ${this.#word()}`],
    ]);
  }

  #flow(depth: number): string {
    if (depth <= 0) return this.#command();
    const inner = (): string => this.#flow(depth - 1);
    switch (this.#below(8)) {
      case 0:
        return `if ${inner()}; then ${inner()}; else ${inner()}; fi`;
      case 1:
        return `if ${this.#command()}; then ${inner()}; elif ${this.#command()}; then ${inner()}; fi`;
      case 2:
        return `for i in ${this.#words(3)}; do ${inner()}; done`;
      case 3: {
        const leave = this.#pick(["break", "continue", "true"]);
        return `for i in 1 2 3; do r="$r$i"; if test $i = 2; then ${leave}; fi; ${inner()}; r="$r."; done`;
      }
      case 4: {
        const counter = `count${++this.#loops}`;
        return `${counter}=; while test "$${counter}" != xx; do ${counter}="x$${counter}"; ${inner()}; done`;
      }
      case 5: {
        const leave = this.#pick(["return 3", "return", "true"]);
        return `function g { ${this.#command()}; ${leave}; r="$r!"; }; g ${this.#words(3)}`;
      }
      case 6:
        return `${inner()}; ${inner()}`;
      default:
        return this.#command();
    }
  }
}

/**
 * A case of random scripts on the disk of another one. Each leaves two variables and a status, which become the words of a
 * kernel; a syntax error costs itself, in GRUB too.
 */
export function randomCase(plain: GrubCase, kind: ScriptKind, seed: number): GrubCase {
  const maker = new ScriptMaker(seed, kind === "flow");
  const scripts = Array.from({ length: scriptsOfCase }, () => maker.script(kind));
  const text = [
    "set timeout=0",
    'function keep { r="$#<$1><$2><$3>"; shift; r2="$*"; }',
    ...scripts.flatMap((script, index) => [
      "a=one; b='t w'; c='  l  '; r=; r2=; unset un; true",
      script,
      `set s=$?; out="$out ${index}:[$r|$r2|$s]"`,
    ]),
    "menuentry 'What they left' { linux /boot/vmlinuz-1 \"$out\" }",
    "",
  ].join("\n");
  const [boot, ...others] = plain.volumes;
  if (boot === undefined) throw new Error(`make random scripts: case "${plain.name}" has no volume`);
  const volumes = [{ ...boot, files: { ...boot.files, [plain.menu.path]: text } }, ...others];
  return { ...plain, name: `random-${kind}-${seed}`, what: `random scripts, ${kind}`, volumes, entries: [] };
}
