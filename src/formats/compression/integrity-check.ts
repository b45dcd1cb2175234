import { crc32 } from "../crc32.ts";
import { Crc64 } from "./crc64.ts";
import { Sha256 } from "./sha256.ts";

/** A check over bytes that come in pieces. */
export interface RunningCheck {
  update(bytes: Uint8Array): void;
  /** As the file has it. */
  digest(): Uint8Array;
}

/** A kind of check that blocks end with (The .xz File Format 1.1.0, section 2.1.1.2). */
export interface IntegrityCheck {
  readonly id: number;
  readonly name: string;
  start(): RunningCheck;
}

export const integrityChecks: readonly IntegrityCheck[] = [
  { id: 0x00, name: "none", start: () => ({ update() {}, digest: () => new Uint8Array(0) }) },
  { id: 0x01, name: "CRC-32", start: () => new Crc32() },
  { id: 0x04, name: "CRC-64", start: () => new Crc64() },
  { id: 0x0a, name: "SHA-256", start: () => new Sha256() },
];

class Crc32 implements RunningCheck {
  #value = 0;

  update(bytes: Uint8Array): void {
    this.#value = crc32(bytes, this.#value);
  }

  digest(): Uint8Array {
    return u32le(this.#value);
  }
}

/** 4 bytes, little-endian. */
export function u32le(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}
