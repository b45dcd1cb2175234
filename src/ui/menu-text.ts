import type { Discovered } from "../discovery/discover.ts";
import { printable } from "../formats/printable.ts";
import type { Ranking } from "../handoff/rank.ts";

/** Entries by number in the order in which they are tried, then what was skipped and why. Plain ASCII layout, any width. */
export function describeMenu(view: {
  readonly ranking: Ranking;
  readonly found: Discovered;
  readonly reason: string;
}): string {
  const { ranking, found } = view;
  const entries = ranking.order.map(({ entry }, index) => {
    const title = [...entry.submenu, entry.title].join(" > ");
    return `  ${String(index + 1).padStart(2)}. ${printable(`${title}  [${entry.id}]`)}\n`;
  });
  const skipped = found.skipped.map(
    ({ source, title, reason }) =>
      `  skipped ${printable(`${source.volume}:${source.path}:${source.line}${title === null ? "" : ` ${JSON.stringify(title)}`}: ${reason}`)}\n`,
  );
  const heading = entries.length === 0 ? "No boot entries.\n" : "Entries, in the order in which they are tried:\n";
  return `${heading}${entries.join("")}${skipped.join("")}Not booted: ${printable(view.reason)}\n`;
}
