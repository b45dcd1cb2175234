import { parseArgs } from "node:util";
import { configPath } from "../boot/config.ts";
import type { BootEntry, FileRef, InitrdRef, SkippedEntry } from "../discovery/entry.ts";
import { printable } from "../formats/printable.ts";
import { rootUsage } from "./roots.ts";
import { efiUsage, readConfigFile, type Survey, survey } from "./survey.ts";
import { printTable } from "./table.ts";
import type { Verb } from "./verb.ts";

/** Exit codes of the public contract. */
export const exitNoEntries = 3;

export const listVerb: Verb = {
  name: "list",
  summary: "list the boot entries that are found",
  usage: `usage: slipway list [--json] [--config FILE] [--efivars DIR] [--root SPEC]...

Lists the boot entries in menu order, volume by volume; * marks the one that boots unattended.
Nothing is changed on any disk. Exit code: 0 with entries, 3 with none, 1 on failure.

  --json           print the list as JSON (docs/json.md)
  --config FILE    the configuration to choose by; default ${configPath}
${rootUsage}
${efiUsage}
`,
  async run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        json: { type: "boolean" },
        config: { type: "string" },
        efivars: { type: "string" },
        root: { type: "string", multiple: true },
      },
    });
    await using result = await survey(await readConfigFile(values.config), values.root ?? [], values.efivars);
    if (values.json === true) process.stdout.write(`${JSON.stringify(listJson(result), null, 2)}\n`);
    else printList(result);
    return result.found.entries.length > 0 ? 0 : exitNoEntries;
  },
};

/** The list as the public contract has it. */
export function listJson(result: Pick<Survey, "found" | "ranking">): unknown {
  return {
    version: 1,
    default: result.ranking.defaultId,
    timeoutSeconds: result.ranking.timeoutSeconds,
    entries: result.found.entries.map(entryJson),
    skipped: result.found.skipped.map(skippedJson),
  };
}

function entryJson(entry: BootEntry): unknown {
  return {
    id: entry.id,
    title: entry.title,
    submenu: entry.submenu,
    format: entry.format,
    source: { volume: entry.source.volume, path: entry.source.path, line: entry.source.line },
    linux: refJson(entry.linux),
    initrd: entry.initrd.map(initrdJson),
    options: entry.options,
    devicetree: entry.devicetree === null ? null : refJson(entry.devicetree),
    architecture: entry.architecture,
    version: entry.version,
    tries: entry.tries,
    // Most entries have none of these: they stand only where they say something.
    ...(entry.part === null ? {} : { part: entry.part }),
    ...(entry.modules.length === 0
      ? {}
      : { modules: entry.modules.map(({ file, options }) => ({ ...refJson(file), options })) }),
    ...(entry.addons.length === 0 ? {} : { addons: entry.addons.map(refJson) }),
    ...(entry.overlays.length === 0 ? {} : { overlays: entry.overlays.map(refJson) }),
  };
}

function initrdJson(ref: InitrdRef): unknown {
  const { archive } = ref;
  return archive === undefined ? refJson(ref) : { ...refJson(ref), archive: { path: archive.path } };
}

export function refJson({ volume, path }: FileRef): { readonly volume: string; readonly path: string } {
  return { volume, path };
}

function skippedJson({ source, title, reason }: SkippedEntry): unknown {
  return { source: { volume: source.volume, path: source.path, line: source.line }, title, reason };
}

function printList(result: Survey): void {
  const rows = result.found.entries.map((entry) => [
    entry.id === result.ranking.defaultId ? "*" : "",
    entry.id,
    [...entry.submenu, entry.title].join(" > "),
    entry.linux.path,
  ]);
  if (rows.length > 0) printTable(["", "ID", "TITLE", "KERNEL"], rows);
  else process.stdout.write("no boot entries\n");
  if (result.found.skipped.length > 0) {
    process.stdout.write(`${result.found.skipped.length} skipped; "slipway explain" tells why\n`);
  }
  for (const remark of result.remarks) process.stderr.write(`${printable(remark)}\n`);
}
