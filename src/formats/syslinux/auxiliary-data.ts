import { ByteReader, latin1 } from "../bytes.ts";
import type { ByteText } from "./text.ts";

/** What the loader and its installer keep in the last two sectors of ldlinux.sys, the auxiliary data vector. */
export interface AuxiliaryData {
  /** The command for the next boot alone (`extlinux --once`); null: none. */
  readonly once: ByteText | null;
  /** The label that was chosen last in a menu with `menu save`; null: none. */
  readonly saved: ByteText | null;
}

const copyBytes = 512;
const headMagic = 0x5a2d2fa5;
const tailMagic = 0xdd28bf64;
/** What the numbers between the two add up to, the checksum among them. */
const sum = 0xa3041767;
/** com32/include/syslinux/advconst.h */
const endTag = 0;
const onceTag = 1;
const savedTag = 2;

/**
 * Reads the auxiliary data vector from ldlinux.sys (libinstaller/setadv.c): two copies of 512 bytes at the end, each of
 * little-endian 32-bit numbers between two magic ones; in it, tag, length, value. Null where neither copy is consistent.
 */
export function parseAuxiliaryData(file: Uint8Array): AuxiliaryData | null {
  for (const copy of [2, 1]) {
    const start = file.length - copy * copyBytes;
    if (start < 0) continue;
    const reader = new ByteReader(file.subarray(start, start + copyBytes), "ldlinux.sys");
    if (isConsistent(reader)) return readItems(reader);
  }
  return null;
}

function isConsistent(reader: ByteReader): boolean {
  if (reader.u32le(0, "head") !== headMagic || reader.u32le(copyBytes - 4, "tail") !== tailMagic) return false;
  let total = 0;
  for (let at = 4; at < copyBytes - 4; at += 4) total = (total + reader.u32le(at, "data")) >>> 0;
  return total === sum;
}

function readItems(reader: ByteReader): AuxiliaryData {
  const values = new Map<number, ByteText>();
  const end = copyBytes - 4;
  for (let at = 8; at + 2 <= end; ) {
    const tag = reader.u8(at, "tag");
    const length = reader.u8(at + 1, "length");
    if (tag === endTag || at + 2 + length > end) break;
    if (length > 0 && !values.has(tag)) {
      values.set(tag, latin1(reader.slice(at + 2, length, "value")).replace(/[\0\n\r].*$/s, ""));
    }
    at += 2 + length;
  }
  return { once: values.get(onceTag) ?? null, saved: values.get(savedTag) ?? null };
}
