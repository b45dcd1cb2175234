import { ByteReader, latin1 } from "./bytes.ts";

/** Continuation areas of one directory record; Linux follows as many. */
export const continuationsMax = 32;
/** Target of a symbolic link, bytes: PATH_MAX of Linux. */
export const linkBytesMax = 4096;
/** A file's name, bytes: NAME_MAX of Linux. */
export const nameBytesMax = 255;

/** What the system use entries of a directory record say. */
export interface RockRidge {
  /** NM; null where there is none. */
  readonly name: string | null;
  /** PX: `st_mode` with the bits of the file's type. */
  readonly mode: number | null;
  /** SL: the target of a symbolic link. */
  readonly target: string | null;
  /** CL: the logical block of the directory that stands here and was moved elsewhere. */
  readonly childBlock: number | null;
  /** RE: a directory that was moved here and belongs elsewhere. */
  readonly relocated: boolean;
  /** ZF: bytes of the file before zisofs compressed it. */
  readonly plainBytes: number | null;
}

/** Reads `length` bytes at `offset` in a logical block, where a system use area goes on. */
export type ReadContinuation = (block: number, offset: number, length: number) => Promise<Uint8Array>;

/** NM flags (RRIP 1.12, 4.1.4). */
const nameContinues = 0x01;
const nameIsSpecial = 0x06;
/** SL component flags (RRIP 1.12, 4.1.3). */
const componentContinues = 0x01;
const componentCurrent = 0x02;
const componentParent = 0x04;
const componentRoot = 0x08;

/** The first system use entry of the root directory's own record (SUSP 1.12, 5.3): the entries that follow are SUSP's. */
const sharingBytes = 7;
/** A CD-ROM XA attribute stands before it on some discs. */
const xaBytes = 14;

/**
 * How many bytes of each system use area stand before its first entry, from the area of the root directory's own record;
 * null where the volume has no such entries.
 */
export function systemUseSkip(area: Uint8Array): number | null {
  const bytes = new ByteReader(area, "iso9660");
  for (const at of [0, xaBytes]) {
    if (!bytes.has(at, sharingBytes) || !bytes.hasMagic(at, "SP\u0007\u0001\u00be\u00ef")) continue;
    return bytes.u8(at + 6, "LEN_SKP");
  }
  return null;
}

/**
 * Reads the system use entries of one directory record: `area` without the bytes that are to be skipped, then the
 * continuation areas that it leads to.
 *
 * Source: System Use Sharing Protocol 1.12, section 5; Rock Ridge Interchange Protocol 1.12, section 4; the ZF entry:
 * zisofs, version 1.
 *
 * @throws {FormatError} an entry is cut off or longer than it may be, or there are too many areas.
 */
export async function readRockRidge(area: Uint8Array, readContinuation: ReadContinuation): Promise<RockRidge> {
  const draft = new Draft();
  let next = draft.readArea(new ByteReader(area, "iso9660"));
  for (let areas = 0; next !== null; areas++) {
    if (areas >= continuationsMax) {
      return new ByteReader(area, "iso9660").fail(`more than ${continuationsMax} continuation areas`);
    }
    const bytes = await readContinuation(next.block, next.offset, next.length);
    next = draft.readArea(new ByteReader(bytes, "iso9660"));
  }
  return draft.facts();
}

interface Continuation {
  readonly block: number;
  readonly offset: number;
  readonly length: number;
}

class Draft {
  #name: Uint8Array[] = [];
  #nameBytes = 0;
  #nameDone = false;
  #mode: number | null = null;
  #childBlock: number | null = null;
  #relocated = false;
  #plainBytes: number | null = null;
  /** Components of the link so far; the last one is still growing where `#componentOpen`. */
  #components: string[] | null = null;
  #componentBytes: Uint8Array[] = [];
  #componentOpen = false;
  #linkBytes = 0;

  /** Reads the entries of an area; returns where they go on. */
  readArea(area: ByteReader): Continuation | null {
    let continuation: Continuation | null = null;
    // Less than an entry's head may be left over as padding (SUSP 1.12, section 4).
    for (let at = 0; at + 4 <= area.length; ) {
      const signature = latin1(area.slice(at, 2, "signature"));
      const length = area.u8(at + 2, "length");
      if (signature === "\0\0" || signature === "ST") break;
      if (length < 4)
        area.fail(`${length}, at least 4 expected`, at + 2, `length of entry ${JSON.stringify(signature)}`);
      const entry = new ByteReader(area.slice(at, length, `entry ${JSON.stringify(signature)}`), "iso9660", at);
      if (signature === "CE") continuation = continuationOf(entry);
      else this.#read(signature, entry);
      at += length;
    }
    return continuation;
  }

  facts(): RockRidge {
    const name = this.#name.length === 0 ? null : text(this.#name);
    const target = this.#components === null ? null : linkText(this.#components);
    return {
      name,
      mode: this.#mode,
      target,
      childBlock: this.#childBlock,
      relocated: this.#relocated,
      plainBytes: this.#plainBytes,
    };
  }

  #read(signature: string, entry: ByteReader): void {
    switch (signature) {
      case "NM":
        this.#readName(entry);
        break;
      case "PX":
        this.#mode = entry.u32le(4, "PX mode");
        break;
      case "SL":
        this.#readLink(entry);
        break;
      case "CL":
        this.#childBlock = entry.u32le(4, "CL location");
        break;
      case "RE":
        this.#relocated = true;
        break;
      case "ZF":
        // Two algorithms are registered, `pz` and `PZ`; a file is compressed by whichever stands here.
        this.#plainBytes = entry.u32le(8, "ZF size");
        break;
    }
  }

  #readName(entry: ByteReader): void {
    const flags = entry.u8(4, "NM flags");
    if (this.#nameDone || (flags & nameIsSpecial) !== 0) return;
    const part = entry.slice(5, entry.length - 5, "NM name");
    this.#nameBytes += part.length;
    if (this.#nameBytes > nameBytesMax) entry.fail(`a name of more than ${nameBytesMax} bytes`, 4, "NM name");
    this.#name.push(part);
    this.#nameDone = (flags & nameContinues) === 0;
  }

  #readLink(entry: ByteReader): void {
    entry.u8(4, "SL flags");
    this.#components ??= [];
    for (let at = 5; at < entry.length; ) {
      const flags = entry.u8(at, "SL component flags");
      const length = entry.u8(at + 1, "SL component length");
      const part = entry.slice(at + 2, length, "SL component");
      this.#linkBytes += length + 1;
      if (this.#linkBytes > linkBytesMax) entry.fail(`a link of more than ${linkBytesMax} bytes`, at, "SL component");
      if ((flags & componentRoot) !== 0) this.#components = this.#closed([]).concat("");
      else if ((flags & componentCurrent) !== 0) this.#closed(this.#components).push(".");
      else if ((flags & componentParent) !== 0) this.#closed(this.#components).push("..");
      else this.#addPart(this.#components, part, (flags & componentContinues) !== 0);
      at += 2 + length;
    }
  }

  /** No further part belongs to the last component. */
  #closed(components: string[]): string[] {
    this.#componentOpen = false;
    return components;
  }

  #addPart(components: string[], part: Uint8Array, goesOn: boolean): void {
    if (this.#componentOpen) this.#componentBytes.push(part);
    else this.#componentBytes = [part];
    const whole = text(this.#componentBytes);
    if (this.#componentOpen) components[components.length - 1] = whole;
    else components.push(whole);
    this.#componentOpen = goesOn;
  }
}

/** CE (SUSP 1.12, 5.1). */
function continuationOf(entry: ByteReader): Continuation {
  return {
    block: entry.u32le(4, "CE block"),
    offset: entry.u32le(12, "CE offset"),
    length: entry.u32le(20, "CE length"),
  };
}

/** The root component is the empty one before the first slash. */
function linkText(components: readonly string[]): string {
  return components.length === 1 && components[0] === "" ? "/" : components.join("/");
}

function text(parts: readonly Uint8Array[]): string {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
