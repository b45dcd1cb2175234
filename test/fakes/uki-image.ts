/** A section of an image: its name, and its text or bytes. */
export type ImageSection = readonly [name: string, content: string | Uint8Array];

/** `Machine` of a PE image for x86_64. */
const machineX64 = 0x8664;

const alignment = 0x200;
const headerOffset = 0x40;
const optionalBytes = 112;

/** A PE32+ image with nothing but these sections, in this order; it starts nothing. */
export function peImage(sections: readonly ImageSection[], machine: number = machineX64): Uint8Array {
  const contents = sections.map(([, content]) =>
    typeof content === "string" ? new TextEncoder().encode(content) : content,
  );
  const tableAt = headerOffset + 24 + optionalBytes;
  const headerBytes = align(tableAt + sections.length * 40);
  const total = contents.reduce((sum, content) => sum + align(content.length), headerBytes);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  const ascii = (text: string, at: number): void => bytes.set(new TextEncoder().encode(text), at);
  ascii("MZ", 0);
  view.setUint32(60, headerOffset, true);
  ascii("PE\0\0", headerOffset);
  view.setUint16(headerOffset + 4, machine, true);
  view.setUint16(headerOffset + 6, sections.length, true);
  view.setUint16(headerOffset + 20, optionalBytes, true);
  view.setUint16(headerOffset + 24, 0x20b, true);
  view.setUint32(headerOffset + 24 + 60, headerBytes, true);
  let at = headerBytes;
  for (const [index, [name]] of sections.entries()) {
    const content = contents[index] ?? new Uint8Array(0);
    const header = tableAt + index * 40;
    ascii(name, header);
    view.setUint32(header + 8, content.length, true);
    view.setUint32(header + 12, 0x10000 + at, true);
    view.setUint32(header + 16, align(content.length), true);
    view.setUint32(header + 20, at, true);
    bytes.set(content, at);
    at += align(content.length);
  }
  return bytes;
}

function align(length: number): number {
  return Math.ceil(length / alignment) * alignment;
}

/** A unified kernel image of Debian 12 with a command line and further sections. */
export function ukiImage(commandLine: string, further: readonly ImageSection[] = [], machine?: number): Uint8Array {
  return peImage(
    [
      [".osrel", 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n'],
      [".cmdline", commandLine],
      [".linux", "a kernel would be here"],
      ...further,
    ],
    machine,
  );
}
