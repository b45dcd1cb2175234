import { FormatError } from "../format-error.ts";
import { beforeNul, byteText, isSpace } from "./byte-text.ts";
import type { IpxeLimits } from "./limits.ts";

/** A line of a script, joined with those that a backslash at its end takes in. */
export interface ScriptLine {
  /** Of its first part; counts from 1. */
  readonly number: number;
  /** What stands behind a colon at its start; null: it has none. */
  readonly label: string | null;
  /** Byte text. */
  readonly command: string;
}

export interface IpxeScript {
  readonly lines: readonly ScriptLine[];
  /** Index of the first line with a label. */
  readonly labels: ReadonlyMap<string, number>;
  /** Line whose backslash joins it with nothing, which ends the script with a failure; null: there is none. */
  readonly openLine: number | null;
}

const magics = ["#!ipxe", "#!gpxe"];

/** Bytes that show whether a file is a script. */
export const scriptHeadBytes = 7;

/** `script_probe`: `#!ipxe` or `#!gpxe`, and white space. */
export function isIpxeScript(head: Uint8Array): boolean {
  const text = byteText(head.subarray(0, scriptHeadBytes));
  return magics.includes(text.slice(0, 6)) && isSpace(text[6]);
}

/**
 * Reads an iPXE script (image/script.c).
 *
 * @throws FormatError for a file without the first line of a script, or one of more bytes than the limit
 */
export function parseIpxeScript(bytes: Uint8Array, { scriptBytesMax }: Pick<IpxeLimits, "scriptBytesMax">): IpxeScript {
  if (bytes.length > scriptBytesMax) {
    throw new FormatError("ipxe", `${bytes.length} bytes, at most ${scriptBytesMax} are taken`);
  }
  if (!isIpxeScript(bytes)) throw new FormatError("ipxe", '"#!ipxe" expected', { line: 1 });
  const lines: ScriptLine[] = [];
  const labels = new Map<string, number>();
  let parts: string[] = [];
  let first = 1;
  // A line end is the end of a line: behind the last one there is none.
  const texts = byteText(bytes).split("\n");
  if (texts.at(-1) === "") texts.pop();
  for (const [index, text] of texts.entries()) {
    if (parts.length === 0) first = index + 1;
    const part = text.endsWith("\r") ? text.slice(0, -1) : text;
    if (part.endsWith("\\")) {
      parts.push(part.slice(0, -1));
      continue;
    }
    const line = readLine(first, parts.join("") + part);
    if (line.label !== null && !labels.has(line.label)) labels.set(line.label, lines.length);
    lines.push(line);
    parts = [];
  }
  return { lines, labels, openLine: parts.length > 0 ? first : null };
}

function readLine(number: number, joined: string): ScriptLine {
  const text = beforeNul(joined).replace(/^[ \t\n\v\f\r]+/, "");
  if (!text.startsWith(":")) return { number, label: null, command: text };
  const label = /^[^ \t\n\v\f\r]*/.exec(text.slice(1))?.[0] ?? "";
  return { number, label, command: text.slice(1 + label.length + 1) };
}
