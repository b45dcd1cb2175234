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

/** As the `test` command reads numbers (`grub_strtosl`): a sign is taken, what is no number counts as 0. */
export function testNumber(text: string): number {
  if (text.startsWith("-")) return -(leadingNumber(text.slice(1))?.value ?? 0);
  return leadingNumber(text)?.value ?? 0;
}
