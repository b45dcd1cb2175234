import { uuidText } from "../bytes.ts";
import { FormatError } from "../format-error.ts";
import type { ReadAt } from "../read-at.ts";
import type { SuperblockFacts } from "../volume-facts.ts";

/** The first bytes of a device, read once: the furthest fixed superblock, btrfs's, ends there (64 KiB + 4 KiB). */
export const headBytes = 68 << 10;

/** MD metadata of the formats 0.90 and 1.0 stands within the last two blocks of this size. */
const tailBlockBytes = 64n << 10n;

/**
 * A device while it is being probed. The head and the tail are read at most once each; everything else goes through to
 * the device, and every probe bounds how often it asks.
 */
export class ProbedDevice {
  /** Size of the device in bytes. */
  readonly bytes: bigint;
  /** The first {@link headBytes} bytes; fewer on a smaller device. Offsets in it are offsets on the device. */
  readonly head: Uint8Array;
  readonly #read: ReadAt;
  #tail: Uint8Array | null = null;

  private constructor(read: ReadAt, bytes: bigint, head: Uint8Array) {
    this.#read = read;
    this.bytes = bytes;
    this.head = head;
  }

  static async open(read: ReadAt, bytes: bigint): Promise<ProbedDevice> {
    const length = bytes < BigInt(headBytes) ? Number(bytes) : headBytes;
    const head = length === 0 ? new Uint8Array() : await read(0n, length);
    return new ProbedDevice(read, bytes, head.subarray(0, length));
  }

  /** Up to `length` bytes at `offset`; fewer, down to none, where the device ends. */
  async read(offset: bigint, length: number): Promise<Uint8Array> {
    const left = this.bytes - offset;
    const wanted = left < BigInt(length) ? Number(left) : length;
    if (offset < 0n || wanted <= 0) return new Uint8Array();
    const end = offset + BigInt(wanted);
    if (end <= BigInt(this.head.length)) return this.head.subarray(Number(offset), Number(end));
    const tailStart = this.#tailStart();
    if (offset >= tailStart) {
      this.#tail ??= await this.#read(tailStart, Number(this.bytes - tailStart));
      return this.#tail.subarray(Number(offset - tailStart), Number(end - tailStart));
    }
    return (await this.#read(offset, wanted)).subarray(0, wanted);
  }

  #tailStart(): bigint {
    const start = this.bytes - (this.bytes % tailBlockBytes) - tailBlockBytes;
    return start < 0n ? 0n : start;
  }
}

/**
 * Looks for one format. Null: the device does not hold it. {@link FormatError}: it does, and is damaged, or Slipway's
 * limits refuse it. A failed read rejects with the reader's own error.
 */
export type SuperblockProbe = (device: ProbedDevice) => Promise<SuperblockFacts | null>;

/** Refuses a filesystem that says it is larger than its device: the partition was cut, or the image is incomplete. */
export function requireFits(format: string, offset: number, neededBytes: bigint, deviceBytes: bigint): void {
  if (neededBytes <= deviceBytes) return;
  throw new FormatError(format, `it takes ${neededBytes} bytes, the device has only ${deviceBytes}`, {
    offset,
    field: "size",
  });
}

export function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

/** A label in UTF-8 up to the first NUL, without trailing white space (as blkid cuts it); null when nothing is left. */
export function labelText(bytes: Uint8Array): string | null {
  const end = bytes.indexOf(0);
  return cutLabel(new TextDecoder("utf-8", { ignoreBOM: true }).decode(end < 0 ? bytes : bytes.subarray(0, end)));
}

/** As {@link labelText}, for UTF-16 in little-endian order. */
export function utf16Label(bytes: Uint8Array): string | null {
  const text = new TextDecoder("utf-16le", { ignoreBOM: true }).decode(bytes.subarray(0, bytes.length & ~1));
  const end = text.indexOf("\0");
  return cutLabel(end < 0 ? text : text.slice(0, end));
}

function cutLabel(text: string): string | null {
  return text.replace(/[ \t\n\v\f\r]+$/, "") || null;
}

/** A UUID in big-endian (RFC 9562) order; null when all 16 bytes are zero, which stands for none. */
export function uuidOrNull(bytes: Uint8Array): string | null {
  return bytes.every((byte) => byte === 0) ? null : uuidText(bytes);
}

/** A volume serial number, 4 bytes in little-endian order, as `ABCD-1234`; null when it is zero. */
export function serialText(bytes: Uint8Array): string | null {
  if (bytes.every((byte) => byte === 0)) return null;
  const digits = [...bytes].reverse().map((byte) => byte.toString(16).toUpperCase().padStart(2, "0"));
  return `${digits.slice(0, 2).join("")}-${digits.slice(2).join("")}`;
}
