import { latin1 } from "../bytes.ts";
import { quote } from "../format-error.ts";
import type { SyslinuxConfigFile, SyslinuxPlace } from "./config.ts";
import { deviceTreeNames } from "./device-tree-name.ts";
import type { SyslinuxEvaluation } from "./evaluate.ts";
import { resolveName, type SyslinuxHost, type SyslinuxLocation } from "./host.ts";
import { defaultSyslinuxLimits, type SyslinuxLimits } from "./limits.ts";
import { emptyLoad, fileUse, handedOver, type LoadPlace, Refusal } from "./load.ts";
import type { SyslinuxChoice, SyslinuxEntry, SyslinuxLoad, SyslinuxMenu, SyslinuxOutcome } from "./menu.ts";
import { ConfigReader, SyslinuxLimitError } from "./reader.ts";
import { atoi, type ByteText, behindKeyword, firstWord, shownText, skipSpace, splitWords } from "./text.ts";

/** Directives that only U-Boot has: a configuration that uses one was written for it. */
const ownKeywords = [
  ...(["fdt", "fdtdir", "fdtoverlays", "devicetree", "devicetreedir", "devicetree-overlay", "kaslrseed"] as const),
];

/** Whether a configuration uses directives that U-Boot has and syslinux has not. */
export function isForUBoot(bytes: Uint8Array): boolean {
  return latin1(bytes)
    .split("\n")
    .map(skipSpace)
    .some((line) => ownKeywords.some((keyword) => behindKeyword(line, keyword) !== null));
}

/** What a label of U-Boot's may hold. */
interface BoardLabel {
  readonly name: ByteText;
  readonly place: SyslinuxPlace;
  title: ByteText | null;
  kernel: ByteText | null;
  append: ByteText | null;
  initrd: ByteText | null;
  fdt: ByteText | null;
  fdtdir: ByteText | null;
  overlays: ByteText | null;
  localboot: ByteText | null;
}

/**
 * What U-Boot offers and boots by itself with an extlinux.conf (boot/pxe_utils.c): a language of its own with syslinux's
 * words. There are no sub-menus, no `append` for all and no `BOOT_IMAGE=`; a label ends at the first word that is not one of
 * its own; the first `initrd`, `fdt` and `fdtdir` of a label counts.
 *
 * What would make U-Boot give up the whole file (a directive without its value) costs its line alone here.
 *
 * @param compatible the `compatible` of the board's device tree, for `fdtdir`; empty where it is not known
 */
export async function evaluateUBoot(
  host: SyslinuxHost,
  config: SyslinuxLocation,
  directory: string,
  compatible: readonly string[],
  limits: Partial<SyslinuxLimits> = {},
): Promise<SyslinuxEvaluation> {
  const reader = new ConfigReader(host, { ...defaultSyslinuxLimits, ...limits });
  const parser = new BoardParser(reader, directory);
  const first: SyslinuxPlace = { location: config, line: 1 };
  let isRead = false;
  try {
    isRead = await parser.parse(config, first, 1);
  } catch (error) {
    if (!(error instanceof SyslinuxLimitError)) throw error;
    reader.tell(first, `${error.message}; the rest is left out`);
    isRead = true;
  }
  const place: LoadPlace = { host, limits: reader.limits, directory };
  return {
    menu: isRead ? boardMenu(parser, config, place, compatible) : null,
    messages: reader.messages,
    textBytes: reader.bytesRead,
    entriesMade: reader.entriesMade,
  };
}

class BoardParser {
  readonly labels: BoardLabel[] = [];
  readonly files: SyslinuxConfigFile[] = [];
  /** `default` or `ontimeout`, the last one; else the first label with `menu default`. */
  defaultLabel: { readonly name: ByteText; readonly place: SyslinuxPlace; readonly directive: string } | null = null;
  /** Tenths of a second. */
  timeout = 0;
  prompts = false;
  readonly #reader: ConfigReader;
  readonly #directory: string;

  constructor(reader: ConfigReader, directory: string) {
    this.#reader = reader;
    this.#directory = directory;
  }

  async parse(location: SyslinuxLocation, from: SyslinuxPlace, depth: number): Promise<boolean> {
    const { includeDepthMax } = this.#reader.limits;
    if (depth > includeDepthMax) {
      throw new SyslinuxLimitError(`more than ${includeDepthMax} files that include one another`);
    }
    const file = await this.#reader.file(location, from);
    if (file === null) return false;
    if (!this.files.includes(file)) this.files.push(file);
    let label: BoardLabel | null = null;
    for (const { number, text } of this.#reader.lines(file)) {
      const place = { location, line: number };
      const line = skipSpace(text);
      if (line === "" || line.startsWith("#")) continue;
      const { word, rest } = firstWord(line);
      const value = skipSpace(rest);
      const keyword = word.toLowerCase();
      if (label !== null && this.#labelLine(label, keyword, value, place)) continue;
      label = null;
      if (keyword === "label") label = this.#beginLabel(value, place);
      else if (keyword === "include") await this.#include(value, place, depth);
      else if (keyword === "menu") await this.#menuLine(value, place, depth);
      else this.#line(keyword, value, place);
    }
    return true;
  }

  #beginLabel(value: ByteText, place: SyslinuxPlace): BoardLabel | null {
    const name = value.trimEnd();
    if (name === "") {
      this.#reader.tell(place, "label: a name expected");
      return null;
    }
    this.#reader.countEntry();
    const empty = { title: null, kernel: null, append: null, initrd: null, localboot: null };
    const label = { name, place, ...empty, fdt: null, fdtdir: null, overlays: null };
    this.labels.push(label);
    return label;
  }

  /** Returns whether the line belongs to the label; if not, the label ends before it. */
  #labelLine(label: BoardLabel, keyword: string, written: ByteText, place: SyslinuxPlace): boolean {
    const value = written.startsWith("#") ? "" : written.trimEnd();
    const once = (key: "initrd" | "fdt" | "fdtdir" | "overlays"): boolean => {
      if (label[key] !== null) return false;
      label[key] = this.#needed(keyword, value, place);
      return true;
    };
    switch (keyword) {
      case "menu": {
        const { word, rest } = firstWord(value);
        if (word.toLowerCase() === "label") label.title = skipSpace(rest);
        else if (word.toLowerCase() === "default") {
          this.defaultLabel ??= { name: label.name, place, directive: "menu default" };
        }
        return true;
      }
      case "kernel":
      case "linux":
        label.kernel = this.#needed(keyword, value, place);
        return true;
      case "append":
        label.append = this.#needed(keyword, written.startsWith("#") ? "" : written, place);
        label.initrd ??= initrdOf(label.append ?? "");
        return true;
      case "initrd":
        return once("initrd");
      case "fdt":
      case "devicetree":
        return once("fdt");
      case "fdtdir":
      case "devicetreedir":
        return once("fdtdir");
      case "fdtoverlays":
      case "devicetree-overlay":
        return once("overlays");
      case "localboot":
        label.localboot = value;
        return true;
      case "ipappend":
      case "kaslrseed":
      case "say":
        return true;
      default:
        return false;
    }
  }

  #needed(keyword: string, value: ByteText, place: SyslinuxPlace): ByteText | null {
    if (value !== "") return value;
    this.#reader.tell(place, `${keyword}: a value expected`);
    return null;
  }

  async #menuLine(value: ByteText, place: SyslinuxPlace, depth: number): Promise<void> {
    this.prompts = true;
    const { word, rest } = firstWord(value);
    if (word.toLowerCase() === "include") await this.#include(skipSpace(rest), place, depth);
  }

  async #include(value: ByteText, place: SyslinuxPlace, depth: number): Promise<void> {
    await this.parse(resolveName(this.#reader.host, this.#directory, shownText(value)), place, depth + 1);
  }

  #line(keyword: string, value: ByteText, place: SyslinuxPlace): void {
    if (keyword === "timeout") this.timeout = atoi(value);
    else if (keyword === "prompt") this.prompts ||= atoi(value) !== 0;
    else if (keyword === "default" || keyword === "ontimeout") {
      const name = this.#needed(keyword, value.trimEnd(), place);
      if (name !== null) this.defaultLabel = { name, place, directive: keyword };
    }
  }
}

/** U-Boot loads one initrd: the value up to the next space. */
function initrdOf(append: ByteText): ByteText | null {
  const at = append.indexOf("initrd=");
  return at < 0 ? null : (append.slice(at + "initrd=".length).split(" ", 1)[0] ?? null);
}

function boardMenu(
  parser: BoardParser,
  config: SyslinuxLocation,
  place: LoadPlace,
  compatible: readonly string[],
): SyslinuxMenu {
  const taken = new Set<string>();
  const entries = parser.labels.map((label): SyslinuxEntry => {
    const shown = shownText(label.name);
    let unique = shown;
    for (let count = 2; taken.has(unique); count++) unique = `${shown}#${count}`;
    taken.add(unique);
    return {
      label: unique,
      config,
      title: shownText(label.title ?? label.name).trim() || shown,
      submenu: [],
      place: label.place,
      isRemembered: false,
      outcome: boardOutcome(label, place, compatible),
      configs: parser.files,
    };
  });
  // Of labels with one name, the last one is the default (`pxe_menu_to_menu`).
  const wanted = parser.defaultLabel;
  const index = parser.labels.findLastIndex(({ name }) => name === wanted?.name);
  const chosen = entries[index];
  const choices: SyslinuxChoice[] = [];
  if (chosen !== undefined && wanted !== null) {
    const reason = `${wanted.directive} ${quote(shownText(wanted.name))} in ${pathOf(wanted.place)}`;
    choices.push({ entry: chosen, reason });
  }
  const rest = entries.filter((entry) => entry !== chosen);
  const where = pathOf({ location: config, line: 1 });
  choices.push(...rest.map((entry) => ({ entry, reason: `label ${quote(entry.label)} is next in ${where}` })));
  if (choices.length === 0) choices.push({ entry: null, reason: `no label in ${where}` });
  const waits = parser.timeout > 0 ? Math.ceil(parser.timeout / 10) : null;
  return { entries, choices, timeoutSeconds: parser.prompts ? waits : 0 };
}

function pathOf({ location }: SyslinuxPlace): string {
  return location.kind === "path" ? location.path : "the configuration";
}

function boardOutcome(label: BoardLabel, place: LoadPlace, compatible: readonly string[]): SyslinuxOutcome {
  try {
    return { kind: "boot", load: boardLoad(label, place, compatible) };
  } catch (error) {
    if (error instanceof Refusal) return { kind: "refused", reason: error.message };
    throw error;
  }
}

function boardLoad(label: BoardLabel, place: LoadPlace, compatible: readonly string[]): SyslinuxLoad {
  if (label.localboot !== null) {
    throw new Refusal("localboot: runs a command of U-Boot's environment");
  }
  if (label.kernel === null) throw new Refusal("no kernel is named");
  const append = handedOver(expandMacros(label.append ?? ""));
  const hash = label.kernel.indexOf("#");
  const file = hash < 0 ? label.kernel : label.kernel.slice(0, hash);
  const part = hash < 0 ? null : handedOver(label.kernel.slice(hash));
  const overlays = splitWords(label.overlays ?? "");
  if (overlays.length > place.limits.filesMax) {
    throw new Refusal(`${overlays.length} overlays, at most ${place.limits.filesMax} are taken`);
  }
  // "-": the device tree that is there already.
  const fdt = label.fdt === "-" ? null : label.fdt;
  const directory = label.fdt === null ? label.fdtdir : null;
  const hasTree = fdt !== null || directory !== null;
  return {
    ...emptyLoad(fileUse(place, file)),
    part,
    initrds: label.initrd === null ? [] : [{ ...fileUse(place, label.initrd), member: null }],
    options: append,
    devicetree: fdt === null ? null : fileUse(place, fdt),
    devicetreeNames:
      directory === null
        ? []
        : deviceTreeNames(compatible).map((name) => fileUse(place, `${directory.replace(/\/$/, "")}/${name}`)),
    overlays: hasTree ? overlays.map((name) => fileUse(place, name)) : [],
  };
}

/**
 * U-Boot's expansion of `append` (common/cli_simple.c, `cli_simple_process_macros`): a backslash takes the next character as
 * it is, single quotes go and keep what they hold, `${name}` and `$(name)` are variables of its environment, which is not
 * known here.
 */
function expandMacros(text: ByteText): ByteText {
  let expanded = "";
  let quoted = false;
  let previous = "";
  for (let at = 0; at < text.length; at++) {
    let character = text.charAt(at);
    if (!quoted && character === "\\" && previous !== "\\") {
      at++;
      if (at >= text.length) break;
      previous = character;
      character = text.charAt(at);
    }
    const isPlain = previous === "\\";
    if (character === "'" && !isPlain) quoted = !quoted;
    else if (!quoted && character === "$" && !isPlain && /[({]/.test(text.charAt(at + 1))) {
      const variable = /^\$[({][^)}]*[)}]?/.exec(text.slice(at, at + variableCharactersMax))?.[0] ?? "";
      throw new Refusal(
        `append uses ${quote(shownText(variable))}: a variable of U-Boot's environment, which is not known`,
      );
    } else expanded += character;
    previous = character;
  }
  return expanded;
}

/** Of a variable's name, for a message. */
const variableCharactersMax = 60;
