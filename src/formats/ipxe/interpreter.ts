import { messageOf } from "../error-text.ts";
import { FormatError, quote } from "../format-error.ts";
import { shownText, splitWords, toByteText } from "./byte-text.ts";
import { type Failure, failure, type Status } from "./failure.ts";
import type { IpxeHost, IpxeMenu } from "./host.ts";
import { type IpxeImage, IpxeImages } from "./images.ts";
import { bytesPerStep, type IpxeLimits, settingsPerStep } from "./limits.ts";
import { IpxeMenus } from "./menus.ts";
import { NetworkNeeded } from "./network-needed.ts";
import { type CommandGrammar, type ParsedOptions, parseOptions } from "./options.ts";
import type { IpxeOutcome, IpxePlace, IpxeProblem, IpxeScriptUse, IpxeVariable } from "./outcome.ts";
import { type IpxeScript, parseIpxeScript } from "./script.ts";
import { type SettingType, settingType, stringType } from "./setting-types.ts";
import { type FoundSetting, IpxeSettings, type NamedSetting } from "./settings.ts";
import { unknownIn, withUnknownNamed } from "./unknown-value.ts";
import { formatUri, type IpxeUri, parseUri, resolveUri, uriName } from "./uri.ts";

/** How a command was called. */
export interface CommandCall {
  readonly name: string;
  /** All words behind the name, options among them. */
  readonly words: readonly string[];
}

export interface IpxeCommand {
  readonly grammar: CommandGrammar;
  /** Whether it takes words with unknown settings in them; any other command is refused with such words. */
  readonly takesUnknown?: boolean;
  run<H>(script: IpxeInterpreter<H>, parsed: ParsedOptions, call: CommandCall): Promise<Status> | Status;
}

/** Thrown to end the whole run. */
export class IpxeEnd<H> {
  readonly outcome: IpxeOutcome<H>;

  constructor(outcome: IpxeOutcome<H>) {
    this.outcome = outcome;
  }
}

/** A script that is being run. */
interface Frame<H> {
  readonly image: IpxeImage<H>;
  readonly script: IpxeScript;
  /** Index of the line that is run next. */
  next: number;
  /** Number of the line that is being run. */
  line: number;
}

/** How much is left after a command: the rest of its line, or of its script (`shell_stop`). */
type StopState = "no" | "line" | "script";

/** Form parameters: names with values. */
export type FormParameters = (readonly [name: string, value: string])[];

/** The state of one run: settings, images, menus, and the scripts that are being run (core/exec.c, image/script.c). */
export class IpxeInterpreter<H> {
  readonly host: IpxeHost<H>;
  readonly limits: IpxeLimits;
  readonly settings: IpxeSettings;
  readonly images = new IpxeImages<H>();
  readonly menus: IpxeMenus;
  /** Lists of form parameters by name; the one without a name has the empty one. */
  readonly forms = new Map<string, FormParameters>();
  readonly scripts: IpxeScriptUse<H>[] = [];
  readonly problems: IpxeProblem<H>[] = [];
  /** Whether only verified images may be run, and whether that is for good. */
  trust = { isRequired: false, isPermanent: false };
  devicetree: IpxeImage<H> | null = null;
  readonly #commands: ReadonlyMap<string, IpxeCommand>;
  readonly #stored = new Map<string, IpxeVariable<H>>();
  readonly #frames: Frame<H>[] = [];
  readonly #usedScripts = new Set<H>();
  readonly #started: IpxePlace<H>;
  /** Where the script that ended last was. */
  #last: IpxePlace<H>;
  /** What relative URIs are relative to. */
  #base: IpxeUri | null = null;
  #server = "";
  /** Where a script ended that failed: the innermost one, whose failure is that of its callers too. */
  readonly #origins = new WeakMap<Failure, IpxePlace<H>>();
  #stop: StopState = "no";
  #errno = 0;
  #networkProblem: string | null = null;
  #steps = 0;
  #fetches = 0;
  #choices = 0;
  #scriptRuns = 0;
  #scriptBytes = 0;
  readonly #output: string[] = [];
  #outputBytes = 0;

  constructor(host: IpxeHost<H>, commands: ReadonlyMap<string, IpxeCommand>, limits: IpxeLimits, first: H) {
    this.host = host;
    this.#commands = commands;
    this.limits = limits;
    this.#started = { script: first, line: 1 };
    this.#last = this.#started;
    this.menus = new IpxeMenus(limits);
    const isUnknown = (name: string): boolean => host.machine.isUnknown(name);
    this.settings = new IpxeSettings(limits, () => host.newestInterface(), isUnknown);
    this.settings.add("builtin", { scope: "builtin", find: (setting) => this.#builtin(setting) });
    for (const { name, values, source } of host.machine.blocks) {
      const block = this.settings.add(name, source);
      for (const [setting, text] of values) {
        const found = this.settings.parse(setting, true);
        if ("setting" in found) this.settings.storeText({ ...found, block }, text);
      }
    }
  }

  get place(): IpxePlace<H> {
    const frame = this.#frames.at(-1);
    return frame === undefined ? this.#started : { script: frame.image.file, line: frame.line };
  }

  get output(): string {
    return this.#output.join("");
  }

  get steps(): number {
    return this.#steps;
  }

  get variables(): readonly IpxeVariable<H>[] {
    return [...this.#stored.values()];
  }

  /** Ends the run: this is not carried out. */
  refuse(reason: string): never {
    throw new IpxeEnd<H>({ kind: "refused", place: this.place, reason: this.#withNetwork(reason) });
  }

  /** Ends the run where one of the texts needs a setting of the machine that is not known. */
  needKnown(texts: readonly string[], what = ""): void {
    for (const text of texts) {
      const name = unknownIn(text);
      if (name !== null) this.refuse(`${what}${quote(shownText(name))} of the machine is not known`);
    }
  }

  /** Ends the run: nobody is there. */
  wait(reason: string): never {
    throw new IpxeEnd<H>({ kind: "waits", place: this.place, reason: this.#withNetwork(reason) });
  }

  /** The reason of an end; what the network was missed for may be the cause of it. */
  #withNetwork(reason: string): string {
    const cause = this.#networkProblem;
    return cause === null || reason.includes(cause) ? reason : `${reason} (before: ${cause})`;
  }

  stop(state: StopState): void {
    this.#stop = state;
  }

  print(text: string): void {
    const left = this.limits.outputBytesMax - this.#outputBytes;
    const kept = withUnknownNamed(text).slice(0, Math.max(left, 0));
    this.#outputBytes += kept.length;
    if (kept !== "") this.#output.push(kept);
  }

  #spend(steps: number): void {
    this.#steps += steps;
    const { stepsMax } = this.limits;
    if (this.#steps > stepsMax) this.refuse(`more than ${stepsMax} steps`);
  }

  /** Runs the first script, of a file with a URI, to the end. */
  async start(uri: IpxeUri, bytes: Uint8Array): Promise<IpxeOutcome<H>> {
    const image = { ...this.#image(this.#started.script, bytes.length, bytes, uri), isModule: false };
    this.images.register(image);
    try {
      const status = await this.execute(image);
      if (status === null) {
        const reason = this.#withNetwork("it ends without starting a kernel");
        return { kind: "ended", place: this.#last, reason };
      }
      const place = this.#origins.get(status) ?? this.#last;
      return { kind: "ended", place, reason: this.#withNetwork(status.reason) };
    } catch (error) {
      if (error instanceof IpxeEnd) return error.outcome;
      throw error;
    }
  }

  #image(file: H, size: number, script: Uint8Array | null, uri: IpxeUri): IpxeImage<H> {
    const name = uriName(uri);
    return {
      file,
      size,
      script,
      name: name === null || name === "" ? this.images.nextName() : name,
      uri,
      isModule: false,
      arguments: null,
      isFreedWhenRun: false,
      isHidden: false,
      replacement: null,
    };
  }

  resolve(text: string): IpxeUri {
    return resolveUri(this.#base, parseUri(text));
  }

  /** Downloads an image and registers it. */
  async fetch(text: string, isModule = false): Promise<IpxeImage<H> | Failure> {
    const { fetchesMax, imagesMax } = this.limits;
    if (++this.#fetches > fetchesMax) this.refuse(`more than ${fetchesMax} files fetched`);
    if (this.images.all.length >= imagesMax) this.refuse(`more than ${imagesMax} images`);
    const uri = this.resolve(withUnknownNamed(text));
    const form = uri.params === null ? undefined : this.forms.get(uri.params);
    if (form !== undefined && uri.params !== null) this.forms.delete(uri.params);
    const missing = this.host.missingFor(uri);
    if (missing !== null) return this.#hostFailure(new NetworkNeeded(missing));
    this.needKnown([text, ...(form ?? []).flat()]);
    try {
      const { file, size, script } = await this.host.fetch(uri, form ?? null);
      const image = { ...this.#image(file, size, script, uri), isModule };
      this.images.register(image);
      return image;
    } catch (error) {
      return this.#hostFailure(error);
    }
  }

  /** An error of the host as a command's failure. */
  #hostFailure(error: unknown): Failure {
    if (error instanceof IpxeEnd) throw error;
    const reason = messageOf(error);
    if (error instanceof NetworkNeeded) this.#networkProblem ??= reason;
    return failure("notSupported", reason);
  }

  /** An image by its name, or else the one that is at the URI. */
  async acquire(text: string): Promise<IpxeImage<H> | Failure> {
    return this.images.find(text) ?? (await this.fetch(text));
  }

  /** A command that only the network can carry out. */
  async network(command: string, words: readonly string[]): Promise<Status> {
    const answer = await this.host.network(command, words);
    for (const [name, text] of answer.settings) {
      const found = this.settings.parse(name, true);
      if ("setting" in found) this.settings.storeText(found, text);
    }
    this.#followServer();
    if (answer.problem === null) return null;
    this.#networkProblem ??= answer.problem;
    return failure("noDevice", answer.problem);
  }

  /** Stores a setting, and remembers where. */
  store(found: FoundSetting, text: string): Status {
    const status = this.settings.storeText(found, text);
    if (status === null) this.remember(found);
    this.#followServer();
    return status;
  }

  /** Whenever there is another `next-server`, relative names are names on it (net/udp/tftp.c). */
  #followServer(): void {
    const server = withUnknownNamed(this.settings.expanded("next-server"));
    if (server === this.#server) return;
    this.#server = server;
    if (server !== "") this.#base = parseUri(`tftp://${server}/`);
  }

  /** Notes where a setting was changed. */
  remember(found: FoundSetting): void {
    const fetched = this.settings.fetch(found);
    const name = `${found.block.name === "" ? "" : `${found.block.name}/`}${found.setting.name}`;
    this.#stored.delete(name);
    if (fetched === null || fetched.origin !== found.block) return;
    const value = shownText(this.settings.text(found) ?? "");
    this.#stored.set(name, { name: shownText(name), value, place: this.place });
  }

  /** Shows a menu to whoever is there; the index of the chosen item. */
  async choose(menu: IpxeMenu): Promise<number | Failure> {
    const { choicesMax } = this.limits;
    if (++this.#choices > choicesMax) this.refuse(`more than ${choicesMax} menus are shown`);
    const answer = await this.host.choose(menu);
    if (answer === "cancel") return failure("cancelled", "nothing was chosen");
    if (answer !== null) return answer;
    if (menu.timeoutMs === 0) this.wait(`the menu ${quote(shownText(menu.title))} waits for a person`);
    return menu.selected;
  }

  /** Runs an image: a script to its end, a kernel for good. */
  async execute(image: IpxeImage<H>): Promise<Status> {
    const { scriptDepthMax } = this.limits;
    if (this.#frames.length >= scriptDepthMax) this.refuse(`scripts more than ${scriptDepthMax} deep`);
    if (this.trust.isRequired) return failure("notPermitted", `${quote(shownText(image.name))} is not verified`);
    const before = this.#base;
    this.#base = image.uri ?? before;
    const wasRegistered = this.images.has(image);
    this.images.unregister(image);
    if (image.script === null) return this.#boot(image);
    const status = await this.#runScript(image, image.script);
    if (wasRegistered && image.replacement === null && !image.isFreedWhenRun) this.images.register(image);
    this.#base = before;
    return image.replacement === null ? status : this.execute(image.replacement);
  }

  async #boot(image: IpxeImage<H>): Promise<never> {
    const others = this.images.all.filter(({ isHidden }) => !isHidden);
    this.needKnown([image, ...others].map((each) => each.arguments ?? ""));
    const answer = await this.host.isMultiboot(image.file);
    const isMultiboot = answer === "packed" ? others.some(({ isModule }) => isModule) : answer;
    const booted = { file: image.file, name: shownText(image.name) };
    const modules = others.map((each) => ({
      file: each.file,
      name: shownText(each.name),
      options: each.arguments ?? "",
    }));
    throw new IpxeEnd<H>({
      kind: "boot",
      place: this.place,
      kernel: booted,
      options: image.arguments ?? "",
      modules: isMultiboot ? modules : [],
      initrds: isMultiboot ? [] : others.map((each) => initrdOf(each)),
      devicetree:
        this.devicetree === null ? null : { file: this.devicetree.file, name: shownText(this.devicetree.name) },
    });
  }

  async #runScript(image: IpxeImage<H>, bytes: Uint8Array): Promise<Status> {
    const { scriptRunsMax, allScriptsBytesMax } = this.limits;
    if (++this.#scriptRuns > scriptRunsMax) this.refuse(`more than ${scriptRunsMax} scripts run`);
    if (!this.#usedScripts.has(image.file)) {
      this.#usedScripts.add(image.file);
      this.scripts.push({ script: image.file, bytes });
      this.#scriptBytes += bytes.length;
      if (this.#scriptBytes > allScriptsBytesMax)
        this.refuse(`scripts of more than ${allScriptsBytesMax} bytes together`);
    }
    let script: IpxeScript;
    try {
      script = parseIpxeScript(bytes, this.limits);
    } catch (error) {
      if (error instanceof FormatError) return failure("notExecutable", error.message);
      throw error;
    }
    this.#spend(1 + Math.ceil(bytes.length / bytesPerStep));
    const frame: Frame<H> = { image, script, next: 0, line: 1 };
    this.#frames.push(frame);
    const status = await this.#runLines(frame);
    this.#last = this.place;
    if (status !== null && !this.#origins.has(status)) this.#origins.set(status, this.place);
    this.#frames.pop();
    return status;
  }

  async #runLines(frame: Frame<H>): Promise<Status> {
    for (;;) {
      const line = frame.script.lines[frame.next];
      if (line === undefined) break;
      frame.next++;
      frame.line = line.number;
      const status = await this.#runLine(line.command);
      if (this.#isStopped("script") || status !== null) return status;
    }
    const { openLine } = frame.script;
    if (openLine === null) return null;
    frame.line = openLine;
    return failure("invalid", "the line is continued, and the script ends");
  }

  /** Whether something was to be left; what reaches no further than this is over now. */
  #isStopped(reach: "line" | "script"): boolean {
    const isStopped = this.#stop === "script" || this.#stop === reach;
    if (reach === "script" || this.#stop === "line") this.#stop = "no";
    return isStopped;
  }

  async #runLine(text: string): Promise<Status> {
    const words = splitWords(text);
    this.#spend(1 + words.length + Math.floor(text.length / bytesPerStep));
    const { wordsMax } = this.limits;
    if (words.length > wordsMax) this.refuse(`${words.length} words in a line, at most ${wordsMax} are taken`);
    let status: Status = null;
    let isRun = true;
    for (let start = 0; ; ) {
      let end = start;
      while (end < words.length && !isTerminator(words[end] ?? "")) end++;
      if (isRun) status = await this.runCommand(this.#expand(words.slice(start, end)));
      if (this.#isStopped("line")) return status;
      const terminator = words[end];
      if (terminator === undefined || terminator.startsWith("#")) return status;
      isRun = terminator === ";" || (terminator === "&&") === (status === null);
      start = end + 1;
    }
  }

  #expand(words: readonly string[]): string[] {
    const { commandBytesMax } = this.limits;
    let bytes = 0;
    return words.map((word) => {
      const expanded = this.#expandWord(word, commandBytesMax);
      bytes += expanded.length;
      if (bytes > commandBytesMax) this.refuse(`a command of more than ${commandBytesMax} bytes`);
      this.#spend(Math.floor(expanded.length / bytesPerStep));
      return expanded;
    });
  }

  /** `expand_settings`: the innermost `${…}` that ends first, again and again until there is none. */
  #expandWord(word: string, bytesMax: number): string {
    let text = word;
    for (;;) {
      const first = text.indexOf("${");
      const end = first === -1 ? -1 : text.indexOf("}", first);
      if (end === -1) return text;
      const start = text.lastIndexOf("${", end - 1);
      this.#spend(1 + Math.floor(text.length / bytesPerStep + this.settings.size / settingsPerStep));
      text = text.slice(0, start) + this.settings.expanded(text.slice(start + 2, end)) + text.slice(end + 1);
      if (text.length > bytesMax) this.refuse(`a word of more than ${bytesMax} bytes`);
    }
  }

  /** Runs a command with its words, expanded (`execv`). */
  async runCommand(words: readonly string[]): Promise<Status> {
    const [name, ...rest] = words;
    if (name === undefined) return null;
    this.#spend(1);
    const status = await this.#dispatch(name, rest);
    if (status !== null) {
      this.#errno = status.status;
      this.note(status.reason);
    }
    return status;
  }

  /** Tells of something that went wrong. */
  note(text: string): void {
    if (this.problems.length < this.limits.messagesMax) this.problems.push({ place: this.place, text });
  }

  async #dispatch(name: string, words: readonly string[]): Promise<Status> {
    this.needKnown([name]);
    const command = this.#commands.get(name);
    if (command === undefined) return failure("notExecutable", `${quote(shownText(name))}: there is no such command`);
    if (command.takesUnknown !== true) this.needKnown(words, `${shownText(name)}: `);
    const parsed = parseOptions(words, command.grammar);
    const status = "reason" in parsed ? parsed : await command.run(this, parsed, { name, words });
    if (status === null || this.#origins.has(status)) return status;
    return { status: status.status, reason: `${name}: ${status.reason}` };
  }

  goto(label: string): Status {
    const frame = this.#frames.at(-1);
    const line = frame?.script.labels.get(label);
    if (frame === undefined || line === undefined) {
      return failure("noEntry", `there is no label ${quote(shownText(label))}`);
    }
    frame.next = line;
    this.stop("line");
    return null;
  }

  /** Has another image run when the present script ends. */
  replace(image: IpxeImage<H>): Status {
    const frame = this.#frames.at(-1);
    if (frame === undefined) return failure("noScript", "not in a script");
    frame.image.replacement = image;
    this.stop("script");
    return null;
  }

  #builtin({ name }: NamedSetting): { readonly raw: string; readonly type: SettingType } | null {
    const { machine } = this.host;
    const text = (value: string): { raw: string; type: SettingType } => ({ raw: value, type: stringType });
    const number = settingType("uint32") ?? stringType;
    switch (name) {
      case "errno":
        return { raw: number.ofNumber(BigInt(this.#errno)) ?? "", type: number };
      case "buildarch":
        return text(toByteText(machine.buildArchitecture));
      case "platform":
        return text(toByteText(machine.platform));
      case "version":
        return text(toByteText(machine.version));
      case "cwuri":
        return this.#base === null ? null : text(formatUri(this.#base));
      case "cwduri":
        return this.#base === null ? null : text(formatUri(this.resolve("./")));
      default:
        return null;
    }
  }
}

function isTerminator(word: string): boolean {
  return word.startsWith("#") || word === "||" || word === "&&" || word === ";";
}

/** How an image becomes part of the initrd: one with arguments is a file of the archive (core/cpio.c). */
function initrdOf<H>({ file, name, arguments: words }: IpxeImage<H>): {
  readonly file: H;
  readonly name: string;
  readonly archive: { readonly path: string; readonly mode: number; readonly directories: number } | null;
} {
  const path = (words ?? "").split(" ")[0] ?? "";
  if (path === "" || path.replaceAll("/", "") === "") return { file, name: shownText(name), archive: null };
  const mode = argumentOf(words ?? "", "mode");
  const made = argumentOf(words ?? "", "mkdir");
  const directories = /^-?\d+/.exec(made ?? "")?.[0];
  const count = directories === undefined ? 0 : Number(directories);
  const bits = mode === null ? 0o644 : Number.parseInt(/^[0-7]*/.exec(mode)?.[0] || "0", 8) & 0o7777;
  return {
    file,
    name: shownText(name),
    // -1 asks for all of them.
    archive: { path, mode: bits, directories: count < 0 ? Number.POSITIVE_INFINITY : count },
  };
}

/** `image_argument`: what stands behind `name=` at the start of a word. */
function argumentOf(words: string, name: string): string | null {
  for (const word of words.split(/[ \t\n\v\f\r]/)) if (word.startsWith(`${name}=`)) return word.slice(name.length + 1);
  return null;
}
