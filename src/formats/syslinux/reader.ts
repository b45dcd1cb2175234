import { latin1 } from "../bytes.ts";
import { messageOf } from "../error-text.ts";
import { quote } from "../format-error.ts";
import type { SyslinuxConfigFile, SyslinuxPlace } from "./config.ts";
import { locationKey, locationText, type SyslinuxHost, type SyslinuxLocation } from "./host.ts";
import type { SyslinuxLimits } from "./limits.ts";
import { type SyslinuxLine, syslinuxLines } from "./text.ts";

/** Something to tell of a place in a configuration. */
export interface SyslinuxMessage {
  readonly place: SyslinuxPlace;
  readonly text: string;
}

/** A named limit was passed: the rest of the configuration is given up. */
export class SyslinuxLimitError extends Error {
  override readonly name = "SyslinuxLimitError";
}

/** Reads the files of one evaluation, each once, and counts what they cost. */
export class ConfigReader {
  readonly host: SyslinuxHost;
  readonly limits: SyslinuxLimits;
  readonly messages: SyslinuxMessage[] = [];
  readonly #files = new Map<string, SyslinuxConfigFile | null>();
  #bytes = 0;
  #lines = 0;
  #parsedBytes = 0;
  #entries = 0;

  constructor(host: SyslinuxHost, limits: SyslinuxLimits) {
    this.host = host;
    this.limits = limits;
  }

  get bytesRead(): number {
    return this.#bytes;
  }

  get entriesMade(): number {
    return this.#entries;
  }

  /** Null where there is no such file or it cannot be read, which is told. */
  async file(location: SyslinuxLocation, place: SyslinuxPlace): Promise<SyslinuxConfigFile | null> {
    const key = locationKey(location);
    const known = this.#files.get(key);
    if (known !== undefined) return known;
    const { configReadsMax, configBytesMax, allConfigsBytesMax } = this.limits;
    if (this.#files.size >= configReadsMax) {
      throw new SyslinuxLimitError(`more than ${configReadsMax} files, at most so many are read as configuration`);
    }
    let file: SyslinuxConfigFile | null = null;
    try {
      const bytesMax = Math.min(configBytesMax, allConfigsBytesMax - this.#bytes);
      const bytes = await this.host.readFile(location, bytesMax);
      if (bytes === null) this.tell(place, `${quote(locationText(location))}: no such file`);
      else {
        this.#bytes += bytes.length;
        file = { location, bytes };
      }
    } catch (error) {
      this.tell(place, messageOf(error));
    }
    this.#files.set(key, file);
    return file;
  }

  lines({ bytes }: SyslinuxConfigFile): SyslinuxLine[] {
    this.#parsedBytes += bytes.length;
    const { parsedBytesMax } = this.limits;
    if (this.#parsedBytes > parsedBytesMax) {
      throw new SyslinuxLimitError(`more than ${parsedBytesMax} bytes in all files, at most so many are parsed`);
    }
    const lines = syslinuxLines(latin1(bytes));
    this.#lines += lines.length;
    const { allLinesMax } = this.limits;
    if (this.#lines > allLinesMax) {
      throw new SyslinuxLimitError(`more than ${allLinesMax} lines in all files, at most so many are taken`);
    }
    return lines;
  }

  countEntry(): void {
    const { entriesMax } = this.limits;
    if (++this.#entries > entriesMax) {
      throw new SyslinuxLimitError(`more than ${entriesMax} labels, at most so many are taken`);
    }
  }

  tell(place: SyslinuxPlace, text: string): void {
    if (this.messages.length < this.limits.messagesMax) this.messages.push({ place, text });
  }
}
