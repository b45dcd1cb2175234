import { FormatError, quote } from "../../formats/format-error.ts";
import { globMatches } from "../../formats/glob.ts";
import { asciiLower, type LoaderChoice, type LoaderConf, parseChoice } from "../../formats/loader-conf.ts";
import type { BootEntry, FoundMenu } from "../entry.ts";

/** Something that chooses an entry. */
interface Chooser {
  /** For people: `default "debian-*" in /loader/loader.conf`. */
  readonly said: string;
  /** Null: nothing saved is known. */
  readonly choice: LoaderChoice | null;
}

/**
 * Which entry the menu's own configuration boots unattended: `preferred` of loader.conf, then `default`, then the first
 * entry. An entry without tries left is chosen only where no other is there: systemd-boot's `default` would take it for
 * ever, and with nobody there the machine would never come back. What EFI variables choose is said by the ranking.
 *
 * @param lastBooted what `@saved` means; null: that is not known
 */
export function chooseDefault(
  entries: readonly BootEntry[],
  conf: LoaderConf | null,
  confPath: string,
  lastBooted: string | null,
): Pick<FoundMenu, "defaultId" | "defaultReason"> {
  const good = entries.filter((entry) => entry.tries?.left !== 0);
  const candidates = good.length > 0 ? good : entries;
  const exhausted = good.length > 0 || entries.length === 0 ? [] : ["no entry has tries left"];
  const remarks: string[] = [];
  for (const { said, choice } of choosers(conf, confPath, lastBooted)) {
    if (choice === null) {
      remarks.push(`${said}, but no saved entry is known`);
      continue;
    }
    const chosen = candidates.find((entry) => isChosen(entry, choice));
    if (chosen !== undefined) {
      return { defaultId: chosen.id, defaultReason: [said, ...remarks, ...exhausted].join("; ") };
    }
    const some = entries.some((entry) => isChosen(entry, choice));
    remarks.push(`${said} matches ${some ? "only entries with no tries left" : "no entry that is offered"}`);
  }
  const first = candidates[0];
  if (first === undefined) return { defaultId: null, defaultReason: ["no entry is offered", ...remarks].join("; ") };
  const reason = ["first in Boot Loader Specification order", ...remarks, ...exhausted].join("; ");
  return { defaultId: first.id, defaultReason: reason };
}

function choosers(conf: LoaderConf | null, confPath: string, lastBooted: string | null): Chooser[] {
  const savedText = lastBooted === null ? "" : ` (${quote(lastBooted)}, says LoaderEntryLastBooted)`;
  return (["preferred", "default"] as const).flatMap((key): Chooser[] => {
    const choice = conf?.[key] ?? null;
    if (choice === null) return [];
    if (choice.kind === "pattern") return [{ said: `${key} ${quote(choice.pattern)} in ${confPath}`, choice }];
    return [{ said: `${key} @saved in ${confPath}${savedText}`, choice: parseName(lastBooted) }];
  });
}

/** A name that is no valid pattern can be no file name either, but what is known is told. */
function parseName(value: string | null): LoaderChoice | null {
  if (value === null) return null;
  try {
    return parseChoice(value, 0);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { kind: "pattern", pattern: value, glob: { pattern: value, tokens: literal(value) }, line: 0 };
  }
}

function literal(value: string): { readonly kind: "character"; readonly character: string }[] {
  return [...asciiLower(value)].map((character) => ({ kind: "character", character }));
}

/** The id is the file name without counters; it is matched with and without suffix, and with counters, as older loaders do. */
function isChosen(entry: BootEntry, choice: LoaderChoice): boolean {
  if (choice.kind !== "pattern") return false;
  return entry.aliases.some((alias) => globMatches(choice.glob, asciiLower(alias)));
}

/** How long the menu is shown, in seconds; null: for ever, or nobody says. */
export function menuTimeoutSeconds(conf: LoaderConf | null): number | null {
  const timeout = conf?.timeout ?? null;
  if (timeout === null || timeout.kind === "menu-force") return null;
  return timeout.kind === "seconds" ? timeout.seconds : 0;
}
