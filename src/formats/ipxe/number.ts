import { isSpace } from "./byte-text.ts";

export interface ParsedNumber {
  /** Modulo 2^64, as C arithmetic has it. */
  readonly value: bigint;
  /** What stands behind the digits. */
  readonly rest: string;
}

/**
 * `strtoul` of iPXE (core/strtoull.c): white space and a sign are passed over, base 0 takes `0x` and a leading `0`, and
 * text without digits is 0 with everything left.
 */
export function parseUnsigned(text: string, base: 0 | 8 | 10 | 16): ParsedNumber {
  let at = 0;
  while (isSpace(text[at])) at++;
  const isNegative = text[at] === "-";
  if (isNegative || text[at] === "+") at++;
  let radix: number = base;
  if (base === 0) {
    radix = 10;
    if (text[at] === "0") {
      radix = 8;
      at++;
      if (text[at] === "x" || text[at] === "X") {
        radix = 16;
        at++;
      }
    }
  } else if (base === 16 && /^0[xX]/.test(text.slice(at, at + 2))) at += 2;
  let value = 0n;
  for (; at < text.length; at++) {
    const digit = digitValue(text[at]);
    if (digit >= radix) break;
    value = BigInt.asUintN(64, value * BigInt(radix) + BigInt(digit));
  }
  return { value: isNegative ? BigInt.asUintN(64, -value) : value, rest: text.slice(at) };
}

/** 36 and more where a character is no digit of any base. */
export function digitValue(character: string | undefined): number {
  if (character === undefined) return 99;
  const code = character.charCodeAt(0);
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code & ~0x20;
  return letter >= 0x41 && letter <= 0x5a ? letter - 0x41 + 10 : 99;
}

/** A whole word as an unsigned 32-bit number; null where something stands behind the digits. */
export function parseInteger(text: string): number | null {
  const { value, rest } = parseUnsigned(text, 0);
  return rest === "" ? Number(BigInt.asUintN(32, value)) : null;
}
