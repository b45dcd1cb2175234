import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { messageOf } from "../formats/error-text.ts";
import { printable } from "../formats/printable.ts";
import type { System } from "../linux/system.ts";
import type { Console } from "../machine/consoles.ts";
import { withDeadline } from "../machine/deadline.ts";
import { ConsoleLines } from "../ui/console-lines.ts";
import { describeMenu } from "../ui/menu-text.ts";
import type { Report } from "./report.ts";
import type { BootSession } from "./session.ts";

export interface RescueOptions {
  /** 0: never. */
  readonly rebootAfterSeconds: number;
  readonly shell: boolean;
  /** Whether words may be added to an entry's options. */
  readonly edit: boolean;
  /** Done before a shell is opened; when it rejects, there is none. */
  readonly beforeShell: () => Promise<void>;
}

const shellPath = "/bin/sh";
const busyboxPath = "/bin/busybox";
/** A dead medium must not keep the machine from rebooting. */
const syncSecondsMax = 5;
const notStarted = "the search has not started; reboot to begin again\n";

/**
 * The state that PID 1 ends in when nothing boots or something unforeseen happened. It says why on every console, takes
 * commands as far as the configuration allows, and reboots after a while if nobody types anything. It never exits.
 */
export class Rescue {
  readonly #system: System;
  readonly #report: Report;
  readonly #options: RescueOptions;
  readonly #session: () => BootSession | null;
  /** Processes that this program waits for itself. */
  readonly #own: Set<number>;
  #entered = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    system: System,
    report: Report,
    options: RescueOptions,
    session: () => BootSession | null,
    own: Set<number>,
  ) {
    this.#system = system;
    this.#report = report;
    this.#options = options;
    this.#session = session;
    this.#own = own;
  }

  /** Enters the state, or only reports the reason when it was entered before. */
  enter(reason: string): void {
    this.#report.failure(`rescue: ${reason}`);
    if (this.#entered) return;
    this.#entered = true;
    this.#report.say(`\nSlipway could not boot this machine: ${printable(reason)}\n`);
    this.#startTimer();
    const seconds = this.#options.rebootAfterSeconds;
    if (seconds > 0) this.#report.say(`It reboots when nobody has typed anything here for ${seconds} s.\n`);
    this.#report.say(this.#help());
    for (const console of this.#report.consoles) this.#serve(console);
  }

  /** Begins the wait anew: somebody who typed something may have gone away since. */
  #startTimer(): void {
    const seconds = this.#options.rebootAfterSeconds;
    clearTimeout(this.#timer);
    if (seconds > 0) this.#timer = setTimeout(() => void this.#reboot("restart"), seconds * 1000);
  }

  #help(): string {
    const boot = this.#options.edit
      ? "boot N [WORD]   boot entry number N of the list, with words added to its options"
      : "boot N          boot entry number N of the list";
    const shell = this.#shellAllowed() ? "\n  shell           a shell on this console" : "";
    return `Commands:
  list            what was found, and why it did not boot
  ${boot}
  retry           look at all devices again and try every entry${shell}
  reboot          restart the machine
  poweroff        switch it off
`;
  }

  #shellAllowed(): boolean {
    return this.#options.shell && existsSync(shellPath);
  }

  #serve(console: Console): void {
    const lines = new ConsoleLines(this.#system, console, (line) => {
      this.#startTimer();
      this.#run(console, lines, line).catch((error: unknown) => {
        console.write(`${printable(messageOf(error))}\n`);
      });
    });
    console.write("slipway> ");
  }

  async #run(console: Console, lines: ConsoleLines, line: string): Promise<void> {
    const [, command = "", argument = "", words = ""] = /^\s*(\S*)\s*(\S*)\s*(.*?)\s*$/s.exec(line) ?? [];
    const session = this.#session();
    switch (command) {
      case "":
        break;
      case "list":
        console.write(session === null ? notStarted : describeMenu(session.view));
        break;
      case "boot":
        await this.#boot(console, session, argument, words);
        break;
      case "retry":
        if (session === null) console.write(notStarted);
        else await session.retry();
        break;
      case "shell":
        await this.#shell(console, lines);
        break;
      case "reboot":
        await this.#reboot("restart");
        break;
      case "poweroff":
        await this.#reboot("power-off");
        break;
      default:
        console.write(`${JSON.stringify(command)} is no command.\n${this.#help()}`);
    }
    console.write("slipway> ");
  }

  async #boot(console: Console, session: BootSession | null, argument: string, words: string): Promise<void> {
    const entry = session?.view.ranking.order[Number(argument) - 1]?.entry;
    if (session === null || entry === undefined)
      console.write(`no entry ${JSON.stringify(argument)}; "list" shows their numbers\n`);
    else if (words !== "" && !this.#options.edit) console.write("not booted: the policy lets nobody add options\n");
    else console.write(`not booted: ${printable(await session.boot(entry, words))}\n`);
  }

  async #reboot(kind: "restart" | "power-off"): Promise<void> {
    try {
      await withDeadline(this.#system.sync(), syncSecondsMax, "sync").catch(() => {});
      this.#system.reboot(kind);
    } catch (error) {
      this.#report.failure(`reboot: ${messageOf(error)}`);
    }
  }

  async #shell(console: Console, lines: ConsoleLines): Promise<void> {
    if (!this.#shellAllowed()) {
      console.write("no shell: rescue.shell is false, or the image holds no /bin/sh\n");
      return;
    }
    await this.#options.beforeShell();
    lines.pause();
    clearTimeout(this.#timer);
    try {
      await runShell(console, this.#own);
    } finally {
      // Its orphans may have ended while it was still to be collected itself.
      this.#system.reapOrphans(this.#own);
      await console.reopen();
      lines.resume();
      this.#startTimer();
    }
  }
}

/** Runs a shell on a console, which becomes its controlling terminal where busybox is there to arrange that. */
function runShell(console: Console, own: Set<number>): Promise<void> {
  const [program, args] = existsSync(busyboxPath) ? [busyboxPath, ["setsid", "-c", shellPath]] : [shellPath, []];
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(program, args, {
      stdio: [console.fd, console.fd, console.fd],
      cwd: "/",
      env: { PATH: "/bin:/sbin:/usr/bin:/usr/sbin", TERM: "vt100", HOME: "/root" },
    });
    const { pid } = child;
    if (pid !== undefined) own.add(pid);
    child.once("error", reject);
    child.once("exit", () => {
      if (pid !== undefined) own.delete(pid);
      resolve();
    });
  });
}
