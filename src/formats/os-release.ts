import { printable } from "./printable.ts";

/**
 * Parses os-release(5) and what has its form (the `.profile` section of a unified kernel image): one assignment a line,
 * the value bare or in quotes. As a shell does, the last assignment of a name counts, and within double quotes a
 * backslash stands before `"`, `$`, `` ` `` and itself. Lines that are none of this are left out, as systemd does.
 * Control characters become `?`: the values are for showing.
 */
export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line.trim()) ?? [];
    if (name !== undefined && value !== undefined) values.set(name, printable(unquote(value)));
  }
  return values;
}

function unquote(value: string): string {
  const quoted = /^'([^']*)'$/.exec(value);
  if (quoted?.[1] !== undefined) return quoted[1];
  const text = /^"((?:[^"\\]|\\.)*)"$/.exec(value)?.[1];
  if (text !== undefined) return text.replace(/\\(["$`\\])/g, "$1");
  return value;
}
