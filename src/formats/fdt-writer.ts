import type { FdtReservation } from "./fdt.ts";
import { FormatError } from "./format-error.ts";

/** A node that {@link writeFdt} writes: of one character a byte, all names. */
export interface WritableFdtNode {
  readonly name: string;
  properties(): Iterable<readonly [string, Uint8Array]>;
  children(): Iterable<WritableFdtNode>;
}

export interface WritableFdt {
  readonly bootProcessor: number;
  readonly reservations: readonly FdtReservation[];
  readonly root: WritableFdtNode;
}

/** Version 17, which a reader of version 16 can read. */
const version = 17;
const compatibleVersion = 16;
const headerBytes = 40;

/** Writes a flattened device tree (Devicetree Specification 0.4, chapter 5): header, reservations, structure, strings. */
export function writeFdt({ bootProcessor, reservations, root }: WritableFdt): Uint8Array {
  const strings = new Strings();
  const structure = new Words();
  writeNode(structure, strings, root);
  structure.u32(9);
  const reservationBytes = (reservations.length + 1) * 16;
  const structureOffset = headerBytes + reservationBytes;
  const stringsOffset = structureOffset + structure.length;
  const total = Math.ceil((stringsOffset + strings.bytes.length) / 4) * 4;
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  const fields = [0xd00dfeed, total, structureOffset, stringsOffset, headerBytes, version, compatibleVersion];
  for (const [index, value] of [...fields, bootProcessor, strings.bytes.length, structure.length].entries()) {
    view.setUint32(index * 4, value);
  }
  for (const [index, { address, bytes: length }] of reservations.entries()) {
    view.setBigUint64(headerBytes + index * 16, address);
    view.setBigUint64(headerBytes + index * 16 + 8, length);
  }
  bytes.set(structure.bytes(), structureOffset);
  bytes.set(strings.bytes.bytes(), stringsOffset);
  return bytes;
}

function writeNode(out: Words, strings: Strings, node: WritableFdtNode): void {
  out.u32(1);
  out.text(node.name);
  out.pad();
  for (const [name, value] of node.properties()) {
    out.u32(3);
    out.u32(value.length);
    out.u32(strings.offsetOf(name));
    out.append(value);
    out.pad();
  }
  for (const child of node.children()) writeNode(out, strings, child);
  out.u32(2);
}

/** Names of properties, each once. */
class Strings {
  readonly bytes = new Words();
  readonly #offsets = new Map<string, number>();

  offsetOf(name: string): number {
    const known = this.#offsets.get(name);
    if (known !== undefined) return known;
    const offset = this.bytes.length;
    this.bytes.text(name);
    this.#offsets.set(name, offset);
    return offset;
  }
}

/** Bytes that grow. */
class Words {
  #bytes = new Uint8Array(1024);
  length = 0;

  u32(value: number): void {
    this.#require(4);
    new DataView(this.#bytes.buffer).setUint32(this.length, value);
    this.length += 4;
  }

  append(value: Uint8Array): void {
    this.#require(value.length);
    this.#bytes.set(value, this.length);
    this.length += value.length;
  }

  /** With a NUL behind. */
  text(value: string): void {
    this.#require(value.length + 1);
    for (const character of value) {
      const code = character.charCodeAt(0);
      if (code === 0 || code > 0xff) throw new FormatError("fdt", "a name of characters of one byte expected");
      this.#bytes[this.length++] = code;
    }
    this.#bytes[this.length++] = 0;
  }

  /** To a multiple of 4. */
  pad(): void {
    const padded = Math.ceil(this.length / 4) * 4;
    this.#require(padded - this.length);
    this.length = padded;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  #require(length: number): void {
    if (this.length + length <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.length + length));
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
  }
}
