/** Reads from a file: fewer bytes than asked for where it ends. */
export type ReadFile = (position: number, length: number) => Promise<Uint8Array>;

/** Whether a file of `size` bytes is of a type. */
export type FileTypeTest = (read: ReadFile, size: number) => Promise<boolean>;

/** The options of `file` (grub-core/commands/file.c) with their tests, or why there is none. */
export const fileTypes: ReadonlyMap<string, FileTypeTest | string> = new Map<string, FileTypeTest | string>([
  ["is-i386-xen-pae-domu", "the notes of a Xen kernel are not read"],
  ["is-x86_64-xen-domu", "the notes of a Xen kernel are not read"],
  ["is-x86-xen-dom0", "the notes of a Xen kernel are not read"],
  ["is-x86-multiboot", multiboot(8192, 4, 12, 0x1badb002)],
  ["is-x86-multiboot2", multiboot(32768, 8, 16, 0xe85250d6)],
  ["is-arm-linux", armLinux],
  ["is-arm64-linux", arm64Linux],
  ["is-ia64-linux", elf({ bits: 64, machine: 50 })],
  // GRUB reads the version field in the byte order of its own machine, so that no big-endian file is one.
  ["is-mips-linux", never],
  ["is-mipsel-linux", elf({ machine: 8, types: [2] })],
  ["is-sparc64-linux", never],
  ["is-powerpc-linux", never],
  ["is-x86-linux", x86Linux(0x200)],
  ["is-x86-linux32", x86Linux(0x203)],
  ["is-x86-kfreebsd", either(freeBsd(32, 3), freeBsd(64, 62))],
  ["is-i386-kfreebsd", freeBsd(32, 3)],
  ["is-x86_64-kfreebsd", freeBsd(64, 62)],
  ["is-x86-knetbsd", "the sections of a NetBSD kernel are not read"],
  ["is-i386-knetbsd", "the sections of a NetBSD kernel are not read"],
  ["is-x86_64-knetbsd", "the sections of a NetBSD kernel are not read"],
  ["is-i386-efi", efi(0x14c, 32)],
  ["is-x86_64-efi", efi(0x8664, 64)],
  ["is-ia64-efi", efi(0x200, 64)],
  ["is-arm64-efi", efi(0xaa64, 64)],
  ["is-arm-efi", efi(0x1c2, 32)],
  // GRUB looks for the 64-bit machine and header in both.
  ["is-riscv32-efi", efi(0x5064, 64)],
  ["is-riscv64-efi", efi(0x5064, 64)],
  ["is-hibernated-hiberfil", hibernated],
  ["is-x86_64-xnu", "Mach-O files are not read"],
  ["is-i386-xnu", "Mach-O files are not read"],
  ["is-xnu-hibr", "Darwin's images are not read"],
  ["is-x86-bios-bootsector", bootSector],
]);

async function view(read: ReadFile, position: number, length: number): Promise<DataView | null> {
  const bytes = await read(position, length);
  return bytes.length < length ? null : new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A multiboot header: its words from the magic on add up to 0. */
function multiboot(searched: number, step: number, headerBytes: number, magic: number): FileTypeTest {
  return async (read) => {
    const bytes = await read(0, searched);
    if (bytes.length < 32) return false;
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at + headerBytes <= bytes.length; at += step) {
      if (data.getUint32(at, true) !== magic) continue;
      let sum = 0;
      for (let word = 0; word < headerBytes; word += 4) sum = (sum + data.getUint32(at + word, true)) >>> 0;
      if (sum === 0) return true;
    }
    return false;
  };
}

/** The setup header of Documentation/arch/x86/boot.rst; from 2.03 on a kernel is asked to be a big one, too. */
export function x86Linux(versionMin: number): FileTypeTest {
  return async (read) => {
    const data = await view(read, 0, 0x250);
    if (data === null || data.getUint16(0x1fe, true) !== 0xaa55 || data.getUint8(0x1f1) > 64) return false;
    if (data.getUint32(0x202, true) !== 0x53726448 || data.getUint16(0x206, true) < versionMin) return false;
    return versionMin < 0x203 || (data.getUint8(0x211) & 1) !== 0;
  };
}

interface ElfTraits {
  readonly bits?: 32 | 64;
  readonly machine: number;
  readonly types?: readonly number[];
}

/** A little-endian ELF file. */
function elf({ bits, machine, types }: ElfTraits): FileTypeTest {
  return async (read) => {
    const data = await view(read, 0, bits === 64 ? 64 : 52);
    if (data === null || data.getUint32(0) !== 0x7f454c46 || data.getUint8(6) !== 1) return false;
    if (data.getUint8(5) !== 1 || data.getUint32(0x14, true) !== 1) return false;
    if (bits !== undefined && data.getUint8(4) !== bits / 32) return false;
    if (data.getUint16(0x12, true) !== machine) return false;
    return types === undefined || types.includes(data.getUint16(0x10, true));
  };
}

async function never(): Promise<boolean> {
  return false;
}

function freeBsd(bits: 32 | 64, machine: number): FileTypeTest {
  const isElf = elf({ bits, machine, types: [2] });
  return async (read, size) => (await isElf(read, size)) && (await read(7, 1))[0] === 9;
}

function either(first: FileTypeTest, second: FileTypeTest): FileTypeTest {
  return async (read, size) => (await first(read, size)) || (await second(read, size));
}

/** A branch over the header, as the Raspberry Pi's kernels begin, or the magic of a zImage. */
async function armLinux(read: ReadFile): Promise<boolean> {
  const data = await view(read, 0, 0x40);
  return data !== null && (data.getUint32(0, true) === 0xea000006 || data.getUint32(0x24, true) === 0x016f2818);
}

/** Documentation/arch/arm64/booting.rst: the magic `ARM\x64`. */
async function arm64Linux(read: ReadFile): Promise<boolean> {
  const data = await view(read, 0, 0x40);
  return data !== null && data.getUint32(0x38, true) === 0x644d5241;
}

/** Microsoft PE and COFF Specification: DOS stub, signature, machine, the optional header's magic, EFI application. */
function efi(machine: number, bits: 32 | 64): FileTypeTest {
  return async (read) => {
    const stub = await view(read, 0, 0x40);
    if (stub === null || stub.getUint16(0) !== 0x4d5a) return false;
    const data = await view(read, stub.getUint32(0x3c, true), 94);
    if (data === null || data.getUint32(0) !== 0x50450000 || data.getUint16(4, true) !== machine) return false;
    return data.getUint16(24, true) === (bits === 64 ? 0x20b : 0x10b) && data.getUint16(92, true) === 10;
  };
}

async function hibernated(read: ReadFile): Promise<boolean> {
  const magic = new TextDecoder("latin1").decode(await read(0, 4));
  return magic === "hibr" || magic === "HIBR";
}

async function bootSector(read: ReadFile, size: number): Promise<boolean> {
  const data = size === 512 ? await view(read, 510, 2) : null;
  return data !== null && data.getUint16(0, true) === 0xaa55;
}
