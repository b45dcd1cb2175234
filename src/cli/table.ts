import { printable } from "../formats/printable.ts";

/** Prints rows in columns; see {@link tableLines}. */
export function printTable(heading: readonly string[], rows: readonly (readonly string[])[]): void {
  for (const line of tableLines(heading, rows)) process.stdout.write(`${line}\n`);
}

/** Rows in columns; the last column is not padded. Control characters of hostile text are not passed to the terminal. */
export function tableLines(heading: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [heading, ...rows].map((row) => row.map(printable));
  const widths = heading.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
