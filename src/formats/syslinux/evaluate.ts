import { messageOf } from "../error-text.ts";
import { quote } from "../format-error.ts";
import { type AuxiliaryData, parseAuxiliaryData } from "./auxiliary-data.ts";
import type { ParsedConfig, ParsedItem, ParsedMenu, Stated, SyslinuxPlace } from "./config.ts";
import {
  changeDirectory,
  locationKey,
  locationText,
  resolveName,
  type SyslinuxHost,
  type SyslinuxLocation,
} from "./host.ts";
import { defaultSyslinuxLimits, type SyslinuxLimits } from "./limits.ts";
import { Listing } from "./listing.ts";
import {
  checkCommandLength,
  gfxbootLoad,
  type LoadPlace,
  linuxLoad,
  linuxModuleLoad,
  multibootLoad,
  Refusal,
  splitCommand,
} from "./load.ts";
import type { SyslinuxMenu } from "./menu.ts";
import { chooseByFeatures, chooseByVariant, chooseByWidth, refuseModule } from "./modules.ts";
import { findLabel, parseSyslinux, sysappendWords, withoutCaret } from "./parse.ts";
import { ConfigReader, type SyslinuxMessage } from "./reader.ts";
import type { Attempt, Command, Front, Result, Run } from "./run.ts";
import { type ByteText, firstWord, shownText, splitWords } from "./text.ts";

export interface SyslinuxEvaluation {
  /** Null where the configuration could not be read. */
  readonly menu: SyslinuxMenu | null;
  /** What went wrong, and what was left out. */
  readonly messages: readonly SyslinuxMessage[];
  /** Bytes of all configuration files. */
  readonly textBytes: number;
  readonly entriesMade: number;
}

/**
 * What a configuration of syslinux, extlinux, isolinux or pxelinux offers and boots by itself, as version 6 of the loader
 * would (com32/elflink/ldlinux, com32/menu): labels with their options, its menu modules, and configurations that it leads
 * to. Nothing is loaded; whether the files of an entry exist is not looked at.
 *
 * Does not reject: what is wrong is told in `messages` or in the entry that it costs.
 *
 * @param directory the working directory: for a disk that of the configuration, for pxelinux the prefix of all names
 */
export async function evaluateSyslinux(
  host: SyslinuxHost,
  config: SyslinuxLocation,
  directory: string,
  limits: Partial<SyslinuxLimits> = {},
): Promise<SyslinuxEvaluation> {
  const reader = new ConfigReader(host, { ...defaultSyslinuxLimits, ...limits });
  const menu = await new Evaluation(reader).menu(config, directory);
  return { menu, messages: reader.messages, textBytes: reader.bytesRead, entriesMade: reader.entriesMade };
}

type ImageType = "kernel" | "com32" | "boot" | "bss" | "pxe" | "fdimage" | "linux" | "config" | "localboot";

/** The loader's own order. */
const extensions: readonly (readonly [string, ImageType])[] = [
  [".c32", "com32"],
  [".img", "fdimage"],
  [".bss", "bss"],
  [".bin", "boot"],
  [".bs", "boot"],
  [".0", "pxe"],
];

const typeWords: ReadonlySet<string> = new Set<ImageType>([
  ...(["localboot", "kernel", "linux", "boot", "bss", "pxe", "fdimage", "com32", "config"] as const),
]);

/** The kind of a file by the end of its name; case matters. */
function typeOfName(name: ByteText): ImageType {
  return extensions.find(([extension]) => name.endsWith(extension))?.[1] ?? "kernel";
}

class Evaluation {
  readonly #reader: ConfigReader;
  readonly #runs = new Map<string, Run | null>();
  /** Runs whose commands are still to be looked at. */
  readonly #pending: Run[] = [];

  #remembered: AuxiliaryData | null = null;

  constructor(reader: ConfigReader) {
    this.#reader = reader;
  }

  async #loaderData(place: SyslinuxPlace): Promise<AuxiliaryData | null> {
    try {
      const file = await this.#reader.host.loaderFile();
      return file === null ? null : parseAuxiliaryData(file);
    } catch (error) {
      this.#reader.tell(place, `ldlinux.sys: ${messageOf(error)}`);
      return null;
    }
  }

  async menu(location: SyslinuxLocation, directory: string): Promise<SyslinuxMenu | null> {
    const place = { location, line: 1 };
    this.#remembered = await this.#loaderData(place);
    const top = await this.#open("prompt", [location], directory, null, null, place);
    if (top === null) return null;
    const once = this.#remembered?.once ?? null;
    for (let run = this.#pending.shift(); run !== undefined; run = this.#pending.shift()) await this.#complete(run);
    if (once !== null) {
      const command = await this.#onceCommand(top, once, place);
      const reason = `${quote(shownText(once))} is the choice for the next boot in ldlinux.sys`;
      top.once = { command, reason };
      // What it leads to is new.
      for (let run = this.#pending.shift(); run !== undefined; run = this.#pending.shift()) await this.#complete(run);
    }
    return new Listing().menu(top);
  }

  /** Null where the configuration cannot be read, which is told. */
  async #open(
    front: Front,
    locations: readonly SyslinuxLocation[],
    directory: string,
    prompt: Run | null,
    opener: Run | null,
    place: SyslinuxPlace,
  ): Promise<Run | null> {
    const [location] = locations;
    if (location === undefined) return null;
    const key = JSON.stringify([front, locations.map(locationKey), directory, prompt?.location]);
    const known = this.#runs.get(key);
    if (known !== undefined) return known;
    const { menusMax } = this.#reader.limits;
    if (this.#runs.size >= menusMax) throw new Refusal(`more than ${menusMax} configurations, no more are followed`);
    this.#runs.set(key, null);
    const shared = front === "gfxboot" ? (prompt?.config ?? null) : null;
    const dialect = front === "menu" ? "menu" : "loader";
    const config = shared ?? (await parseSyslinux(this.#reader, dialect, locations, directory, place));
    if (config === null) return null;
    this.#restoreChoice(config);
    const records = new Map<ParsedItem, Command>();
    const further = new Map<ByteText, Command>();
    const run = {
      front,
      config,
      location,
      directory,
      prompt,
      opener,
      records,
      further,
      attempts: [],
      timeoutSeconds: 0,
      once: null,
    };
    this.#runs.set(key, run);
    this.#pending.push(run);
    return run;
  }

  /** `menu save`: the label that was chosen last is the default, and its menu is the first. */
  #restoreChoice(config: ParsedConfig): void {
    const label = this.#remembered?.saved ?? null;
    const item = config.savesChoice && label !== null ? findLabel(config, label) : null;
    if (item === null || item.menu === config.hidden) return;
    item.menu.defaultIndex = item.index;
    config.start = item.menu;
    config.saved = item;
  }

  async #complete(run: Run): Promise<void> {
    for (const item of run.config.items) if (item.command !== null) await this.#record(run, item);
    const { attempts, timeoutSeconds } = await this.#unattended(run);
    run.attempts = attempts;
    run.timeoutSeconds = timeoutSeconds;
  }

  async #record(run: Run, item: ParsedItem): Promise<Command> {
    const known = run.records.get(item);
    if (known !== undefined) return known;
    const text = item.command ?? "";
    const result = await this.#resultOf(() => this.#itemResult(run, item));
    const command = { run, item, text, place: item.place, isRemembered: false, result };
    run.records.set(item, command);
    return command;
  }

  async #resultOf(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Refusal) return { kind: "refused", reason: error.message, leaves: error.leaves };
      throw error;
    }
  }

  async #itemResult(run: Run, item: ParsedItem): Promise<Result> {
    const text = item.command ?? "";
    const { parts } = item;
    if (run.front === "gfxboot" && parts !== null && ["kernel", "linux"].includes(parts.type)) {
      const { kernel } = splitCommand(parts.kernel);
      if (typeOfName(kernel) === "kernel") {
        return { kind: "load", load: gfxbootLoad(this.#place(run), kernel, parts.append, parts.initrd) };
      }
    }
    return this.#execute(run, text, typeOfName(firstWord(text).word), false, item.place, 0);
  }

  #place(run: Run): LoadPlace {
    return { host: this.#reader.host, limits: this.#reader.limits, directory: run.directory };
  }

  /** `load_kernel`: a command as it is typed at the prompt. */
  async #typed(run: Run, text: ByteText, place: SyslinuxPlace, depth: number): Promise<Result> {
    const prompt = run.prompt ?? run;
    const { commandDepthMax } = this.#reader.limits;
    if (depth > commandDepthMax) throw new Refusal(`more than ${commandDepthMax} commands that lead to one another`);
    const item = findLabel(prompt.config, text);
    const { kernel, options } = splitCommand(text);
    if (item !== null) {
      if (item.command === null) throw new Refusal(`label ${quote(shownText(kernel))} boots nothing`);
      const command = options === "" ? item.command : `${item.command} ${options}`;
      return this.#execute(prompt, command, typeOfName(firstWord(command).word), false, place, depth);
    }
    if (kernel === "") throw new Refusal("no label and no kernel is named");
    const { implicit, allowOptions } = prompt.config;
    if (!implicit) throw new Refusal(`implicit 0: ${quote(shownText(kernel))} is no label`);
    let name = kernel;
    let type = typeOfName(name);
    if (type === "kernel") {
      const extension = await this.#extension(prompt, name);
      name += extension;
      type = typeOfName(name);
    }
    const command = allowOptions && options !== "" ? `${name} ${options}` : name;
    return this.#execute(prompt, command, type, true, place, depth);
  }

  /** The extension that makes a name that of a file. */
  async #extension(run: Run, name: ByteText): Promise<string> {
    const { host } = this.#reader;
    for (const [extension] of extensions) {
      const location = resolveName(host, run.directory, shownText(name) + extension);
      if (await host.exists(location).catch(() => false)) return extension;
    }
    return "";
  }

  /** `execute`: a kernel or something else, with its options. */
  async #execute(
    run: Run,
    text: ByteText,
    type: ImageType,
    appends: boolean,
    place: SyslinuxPlace,
    depth: number,
  ): Promise<Result> {
    checkCommandLength(text);
    const split = splitCommand(text);
    const { host } = this.#reader;
    const words = appends ? sysappendWords((bit) => host.sysappend(bit), (run.prompt ?? run).config.sysappend) : [];
    const options = [split.options, ...words].filter((part) => part !== "").join(" ");
    const { kernel } = split;
    if (kernel.startsWith(".") && typeWords.has(kernel.slice(1))) {
      const named = kernel.slice(1) as ImageType;
      const { kernel: file, options: rest } = splitCommand(options);
      const module = named === "com32" && !file.endsWith(".c32") ? `${file}.c32` : file;
      return this.#start(run, named, { kernel: module, options: rest }, place, depth);
    }
    if (kernel === ".comboot" || kernel === ".none") {
      throw new Refusal(`${kernel.slice(1)}: such programs are not started since syslinux 5`);
    }
    return this.#start(run, type, { kernel, options }, place, depth);
  }

  async #start(
    run: Run,
    type: ImageType,
    { kernel, options }: { readonly kernel: ByteText; readonly options: ByteText },
    place: SyslinuxPlace,
    depth: number,
  ): Promise<Result> {
    const shown = quote(shownText(kernel));
    switch (type) {
      case "com32":
        return this.#module(run, kernel, options, place, depth);
      case "config":
        return this.#configuration(run, kernel, firstWord(options).word, place);
      case "localboot":
        throw new Refusal(`localboot ${shownText(kernel)}: starts what the firmware would boot from a disk`, true);
      case "boot":
      case "bss":
      case "pxe": {
        const what = type === "pxe" ? "a network boot program" : "a boot sector";
        throw new Refusal(`${shown} is ${what}${typeOfName(kernel) === type ? " by the end of its name" : ""}`, true);
      }
      default:
        if (kernel === "") throw new Refusal("no kernel is named");
        return { kind: "load", load: linuxLoad(this.#place(run), { kernel, options }) };
    }
  }

  async #configuration(run: Run, file: ByteText, directory: ByteText, place: SyslinuxPlace): Promise<Result> {
    const { host } = this.#reader;
    if (file === "") throw new Refusal("config: a file expected");
    const location = resolveName(host, run.directory, shownText(file));
    const changed = directory === "" ? run.directory : changeDirectory(host, run.directory, shownText(directory));
    return this.#opened(await this.#open("prompt", [location], changed, null, run, place), location);
  }

  #opened(run: Run | null, location: SyslinuxLocation): Result {
    if (run === null) throw new Refusal(`the configuration ${quote(locationText(location))} cannot be read`);
    return { kind: "run", run };
  }

  async #module(run: Run, file: ByteText, options: ByteText, place: SyslinuxPlace, depth: number): Promise<Result> {
    const prompt = run.prompt ?? run;
    const { host } = this.#reader;
    const words = splitWords(options);
    const name = shownText(file.slice(file.lastIndexOf("/") + 1)).toLowerCase();
    const again = (text: ByteText): Promise<Result> =>
      this.#typed(prompt, text === "" ? (prompt.config.defaultCommand?.value ?? "") : text, place, depth + 1);
    switch (name) {
      case "menu.c32":
      case "vesamenu.c32": {
        const named = words.map((word) =>
          word === "~" ? prompt.location : resolveName(host, run.directory, shownText(word)),
        );
        const locations = named.length === 0 ? [prompt.location] : named;
        const menu = await this.#open("menu", locations, run.directory, prompt, run, place);
        return this.#opened(menu, locations[0] ?? prompt.location);
      }
      case "gfxboot.c32": {
        if (words.length === 0) throw new Refusal("gfxboot.c32: the name of its theme expected");
        const menu = await this.#open("gfxboot", [prompt.location], run.directory, prompt, run, place);
        return this.#opened(menu, prompt.location);
      }
      case "config.c32": {
        const [config = "", directory = "", ...rest] = words;
        if (config === "" || rest.length > 0) throw new Refusal("config.c32: a file and a directory at most expected");
        return this.#configuration(run, config, directory, place);
      }
      case "cmd.c32":
        return again(options);
      case "ifcpu64.c32":
        return again(chooseByWidth(words, host.cpu));
      case "ifcpu.c32":
        return again(chooseByFeatures(words, host.cpu));
      case "whichsys.c32":
        return again(chooseByVariant(words, host.variant));
      case "linux.c32":
        return { kind: "load", load: linuxModuleLoad(this.#place(run), words) };
      case "mboot.c32":
        return { kind: "load", load: multibootLoad(this.#place(run), words) };
      default:
        throw refuseModule(name);
    }
  }

  /** What happens when nobody touches a key. */
  #unattended(run: Run): Promise<Pick<Run, "attempts" | "timeoutSeconds">> {
    if (run.front === "menu") return this.#menuUnattended(run);
    return run.front === "prompt" ? this.#promptUnattended(run) : this.#gfxbootUnattended(run);
  }

  /** com32/elflink/ldlinux/ldlinux.c, `main` and `enter_cmdline`. */
  async #promptUnattended(run: Run): Promise<Pick<Run, "attempts" | "timeoutSeconds">> {
    const { config } = run;
    const waits = config.prompt && !config.hasUi;
    const timeout = config.timeout > 0 ? config.timeout : config.totalTimeout;
    const byTimeout = timeout > 0 ? config.ontimeout : null;
    const first = waits ? (byTimeout ?? config.defaultCommand) : config.defaultCommand;
    const second = waits || byTimeout === config.defaultCommand ? null : byTimeout;
    const attempts: Attempt[] = [];
    if (first !== null) {
      attempts.push({ command: await this.#statedCommand(run, first), reason: statedReason(first) });
      const { onerror } = config;
      if (onerror !== null && onerror.value !== "") {
        attempts.push({ command: await this.#errorCommand(run, onerror), reason: statedReason(onerror) });
      }
    }
    if (second !== null)
      attempts.push({ command: await this.#statedCommand(run, second), reason: statedReason(second) });
    if (attempts.length === 0) {
      attempts.push({ command: null, reason: `no "default" and no "ui" in ${locationText(run.location)}` });
    }
    return { attempts, timeoutSeconds: secondsOf(waits || first === null ? timeout : null) };
  }

  /** com32/menu/menumain.c, `run_menu`. */
  async #menuUnattended(run: Run): Promise<Pick<Run, "attempts" | "timeoutSeconds">> {
    const { config, location } = run;
    const menu = config.start;
    const standing = menu.items[menu.defaultIndex];
    const where = `the menu of ${locationText(location)}`;
    if (standing === undefined) {
      return { attempts: [{ command: null, reason: `${where} has no labels` }], timeoutSeconds: null };
    }
    const marked = markedItem(menu) ?? standing;
    const waits = [menu.timeout, config.totalTimeout].filter((each) => each > 0);
    const tenths = waits.length === 0 ? 0 : Math.min(...waits);
    // A heading in the first place moves the mark, which stops the clock of `timeout`, not that of `totaltimeout`.
    const moved = marked !== standing && !config.hiddenMenu && !config.shiftKey;
    const running = moved ? config.totalTimeout : tenths;
    const attempts: Attempt[] = [];
    if (config.shiftKey) attempts.push(await this.#itemAttempt(run, standing, where));
    else if (running > 0 && menu.ontimeout !== null) {
      attempts.push(await this.#menuCommand(run, "ontimeout", menu.ontimeout, standing.place));
    } else attempts.push(await this.#itemAttempt(run, moved && running === 0 ? marked : standing, where));
    if (menu.onerror !== null) attempts.push(await this.#menuCommand(run, "onerror", menu.onerror, standing.place));
    return { attempts, timeoutSeconds: config.shiftKey ? 0 : secondsOf(running) };
  }

  async #gfxbootUnattended(run: Run): Promise<Pick<Run, "attempts" | "timeoutSeconds">> {
    const { config, location } = run;
    const labels = config.items.filter((item) => item.command !== null);
    const named = labels.find((item) => item.label === config.globalDefault);
    const item = named ?? labels[0];
    const reason = named === undefined ? "the first label" : `default ${quote(shownText(named.label ?? ""))}`;
    const command = item === undefined ? null : await this.#record(run, item);
    return {
      attempts: [{ command, reason: `${reason} in ${locationText(location)}` }],
      timeoutSeconds: secondsOf(config.timeout),
    };
  }

  async #itemAttempt(run: Run, item: ParsedItem, where: string): Promise<Attempt> {
    const name = quote(shownText(item.label ?? withoutCaret(item.displayName)));
    if (item.command !== null) {
      const why = item === run.config.saved ? "was chosen last in" : "is the default of";
      return { command: await this.#record(run, item), reason: `${name} ${why} ${where}` };
    }
    const what = item.action === "submenu" ? `the sub-menu ${name}` : `${name}, which boots nothing,`;
    return { command: null, reason: `${what} is the default of ${where}` };
  }

  /** A command line of the menu: a label of its own stands for its command (`unlabel`). */
  async #menuCommand(run: Run, directive: string, text: ByteText, place: SyslinuxPlace): Promise<Attempt> {
    const reason = `${directive} ${quote(shownText(text))} in ${locationText(run.location)}`;
    const { word, rest } = firstWord(text);
    const item = findLabel(run.config, text);
    if (item !== null && rest.trim() === "" && item.command !== null) {
      return { command: await this.#record(run, item), reason };
    }
    const command = item === null ? text : `${item.command ?? ""}${rest}`;
    const type = typeOfName(item === null ? word : firstWord(command).word);
    const isError = directive === "onerror";
    const result = await this.#resultOf(() => this.#execute(run, command, type, isError, place, 0));
    return { command: this.#further(run, text, place, result), reason };
  }

  async #statedCommand(run: Run, { value, place }: Stated): Promise<Command> {
    const item = findLabel(run.config, value);
    if (item !== null && item.command !== null && splitCommand(value).options === "") return this.#record(run, item);
    return this.#further(run, value, place, await this.#resultOf(() => this.#typed(run, value, place, 0)));
  }

  async #onceCommand(run: Run, text: ByteText, place: SyslinuxPlace): Promise<Command> {
    const item = findLabel(run.config, text);
    if (item !== null && item.command !== null && splitCommand(text).options === "") return this.#record(run, item);
    const result = await this.#resultOf(() => this.#typed(run, text, place, 0));
    return this.#further(run, text, place, result, true);
  }

  /** `onerror`: a label's command without the words behind its name, and `default` behind it, whatever failed. */
  async #errorCommand(run: Run, { value, place }: Stated): Promise<Command> {
    const item = findLabel(run.config, value);
    const command = `${item?.command ?? value} ${run.config.defaultCommand?.value ?? ""}`;
    const type = typeOfName(firstWord(command).word);
    const result = await this.#resultOf(() => this.#execute(run, command, type, true, place, 0));
    const text = `${item === null ? value : firstWord(value).word} ${run.config.defaultCommand?.value ?? ""}`.trimEnd();
    return this.#further(run, text, place, result);
  }

  #further(run: Run, text: ByteText, place: SyslinuxPlace, result: Result, isRemembered = false): Command {
    const command = run.further.get(text) ?? { run, item: null, text, place, isRemembered, result };
    run.further.set(text, command);
    return command;
  }
}

/** The item that the menu stands on: a heading in the first or last place is passed over. */
function markedItem({ items, defaultIndex }: ParsedMenu): ParsedItem | undefined {
  let index = defaultIndex;
  if (index <= 0) while (index < items.length && items[index]?.action === "disabled") index++;
  if (index >= items.length - 1) {
    index = items.length - 1;
    while (index > 0 && items[index]?.action === "disabled") index--;
  }
  return items[index];
}

function statedReason({ directive, value, place }: Stated): string {
  return `${directive} ${quote(shownText(value))} in ${locationText(place.location)}`;
}

/** Null for ever. */
function secondsOf(tenths: number | null): number | null {
  if (tenths === null) return 0;
  return tenths > 0 ? tenths / 10 : null;
}
