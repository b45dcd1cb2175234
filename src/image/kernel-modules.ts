import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { gunzip, zstdDecompress } from "node:zlib";
import { errorCode } from "../formats/error-text.ts";
import { ModuleIndex, type ModuleSources, type ModuleTexts } from "../formats/modules.ts";
import { ImageError, imageError } from "./image-error.ts";
import type { Content } from "./image-tree.ts";
import type { ModuleList } from "./module-lists.ts";

/** One module once it is decompressed, bytes. */
export const moduleBytesMax = 256 << 20;

/** A module as the image holds it. */
export interface ImageModule {
  readonly name: string;
  /** Relative to the directory of modules.dep; without the suffix of a compression that was undone. */
  readonly path: string;
  readonly content: Content;
}

/** A word of a list that brought no module. */
export interface AbsentModule {
  readonly word: string;
  readonly list: string;
  readonly status: "built in" | "absent";
}

export interface ModuleSelection {
  /** The kernel's version, as `uname -r` prints it. */
  readonly version: string;
  readonly modules: readonly ImageModule[];
  /** modules.dep and the others for these modules only. */
  readonly texts: ModuleTexts;
  readonly absent: readonly AbsentModule[];
}

/**
 * Selects the modules that lists name, with all that they depend on.
 *
 * @param directory holds modules.dep; its name is the kernel's version
 * @throws ImageError when modules.dep or a module that it names is missing; FormatError when one of the files is broken
 */
export function selectModules(directory: string, lists: readonly ModuleList[]): ModuleSelection {
  const version = path.basename(path.resolve(directory));
  if (!/^[\w.+~-]+$/.test(version)) {
    throw new ImageError(`take modules from "${directory}": a directory named after the kernel's version expected`);
  }
  const index = ModuleIndex.parse(readModuleTexts(directory));
  const steps = index.loadPlan(lists.flatMap((list) => list.words));
  const modules = steps.map((step): ImageModule => {
    const source = path.join(directory, step.path);
    checkFile(source);
    return { name: step.name, path: storedPath(step.path), content: moduleContent(source) };
  });
  const texts = index.filtered(
    steps.map((step) => step.name),
    storedPath,
  );
  return { version, modules, texts, absent: absentWords(index, lists) };
}

function readModuleTexts(directory: string): ModuleSources {
  return {
    dep: readModuleText(directory, "modules.dep") ?? missing(path.join(directory, "modules.dep")),
    alias: readModuleText(directory, "modules.alias") ?? missing(path.join(directory, "modules.alias")),
    softdep: readModuleText(directory, "modules.softdep") ?? "",
    builtin: readModuleText(directory, "modules.builtin") ?? "",
    builtinModinfo: readModuleText(directory, "modules.builtin.modinfo") ?? "",
  };
}

function readModuleText(directory: string, name: string): string | null {
  const file = path.join(directory, name);
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return null;
    throw imageError("read", file, error);
  }
}

function missing(file: string): never {
  throw new ImageError(`read "${file}": there is no such file, one that depmod(8) wrote for the kernel was expected`);
}

function checkFile(source: string): void {
  const stat = statSync(source, { throwIfNoEntry: false });
  if (stat?.isFile()) return;
  throw new ImageError(
    `take module "${source}": there is no such file, though modules.dep names it (depmod(8) is to be run)`,
  );
}

/** xz stays as it is, for the kernel to undo when it loads the module: there is no xz here. */
function storedPath(modulePath: string): string {
  return modulePath.replace(/\.(zst|gz)$/, "");
}

function moduleContent(source: string): Content {
  if (storedPath(source) === source) return { kind: "file", source };
  const decompress = source.endsWith(".zst") ? promisify(zstdDecompress) : promisify(gunzip);
  return {
    kind: "made",
    async make() {
      try {
        return await decompress(readFileSync(source), { maxOutputLength: moduleBytesMax });
      } catch (error) {
        throw imageError("decompress", source, error);
      }
    },
  };
}

function absentWords(index: ModuleIndex, lists: readonly ModuleList[]): AbsentModule[] {
  const status = (word: string): AbsentModule["status"] => (index.isBuiltin(word) ? "built in" : "absent");
  return lists.flatMap((list) =>
    list.words
      .filter((word) => index.resolve(word).length === 0)
      .map((word) => ({ word, list: list.purpose, status: status(word) })),
  );
}
