import { type ByteReader, utf8 } from "./bytes.ts";
import { isBzImage } from "./bzimage.ts";
import { type ByteRange, type ReadRange, readExactly } from "./ranges.ts";

/*
 * Boot images of BProc clusters: a header, the command line, a bzImage, an initrd.
 * Source: `struct beoboot_header` in BProc's beoboot (boot.h) and in kexec-tools (include/boot/beoboot.h).
 */

const format = "beoboot";
const headerBytes = 16;
const architectureI386 = 1;
/** Bytes of a kernel that tell whether it is a bzImage. */
const bzImageProbeBytes = 0x208;

export interface BeobootImage {
  readonly commandLine: string;
  /** A bzImage. */
  readonly kernel: ByteRange;
  readonly initrd: ByteRange | null;
}

/**
 * Reads the header and the command line of a file of `size` bytes. Bytes behind the last part are not looked at.
 *
 * BProc's own tools write the length of the command line big-endian and all else little-endian; kexec-tools reads it
 * little-endian. The order that puts a bzImage where the kernel has to be is the right one.
 *
 * @throws FormatError with offset and field: for what is no such image or is cut, one of another machine, and one whose
 * kernel is no bzImage.
 */
export function parseBeoboot(read: ReadRange, size: number): BeobootImage {
  const r = readExactly(read, { offset: 0, length: Math.min(size, headerBytes) }, format, "header");
  if (!r.hasMagic(0, "BeoB")) r.fail('"BeoB" expected', 0, "magic");
  const architecture = r.u8(4, "arch");
  if (architecture !== architectureI386) r.fail(`1 (i386) expected, not ${architecture}`, 4, "arch");
  const kernelBytes = r.u32le(8, "kernel_size");
  const commandLineBytes = findCommandLineBytes(r, read, kernelBytes);
  const kernel = { offset: headerBytes + commandLineBytes, length: kernelBytes };
  const hasInitrd = (r.u8(5, "flags") & 1) !== 0;
  const initrd = { offset: kernel.offset + kernel.length, length: hasInitrd ? r.u32le(12, "initrd_size") : 0 };
  const end = initrd.offset + initrd.length;
  if (end > size) r.fail(`${end} bytes expected, the file ends at ${size}`, 0, "header");
  return {
    commandLine: readCommandLine(read, commandLineBytes),
    kernel,
    initrd: hasInitrd ? initrd : null,
  };
}

function findCommandLineBytes(r: ByteReader, read: ReadRange, kernelBytes: number): number {
  const lengths = [r.u16le(6, "cmdline_size"), r.u16be(6, "cmdline_size")];
  const found = lengths.find((length) =>
    isBzImage(read(headerBytes + length, Math.min(kernelBytes, bzImageProbeBytes)).subarray(0, bzImageProbeBytes)),
  );
  return found ?? r.fail("a bzImage expected behind the command line", 6, "cmdline_size");
}

function readCommandLine(read: ReadRange, length: number): string {
  if (length === 0) return "";
  const text = readExactly(read, { offset: headerBytes, length }, format, "command line");
  const end = text.bytes.indexOf(0);
  if (end < 0) text.fail("a text that ends with NUL expected", headerBytes, "command line");
  return utf8(text.bytes.subarray(0, end), format);
}
