import type { ByteText } from "./text.ts";
import { unknownWord } from "./unknown-word.ts";

/** What is known of a machine. */
export interface SyslinuxMachineFacts {
  /** The string that an SMBIOS structure has at an offset; empty: none; null: not known. */
  smbiosString(type: number, offset: number): ByteText | null;
  /** The UUID's 16 bytes as SMBIOS holds them; empty: it has none; null: not known. */
  readonly uuid: { readonly raw: ByteText | null };
  /** Without the lock's bit; 0: none; null: not known. */
  readonly chassisType: number | null;
}

/** What each bit of `sysappend` from 4 to 16 tells (core/dmi.c): its word, and the string's place in SMBIOS. */
const strings: readonly (readonly [word: string, type: number, offset: number])[] = [
  ["SYSVENDOR", 1, 0x04],
  ["SYSPRODUCT", 1, 0x05],
  ["SYSVERSION", 1, 0x06],
  ["SYSSERIAL", 1, 0x07],
  ["SYSSKU", 1, 0x19],
  ["SYSFAMILY", 1, 0x1a],
  ["MBVENDOR", 2, 0x04],
  ["MBPRODUCT", 2, 0x05],
  ["MBVERSION", 2, 0x06],
  ["MBSERIAL", 2, 0x07],
  ["MBASSET", 2, 0x08],
  ["BIOSVENDOR", 0, 0x04],
  ["BIOSVERSION", 0, 0x05],
];
const firstStringBit = 4;

/**
 * The word that a bit of `sysappend` from 2 to 17 adds where the BIOS started the program; null: none. A word that is not
 * known is an {@link unknownWord}.
 */
export function machineWord(machine: SyslinuxMachineFacts, bit: number): ByteText | null {
  if (bit === 2) return uuidWord(machine.uuid.raw);
  // What CPUID says, which Linux shows only as far as it uses it.
  if (bit === 3) return unknownWord("CPU");
  if (bit === 17) return word("SYSFF", machine.chassisType === 0 ? "" : (machine.chassisType?.toString() ?? null));
  const [name, type, offset] = strings[bit - firstStringBit] ?? [];
  if (name === undefined || type === undefined || offset === undefined) return null;
  return word(name, machine.smbiosString(type, offset));
}

/** White space around it does not count; there is no word for an empty string. */
function word(name: string, value: ByteText | null): ByteText | null {
  if (value === null) return unknownWord(name);
  return /^[\0- \x7f]*$/.test(value) ? null : `${name}=${value.replace(/^[\0- \x7f]+/, "")}`;
}

/** The bytes in their order. No word for a UUID whose version is 0 or 15 (core/sysappend.c). */
function uuidWord(raw: ByteText | null): ByteText | null {
  if (raw === null) return unknownWord("SYSUUID");
  const digits = Array.from(raw, (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  if (digits.length !== 32 || "0f".includes(digits.charAt(12))) return null;
  return `SYSUUID=${digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")}`;
}
