import { FormatError } from "../format-error.ts";

/**
 * GRUB's environment block (`grubenv`; grub-core/lib/envblk.c): a signature line, `name=value` lines, and `#` up to the
 * file's size. In a value, a backslash guards the character after it; a newline in a value is written as backslash and
 * newline. Numbers of bytes never change: GRUB writes the block back in place.
 */
export interface EnvironmentVariable {
  readonly name: string;
  readonly value: string;
}

/** A variable with the line that it stands in, which counts from 1. */
export interface EnvironmentLine extends EnvironmentVariable {
  readonly line: number;
}

export const environmentSignature = "# GRUB Environment Block\n";

const newline = 0x0a;
const backslash = 0x5c;
const hash = 0x23;
const equals = 0x3d;
/** GRUB compares with the signature's array, which holds a NUL too: a block must be one byte longer. */
const blockBytesMin = environmentSignature.length + 1;

/**
 * The variables of a block in file order (a name may come twice; the last one holds). As GRUB reads it, a line that is cut
 * off by the end of the block ends the list without an error.
 *
 * @throws {FormatError} the signature is missing.
 */
export function parseEnvironment(bytes: Uint8Array): EnvironmentLine[] {
  checkSignature(bytes);
  const variables: EnvironmentLine[] = [];
  let line = 2;
  let at = environmentSignature.length;
  const goOn = (next: number): void => {
    for (; at < Math.min(next, bytes.length); at++) line += Number(bytes[at] === newline);
    at = next;
  };
  while (at < bytes.length) {
    if (bytes[at] === hash) {
      goOn(lineEnd(bytes, at) + 1);
      continue;
    }
    const equalsAt = bytes.indexOf(equals, at);
    if (equalsAt < 0) break;
    const end = lineEnd(bytes, equalsAt + 1);
    if (end >= bytes.length) break;
    variables.push({
      name: decode(bytes.subarray(at, equalsAt)),
      value: unescapeValue(bytes.subarray(equalsAt + 1, end)),
      line,
    });
    goOn(end + 1);
  }
  return variables;
}

/**
 * The block with variables set (a text) or removed (null), exactly as long as before.
 *
 * @throws {FormatError} the signature is missing, a name cannot be written, or the values need more room than there is.
 */
export function updateEnvironment(
  bytes: Uint8Array,
  changes: readonly { readonly name: string; readonly value: string | null }[],
): Uint8Array {
  let variables: readonly EnvironmentVariable[] = parseEnvironment(bytes);
  for (const { name, value } of changes) {
    if (name === "" || /[=\n\\#\0]/.test(name)) {
      throw new FormatError("grubenv", `the name ${JSON.stringify(name)} cannot stand in an environment block`);
    }
    const at = variables.findLastIndex((variable) => variable.name === name);
    if (value === null) variables = variables.filter((variable) => variable.name !== name);
    else if (at >= 0) variables = variables.map((variable, index) => (index === at ? { name, value } : variable));
    else variables = [...variables, { name, value }];
  }
  const text = new TextEncoder().encode(
    header(bytes) + variables.map(({ name, value }) => `${name}=${escapeValue(value)}\n`).join(""),
  );
  if (text.length > bytes.length) {
    throw new FormatError("grubenv", `${text.length} bytes, the environment block holds ${bytes.length}`);
  }
  const block = new Uint8Array(bytes.length).fill(hash);
  block.set(text);
  return block;
}

function checkSignature(bytes: Uint8Array): void {
  const found = decode(bytes.subarray(0, environmentSignature.length));
  if (bytes.length < blockBytesMin || found !== environmentSignature) {
    throw new FormatError("grubenv", 'the line "# GRUB Environment Block" expected', { offset: 0 });
  }
}

/** The signature and the comment lines right below it (newer tools put a warning there). */
function header(bytes: Uint8Array): string {
  let at = environmentSignature.length;
  while (bytes[at] === hash) {
    const end = lineEnd(bytes, at);
    // Padding has no newline behind it.
    if (end >= bytes.length) break;
    at = end + 1;
  }
  return decode(bytes.subarray(0, at));
}

/** The newline that ends the line, or the end of the block or one byte past it where none does. */
function lineEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && bytes[at] !== newline) at += bytes[at] === backslash ? 2 : 1;
  return at;
}

function unescapeValue(bytes: Uint8Array): string {
  const kept: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === backslash) i++;
    const byte = bytes[i];
    if (byte !== undefined) kept.push(byte);
  }
  return decode(Uint8Array.from(kept));
}

function escapeValue(value: string): string {
  return value.replace(/[\\\n]/g, "\\$&");
}

/** GRUB takes bytes as they are; what is no UTF-8 becomes U+FFFD, which no path or option is allowed to hold. */
function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
