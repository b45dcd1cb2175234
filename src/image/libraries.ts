import { realpathSync } from "node:fs";
import path from "node:path";
import { type ElfFacts, elfMachine, readElf } from "../formats/elf.ts";
import { globMatches, parseGlob } from "../formats/glob.ts";
import { type HostFiles, type HostLink, withRanges } from "./host-files.ts";
import { ImageError, imageError } from "./image-error.ts";

/** Libraries of one program; a runtime needs about ten. */
export const librariesMax = 500;
/** Files that /etc/ld.so.conf includes, all levels together. */
export const linkerConfigFilesMax = 500;

/** A library and the place where it was found. */
export interface Library {
  /** Where it goes in the image: the path by which it was found, its directory without links. */
  readonly path: string;
  /** The file itself, after following links, by a path of this process. */
  readonly source: string;
}

/** All that a dynamically linked program needs to start. */
export interface LibraryClosure {
  /** The dynamic linker first, the others in the order in which they are loaded; empty for a static program. */
  readonly libraries: readonly Library[];
  /** Directory links of the machine on the way to the libraries and at the linker's default places. */
  readonly links: readonly HostLink[];
  /** Links to add beside libc, as the linker would not look into the library's own directory without a cache. */
  readonly aliases: readonly HostLink[];
}

/** A file whose needs are looked for. */
interface Loaded {
  readonly facts: ElfFacts;
  /** As the program asked for it; the program's own path for the first. */
  readonly name: string;
  /** Directory for `$ORIGIN`. */
  readonly origin: string;
  readonly loader: Loaded | null;
}

/**
 * Finds the libraries of a program as ld.so(8) would, by reading headers: nothing is executed.
 *
 * Searched in this order: DT_RPATH of the file and of those that led to it (only where the file has no DT_RUNPATH),
 * DT_RUNPATH of the file, the directories of /etc/ld.so.conf, the default directories. Files of another class or
 * machine are passed over.
 *
 * @param executable a path of this process, inside or outside of the host's root
 * @throws ImageError when a library is missing or a header is broken
 */
export function libraryClosure(host: HostFiles, executable: string): LibraryClosure {
  const facts = readElfFile(executable);
  if (facts.interpreter === null && facts.needed.length === 0) return { libraries: [], links: [], aliases: [] };
  const search = new LibrarySearch(host, facts);
  const program: Loaded = { facts, name: executable, origin: originOf(host, executable), loader: null };
  const waiting: Loaded[] = [program];
  if (facts.interpreter !== null) search.take(facts.interpreter, facts.interpreter, program);
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    for (const name of file.facts.needed) {
      const found = search.find(name, file);
      if (found !== null) waiting.push(found);
    }
  }
  return search.closure();
}

/** The program's directory as the host's root sees it; links are resolved, as the kernel does for a running program. */
function originOf(host: HostFiles, executable: string): string {
  const real = realpathSync(executable);
  const relative = path.relative(realpathSync(host.root), real);
  return path.dirname(relative.startsWith("..") ? real : `/${relative}`);
}

class LibrarySearch {
  readonly #host: HostFiles;
  readonly #program: ElfFacts;
  readonly #systemDirectories: readonly string[];
  readonly #libraries: Library[] = [];
  readonly #links = new Map<string, HostLink>();
  /** Names by which a library is known already: as asked for, and its own. */
  readonly #known = new Set<string>();
  readonly #sources = new Set<string>();

  constructor(host: HostFiles, program: ElfFacts) {
    this.#host = host;
    this.#program = program;
    const defaults = defaultDirectories(program);
    this.#systemDirectories = [...linkerConfigDirectories(host), ...defaults];
    for (const directory of defaults) this.#noteLinks(directory);
  }

  /** The library of that name for `file`; null when it is there already. */
  find(name: string, file: Loaded): Loaded | null {
    if (this.#known.has(name)) return null;
    if (name.includes("/")) {
      const taken = name.startsWith("/") ? this.take(name, name, file) : undefined;
      if (taken !== undefined) return taken;
      throw new ImageError(
        `find library "${name}", which "${file.name}" needs: an absolute path of a library expected`,
      );
    }
    const directories = [...runPaths(file), ...this.#systemDirectories];
    for (const directory of directories) {
      const taken = this.take(path.join(directory, name), name, file);
      if (taken !== undefined) return taken;
    }
    const places = [...new Set(directories)].map((directory) => `"${directory}"`).join(", ");
    throw new ImageError(`find library "${name}", which "${file.name}" needs: it is in none of ${places}`);
  }

  /** The library at that path: undefined when there is none that fits, null when it is there already. */
  take(wanted: string, name: string, loader: Loaded): Loaded | null | undefined {
    const found = this.#host.resolve(wanted);
    if (found === null || !this.#host.isFile(found.path)) return undefined;
    const source = this.#host.outside(found.path);
    const facts = readElfFile(source);
    const { bits, littleEndian, machine } = this.#program;
    if (facts.bits !== bits || facts.littleEndian !== littleEndian || facts.machine !== machine) return undefined;
    this.#known.add(name).add(facts.soname ?? name);
    if (name.startsWith("/")) this.#known.add(path.basename(name));
    if (this.#sources.has(source)) return null;
    if (this.#libraries.length === librariesMax) {
      throw new ImageError(`collect libraries of "${loader.name}": more than ${librariesMax}`);
    }
    this.#sources.add(source);
    const directory = this.#noteLinks(path.dirname(wanted));
    this.#libraries.push({ path: path.join(directory, path.basename(wanted)), source });
    return { facts, name, origin: directory, loader };
  }

  closure(): LibraryClosure {
    const libraries = this.#libraries;
    const libc = libraries.find((library) => path.basename(library.path).startsWith("libc.so"));
    const elsewhere = (library: Library): boolean => {
      const isInterpreter = this.#program.interpreter !== null && library === libraries[0];
      return libc !== undefined && !isInterpreter && path.dirname(library.path) !== path.dirname(libc.path);
    };
    const places = new Set(libraries.map((library) => library.path));
    const aliases = libraries.filter(elsewhere).map((library) => ({
      path: path.join(path.dirname(libc?.path ?? "/"), path.basename(library.path)),
      target: library.path,
    }));
    return { libraries, links: [...this.#links.values()], aliases: aliases.filter((alias) => !places.has(alias.path)) };
  }

  /** Remembers the links on the way to a directory; returns the directory without links. */
  #noteLinks(directory: string): string {
    const found = this.#host.resolve(directory);
    for (const link of found?.links ?? []) this.#links.set(link.path, link);
    return found?.path ?? directory;
  }
}

function readElfFile(source: string): ElfFacts {
  try {
    return withRanges(source, readElf);
  } catch (error) {
    throw imageError("read", source, error);
  }
}

/** The directories that a file itself names, for the libraries that it needs. */
function runPaths(file: Loaded): string[] {
  const directories: string[] = [];
  if (file.facts.runpath.length === 0) {
    for (let each: Loaded | null = file; each !== null; each = each.loader) {
      if (each.facts.runpath.length === 0) directories.push(...expand(each.facts.rpath, each));
    }
  }
  return [...directories, ...expand(file.facts.runpath, file)];
}

function expand(directories: readonly string[], file: Loaded): string[] {
  return directories.map((directory) => {
    const expanded = directory.replace(/\$(ORIGIN\b|\{ORIGIN\})/g, () => file.origin);
    if (expanded.startsWith("/") && !expanded.includes("$")) return path.normalize(expanded);
    throw new ImageError(`search run path "${directory}" of "${file.name}": an absolute path or $ORIGIN expected`);
  });
}

/** Names of directories as Debian and its children have them. */
const multiarch: ReadonlyMap<number, string> = new Map([
  [elfMachine.x86_64, "x86_64-linux-gnu"],
  [elfMachine.aarch64, "aarch64-linux-gnu"],
  [elfMachine.riscv, "riscv64-linux-gnu"],
  [elfMachine.i386, "i386-linux-gnu"],
  [elfMachine.arm, "arm-linux-gnueabihf"],
]);

/** Where dynamic linkers look by themselves, whichever distribution built them. */
function defaultDirectories(facts: ElfFacts): string[] {
  const own = multiarch.get(facts.machine);
  const wide = facts.bits === 64 ? ["/lib64", "/usr/lib64"] : [];
  return [...(own === undefined ? [] : [`/lib/${own}`, `/usr/lib/${own}`]), ...wide, "/lib", "/usr/lib"];
}

/** The directories of /etc/ld.so.conf and the files that it includes, in order (ldconfig(8)). */
export function linkerConfigDirectories(host: HostFiles): string[] {
  const directories: string[] = [];
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    if (seen.size === linkerConfigFilesMax)
      throw new ImageError(`read "${file}": more than ${linkerConfigFilesMax} files`);
    seen.add(file);
    for (const line of (host.readText(file) ?? "").split("\n")) {
      const words = line
        .replace(/#.*/, "")
        .split(/[\s:,]+/)
        .filter((word) => word !== "");
      if (words[0] === "include") {
        for (const each of words.slice(1).flatMap((word) => matchingFiles(host, file, word))) visit(each);
      } else if (words[0] !== "hwcap") directories.push(...words.filter((word) => word.startsWith("/")));
    }
  };
  visit("/etc/ld.so.conf");
  return directories;
}

/** Files that an `include` names: a pattern in the last part of the path, relative to the file that includes. */
function matchingFiles(host: HostFiles, includingFile: string, pattern: string): string[] {
  const full = path.resolve(path.dirname(includingFile), pattern);
  const glob = parseGlob(path.basename(full));
  const names = host.list(path.dirname(full)).filter((name) => globMatches(glob, name) && !name.startsWith("."));
  return names.map((name) => path.join(path.dirname(full), name));
}
