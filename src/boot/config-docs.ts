import { jsonSchema, listSettings, type Section } from "../formats/schema.ts";

/** Cells of a Markdown table are divided by `|`. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

/** The table of all settings for docs/configuration.md, in the order of the schema; ends with a line end. */
export function settingsTable(schema: Section): string {
  const rows = listSettings(schema).map(({ path, setting }) => [
    `\`${path}\``,
    setting.type,
    `\`${JSON.stringify(setting.default)}\``,
    setting.overridable ? "yes" : "no",
    setting.doc,
  ]);
  const heading = ["setting", "type", "default", "command line", "meaning"];
  return [heading, heading.map(() => "---"), ...rows].map((cells) => `| ${cells.map(cell).join(" | ")} |\n`).join("");
}

/** JSON Schema (draft 2020-12) of the configuration file, as text: docs/config.schema.json, docs/policy.schema.json. */
export function schemaDocument(schema: Section): string {
  const document = { $schema: "https://json-schema.org/draft/2020-12/schema", ...jsonSchema(schema) };
  return `${JSON.stringify(document, null, 2)}\n`;
}
