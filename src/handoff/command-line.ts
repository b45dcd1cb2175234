import type { BootEntry } from "../discovery/entry.ts";

/** The command line that the target kernel gets. */
export function targetCommandLine(entry: BootEntry, withBootImage: boolean): string {
  return [withBootImage ? entry.bootImage : null, entry.options, entry.addedOptions ?? ""]
    .filter((part) => part !== null && part !== "")
    .join(" ");
}
