import { withUnknownNamed } from "./unknown-value.ts";

/**
 * iPXE works on bytes and knows no character set. Here its text is a string with one character (U+0000 to U+00FF) for each
 * byte: "byte text".
 */
export function byteText(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    pieces.push(String.fromCharCode(...bytes.subarray(at, at + pieceBytes)));
  }
  return pieces.join("");
}

/** Arguments that a call takes without harm to the stack. */
const pieceBytes = 8192;

export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** The byte text of a string. */
export function toByteText(text: string): string {
  return byteText(new TextEncoder().encode(text));
}

/** The string that byte text means; null where it is not UTF-8. */
export function fromByteText(text: string): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytesOf(text));
  } catch {
    return null;
  }
}

/** For a message: what is not UTF-8 becomes U+FFFD, an unknown setting its name. */
export function shownText(text: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytesOf(withUnknownNamed(text)));
}

/** `isspace` of iPXE (include/ctype.h): the ASCII white space. */
export function isSpace(character: string | undefined): boolean {
  return character !== undefined && character !== "" && " \t\n\v\f\r".includes(character);
}

/** The words between white space. */
export function splitWords(text: string): string[] {
  return text.split(/[ \t\n\v\f\r]+/).filter((word) => word !== "");
}

/** What a C string function sees: everything before the first NUL. */
export function beforeNul(text: string): string {
  const end = text.indexOf("\0");
  return end === -1 ? text : text.slice(0, end);
}
