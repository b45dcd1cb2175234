import { closeSync, constants, openSync, writeSync } from "node:fs";
import type { Console } from "../machine/consoles.ts";

/** linux/kern_levels.h: what is shown on a console by default, and what is shown even when the kernel was told to be quiet. */
const noticeLevel = 5;
const errorLevel = 3;
/** A record of the kernel's log holds 1024 bytes with its prefix (kernel/printk); a longer write is refused whole. */
const recordBytesMax = 900;

/**
 * What PID 1 tells: marks of the phases in the kernel's log (and so on every console that the kernel writes to), and text
 * on every console. It never fails: a boot does not stop because nobody can read about it.
 */
export class Report {
  consoles: readonly Console[] = [];
  #kmsg: number | null = null;

  /** A phase: `slipway: chosen vda1:bls1:demo`. */
  mark(text: string): void {
    this.#log(noticeLevel, text);
  }

  /** A refusal or a failure; shown on consoles although the kernel is `quiet`. */
  failure(text: string): void {
    this.#log(errorLevel, text);
  }

  /** Text for a person, on every console. */
  say(text: string): void {
    for (const console of this.consoles) console.write(text);
  }

  #log(level: number, text: string): void {
    const line = `slipway: ${oneLine(text)}`;
    try {
      // Not "w": before /dev is mounted that would make a plain file, and swallow all that is said.
      this.#kmsg ??= openSync("/dev/kmsg", constants.O_WRONLY);
      writeSync(this.#kmsg, `<${level}>${line}\n`);
    } catch {
      // Before /dev is mounted, or without a log: what can be said is said on the consoles.
      this.close();
      if (this.consoles.length > 0) this.say(`${line}\n`);
      else sayToStandardError(`${line}\n`);
    }
  }

  close(): void {
    if (this.#kmsg !== null) closeSync(this.#kmsg);
    this.#kmsg = null;
  }
}

/** One record: no line ends or other control characters, not too long, cut between characters. */
export function oneLine(text: string): string {
  const clean = text.replace(/\s+/g, " ").replace(/[\u0000-\u001f\u007f]/g, "?");
  if (Buffer.byteLength(clean) <= recordBytesMax) return clean;
  let cut = "";
  for (const character of clean) {
    if (Buffer.byteLength(cut) + Buffer.byteLength(character) > recordBytesMax - 3) break;
    cut += character;
  }
  return `${cut}...`;
}

/** The console that the kernel gave to PID 1. */
function sayToStandardError(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // There is nobody left to tell.
  }
}
