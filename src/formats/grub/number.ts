/** A number read off the start of a text, and the text behind it. */
export interface LeadingNumber {
  readonly value: number;
  readonly rest: string;
}

/**
 * GRUB's `strtoul` (grub-core/kern/misc.c): leading white space, then digits; with base 0, `0x` means 16 and `0` before an
 * octal digit means 8. Null where no digit stands or the number is over 2^53 (GRUB: unrecognized number, overflow).
 */
export function leadingNumber(text: string, base: 0 | 10 = 0): LeadingNumber | null {
  let at = 0;
  while (/[ \t\n\r]/.test(text.charAt(at))) at++;
  let radix = 10;
  if (base === 0 && text.charAt(at) === "0") {
    if (text.charAt(at + 1) === "x") {
      radix = 16;
      at += 2;
    } else if (/[0-7]/.test(text.charAt(at + 1))) radix = 8;
  }
  const start = at;
  let value = 0;
  for (; at < text.length; at++) {
    const digit = Number.parseInt(text.charAt(at), radix);
    if (Number.isNaN(digit)) break;
    value = value * radix + digit;
    if (!Number.isSafeInteger(value)) return null;
  }
  return at === start ? null : { value, rest: text.slice(at) };
}

/** GRUB's `unsigned long long` at its end, which is also what a number too large is read as. */
const longMax = (1n << 64n) - 1n;

/**
 * As the `test` command reads numbers (`grub_strtosl`, then C's `int`): a sign is taken, what is no number counts as 0, and of a
 * number that is too large the lowest 32 bits with their sign count.
 */
export function testNumber(text: string): number {
  const match = /^(-?)[ \t\n\r]*(0x[0-9a-fA-F]+|[0-9]+)/.exec(text.replace(/^[ \t\n\r]+(?!-)/, ""));
  if (match === null) return 0;
  const digits = match[2] ?? "0";
  const octal = /^0[0-7]/.test(digits) ? `0o${/^0([0-7]*)/.exec(digits)?.[1] ?? "0"}` : digits;
  const read = digits.length > numberDigitsMax ? longMax : BigInt(octal);
  const value = read > longMax ? longMax : read;
  return Number(BigInt.asIntN(32, match[1] === "-" ? -value : value));
}

/** Digits of a number that can still be within 64 bits, with zeros before it. */
const numberDigitsMax = 100;
