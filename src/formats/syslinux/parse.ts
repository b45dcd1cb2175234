import type {
  ItemAction,
  KernelType,
  LabelParts,
  ParsedConfig,
  ParsedItem,
  ParsedMenu,
  Stated,
  SyslinuxConfigFile,
  SyslinuxPlace,
} from "./config.ts";
import { resolveName, type SyslinuxLocation, sysappendBits } from "./host.ts";
import { type ConfigReader, SyslinuxLimitError } from "./reader.ts";
import { atoi, type ByteText, behindKeyword, firstWord, isBlank, skipSpace, unsignedNumber } from "./text.ts";

/**
 * Who reads: the loader itself (com32/elflink/ldlinux/readconfig.c), or its menu (com32/menu/readconfig.c). They differ in a
 * few rules.
 */
export type ConfigDialect = "loader" | "menu";

const kernelTypes: readonly KernelType[] = [
  ...(["none", "localboot", "kernel", "linux", "boot", "bss", "pxe", "fdimage", "comboot", "com32", "config"] as const),
];

/**
 * Parses configurations as if they stood behind one another.
 *
 * Unknown directives mean nothing, as in syslinux. A file that cannot be read is told; a limit that is passed ends the
 * parsing and is told, and what stands before counts.
 *
 * @param from what leads to them: a file that is missing is told there
 * @param directory the working directory, which the names of included files are relative to
 * @returns null where none of the files could be read
 */
export async function parseSyslinux(
  reader: ConfigReader,
  dialect: ConfigDialect,
  locations: readonly SyslinuxLocation[],
  directory: string,
  from: SyslinuxPlace,
): Promise<ParsedConfig | null> {
  const parser = new Parser(reader, dialect, directory);
  for (const location of locations) await parser.parse(location, from, 0);
  return parser.finish();
}

/** A label that is being read (`struct labeldata`). */
interface OpenLabel {
  label: ByteText | null;
  kernel: ByteText;
  type: KernelType;
  append: ByteText | null;
  initrd: ByteText | null;
  menuLabel: ByteText | null;
  password: ByteText | null;
  sysappend: number;
  hide: boolean;
  isDefault: boolean;
  separator: boolean;
  disabled: boolean;
  indent: number;
  action: ItemAction;
  /** The tag of the menu that `goto` and `exit` lead to. */
  target: ByteText | null;
  place: SyslinuxPlace;
}

/** Columns that an entry may be indented by. */
const indentMax = 40;

class Parser {
  readonly #reader: ConfigReader;
  readonly #dialect: ConfigDialect;
  readonly #directory: string;
  readonly #config: ParsedConfig;
  readonly #tags = new Set<ByteText>([".top", ".hidden"]);
  /** Items that lead to a menu by its tag. */
  readonly #leading: { readonly item: ParsedItem; readonly target: ByteText }[] = [];
  #menu: ParsedMenu;
  #open: OpenLabel;
  #append: ByteText | null = null;
  #stopped = false;

  constructor(reader: ConfigReader, dialect: ConfigDialect, directory: string) {
    this.#reader = reader;
    this.#dialect = dialect;
    this.#directory = directory;
    const root = newMenu(".top", null, null);
    this.#config = {
      root,
      hidden: newMenu(".hidden", null, null),
      start: root,
      items: [],
      defaultCommand: null,
      hasUi: false,
      globalDefault: null,
      ontimeout: null,
      onerror: null,
      timeout: 0,
      totalTimeout: 0,
      prompt: false,
      implicit: true,
      allowOptions: true,
      hiddenMenu: false,
      shiftKey: false,
      savesChoice: false,
      saved: null,
      sysappend: 0,
      files: [],
    };
    this.#menu = root;
    this.#open = closedLabel();
  }

  async parse(location: SyslinuxLocation, from: SyslinuxPlace, depth: number): Promise<boolean> {
    if (this.#stopped) return false;
    try {
      const { includeDepthMax } = this.#reader.limits;
      if (depth > includeDepthMax) {
        throw new SyslinuxLimitError(`more than ${includeDepthMax} files that include one another`);
      }
      const file = await this.#reader.file(location, from);
      if (file === null) return false;
      if (!this.#config.files.includes(file)) this.#config.files.push(file);
      await this.#parseLines(file, depth);
      return true;
    } catch (error) {
      this.#stop(error, from);
      return false;
    }
  }

  finish(): ParsedConfig | null {
    const config = this.#config;
    if (config.files.length === 0) return null;
    const place = this.#open.place;
    try {
      this.#record(this.#menu);
    } catch (error) {
      this.#stop(error, place);
    }
    for (const { item, target } of this.#leading) if (!this.#tags.has(target)) item.action = "disabled";
    const wanted = config.globalDefault;
    if (wanted !== null && (this.#dialect === "loader" || config.hasUi)) {
      const item = findLabel(config, wanted);
      if (item !== null && item.menu !== config.hidden) {
        item.menu.defaultIndex = item.index;
        config.start = item.menu;
      }
    }
    return config;
  }

  #stop(error: unknown, place: SyslinuxPlace): void {
    if (!(error instanceof SyslinuxLimitError)) throw error;
    if (!this.#stopped) this.#reader.tell(place, `${error.message}; the rest is left out`);
    this.#stopped = true;
  }

  async #parseLines(file: SyslinuxConfigFile, depth: number): Promise<void> {
    const { location } = file;
    // The menu that this file's own lines are in: what an included file begins and does not end holds for labels only.
    let menu = this.#menu;
    let inText = false;
    for (const { number, text } of this.#reader.lines(file)) {
      if (this.#stopped) return;
      const place = { location, line: number };
      const line = skipSpace(text);
      if (inText) {
        inText = behindKeyword(line, "endtext") === null;
        continue;
      }
      const menuWords = behindKeyword(line, "menu");
      const include = menuWords === null ? null : behindKeyword(skipSpace(menuWords), "include");
      if (include !== null) menu = await this.#include(include, menu, place, depth, true);
      else if (menuWords !== null) menu = this.#menuLine(skipSpace(menuWords), menu, place);
      else if (behindKeyword(line, "text") !== null) inText = true;
      else {
        const names = isFunctionKey(line) ? null : behindKeyword(line, "include");
        if (names === null) this.#line(line, menu, place);
        else menu = await this.#include(names, menu, place, depth, this.#dialect === "menu");
      }
    }
  }

  /** @param takesTag whether a second word makes a sub-menu of what is included */
  async #include(
    words: ByteText,
    menu: ParsedMenu,
    place: SyslinuxPlace,
    depth: number,
    takesTag: boolean,
  ): Promise<ParsedMenu> {
    const { word, rest } = firstWord(skipSpace(words));
    const tag = takesTag ? skipSpace(rest) : "";
    const location = resolveName(this.#reader.host, this.#directory, word);
    if (tag === "") {
      await this.parse(location, place, depth + 1);
      return menu;
    }
    this.#record(menu);
    this.#menu = this.#beginMenu(tag, place);
    await this.parse(location, place, depth + 1);
    this.#record(this.#menu);
    this.#menu = this.#menu.parent ?? this.#menu;
    return this.#menu;
  }

  /** A line that begins with `menu`; returns the menu that the file is in behind it. */
  #menuLine(line: ByteText, menu: ParsedMenu, place: SyslinuxPlace): ParsedMenu {
    const open = this.#open;
    const { word, rest } = firstWord(line);
    const value = skipSpace(rest);
    const isOpen = open.label !== null;
    const leader = menu.parentItem;
    switch (word.toLowerCase()) {
      case "label":
        if (isOpen) open.menuLabel = value;
        else if (leader !== null) {
          leader.displayName = value;
          if (menu.title === "") menu.title = withoutCaret(value);
        }
        break;
      case "title":
        menu.title = value;
        if (leader !== null && leader.displayName === menu.tag) leader.displayName = value;
        break;
      case "default":
        if (isOpen) open.isDefault = true;
        else if (leader !== null && menu.parent !== null) menu.parent.defaultIndex = leader.index;
        break;
      case "hide":
        open.hide = true;
        break;
      case "passwd":
        if (isOpen) open.password = value;
        else if (leader !== null) leader.password = value;
        break;
      case "shiftkey":
        this.#config.shiftKey = true;
        break;
      case "save":
        this.#config.savesChoice = true;
        break;
      case "onerror":
        menu.onerror = value;
        if (this.#dialect === "loader") this.#config.onerror = { directive: "menu onerror", value, place };
        break;
      case "hidden":
        this.#config.hiddenMenu = true;
        break;
      case "separator":
        this.#record(menu);
        this.#open = { ...this.#open, label: "", separator: true, place };
        this.#record(menu);
        break;
      case "disable":
      case "disabled":
        open.disabled = true;
        break;
      case "indent":
        open.indent = Math.min(Math.max(atoi(value), 0), indentMax);
        break;
      case "begin":
        this.#record(menu);
        this.#menu = this.#beginMenu(value, place);
        return this.#menu;
      case "end":
        this.#record(menu);
        this.#menu = this.#menu.parent ?? this.#menu;
        return this.#menu;
      case "quit":
        if (isOpen) open.action = "quit";
        break;
      case "goto":
        if (!isOpen) break;
        open.action = "goto";
        open.target = value;
        break;
      case "exit":
        if (!isOpen || menu.parent === null) break;
        open.action = "exit";
        open.target = value === "" ? null : value;
        break;
      case "help":
        if (isOpen && this.#dialect === "menu") open.action = "help";
        break;
      case "start":
        this.#config.start = menu;
        break;
    }
    return menu;
  }

  #line(line: ByteText, menu: ParsedMenu, place: SyslinuxPlace): void {
    if (isFunctionKey(line)) return;
    const config = this.#config;
    const open = this.#open;
    const { word, rest } = firstWord(line);
    const value = skipSpace(rest);
    const isOpen = open.label !== null;
    const keyword = word.toLowerCase();
    switch (keyword) {
      case "append":
        if (isOpen) open.append = value;
        else this.#append = value;
        break;
      case "initrd":
        if (isOpen) open.initrd = value;
        break;
      case "label": {
        this.#record(menu);
        const label = this.#dialect === "menu" ? value : firstWord(value).word;
        this.#open = { ...closedLabel(), label, kernel: label, sysappend: config.sysappend, place };
        break;
      }
      case "timeout":
        if (this.#dialect === "menu") menu.timeout = atoi(value);
        else config.timeout = atoi(value);
        break;
      case "totaltimeout":
        config.totalTimeout = Math.max(atoi(value), 0);
        break;
      case "ontimeout":
        if (this.#dialect === "menu") menu.ontimeout = value;
        config.ontimeout = stated(keyword, value, place);
        break;
      case "onerror":
        if (this.#dialect === "menu") break;
        menu.onerror = value;
        config.onerror = stated(keyword, value, place);
        break;
      case "ipappend":
      case "sysappend":
        if (isOpen) open.sysappend = unsignedNumber(value);
        else config.sysappend = unsignedNumber(value);
        break;
      case "default":
        config.globalDefault = value;
        if (!config.hasUi) config.defaultCommand = stated(keyword, value, place);
        break;
      case "ui":
        config.hasUi = true;
        config.defaultCommand = stated(keyword, value, place);
        break;
      case "prompt":
        config.prompt = atoi(value) !== 0;
        break;
      case "implicit":
        config.implicit = atoi(value) !== 0;
        break;
      case "allowoptions":
        config.allowOptions = atoi(value) !== 0;
        break;
      default: {
        const type = kernelTypes.find((each) => each === keyword);
        if (type === undefined || !isOpen) break;
        open.kernel = value;
        open.type = type;
      }
    }
  }

  #beginMenu(tag: ByteText, place: SyslinuxPlace): ParsedMenu {
    const { menuDepthMax } = this.#reader.limits;
    let depth = 1;
    for (let above = this.#menu.parent; above !== null; above = above.parent) depth++;
    if (depth > menuDepthMax) throw new SyslinuxLimitError(`more than ${menuDepthMax} menus inside one another`);
    const item = this.#addItem(this.#menu, {
      label: null,
      displayName: tag,
      action: "submenu",
      command: null,
      password: null,
      place,
      parts: null,
    });
    this.#tags.add(tag);
    return newMenu(tag, this.#menu, item);
  }

  #addItem(menu: ParsedMenu, item: Omit<ParsedItem, "menu" | "index">): ParsedItem {
    this.#reader.countEntry();
    const added = { ...item, menu, index: menu.items.length };
    menu.items.push(added);
    this.#config.items.push(added);
    return added;
  }

  /** Closes the label that is open, if one is (`record`). */
  #record(in_: ParsedMenu): void {
    const open = this.#open;
    if (open.label === null) return;
    this.#open = closedLabel();
    const menu = open.hide ? this.#config.hidden : in_;
    const isHeading = open.separator || open.disabled;
    const name = `${" ".repeat(open.indent)}${open.menuLabel ?? open.label}`;
    const action = isHeading ? "disabled" : open.action;
    const item = this.#addItem(menu, {
      label: isHeading ? null : open.label,
      displayName: open.separator ? "" : name,
      action,
      command: action === "command" ? this.#command(open) : null,
      password: isHeading ? null : open.password,
      place: open.place,
      parts: action === "command" ? this.#parts(open) : null,
    });
    if (!isHeading && open.target !== null) this.#leading.push({ item, target: open.target });
    const mayBeDefault = action === "command" || (action === "goto" && this.#dialect === "menu");
    if (open.isDefault && mayBeDefault) menu.defaultIndex = item.index;
  }

  #parts({ kernel, type, append, initrd }: OpenLabel): LabelParts {
    return { kernel, type, append: append ?? this.#append, initrd };
  }

  #command(open: OpenLabel): ByteText {
    const own = open.append ?? this.#append ?? "";
    const append = own === "-" || own === "" ? "" : ` ${own}`;
    const initrd = open.initrd === null ? "" : ` initrd=${open.initrd}`;
    const type = open.type === "kernel" ? "" : `.${open.type} `;
    return `${type}${open.kernel}${append}${initrd}${this.#sysappend(open.sysappend)}`;
  }

  #sysappend(bits: number): ByteText {
    return sysappendWords((bit) => this.#reader.host.sysappend(bit), bits)
      .map((word) => ` ${word}`)
      .join("");
  }
}

/** The words that the bits of `sysappend` stand for, blanks in them made underscores. */
export function sysappendWords(word: (bit: number) => string | null, bits: number): ByteText[] {
  const words: ByteText[] = [];
  for (let bit = 0; bit < sysappendBits; bit++) {
    const text = (bits >>> bit) & 1 ? word(bit) : null;
    if (text === null || text === "") continue;
    const mangled = Array.from(text, (character) => (isBlank(character) ? " " : character)).join("");
    words.push(mangled.trim().replace(/ +/g, "_"));
  }
  return words;
}

/** The first item that the first word of a command names; case matters. */
export function findLabel(config: ParsedConfig, command: ByteText): ParsedItem | null {
  const { word } = firstWord(command);
  return config.items.find((item) => item.label === word) ?? null;
}

/** Without the marks of hot keys. */
export function withoutCaret(text: ByteText): ByteText {
  return text.replaceAll("^", "");
}

function newMenu(tag: ByteText, parent: ParsedMenu | null, parentItem: ParsedItem | null): ParsedMenu {
  return {
    tag,
    title: "",
    parent,
    parentItem,
    items: [],
    defaultIndex: 0,
    timeout: parent?.timeout ?? 0,
    ontimeout: parent?.ontimeout ?? null,
    onerror: parent?.onerror ?? null,
  };
}

function closedLabel(): OpenLabel {
  return {
    label: null,
    kernel: "",
    type: "kernel",
    append: null,
    initrd: null,
    menuLabel: null,
    password: null,
    sysappend: 0,
    hide: false,
    isDefault: false,
    separator: false,
    disabled: false,
    indent: 0,
    action: "command",
    target: null,
    place: { location: { kind: "path", path: "/" }, line: 1 },
  };
}

function stated(directive: string, value: ByteText, place: SyslinuxPlace): Stated {
  return { directive, value, place };
}

/** `f1 help.txt`: text for a key. */
function isFunctionKey(line: ByteText): boolean {
  const number = /^[fF](\d{0,3})(?![\d])/.exec(line);
  if (number === null) return false;
  const rest = line.charAt(number[0].length);
  return (rest === "" || isBlank(rest)) && Number(number[1]) <= 12;
}
