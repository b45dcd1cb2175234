import { readFile } from "node:fs/promises";

/** The part of a Vite plugin that is used here. */
interface TextImportPlugin {
  readonly name: string;
  readonly enforce: "pre";
  load(id: string): Promise<string | null>;
}

/** Lets tests import `*.list` files as text, as the bundler's text loader does. */
export function textImport(): TextImportPlugin {
  return {
    name: "text-import",
    enforce: "pre",
    async load(id) {
      const path = id.split("?")[0] ?? "";
      if (!path.endsWith(".list")) return null;
      return `export default ${JSON.stringify(await readFile(path, "utf8"))};`;
    },
  };
}
