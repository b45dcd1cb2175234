import { type EntryFileName, parseEntryFileName } from "../../formats/bls.ts";
import { quote } from "../../formats/format-error.ts";
import { asciiLower } from "../../formats/loader-conf.ts";
import type { FileSource } from "../source.ts";
import { Refusal } from "./refusal.ts";

export type EntrySuffix = ".conf" | ".efi";

/** `*.conf` or `*.efi` as a shell takes it, which leaves hidden files out; FAT has no case. */
export function isShown(name: string, suffix: EntrySuffix): boolean {
  return !name.startsWith(".") && asciiLower(name).endsWith(suffix);
}

/** Takes the name of an entry's file apart; throws Refusal or FormatError. */
export function checkFileName(name: string, suffix: EntrySuffix): EntryFileName {
  // The specification allows fewer; ids go into logs and onto command lines, where these are harmless.
  if (!/^[ -~]+$/.test(name)) throw new Refusal(`printable ASCII expected in the file name ${quote(name)}`);
  if (asciiLower(name).startsWith("auto-")) {
    throw new Refusal(`file names that begin with "auto-" belong to a loader's own entries`);
  }
  const parsed = parseEntryFileName(name, suffix);
  if (parsed === null || parsed.name === "") throw new Refusal(`a name expected before the counters of ${quote(name)}`);
  return parsed;
}

/** Entry files are not followed through symbolic links (UAPI.1, "The Partitions"); the directory itself may be one (OSTree). */
export async function refuseLink(source: FileSource, path: string, expected: string): Promise<void> {
  const real = await source.realPath(path);
  if (real === null) throw new Refusal("a file expected, not a symbolic link that leads nowhere");
  if (real !== expected) throw new Refusal(`a file expected, not a symbolic link (to ${quote(real)})`);
}
