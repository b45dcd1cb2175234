import { quote } from "../format-error.ts";
import type { ParsedItem, ParsedMenu, SyslinuxConfigFile } from "./config.ts";
import { locationKey, locationText } from "./host.ts";
import { splitCommand } from "./load.ts";
import type { SyslinuxChoice, SyslinuxEntry, SyslinuxMenu, SyslinuxOutcome } from "./menu.ts";
import { findLabel, withoutCaret } from "./parse.ts";
import type { Attempt, Command, Run } from "./run.ts";
import { type ByteText, shownText } from "./text.ts";

/** Turns runs into the entries of one menu. */
export class Listing {
  readonly #entries: SyslinuxEntry[] = [];
  readonly #byCommand = new Map<Command, SyslinuxEntry>();
  readonly #listed = new Set<Run>();
  /** Configurations with their working directories: shown by another program, they have the same entries. */
  readonly #listedKeys = new Set<string>();
  readonly #labels = new Set<string>();
  /** Commands that are carried out when nobody touches a key. */
  readonly #unattended = new Set<Command>();

  menu(top: Run): SyslinuxMenu {
    const attempts = this.#attempts(top, "", new Set());
    for (const { command } of attempts) if (command !== null) this.#unattended.add(command);
    this.#list(top, []);
    const choices: SyslinuxChoice[] = attempts.map(({ command, reason }) => ({
      entry: command === null ? null : (this.#byCommand.get(command) ?? this.#labelled(command)),
      reason,
    }));
    return { entries: this.#entries, choices, timeoutSeconds: this.#timeout(top) };
  }

  /** A label that is tried at the prompt stands in the menu that shows the same file. */
  #labelled({ item }: Command): SyslinuxEntry | null {
    if (item === null) return null;
    const { location, line } = item.place;
    const key = locationKey(location);
    return this.#entries.find(({ place }) => place.line === line && locationKey(place.location) === key) ?? null;
  }

  /** What is tried, with the menus in between followed. */
  #attempts(run: Run, before: string, seen: Set<Run>): Attempt[] {
    if (seen.has(run)) return [];
    seen.add(run);
    const attempts: Attempt[] = [];
    for (const { command, reason } of run.once === null ? run.attempts : [run.once, ...run.attempts]) {
      const because = before + reason;
      if (command?.result.kind === "run") attempts.push(...this.#attempts(command.result.run, `${because}: `, seen));
      else attempts.push({ command, reason: because });
      const last = attempts.at(-1)?.command?.result;
      if (last?.kind === "refused" && last.leaves) break;
    }
    return attempts;
  }

  /** The waits on the way to what is booted first; for ever where one of them is. */
  #timeout(top: Run): number | null {
    let seconds = 0;
    const seen = new Set<Run>();
    for (let run: Run | null = top; run !== null && !seen.has(run); ) {
      seen.add(run);
      if (run.once !== null) return seconds;
      if (run.timeoutSeconds === null) return null;
      seconds += run.timeoutSeconds;
      const first: Attempt | undefined = run.attempts[0];
      run = first?.command?.result.kind === "run" ? first.command.result.run : null;
    }
    return seconds;
  }

  #list(run: Run, submenu: readonly string[]): void {
    this.#listed.add(run);
    this.#listedKeys.add(listingKey(run));
    const first = run.attempts[0]?.command ?? null;
    // What leads on by itself is not shown: its menu stands in its place.
    let passed: Command | null = null;
    if (run.front === "prompt" && first?.result.kind === "run" && !this.#listed.has(first.result.run)) {
      const front = first.result.run;
      passed = first;
      this.#list(front, submenu);
      // The prompt behind a menu is not reached by anybody who does not ask for it.
      if (front.prompt === run) {
        if (run.once?.command?.isRemembered === true) this.#add(run.once.command, submenu, null);
        return;
      }
    }
    for (const command of run.further.values()) this.#add(command, submenu, passed);
    this.#items(run, run.config.root, submenu, false, passed);
    this.#items(run, run.config.hidden, submenu, false, passed);
  }

  #items(run: Run, menu: ParsedMenu, submenu: readonly string[], guarded: boolean, passed: Command | null): void {
    const labels = new Set<ByteText>();
    for (const item of menu.items) {
      const inner = item.action === "submenu" ? this.#submenuOf(run, item) : null;
      const isGuarded = guarded || (run.front === "menu" && item.password !== null);
      if (inner !== null) {
        const title = shownText(withoutCaret(item.displayName)).trim() || shownText(inner.title);
        this.#items(run, inner, [...submenu, title], isGuarded, passed);
        continue;
      }
      const command = run.records.get(item);
      if (command === undefined) continue;
      const repeated = run.front === "prompt" && labels.has(item.label ?? "");
      labels.add(item.label ?? "");
      if (repeated) this.#refuse(command, submenu, `label ${quote(shownText(item.label ?? ""))} stands there before`);
      else if (isGuarded && !this.#unattended.has(command))
        this.#refuse(command, submenu, "menu passwd: asks for a password");
      else this.#add(command, submenu, passed);
    }
  }

  /** The menu behind an item. */
  #submenuOf(run: Run, item: ParsedItem): ParsedMenu | null {
    for (const each of run.config.items) if (each.menu.parentItem === item) return each.menu;
    return null;
  }

  #add(command: Command, submenu: readonly string[], passed: Command | null): void {
    const { result } = command;
    if (result.kind === "load") this.#push(command, submenu, { kind: "boot", load: result.load });
    else if (result.kind === "refused") this.#refuse(command, submenu, result.reason);
    else if (!this.#listedKeys.has(listingKey(result.run))) this.#list(result.run, [...submenu, titleOf(command)]);
    else if (command !== passed) {
      const reason = `leads to the menu of ${locationText(result.run.location)}, which is listed already`;
      this.#refuse(command, submenu, reason);
    }
  }

  #refuse(command: Command, submenu: readonly string[], reason: string): void {
    this.#push(command, submenu, { kind: "refused", reason });
  }

  #push(command: Command, submenu: readonly string[], outcome: SyslinuxOutcome): void {
    if (this.#byCommand.has(command)) return;
    const { run, item, text, place, isRemembered } = command;
    const name = shownText(item === null ? text : (item.label ?? "")) || titleOf(command);
    const key = (label: string): string => `${locationKey(run.location)}\0${label}`;
    let label = name;
    for (let number = 2; this.#labels.has(key(label)); number++) label = `${name}#${number}`;
    this.#labels.add(key(label));
    const title = titleOf(command);
    const entry = { label, config: run.location, title, submenu, place, outcome, isRemembered, configs: filesOf(run) };
    this.#byCommand.set(command, entry);
    this.#entries.push(entry);
  }
}

function listingKey({ location, directory }: Run): string {
  return JSON.stringify([locationKey(location), directory]);
}

function titleOf({ run, item, text }: Command): string {
  if (item !== null) return shownText(withoutCaret(item.displayName)).trim() || shownText(item.label ?? "");
  const named = findLabel(run.config, text);
  if (named === null) return shownText(text).trim();
  const { options } = splitCommand(text);
  return `${shownText(withoutCaret(named.displayName)).trim()} ${shownText(options)}`.trim();
}

/** The files of a run and of everything that led to it: what they say may shape its entries. */
function filesOf(run: Run): SyslinuxConfigFile[] {
  const files = new Set<SyslinuxConfigFile>();
  for (let each: Run | null = run; each !== null; each = each.opener) {
    for (const file of each.config.files) files.add(file);
  }
  return [...files];
}
