/** A range of physical memory: `end` is the address after the last byte. */
export interface MemoryPiece {
  readonly start: number;
  readonly end: number;
}

/** A PT_LOAD of a core file. */
export interface CoreLoad extends MemoryPiece {
  /** Where the content is in the file. */
  readonly offset: number;
  /** Where the crashed kernel had it mapped. */
  readonly virtual: bigint;
}

/** What a processor was at when it was stopped: a note of type NT_PRSTATUS. */
export interface ProcessorStatus {
  /** The instruction pointer. */
  readonly rip: bigint;
  /** Of the process; 0: idle. */
  readonly pid: number;
}

/** The beginning of a core file of x86_64. */
export interface CoreHead {
  readonly bits: 64 | 32;
  readonly loads: readonly CoreLoad[];
  readonly processors: readonly ProcessorStatus[];
  /** The texts of notes named VMCOREINFO. */
  readonly vmcoreinfo: readonly string[];
}

const elf = { core: 4, x86: 62, load: 1, note: 4 } as const;
/** sizeof(struct elf_prstatus) on x86_64, and where it has the process and the instruction pointer. */
const prstatus = { type: 1, bytes: 336, pid: 32, rip: 240 } as const;

/** Reads program headers and notes (System V gABI, chapters 4 and 5). Buffer throws where the bytes end before them. */
export function parseCoreHead(bytes: Buffer): CoreHead {
  const ident = bytes.toString("latin1", 0, 4);
  const [type, machine] = [bytes.readUInt16LE(16), bytes.readUInt16LE(18)];
  if (ident !== "\x7fELF" || type !== elf.core || machine !== elf.x86) {
    throw new Error(`core file of x86_64 expected, got ELF type ${type}, machine ${machine}, "${ident}"`);
  }
  const bits = bytes.readUInt8(4) === 2 ? 64 : 32;
  const headers = bits === 64 ? headers64(bytes) : headers32(bytes);
  const notes = headers.filter((header) => header.type === elf.note).flatMap((header) => notesOf(bytes, header));
  return {
    bits,
    loads: headers.filter((header) => header.type === elf.load),
    processors: notes.filter(({ name, type }) => name === "CORE" && type === prstatus.type).map(processorStatus),
    vmcoreinfo: notes.filter(({ name }) => name === "VMCOREINFO").map(({ content }) => content.toString("latin1")),
  };
}

interface ProgramHeader extends CoreLoad {
  readonly type: number;
  /** Bytes in the file. */
  readonly fileBytes: number;
}

function headers64(bytes: Buffer): ProgramHeader[] {
  const [table, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(56)];
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * bytes.readUInt16LE(54);
    const [offset = 0, , start = 0, fileBytes = 0, memoryBytes = 0] = Array.from({ length: 5 }, (_, field) =>
      Number(bytes.readBigUInt64LE(at + 8 + field * 8)),
    );
    const virtual = bytes.readBigUInt64LE(at + 16);
    return { type: bytes.readUInt32LE(at), offset, virtual, start, end: start + memoryBytes, fileBytes };
  });
}

function headers32(bytes: Buffer): ProgramHeader[] {
  const [table, count] = [bytes.readUInt32LE(28), bytes.readUInt16LE(44)];
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * bytes.readUInt16LE(42);
    const [type = 0, offset = 0, virtual = 0, start = 0, fileBytes = 0, memoryBytes = 0] = Array.from(
      { length: 6 },
      (_, field) => bytes.readUInt32LE(at + field * 4),
    );
    return { type, offset, virtual: BigInt(virtual), start, end: start + memoryBytes, fileBytes };
  });
}

interface Note {
  readonly name: string;
  readonly type: number;
  readonly content: Buffer;
}

/** Three words: bytes of the name and of the content, and the type; name and content are filled up to 4 bytes. */
function notesOf(bytes: Buffer, { offset, fileBytes }: ProgramHeader): Note[] {
  const notes: Note[] = [];
  if (offset + fileBytes > bytes.length) throw new Error(`core file: notes end at ${offset + fileBytes}`);
  for (let at = offset; at < offset + fileBytes; ) {
    const [nameBytes, contentBytes] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
    const content = at + 12 + filledUp(nameBytes);
    notes.push({
      name: bytes.toString("latin1", at + 12, at + 12 + nameBytes).replace(/\0$/, ""),
      type: bytes.readUInt32LE(at + 8),
      content: bytes.subarray(content, content + contentBytes),
    });
    at = content + filledUp(contentBytes);
  }
  return notes;
}

function filledUp(length: number): number {
  return (length + 3) & ~3;
}

function processorStatus({ content }: Note): ProcessorStatus {
  if (content.length !== prstatus.bytes) throw new Error(`NT_PRSTATUS: ${content.length} bytes`);
  return { rip: content.readBigUInt64LE(prstatus.rip), pid: content.readInt32LE(prstatus.pid) };
}

/** The pieces of /proc/iomem that have this name, wherever they are nested. Sample: `  2b000000-3affffff : Crash kernel` */
export function iomemPieces(iomem: string, name: string): MemoryPiece[] {
  return [...iomem.matchAll(/^ *([0-9a-f]+)-([0-9a-f]+) : (.*)$/gm)]
    .filter(([, , , found]) => found === name)
    .map(([, start = "", last = ""]) => ({ start: Number.parseInt(start, 16), end: Number.parseInt(last, 16) + 1 }));
}

/** Ascending, without the holes; both lists are free of overlaps. */
export function without(pieces: readonly MemoryPiece[], holes: readonly MemoryPiece[]): MemoryPiece[] {
  const left = holes.reduce<readonly MemoryPiece[]>(
    (rest, hole) =>
      rest.flatMap(({ start, end }) => [
        { start, end: Math.min(end, Math.max(start, hole.start)) },
        { start: Math.max(start, Math.min(end, hole.end)), end },
      ]),
    pieces,
  );
  return left.filter(({ start, end }) => start < end).toSorted((a, b) => a.start - b.start);
}
