/**
 * Compares two version strings as the UAPI Version Format Specification 1.0 (UAPI.10, "Version Comparison") says.
 *
 * Every string is a valid input, the empty one included; nothing is thrown. Time is linear in the lengths: numbers of any
 * length are compared digit by digit. Note the specification's own order at the end of a string: `~` sorts below it and
 * everything else above it, so that `1~rc1 < 1 < 1-1 < 1^post < 1.1`.
 */
export function compareVersions(a: string, b: string): -1 | 0 | 1 {
  let i = 0;
  let j = 0;
  for (;;) {
    i = skipIgnored(a, i);
    j = skipIgnored(b, j);
    for (const separator of separators) {
      // Step 3 stands between the tilde and the others: an end is above a tilde and below everything else.
      if (separator === "-" && (i >= a.length || j >= b.length)) return compareEnds(i < a.length, j < b.length);
      const inA = a[i] === separator;
      const inB = b[j] === separator;
      if (inA !== inB) return inA ? -1 : 1;
      // The steps go on behind a separator that both have; what is to be ignored there is not skipped before step 1.
      if (inA) {
        i++;
        j++;
      }
    }
    const numeric = isDigit(a[i]) || isDigit(b[j]);
    const isPart = numeric ? isDigit : isLetter;
    const endA = partEnd(a, i, isPart);
    const endB = partEnd(b, j, isPart);
    const partA = a.slice(i, endA);
    const partB = b.slice(j, endB);
    const order = numeric ? compareNumbers(partA, partB) : compareLetters(partA, partB);
    if (order !== 0) return order;
    i = endA;
    j = endB;
  }
}

/** Steps 2 and 4 to 6 in their order: the string that has the separator compares lower. */
const separators = ["~", "-", "^", "."] as const;

function compareEnds(aGoesOn: boolean, bGoesOn: boolean): -1 | 0 | 1 {
  return aGoesOn === bGoesOn ? 0 : aGoesOn ? 1 : -1;
}

function isDigit(character: string | undefined): boolean {
  return character !== undefined && character >= "0" && character <= "9";
}

function isLetter(character: string | undefined): boolean {
  if (character === undefined) return false;
  return (character >= "a" && character <= "z") || (character >= "A" && character <= "Z");
}

function skipIgnored(text: string, from: number): number {
  let at = from;
  for (; at < text.length; at++) {
    const character = text[at] ?? "";
    if (isDigit(character) || isLetter(character) || "-.~^".includes(character)) break;
  }
  return at;
}

function partEnd(text: string, from: number, isPart: (character: string | undefined) => boolean): number {
  let at = from;
  while (at < text.length && isPart(text[at])) at++;
  return at;
}

/**
 * Step 7. The text says that an empty prefix counts as 0, which would leave `a` against `0` to the next step; the program
 * that it names as its implementation (systemd-analyze compare-versions) puts an empty prefix below every number, and so
 * does systemd-boot, which shares that code. What boots must not depend on the loader: this follows the program.
 */
function compareNumbers(a: string, b: string): -1 | 0 | 1 {
  if (a === "" || b === "") return compareEnds(a !== "", b !== "");
  const x = a.replace(/^0+/, "");
  const y = b.replace(/^0+/, "");
  if (x.length !== y.length) return x.length < y.length ? -1 : 1;
  return compareLetters(x, y);
}

/** Step 8: ASCII order has capitals below small letters, and a prefix below the longer string, as the step asks. */
function compareLetters(a: string, b: string): -1 | 0 | 1 {
  return a === b ? 0 : a < b ? -1 : 1;
}
