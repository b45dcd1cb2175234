import { closeSync, openSync, writeSync } from "node:fs";
import type { System } from "../linux/system.ts";

/**
 * A file in memory that is written once, then sealed. After sealing neither this program nor any other can change it, and
 * the descriptor is read-only, as kexec_file_load(2) wants it.
 */
export class MemoryFile implements Disposable {
  readonly #system: System;
  #fd: number;
  #size = 0;
  #sealed = false;
  #closed = false;

  constructor(system: System, name: string) {
    this.#system = system;
    this.#fd = system.createMemoryFile(name);
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#size;
  }

  /** The read-only descriptor of the sealed file. */
  get fd(): number {
    if (!this.#sealed || this.#closed) throw new Error("a memory file is handed out only when it is sealed");
    return this.#fd;
  }

  append(bytes: Uint8Array): void {
    // The number of a closed descriptor soon belongs to another file: what was to be kept apart would run together.
    if (this.#sealed || this.#closed) throw new Error("a memory file that is sealed or closed cannot be written");
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
    this.#size += bytes.length;
  }

  seal(): void {
    this.#system.sealMemoryFile(this.#fd);
    const readOnly = openSync(`/proc/self/fd/${this.#fd}`, "r");
    closeSync(this.#fd);
    this.#fd = readOnly;
    this.#sealed = true;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }
}
