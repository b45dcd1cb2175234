/**
 * All initrds together, as text to be compared: one character a byte, but for cpio archives (newc: cpio(5)), of which the
 * names, modes and contents of the members stand there. Two programs that wrap the same file write different inode
 * numbers, and GRUB 2.06 does not count the NUL behind a name.
 */
export function initrdText(bytes: Uint8Array): string {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  let text = "";
  const directories = new Set<string>();
  for (let at = 0; at < all.length; ) {
    const start = all.indexOf(magic, at);
    // GRUB counts some zeros behind the last file.
    if (start === -1) return text + all.slice(at).replace(/\0+$/, "");
    text += all.slice(at, start);
    const member = memberAt(all, start);
    // An archive for each file, or one for several: a directory stands there again, or not.
    if (member.line !== null && !directories.has(member.line)) text += member.line;
    if (member.isDirectory && member.line !== null) directories.add(member.line);
    at = member.end;
  }
  return text;
}

const magic = "070701";
const headerBytes = 110;
const modeField = 1;
const sizeField = 6;
const nameSizeField = 11;

interface Member {
  /** Null for the end of an archive. */
  readonly line: string | null;
  readonly isDirectory: boolean;
  readonly end: number;
}

function memberAt(all: string, start: number): Member {
  const field = (index: number): number =>
    Number.parseInt(all.slice(start + 6 + 8 * index, start + 14 + 8 * index), 16);
  const align = (offset: number): number => start + Math.ceil((offset - start) / 4) * 4;
  const nameAt = start + headerBytes;
  const name = all.slice(nameAt, nameAt + field(nameSizeField)).replace(/\0.*$/s, "");
  const dataAt = align(nameAt + field(nameSizeField));
  const dataEnd = dataAt + field(sizeField);
  const mode = field(modeField);
  if (name === "TRAILER!!!") {
    // Its padding, up to 512 bytes where a program fills blocks, is no initrd of its own.
    let end = dataEnd;
    while (end < all.length && all[end] === "\0") end++;
    return { line: null, isDirectory: false, end };
  }
  const line = `<${name} ${mode.toString(8)} ${all.slice(dataAt, dataEnd)}>`;
  return { line, isDirectory: (mode & 0o170000) === 0o040000, end: align(dataEnd) };
}
