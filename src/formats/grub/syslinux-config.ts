import type { SourceLine } from "./ast.ts";

/** Configurations and entries inside one another that are translated. */
export const syslinuxDepthMax = 20;
/** Entries that are looked through for one step of work. */
const entriesPerStep = 8;

export interface SyslinuxWorld {
  /** Where names that begin with a slash are, and the others. */
  readonly root: string;
  readonly directory: string;
  /** The loader that the configuration is for, where that is known. */
  readonly flavour: SyslinuxFlavour | null;
  /** A configuration file's text; null where it cannot be read. */
  read(path: string): Promise<string | null>;
  /** Told of work. */
  spend(steps: number): void;
}

export type SyslinuxFlavour = "iso" | "pxe" | "sys";

type EntryType = "none" | "linux" | "chain" | "chain-bpb" | "com" | "config" | "local" | "unsupported";

interface Entry {
  readonly label: string;
  /** The label in lower case, by which it is found. */
  readonly name: string;
  readonly number: number;
  title: string | null;
  hotkey: string | null;
  type: EntryType;
  file: string;
  append: string | null;
  argument: string | null;
  initrds: string[];
}

interface Menu {
  readonly entries: Entry[];
  default: string | null;
  timeout: number;
}

/**
 * Translates a syslinux configuration into GRUB's language as GRUB's `syslinux_configfile` does
 * (grub-core/lib/syslinux_parse.c); it does not read it as syslinux would: of `append` only the first `initrd=` counts, as one
 * file, sub-menus and `menu default` mean nothing, and without a time-out the default's commands stand alone.
 * `numbers` of the lines are those of the file at hand.
 */
export async function translateSyslinuxConfig(text: string, path: string, world: SyslinuxWorld): Promise<SourceLine[]> {
  return new Translator(world, [path]).config(text, world.directory);
}

class Translator {
  readonly #world: SyslinuxWorld;
  readonly #open: readonly string[];
  readonly #lines: SourceLine[] = [];
  readonly #line: number | null;

  /** `line`: of the entry in the outermost file that a nested configuration is for. */
  constructor(world: SyslinuxWorld, open: readonly string[], line: number | null = null) {
    this.#world = world;
    this.#open = open;
    this.#line = line;
  }

  async config(text: string, directory: string): Promise<SourceLine[]> {
    const menu: Menu = { entries: [], default: null, timeout: 0 };
    await this.#parse(text, directory, menu, null, 0);
    const wanted = menu.default;
    if (menu.timeout === 0 && menu.entries.length > 0 && wanted !== null) {
      await this.#named(wanted, menu, directory, []);
      return this.#lines;
    }
    if (menu.entries.length === 0) return this.#lines;
    this.#print(`set timeout=${Math.floor((menu.timeout + 9) / 10)}`, 1);
    if (wanted !== null) this.#print(`default=${quoted(wanted)}`, 1);
    for (const entry of menu.entries) {
      const key = entry.hotkey === null ? "" : ` --hotkey ${quoted(entry.hotkey)}`;
      this.#print(`menuentry ${quoted(entry.title ?? entry.label)}${key} --id ${quoted(entry.label)} {`, entry.number);
      await this.#entry(entry, menu, directory, []);
      this.#print("}", entry.number);
    }
    return this.#lines;
  }

  #print(text: string, number: number): void {
    this.#world.spend(1);
    this.#lines.push({ number: this.#line ?? number, text });
  }

  #path(name: string, directory: string): string {
    return `${name.startsWith("/") ? this.#world.root : directory}/${name}`;
  }

  async #parse(text: string, directory: string, menu: Menu, line: number | null, depth: number): Promise<void> {
    let inHelp = false;
    for (const [index, raw] of text.replaceAll("\r", "").split("\n").entries()) {
      this.#world.spend(1);
      const words = /^\s*(\S*)\s*(\S*)\s*(.*)$/s.exec(raw);
      const [first, second] = [words?.[1]?.toLowerCase() ?? "", words?.[2]?.toLowerCase() ?? ""];
      if (inHelp) {
        inHelp = first !== "endtext";
        continue;
      }
      if (first === "" || first.startsWith("#")) continue;
      if (first === "text" && second === "help") inHelp = true;
      else if (first === "include" || (first === "menu" && second === "include")) {
        const name = first === "include" ? behind(raw, 1) : behind(raw, 2);
        const included = depth < syslinuxDepthMax ? await this.#world.read(this.#path(name, directory)) : null;
        if (included !== null) await this.#parse(included, directory, menu, line ?? index + 1, depth + 1);
      } else if (first === "menu") setMenu(menu, second, behind(raw, 2));
      else set(menu, first, behind(raw, 1), line ?? index + 1);
    }
  }

  /** What an entry does, in GRUB's commands. */
  async #entry(entry: Entry, menu: Menu, directory: string, around: readonly Entry[]): Promise<void> {
    const print = (text: string): void => this.#print(text, entry.number);
    const file = quoted(this.#path(entry.file, directory));
    switch (entry.type) {
      case "linux":
        print("if test x$grub_platform = xpc; then linux_suffix=16; else linux_suffix= ; fi");
        print(`linux$linux_suffix ${file} ${entry.append ?? ""}`);
        this.#initrds(entry, directory);
        break;
      case "chain":
        print(`chainloader ${file}`);
        break;
      case "chain-bpb":
        print(`chainloader --bpb ${file}`);
        break;
      case "local":
        print("chainloader +1");
        break;
      case "config":
        await this.#nested(entry, entry.file, entry.append ?? entry.argument ?? "", directory);
        break;
      case "com":
        await this.#module(entry, menu, directory, around);
        break;
      case "none":
      case "unsupported":
        print("true");
    }
  }

  #initrds(entry: Entry, directory: string): void {
    const named = /(?:^|\s)initrd=(\S*)/i.exec(entry.append ?? "")?.[1];
    const files = [...(named === undefined ? [] : [named]), ...entry.initrds];
    if (files.length === 0) return;
    const words = files.map((each) => quoted(this.#path(each, directory)));
    this.#print(`initrd$linux_suffix ${words.join(" ")}`, entry.number);
  }

  /** The programs that GRUB has a counterpart for. */
  async #module(entry: Entry, menu: Menu, directory: string, around: readonly Entry[]): Promise<void> {
    const print = (text: string): void => this.#print(text, entry.number);
    const name = entry.file.slice(Math.max(entry.file.lastIndexOf("/"), entry.file.lastIndexOf("\\")) + 1);
    const words = (entry.append ?? "").split(/\s+/).filter((word) => word !== "");
    switch (name.toLowerCase()) {
      case "chain.c32":
        print(`chainloader ${words.find((word) => word.startsWith("file=")) ?? "+1"}`);
        break;
      case "reboot.c32":
        print("reboot");
        break;
      case "poweroff.com":
        print("halt");
        break;
      case "menu.c32":
      case "vesamenu.c32":
        for (const word of words) if (word !== "~") await this.#nested(entry, word, "", directory);
        break;
      case "ifcpu64.c32":
        await this.#byProcessor(
          entry,
          words.filter((word) => word !== "--"),
          menu,
          directory,
          around,
        );
        break;
      case "whichsys.c32":
        await this.#byFlavour(entry, words, menu, directory, around);
        break;
      default:
        // Of mboot.c32 GRUB's own translation does not end.
        print("true");
    }
  }

  async #byProcessor(
    entry: Entry,
    words: readonly string[],
    menu: Menu,
    directory: string,
    around: readonly Entry[],
  ): Promise<void> {
    const [wide, middle, narrow] = words;
    const print = (text: string): void => this.#print(text, entry.number);
    print("if cpuid --long-mode; then true");
    await this.#named(wide ?? "", menu, directory, [...around, entry]);
    if (narrow !== undefined) {
      print("elif cpuid --pae; then true");
      await this.#named(middle ?? "", menu, directory, [...around, entry]);
    }
    print("else true");
    await this.#named(narrow ?? middle ?? "", menu, directory, [...around, entry]);
    print("fi");
  }

  async #byFlavour(
    entry: Entry,
    words: readonly string[],
    menu: Menu,
    directory: string,
    around: readonly Entry[],
  ): Promise<void> {
    let flavour: string = "iso";
    for (const word of words) {
      const option = /^-(iso|pxe|sys)-$/i.exec(word);
      if (option !== null) {
        flavour = (option[1] ?? "iso").toLowerCase();
        continue;
      }
      if (this.#world.flavour === flavour) await this.#named(word, menu, directory, [...around, entry]);
      if (this.#world.flavour !== null) continue;
      const unset = flavour === "iso" ? " -o x$syslinux_flavour = x" : "";
      this.#print(`if [ x$syslinux_flavour = x${flavour}${unset} ]; then true`, entry.number);
      await this.#named(word, menu, directory, [...around, entry]);
      this.#print("fi", entry.number);
    }
  }

  async #named(label: string, menu: Menu, directory: string, around: readonly Entry[]): Promise<void> {
    if (around.length > syslinuxDepthMax) return;
    this.#world.spend(1 + Math.floor(menu.entries.length / entriesPerStep));
    const wanted = label.toLowerCase();
    // The newest entry of a name comes first.
    for (const entry of menu.entries.toReversed()) {
      // One that leads back to itself would have GRUB write for ever.
      if (entry.name === wanted && !around.includes(entry)) await this.#entry(entry, menu, directory, around);
    }
  }

  /** Another configuration, whose commands stand in the entry's. */
  async #nested(entry: Entry, name: string, base: string, directory: string): Promise<void> {
    const path = this.#path(name, directory);
    const inner = base === "" ? directory : this.#path(base, directory);
    if (this.#open.includes(path) || this.#open.length > syslinuxDepthMax) {
      this.#print(
        `syslinux_configfile -r ${quoted(this.#world.root)} -c ${quoted(inner)} ${quoted(path)}`,
        entry.number,
      );
      return;
    }
    const text = await this.#world.read(path);
    if (text === null) return;
    const translator = new Translator(this.#world, [...this.#open, path], this.#line ?? entry.number);
    this.#lines.push(...(await translator.config(text, inner)));
  }
}

/** What stands behind the first words of a line. */
function behind(line: string, words: number): string {
  return line.replace(new RegExp(`^\\s*(?:\\S+\\s*){${words}}`), "");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function setMenu(menu: Menu, command: string, value: string): void {
  const entry = menu.entries.at(-1);
  if (command !== "label" || entry === undefined) return;
  // A caret stands before the key.
  const caret = /\^(.)/s.exec(value);
  entry.hotkey = caret?.[1]?.toLowerCase() ?? null;
  entry.title = value.replace(/\^(?=.)/gs, "");
}

const kernelTypes: ReadonlyMap<string, EntryType> = new Map<string, EntryType>([
  ["linux", "linux"],
  ["boot", "chain"],
  ["bss", "chain-bpb"],
  ["pxe", "unsupported"],
  ["fdimage", "unsupported"],
  ["comboot", "com"],
  ["com32", "com"],
  ["localboot", "local"],
]);

/** What `kernel` means by the file's name. */
function typeOf(name: string): EntryType {
  if (/\.(?:0|bin|img)$/i.test(name)) return "unsupported";
  if (/\.bs$/i.test(name)) return "chain";
  if (/\.bss$/i.test(name)) return "chain-bpb";
  return /\.(?:c32|cbt|com)$/i.test(name) ? "com" : "linux";
}

function set(menu: Menu, command: string, value: string, number: number): void {
  if (command === "label") {
    menu.entries.push({
      label: value,
      name: value.toLowerCase(),
      number,
      title: null,
      hotkey: null,
      type: "none",
      file: "",
      append: null,
      argument: null,
      initrds: [],
    });
    return;
  }
  if (command === "default") menu.default = value;
  if (command === "timeout") menu.timeout = Number(/^(?:0x[0-9a-fA-F]+|[0-9]+)/.exec(value)?.[0] ?? 0);
  const entry = menu.entries.at(-1);
  if (entry === undefined) return;
  const type = command === "kernel" ? typeOf(value) : kernelTypes.get(command);
  if (type !== undefined) Object.assign(entry, { type, file: value });
  if (command === "config") {
    const [file = "", ...rest] = value.split(/\s+/);
    Object.assign(entry, { type: "config", file, argument: rest.length === 0 ? null : rest.join(" ") });
  }
  if (command === "append") entry.append = value;
  if (command === "initrd") entry.initrds.push(...value.split(",").filter((each) => each !== ""));
}
