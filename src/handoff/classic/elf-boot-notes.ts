import { alignUp, ByteWriter, cString } from "../../formats/byte-writer.ts";

/*
 * Notes for an ELF image that is not Linux, from the ELF boot proposal of Etherboot and LinuxBIOS (elf_boot.h): a
 * header, then ELF notes without names. Numbers are little-endian here, as the image's are.
 */

/** The header's signature, which also stands in eax. */
export const elfBootSignature = 0x0e1fb007;

const headerBytes = 12;
const noteHeaderBytes = 12;
const noteType = { bootLoaderName: 2, commandLine: 4 } as const;
const format = "elf boot notes";

/** The notes for a command line, position-independent. Throws FormatError for a NUL in it. */
export function elfBootNotes(loader: string, commandLine: string): Uint8Array {
  const notes = [
    { type: noteType.bootLoaderName, text: cString(loader, format, "boot loader") },
    { type: noteType.commandLine, text: cString(commandLine, format, "command line") },
  ];
  const total = notes.reduce((sum, { text }) => sum + noteHeaderBytes + alignUp(text.length, 4), headerBytes);
  const writer = new ByteWriter(total, format);
  writer.u32(0, elfBootSignature, "b_signature");
  writer.u32(4, total, "b_size");
  writer.u16(10, notes.length, "b_records");
  let at = headerBytes;
  for (const { type, text } of notes) {
    writer.u32(at + 4, text.length, "n_descsz");
    writer.u32(at + 8, type, "n_type");
    writer.set(at + noteHeaderBytes, text, "desc");
    at += noteHeaderBytes + alignUp(text.length, 4);
  }
  writer.u16(8, internetChecksum(writer.bytes), "b_checksum");
  return writer.bytes;
}

/** RFC 1071 over little-endian words; 0, which would stand for none, becomes its other form. */
function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at] ?? 0) + (bytes[at + 1] ?? 0) * 256;
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  const checksum = 0xffff - sum;
  return checksum === 0 ? 0xffff : checksum;
}
