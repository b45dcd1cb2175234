import { syslinuxLineBytesMax } from "./limits.ts";
import { withUnknownNamed } from "./unknown-word.ts";

/**
 * Text of a configuration while it is evaluated: one character a byte (Latin-1), as syslinux counts and compares it.
 * {@link utf8Text} makes text of it.
 */
export type ByteText = string;

/** A blank to the parser (`my_isspace`): every control character is one. */
export function isBlank(character: string): boolean {
  return character <= " " || character === "\x7f";
}

/** Without the white space in front. */
export function skipSpace(text: ByteText): ByteText {
  let at = 0;
  while (at < text.length && " \t\n\v\f\r".includes(text.charAt(at))) at++;
  return text.slice(at);
}

/** The first word, and what stands behind it with its blanks. */
export function firstWord(text: ByteText): { readonly word: ByteText; readonly rest: ByteText } {
  let end = 0;
  while (end < text.length && !isBlank(text.charAt(end))) end++;
  return { word: text.slice(0, end), rest: text.slice(end) };
}

/** The words between white space. */
export function splitWords(text: ByteText): ByteText[] {
  return text.split(/[ \t\n\v\f\r]+/).filter((word) => word !== "");
}

/**
 * What stands behind a keyword, with its blanks; null where the line does not begin with it. Case does not matter; the
 * line ends behind the keyword or a blank follows.
 */
export function behindKeyword(line: ByteText, keyword: string): ByteText | null {
  const found = line.slice(0, keyword.length).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (found !== keyword) return null;
  const rest = line.slice(keyword.length);
  return rest === "" || isBlank(rest.charAt(0)) ? rest : null;
}

/** C's `atoi`: what is no number counts as 0. Numbers outside of 32 bits are cut to them. */
export function atoi(text: ByteText): number {
  const digits = /^[ \t\n\v\f\r]*([-+]?)(\d{1,18})/.exec(text);
  return digits === null ? 0 : Number(`${digits[1]}${digits[2]}`) | 0;
}

/** C's `strtoul` with base 0: decimal, `0x` hexadecimal, `0` octal; what is no number counts as 0. 32 bits. */
export function unsignedNumber(text: ByteText): number {
  const value = /^[ \t\n\v\f\r]*(?:0[xX]([0-9a-fA-F]{1,13})|(0[0-7]{0,16})|(\d{1,15}))/.exec(text);
  if (value === null) return 0;
  const [, hexadecimal, octal, decimal] = value;
  if (hexadecimal !== undefined) return Number.parseInt(hexadecimal, 16) >>> 0;
  return Number.parseInt(octal ?? decimal ?? "0", octal === undefined ? 10 : 8) >>> 0;
}

export interface SyslinuxLine {
  /** Counts from 1. */
  readonly number: number;
  readonly text: ByteText;
}

/**
 * The lines as syslinux reads them: a line over its buffer goes on as a further line, and a line ends at its first
 * carriage return or NUL.
 */
export function syslinuxLines(text: ByteText): SyslinuxLine[] {
  const lines: SyslinuxLine[] = [];
  let number = 1;
  for (let at = 0; at < text.length; number++) {
    const newline = text.indexOf("\n", at);
    const end = newline < 0 ? text.length : newline;
    for (let start = at; start === at || start < end; start += syslinuxLineBytesMax) {
      const part = text.slice(start, Math.min(end, start + syslinuxLineBytesMax));
      const stop = part.search(/[\r\0]/);
      lines.push({ number, text: stop < 0 ? part : part.slice(0, stop) });
    }
    at = end + 1;
  }
  return lines;
}

/** The bytes as UTF-8; null where they are none. */
export function utf8Text(text: ByteText): string | null {
  if (!/[\x80-\xff]/.test(text)) return text;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(text, (character) => character.charCodeAt(0)),
    );
  } catch {
    return null;
  }
}

/** For people: UTF-8, or each other byte as `?`. */
export function shownText(text: ByteText): string {
  const shown = withUnknownNamed(text);
  return utf8Text(shown) ?? shown.replace(/[\x80-\xff]/g, "?");
}

/** Text as bytes, one character each. */
export function byteText(text: string): ByteText {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}
